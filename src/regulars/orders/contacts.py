"""The rules of events about contacts: they create, update, delete and restore customers.

A customer is matched by the id of the shop, then by email.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from regulars.core.commands import INBOUND, Values
from regulars.core.errors import DuplicateEmail, EarlyEvent, MissingEmail, Rejected
from regulars.core.external_ids import SHOP, load
from regulars.customers.commands import Reference
from regulars.customers.external_ids import global_ids
from regulars.customers.identification import last_identifier, of_email
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import replacement_patch, with_values
from regulars.orders.commands import (
    DeleteContact,
    DeletedMeanwhile,
    Delivery,
    RecordContact,
    RestoreContact,
)
from regulars.orders.contact_lists import with_lists
from regulars.orders.identification import owner_without_email
from regulars.orders.rules import create_customer, fill_values
from regulars.orders.shop_ids import CUSTOMER
from regulars.store import Row
from regulars.store.tables import shop_ids
from regulars.trash import body as bodies
from regulars.trash.commands import RestoreCustomers
from regulars.trash.moving import delete_customers
from regulars.trash.problems import RestoreConflict
from regulars.trash.rules import restore
from regulars.trash.table import trash

_NO_EMAIL = "No customer has this shop id, and a new customer needs an email. Send the email."


def record_contact(unit: CustomerUnitOfWork, command: RecordContact) -> Row:
    """Create or update a customer, and return its row: empty if the event is too late. Raises
    Rejected."""
    shop_id = command.shop_id
    if unit.shop_ids.deleted_at(shop_id, CUSTOMER) is not None:
        if command.delivery is None or command.should_fill_empty:
            return {}
        # An update of another Regulars after its deletion: the restore is still on the way.
        trashed = _find_in_trash(unit, command)
        if trashed is not None and trashed.was_deleted_before(command.delivery):
            return _restore(unit, command, trashed)
        deleted_by = unit.shop_ids.deleted_by(shop_id)
        if trashed is None and command.is_early and 0 < deleted_by < command.delivery.event:
            raise Rejected(EarlyEvent(("node", "email")))
        return {}
    return {} if _is_late(unit, command) else _record(unit, command)


def restore_contact(unit: CustomerUnitOfWork, command: RestoreContact) -> Row:
    """Restore a customer from the trash with the values of the event, and return its row: empty if
    the event is too late. An unknown customer is created. One that is not in the trash changes only
    by an event of another Regulars. Raises Rejected, and DeletedMeanwhile."""
    delivery = command.delivery
    if delivery and delivery.event < unit.shop_ids.last_event(command.shop_id):
        return {}
    customer_id = _identified(unit, command)
    if customer_id is not None and delivery:
        return _record(unit, command)
    trashed = _find_in_trash(unit, command)
    if trashed is None:
        row = unit.customer(customer_id or 0)
        if row is not None:
            return row
        deleted_at = unit.shop_ids.deleted_at(command.shop_id, CUSTOMER)
        if deleted_at is not None and not command.is_certain:
            raise DeletedMeanwhile
        return _record(unit, command)
    if delivery and delivery.event < trashed.event:
        return {}
    return _restore(unit, command, trashed)


class _Trashed(NamedTuple):
    """A customer in the trash, and the number of the last event of another Regulars about it: 0 if
    there is none. `by_event` is whether an event deleted it, which is then the last. `has_list` is
    whether it has more emails than its default."""

    row: Row
    event: int
    by_event: bool
    has_list: bool

    def was_deleted_before(self, delivery: Delivery) -> bool:
        """Whether an event of another Regulars deleted the customer before that of a delivery."""
        return self.by_event and 0 < self.event < delivery.event


def _find_in_trash(unit: CustomerUnitOfWork, command: RecordContact) -> _Trashed | None:
    """Return the customer with the shop id that was deleted last, or else the mirrored customer."""
    mirrored, found = None, []
    for row in unit.rows[trash].all():
        if row["purge_at"] <= command.at or row["customer_id"] not in command.restored_ids:
            continue
        body = bodies.unpack(bytes(row["body"]))
        events = [r["event"] for r in _ids_of(body, command)]
        by_event = (row["actor_kind"], row["actor"]) == (INBOUND, "contact/deleted")
        deleted_by = unit.shop_ids.last_event(command.shop_id)
        has_list = body.customer.get("emails") is not None
        trashed = _Trashed(row, max([*events, deleted_by]), by_event, has_list)
        if events:
            found.append(trashed)
        elif row["customer_id"] == command.mirrored_customer_id:
            mirrored = trashed
    return max(found, key=lambda each: each.row["deleted_at"], default=mirrored)


def _ids_of(body: bodies.Body, command: RecordContact) -> list[dict[str, Any]]:
    """Return the rows of a body for the shop id of a command."""
    key = (command.shop_id, SHOP, CUSTOMER)
    rows = body.rows.get(str(shop_ids.name), ())
    return [row for row in rows if (row["shop_id"], row["source"], row["type"]) == key]


def _restore(unit: CustomerUnitOfWork, command: RecordContact, trashed: _Trashed) -> Row:
    """Restore a customer with the values of an event, and return its row. Raises Rejected, with
    nothing changed."""
    customer_id = trashed.row["customer_id"]
    reference = Reference(str(customer_id), customer_id)
    # A sender need not send what it changed before it deleted the customer.
    is_whole = "emails" in command.lists or not trashed.has_list
    new_email = command.values.get("email") if is_whole else None
    of_event = RestoreCustomers(
        (reference,), command.at, origin=command.origin, new_email=new_email
    )
    savepoint = unit.savepoint()
    try:
        restore(unit, of_event)
        return _record(unit, command)
    except Rejected as error:
        unit.roll_back(savepoint)
        if command.is_early and any(isinstance(p, RestoreConflict) for p in error.problems):
            raise Rejected(EarlyEvent(("node", "email"))) from error
        raise


def _identified(unit: CustomerUnitOfWork, command: RecordContact) -> int | None:
    """Return the `_id` of the customer with the shop id, or else of the mirrored customer."""
    customer_id = unit.shop_ids.find(command.shop_id, CUSTOMER)
    if customer_id is None and unit.customer(command.mirrored_customer_id or 0):
        return command.mirrored_customer_id
    return customer_id


def _record(unit: CustomerUnitOfWork, command: RecordContact) -> Row:
    """Create or update a customer, and return its row. Raises Rejected."""
    shop_id, values = command.shop_id, command.values
    customer_id = _identified(unit, command)
    holder = unit.holder(values.get("email_key", ""))
    problems = list(command.problems)
    if holder not in (None, customer_id):
        if command.is_early and (
            customer_id is not None or unit.shop_ids.has_customer(holder or 0)
        ):
            raise Rejected(EarlyEvent(("node", "email")))
        if customer_id is not None:
            problems.append(DuplicateEmail(("node", "email"), global_ids([holder])[0]))
    if customer_id is None and holder is None and "email" not in values:
        problems.append(MissingEmail(_NO_EMAIL, ("node", "email")))
    stored = unit.customer(customer_id if customer_id is not None else holder or 0)
    if stored is not None and customer_id is None and values["email_key"] != stored["email_key"]:
        # It was found by another email than its default, which stays, as do its lists.
        values = {k: v for k, v in values.items() if k not in ("email", "email_key")}
        command = replace(command, lists={})
    if stored is None:
        stored, problems = owner_without_email(
            unit, values, shop_id, problems, is_mirrored=command.delivery is not None
        )
    else:
        problems = of_email(unit, problems, stored)
    values, of_lists = with_lists(unit, command, stored, values)
    if problems := [*problems, *of_lists]:
        raise Rejected(*problems)
    ids = unit.shop_ids.added(stored["external_ids"] if stored else None, shop_id, CUSTOMER)
    if ids is not None and (stored is None or ids != stored["external_ids"]):
        values = {**values, "external_ids": load(ids)}
    if stored is None:
        row = create_customer(unit, values, command)
    elif command.should_fill_empty:
        row = fill_values(unit, stored, values, command)
    else:
        updated, problems = with_values(stored, _replace_custom(stored, values), ("node",))
        problems += last_identifier(unit, stored, updated, ("node",))
        if problems:
            raise Rejected(*problems)
        row = unit.save(stored, updated, command)
    if command.delivery:
        unit.shop_ids.record_event(shop_id, command.delivery.event)
    return row


def _is_late(unit: CustomerUnitOfWork, command: RecordContact) -> bool:
    """Whether a later event of another Regulars about the customer was applied. It sends the
    events of one type in order. Repeated attempts and other types can overtake each other."""
    delivery = command.delivery
    if delivery is None or not (command.should_fill_empty or delivery.attempt > 1):
        return False
    return delivery.event < unit.shop_ids.last_event(command.shop_id)


def _replace_custom(stored: Row, values: Values) -> dict[str, Any]:
    """Return the values with a patch of custom fields that replaces all stored ones."""
    if values.get("custom") is None or not stored["custom"]:
        return dict(values)
    return {**values, "custom": replacement_patch(orjson.loads(stored["custom"]), values["custom"])}


def delete_contact(unit: CustomerUnitOfWork, command: DeleteContact) -> None:
    """Delete the customer with a shop id, unless a later event of another Regulars has restored it.
    Record the id even if it is unknown, because late events of the customer may follow."""
    customer_id = unit.shop_ids.find(command.shop_id, CUSTOMER)
    event = command.delivery.event if command.delivery else 0
    if command.delivery:
        if event < unit.shop_ids.last_event(command.shop_id):
            return
        # It goes to the trash with the customer.
        unit.shop_ids.record_event(command.shop_id, event)
    if customer_id is None:
        customer_id = command.mirrored_customer_id
    if customer_id is not None and unit.customer(customer_id) is not None:
        delete_customers(unit, [customer_id], command)
    if command.shop_id:
        # A restore compares the number of its event.
        unit.shop_ids.record_deleted(command.shop_id, command.at, event)
