"""Finding the customer without an email whom a row of an import is about."""

from __future__ import annotations

from regulars.core.errors import Ambiguous, Problem
from regulars.core.external_ids import load
from regulars.core.text import fold, full_name
from regulars.customers.bulk import SetRow, contact_term
from regulars.customers.external_ids import MAX_AMBIGUOUS, global_ids
from regulars.customers.identification import needs_no_email
from regulars.customers.search import phone_facets, phones
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.shop_ids import CUSTOMER
from regulars.store import Row
from regulars.store.tables import customers


class Contacts:
    """The customers of a batch without an email, by phone and full name."""

    def __init__(self, unit: CustomerUnitOfWork) -> None:
        self._unit = unit
        self._ids: dict[str, dict[int, None]] = {}
        for row in unit.rows[customers].all():
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a customer, if it has no email."""
        if not row["email"]:
            for term in phone_facets.contact_terms(row, self._unit.default_country):
                self._ids.setdefault(term, {})[row["customer_id"]] = None

    def match(self, row: SetRow, stored: Row | None) -> tuple[SetRow, Row | None, list[Problem]]:
        """Return the customer whom a row without an email is about, and problems. `stored` is the
        one with an id of the row. An `_id` of an export names no other person: the row is then
        returned as that of a new customer."""
        unit = self._unit
        is_known = stored is not None and _is_same(row, stored, unit.default_country)
        if row.own_id is not None and not is_known and needs_no_email(unit):
            row, stored = row._replace(customer=None, take=row.own_id), None
        if row.customer is not None or stored is not None:
            return row, stored, []
        for external in row.shop_ids:
            number = unit.shop_ids.find(external.id, CUSTOMER, external.source)
            holder = unit.customer(number or 0)
            if holder and (needs_no_email(unit) or not holder["email"]):
                return row, holder, []
        term = contact_term(row)
        matches = [
            found
            for number in self._ids.get(term, ())
            if (found := unit.customer(number)) and _has(found, term) and not _is_other(row, found)
        ]
        if len(matches) > 1:
            ids = global_ids(sorted(match["customer_id"] for match in matches[:MAX_AMBIGUOUS]))
            message = (
                f"{len(matches)} customers without an email have this phone and name. Add an "
                "external id or an email to the row, or remove the duplicates."
            )
            return row, matches[0], [Ambiguous(message, ids, (*row.path, "phone"))]
        if not matches:
            return row, None, []
        return _without_contact(row, matches[0], unit.default_country), matches[0], []


def _without_contact(row: SetRow, stored: Row, country: str) -> SetRow:
    """Return a row without the phone and the name of the customer who was found by them: they stay
    as they are stored. Other parts of a name would be mixed with those of the row."""
    left_out = ["first_name", "last_name"]
    numbers = set(phones.forms(row.values.get("phone") or "", country))
    if numbers <= phone_facets.phone_forms(stored, country):
        left_out.append("phone")
    return row._replace(values={k: v for k, v in row.values.items() if k not in left_out})


def _has(row: Row, term: str) -> bool:
    return f"\n{term}\n" in row["facets"]


def _is_other(row: SetRow, stored: Row) -> bool:
    """Whether a system has other ids for a customer than for the one of a row."""
    ids = {*row.shop_ids, *(row.values.get("external_ids") or ())}
    others = {e for e in load(stored["external_ids"]) if e.source in {own.source for own in ids}}
    return bool(others) and others.isdisjoint(ids)


def _is_same(row: SetRow, stored: Row, country: str) -> bool:
    """Whether a row and the customer with its `_id` have a name, a phone or an external id in
    common, or the row has none of them."""
    if not (contact_term(row) or row.shop_ids):
        return True
    if not set(row.shop_ids).isdisjoint(load(stored["external_ids"])):
        return True
    values = row.values
    name = fold(full_name(values.get("first_name") or "", values.get("last_name") or ""))
    if name and name == fold(full_name(stored["first_name"], stored["last_name"])):
        return True
    numbers = set(phones.forms(values.get("phone") or "", country))
    return not numbers.isdisjoint(phone_facets.phone_forms(stored, country))
