"""The entities of the trash, and the rows that a restore reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from regulars.customers.unit_of_work import ACCOUNT_SETTINGS
from regulars.store import LoadedRows
from regulars.store.entity import Entity, Load
from regulars.store.moving import MAX_BYTES, OVERSIZED
from regulars.store.tokens import account_settings_of
from regulars.trash import queries, rules
from regulars.trash.commands import PurgeCustomers, RestoreCustomers
from regulars.trash.table import trash, trash_keys

_RESTORED = ("restored_ids",)
_SIZE = queries.COLUMNS.index("size")


def _settings(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {ACCOUNT_SETTINGS: [{"settings": row[0]} for row in rows]}


def _bodies(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    result = _rows(trash, queries.COLUMNS, rows)
    is_oversized = sum(row[_SIZE] for row in rows) > MAX_BYTES
    return {**result, OVERSIZED: [{}]} if is_oversized else result


def _rows(table: sa.Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {str(table.name): [dict(zip(columns, row, strict=True)) for row in rows]}


def _rows_of(table: sa.Table) -> Any:
    return partial(_rows, table, tuple(str(column.name) for column in table.c))


def _loads() -> Iterator[Load]:
    yield Load(("moved_ids", "moved_shop_ids", ACCOUNT_SETTINGS), account_settings_of, _settings)
    purged = partial(_rows, trash, queries.WITHOUT_BODY)
    yield Load(("purged_ids",), queries.purged_rows, purged, ("purged_ids",))
    yield Load(_RESTORED, queries.restored_rows, _bodies, _RESTORED)
    for table, kind, column in queries.CONFLICTS:
        query = partial(queries.conflicting_rows, table, kind, column)
        yield Load(_RESTORED, query, _rows_of(table), _RESTORED)


TRASH = Entity(
    trash,
    more_loads=tuple(_loads()),
    editable=tuple(str(column.name) for column in trash.c if not column.primary_key),
    rules={RestoreCustomers: rules.restore, PurgeCustomers: rules.purge},
)

TRASH_KEYS = Entity(trash_keys)

ENTITIES = (TRASH, TRASH_KEYS)
