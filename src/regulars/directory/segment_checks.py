"""Checks of watched segments and their members for `verify`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from regulars.customers import history as kinds
from regulars.segments.conditions import conditions_of
from regulars.segments.definitions import Definition
from regulars.segments.table import segments
from regulars.store import Row, searches
from regulars.store.conditions import Parameters
from regulars.store.tables import history


class SegmentCheck:
    """Compares the members of the segments of an account with the queries. It reads them from the
    snapshot of a connection."""

    def __init__(self, connection: sa.Connection, account_id: int, last_change: int) -> None:
        self._connection = connection
        self._account_id = account_id
        self._last_change = last_change
        rows = connection.execute(segments.select().where(segments.c.account_id == account_id))
        self._rows = {row["segment_id"]: dict(row) for row in rows.mappings()}
        self._members: dict[int, set[int]] = {}

    def read(self, row: Row) -> None:
        """Read a membership. Those of segments that are not watched any more are deleted later."""
        if row["removed_at"] is None:
            self._members.setdefault(row["segment_id"], set()).add(row["customer_id"])

    def of_segments(self) -> Iterator[str]:
        """Yield the problems of the segments, after all memberships were read."""
        watched = {number: row for number, row in self._rows.items() if row["watched"]}
        for segment_id, row in self._rows.items():
            is_watched = segment_id in watched
            if is_watched != (row["position"] is not None):
                yield f"segment {segment_id}: the position contradicts `watched`"
            elif is_watched and row["position"] > self._last_change:
                yield f"segment {segment_id}: the position is after the end of the history"
        definitions = [
            Definition(row["segment_id"], row["name"], row["query"]) for row in self._rows.values()
        ]
        for segment_id, condition in conditions_of(definitions, watched).items():
            row = watched[segment_id]
            is_evaluated = row["evaluated"] == condition.digest and row["due_at"] is None
            # With a time in its query, a segment is evaluated later.
            if condition.is_relative or not is_evaluated or self._has_pending(row["position"]):
                continue
            parameters = Parameters(0)
            statement = searches.all_matches(parameters.condition(condition.condition))
            matches = set(self._ids(statement, parameters.values))
            if matches != self._members.get(segment_id, set()):
                yield f"segment {segment_id}: the members are not the customers of the query"

    def _has_pending(self, position: int | None) -> bool:
        """Return whether entries are to be evaluated."""
        statement = sa.select(history.c.sequence).where(
            history.c.account_id == self._account_id,
            history.c.sequence > (position or 0),
            history.c.kind.not_in((kinds.SEGMENT_ENTERED, kinds.SEGMENT_LEFT)),
        )
        return self._connection.execute(statement.limit(1)).first() is not None

    def _ids(self, statement: sa.Select[Any], values: Mapping[str, Any]) -> Collection[int]:
        parameters = {**values, "account_id": self._account_id}
        return [row[0] for row in self._connection.execute(statement, parameters)]
