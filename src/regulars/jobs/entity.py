"""The entities of jobs: their rows, and the parts of their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.jobs import rules
from regulars.jobs.commands import EditCustomers, StartJob, UndoChanges
from regulars.jobs.reverts import RevertFields, revert_fields
from regulars.store import LoadedRows, tables
from regulars.store.entity import Entity, Load, Lookup
from regulars.store.imports import waiting_jobs


def _waiting(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {rules.WAITING: [{"import_id": row[0]} for row in rows]}


JOBS = Entity(
    tables.imports,
    lookups=(Lookup("import_ids", tables.imports.c.import_id),),
    more_loads=(Load((rules.WAITING,), waiting_jobs, _waiting),),
    editable=(
        *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
        *("rejected_at", "last_rejected", "problems", "cursor", "updated_at"),
        *("first_change", "last_change", "undone_by"),
    ),
    rules={
        StartJob: rules.start,
        EditCustomers: rules.edit,
        UndoChanges: rules.undo,
        RevertFields: revert_fields,
    },
)
JOB_PARTS = Entity(tables.import_parts)

ENTITIES = (JOBS, JOB_PARTS)
