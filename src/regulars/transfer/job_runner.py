"""Runs bulk edits and undos, in the process that claims them.

Each batch is one transaction with the progress of the job, so that a killed job continues without
doing a customer twice. A dry run decides the same batches and saves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected, is_too_much
from regulars.core.paging import KeysetPage
from regulars.customers import history
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order
from regulars.jobs import queries
from regulars.jobs.commands import (
    ADDED,
    CHANGED,
    REMOVED,
    BatchResult,
    CustomerUndo,
    EditCustomers,
    UndoChanges,
)
from regulars.jobs.edits import parse_edit
from regulars.jobs.problems import FoundMore, exceeds
from regulars.jobs.rules import UNDONE, pack_ids, unpack_ids
from regulars.jobs.starting import segments_of
from regulars.jobs.values import IDS_OF_PART, KEPT, REJECTED, details_of, merge_problems
from regulars.segments.searching import parse_search
from regulars.store import Row, Store
from regulars.store.imports import IDS, UNDO, set_total
from regulars.store.queries import ORDER_VALUE, customers_by_id
from regulars.transfer.background_throttle import BackgroundThrottle
from regulars.transfer.errors import Interrupted, TransferError
from regulars.transfer.import_repository import COUNTS
from regulars.transfer.uploads import Parts

# Customers of a batch at most. Less than rows of an import: a batch of an undo reads the history of
# its customers.
_BATCH = 1_000
_PAGE = 1_000
# Entries of other writers that are passed by one statement, and entries that are read at once.
_WINDOW, _ENTRIES = 50_000, 5_000
# Customers whose undo is remembered, so that their older entries are passed without reading.
_MAX_HANDLED = 100_000


class JobFailed(TransferError):
    """A job cannot go on. The message is for the person who started it."""


@dataclass(slots=True)
class JobTally:
    """The progress of a job, in the form of an import's."""

    rows: int = 0
    bytes_read: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: Mapping[str, Any] = field(default_factory=dict)

    def add(self, result: BatchResult) -> None:
        """Count a batch."""
        self.rows += result.processed
        self.counts["updated"] += result.changed
        self.counts["unchanged"] += result.unchanged
        self.counts["rejected"] += result.rejected
        self.problems = merge_problems(self.problems, result.problems)


