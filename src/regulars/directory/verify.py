"""Proves a database consistent: everything that is stored is what the rules would store.

It reads one snapshot of the whole database, while others write. What it finds is told by id, never
with what a customer is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from regulars.directory import addresses, found_by
from regulars.directory import history as changes
from regulars.directory.customers import folded_columns
from regulars.directory.emails import clean_email
from regulars.directory.orders import counts, net_payment
from regulars.store import Address
from regulars.store.migrate import in_snapshot, require_usable
from regulars.store.sqlite_file import damage
from regulars.store.tables import (
    accounts,
    counters,
    customers,
    history,
    leads,
    orders,
    receipts,
    terms,
    tokens,
)

MAX_PROBLEMS = 100
_BATCH = 5_000
_MASK = (1 << 64) - 1

Row = Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """What was read, and what is wrong with it: the first `MAX_PROBLEMS`, and how many in all."""

    read: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    found: int = 0

    def add(self, problems: Iterator[str]) -> None:
        for problem in problems:
            self.found += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)


def verify(address: Address) -> Report:
    """Reads everything in a database. Raises StoreError when it cannot be read."""
    require_usable(address)
    report = Report()
    if address.path is not None:
        report.add(damage(address.path))
    in_snapshot(address, lambda connection: _Verifier(connection, report).run())
    return report


class _Verifier:
    def __init__(self, connection: sa.Connection, report: Report) -> None:
        self._connection = connection
        self._report = report

    def run(self) -> None:
        known = {row["account_id"] for row in self._all(accounts)}
        self._report.add(
            f"token {row['token_id']}: its account {row['account_id']} is missing"
            for row in self._all(tokens)
            if row["account_id"] not in known
        )
        for account_id in sorted(known):
            self._report.add(self._account(account_id))
        for table in (customers, orders, leads, receipts, terms, history):
            others = sa.select(table.c.account_id).distinct()
            self._report.add(
                f"{table.name}: rows of the account {row.account_id}, which is missing"
                for row in self._connection.execute(others)
                if row.account_id not in known
            )

    def _account(self, account_id: int) -> Iterator[str]:
        last = {row["account_id"]: row for row in self._all(counters, account_id)}.get(account_id)
        if last is None:
            yield f"account {account_id}: its counters are missing"
            return
        of_orders: dict[int, list[int]] = {}
        here = f"account {account_id}"
        for row in self._all(orders, account_id):
            yield from _order(here, row, last["orders"])
            counted = counts(row)
            spent = of_orders.setdefault(row["customer_id"], [0, 0])
            spent[0] += counted
            spent[1] += row["net_payment"] if counted else 0
        owners = set(of_orders)
        for row in self._all(leads, account_id):
            owners.add(row["customer_id"])
            if row["lead_id"] > last["leads"]:
                yield f"{here}, lead {row['lead_id']}: its id was never given"
            yield from _json(f"{here}, lead {row['lead_id']}", row, ("custom",))
        told = _History(here)
        for row in self._all(history, account_id):
            yield from told.read(row)
        if told.last != last["changes"]:
            yield f"{here}: its history ends with change {told.last}, not {last['changes']}"
        stored_terms = self._terms(account_id)
        for row in self._all(customers, account_id):
            number = row["customer_id"]
            owners.discard(number)
            place = f"{here}, customer {number}"
            if number > last["customers"]:
                yield f"{place}: its id was never given"
            yield from told.of_present(number)
            wrong = list(_customer(row))
            yield from (f"{place}: {what}" for what in wrong)
            count, spent_in_all = of_orders.get(number, (0, 0))
            if (row["orders_count"], row["expenses"]) != (count, spent_in_all):
                yield f"{place}: orders_count or expenses are not those of its orders"
            found = stored_terms.pop(number, (0, 0))
            if not wrong and found != _checksum(found_by.terms_of(row)):
                yield f"{place}: the index of the search is not that of its values"
        for number in sorted(owners):
            yield f"{here}: orders or leads of the customer {number}, who is missing"
        yield from told.of_missing()
        for number in sorted(stored_terms):
            yield f"{here}: the index of the search has the customer {number}, who is missing"
        for row in self._all(receipts, account_id):
            place = f"{here}, receipt of the token {row['token_id']}"
            yield from _json(place, row, ("outcome",))

    def _terms(self, account_id: int) -> dict[int, tuple[int, int]]:
        """How many terms each customer has, and a sum of their hashes: they are stored by term."""
        sums: dict[int, tuple[int, int]] = {}
        for row in self._all(terms, account_id):
            count, total = sums.get(row["customer_id"], (0, 0))
            sums[row["customer_id"]] = (count + 1, (total + hash(row["term"])) & _MASK)
        return sums

    def _all(self, table: sa.Table, account_id: int | None = None) -> Iterator[Row]:
        """The rows of a table, of one account or of all, in the order of its key, some at a
        time."""
        keys = list(table.primary_key.columns)
        statement = table.select().order_by(*keys).limit(_BATCH)
        if account_id is not None:
            statement = statement.where(table.c.account_id == account_id)
        after: Sequence[Any] | None = None
        count = 0
        while True:
            page = statement
            if after is not None:
                page = statement.where(sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after)))
            rows = self._connection.execute(page).mappings().all()
            yield from (dict(row) for row in rows)
            count += len(rows)
            if len(rows) < _BATCH:
                break
            after = [rows[-1][key.name] for key in keys]
        self._report.read[table.name] = self._report.read.get(table.name, 0) + count


class _History:
    """What the history of an account tells of its customers."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._kinds: dict[int, str] = {}
        self._with_values: set[int] = set()
        self.last = 0

    def read(self, row: Row) -> Iterator[str]:
        place = f"{self._account}, change {row['sequence']}"
        if row["sequence"] != self.last + 1:
            yield f"{place}: the one before it is missing"
        self.last = row["sequence"]
        yield from _json(place, row, ("fields",))
        if row["fields"] is not None:
            self._with_values.add(row["customer_id"])
        self._kinds[row["customer_id"]] = row["kind"]

    def of_present(self, number: int) -> Iterator[str]:
        """What is wrong with what is told of a customer who is there."""
        kind = self._kinds.pop(number, None)
        if kind is None or kind == changes.DELETED:
            what = "says that it is deleted" if kind else "does not know it"
            yield f"{self._account}, customer {number}: the history {what}"

    def of_missing(self) -> Iterator[str]:
        """What is wrong with what is told of customers who are not there."""
        for number, kind in self._kinds.items():
            place = f"{self._account}, customer {number}"
            if kind != changes.DELETED:
                yield f"{place}: the history does not say that it is deleted"
            if number in self._with_values:
                yield f"{place}: it is deleted, and the history keeps values of it"


