"""One way to identify a customer: by id, email, phone or external id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.external_ids import clean_one
from regulars.core.ids import MAX_ID
from regulars.customers.commands import Reference, named_shop_ids, reference_to
from regulars.customers.emails import clean_email
from regulars.customers.external_ids import MAX_AMBIGUOUS, ambiguous_phone
from regulars.customers.search import phones
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import clean_values
from regulars.store import Row


class Identifier(NamedTuple):
    """What identifies a customer, and the `path` of it in the input: the field `name` of
    `CustomerIdentifier`, the `text` that the client wrote, and what it names. `values` are columns
    of a customer who has the identifier. A malformed one names no customer."""

    name: str
    text: str
    path: InputPath
    values: Mapping[str, Any] = {}
    reference: Reference | None = None
    email_key: str = ""
    phone_term: str = ""

    @property
    def is_id(self) -> bool:
        """Whether it is an id of Regulars, which no new customer can get."""
        return self.name in ("id", "_id")

    def lookups(self) -> dict[str, frozenset[Any]]:
        """Return the keys of the rows that it names."""
        references = [self.reference] if self.reference else []
        return {
            "customer_ids": frozenset(r.customer_id for r in references if r.customer_id),
            "shop_ids": named_shop_ids(*references),
            "email_keys": frozenset([self.email_key] if self.email_key else ()),
            "phone_terms": phones.lookup_terms([self.phone_term]),
        }

    def find(self, unit: CustomerUnitOfWork) -> tuple[Row | None, list[Problem]]:
        """Return the customer who has the identifier, and a problem if several have it."""
        if self.reference:
            return unit.find(self.reference), []
        if self.email_key:
            return unit.customer(unit.holder(self.email_key) or 0), []
        found = unit.with_facet(self.phone_term) if self.phone_term else []
        if len(found) > 1:
            numbers = [row["customer_id"] for row in found[: MAX_AMBIGUOUS + 1]]
            return None, [ambiguous_phone(self.text, numbers, self.path)]
        return (found[0] if found else None), []


def read_identifier(
    node: Mapping[str, Any] | None, path: InputPath
) -> tuple[Identifier | None, list[Problem]]:
    """Return the identifier in an input, and problems; nothing without an input."""
    if node is None:
        return None, []
    fields = {name: value for name, value in node.items() if value is not None}
    if len(fields) != 1:
        message = f"`{path[-1]}` has {len(fields)} identifiers. Set exactly one of its fields."
        return None, [InvalidInput(message, path)]
    ((name, value),) = fields.items()
    path = (*path, name)
    if name == "id":
        return Identifier(name, value, path, reference=reference_to(value)), []
    if name == "_id":
        number = value if 0 < value <= MAX_ID else None
        return Identifier(name, str(value), path, reference=Reference(str(value), number)), []
    if name == "email":
        email, key, problem = clean_email(value)
        if problem:
            return None, [InvalidInput(problem, path)]
        values = {"email": email, "email_key": key}
        return Identifier(name, value, path, values, email_key=key), []
    if name == "phone":
        values, problems = clean_values({name: value}, path[:-1])
        forms = phones.forms(value)
        term = f"phone:{forms[0]}" if forms else ""
        return Identifier(name, value, path, values, phone_term=term), problems
    external, problems = clean_one(value, path)
    reference = Reference(f"external:{external}", None, external)
    ids = {"external_ids": (external,)}
    return Identifier(name, str(external), path, ids, reference), problems
