"""An account as a batch leaves it so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.directory import found_by, history
from regulars.directory.commands import Made, Reference
from regulars.directory.errors import InvalidInput, Refused
from regulars.directory.receipts import Receipts
from regulars.directory.webhooks import Webhooks
from regulars.store import Changes, Row, State, Terms
from regulars.store.queries import DELETED_ID

MAX_ID = 2**30 - 1
# The greatest `_id` that a new customer may bring along, from a file or another server: above it
# are 73 million for those that are created afterwards.
MAX_BROUGHT_ID = 1_000_000_000


class Mark(NamedTuple):
    """A draft as it was at a moment, as far as customers are created and updated in it."""

    counters: Mapping[str, int]
    now: Mapping[int, Row | None]
    by_email: Mapping[str, int]
    shop_ids: Mapping[str, Row]
    new_shop_ids: int
    history: int
    work: int


class Draft:
    """The account as the batch leaves it so far: of the rows that the batch names, and of those
    that it makes."""

    def __init__(self, account_id: int, state: State) -> None:
        self.account_id = account_id
        self.counters = dict(state.counters)
        self._counters_before = dict(state.counters)
        self._before = {row["customer_id"]: row for row in state.customers}
        self._now: dict[int, Row | None] = dict(self._before)
        self._by_email = {row["email_key"]: row["customer_id"] for row in state.customers}
        self._orders_before = {row["order_id"]: row for row in state.orders}
        self._orders: dict[str, Row] = {row["name"]: row for row in state.orders}
        self.leads: list[Row] = []
        self._shop_ids: dict[str, Row] = {}
        self._deleted_ids: dict[str, int] = {}
        for row in state.shop_ids:
            if row["type"] == DELETED_ID:
                before = self._deleted_ids.get(row["shop_id"], 0)
                self._deleted_ids[row["shop_id"]] = max(row["number"], before)
            else:
                self._shop_ids[row["shop_id"]] = row
        self._new_shop_ids: list[Row] = []
        self._changed_shop_ids: dict[str, Row] = {}
        self._new_deleted_ids: list[Row] = []
        self._deleted_at = 0
        self._given = frozenset(state.given_ids)
        self.imports = {row["import_id"]: row for row in state.imports}
        self._changed_imports: dict[str, Row] = {}
        self.webhooks = Webhooks(state.webhooks)
        self.receipts = Receipts(account_id, state.receipts)
        self.history: list[dict[str, Any]] = []
        self._known_terms: dict[tuple[Any, ...], tuple[set[str], set[str]]] = {}
        # How much of the index changes (`found_by.work_of`).
        self.work = 0

    def mark(self) -> Mark:
        """The draft as it is, to come back to."""
        shop_ids, new = dict(self._shop_ids), len(self._new_shop_ids)
        now, emails = dict(self._now), dict(self._by_email)
        return Mark(dict(self.counters), now, emails, shop_ids, new, len(self.history), self.work)

    def restore(self, mark: Mark) -> None:
        """Takes back what was created and updated since a mark."""
        self.counters = dict(mark.counters)
        self._now, self._by_email = dict(mark.now), dict(mark.by_email)
        self._shop_ids = dict(mark.shop_ids)
        del self._new_shop_ids[mark.new_shop_ids :]
        del self.history[mark.history :]
        self.work = mark.work

    def find(self, reference: Reference) -> Row | None:
        """The customer named, as it is now."""
        number = reference.customer_id
        return None if number is None else self._now.get(number)

    def row(self, customer_id: int) -> Row | None:
        """The customer of an `_id`, as it is now."""
        return self._now.get(customer_id)

    def holder(self, email_key: str) -> int | None:
        """The `_id` of the customer who has the email."""
        return self._by_email.get(email_key)

    def put(self, row: Row) -> None:
        """Takes a customer's new row."""
        self.work += found_by.work_of(self._now.get(row["customer_id"]), row)
        self._forget_email(row["customer_id"])
        self._now[row["customer_id"]] = row
        self._by_email[row["email_key"]] = row["customer_id"]

    def drop(self, customer_id: int, at: int) -> None:
        """Deletes a customer and what belongs to it, at a moment."""
        self._deleted_at = max(self._deleted_at, at)
        self.work += found_by.work_of(self._now.get(customer_id), None)
        self._forget_email(customer_id)
        self._now[customer_id] = None
        self.receipts.forget(customer_id)
        gone = [i for i, row in self._shop_ids.items() if row["customer_id"] == customer_id]
        new = {r["shop_id"] for r in self._new_shop_ids}
        for shop_id in gone:
            del self._shop_ids[shop_id]
            self._changed_shop_ids.pop(shop_id, None)
            if shop_id in new:
                self.note_deleted(shop_id, at)
            self._deleted_ids[shop_id] = at
        self._new_shop_ids = [r for r in self._new_shop_ids if r["customer_id"] != customer_id]
        for change in self.history:
            if change["customer_id"] == customer_id:
                change["fields"] = None
        theirs = [n for n, row in self._orders.items() if row["customer_id"] == customer_id]
        for name in theirs:
            del self._orders[name]
        self.leads = [row for row in self.leads if row["customer_id"] != customer_id]

    def known_to_shop(self, shop_id: str | None, type_: str) -> int | None:
        """The `_id` of what the shop calls so, if it is of that type."""
        row = self._shop_ids.get(shop_id or "")
        return row["number"] if row and row["type"] == type_ else None

    def keep_shop_id(self, shop_id: str | None, type_: str, number: int, customer_id: int) -> None:
        """Notes what the shop calls something of a customer. Who was told of first keeps the id."""
        if shop_id and shop_id not in self._shop_ids:
            keys = {"account_id": self.account_id, "shop_id": shop_id}
            row = {**keys, "type": type_, "number": number, "customer_id": customer_id, "event": 0}
            self._shop_ids[shop_id] = row
            self._new_shop_ids.append(row)

    def has_shop_id(self, customer_id: int) -> bool:
        """Whether the shop calls a customer by an id. The batch must name the customer's email and
        an id."""
        rows = self._shop_ids.values()
        return any(row["type"] == "Customer" and row["number"] == customer_id for row in rows)

    def last_event(self, shop_id: str | None) -> int:
        """The number of the last event that told of what the shop calls so; 0 if none had one."""
        row = self._shop_ids.get(shop_id or "")
        return row["event"] if row else 0

    def note_event(self, shop_id: str | None, number: int) -> None:
        """Notes the number of an event that told of what the shop calls so."""
        row = self._shop_ids.get(shop_id or "")
        if row is None or row["event"] == number:
            return
        changed = {**row, "event": number}
        self._shop_ids[row["shop_id"]] = changed
        if row in self._new_shop_ids:
            self._new_shop_ids[self._new_shop_ids.index(row)] = changed
        else:
            self._changed_shop_ids[row["shop_id"]] = changed

    def deleted_at(self, shop_id: str | None) -> int | None:
        """When the customer was deleted whom, or whose order, the shop calls so; None if there is
        one, or was none."""
        return None if shop_id in self._shop_ids else self._deleted_ids.get(shop_id or "")

    def note_deleted(self, shop_id: str, at: int) -> None:
        """Notes an id of the shop whose customer is deleted, so that no event creates it again."""
        if shop_id not in self._deleted_ids:
            keys = {"account_id": self.account_id, "shop_id": shop_id}
            self._new_deleted_ids.append({**keys, "deleted_at": at})
            self._deleted_ids[shop_id] = at

    def order(self, name: str) -> Row | None:
        """The order of that name."""
        return self._orders.get(name)

    def put_order(self, row: Row) -> None:
        """Takes an order's new row."""
        self._orders[row["name"]] = row

    def put_import(self, row: Row) -> None:
        """Takes an import's new row."""
        self.imports[row["import_id"]] = row
        self._changed_imports[row["import_id"]] = row

    def save(self, row: Row, changed: Row, command: Made, at: int | None = None) -> Row:
        """Takes a customer's changed row, and tells the history; one that changes nothing keeps
        its moment. `at` is the moment of the change where it was made elsewhere."""
        if changed == row:
            return row
        saved = _touched(changed, command)
        if at is not None:
            saved["updated_at"] = max(at, row["created_at"])
        fields = history.dump(history.difference(row, saved))
        self.put(saved)
        self.note(history.UPDATED, row["customer_id"], command, fields)
        return saved

    def touch(self, row: Row, command: Made) -> Row:
        """Takes a customer's row as changed by a command."""
        saved = _touched(row, command)
        self.put(saved)
        return saved

    def note(
        self,
        kind: str,
        customer_id: int,
        command: Made,
        fields: str | None = None,
        order_id: int | None = None,
    ) -> None:
        """Adds a change to the history."""
        self.counters["changes"] += 1
        self.history.append(
            {
                "account_id": self.account_id,
                "sequence": self.counters["changes"],
                "customer_id": customer_id,
                "kind": kind,
                "at": command.at,
                "actor_kind": command.origin.kind,
                "actor": command.origin.name,
                "request_id": command.origin.request_id,
                "fields": fields,
                "order_id": order_id,
                "silent": command.origin.silent,
            }
        )

    def next_id(self, kind: str) -> int:
        """The next `_id` of a type: given once and never again, not even after a delete."""
        if self.counters[kind] >= MAX_ID:
            message = f"This account has given all of its {MAX_ID:,} ids for {kind}."
            raise Refused(InvalidInput(message))
        self.counters[kind] += 1
        return self.counters[kind]

    def is_free(self, number: int) -> bool:
        """Whether the account has never given an `_id` to a customer. It must be one that the
        batch names."""
        if number > self.counters["customers"]:
            return 0 < number <= MAX_ID
        return number not in self._now and number not in self._given

    def take_id(self, number: int) -> int:
        """Gives an `_id` that is free to a customer."""
        self.counters["customers"] = max(self.counters["customers"], number)
        return number

    def _forget_email(self, customer_id: int) -> None:
        row = self._now.get(customer_id)
        if row and self._by_email.get(row["email_key"]) == customer_id:
            del self._by_email[row["email_key"]]

    def changes(self) -> Changes:
        """The difference between what was loaded and what is now."""
        before, now = self._before, self._now
        orders, known = self._orders.values(), self._orders_before
        added, removed = self._terms()
        return Changes(
            counters=self.counters if self.counters != self._counters_before else {},
            deleted_customers=[i for i, row in now.items() if row is None and i in before],
            updated_customers=self._updated(),
            inserted_customers=[row for i, row in now.items() if row and i not in before],
            inserted_orders=[row for row in orders if row["order_id"] not in known],
            updated={
                "orders": [row for row in orders if _differs(row, known.get(row["order_id"]))],
                "shop_ids": list(self._changed_shop_ids.values()),
                "imports": list(self._changed_imports.values()),
            },
            updated_webhooks=self.webhooks.updated,
            skipped_webhooks=self.webhooks.skipped,
            skipped_at=self.webhooks.skipped_at,
            inserted_shop_ids=self._new_shop_ids,
            inserted_deleted_shop_ids=self._new_deleted_ids,
            deleted_at=self._deleted_at,
            inserted_webhooks=self.webhooks.inserted,
            deleted_webhooks=self.webhooks.deleted,
            inserted_leads=self.leads,
            added_terms=added,
            removed_terms=removed,
            inserted_receipts=self.receipts.new,
            inserted_changes=self.history,
            receipts_before=self.receipts.before,
        )

    def changed_terms(self, before: Row | None, after: Row | None) -> tuple[set[str], set[str]]:
        """The terms that a row with its derived columns gets and loses. They are computed once for
        a batch."""
        key = tuple(
            tuple([row[name] for name in found_by.TERMS_OF]) if row else ()
            for row in (before, after)
        )
        if key not in self._known_terms:
            self._known_terms[key] = found_by.changed_terms(before, after)
        return self._known_terms[key]

    def _terms(self) -> tuple[Terms, Terms]:
        """The terms by which customers are found now and were not before, and the reverse."""
        added: dict[int, set[str]] = {}
        removed: dict[int, set[str]] = {}
        for customer_id, row in self._now.items():
            old = self._before.get(customer_id)
            if row is old or (row and old and all(row[c] == old[c] for c in found_by.TERMS_OF)):
                continue
            new, gone = self.changed_terms(old, row)
            if new:
                added[customer_id] = new
            if gone:
                removed[customer_id] = gone
        return added, removed

    def _updated(self) -> dict[tuple[str, ...], list[Row]]:
        """The rows that are no longer what they were, by the columns that differ."""
        updated: dict[tuple[str, ...], list[Row]] = {}
        for customer_id, old in self._before.items():
            row = self._now[customer_id]
            if row is not None and row is not old:
                columns = tuple(name for name in row if row[name] != old[name])
                if columns:
                    updated.setdefault(columns, []).append(row)
        return updated


def _touched(row: Row, command: Made) -> dict[str, Any]:
    """A row as changed by a command."""
    updated_at = max(command.at, row["updated_at"])
    return {**row, "updated_at": updated_at, "version": row["version"] + 1}


def _differs(row: Row, before: Row | None) -> bool:
    return before is not None and row is not before and row != before
