"""Importing: the customers of a file are set, batch by batch, and what is rejected comes back.

How far an import has come is saved with each batch, in its transaction; so one that was stopped,
even by force, goes on where it was, and sets no row twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.accounts.accounts import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected, failed, is_too_much
from regulars.customers.bulk import (
    CREATED,
    REJECTED,
    UPDATED,
    SetCustomers,
    SetResult,
    SetRow,
    Step,
)
from regulars.store import Row, Store
from regulars.transfer.background_throttle import BackgroundThrottle
from regulars.transfer.errors import BadFile, Interrupted
from regulars.transfer.import_repository import COUNTS, DONE, ImportRepository
from regulars.transfer.records import Record
from regulars.transfer.rejected_rows import RejectedRows, as_text
from regulars.transfer.sanitizing import WARNED_ROWS, WARNING, warning_message
from regulars.transfer.seen_keys import SeenKeys
from regulars.transfer.source import Source

BATCH = 2_500
# While others work with the database.
_SHORT_BATCH = 200
# Characters of a batch's rows: long rows come in smaller batches.
_BATCH_CHARACTERS = 512 * 1024
_EXAMPLES = 10
_KINDS = 50


@dataclass(slots=True)
class Tally:
    """How far an import has come: rows, bytes of the file, how many came to each outcome, and
    examples of what was rejected by kind, each with its line."""

    rows: int = 0
    read: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, kind: str, line: int, message: str) -> None:
        """Counts a rejected row's problem, and keeps the first of each kind."""
        if kind not in self.problems:
            is_warning = kind.startswith(WARNING)
            others = f"{WARNING}others" if is_warning else "others"
            same = [name for name in self.problems if name.startswith(WARNING) == is_warning]
            kind = kind if len(same) < _KINDS else others
        found = self.problems.setdefault(kind, {"count": 0, "examples": []})
        found["count"] += 1
        if len(found["examples"]) < _EXAMPLES:
            found["examples"].append([line, message])

    def warn(self, row: SetRow, line: int, heading: Callable[[Sequence[str]], str]) -> None:
        """Counts a row that was changed so that it is not rejected."""
        if not row.warnings or row.problems:
            return
        self.note(WARNED_ROWS, line, "")
        for kind, message in _warnings(row, heading):
            self.note(kind, line, message)

    def withdraw_warnings(
        self, row: SetRow, line: int, heading: Callable[[Sequence[str]], str]
    ) -> None:
        """Undoes `warn` for a row that was then rejected."""
        if not row.warnings or row.problems:
            return
        for kind, message in [(WARNED_ROWS, ""), *_warnings(row, heading)]:
            # A kind is never removed: a kind that is not there was counted with the others.
            found = self.problems[kind if kind in self.problems else f"{WARNING}others"]
            found["count"] -= 1
            if [line, message] in found["examples"]:
                found["examples"].remove([line, message])


def _warnings(row: SetRow, heading: Callable[[Sequence[str]], str]) -> list[tuple[str, str]]:
    """The kinds of a row's warnings, each with its message."""
    return [
        (
            f"{WARNING}{change} {heading(field.split('.'))}".strip(),
            warning_message(change, field),
        )
        for change, field in row.warnings
    ]


