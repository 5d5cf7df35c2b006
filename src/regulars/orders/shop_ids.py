"""The external ids of a batch: those of an account's shop, and of other systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from regulars.core.external_ids import MAX_IDS, SHOP, ExternalId, ExternalIds, dump, load
from regulars.store import LoadedRows, Row, UnitOfWork, queries
from regulars.store.tables import deleted_shop_ids, shop_ids
from regulars.store.writes import REMOVE_EXTERNAL_IDS

CUSTOMER, ORDER = "Customer", "Order"


class ShopIdMap:
    """The external ids of a batch, in its unit of work."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def find(self, shop_id: str | None, type_: str, source: str = SHOP) -> int | None:
        """Return the `_id` for an external id, or None if there is no such object of the type."""
        row = self._row(shop_id, type_, source)
        return row["number"] if row else None

    def is_free_for(self, external: ExternalId, customer_id: int | None) -> bool:
        """Whether a customer has an external id, or can get it: no other customer has it."""
        return self.find(external.id, CUSTOMER, external.source) in (None, customer_id)

    def has_customer(self, customer_id: int) -> bool:
        """Whether a customer has a shop id. The batch must contain the customer's email and a shop
        id."""
        return any(
            row["type"] == CUSTOMER and row["number"] == customer_id and row["source"] == SHOP
            for row in self._unit.rows[shop_ids].all()
        )

    def added(self, stored: str | None, shop_id: str | None, type_: str) -> str | None:
        """Return the stored external ids of an object with a shop id added, unless another object
        has the id, or the object has the most that are allowed."""
        if not shop_id or self._row(shop_id, type_, SHOP) is not None:
            return stored
        ids = load(stored)
        return stored if len(ids) >= MAX_IDS else dump([*ids, ExternalId(SHOP, shop_id)])

    def save(self, type_: str, before: Row | None, row: Row) -> None:
        """Save the external ids of a customer or an order whose row is replaced."""
        old = load(before["external_ids"]) if before else ()
        new = load(row["external_ids"])
        number = row["customer_id" if type_ == CUSTOMER else "order_id"]
        self._remove(
            type_, row["customer_id"], [external for external in old if external not in new]
        )
        for source, id_ in new:
            # Without one of the old ids, an older version of the program has stored the row.
            if ExternalId(source, id_) not in old and self._row(id_, type_, source) is None:
                self._unit.rows[shop_ids].put(
                    {
                        "account_id": self._unit.account_id,
                        "shop_id": id_,
                        "source": source,
                        "type": type_,
                        "number": number,
                        "customer_id": row["customer_id"],
                        "event": 0,
                    }
                )

    def last_event(self, shop_id: str | None) -> int:
        """Return the number of the last event for a customer's shop id; 0 if there is none. It may
        have deleted the customer."""
        row = self._row(shop_id, CUSTOMER, SHOP)
        rows = [*self._deletions(shop_id), *([row] if row else [])]
        return max([each["event"] for each in rows], default=0)

    def record_event(self, shop_id: str | None, number: int) -> None:
        """Record the number of an event for a customer's shop id, unless it has a later one."""
        row = self._row(shop_id, CUSTOMER, SHOP)
        if row is not None and row["event"] < number:
            self._unit.rows[shop_ids].put({**row, "event": number})

    def deleted_at(self, shop_id: str | None, type_: str) -> int | None:
        """Return when the customer of a shop id was deleted, in milliseconds since 1970; None if
        the id is in use, or was never used."""
        if not shop_id or self._row(shop_id, type_, SHOP) is not None:
            return None
        key = self._unit.rows[deleted_shop_ids].find(("shop_id",), shop_id)
        return None if key is None else key[1]

    def deleted_by(self, shop_id: str | None) -> int:
        """Return the number of the event that deleted the customer of a shop id last; 0 if none
        did."""
        rows = self._deletions(shop_id)
        return max(rows, key=itemgetter("deleted_at", "event"))["event"] if rows else 0

    def record_deleted(self, shop_id: str, at: int, event: int = 0) -> None:
        """Record the shop id of a deleted customer, so that no late event creates it again. `event`
        is the number of the event that deleted it."""
        deleted = self._unit.rows[deleted_shop_ids]
        if deleted.find(("shop_id",), shop_id) is None or event > self.last_event(shop_id):
            deleted.put(self._deleted(shop_id, at, event))

    def delete_customer(self, customer_id: int, at: int) -> None:
        """Record the shop ids of a deleted customer. A statement of the batch records those in the
        database."""
        rows, deleted = self._unit.rows[shop_ids], self._unit.rows[deleted_shop_ids]
        for row in rows.all():
            if row["customer_id"] == customer_id and row["source"] == SHOP:
                shop_id = row["shop_id"]
                if not rows.is_loaded((shop_id, SHOP, row["type"])):
                    self.record_deleted(shop_id, at)
                if not deleted.is_known((shop_id, at, 0)):
                    deleted.assume_stored(self._deleted(shop_id, at))

    def _remove(self, type_: str, customer_id: int, ids: Sequence[ExternalId]) -> None:
        for source, id_ in ids:
            self._unit.rows[shop_ids].assume_deleted((id_, source, type_))
        if ids:
            self._unit.run(
                REMOVE_EXTERNAL_IDS,
                losing_customers=[customer_id],
                lost_external_ids=list(map(str, ids)),
            )

    def _row(self, id_: str | None, type_: str, source: str) -> Row | None:
        return self._unit.rows[shop_ids].get((id_, source, type_)) if id_ else None

    def _deletions(self, shop_id: str | None) -> list[Row]:
        deletions = self._unit.rows[deleted_shop_ids].all()
        return [each for each in deletions if each["shop_id"] == shop_id]

    def _deleted(self, shop_id: str, at: int, event: int = 0) -> Row:
        return {
            "account_id": self._unit.account_id,
            "shop_id": shop_id,
            "deleted_at": at,
            "event": event,
        }


def merged(stored: str | None, added: Iterable[ExternalId]) -> ExternalIds:
    """Return the stored external ids with others added."""
    return tuple(dict.fromkeys([*load(stored), *added]))


def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    """Split the rows of `queries.named_shop_ids` into ids in use and the deletions of deleted ids,
    the newest last."""
    id_rows = [dict(zip(queries.SHOP_ID_COLUMNS, row, strict=True)) for row in rows]
    used_ids = [row for row in id_rows if row["type"] != queries.DELETED_ID]
    deletions = [
        {
            "account_id": row["account_id"],
            "shop_id": row["shop_id"],
            "deleted_at": row["number"],
            "event": row["event"],
        }
        for row in sorted(id_rows, key=itemgetter("number"))
        if row["type"] == queries.DELETED_ID
    ]
    return {shop_ids.name: used_ids, deleted_shop_ids.name: deletions}
