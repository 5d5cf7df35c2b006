"""Import the customers of a file in batches, and write the rejected rows to a file.

The flow is: file (`input_file`), records (`records`), rows (`row_parser`), commands (`Importer`),
report (`Tally`). Each batch saves the position of the import in its own transaction. An import that
was stopped or killed continues there and sets no row twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected
from regulars.customers.address_book import BOOK
from regulars.customers.bulk import (
    CREATED,
    KEPT_FIELDS,
    REJECTED,
    SURPLUS_TAGS,
    UPDATED,
    SetCustomers,
    SetResult,
    SetRow,
    Step,
)
from regulars.customers.contact_points import KINDS
from regulars.customers.imported_contacts import SURPLUS, TAKEN
from regulars.store import Row, Store
from regulars.transfer.background_throttle import BackgroundThrottle, write_in_halves
from regulars.transfer.columns import EXTERNAL_ID, IMPORTED
from regulars.transfer.columns import WARNING as WARNING_COLUMN
from regulars.transfer.errors import BadFile, Interrupted
from regulars.transfer.import_options import PHONE
from regulars.transfer.import_repository import COUNTS, DONE, ImportRepository
from regulars.transfer.records import Record
from regulars.transfer.rejected_rows import RejectedRows, as_text
from regulars.transfer.row_batches import BATCH, RowBatch, parse_batches, parse_row
from regulars.transfer.row_process import RowProcess, can_parse_apart
from regulars.transfer.sanitizing import KEPT, SKIPPED, WARNED_ROWS, WARNING, warning_message
from regulars.transfer.seen_keys import SeenKeys
from regulars.transfer.source import Source

# The time of a batch while no client uses the database. With 0.1 s, an import into SQLite had a
# fifth fewer rows per second, because it wrote more pages of the log; with 0.3 s it had no more.
_ALONE_SECONDS = 0.2
_MAX_EXAMPLES = 10
_MAX_KINDS = 50
_KEPT_CONTACTS = [f"{kind}.{reason}" for kind in (*KINDS, BOOK) for reason in (TAKEN, SURPLUS)]


@dataclass(slots=True)
class Tally:
    """The report of an import: rows and bytes that were processed, rows by outcome (`counts`), and
    problems and warnings by kind, each with a count and examples: the line of a record, a message,
    and the row in a spreadsheet."""

    rows: int = 0
    bytes_read: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, kind: str, record: Record, message: str) -> None:
        """Count a problem or a warning, and keep the first examples of its kind."""
        if kind not in self.problems:
            is_warning = kind.startswith(WARNING)
            others = f"{WARNING}others" if is_warning else "others"
            same = [name for name in self.problems if name.startswith(WARNING) == is_warning]
            kind = kind if len(same) < _MAX_KINDS else others
        entry = self.problems.setdefault(kind, {"count": 0, "examples": []})
        entry["count"] += 1
        if len(entry["examples"]) < _MAX_EXAMPLES:
            row = record.spreadsheet_row or record.line
            entry["examples"].append([record.line, message, row])

    def warn(self, row: SetRow, record: Record, heading: Callable[[Sequence[str]], str]) -> None:
        """Count the warnings of a row, unless it is rejected."""
        if not row.warnings or row.problems:
            return
        self.note(WARNED_ROWS, record, "")
        for kind, message in _warnings(row, heading):
            self.note(kind, record, message)

    def withdraw_warnings(
        self, row: SetRow, record: Record, heading: Callable[[Sequence[str]], str]
    ) -> None:
        """Undo `warn` for a row that the database rejected."""
        if not row.warnings or row.problems:
            return
        for kind, message in [(WARNED_ROWS, ""), *_warnings(row, heading)]:
            # Kinds are never removed: a missing kind was counted with the others.
            entry = self.problems[kind if kind in self.problems else f"{WARNING}others"]
            entry["count"] -= 1
            for example in entry["examples"]:
                if example[:2] == [record.line, message]:
                    entry["examples"].remove(example)
                    break


def _warnings(row: SetRow, heading: Callable[[Sequence[str]], str]) -> list[tuple[str, str]]:
    """Return the kind and the message of each warning of a row."""
    return [
        (
            f"{WARNING}{kind} {heading(field.split('.'))}".strip(),
            message or warning_message(kind, field),
        )
        for kind, field, message in row.warnings
    ]


class Importer:
    """Imports the records of a source into an account. `run` is the import's row in the database.
    Without one it is a dry run, which saves nothing."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        source: Source,
        rejected_rows: RejectedRows,
        warned_rows: RejectedRows,
        origin: Origin,
        run: Row | None = None,
    ) -> None:
        self._throttle = BackgroundThrottle(store, _ALONE_SECONDS)
        self._runs = ImportRepository(store, account_id)
        self._account_id = account_id
        self._source = source
        self._rejected_rows = rejected_rows
        self._warned_rows = warned_rows
        self._origin = origin
        self._run = run
        self._seen_keys = SeenKeys() if run is None else None
        self._process: RowProcess | None = None
        self._skipped_children = (0, 0)
        # Rows about which the database says a warning. They are written after the next batch.
        self._late_warned: list[tuple[Record, str]] = []
        self._should_stop = False
        self.tally = Tally()

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is saved."""
        return self._run is None

    def stop(self) -> None:
        """Stop the import after the current batch."""
        self._should_stop = True

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Import the rest of the file, and call `progress` after each batch. Raises Interrupted
        after `stop`, BadFile, and Rejected with Stopped if the import was cancelled."""
        records = iter(self._source.records)
        if self._run is not None and self._run["position"]:
            await self._resume(self._run, records)
        progress(self.tally)
        writing: asyncio.Task[None] | None = None
        try:
            async with contextlib.aclosing(self._batches(records)) as batches:
                async for batch in batches:
                    # The next batch is parsed while the database writes this one.
                    if writing:
                        await writing
                    writing = asyncio.create_task(self._write(batch, progress))
                    await asyncio.sleep(0)
        finally:
            if writing:
                await writing
            if self._seen_keys:
                self._seen_keys.close()
        problems = await self.end_report()
        if self._run is not None:
            await self._runs.end(self._run["import_id"], DONE, now_ms(), problems=problems)

    async def end_report(self) -> str:
        """Write the warnings about the last batch, and return the problems as JSON. Call it also
        after BadFile: `go` has imported the rows before the damage."""
        await self._append_warned([])
        self._note_skipped_children()
        return orjson.dumps(self.tally.problems).decode()

    async def _batches(self, records: Iterator[Record]) -> AsyncGenerator[RowBatch, None]:
        """Yield the remaining rows of the file. Raises BadFile and ProcessEnded."""
        batches = parse_batches(self._source, records, self._origin.request_id)
        if not can_parse_apart(self._source.file_bytes):
            for batch in batches:
                yield batch
            return
        self._process = process = RowProcess(batches)
        try:
            async for batch in process.batches():
                yield batch
        finally:
            process.close()

    def _note_skipped_children(self) -> None:
        """Note the lines that were skipped because they are parts of other records."""
        count, line = self._skipped_children
        if count:
            kind = f"{WARNING}{SKIPPED}"
            entry = {"count": count, "examples": [[line, warning_message(SKIPPED, "")]]}
            self.tally.problems[kind] = entry

    async def _resume(self, run: Row, records: Iterator[Record]) -> None:
        """Skip the rows that were imported, and report the last batch again: the import may have
        stopped before it wrote its rejected rows and the warnings of the database."""
        self.tally.counts = {name: run[name] for name in COUNTS}
        self.tally.problems = orjson.loads(run["problems"])
        problems_by_index = dict(orjson.loads(run["last_rejected"]))
        kept_by_index = dict(problems_by_index.pop(KEPT_FIELDS, ()))
        await self._rejected_rows.truncate(run["rejected_at"])
        warned = self.tally.problems.get(WARNED_ROWS, {})
        await self._warned_rows.truncate(warned.get("size", 0))
        heading = self._source.shape.heading
        rejected: list[tuple[Record, list[Any]]] = []
        for index in range(run["position"]):
            record = next(records, None)
            if record is None:
                raise BadFile(
                    "The file has fewer rows than were already imported from it. Start again "
                    "without --resume."
                )
            if index not in problems_by_index and index not in kept_by_index:
                continue
            row = parse_row(self._source, record, self._origin.request_id)
            if index in problems_by_index:
                self.tally.withdraw_warnings(row, record, heading)
                rejected.append((record, problems_by_index[index]))
            if index in kept_by_index:
                self._note_kept(record, row, kept_by_index[index])
        self.tally.rows = run["position"]
        await self._report_rejected(rejected)

    async def _write(self, batch: RowBatch, progress: Callable[[Tally], None]) -> None:
        """Write a batch, in short parts while others use the database. Raises Interrupted."""

        async def write(part: Sequence[int], _is_last: bool) -> None:
            await self._write_part(batch, part)

        indexes = range(len(batch.rows))
        while indexes:
            if self._should_stop:
                raise Interrupted(f"Stopped after {self.tally.rows:,} rows.")
            size = self._throttle.rows(BATCH)
            await write_in_halves(indexes[:size], write)
            indexes = indexes[size:]
            progress(self.tally)
        self._skipped_children = batch.skipped_children

    async def _write_part(self, batch: RowBatch, part: Sequence[int]) -> None:
        """Write the rows of a batch with the indexes `part`. Raises Rejected."""
        rows = [batch.rows[n] for n in part]
        position, to = self.tally.rows, self.tally.rows + len(rows)
        step = None
        heading = self._source.shape.heading
        late_warned, warned_size = list(self._late_warned), self._warned_rows.size
        warned = [(batch.records[n], batch.rows[n]) for n in part if batch.rows[n].warnings]
        # Saved with the rows, so that a resumed import counts and writes no warning twice.
        for record, row in warned:
            self.tally.warn(row, record, heading)
        await self._report_warned(warned)
        if self._run is not None:
            problems = orjson.dumps(self.tally.problems).decode()
            size, import_id = self._rejected_rows.size, self._run["import_id"]
            step = Step(import_id, position, to, batch.bytes_read, size, problems)
        options = self._source.options
        command = SetCustomers(
            tuple(rows),
            now_ms(),
            keeps_consent=options.consent == "keep",
            adds_tags=options.tags == "add",
            surplus_tags_key=f"{IMPORTED}{heading(('tags',))}",
            contact_identifies=True,
            phone_is_first=options.match == PHONE,
            origin=self._origin,
            step=step,
        )
        try:
            result: SetResult = await self._throttle.write(
                self._account_id, command, len(rows), is_dry_run=step is None
            )
        except Rejected:
            for record, row in warned:
                self.tally.withdraw_warnings(row, record, heading)
            await self._discard_warned(warned_size)
            self._late_warned = late_warned
            raise
        self.tally.rows, self.tally.bytes_read = to, batch.bytes_read
        if self._process:
            created = sum(row.outcome == CREATED for row in result.rows)
            self._process.computes_customers = created * 2 > len(rows)
        rejected: list[tuple[Record, list[Any]]] = []
        for n, row, row_result in zip(part, rows, result.rows, strict=True):
            outcome = row_result.outcome
            if self._seen_keys and outcome != REJECTED:
                is_repeated = self._seen_keys.add(row)
                if is_repeated and outcome == CREATED:
                    outcome = UPDATED  # an earlier batch of the dry run created the customer
            self.tally.counts[outcome.lower()] += 1
            if row_result.kept_fields:
                self._note_kept(batch.records[n], row, row_result.kept_fields)
            if outcome == REJECTED:
                record = batch.records[n]
                self.tally.withdraw_warnings(row, record, heading)
                rejected.append((record, [problem.to_json() for problem in row_result.problems]))
        await self._report_rejected(rejected)

    def _note_kept(self, record: Record, row: SetRow, kept_fields: Sequence[str]) -> None:
        """Count the fields in which a customer kept a value. A row of which a value is stored in
        `custom` is written to the file of warnings."""
        late = []
        for name in kept_fields:
            kind = f"{WARNING}{KEPT} {self._source.shape.heading(name.split('.'))}"
            message = warning_message(KEPT, name)
            self.tally.note(kind, record, message)
            if name in (EXTERNAL_ID, SURPLUS_TAGS) or name in _KEPT_CONTACTS:
                late.append(f"{kind[len(WARNING) :]}: {message}")
        if late:
            if not row.warnings:
                self.tally.note(WARNED_ROWS, record, "")
            self._late_warned.append((record, " ".join(late)))

    async def _report_warned(self, batch: Sequence[tuple[Record, SetRow]]) -> None:
        """Write the rows with warnings to their file, and note its size with the warnings."""
        heading = self._source.shape.heading
        rows = [
            (
                record,
                " ".join(f"{kind[len(WARNING) :]}: {m}" for kind, m in _warnings(row, heading)),
            )
            for record, row in batch
            if row.warnings and not row.problems
        ]
        await self._append_warned(rows)

    async def _append_warned(self, rows: Sequence[tuple[Record, str]]) -> None:
        rows = [*self._late_warned, *rows]
        self._late_warned.clear()
        if not rows:
            return
        is_empty = not self._warned_rows.size
        content = as_text(self._source, rows, with_headings=is_empty, column=WARNING_COLUMN)
        await self._warned_rows.append(content)
        self.tally.problems[WARNED_ROWS]["size"] = self._warned_rows.size

    async def _discard_warned(self, size: int) -> None:
        """Remove the rows with warnings that were written after `size`."""
        if self._warned_rows.size != size:
            await self._warned_rows.truncate(size)
            self.tally.problems[WARNED_ROWS]["size"] = size

    async def _report_rejected(
        self, rejected: Sequence[tuple[Record, Sequence[Mapping[str, Any]]]]
    ) -> None:
        """Count the problems of rejected rows, and write the rows to the file of rejected rows."""
        if not rejected:
            return
        shape = self._source.shape
        for record, problems in rejected:
            for problem in problems:
                heading = shape.heading(problem["input_path"])
                kind = f"{problem['key']} {heading}".strip()
                self.tally.note(kind, record, problem["message"])
        rows = [(record, shape.describe(problems)) for record, problems in rejected]
        is_empty = not self._rejected_rows.size
        await self._rejected_rows.append(as_text(self._source, rows, with_headings=is_empty))
