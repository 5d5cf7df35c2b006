"""Evaluates the watched segments of an account, and records entries and exits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from regulars.core.errors import Rejected
from regulars.customers import history
from regulars.customers.search.finding import Finder, Slice
from regulars.customers.search.parser import Order
from regulars.segments import evaluation_queries
from regulars.segments.commands import Evaluation, RecordEvaluations
from regulars.segments.conditions import ConditionCache, WatchedCondition, matches_among
from regulars.segments.definitions import Definition
from regulars.segments.queries import definitions as definitions_query
from regulars.segments.queries import members_after, segments_of_customers
from regulars.store import Store, queries

# Changes that are read at a time, and customers of a page of an evaluation of all customers. A page
# is one write: the writes of clients wait for it.
BATCH = 100
PAGE = 200


class ClaimLost(Exception):  # no error of a caller: the next claim goes on
    """Another process has changed or evaluated a segment."""


@dataclass(slots=True)
class WatchedSegment:
    """A claimed segment: its row, and its condition."""

    row: dict[str, Any]
    condition: WatchedCondition

    @property
    def segment_id(self) -> int:
        return int(self.row["segment_id"])

    @property
    def expected(self) -> dict[str, Any]:
        """The columns that must be unchanged when an evaluation is saved."""
        return {name: self.row[name] for name in ("position", "evaluated", "due_at")}

    @property
    def is_new(self) -> bool:
        """Whether the memberships are those of no condition, or of another one."""
        return self.row["watched_since"] is None or self.row["evaluated"] != self.condition.digest


@dataclass(slots=True)
class _Sweep:
    """An evaluation of a segment for all customers, page by page. `began_at` is its time in
    milliseconds since 1970, and `after` the last evaluated customer."""

    segment: WatchedSegment
    began_at: int
    has_begun: bool = False
    after: int = 0
    is_new: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_new = self.segment.is_new


class Evaluator:
    """Evaluates the segments of an account that the worker `worker_id` has claimed. A condition
    that depends on the time is evaluated for all customers every `sweep_ms` milliseconds."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        worker_id: str,
        rows: Sequence[Mapping[str, Any]],
        sweep_ms: int,
        clock: Callable[[], int],
        cache: ConditionCache,
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._worker_id = worker_id
        self._rows = {row["segment_id"]: dict(row) for row in rows}
        self._sweep_ms = sweep_ms
        self._clock = clock
        self._cache = cache
        self._segments: list[WatchedSegment] = []
        self._sweeps: list[_Sweep] = []
        # Segments whose query cannot be read, and new ones whose query takes too long.
        self.failed_ids: set[int] = set()
        self.slow_ids: set[int] = set()

    async def prepare(self) -> None:
        """Read the conditions, and find the segments to evaluate for all customers."""
        account = {"account_id": self._account_id}
        read = await self._store.fetch(definitions_query(), account)
        definitions = [Definition(*row) for row in read]
        conditions = await self._cache.conditions_of(self._account_id, definitions, self._rows)
        self.failed_ids = self._rows.keys() - conditions.keys()
        self._segments = [
            WatchedSegment(self._rows[number], each) for number, each in conditions.items()
        ]
        now = self._clock()
        for segment in self._segments:
            due_at = segment.row["due_at"]
            if segment.is_new or (due_at is not None and due_at <= now):
                self._sweeps.append(_Sweep(segment, now))

    @property
    def has_sweeps(self) -> bool:
        """Whether segments are to be evaluated for all customers."""
        return bool(self._sweeps)

    async def step(self) -> bool:
        """Evaluate new changes, and then a page of an evaluation of all customers. Return whether
        there may be more. Raises ClaimLost."""
        has_more = False
        new_ids = {sweep.segment.segment_id for sweep in self._sweeps if sweep.is_new}
        ready = [
            segment
            for segment in self._segments
            if segment.segment_id not in new_ids and segment.segment_id not in self.slow_ids
        ]
        ready.sort(key=lambda segment: segment.row["position"])
        last_change = await self._last_change()
        for position, group in groupby(ready, key=lambda segment: segment.row["position"]):
            if position < last_change:
                has_more |= await self._evaluate_changes(list(group), position, last_change)
        if self._sweeps:
            sweep = self._sweeps[0]
            try:
                if sweep.is_new and not sweep.has_begun:
                    await self._skip_changes(sweep.segment, last_change)
                sweep.has_begun = True
                is_complete = await self._sweep_page(sweep)
            except Rejected:  # a statement took too long
                await self._postpone(sweep)
                is_complete = True
            if is_complete:
                self._sweeps.pop(0)
        return has_more or bool(self._sweeps)

    async def _last_change(self) -> int:
        account = {"account_id": self._account_id}
        ((last_change,),) = await self._store.fetch(queries.last_change(), account)
        return int(last_change)

    async def _evaluate_changes(
        self, group: Sequence[WatchedSegment], position: int, last_change: int
    ) -> bool:
        """Evaluate the changes after a position for the segments at it. Return whether there are
        more changes."""
        parameters = {
            "account_id": self._account_id,
            "after": position,
            "last": last_change,
            "limit": BATCH,
        }
        rows = await self._store.fetch(evaluation_queries.changes_to_evaluate(), parameters)
        end = rows[-1][0] if len(rows) == BATCH else last_change
        customer_ids = sorted({row[1] for row in rows})
        deleted = {row[1] for row in rows if row[2] == history.DELETED}
        silent = frozenset(customer_ids) - {row[1] for row in rows if not row[3]}
        evaluations = []
        if customer_ids:
            members = await self._members_among(customer_ids)
            conditions = [segment.condition.condition for segment in group]
            found = await matches_among(
                self._store, self._account_id, conditions, customer_ids, self._clock()
            )
            for segment, matches in zip(group, found, strict=True):
                of_segment = members.get(segment.segment_id, set())
                evaluations.append(
                    Evaluation(
                        segment.segment_id,
                        segment.expected,
                        {"position": end},
                        entered=tuple(sorted(matches - (of_segment - deleted))),
                        left=tuple(sorted(of_segment - matches - deleted)),
                        removed=tuple(sorted(of_segment & deleted)),
                        silent=silent,
                    )
                )
        if any(each.customer_ids for each in evaluations):
            await self._record(group, evaluations)
        else:
            await self._move(group, position, end)
        return end < last_change

    async def _members_among(self, customer_ids: Sequence[int]) -> dict[int, set[int]]:
        """Return the customers of each segment, of some customers."""
        parameters = {"account_id": self._account_id, "ids": list(customer_ids)}
        members: dict[int, set[int]] = {}
        for customer_id, segment_id in await self._store.fetch(segments_of_customers(), parameters):
            members.setdefault(segment_id, set()).add(customer_id)
        return members

    async def _move(self, group: Sequence[WatchedSegment], position: int, end: int) -> None:
        """Move the position of segments whose members stay the same."""
        parameters = {
            "account_id": self._account_id,
            "worker_id": self._worker_id,
            "segment_ids": [segment.segment_id for segment in group],
            "expected": position,
            "position": end,
        }
        moved = await self._store.execute([(evaluation_queries.move_position(), parameters)])
        if moved < len(group):
            raise ClaimLost
        for segment in group:
            segment.row["position"] = end

    async def _record(
        self, group: Sequence[WatchedSegment], evaluations: Sequence[Evaluation]
    ) -> None:
        command = RecordEvaluations(tuple(evaluations), self._clock())
        positions = await self._store.write(self._account_id, command)
        by_id = {segment.segment_id: segment for segment in group}
        for evaluation in evaluations:
            if evaluation.segment_id not in positions:
                raise ClaimLost
            row = by_id[evaluation.segment_id].row
            row |= {**evaluation.columns, "position": positions[evaluation.segment_id]}

    async def _postpone(self, sweep: _Sweep) -> None:
        """Give up an evaluation of all customers. A new segment is tried again as a whole; another
        one evaluates changes until the next sweep."""
        if sweep.is_new:
            self.slow_ids.add(sweep.segment.segment_id)
            return
        segment = sweep.segment
        columns = {"due_at": self._clock() + self._sweep_ms}
        evaluation = Evaluation(segment.segment_id, segment.expected, columns)
        await self._record([segment], [evaluation])

    async def _skip_changes(self, segment: WatchedSegment, last_change: int) -> None:
        """Move a segment to the last change, before all customers are evaluated. Only deletions
        count: a customer that was restored enters again."""
        position = segment.row["position"]
        parameters = {
            "account_id": self._account_id,
            "segment_id": segment.segment_id,
            "after": position,
            "last": last_change,
            "limit": PAGE,
        }
        while rows := await self._store.fetch(evaluation_queries.deletions(), parameters):
            removed = tuple(sorted(row[0] for row in rows))
            evaluation = Evaluation(segment.segment_id, segment.expected, {}, removed=removed)
            await self._record([segment], [evaluation])
        if position < last_change:
            await self._move([segment], position, last_change)

    async def _sweep_page(self, sweep: _Sweep) -> bool:
        """Compare a page of the customers that meet the condition with the members. Return whether
        it was the last one."""
        segment = sweep.segment
        position = segment.row["position"]
        matches = await self._matches_after(sweep)
        parameters = {
            "account_id": self._account_id,
            "segment_id": segment.segment_id,
            "after": sweep.after,
            "limit": PAGE,
        }
        rows = await self._store.fetch(members_after(), parameters)
        members = [row[0] for row in rows]
        ends = [page[-1] for page in (matches, members) if len(page) == PAGE]
        end = min(ends, default=None)
        entered, left = _difference(matches, members, end)
        if not sweep.is_new and (entered or left):
            # Their changes are evaluated next: they may be silent.
            changed = await self._changed_after(position, [*entered, *left])
            entered = [number for number in entered if number not in changed]
            left = [number for number in left if number not in changed]
        columns = self._final_columns(sweep) if end is None else {}
        if entered or left or columns:
            evaluation = Evaluation(
                segment.segment_id,
                {**segment.expected, "announce": segment.row["announce"]},
                columns,
                entered=tuple(entered),
                left=tuple(left),
                is_announced=not sweep.is_new or bool(segment.row["announce"]),
            )
            await self._record([segment], [evaluation])
        sweep.after = end or 0
        return end is None

    async def _changed_after(self, position: int, customer_ids: Sequence[int]) -> set[int]:
        """Return which customers have a change after a position."""
        account = {"account_id": self._account_id}
        parameters = {**account, "ids": list(customer_ids), "after": position}
        query = evaluation_queries.changed_customers()
        return {row[0] for row in await self._store.fetch(query, parameters)}

    async def _matches_after(self, sweep: _Sweep) -> list[int]:
        """Return the next page of the customers that meet the condition, in the order of ids."""
        finder = Finder(
            self._store, self._account_id, sweep.segment.condition.condition, sweep.began_at
        )
        positions = {"after_value": sweep.after, "after_id": sweep.after}
        slice_ = Slice(Order(ascending=True), PAGE, positions)
        return [row[0] for row in await finder.rows(slice_, ("customer_id",))]

    def _final_columns(self, sweep: _Sweep) -> dict[str, Any]:
        """Return the columns of a segment after the evaluation of all customers."""
        condition = sweep.segment.condition
        next_at = sweep.began_at + self._sweep_ms if condition.is_relative else None
        columns: dict[str, Any] = {"due_at": next_at}
        if sweep.is_new:
            since = sweep.segment.row["watched_since"]
            columns |= {
                "evaluated": condition.digest,
                "watched_since": self._clock() if since is None else since,
                "announce": False,
            }
        return columns


def _difference(
    matches: Sequence[int], members: Sequence[int], end: int | None
) -> tuple[list[int], list[int]]:
    """Return the customers up to `end` that are only among the matches, and those that are only
    members."""
    match_set, member_set = set(matches), set(members)

    def until_end(numbers: Sequence[int], others: set[int]) -> Iterator[int]:
        return (n for n in numbers if n not in others and (end is None or n <= end))

    return list(until_end(matches, member_set)), list(until_end(members, match_set))
