"""The writer: load, decide, save. One mechanism for every change, on both databases.

Writes that wait for the same account are taken together. The store loads the rows that they name,
in one transaction and under the account's lock; `decide` turns commands and rows into new rows or
refusals, without a database, a clock or any I/O; the store saves the difference, and commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from regulars.store.changes import Changes, LookupKeys

# A write that waits is answered with its batch: a larger one makes the first of it wait longer.
MAX_BATCH = 500
_MAX_ACCOUNTS = 100_000


class Command(Protocol):
    """A change that somebody asks for."""

    @property
    def is_large(self) -> bool:
        """Whether it brings so much text that the event loop must not wait for its decision."""
        ...

    def lookup_keys(self) -> LookupKeys:
        """The rows that must be loaded before it can be decided."""
        ...


@dataclass(slots=True)
class Write:
    """A command on its way: who asked is waiting for `answered`."""

    account_id: int
    command: Command
    answered: asyncio.Future[Any]
    outcome: Any = field(default=None)

    def answer(self) -> None:
        """Tells the caller the outcome, in the caller's event loop."""
        if self.answered.done():
            return  # the caller went away; the write is done all the same
        if isinstance(self.outcome, BaseException):
            self.answered.set_exception(self.outcome)
        else:
            self.answered.set_result(self.outcome)


class LastWrittenSequence:
    """The sequence number of the last change that this process has written to each account. Old
    ones are dropped."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def of(self, account_id: int) -> int | None:
        """The number for an account; None if it is not known."""
        return self._numbers.get(account_id)

    def note(self, account_id: int, changes: Changes) -> None:
        """Records that a batch of an account is saved."""
        last = changes.counters.get("changes")
        if last is not None:
            if len(self._numbers) >= _MAX_ACCOUNTS:
                self._numbers.clear()
            self._numbers[account_id] = last


def by_account(writes: Iterable[Write]) -> dict[int, list[Write]]:
    """A batch's writes, account by account, each in the order of arrival."""
    grouped: dict[int, list[Write]] = {}
    for write in writes:
        grouped.setdefault(write.account_id, []).append(write)
    return grouped
