"""The ids by which an account's shop knows customers and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.store import LoadedRows, Row, UnitOfWork, queries
from regulars.store.tables import deleted_shop_ids, shop_ids


class ShopIdMap:
    """The shop ids that a batch names, in its unit of work."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def find(self, shop_id: str | None, type_: str) -> int | None:
        """The `_id` of what the shop knows by an id, if it is of that type."""
        row = self._row(shop_id)
        return row["number"] if row and row["type"] == type_ else None

    def has_customer(self, customer_id: int) -> bool:
        """Whether the shop knows a customer by an id. The batch must name the customer's email and
        an id."""
        rows = self._unit.rows[shop_ids].all()
        return any(row["type"] == "Customer" and row["number"] == customer_id for row in rows)

    def add(self, shop_id: str | None, type_: str, number: int, customer_id: int) -> None:
        """Adds an id for what belongs to a customer, unless it is used already."""
        if shop_id and self._row(shop_id) is None:
            keys = {"account_id": self._unit.account_id, "shop_id": shop_id}
            row = {**keys, "type": type_, "number": number, "customer_id": customer_id, "event": 0}
            self._unit.rows[shop_ids].put(row)

    def last_event(self, shop_id: str | None) -> int:
        """The number of the last event about what the shop knows by an id; 0 if there is none."""
        row = self._row(shop_id)
        return row["event"] if row else 0

    def record_event(self, shop_id: str | None, number: int) -> None:
        """Records the number of an event about what the shop knows by an id."""
        row = self._row(shop_id)
        if row is not None and row["event"] != number:
            self._unit.rows[shop_ids].put({**row, "event": number})

    def deleted_at(self, shop_id: str | None) -> int | None:
        """When the customer was deleted whom, or whose order, the shop knew by an id; None if the
        id is in use, or never was."""
        if not shop_id or self._row(shop_id) is not None:
            return None
        key = self._unit.rows[deleted_shop_ids].find(("shop_id",), shop_id)
        return None if key is None else key[1]

    def record_deleted(self, shop_id: str, at: int) -> None:
        """Records an id whose customer is deleted, so that no late event creates it again."""
        deleted = self._unit.rows[deleted_shop_ids]
        if deleted.find(("shop_id",), shop_id) is None:
            deleted.put(self._deleted(shop_id, at))

    def delete_customer(self, customer_id: int, at: int) -> None:
        """Records the ids of a customer who is deleted. A statement of the batch does so for the
        ids in the database."""
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
    """The rows of `queries.named_shop_ids`: ids in use, and the newest deletion of others."""
    found = [dict(zip(queries.SHOP_ID_COLUMNS, row, strict=True)) for row in rows]
    used = [row for row in found if row["type"] != queries.DELETED_ID]
    newest: dict[str, Row] = {}
    for row in sorted(found, key=lambda row: row["number"]):
        if row["type"] == queries.DELETED_ID:
            newest[row["shop_id"]] = {
                "account_id": row["account_id"],
                "shop_id": row["shop_id"],
                "deleted_at": row["number"],
            }
    return {shop_ids.name: used, deleted_shop_ids.name: list(newest.values())}
