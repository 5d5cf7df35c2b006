"""The rules of restoring and purging customers."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.core.commands import INBOUND
from regulars.core.errors import Rejected, TooMuchWork
from regulars.core.external_ids import SHOP, ExternalId, dump, load
from regulars.customers import history
from regulars.customers.contact_points import additional_keys, email_key
from regulars.customers.search import index_terms, search_document
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import with_values
from regulars.orders.spend import counted_currency, totals_of
from regulars.store import Row
from regulars.store.moving import OVERSIZED, UnbatchableCommands
from regulars.store.tables import (
    additional_emails,
    customers,
    deleted_shop_ids,
    orders,
    shop_ids,
)
from regulars.trash import body as bodies
from regulars.trash.commands import Conflict, PurgeCustomers, RestoreCustomers, RestoreResult
from regulars.trash.problems import NotInTrash, RestoreConflict, TooMuchData
from regulars.trash.queries import DELETE_KEYS, FORGET_DELETIONS
from regulars.trash.table import EMAIL, ORDER, SHOP_ID, trash, trash_keys


def restore(unit: CustomerUnitOfWork, command: RestoreCustomers) -> RestoreResult:
    """Restore customers, and return their `_id`s. A customer that is not deleted stays as it is.
    Raises Rejected, with nothing restored, and UnbatchableCommands."""
    rows: dict[int, Row] = {}
    missing = []
    for reference in command.customers:
        if reference.customer_id is not None and unit.customer(reference.customer_id) is not None:
            continue
        row = unit.rows[trash].get(reference.customer_id)
        deleted_by = 0 if command.event is None else unit.shop_ids.last_event(reference.id_text)
        if row is None or row["purge_at"] <= command.at or deleted_by > (command.event or 0):
            missing.append(reference.id_text)
        elif unit.rows[customers].is_loaded(row["customer_id"]):
            # Deleted in this batch: its rows are still in the database.
            raise UnbatchableCommands
        else:
            rows[row["customer_id"]] = row
    if missing:
        raise Rejected(NotInTrash(missing))
    if OVERSIZED in unit.state.rows:
        raise Rejected(TooMuchData())
    savepoint = unit.savepoint()
    conflicts = [conflict for row in rows.values() for conflict in _restore(unit, row, command)]
    work = unit.work - savepoint.work
    refused = [c for c in conflicts if c.field == EMAIL or not command.skips_conflicts]
    if refused or (work > index_terms.MAX_WORK and len(rows) > 1):
        unit.roll_back(savepoint)
        by_event = command.origin.kind == INBOUND
        raise Rejected(RestoreConflict(refused, by_event) if refused else TooMuchWork())
    ids = [r.customer_id for r in command.customers if r.customer_id is not None]
    return RestoreResult(tuple(ids), tuple(conflicts))


def _restore(unit: CustomerUnitOfWork, trash_row: Row, command: RestoreCustomers) -> list[Conflict]:
    """Restore a customer without the values that others have, and return these. If an email is one
    of them, nothing is restored, unless there is a new one."""
    customer_id = trash_row["customer_id"]
    body = bodies.unpack(bytes(trash_row["body"]))
    key = (unit.account_id, customer_id)
    stored: Row = bodies.customer_row(body, *key)
    emails = {stored["email_key"]: stored["email"], **additional_keys(stored)}
    taken_emails = [
        Conflict(customer_id, EMAIL, email, holder)
        for each, email in emails.items()
        if (holder := unit.holder(each)) is not None
    ]
    all_rows = list(bodies.rows_of(unit.entities, body, *key))
    if taken_emails:
        new = command.new_email
        if not new or unit.holder(email_key(new)) is not None:
            return taken_emails
        of_email = {"email": new, "email_key": email_key(new)}
        stored, _ = with_values({**stored, "emails": None}, of_email, ())
        all_rows = [each for each in all_rows if each[0].table is not additional_emails]
    conflicts, left_out = _find_conflicts(unit, customer_id, [row for _, row in all_rows])
    taken = {
        (row["type"], row["number"], ExternalId(row["source"], row["shop_id"]))
        for entity, row in all_rows
        if entity.table is shop_ids and id(row) in left_out
    }
    rows = [
        (entity, _without(taken, "Order", row["order_id"], row) if entity.table is orders else row)
        for entity, row in all_rows
        if id(row) not in left_out
    ]
    restored_orders = [row for entity, row in rows if entity.table is orders]
    customer = _without(taken, "Customer", customer_id, stored)
    customer = {
        **customer,
        **search_document.derive_columns(customer),
        "version": stored["version"] + 1,
        "updated_at": max(command.updated_at or command.at, stored["updated_at"]),
        **totals_of(restored_orders, counted_currency(unit)),
    }
    unit.put_customer(customer)
    for entity, row in rows:
        unit.rows[entity.table].put(row)
        if index := entity.word_index:
            unit.work += index_terms.size_of(row[index.column])
    for entity, values in bodies.values_of(unit.entities, body):
        # Old records, and those of deleted webhooks, are gone meanwhile.
        before = unit.rows[entity.table].get(entity.key_of(values))
        if before is not None and before["customer_id"] == customer_id:
            unit.rows[entity.table].put({**before, **values})
    restored_ids = [
        row["shop_id"] for entity, row in rows if entity.table is shop_ids and row["source"] == SHOP
    ]
    if restored_ids:
        deletions = unit.rows[deleted_shop_ids]
        key_of = unit.entities.by_table[deleted_shop_ids].key_of
        for row in deletions.all():
            if row["shop_id"] in restored_ids:
                deletions.assume_deleted(key_of(row))
        unit.run(FORGET_DELETIONS, restored_shop_ids=restored_ids)
    _leave_trash(unit, customer_id)
    fields = history.dump(history.difference(stored, customer))
    unit.record(history.RESTORED, customer_id, command, fields)
    return conflicts


def _find_conflicts(
    unit: CustomerUnitOfWork, customer_id: int, rows: Sequence[Row]
) -> tuple[list[Conflict], set[int]]:
    """Return the orders and shop ids among the rows of a customer that another object has now, and
    the `id()`s of the rows to leave out: these, and the shop ids of left out orders."""
    conflicts, left_out, order_ids = [], set(), set()
    for row in rows:
        holder: Row | None = None
        if "shop_id" in row:
            field, value = SHOP_ID, str(ExternalId(row["source"], row["shop_id"]))
            holder = unit.rows[shop_ids].get(unit.entities.by_table[shop_ids].key_of(row))
        elif "order_id" in row:
            field, value = ORDER, row["name"]
            holder = unit.order(value)
        if holder is not None:
            conflicts.append(Conflict(customer_id, field, value, holder["customer_id"]))
            left_out.add(id(row))
            order_ids.add(row.get("order_id"))
    for row in rows:
        if row.get("type") == "Order" and "shop_id" in row and row["number"] in order_ids:
            left_out.add(id(row))
    return conflicts, left_out


def _without(taken: set[tuple[str, int, ExternalId]], type_: str, number: int, row: Row) -> Row:
    """Return the row of an object without the external ids that another object has."""
    external_ids = load(row["external_ids"])
    free_ids = [each for each in external_ids if (type_, number, each) not in taken]
    return row if len(free_ids) == len(external_ids) else {**row, "external_ids": dump(free_ids)}


def purge(unit: CustomerUnitOfWork, command: PurgeCustomers) -> int:
    """Purge customers in the trash, and return how many. Raises Rejected, with nothing purged."""
    rows = [
        (reference, unit.rows[trash].get(reference.customer_id)) for reference in command.customers
    ]
    if command.due:
        purged = [row for _, row in rows if row and row["purge_at"] <= command.at]
    else:
        missing = [r.id_text for r, row in rows if row is None or row["purge_at"] <= command.at]
        if missing:
            raise Rejected(NotInTrash(missing))
        purged = [row for _, row in rows if row]
    customer_ids = list(dict.fromkeys(row["customer_id"] for row in purged))
    for customer_id in customer_ids:
        _leave_trash(unit, customer_id)
        unit.record(history.PURGED, customer_id, command)
    return len(customer_ids)


def _leave_trash(unit: CustomerUnitOfWork, customer_id: int) -> None:
    unit.rows[trash].delete(customer_id)
    keys = unit.rows[trash_keys]
    keys.discard(
        [unit.entities.by_table[trash_keys].key_of(r) for r in keys.of_customer(customer_id)]
    )
    unit.run(DELETE_KEYS, left_trash=[customer_id])
