"""The interface of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import sqlalchemy as sa

from regulars.store.query import Query, Statement
from regulars.store.writer import Command

# The default statement timeout.
STATEMENT_SECONDS = 10.0


class QueryExecutor(Protocol):
    """Runs queries."""

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]: ...


class Store(Protocol):
    """A database with the tables of `tables.py`. Every method raises Unreachable while the database
    cannot be used, and DiskFull if a write needs more space than the disk has."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def min_shared_reads(self) -> int:
        """How many reads of single rows, at least, take less time with one statement for all."""

    @property
    def pending_writes(self) -> int:
        """How many writes wait, or are in progress."""

    @property
    def connection_counts(self) -> tuple[int, int]:
        """How many connections are in use, and how many are idle."""

    async def open(self) -> None:
        """Connect. Raises Unreachable."""

    async def close(self) -> None:
        """Save the pending writes, then disconnect."""

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        """Return the rows of a query: tuples, or records that behave like tuples (asyncpg). An
        array parameter is a Python list. Pass `is_long` for a query that may take milliseconds:
        it does not delay other queries. Raises StatementTimeout."""

    def snapshot(self) -> AbstractAsyncContextManager[QueryExecutor]:
        """One state of the database, for as long as the block runs."""

    async def has_concurrent_activity(self) -> bool:
        """Return whether another program has used the database within the last seconds: on SQLite,
        other writers; on PostgreSQL, other sessions, but for those of bulk stores. A bulk store
        calls it between its writes."""

    async def require_writable(self) -> None:
        """Raise Unreachable unless the database takes writes."""

    async def reachable_accounts(self) -> list[int] | None:
        """Return the accounts that can be used while the nodes of others do not answer; None if
        all can."""

    def last_written_sequence(self, account_id: int) -> int | None:
        """Return the number of the last change that this process has written to an account, if it
        is known."""

    def has_slow_search(self, account_id: int) -> bool:
        """Return whether the account's searches slow down other accounts: a slow one is in
        progress, or small ones keep more than one connection busy."""

    async def write(self, account_id: int, command: Command) -> Any:
        """Hand a command to the writer; return its result when it is durable. Raises the
        exception that refuses it, such as Rejected."""

    async def run(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        """Run statements in one transaction, outside the writer; return the rows of each. Raises
        Conflict."""

    async def insert_rows(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert whole rows in one transaction, outside the writer, as a copy of another database
        does. Raises Conflict."""

    async def execute(self, statements: Sequence[Statement]) -> int:
        """Run statements in one transaction, outside the writer; return how many rows the last one
        changed. Raises Conflict."""
