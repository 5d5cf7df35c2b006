"""The writer: load, decide, save. One mechanism for every change, on both databases.

Writes that wait for the same account are one batch. The store loads the rows that their commands
need. `decide` turns commands and rows into new rows or refusals, without a database, a clock or any
I/O. The store saves the difference and commits, if the account has not changed since the load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from regulars.store.changes import Changes, LookupKeys, State
from regulars.store.recently_seen import RecentlySeen

# All writes of a batch are answered together: in a larger batch the first one waits longer.
MAX_BATCH = 500
_MAX_ACCOUNTS = 100_000
# How long an account's state is loaded after a wrong prediction.
_MISPREDICTED_SECONDS = 1.0


class Command(Protocol):
    """A change of an account, before it is decided."""

    @property
    def is_large(self) -> bool:
        """Whether it has so much text that it must not be decided in the event loop."""
        ...

    @property
    def expects_no_rows(self) -> bool:
        """Whether the rows that it looks up usually do not exist, such as a new customer's email.
        The writer may then try to save it without loading."""
        ...

    @property
    def is_step(self) -> bool:
        """Whether it is a step of work that saves its position with each step, reads nothing of
        what it wrote, and continues from the saved position after an error. A step may be answered
        before it is committed."""
        ...

    def lookup_keys(self) -> LookupKeys:
        """Return the keys of the rows that it needs."""
        ...


@dataclass(slots=True)
class Write:
    """A command in the queue of the writer. Its caller awaits `answered`."""

    account_id: int
    command: Command
    answered: asyncio.Future[Any]
    outcome: Any = field(default=None)

    def answer(self) -> None:
        """Set the result of `answered`. Call it in the caller's event loop."""
        if self.answered.done():
            return  # the caller was cancelled; the write is saved nevertheless
        if isinstance(self.outcome, BaseException):
            self.answered.set_exception(self.outcome)
        else:
            self.answered.set_result(self.outcome)


class LastWrittenSequence:
    """The number of the last change that this process has written to each account. All are dropped
    when there are too many."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def of(self, account_id: int) -> int | None:
        """Return the number of an account; None if it is not known."""
        return self._numbers.get(account_id)

    def note(self, account_id: int, changes: Changes) -> None:
        """Record that the changes of a batch are saved."""
        last = changes.counters.get("changes")
        if last is not None:
            if len(self._numbers) >= _MAX_ACCOUNTS:
                self._numbers.clear()
            self._numbers[account_id] = last


class PredictedStates:
    """The states of accounts that the last batches of this process left. Another process may have
    changed an account since, so each use must compare the state with the database. All are dropped
    when there are too many."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}
        self._wrong = RecentlySeen(_MISPREDICTED_SECONDS)

    def take(self, account_id: int) -> State | None:
        """Remove and return the state of an account, without rows; None if it is not known, or if
        a prediction was wrong within the last second."""
        return None if account_id in self._wrong else self._states.pop(account_id, None)

    def note(self, account_id: int, state: State, changes: Changes) -> None:
        """Record that the changes of a batch that loaded `state` are saved."""
        if len(self._states) >= _MAX_ACCOUNTS:
            self._states.clear()
        counters = {**state.counters, **changes.counters}
        self._states[account_id] = State(counters, revision=state.revision + 1)

    def suspend(self, account_id: int) -> None:
        """Record that a prediction was wrong."""
        self._wrong.add(account_id)


def by_account(writes: Iterable[Write]) -> dict[int, list[Write]]:
    """Return writes by account, each in the order of arrival."""
    grouped: dict[int, list[Write]] = {}
    for write in writes:
        grouped.setdefault(write.account_id, []).append(write)
    return grouped