class JobRunner:
    """Runs a claimed bulk edit or undo, from its saved position on."""

    def __init__(self, store: Store, account_id: int, row: Row, claimed_by: str) -> None:
        self._store = store
        self._account_id = account_id
        self._row = row
        self._job_id = row["import_id"]
        self._claimed_by = claimed_by
        self._details = details_of(row)
        self._throttle = BackgroundThrottle(store)
        self._should_stop = False
        self._origin = Origin(
            self._details.get("actor_kind", "token"),
            row["actor"],
            self._details["request_id"],
            self._details["silent"],
            self._job_id,
        )
        self.is_dry_run = bool(self._details["dry_run"])
        # The lines of a dry run. Those of others are saved with each batch.
        kind = KEPT if row["kind"] == UNDO else REJECTED
        self._listed = Parts(store, account_id, self._job_id, kind)
        self.tally = JobTally()
        if not self.is_dry_run:
            self.tally.rows = row["position"]

    def stop(self) -> None:
        """Stop after the current batch."""
        self._should_stop = True

    async def end_report(self) -> str | None:
        """Return the problems of a dry run as JSON. Those of others are saved with each batch."""
        return orjson.dumps(self.tally.problems).decode() if self.is_dry_run else None

    async def go(self) -> None:
        """Run to the end. Raises Interrupted after `stop`, JobFailed, and Rejected with Stopped if
        the job was cancelled."""
        if self.is_dry_run:
            await self._listed.truncate(0)
        if self._row["kind"] == UNDO:
            await self._undo()
        else:
            await self._edit()

    def _check(self) -> None:
        if self._should_stop:
            raise Interrupted(f"Stopped after {self.tally.rows:,} customers.")

    async def _write(self, command: EditCustomers | UndoChanges) -> BatchResult:
        rows = len(command.customers if isinstance(command, UndoChanges) else command.ids)
        result: BatchResult = await self._throttle.write(
            self._account_id, command, rows, self.is_dry_run
        )
        self.tally.add(result)
        if self.is_dry_run and result.lines:
            await self._listed.append(result.lines)
        return result

    @property
    def _size(self) -> int:
        return self._throttle.rows(_BATCH)

    # Bulk edits

    async def _edit(self) -> None:
        edit, problems = parse_edit(self._details["edit"])
        if problems:  # another version of the program has accepted it
            raise JobFailed(problems[0].message)
        total = self._row["size"]
        if total is None:
            total = await self._collect_ids()
        parts = Parts(self._store, self._account_id, self._job_id, IDS)
        number = 0
        async for content in parts.all():
            start, number = number * IDS_OF_PART, number + 1
            ids = unpack_ids(content)[max(0, self.tally.rows - start) :]
            while ids:
                self._check()
                batch = tuple(ids[: self._size])
                command = EditCustomers(
                    self._job_id,
                    self.tally.rows,
                    batch,
                    edit,
                    now_ms(),
                    self._origin,
                    self.is_dry_run,
                    is_last=self.tally.rows + len(batch) == total,
                )
                result = await self._write(command)
                ids = ids[result.processed :]

    async def _collect_ids(self) -> int:
        """Store the ids of the customers that the query finds, and return how many. They are those
        of one snapshot. Raises JobFailed if there are more than expected."""
        parts = Parts(self._store, self._account_id, self._job_id, IDS)
        await parts.truncate(0)
        count = 0
        async for ids in self._found_ids():
            await parts.append(pack_ids(ids))
            count += len(ids)
            self._check()
        expected = self._details.get("expected")
        if expected is not None and exceeds(count, expected):
            raise JobFailed(FoundMore(count, expected).message)
        params = {"account_id": self._account_id, "import_id": self._job_id, "now": now_ms()}
        claim = {"claimed_by": self._claimed_by, "size": count}
        if not await self._store.execute([(set_total(), {**params, **claim})]):
            raise Interrupted("The job was cancelled.")
        return count

    async def _found_ids(self) -> AsyncIterator[list[int]]:
        """Yield the ids of the customers that the query finds, in parts."""
        details, ids = self._details, list[int]()
        async with self._store.snapshot() as snapshot:
            query, segment = details.get("query") or "", details.get("segment")
            try:
                search = await parse_search(
                    snapshot, self._account_id, query, len(query), segment=segment
                )
                selected = CustomerPage(
                    Order("id", ascending=True), KeysetPage(_PAGE), search.condition, now_ms()
                )
                columns = (ORDER_VALUE, "customer_id")
                async for rows in Listing(snapshot).pages(self._account_id, selected, columns):
                    ids += [row[1] for row in rows]
                    if len(ids) >= IDS_OF_PART:
                        yield ids[:IDS_OF_PART]
                        ids = ids[IDS_OF_PART:]
            except Rejected as rejection:  # a segment was deleted, or the search takes too long
                raise JobFailed(rejection.problems[0].message) from rejection
        if ids:
            yield ids

    # Undo

    async def _undo(self) -> None:
        row, details = self._row, self._details
        first, last = details["first_change"], details["last_change"]
        stored = None if self.is_dry_run or row["cursor"] is None else int(row["cursor"])
        before = last + 1 if stored is None else stored
        handled: set[int] = set()
        size = self._size
        while before > first:
            self._check()
            entries = await self._entries(max(first, before - _WINDOW), before, size)
            ids = list(dict.fromkeys(row[1] for row in entries if row[1] not in handled))
            end = entries[-1][0] if len(entries) == size else max(first, before - _WINDOW)
            customers = await self._customers(ids, entries, before, end) if ids else ()
            if not customers:
                before = end
                continue
            command = UndoChanges(
                self._job_id,
                self.tally.rows,
                tuple(customers),
                now_ms(),
                self._origin,
                self.is_dry_run,
            )
            try:
                result = await self._write(command)
            except Rejected as rejection:
                if not is_too_much(rejection) or size == 1:
                    raise
                size = max(1, size // 2)
                continue
            if len(handled) > _MAX_HANDLED:
                handled.clear()
            handled.update(each.customer_id for each in customers[: result.processed])
            before, size = result.before, self._size
        segments = await segments_of(self._store, self._account_id, row["undo_of"])
        if segments and before != UNDONE:
            state = (self._job_id, self.tally.rows, (), now_ms(), self._origin, self.is_dry_run)
            await self._write(UndoChanges(*state, segments))

    async def _entries(self, first: int, before: int, limit: int) -> Sequence[Any]:
        params = {
            "account_id": self._account_id,
            "cause": self._row["undo_of"],
            "first": first,
            "before": before,
            "limit": limit,
        }
        return await self._store.fetch(queries.entries_of_cause(), params, is_long=True)

    async def _customers(
        self, ids: Sequence[int], entries: Sequence[Any], before: int, end: int
    ) -> list[CustomerUndo]:
        """Return what the job did to customers, those with the newest entry first. Customers with
        an entry from `before` on were undone with it."""
        account = {"account_id": self._account_id}
        cause = {"cause": self._row["undo_of"]}
        first = self._details["first_change"]
        # Before the history: a later change has another version.
        found = await self._store.fetch(customers_by_id(("version",)), {**account, "ids": ids})
        versions = {row[0]: row[1] for row in found}
        done = await self._effects(ids, first)
        others = dict(
            await self._store.fetch(
                queries.last_other_entries(),
                {**account, **cause, "ids": list(ids), "after": first},
                is_long=True,
            )
        )
        # Entries from before the job's own are no later change.
        later = {i: n for i, n in others.items() if i in done and n > done[i].first}
        rows = await self._store.fetch(
            queries.actors_of(), {**account, "sequences": list(later.values())}
        )
        actors = dict(rows)
        newest: dict[int, int] = {}
        for sequence, customer_id in entries:
            newest.setdefault(customer_id, sequence)
        wanted = [i for i in ids if i in done and done[i].last < before]
        following = [newest[i] + 1 for i in wanted[1:]] + [end]
        return [
            CustomerUndo(
                i,
                done[i].kind,
                done[i].pairs,
                versions.get(i),
                actors.get(later[i], "") if i in later else None,
                next_before,
            )
            for i, next_before in zip(wanted, following, strict=True)
        ]

    async def _effects(self, ids: Sequence[int], first: int) -> dict[int, _Effect]:
        """Return the effect of the job on each of some customers, of all of its entries."""
        effects: dict[int, _Effect] = {}
        after = first - 1
        while True:
            rows = await self._store.fetch(
                queries.entries_of_customers(),
                {
                    "account_id": self._account_id,
                    "cause": self._row["undo_of"],
                    "ids": list(ids),
                    "after": after,
                    "last": self._details["last_change"],
                    "limit": _ENTRIES,
                },
                is_long=True,
            )
            for sequence, customer_id, kind, fields in rows:
                effect = effects.setdefault(customer_id, _Effect(sequence))
                effect.add(sequence, kind, fields)
            if len(rows) < _ENTRIES:
                return effects
            after = rows[-1][0]


@dataclass(slots=True)
class _Effect:
    """What the entries of a job did to a customer: their first and last number, the kind, and the
    values of the fields before the first and after the last of them."""

    first: int
    last: int = 0
    kind: str = CHANGED
    pairs: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def add(self, sequence: int, kind: str, fields: str | None) -> None:
        self.last = sequence
        if kind in (history.CREATED, history.RESTORED):
            self.kind = ADDED
        elif kind == history.DELETED:
            self.kind = REMOVED
        for name, (before, after) in (orjson.loads(fields) if fields else {}).items():
            self.pairs[name] = (self.pairs[name][0] if name in self.pairs else before, after)