def _checksum(found: set[str]) -> tuple[int, int]:
    return len(found), sum(map(hash, found)) & _MASK


def _order(here: str, row: Row, last: int) -> Iterator[str]:
    place = f"{here}, order {row['order_id']}"
    if row["order_id"] > last:
        yield f"{place}: its id was never given"
    if row["net_payment"] != net_payment(row):
        yield f"{place}: net_payment is not what was paid less refunds"
    yield from _json(place, row, ("tags", "details"))


def _customer(row: Row) -> Iterator[str]:
    """What of a customer's row is not what the rules would store."""
    broken = list(_json("", row, ("tags", "custom", "shipping_address", "billing_address")))
    if broken:
        yield f"{', '.join(what.partition(': ')[2] for what in broken)}"
        return
    shown, key, wrong = clean_email(row["email"])
    if wrong or (shown, key) != (row["email"], row["email_key"]):
        yield "its email is not as it would be kept"
    for name in ("shipping_address", "billing_address"):
        parts = addresses.load(row[name])
        if parts is not None and addresses.dump(parts) != row[name]:
            yield f"{name} is not as it would be kept"
    if row["version"] < 1 or row["updated_at"] < row["created_at"]:
        yield "its version or its moments cannot be"
    expected = {**folded_columns(row), **found_by.derived(row)}
    different = [name for name, value in expected.items() if row[name] != value]
    if different:
        yield f"derived from other values than it has: {', '.join(different)}"


def _json(place: str, row: Row, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if row[name] is not None:
            try:
                orjson.loads(row[name])
            except orjson.JSONDecodeError:
                yield f"{place}: {name} is not JSON"
