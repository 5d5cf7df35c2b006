"""The entity of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.segments import queries, rules
from regulars.segments.commands import CreateSegment, DeleteSegments, UpdateSegment
from regulars.segments.table import COUNTER, segments
from regulars.store import LoadedRows
from regulars.store.entity import Entity, Load


def _rows(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {"segments": [dict(zip(queries.COLUMNS, row, strict=True)) for row in rows]}


SEGMENTS = Entity(
    segments,
    counter=COUNTER,
    # A write reads all segments: their number is limited, and they can use each other.
    load=Load(("all_segments",), queries.all_segments, _rows),
    unique=(("name_key",),),
    editable=(
        *("name", "name_key", "description", "query", "settings", "language"),
        "updated_at",
    ),
    rules={
        CreateSegment: rules.create,
        UpdateSegment: rules.update,
        DeleteSegments: rules.delete,
    },
)
ENTITIES = (SEGMENTS,)
