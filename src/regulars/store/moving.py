"""The rows that belong to customers, loaded so that they can move to the trash and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store import queries
from regulars.store.columns import Text
from regulars.store.entity import Entity, Load, LoadedRows
from regulars.store.query import Query, among, any_of

# At most so many bytes are loaded from a table for a batch, and the row that exceeds them.
MAX_BYTES = 64 * 1024 * 1024
# What a row counts for besides its text: it takes more memory as an object than its text.
_ROW_BYTES = 256
# In the state if a table has more.
OVERSIZED = "oversized"
# The lookups of the customers that a command deletes, by `_id` and by their ids in other
# systems; and the rows of the state with the work of deleting what they have in search indexes of
# their own, in the characters that `index_terms` counts.
DELETED = ("deleted_ids", "deleted_shop_ids")
DELETION_WORK = "deletion_work"


class UnbatchableCommands(Exception):  # no error of a caller: smaller batches are tried
    """Commands cannot be one batch: their customers have more rows than a batch may load, or the
    statements of one would read rows of the database that an earlier one changes."""


def load_whole_rows(entity: Entity) -> Load:
    """Return the load of all rows that an entity has for the customers `moved_ids`, and for those
    with the shop ids `moved_shop_ids`. Of a log, these are the rows whose values move, without
    other columns."""
    is_log = entity.blank_column is not None and entity.is_log
    blank = entity.table.c[entity.blank_column] if is_log and entity.blank_column else None
    columns = [c for c in entity.table.c if not is_log or c.primary_key or c.name in _kept(entity)]
    names = [str(column.name) for column in columns]
    texts = [index for index, column in enumerate(columns) if column.type is Text]

    def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
        result = {entity.name: [dict(zip(names, row, strict=True)) for row in rows]}
        size = sum(len(row[index] or "") for row in rows for index in texts)
        size += len(rows) * _ROW_BYTES
        return {**result, OVERSIZED: [{}]} if size > MAX_BYTES else result

    lookups = ("moved_ids", "moved_shop_ids")
    query = _whole_rows(entity.table, columns, blank)
    return Load(lookups, lambda: query, split, lookups)


def _kept(entity: Entity) -> tuple[str, ...]:
    return ("customer_id", entity.blank_column or "")


def load_blanked_rows(entity: Entity) -> Load:
    """Return the load of the rows that an entity has about the customers `restored_ids`, whose
    deletion has set a column to null."""

    def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
        return {entity.name: [dict(zip(entity.columns, row, strict=True)) for row in rows]}

    names = ("restored_ids",)
    return Load(names, lambda: _rows_of_restored(entity.table), split, names)


@cache
def _rows_of_restored(table: sa.Table) -> Query:
    rows = sa.select(*table.c).where(queries.of_account(table))
    return Query(rows.where(any_of(table.c.customer_id, "restored_ids")))


def _whole_rows(
    table: sa.Table, columns: Sequence[sa.Column[Any]], blank: sa.Column[Any] | None
) -> Query:
    size: sa.ColumnElement[int] = sa.literal_column(str(_ROW_BYTES), sa.Integer)
    for column in columns:
        if column.type is Text:
            size += sa.func.coalesce(sa.func.octet_length(column), sa.literal_column("0"))
    # Not in the order of the key alone: SQLite would read all rows of the account along it.
    order = [table.c.customer_id, *table.primary_key.columns]
    previous = sa.func.sum(size).over(order_by=order) - size
    rows = sa.select(*columns, previous.label("previous_bytes")).where(
        queries.of_account(table), among(table.c.customer_id, queries.moved_customers())
    )
    if blank is not None:
        rows = rows.where(blank.is_not(None))
    sized = rows.subquery("sized")
    names = [column.name for column in columns]
    is_loaded = sized.c.previous_bytes <= sa.literal_column(str(MAX_BYTES))
    return Query(sa.select(*(sized.c[name] for name in names)).where(is_loaded))
