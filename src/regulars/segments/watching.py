"""The columns of a segment that is watched, and when it is evaluated for all customers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from regulars.core.errors import InputPath, Problem, Rejected
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.segments.problems import MAX_WATCHED, TooManyWatched
from regulars.segments.queries import DELETE_MEMBERSHIPS
from regulars.segments.table import segments

NOT_WATCHED: Mapping[str, Any] = {
    "watched": False,
    "watched_since": None,
    "position": None,
    "evaluated": None,
    "due_at": None,
    "announce": False,
}


def check_count(unit: CustomerUnitOfWork) -> list[Problem]:
    """Return the problem of watching one more segment. The unit of work has all segments."""
    count = sum(bool(row["watched"]) for row in unit.rows[segments].all())
    return [TooManyWatched()] if count >= MAX_WATCHED else []


def watch_columns(unit: CustomerUnitOfWork, at: int, announce: bool) -> dict[str, Any]:
    """Return the columns of a segment that is watched from now on. All customers are evaluated
    first; with `announce`, entries are recorded for them."""
    return {
        **NOT_WATCHED,
        "watched": True,
        "position": unit.counters["changes"],
        "due_at": at,
        "announce": announce,
    }


def watch(
    unit: CustomerUnitOfWork, segment_ids: Collection[int], at: int, input_path: InputPath
) -> None:
    """Have segments watched, without entries for the customers that they have now. The unit of work
    has all segments. Raises Rejected."""
    rows = [unit.rows[segments].get(segment_id) for segment_id in segment_ids]
    new = [row for row in rows if row is not None and not row["watched"]]
    count = sum(bool(row["watched"]) for row in unit.rows[segments].all())
    if new and count + len(new) > MAX_WATCHED:
        raise Rejected(TooManyWatched(input_path))
    for row in new:
        updated_at = max(at, row["updated_at"])
        columns = watch_columns(unit, at, announce=False)
        unit.rows[segments].put({**row, **columns, "updated_at": updated_at})
        unit.run(DELETE_MEMBERSHIPS, watched_segments=[row["segment_id"]])


def require_evaluation(
    unit: CustomerUnitOfWork, segment_ids: Collection[int], at: int, announce: bool
) -> None:
    """Have the watched ones among segments evaluated for all customers, because their queries mean
    something else. An announced first evaluation stays announced."""
    for segment_id in segment_ids:
        row = unit.rows[segments].get(segment_id)
        if row is not None and row["watched"]:
            is_first = row["watched_since"] is None
            is_announced = announce or bool(is_first and row["announce"])
            unit.rows[segments].put({**row, "due_at": at, "announce": is_announced})
