"""Moving customers to the trash, in the transaction of their deletion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from regulars.core.account_settings import TRASH_DAYS
from regulars.core.commands import INBOUND, Command
from regulars.core.errors import Rejected
from regulars.core.external_ids import SHOP
from regulars.core.text import full_name
from regulars.customers import history
from regulars.customers.contact_points import additional_keys
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import Row
from regulars.store.moving import MAX_BYTES, OVERSIZED, UnbatchableCommands
from regulars.store.tables import customers, orders, shop_ids
from regulars.trash import body as bodies
from regulars.trash.problems import TooLargeForTrash, TooMuchData
from regulars.trash.queries import FORGET_DELETIONS
from regulars.trash.table import EMAIL, ORDER, SHOP_ID, trash, trash_keys

_DAY_MS = 86_400_000
# The columns by which a customer is known.
_KEYS = ("email_key", "emails", "external_ids")


def delete_customers(
    unit: CustomerUnitOfWork, customer_ids: Sequence[int], command: Command, permanent: bool = False
) -> None:
    """Delete existing customers, and record it. They move to the trash, unless the deletion is
    `permanent` or the account has no trash. Raises Rejected, with nothing changed, if they have too
    much data. Raises UnbatchableCommands."""
    if any(_has_changed_keys(unit, customer_id) for customer_id in customer_ids):
        raise UnbatchableCommands
    days = 0 if permanent else unit.settings[TRASH_DAYS.name]
    trash_rows: list[Row] = []
    key_rows: list[Row] = []
    if days:
        if OVERSIZED in unit.state.rows:
            is_single = len(customer_ids) == 1
            by_event = command.origin.kind == INBOUND
            raise Rejected(
                TooLargeForTrash(str(*customer_ids), by_event=by_event)
                if is_single
                else TooMuchData()
            )
        for customer_id in customer_ids:
            trash_rows.append(_trash_row(unit, customer_id, command, days))
            key_rows += _keys(unit, customer_id)
    for customer_id in customer_ids:
        unit.delete_customer(customer_id, command.at)
        unit.record(history.DELETED, customer_id, command)
    for row in trash_rows:
        unit.rows[trash].put(row)
    for row in key_rows:
        unit.rows[trash_keys].put(row)


def _has_changed_keys(unit: CustomerUnitOfWork, customer_id: int) -> bool:
    """Return whether an earlier command of the batch has created a customer, or changed its emails
    or ids. The statements of a deletion read those of the database."""
    stored, row = unit.rows[customers].loaded(customer_id), unit.customer(customer_id)
    if stored is None or row is None or any(stored[name] != row[name] for name in _KEYS):
        return True
    ids, key_of = unit.rows[shop_ids], unit.entities.by_table[shop_ids].key_of
    # The shop ids of customers that the batch restores.
    restored_ids = unit.statements.get(FORGET_DELETIONS, {}).get("restored_shop_ids", ())
    return any(
        each["shop_id"] in restored_ids
        or (loaded := ids.loaded(key_of(each))) is None
        or loaded["customer_id"] != customer_id
        for each in ids.of_customer(customer_id)
        if each["source"] == SHOP
    )


def _trash_row(unit: CustomerUnitOfWork, customer_id: int, command: Command, days: int) -> Row:
    """Return the row of the trash for an existing customer. Raises Rejected."""
    customer = unit.customer(customer_id)
    assert customer is not None
    packed = bodies.pack(bodies.of_customer(unit, customer))
    if packed.size > MAX_BYTES:
        by_event = command.origin.kind == INBOUND
        raise Rejected(TooLargeForTrash(str(customer_id), packed.size, by_event))
    return {
        "account_id": unit.account_id,
        "customer_id": customer_id,
        "deleted_at": command.at,
        "purge_at": command.at + days * _DAY_MS,
        "email": customer["email"],
        "full_name": full_name(customer["first_name"], customer["last_name"]),
        "orders_count": customer["orders_count"],
        "actor_kind": command.origin.kind,
        "actor": command.origin.name,
        "size": packed.size,
        "body": packed.content,
    }


def _keys(unit: CustomerUnitOfWork, customer_id: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of `trash_keys` for an existing customer."""
    customer = unit.customer(customer_id)
    assert customer is not None
    values = [(EMAIL, key) for key in (customer["email_key"], *additional_keys(customer))]
    values += [(SHOP_ID, r["shop_id"]) for r in unit.rows[shop_ids].of_customer(customer_id)]
    values += [(ORDER, r["name"]) for r in unit.rows[orders].of_customer(customer_id)]
    for kind, value in values:
        yield {
            "account_id": unit.account_id,
            "kind": kind,
            "value": value,
            "customer_id": customer_id,
        }
