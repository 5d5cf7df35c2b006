"""All entities: those of the packages, and those that serve all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.core.packages import parts
from regulars.store import Entities, LoadedRows, queries, tables
from regulars.store.entity import Entity, Load, blank

_RECORD_LOOKUPS = ("idempotency_tokens", "idempotency_keys")


def _records(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    columns = queries.IDEMPOTENCY_RECORD_COLUMNS
    name = str(tables.idempotency_records.name)
    return {name: [dict(zip(columns, row, strict=True)) for row in rows]}


IDEMPOTENCY_RECORDS = Entity(
    tables.idempotency_records,
    load=Load(_RECORD_LOOKUPS, queries.idempotency_records_of, _records, _RECORD_LOOKUPS),
    editable=("outcome",),
    on_customer_delete=blank(tables.idempotency_records, "outcome"),
)

ENTITIES = Entities(
    (
        *(one for entities in parts("entity", "ENTITIES") for one in entities),
        IDEMPOTENCY_RECORDS,
    )
)
