"""Proves a database consistent: everything that is stored is what the rules would store.

It reads one snapshot of the whole database, while others write. What it finds is told by id, never
with what a customer is called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.customers import addresses
from regulars.customers import history as changes
from regulars.customers.emails import clean_email
from regulars.customers.field_rules import folded_columns
from regulars.customers.fields import FIELDS
from regulars.customers.search import search_document
from regulars.directory.stored_values import wrong_values
from regulars.orders.values import is_counted, net_payment
from regulars.store import DatabaseUrl
from regulars.store.imports import RECEIVING, UNFINISHED
from regulars.store.migrate import run_in_snapshot
from regulars.store.schema_version import require_usable
from regulars.store.sqlite.file import connect, find_damage
from regulars.store.tables import (
    accounts,
    attempts,
    buckets,
    compatibility,
    counters,
    customers,
    deleted_shop_ids,
    deliveries,
    history,
    idempotency_records,
    import_parts,
    imports,
    inbox,
    inbox_keys,
    leads,
    metadata,
    orders,
    sessions,
    shop_ids,
    terms,
    tokens,
    webhook_secrets,
    webhooks,
)
from regulars.webhooks.values import PENDING

# Every table whose rows are of an account; a token's account is looked at with the token.
_OF_ACCOUNTS = [
    table
    for table in metadata.sorted_tables
    if "account_id" in table.c and table not in (accounts, tokens)
]
_NOT_SHOWN = ("hash", "term", "key", "shop_id")

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


def verify(address: DatabaseUrl) -> Report:
    """Reads everything in a database. Raises StoreError when it cannot be read."""
    require_usable(address)
    report = Report()
    if address.path is not None:
        report.add(find_damage(connect(address.path)))
    run_in_snapshot(address, lambda connection: _Verifier(connection, report).run())
    return report


class _Verifier:
    def __init__(self, connection: sa.Connection, report: Report) -> None:
        self._connection = connection
        self._report = report

    def run(self) -> None:
        known = {row["account_id"] for row in self._all(accounts)}
        self._report.add(self._entrance(known))
        for account_id in sorted(known):
            last = next(iter(list(self._all(counters, account_id))), None)
            if last is None:
                self._report.add(iter([f"account {account_id}: its counters are missing"]))
                continue
            self._report.add(self._account(account_id, last))
            self._report.add(self._others(account_id, last))
        for table in _OF_ACCOUNTS:
            others = sa.select(table.c.account_id).distinct()
            self._report.add(
                f"{table.name}: rows of the account {row.account_id}, which is missing"
                for row in self._connection.execute(others)
                if row.account_id not in known
            )

    def _entrance(self, known: Collection[int]) -> Iterator[str]:
        """What is wrong with tokens, sessions and the only row of `compatibility`."""
        tokens_known = set()
        for row in self._all(tokens):
            tokens_known.add(row["token_id"])
            if row["account_id"] not in known:
                yield f"token {row['token_id']}: its account {row['account_id']} is missing"
        for row in self._all(sessions):
            if row["token_id"] not in tokens_known:
                yield f"session: its token {row['token_id']} is missing"
            if row["expires_at"] < row["created_at"]:
                yield f"session of the token {row['token_id']}: it ends before it begins"
        count = sum(1 for _ in self._all(compatibility))
        if count != 1:
            yield f"compatibility: it has {count} rows, not 1"

    def _others(self, account_id: int, last: Row) -> Iterator[str]:
        """What is wrong with an account's webhooks, imports, inbox and other records."""
        here = f"account {account_id}"
        ids = {
            "Customer": self._ids(customers.c.customer_id, account_id),
            "Order": self._ids(orders.c.order_id, account_id),
            "Lead": self._ids(leads.c.lead_id, account_id),
        }
        hooks = set()
        for row in self._all(webhooks, account_id):
            hooks.add(row["webhook_id"])
            place = f"{here}, webhook {row['webhook_id']}"
            if row["webhook_id"] > last["webhooks"]:
                yield f"{place}: its id was never given"
            if row["position"] > last["changes"]:
                yield f"{place}: its position is after the end of the history"
            if row["updated_at"] < row["created_at"]:
                yield f"{place}: it was updated before it was created"
            # An older program that enables a paused webhook leaves the mark.
            if row["paused"] and row["disabled_at"] is None:
                yield f"{place}: it is paused and was never disabled"
        for row in self._all(deliveries, account_id):
            place = f"{here}, delivery {row['webhook_id']}-{row['number']}"
            yield from _delivery(place, row, last["changes"], hooks)
        for row in self._all(attempts, account_id):
            place = f"{here}, attempt {row['webhook_id']}-{row['number']}-{row['attempt']}"
            if row["webhook_id"] not in hooks:
                yield f"{place}: its webhook is missing"
            gone = row["customer_id"] is not None and row["customer_id"] not in ids["Customer"]
            if gone and row["exchange"] is not None:
                yield f"{place}: its customer is deleted, and it keeps what was sent"
        for row in self._all(shop_ids, account_id):
            place = f"{here}, id of a shop for {row['type']} {row['number']}"
            if row["number"] not in ids.get(row["type"], ()):
                yield f"{place}: it is missing"
            if row["customer_id"] not in ids["Customer"]:
                yield f"{place}: its customer {row['customer_id']} is missing"
        kept = {row["inbox_id"] for row in self._all(inbox, account_id)}
        for row in self._all(inbox_keys, account_id):
            if row["inbox_id"] not in kept:
                yield f"{here}, key of the event {row['inbox_id']}: the event is missing"
        for _ in self._all(deleted_shop_ids, account_id):
            pass  # each value is looked at
        for row in self._all(webhook_secrets, account_id):
            if row["previous"] is not None and row["previous"] == row["secret"]:
                yield f"{here}, secret of the webhooks: it equals the one before it"
        for row in self._all(buckets, account_id):
            if row["level"] < 0:
                yield f"{here}, rate of the token {row['token_id']}: its level is negative"
        yield from self._imports(here, account_id)

    def _imports(self, here: str, account_id: int) -> Iterator[str]:
        known = set()
        for row in self._all(imports, account_id):
            known.add(row["import_id"])
            place = f"{here}, import {row['import_id']}"
            counted = sum(row[name] for name in ("created", "updated", "unchanged", "rejected"))
            if counted != row["position"]:
                yield f"{place}: its counts are not those of its {row['position']} rows"
            is_over = row["state"] not in (RECEIVING, *UNFINISHED)
            if is_over != (row["ended_at"] is not None):
                yield f"{place}: its state is {row['state']}, which does not go with its end"
        parts: dict[tuple[str, str], int] = {}
        for row in self._all(import_parts, account_id):
            key = (row["import_id"], row["kind"])
            place = f"{here}, part {row['part']} of the import {row['import_id']}"
            if row["import_id"] not in known:
                yield f"{place}: the import is missing"
            if row["part"] != parts.get(key, 0):
                yield f"{place}: the one before it is missing"
            parts[key] = row["part"] + 1

    def _ids(self, column: sa.ColumnElement[Any], account_id: int) -> set[int]:
        table = column.table
        return {
            row[0]
            for row in self._connection.execute(
                sa.select(column).where(table.c.account_id == account_id)
            )
        }

    def _account(self, account_id: int, last: Row) -> Iterator[str]:
        """What is wrong with an account's customers, orders, leads and history."""
        of_orders: dict[int, list[int]] = {}
        here = f"account {account_id}"
        for row in self._all(orders, account_id):
            yield from _order(here, row, last["orders"])
            counted = is_counted(row)
            spent = of_orders.setdefault(row["customer_id"], [0, 0])
            spent[0] += counted
            spent[1] += row["net_payment"] if counted else 0
        owners = set(of_orders)
        for row in self._all(leads, account_id):
            owners.add(row["customer_id"])
            if row["lead_id"] > last["leads"]:
                yield f"{here}, lead {row['lead_id']}: its id was never given"
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
            if not wrong and found != _checksum(search_document.terms_of(row)):
                yield f"{place}: the index of the search is not that of its values"
        for number in sorted(owners):
            yield f"{here}: orders or leads of the customer {number}, who is missing"
        yield from told.of_missing()
        for number in sorted(stored_terms):
            yield f"{here}: the index of the search has the customer {number}, who is missing"
        for _ in self._all(idempotency_records, account_id):
            pass  # each value is looked at

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
            for values in rows:
                row = dict(values)
                wrong = wrong_values(table.name, row)
                self._report.add(f"{_name(table, row)}: {what}" for what in wrong)
                yield row
            count += len(rows)
            if len(rows) < _BATCH:
                break
            after = [rows[-1][key.name] for key in keys]
        self._report.read[table.name] = self._report.read.get(table.name, 0) + count


