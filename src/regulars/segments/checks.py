"""Checks of segments for `verify`. A query that cannot be read is no damage: the API shows why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from regulars.segments.definitions import name_key
from regulars.segments.settings import load, query_of
from regulars.store import Row


def _check(row: Row) -> Iterator[str]:
    if row["name_key"] != name_key(row["name"]):
        yield "`name_key` does not match the name"
    if row["settings"] is not None and row["query"] != query_of(load(row["settings"])):
        yield "the query does not match the settings"
    if row["updated_at"] < row["created_at"]:
        yield "it was updated before it was created"


CHECKS: Mapping[str, Callable[[Row], Iterator[str]]] = {"segments": _check}
