"""All entities: those of the packages, and those that serve all of them."""

from __future__ import annotations

from regulars.core.packages import parts
from regulars.store import Entities, tables
from regulars.store.entity import Entity, Lookup, blank

IDEMPOTENCY_RECORDS = Entity(
    tables.idempotency_records,
    lookups=(Lookup("idempotency_keys", tables.idempotency_records.c.key),),
    editable=("outcome",),
    on_customer_delete=blank(tables.idempotency_records, "outcome"),
)

IMPORTS = Entity(
    tables.imports,
    lookups=(Lookup("import_ids", tables.imports.c.import_id),),
    editable=(
        *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
        *("rejected_at", "last_rejected", "problems", "cursor", "updated_at"),
    ),
)

ENTITIES = Entities(
    (
        *(one for entities in parts("entity", "ENTITIES") for one in entities),
        IDEMPOTENCY_RECORDS,
        IMPORTS,
    )
)