def _name(table: sa.Table, row: Row) -> str:
    """How a row is called in the report. Keys that are secrets or somebody's words are left out."""
    keys = [column for column in table.primary_key.columns if column.name not in _NOT_SHOWN]
    return f"{table.name} {', '.join(f'{key.name} {row[key.name]}' for key in keys)}"


def _delivery(place: str, row: Row, last: int, hooks: Collection[int]) -> Iterator[str]:
    if row["webhook_id"] not in hooks:
        yield f"{place}: its webhook is missing"
    if row["number"] > last or row["number"] == 0:
        yield f"{place}: the history has no such change"
    is_pending = row["state"] == PENDING
    if is_pending != (row["due_at"] is not None) or is_pending != (row["ended_at"] is None):
        yield f"{place}: its state is {row['state']}, which does not go with its times"
    if row["tries"] > row["attempts"]:
        yield f"{place}: it has fewer attempts than tries"


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


def _customer(row: Row) -> Iterator[str]:
    """What of a customer's row is not what the rules would store."""
    if any(wrong_values("customers", row)):
        yield "a value is not one that is stored"
        return
    shown, key, wrong = clean_email(row["email"])
    if wrong or (shown, key) != (row["email"], row["email_key"]):
        yield "its email is not as it would be kept"
    for name in names_of(FIELDS, fields.Address):
        parts = addresses.load(row[name])
        if parts is not None and addresses.dump(parts) != row[name]:
            yield f"{name} is not as it would be kept"
    if row["version"] < 1 or row["updated_at"] < row["created_at"]:
        yield "its version or its moments cannot be"
    expected = {**folded_columns(row), **search_document.derived(row)}
    different = [name for name, value in expected.items() if row[name] != value]
    if different:
        yield f"derived from other values than it has: {', '.join(different)}"
