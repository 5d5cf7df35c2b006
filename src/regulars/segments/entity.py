"""The entity of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.segments import queries, recording, rules, tag_renaming
from regulars.segments.commands import (
    CreateSegment,
    DeleteSegments,
    RecordEvaluations,
    RenameTag,
    UpdateSegment,
)
from regulars.segments.table import COUNTER, memberships, segments
from regulars.store import LoadedRows
from regulars.store.entity import Entity, Load, Updates

_SEGMENTS, _CUSTOMERS = ("evaluated_segments",), ("evaluated_customers",)


def _rows(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {"segments": [dict(zip(queries.COLUMNS, row, strict=True)) for row in rows]}


def _memberships(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    names = queries.MEMBERSHIP_COLUMNS
    return {"memberships": [dict(zip(names, row, strict=True)) for row in rows]}


def _existing(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {recording.EXISTING: [{"customer_id": row[0]} for row in rows]}


SEGMENTS = Entity(
    segments,
    counter=COUNTER,
    # A write reads all segments: their number is limited, and they can use each other.
    load=Load(("all_segments",), queries.all_segments, _rows),
    more_loads=(Load(_SEGMENTS, queries.segments_by_id, _rows, _SEGMENTS),),
    unique=(("name_key",),),
    # The process that evaluates the segment writes other columns of the row.
    updates=Updates.CHANGED,
    rules={
        CreateSegment: rules.create,
        UpdateSegment: rules.update,
        DeleteSegments: rules.delete,
        RecordEvaluations: recording.record,
        RenameTag: tag_renaming.rename_tag,
    },
)
MEMBERSHIPS = Entity(
    memberships,
    load=Load(_CUSTOMERS, queries.memberships_of, _memberships, (*_SEGMENTS, *_CUSTOMERS)),
    more_loads=(Load(_CUSTOMERS, queries.existing_customers, _existing, _CUSTOMERS),),
    updates=Updates.CHANGED,
)
ENTITIES = (SEGMENTS, MEMBERSHIPS)
