"""Verify that a database is consistent: each stored value is what the rules would store.

It reads one snapshot of the whole database while other processes write. Problems identify rows by
id and contain no personal data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from regulars.core import account_settings, external_ids
from regulars.core.packages import all_tables, parts
from regulars.customers import address_book
from regulars.customers.search import index_terms
from regulars.directory.address_checks import AddressCount
from regulars.directory.comment_checks import problems_of_comments
from regulars.directory.credential_checks import problems_of_credentials
from regulars.directory.entities import ENTITIES
from regulars.directory.row_checks import (
    AdditionalEmailCheck,
    HistoryCheck,
    IdentificationCheck,
    add_term,
    check_customer,
    check_delivery,
    check_order,
    checksum,
)
from regulars.directory.segment_checks import SegmentCheck
from regulars.directory.spend_checks import SpendCheck
from regulars.directory.stored_values import wrong_values
from regulars.directory.trash_checks import check_trashed
from regulars.segments.table import memberships
from regulars.store import DatabaseUrl
from regulars.store.imports import RECEIVING, UNFINISHED
from regulars.store.migrate import run_in_snapshot
from regulars.store.schema_version import require_usable
from regulars.store.sqlite.file import connect, find_damage
from regulars.store.tables import (
    accounts,
    additional_emails,
    attempts,
    buckets,
    compatibility,
    counters,
    customers,
    deliveries,
    history,
    import_parts,
    imports,
    inbox,
    inbox_keys,
    leads,
    orders,
    people,
    shop_ids,
    terms,
    tokens,
    webhook_secrets,
    webhooks,
)
from regulars.trash.table import trash, trash_keys

# The tables whose rows belong to an account. `credential_checks` checks tokens and people.
_CREDENTIALS = (accounts, tokens, people)
_OF_ACCOUNTS = [
    table for table in all_tables() if "account_id" in table.c and table not in _CREDENTIALS
]
_CHECKS = {table: check for each in parts("checks", "CHECKS") for table, check in each.items()}
_NOT_SHOWN = ("hash", "term", "key", "shop_id", "value")

MAX_PROBLEMS = 100
_BATCH = 5_000

Row = Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """The number of rows read per table, the first `MAX_PROBLEMS` problems, and their number.
    `information` is no problem. `addresses` are those of each account, if they are counted."""

    read: dict[str, int] = field(default_factory=dict)
    information: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    found: int = 0
    addresses: dict[int, AddressCount] = field(default_factory=dict)

    def add(self, problems: Iterator[str]) -> None:
        for problem in problems:
            self.found += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)


def verify(address: DatabaseUrl, count_addresses: bool = False) -> Report:
    """Verify all rows of a database. Raises StoreError if it cannot be read."""
    require_usable(address)
    report = Report()
    if address.path is not None:
        report.add(find_damage(connect(address.path)))
    run_in_snapshot(
        address, lambda connection: _Verifier(connection, report, count_addresses).run()
    )
    return report


class _Verifier:
    def __init__(self, connection: sa.Connection, report: Report, count_addresses: bool) -> None:
        self._connection = connection
        self._report = report
        self._counts_addresses = count_addresses
        self._read_names: set[str] = set()
        # The external ids in the rows of an account's customers and orders.
        self._identification: dict[int, IdentificationCheck] = {}
        self._settings: dict[int, dict[str, Any]] = {}
        self._accounts: dict[int, Row] = {}
        self._finished = ""
        self._external_ids: set[tuple[str, int, external_ids.ExternalId]] = set()

    def run(self) -> None:
        for row in self._all(accounts):
            self._accounts[row["account_id"]] = row
            self._identification[row["account_id"]] = IdentificationCheck(row["settings"])
            self._settings[row["account_id"]] = account_settings.load(row["settings"])
        account_ids = self._identification.keys()
        finished = self._connection.execute(sa.select(compatibility.c.finished)).scalar()
        self._finished = str(finished or "")
        self._report.add(problems_of_credentials(self._all, account_ids))
        for account_id in sorted(account_ids):
            counter_row = next(iter(list(self._all(counters, account_id))), None)
            if counter_row is None:
                self._report.add(iter([f"account {account_id}: the counters are missing"]))
                continue
            self._report.add(self._account(account_id, counter_row))
            self._report.add(self._others(account_id, counter_row))
            self._report.add(self._remaining(account_id, counter_row))
            self._report.information += self._identification[account_id].describe(account_id)
            if (count := self._report.addresses.get(account_id)) and count.addresses:
                self._report.information.append(count.describe(account_id))
        for table in _OF_ACCOUNTS:
            account_ids_of_rows = sa.select(table.c.account_id).distinct()
            self._report.add(
                f"{table.name}: rows belong to account {row.account_id}, which is missing"
                for row in self._connection.execute(account_ids_of_rows)
                if row.account_id not in account_ids
            )

    def _others(self, account_id: int, counter_row: Row) -> Iterator[str]:
        """Yield the problems of an account's webhooks, imports, inbox and other records."""
        account = f"account {account_id}"
        ids = {
            "Customer": self._ids(customers.c.customer_id, account_id),
            "Order": self._ids(orders.c.order_id, account_id),
            "Lead": self._ids(leads.c.lead_id, account_id),
        }
        webhook_ids = set()
        for row in self._all(webhooks, account_id):
            webhook_ids.add(row["webhook_id"])
            label = f"{account}, webhook {row['webhook_id']}"
            if row["webhook_id"] > counter_row["webhooks"]:
                yield f"{label}: the id was never assigned"
            if row["position"] > counter_row["changes"]:
                yield f"{label}: the position is after the end of the history"
            if row["updated_at"] < row["created_at"]:
                yield f"{label}: it was updated before it was created"
            # An older version that enables a paused webhook does not reset `paused`.
            if row["paused"] and row["disabled_at"] is None:
                yield f"{label}: it is paused but was never disabled"
        for row in self._all(deliveries, account_id):
            label = f"{account}, delivery {row['webhook_id']}-{row['number']}"
            yield from check_delivery(label, row, counter_row["changes"], webhook_ids)
        for row in self._all(attempts, account_id):
            label = f"{account}, attempt {row['webhook_id']}-{row['number']}-{row['attempt']}"
            if row["webhook_id"] not in webhook_ids:
                yield f"{label}: the webhook is missing"
            is_deleted = (
                row["customer_id"] is not None and row["customer_id"] not in ids["Customer"]
            )
            if is_deleted and row["exchange"] is not None:
                yield f"{label}: the customer is deleted, but the requests are still stored"
        for row in self._all(shop_ids, account_id):
            label = f"{account}, shop id of {row['type']} {row['number']}"
            if row["number"] not in ids.get(row["type"], ()):
                yield f"{label}: it is missing"
            if row["customer_id"] not in ids["Customer"]:
                yield f"{label}: the customer {row['customer_id']} is missing"
            id_ = external_ids.ExternalId(row["source"], row["shop_id"])
            external = (row["type"], row["number"], id_)
            if external not in self._external_ids:
                yield f"{label}: the {row['type'].lower()} does not have it"
            self._external_ids.discard(external)
        for type_, number, _ in sorted(self._external_ids):
            yield f"{account}, external id of {type_} {number}: it identifies nothing"
        self._external_ids.clear()
        inbox_ids = {row["inbox_id"] for row in self._all(inbox, account_id)}
        for row in self._all(inbox_keys, account_id):
            if row["inbox_id"] not in inbox_ids:
                yield f"{account}, key of the event {row['inbox_id']}: the event is missing"
        for row in self._all(webhook_secrets, account_id):
            if row["previous"] is not None and row["previous"] == row["secret"]:
                yield f"{account}, webhook secret: it equals the previous one"
        for row in self._all(buckets, account_id):
            if row["level"] < 0:
                yield f"{account}, rate of the token {row['token_id']}: the level is negative"
        yield from self._imports(account, account_id)
        yield from self._trash(account, account_id, ids["Customer"], counter_row["orders"])
        yield from problems_of_comments(self._connection, account_id, self._finished)
        segment_check = SegmentCheck(self._connection, account_id, counter_row["changes"])
        for row in self._all(memberships, account_id):
            segment_check.read(row)
        yield from (f"{account}, {problem}" for problem in segment_check.of_segments())

    def _remaining(self, account_id: int, counter_row: Row) -> Iterator[str]:
        """Yield the problems of the tables that nothing above reads. `_all` checks the values."""
        entities = {entity.name: entity for entity in ENTITIES}
        for table in _OF_ACCOUNTS:
            if table.name in self._read_names:
                continue
            entity = entities.get(table.name)
            check = _CHECKS.get(table.name)
            for row in self._all(table, account_id):
                if entity and entity.counter and entity.key_of(row) > counter_row[entity.counter]:
                    yield (
                        f"account {account_id}, {table.name} {entity.key_of(row)}: the id was "
                        "never assigned"
                    )
                if check is not None:
                    yield from (f"{_name(table, row)}: {problem}" for problem in check(row))
        self._read_names.clear()

    def _imports(self, account: str, account_id: int) -> Iterator[str]:
        import_ids, undone_by, undo_of = set(), {}, {}
        for row in self._all(imports, account_id):
            import_ids.add(row["import_id"])
            undone_by[row["import_id"]], undo_of[row["import_id"]] = (
                row["undone_by"],
                row["undo_of"],
            )
            label = f"{account}, import {row['import_id']}"
            row_count = sum(row[name] for name in ("created", "updated", "unchanged", "rejected"))
            if row_count != row["position"]:
                yield f"{label}: the counts do not match the {row['position']} rows"
            is_over = row["state"] not in (RECEIVING, *UNFINISHED)
            if is_over != (row["ended_at"] is not None):
                yield f"{label}: the state is {row['state']}, which contradicts the end time"
        for job_id, undo_id in undone_by.items():
            # An old job is deleted alone.
            if undo_id in import_ids and undo_of[undo_id] != job_id:
                yield f"{account}, import {job_id}: it is not what {undo_id} undoes"
        next_parts: dict[tuple[str, str], int] = {}
        for row in self._all(import_parts, account_id):
            key = (row["import_id"], row["kind"])
            label = f"{account}, part {row['part']} of the import {row['import_id']}"
            if row["import_id"] not in import_ids:
                yield f"{label}: the import is missing"
            if row["part"] != next_parts.get(key, 0):
                yield f"{label}: the previous one is missing"
            next_parts[key] = row["part"] + 1

    def _trash(
        self, account: str, account_id: int, customer_ids: Collection[int], last_order: int
    ) -> Iterator[str]:
        keys: dict[int, set[tuple[str, str]]] = {}
        for row in self._all(trash_keys, account_id):
            keys.setdefault(row["customer_id"], set()).add((row["kind"], row["value"]))
        for row in self._all(trash, account_id):
            row_keys = keys.pop(row["customer_id"], set())
            yield from check_trashed(account, row, row_keys, customer_ids, last_order)
        for customer_id in sorted(keys):
            yield f"{account}: keys of the trash belong to customer {customer_id}, who is not in it"

    def _ids(self, column: sa.ColumnElement[Any], account_id: int) -> set[int]:
        table = column.table
        return {
            row[0]
            for row in self._connection.execute(
                sa.select(column).where(table.c.account_id == account_id)
            )
        }

    def _account(self, account_id: int, counter_row: Row) -> Iterator[str]:
        """Yield the problems of an account's customers, orders, leads and history."""
        spend = SpendCheck(self._accounts[account_id], self._finished)
        account = f"account {account_id}"
        country = self._settings[account_id][account_settings.DEFAULT_COUNTRY.name]
        if counter_row["default_country"] != account_settings.country_number(country):
            yield f"{account}: the counters have another `default_country` than the settings"
        for row in self._all(orders, account_id):
            yield from check_order(account, row, counter_row["orders"])
            self._add_external_ids("Order", row["order_id"], row)
            spend.read(row)
        owners = spend.owners
        for row in self._all(leads, account_id):
            owners.add(row["customer_id"])
            if row["lead_id"] > counter_row["leads"]:
                yield f"{account}, lead {row['lead_id']}: the id was never assigned"
        change_log = HistoryCheck(account)
        for row in self._all(history, account_id):
            yield from change_log.read(row)
        if change_log.last != counter_row["changes"]:
            end = counter_row["changes"]
            yield f"{account}: the history ends with change {change_log.last}, not {end}"
        emails = AdditionalEmailCheck(account, self._all(additional_emails, account_id))
        stored_terms = self._terms(account_id)
        address_ids: set[int] = set()
        for row in self._all(customers, account_id):
            customer_id = row["customer_id"]
            owners.discard(customer_id)
            label = f"{account}, customer {customer_id}"
            if customer_id > counter_row["customers"]:
                yield f"{label}: the id was never assigned"
            yield from change_log.of_present(customer_id)
            row_problems = list(check_customer(row, counter_row))
            if not row_problems:
                yield from (f"{label}: {problem}" for problem in emails.read(row))
            for number in [] if row_problems else address_book.own_ids(row[address_book.BOOK]):
                if -number > counter_row["addresses"]:
                    yield f"{label}, address {number}: the id was never assigned"
                if number in address_ids:
                    yield f"{label}, address {number}: another address has the id"
                address_ids.add(number)
            self._add_external_ids("Customer", customer_id, row)
            self._identification[account_id].read(row)
            if self._counts_addresses and not row_problems:
                self._report.addresses.setdefault(account_id, AddressCount()).read(row)
            yield from (f"{label}: {problem}" for problem in row_problems)
            yield from spend.of_customer(label, row)
            stored_checksum = stored_terms.pop(customer_id, (0, 0))
            if not row_problems and stored_checksum != checksum(index_terms.terms_of(row)):
                yield f"{label}: the search index does not match the values"
        yield from emails.of_missing()
        for customer_id in sorted(owners):
            yield f"{account}: orders or leads belong to customer {customer_id}, who is missing"
        yield from change_log.of_missing()
        for customer_id in sorted(stored_terms):
            label = f"{account}: the search index"
            yield f"{label} contains customer {customer_id}, who is missing"

    def _add_external_ids(self, type_: str, number: int, row: Row) -> None:
        if row["external_ids"]:
            ids = external_ids.load(row["external_ids"])
            self._external_ids.update((type_, number, external) for external in ids)

    def _terms(self, account_id: int) -> dict[int, tuple[int, int]]:
        """Return the number of terms of each customer and the sum of their hashes. Terms are not
        stored in the order of customers, and a checksum needs less memory."""
        sums: dict[int, tuple[int, int]] = {}
        for row in self._all(terms, account_id):
            total = sums.get(row["customer_id"], (0, 0))
            sums[row["customer_id"]] = add_term(total, row["term"])
        return sums

    def _all(self, table: sa.Table, account_id: int | None = None) -> Iterator[Row]:
        """Yield the rows of a table in the order of its key, of one account or of all, and report
        invalid values. Reads `_BATCH` rows at a time."""
        self._read_names.add(table.name)
        keys = list(table.primary_key.columns)
        statement = table.select().order_by(*keys).limit(_BATCH)
        if account_id is not None:
            statement = statement.where(table.c.account_id == account_id)
        last_key: Sequence[Any] | None = None
        count = 0
        while True:
            page = statement
            if last_key is not None:
                page = statement.where(sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, last_key)))
            rows = self._connection.execute(page).mappings().all()
            for values in rows:
                row = dict(values)
                row_problems = wrong_values(table.name, row)
                self._report.add(f"{_name(table, row)}: {problem}" for problem in row_problems)
                yield row
            count += len(rows)
            if len(rows) < _BATCH:
                break
            last_key = [rows[-1][key.name] for key in keys]
        self._report.read[table.name] = self._report.read.get(table.name, 0) + count


def _name(table: sa.Table, row: Row) -> str:
    """Return the label of a row, without keys that are secrets or personal data."""
    keys = [column for column in table.primary_key.columns if column.name not in _NOT_SHOWN]
    return f"{table.name} {', '.join(f'{key.name} {row[key.name]}' for key in keys)}"
