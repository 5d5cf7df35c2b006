"""Pages of a list: the rows of a page, and their cursors."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from regulars.core.errors import InvalidCursor, InvalidPageSize, Problem, Rejected
from regulars.core.lenient_base64 import from_base64

DEFAULT_SIZE = 25

MAX_INTEGER = 2**63 - 1

# A place in a list: the values of the columns that order it, as they are stored.
Cursor = tuple[Any, ...]


class Page(NamedTuple):
    """The rows of a page, in the order of the list, and whether rows exist after the last and
    before the first; and the number of the account's last change, if the same statement read it."""

    rows: Sequence[Any]
    has_next: bool
    has_previous: bool
    change: int | None = None


class KeysetPage(NamedTuple):
    """The part of a list that a page has: `size` rows between two cursors, counted from the first
    of them, or from the last if `backward`."""

    size: int = DEFAULT_SIZE
    backward: bool = False
    after: Cursor | None = None
    before: Cursor | None = None

    @property
    def limit(self) -> int:
        """The number of rows to read: one more than the page has, which shows whether another page
        exists."""
        return self.size + 1

    @property
    def bounds(self) -> tuple[Cursor | None, Cursor | None]:
        """The cursors at which reading starts and ends."""
        return (self.before, self.after) if self.backward else (self.after, self.before)

    def cut(
        self,
        rows: Sequence[Any],
        is_behind: bool = False,
        is_ahead: bool = False,
        change: int | None = None,
    ) -> Page:
        """Return the page of at most `limit` rows in the direction of reading. `is_behind` and
        `is_ahead` say whether rows exist outside the bounds."""
        is_ahead |= len(rows) > self.size
        rows = rows[: self.size]
        if self.backward:
            return Page(rows[::-1], is_behind, is_ahead, change)
        return Page(rows, is_ahead, is_behind, change)


class Cursors(Protocol):
    """The cursors of a list, as texts: base64 of a JSON array."""

    def decode(self, text: str) -> Cursor | None:
        """Return the cursor in a text, or None if the text is not a cursor of this list."""

    @property
    def mismatch(self) -> str:
        """The message for a text that is not a cursor of this list."""


@dataclass(frozen=True, slots=True)
class TaggedCursors:
    """The cursors of a list that has one order: `[tag, integer, …]`, with at least `minimum` in
    each of the `length` columns."""

    tag: str
    length: int
    mismatch: str
    minimum: int = -MAX_INTEGER

    def decode(self, text: str) -> Cursor | None:
        decoded = load(text.strip())
        if not isinstance(decoded, list) or len(decoded) != 1 + self.length:
            return None
        tag, *values = decoded
        is_valid = all(type(v) is int and self.minimum <= v <= MAX_INTEGER for v in values)
        return tuple(values) if tag == self.tag and is_valid else None

    def encode(self, *columns: Sequence[int]) -> list[str]:
        """Return the cursors of rows."""
        return encode([self.tag] * len(columns[0]), *columns)


def page_of(arguments: Mapping[str, Any], cursors: Cursors, noun: str, max_size: int) -> KeysetPage:
    """Read the arguments of a connection, as Relay's specification defines them (section 4). A
    list without backward pages has no `last` and `before`. `noun` is what its rows are, in the
    plural.

    Raises Rejected with InvalidPageSize or InvalidCursor, or both.
    """
    first, last = arguments.get("first"), arguments.get("last")
    problems: list[Problem] = []
    if first is not None and last is not None:
        message = "`first` and `last` cannot be combined. Pass one of them."
        problems.append(InvalidPageSize(message, ("last",)))
    for name in ("first", "last"):
        problems += check_size(name, arguments.get(name), max_size, noun)
    bounds: list[Cursor | None] = []
    for name in ("after", "before"):
        text = arguments.get(name)
        bounds.append(cursors.decode(text) if text else None)
        if text and bounds[-1] is None:
            problems.append(InvalidCursor(name, cursors.mismatch))
    if problems:
        raise Rejected(*problems)
    return KeysetPage(requested_size(arguments, max_size), last is not None, *bounds)


def check_size(name: str, size: int | None, max_size: int, noun: str) -> list[InvalidPageSize]:
    """Return the problem of a page size that an argument requests, if it has one."""
    if size is None or 0 <= size <= max_size:
        return []
    message = f"`{name}` is {size:,}. Use a number of {noun} from 0 to {max_size:,}."
    return [InvalidPageSize(message, (name,))]


def requested_size(arguments: Mapping[str, Any], max_size: int = MAX_INTEGER) -> int:
    """Return how many rows a page of these arguments can have, which need not be valid."""
    first, last = arguments.get("first"), arguments.get("last")
    if last is None:
        size = DEFAULT_SIZE if first is None else first
    else:
        size = last if first is None else max(first, last)
    return size if 0 <= size <= max_size else max(0, min(size, max_size))


def encode(*columns: Sequence[Any]) -> list[str]:
    """Return the cursors of rows: base64 of the JSON array of each row's values."""
    base64_of, dumps = binascii.b2a_base64, orjson.dumps
    rows = zip(*columns, strict=True)
    return [base64_of(dumps(row), newline=False).decode() for row in rows]


def load(text: str) -> Any:
    """Return the JSON value that a text encodes in base64, or None."""
    try:
        return orjson.loads(from_base64(text) or b"")
    except orjson.JSONDecodeError:
        return None
