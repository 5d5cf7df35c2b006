"""Whom the input of an order, a lead or an event is about, and the external ids of an order."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.core.commands import Values
from regulars.core.errors import CustomerNotFound, DuplicateExternalId, InvalidInput, Problem
from regulars.core.external_ids import MAX_IDS, SHOP, ExternalId, dump, load, too_many
from regulars.core.ids import encoder
from regulars.customers.external_ids import MAX_AMBIGUOUS, ambiguous_phone
from regulars.customers.identification import of_email, unidentified
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.commands import RecordLead, RecordOrder, person_phone_term
from regulars.orders.shop_ids import CUSTOMER, ORDER, merged
from regulars.store import Row


def identified_customer(
    unit: CustomerUnitOfWork, command: RecordOrder | RecordLead, order: Row | None = None
) -> tuple[Row | None, list[Problem]]:
    """Return the customer whom `customer` of a command identifies, who must be that of a known
    order, and problems."""
    identifier = command.customer
    if identifier is None:
        return None, []
    row, problems = identifier.find(unit)
    if problems:
        return None, problems
    if row is None and identifier.is_id:
        return None, [CustomerNotFound([identifier.text], identifier.path)]
    if order is not None and (row is None or row["customer_id"] != order["customer_id"]):
        message = (
            f"The order `{order['name']}` belongs to another customer, and stays with it. Leave "
            "out `customer`, or use another name for the order."
        )
        return None, [InvalidInput(message, identifier.path)]
    return row, []


def owner_without_email(
    unit: CustomerUnitOfWork,
    person: Values,
    shop_id: str | None,
    problems: Sequence[Problem],
    is_mirrored: bool = False,
) -> tuple[Row | None, list[Problem]]:
    """Return the customer of an order, a lead or an event without an email, and its problems. That
    is the customer with the shop id, or else the only one with the phone; None for a new customer.
    A missing email stays a problem if the account needs one. `is_mirrored` means that each phone
    can belong to other customers, too."""
    others = of_email(unit, problems)
    if len(others) == len(problems) or others:
        return None, others
    customer = unit.customer(unit.shop_ids.find(shop_id, CUSTOMER) or 0)
    if customer is not None:
        return customer, []
    term = "" if is_mirrored else person_phone_term(person)
    matches = unit.with_facet(term) if term else []
    if shop_id:  # those with another id in the shop are other persons
        matches = [r for r in matches if all(e.source != SHOP for e in load(r["external_ids"]))]
    if len(matches) > 1:
        numbers = [row["customer_id"] for row in matches[: MAX_AMBIGUOUS + 1]]
        return None, [ambiguous_phone(person["phone"], numbers, ("node", "phone"))]
    if matches:
        return matches[0], []
    return None, list(unidentified(unit, {**person, **_shop_ids(shop_id)}, ("node",)))


def _shop_ids(shop_id: str | None) -> Values:
    return {"external_ids": (ExternalId(SHOP, shop_id),)} if shop_id else {}


def order_ids(
    unit: CustomerUnitOfWork, command: RecordOrder, stored: Row | None
) -> tuple[str | None, list[Problem]]:
    """Return the external ids that an order then has, as they are stored, and problems."""
    ids, external = stored["external_ids"] if stored else None, command.external_id
    if external is None:
        return ids, []
    path = ("node", "external_id")
    number = stored["order_id"] if stored else None
    holder = unit.shop_ids.find(external.id, ORDER, external.source)
    if holder not in (None, number):
        order_id = encoder(ORDER)([holder])[0]
        return ids, [DuplicateExternalId(str(external), order_id, path, "order")]
    merged_ids = merged(ids, [external])
    if len(merged_ids) > MAX_IDS:
        return ids, [InvalidInput(too_many(len(merged_ids), "An order"), path)]
    return dump(merged_ids), []


def is_of(unit: CustomerUnitOfWork, command: RecordOrder, owner: Row) -> bool:
    """Whether the person in the command is the owner of the order. An order stays with its
    customer even if the shop assigns it, or its name, to another one."""
    customer_id = unit.shop_ids.find(command.shop_ids.customer, CUSTOMER)
    if customer_id is not None:
        return bool(customer_id == owner["customer_id"])
    key = command.person.get("email_key")
    return not key or unit.holder(key) == owner["customer_id"]


def is_of_deleted(unit: CustomerUnitOfWork, command: RecordOrder) -> bool:
    """Whether an unknown order was deleted with its customer, or created before its customer was
    deleted: its event is late."""
    if unit.shop_ids.deleted_at(command.shop_ids.order, ORDER) is not None:
        return True
    deleted_at = unit.shop_ids.deleted_at(command.shop_ids.customer, CUSTOMER)
    created_at = command.values.get("created_at")
    return deleted_at is not None and created_at is not None and created_at <= deleted_at
