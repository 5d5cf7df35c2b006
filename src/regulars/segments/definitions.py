"""The segments of an account as searches need them: found by name or id, with their queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from regulars.core.ids import number_of
from regulars.core.text import FOLDED_LENGTH, folded_letters

TYPE = "Segment"


class Definition(NamedTuple):
    """A segment: its `_id`, its name and its query."""

    segment_id: int
    name: str
    query: str


def name_key(name: str) -> str:
    """Return the form in which names of segments are compared: case and accents are ignored."""
    return folded_letters(name).strip()[:FOLDED_LENGTH]


class Definitions:
    """The segments of an account. A name takes precedence over an id."""

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        self._by_id = {each.segment_id: each for each in definitions}
        self._by_key = {name_key(each.name): each for each in self._by_id.values()}

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Definitions:
        """Return the segments with whole rows."""
        return cls(Definition(row["segment_id"], row["name"], row["query"]) for row in rows)

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._by_id.values())

    def get(self, segment_id: int) -> Definition | None:
        """Return the segment with an `_id`, or None."""
        return self._by_id.get(segment_id)

    def find(self, value: str) -> Definition | None:
        """Return the segment with a name, a global id or an `_id`, or None."""
        named = self._by_key.get(name_key(value))
        if named is not None:
            return named
        number = number_of(value, TYPE)
        return None if number is None else self._by_id.get(number)

    def replace(self, *changed: Definition) -> Definitions:
        """Return the segments with some of them added or changed."""
        return Definitions({**self._by_id, **{each.segment_id: each for each in changed}}.values())
