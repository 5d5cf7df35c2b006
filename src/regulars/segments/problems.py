"""The problems of reading and writing segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from regulars.core.errors import InputPath, Problem
from regulars.core.ids import encoder
from regulars.segments.definitions import TYPE, Definition

MAX_SEGMENTS = 500
MAX_WATCHED = 50
# Of the names, descriptions, queries and settings of all segments of an account. Each search that
# uses a segment reads them.
MAX_CHARACTERS = 2 * 1024**2


class SegmentNotFound(Problem):
    """Some ids belong to no segment of the account."""

    key = "segments_not_found"

    def __init__(self, ids: Iterable[str], input_path: InputPath, noun: str = "id") -> None:
        self._ids = list(ids)
        id_list = ", ".join(f"`{text[:50]}`" for text in self._ids[:10])
        rest = f" and {len(self._ids) - 10} more" if len(self._ids) > 10 else ""
        super().__init__(f"No segment has the {noun} {id_list}{rest}.", input_path)

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"ids": self._ids}


class DuplicateSegment(Problem):
    """Another segment of the account has the name."""

    key = "segments_duplicated"

    def __init__(self, name: str) -> None:
        super().__init__(
            f'A segment is named "{name[:255]}" already. Choose a different name.',
            ("node", "name"),
        )


class SegmentUser(NamedTuple):
    """An object that uses a segment: its type, its `_id`, its name, and how a message names it."""

    type: str
    number: int
    name: str
    label: str

    @classmethod
    def of(cls, definition: Definition) -> SegmentUser:
        """Return a segment as the user of another one."""
        name = definition.name
        return cls(TYPE, definition.segment_id, name, f'segment "{name}"')


class SegmentInUse(Problem):
    """Other objects use a segment that is to be deleted, or no longer watched."""

    key = "errors_in_use"

    def __init__(
        self, name: str, users: Sequence[SegmentUser], input_path: InputPath = ("items",)
    ) -> None:
        rest = f" and {len(users) - 1} more" if len(users) > 1 else ""
        super().__init__(
            f'The segment "{name}" is used by the {users[0].label}{rest}. Change or delete that '
            "one first.",
            input_path,
        )
        self._used_by = [
            {"id": encoder(user.type)([user.number])[0], "type": user.type, "name": user.name}
            for user in users
        ]

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"used_by": self._used_by}


class TooManySegments(Problem):
    """The account has the maximum number of segments."""

    key = "errors_limit"

    def __init__(self) -> None:
        super().__init__(
            f"This account has {MAX_SEGMENTS} segments, the maximum. Delete one first.",
            ("node",),
        )


class LargeSegments(Problem):
    """The segments of the account would have too many characters."""

    key = "errors_limit"

    def __init__(self) -> None:
        super().__init__(
            f"The segments of this account would have more than {MAX_CHARACTERS:,} characters "
            "together. Delete one first, or use fewer tags.",
            ("node",),
        )


class TooManyWatched(Problem):
    """The account has the maximum number of watched segments."""

    key = "errors_limit"

    def __init__(self, input_path: InputPath = ("node", "watched")) -> None:
        super().__init__(
            f"{MAX_WATCHED} segments are watched, the maximum. Stop watching one first.",
            input_path,
        )
