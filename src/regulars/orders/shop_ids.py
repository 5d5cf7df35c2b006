"""The ids that an account's shop uses for customers and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.store import LoadedRows, Row, UnitOfWork, queries
from regulars.store.tables import deleted_shop_ids, shop_ids


class ShopIdMap:
    """The shop ids of a batch, in its unit of work."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def find(self, shop_id: str | None, type_: str) -> int | None:
        """Return the `_id` for a shop id, or None if there is no such object of the type."""
        row = self._row(shop_id)
        return row["number"] if row and row["type"] == type_ else None

    def is_free_for(self, shop_id: str, customer_id: int | None) -> bool:
        """Whether a customer has a shop id, or can get it: no other object has it."""
        row = self._row(shop_id)
        return row is None or (row["type"] == "Customer" and row["number"] == customer_id)

    def has_customer(self, customer_id: int) -> bool:
        """Whether a customer has a shop id. The batch must contain the customer's email and a shop
        id."""
        rows = self._unit.rows[shop_ids].all()
        return any(row["type"] == "Customer" and row["number"] == customer_id for row in rows)

    def add(self, shop_id: str | None, type_: str, number: int, customer_id: int) -> None:
        """Add a shop id for the object `number` of a customer, unless the id is used already."""
        if shop_id and self._row(shop_id) is None:
            keys = {"account_id": self._unit.account_id, "shop_id": shop_id}
            row = {**keys, "type": type_, "number": number, "customer_id": customer_id, "event": 0}
            self._unit.rows[shop_ids].put(row)

    def last_event(self, shop_id: str | None) -> int:
        """Return the number of the last event for a shop id; 0 if there is none."""
        row = self._row(shop_id)
        return row["event"] if row else 0

    def record_event(self, shop_id: str | None, number: int) -> None:
        """Record the number of an event for a shop id."""
        row = self._row(shop_id)
        if row is not None and row["event"] != number:
            self._unit.rows[shop_ids].put({**row, "event": number})

    def deleted_at(self, shop_id: str | None) -> int | None:
        """Return when the customer of a shop id was deleted, in milliseconds since 1970; None if
        the id is in use, or was never used."""
        if not shop_id or self._row(shop_id) is not None:
            return None
        key = self._unit.rows[deleted_shop_ids].find(("shop_id",), shop_id)
        return None if key is None else key[1]

    def record_deleted(self, shop_id: str, at: int) -> None:
        """Record the shop id of a deleted customer, so that no late event creates it again."""
        deleted = self._unit.rows[deleted_shop_ids]
        if deleted.find(("shop_id",), shop_id) is None:
            deleted.put(self._deleted(shop_id, at))

    def delete_customer(self, customer_id: int, at: int) -> None:
        """Record the shop ids of a deleted customer. A statement of the batch records those in the
        database."""
        rows, deleted = self._unit.rows[shop_ids], self._unit.rows[deleted_shop_ids]
        for row in rows.all():
            if row["customer_id"] == customer_id:
                shop_id = row["shop_id"]
                if not rows.is_loaded(shop_id):
                    self.record_deleted(shop_id, at)
                if deleted.find(("shop_id",), shop_id) != (shop_id, at):
                    deleted.assume_stored(self._deleted(shop_id, at))

    def _row(self, shop_id: str | None) -> Row | None:
        return self._unit.rows[shop_ids].get(shop_id) if shop_id else None

    def _deleted(self, shop_id: str, at: int) -> Row:
        return {"account_id": self._unit.account_id, "shop_id": shop_id, "deleted_at": at}


def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    """Split the rows of `queries.named_shop_ids` into ids in use and the newest deletion of each
    deleted id."""
    id_rows = [dict(zip(queries.SHOP_ID_COLUMNS, row, strict=True)) for row in rows]
    used_ids = [row for row in id_rows if row["type"] != queries.DELETED_ID]
    newest: dict[str, Row] = {}
    for row in sorted(id_rows, key=lambda row: row["number"]):
        if row["type"] == queries.DELETED_ID:
            newest[row["shop_id"]] = {
                "account_id": row["account_id"],
                "shop_id": row["shop_id"],
                "deleted_at": row["number"],
            }
    return {shop_ids.name: used_ids, deleted_shop_ids.name: list(newest.values())}
