"""The commands on segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    record_lookups,
)
from regulars.core.errors import Problem
from regulars.store import LookupKeys


class _SegmentCommand(SmallCommand):
    """A command that reads all segments of the account. Parsing their queries takes too long for
    the event loop."""

    __slots__ = ()

    idempotency_record: IdempotencyRecord | None

    @property
    def is_large(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(all_segments=(True,), **record_lookups(self.idempotency_record))


@dataclass(frozen=True, slots=True)
class CreateSegment(_SegmentCommand):
    """Creates a segment from clean values, at a time in milliseconds since 1970."""

    values: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class UpdateSegment(_SegmentCommand):
    """Merges clean values into a segment. `id_text` is the id in the request."""

    id_text: str
    segment_id: int | None
    values: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class DeleteSegments(_SegmentCommand):
    """Deletes all of the segments or none. `segments` has the ids in the request, with the `_id`
    of each, or None for an invalid id."""

    segments: tuple[tuple[str, int | None], ...]
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
