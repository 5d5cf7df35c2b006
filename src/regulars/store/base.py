"""What the rest of Regulars sees of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from regulars.store.query import Query
from regulars.store.writer import Command


class Store(Protocol):
    """A database that holds the tables of `tables.py`."""

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

    async def write(self, account_id: int, command: Command) -> Any:
        """Hands a command to the writer and waits until it is durable.

        Answers the command's result, or raises what it was refused with.
        """

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        """Runs statements in one transaction, outside the writer: accounts and tokens.

        Answers the number of rows that the last one changed. Raises Conflict.
        """
