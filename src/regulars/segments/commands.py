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

# Deciding on more of them takes some milliseconds.
_MANY_CUSTOMERS = 200
# What a renamed tag changes in a segment: its `segment_id` and `name`, the columns `before` and
# `after`, and whether it was `renamed`.
SegmentChange = Mapping[str, Any]
# What a command loads that changes queries: all segments, and the webhooks that use them.
SEGMENT_LOOKUPS: Mapping[str, Any] = {"all_segments": (True,), "segment_webhooks": (True,)}


class _SegmentCommand(SmallCommand):
    """A command that reads all segments of the account, and the webhooks that use them. Parsing
    their queries takes too long for the event loop."""

    __slots__ = ()

    idempotency_record: IdempotencyRecord | None

    @property
    def is_large(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(**SEGMENT_LOOKUPS, **record_lookups(self.idempotency_record))


@dataclass(frozen=True, slots=True)
class CreateSegment(_SegmentCommand):
    """Creates a segment from clean values, at a time in milliseconds since 1970. With `announce`,
    the first evaluation records entries."""

    values: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    announce: bool = False


@dataclass(frozen=True, slots=True)
class UpdateSegment(_SegmentCommand):
    """Merges clean values into a segment. `id_text` is the id in the request. With `announce`, the
    evaluation of a new query records entries and exits."""

    id_text: str
    segment_id: int | None
    values: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    announce: bool = False


@dataclass(frozen=True, slots=True)
class DeleteSegments(_SegmentCommand):
    """Deletes all of the segments or none. `segments` has the ids in the request, with the `_id`
    of each, or None for an invalid id."""

    segments: tuple[tuple[str, int | None], ...]
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation of a watched segment has found: the customers that have entered and left,
    and those that were deleted. It is recorded if the segment still has the values `expected`; then
    it gets the values `columns`. The entries about `silent` customers are silent. Without
    `is_announced`, no entries are recorded."""

    segment_id: int
    expected: Mapping[str, Any]
    columns: Mapping[str, Any]
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    silent: frozenset[int] = frozenset()
    is_announced: bool = True

    @property
    def customer_ids(self) -> frozenset[int]:
        """The customers whose membership changes."""
        return frozenset((*self.entered, *self.left, *self.removed))


@dataclass(frozen=True, slots=True)
class RecordEvaluations(SmallCommand):
    """Saves evaluations of segments at a time in milliseconds since 1970, and returns the position
    of each segment of which the evaluation was saved."""

    evaluations: tuple[Evaluation, ...]
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return sum(len(each.customer_ids) for each in self.evaluations) > _MANY_CUSTOMERS

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            evaluated_segments=[each.segment_id for each in self.evaluations],
            evaluated_customers=frozenset().union(*(e.customer_ids for e in self.evaluations)),
        )


@dataclass(frozen=True, slots=True)
class RenameTag(SmallCommand):
    """Replaces a tag of customers by `new_name`, at a time in milliseconds since 1970. `tag_term`
    is the term of the tag in the index: each tag that it indexes is replaced. `has_next` is true if
    other customers follow; otherwise the tag is replaced in the segments, too, if
    `renames_segments`."""

    customer_ids: tuple[int, ...]
    tag_term: str
    new_name: str
    has_next: bool
    renames_segments: bool
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return self._reads_segments

    @property
    def _reads_segments(self) -> bool:
        return self.renames_segments and not self.has_next

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=frozenset(self.customer_ids),
            **(SEGMENT_LOOKUPS if self._reads_segments else {}),
            **record_lookups(self.idempotency_record),
        )
