"""The interface to an account: reads of customers, orders, leads and history, and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from regulars.core.commands import Command
from regulars.core.errors import Rejected
from regulars.core.external_ids import ExternalId
from regulars.core.idempotency_records import RETENTION_MS
from regulars.core.limits import DEFAULTS, Limits
from regulars.core.paging import Cursor, KeysetPage, Page
from regulars.core.relations import rows_of_each
from regulars.customers import history
from regulars.customers.commands import CreateCustomer
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search import phones
from regulars.customers.search.search_document import address_term
from regulars.orders.shop_ids import CUSTOMER
from regulars.store import Row, Store, queries
from regulars.store.query import Query
from regulars.store.relations import Relation, one_cursor
from regulars.store.row_batches import RowBatches


class Directory:
    """Reads and writes the data of accounts. Each call is about one account."""

    def __init__(
        self, store: Store, limits: Limits = DEFAULTS, primary: Store | None = None
    ) -> None:
        self._store = store
        # Where a replica must not be read: what the history does not number.
        self.primary = primary or store
        self._listing = Listing(store)
        self._batches = RowBatches(store, store.min_shared_reads)
        self.limits = limits

    def page(
        self,
        account_id: int,
        selected: CustomerPage,
        columns: tuple[str, ...],
        beyond: frozenset[str] = frozenset(),
    ) -> Awaitable[Page]:
        """Return a page of customers, as `Listing.page` does."""
        return self._listing.page(account_id, selected, columns, beyond, with_change=True)

    def count(
        self, account_id: int, selected: CustomerPage, limit: int | None = None
    ) -> Awaitable[int]:
        """Return the number of customers on all pages that meet the condition, at most one more
        than a limit."""
        return self._listing.count(account_id, selected, limit)

    async def customer_with_email(self, account_id: int, key: str) -> int | None:
        """Return the `_id` of the customer with an email, as `email_key`; None without one."""
        parameters = {"account_id": account_id, "email_key": key}
        rows = await self._store.fetch(queries.customer_with_email(), parameters)
        return rows[0][0] if rows else None

    async def customers_with_phone(self, account_id: int, form: str) -> list[int]:
        """Return the `_id`s of the customers with a phone, in a form of `phones.forms`: the first
        eleven."""
        numbers: set[int] = set()
        for term in phones.lookup_terms([f"phone:{form}"]):
            parameters = {"account_id": account_id, "term": term, "limit": 11}
            rows = await self._store.fetch(queries.customers_with_term(), parameters)
            numbers.update(row[0] for row in rows)
        return sorted(numbers)[:11]

    async def customers_with_address(self, account_id: int, number: int) -> list[int]:
        """Return the `_id`s of the customers with an address that has an `_id` below 0."""
        parameters = {"account_id": account_id, "term": address_term(number), "limit": 2}
        rows = await self._store.fetch(queries.customers_with_term(), parameters)
        return [row[0] for row in rows]

    async def customers(
        self, account_id: int, ids: Sequence[int], columns: tuple[str, ...]
    ) -> list[Any]:
        """Return the columns of the customer for each id, or None."""
        return await self._each(queries.customers_by_id(columns), account_id, ids)

    async def orders(
        self, account_id: int, ids: Sequence[int], columns: tuple[str, ...]
    ) -> list[Any]:
        """Return the columns of the order for each id, or None."""
        return await self._each(queries.orders_by_id(columns), account_id, ids)

    def customer(self, account_id: int, number: int, columns: tuple[str, ...]) -> Awaitable[Any]:
        """Return the columns of a customer and the number of the account's last change, or None."""
        if self._batches.begin_read():
            query = queries.customers_by_id(columns, with_change=True)
            return self._batches.read(query, account_id, number)
        return self._one(queries.one_customer(columns, with_change=True), account_id, number)

    def order(self, account_id: int, number: int, columns: tuple[str, ...]) -> Awaitable[Any]:
        """Return the columns of an order and the number of the account's last change, or None."""
        return self._one(queries.one_order(columns, with_change=True), account_id, number)

    def lead(self, account_id: int, number: int, columns: tuple[str, ...]) -> Awaitable[Any]:
        """Return the columns of a lead and the number of the account's last change, or None."""
        return self._one(queries.one_lead(columns, with_change=True), account_id, number)

    def rows_of_each(
        self,
        relation: Relation,
        account_id: int,
        ids: Sequence[int],
        columns: tuple[str, ...],
        size: int | None = None,
        after: Cursor | None = None,
    ) -> Awaitable[list[list[Any]]]:
        """For each id the columns of the rows that belong to it, newest first: at most `size` past
        a cursor. Without a size all of them, but no more than one beyond `limits.list_rows` are
        read."""
        max_rows = self.limits.list_rows + 1
        return rows_of_each(self._store, relation, account_id, ids, columns, size, after, max_rows)

    async def cursor_of(
        self, relation: Relation, account_id: int, number: int | None
    ) -> Cursor | None:
        """The cursor of a row by its `_id`, or None if there is no such row."""
        if number is None:
            return None
        row = await self._one(one_cursor(relation), account_id, number)
        return None if row is None else tuple(row)

    async def page_of_each(
        self,
        relation: Relation,
        account_id: int,
        ids: Sequence[int],
        page: KeysetPage,
        columns: tuple[str, ...],
    ) -> list[Page]:
        """For each id a page of the rows that belong to it, newest first."""
        rows = await self.rows_of_each(relation, account_id, ids, columns, page.limit, page.after)
        return [page.cut(each, is_behind=page.after is not None) for each in rows]

    async def changes(self, account_id: int, page: KeysetPage, columns: tuple[str, ...]) -> Page:
        """Return a page of the account's history, in its order. Raises Rejected with InvalidCursor
        if the cursor is after the end of the history."""
        (after,) = page.after or (0,)
        parameters = {"account_id": account_id, "after": after, "limit": page.limit}
        rows = await self._store.fetch(queries.changes_after(columns), parameters)
        if not rows and after:
            last_change = await self._store.fetch(queries.last_change(), {"account_id": account_id})
            if last_change and last_change[0][0] < after:
                raise Rejected(history.beyond(last_change[0][0]))
        return page.cut(rows, is_behind=after > 0)

    async def _each(self, query: Query, account_id: int, ids: Sequence[int]) -> list[Any]:
        parameters = {"account_id": account_id, "ids": list(dict.fromkeys(ids))}
        rows = await self._store.fetch(query, parameters)
        rows_by_id = {row[0]: row[1:] for row in rows}
        return [rows_by_id.get(number) for number in ids]

    async def _one(self, query: Query, account_id: int, number: int) -> Any:
        rows = await self._store.fetch(query, {"account_id": account_id, "number": number})
        return rows[0] if rows else None

    async def with_external_ids(
        self, account_id: int, ids: Sequence[ExternalId]
    ) -> Mapping[ExternalId, tuple[str, int]]:
        """Return the type and `_id` of the object with each external id that is used. If a customer
        and an order have the same one, it is that of the customer."""
        parameters = {"account_id": account_id, "shop_ids": [external.id for external in ids]}
        rows = await self._store.fetch(queries.objects_of_shop_ids(), parameters)
        found: dict[ExternalId, tuple[str, int]] = {}
        for source, id_, type_, number in rows:
            external = ExternalId(source, id_)
            if type_ == CUSTOMER or external not in found:
                found[external] = (type_, number)
        return found

    @property
    def store(self) -> Store:
        """The store of all accounts."""
        return self._store

    async def write(self, account_id: int, command: Command) -> Any:
        """Execute a command and return its result. Raises Rejected."""
        return await self._store.write(account_id, command)

    async def request_of(self, account_id: int, token_id: str, key: str, now: int) -> bytes | None:
        """Return the fingerprint of the request that a token sent with an idempotency key in the
        last day; None if no write of it was executed or rejected."""
        query = queries.idempotency_records_of()
        named = {"idempotency_tokens": [token_id], "idempotency_keys": [key]}
        for row in await self._store.fetch(query, {"account_id": account_id, **named}):
            idempotency_record = dict(zip(queries.IDEMPOTENCY_RECORD_COLUMNS, row, strict=True))
            if idempotency_record["created_at"] > now - RETENTION_MS:
                return bytes(idempotency_record["fingerprint"])
        return None

    async def create_many(
        self, account_id: int, commands: Sequence[CreateCustomer]
    ) -> list[Row | Rejected]:
        """Create customers in one batch. Return, for each, its row or the rejection."""
        writes = [self._store.write(account_id, command) for command in commands]
        outcomes: list[Row | Rejected] = []
        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Rejected):
                raise outcome
            outcomes.append(outcome)
        return outcomes