class Importer:
    """Brings the records of a source into an account. `run` is the import's row in the database;
    without one it is a dry run, which saves nothing."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        source: Source,
        kept: RejectedRows,
        origin: Origin,
        run: Row | None = None,
    ) -> None:
        self._throttle = BackgroundThrottle(store)
        self._runs = ImportRepository(store, account_id)
        self._account_id = account_id
        self._source = source
        self._kept = kept
        self._origin = origin
        self._run = run
        self._seen = SeenKeys() if run is None else None
        self._stop = False
        self.tally = Tally()

    @property
    def dry(self) -> bool:
        """Whether it saves nothing."""
        return self._run is None

    def stop(self) -> None:
        """Asks to stop after the batch that is being written."""
        self._stop = True

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Imports to the end of the file. Raises Interrupted when it was asked to stop, BadFile,
        and Rejected with Stopped when somebody else has ended the import."""
        records = iter(self._source.records)
        if self._run is not None and self._run["position"]:
            await self._go_on(self._run, records)
        progress(self.tally)
        writing: asyncio.Task[None] | None = None
        try:
            for batch in _batches(records, self._most):
                # The next rows are read while the database is busy with these.
                rows = [self._row(record) for record in batch]
                read = self._source.read
                if writing:
                    await writing
                    progress(self.tally)
                if self._stop:
                    raise Interrupted(f"Stopped after {self.tally.rows:,} rows.")
                writing = asyncio.create_task(self._write(batch, rows, read))
                await asyncio.sleep(0)
        finally:
            if writing:
                await writing
                progress(self.tally)
            if self._seen:
                self._seen.close()
        if self._run is not None:
            problems = orjson.dumps(self.tally.problems).decode()
            await self._runs.end(self._run["import_id"], DONE, now_ms(), problems=problems)

    def _row(self, record: Record) -> SetRow:
        """A record as a row to set. An exception rejects this row alone."""
        try:
            return self._source.shape.row(record)
        except Exception as error:
            return SetRow({}, (failed(error, self._origin.request_id, ()),))

    def _most(self) -> int:
        return _SHORT_BATCH if self._throttle.others else BATCH

    async def _go_on(self, run: Row, records: Iterator[Record]) -> None:
        """Passes over what was done, and writes again what the last batch rejected: nobody knows
        whether it came to that."""
        self.tally.counts = {name: run[name] for name in COUNTS}
        self.tally.problems = orjson.loads(run["problems"])
        told = dict(orjson.loads(run["last_rejected"]))
        await self._kept.cut(run["rejected_at"])
        heading = self._source.shape.heading
        again: list[tuple[Record, list[Any]]] = []
        for place in range(run["position"]):
            record = next(records, None)
            if record is None:
                raise BadFile("The file has fewer rows than were imported of it already.")
            if place in told:
                self.tally.withdraw_warnings(self._row(record), record.line, heading)
                again.append((record, told[place]))
        self.tally.rows = run["position"]
        await self._keep(again)

    async def _write(self, batch: Sequence[Record], rows: Sequence[SetRow], read: int) -> None:
        position, to = self.tally.rows, self.tally.rows + len(batch)
        step = None
        heading = self._source.shape.heading
        # Saved with the rows, so that a resumed import counts no warning twice.
        for record, row in zip(batch, rows, strict=True):
            self.tally.warn(row, record.line, heading)
        if self._run is not None:
            problems = orjson.dumps(self.tally.problems).decode()
            place, import_id = self._kept.place, self._run["import_id"]
            step = Step(import_id, position, to, read, place, problems)
        command = SetCustomers(
            tuple(rows), now_ms(), dry_run=step is None, origin=self._origin, step=step
        )
        try:
            result: SetResult = await self._throttle.write(self._account_id, command)
        except Rejected as refused:
            if not is_too_much(refused):
                raise
            for record, row in zip(batch, rows, strict=True):
                self.tally.withdraw_warnings(row, record.line, heading)
            half = len(batch) // 2
            await self._write(batch[:half], rows[:half], read)
            await self._write(batch[half:], rows[half:], read)
            return
        self.tally.rows, self.tally.read = to, read
        rejected: list[tuple[Record, list[Any]]] = []
        for record, row, outcome in zip(batch, rows, result.rows, strict=True):
            became = outcome.outcome
            if self._seen and became != REJECTED and self._seen.before(row) and became == CREATED:
                became = UPDATED  # by a row before it, of another batch
            self.tally.counts[became.lower()] += 1
            if became == REJECTED:
                self.tally.withdraw_warnings(row, record.line, heading)
                rejected.append((record, [problem.to_json() for problem in outcome.problems]))
        await self._keep(rejected)

    async def _keep(self, rejected: Sequence[tuple[Record, Sequence[Mapping[str, Any]]]]) -> None:
        if not rejected:
            return
        shape = self._source.shape
        for record, problems in rejected:
            for problem in problems:
                heading = shape.heading(problem["input_path"])
                kind = f"{problem['key']} {heading}".strip()
                self.tally.note(kind, record.line, problem["message"])
        rows = [(record, shape.told(problems)) for record, problems in rejected]
        await self._kept.add(as_text(self._source, rows, first=not self._kept.place))


def _batches(records: Iterator[Record], most: Callable[[], int]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    characters, size = 0, most()
    for record in records:
        batch.append(record)
        characters += record.size
        if len(batch) >= size or characters > _BATCH_CHARACTERS:
            yield batch
            batch, characters, size = [], 0, most()
    if batch:
        yield batch
