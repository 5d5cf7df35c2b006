"""What the rest of Regulars sees of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import sqlalchemy as sa

from regulars.store.query import Query
from regulars.store.writer import Command

# How long a statement may take unless the store is told otherwise.
STATEMENT_SECONDS = 10.0


class Reader(Protocol):
    """What queries can be asked of."""

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], long: bool = False
    ) -> Sequence[Any]: ...


class Store(Protocol):
    """A database that holds the tables of `tables.py`. Whatever is asked of it raises Unreachable
    while it cannot be used, and NoRoom when a write finds no room."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def waiting(self) -> int:
        """How many writes wait, or are being made."""

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and how many are free."""

    async def open(self) -> None:
        """Connects. Raises Unreachable."""

    async def close(self) -> None:
        """Answers what waits, then disconnects."""

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], long: bool = False
    ) -> Sequence[Any]:
        """The rows of a query: tuples, or what is as good as one (asyncpg's records). Lists are
        given as Python lists. One that may take milliseconds is `long`: others need not wait for
        it. Raises TooSlow."""

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        """The database as it is at one moment, however long it is read."""

    async def others_work(self) -> bool:
        """Whether others have worked with the database within the last seconds: on SQLite, whoever
        writes; on PostgreSQL, whoever is met there and is not in the background, too. Asked of a
        store for many rows, between its writes."""

    async def require_writable(self) -> None:
        """Raises Unreachable unless writes can be made at present."""

    async def reachable(self) -> list[int] | None:
        """The accounts that can be asked for, while others cannot, because their node is away;
        None if all can."""

    def last_written_sequence(self, account_id: int) -> int | None:
        """The number of the last change of an account that this process has made, if it is
        known."""

    def has_slow_search(self, account_id: int) -> bool:
        """Whether the account has a search under way that slows down the searches of others."""

    async def write(self, account_id: int, command: Command) -> Any:
        """Hands a command to the writer and waits until it is durable.

        Answers the command's result, or raises what it was refused with.
        """

    async def run(
        self, statements: Sequence[tuple[Query, Mapping[str, Any]]]
    ) -> list[Sequence[Any]]:
        """Runs statements in one transaction, outside the writer, and answers the rows that each
        returns. Raises Conflict."""

    async def add(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        """Adds whole rows to a table in one transaction, outside the writer: a copy of another
        database. Raises Conflict."""

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        """Runs statements in one transaction, outside the writer: accounts and tokens.

        Answers the number of rows that the last one changed. Raises Conflict.
        """
