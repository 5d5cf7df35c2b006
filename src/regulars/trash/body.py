"""The body of a customer in the trash: everything that belongs to the customer, as compressed JSON.

`customer` has the columns of the customer that are not derived from others. `rows` has for each
table the rows that the deletion removes, and the values that it sets to null with the keys of their
rows. It has no ids of the account and the customer.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from regulars.customers.field_rules import EMPTY, folded_columns
from regulars.customers.search import search_document
from regulars.store import Entities, Row, UnitOfWork
from regulars.store.columns import Flag
from regulars.store.entity import Entity

# The level of zlib: half of the bytes of a higher level's time, and a tenth more bytes.
_LEVEL = 1
_OWN_KEYS = ("account_id", "customer_id")


class Body(NamedTuple):
    """The customer without its derived columns, and the rows of each table by its name."""

    customer: Row
    rows: Mapping[str, list[dict[str, Any]]]


class PackedBody(NamedTuple):
    """A body as it is stored, and the number of its bytes as JSON."""

    content: bytes
    size: int


def of_customer(unit: UnitOfWork, row: Row) -> Body:
    """Return the body of a customer of a unit of work, which must have loaded its rows."""
    customer_id = row["customer_id"]
    rows = {
        entity.name: list(_moved_values(entity, unit.rows[entity.table].of_customer(customer_id)))
        for entity in unit.entities.with_rows_of_customers
    }
    derived = _derived_columns()
    columns = {n: v for n, v in row.items() if n not in derived and n not in _OWN_KEYS}
    return Body(_with_flags(unit.entities.root.table, columns), rows)


def _moved_values(entity: Entity, rows: list[Row]) -> Iterator[dict[str, Any]]:
    blank_column = entity.blank_column
    if blank_column is None:
        for row in rows:
            left_out = (*_OWN_KEYS, entity.word_index.column) if entity.word_index else _OWN_KEYS
            moved = {name: value for name, value in row.items() if name not in left_out}
            yield _with_flags(entity.table, moved)
        return
    names = (*entity.key, blank_column)
    for row in rows:
        if row[blank_column] is not None:
            yield {name: row[name] for name in names}


def pack(body: Body) -> PackedBody:
    """Return a body as it is stored."""
    text = orjson.dumps({"customer": body.customer, "rows": body.rows})
    return PackedBody(zlib.compress(text, _LEVEL), len(text))


def unpack(content: bytes) -> Body:
    """Return a stored body. Raises ValueError, also as JSONDecodeError, for one that is damaged."""
    try:
        parsed = orjson.loads(zlib.decompress(content))
        return Body(parsed["customer"], parsed["rows"])
    except (zlib.error, KeyError, TypeError) as error:
        raise ValueError("The body is damaged.") from error


def customer_row(body: Body, account_id: int, customer_id: int) -> dict[str, Any]:
    """Return the row of a body's customer with its derived columns. Columns that were added since
    the deletion are empty."""
    stored = {name: value for name, value in body.customer.items() if name in EMPTY}
    row = {**EMPTY, **stored, "account_id": account_id, "customer_id": customer_id}
    return {**row, **folded_columns(row), **search_document.derive_columns(row)}


def rows_of(
    entities: Entities, body: Body, account_id: int, customer_id: int
) -> Iterator[tuple[Entity, Row]]:
    """Yield the rows of a body that the deletion removed. Columns that were added since have their
    default."""
    for entity in entities.with_rows_of_customers:
        if entity.blank_column:
            continue
        defaults = {
            **_defaults(entity.table),
            "account_id": account_id,
            "customer_id": customer_id,
        }
        for row in body.rows.get(entity.name, ()):
            restored = {**defaults, **{n: v for n, v in row.items() if n in defaults}}
            index = entity.word_index
            yield entity, index.with_words(restored) if index else restored


def values_of(entities: Entities, body: Body) -> Iterator[tuple[Entity, Row]]:
    """Yield the values of a body that the deletion set to null, with the keys of their rows."""
    for entity in entities.with_rows_of_customers:
        if entity.blank_column:
            for row in body.rows.get(entity.name, ()):
                yield entity, row


def _with_flags(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with Boolean values where SQLite has numbers: a copy may be on PostgreSQL."""
    return {**row, **{name: bool(row[name]) for name in _flags(table) if name in row}}


@cache
def _flags(table: sa.Table) -> tuple[str, ...]:
    return tuple(str(column.name) for column in table.c if column.type is Flag)


@cache
def _derived_columns() -> frozenset[str]:
    return frozenset({**folded_columns(EMPTY), **search_document.derive_columns(EMPTY)})


@cache
def _defaults(table: sa.Table) -> Mapping[str, Any]:
    """Return the value of each column in a row that was stored before the column was added."""
    return {str(column.name): _default(column) for column in table.c}


def _default(column: sa.Column[Any]) -> Any:
    if column.nullable:
        return None
    if column.type is Flag:
        return False
    argument = getattr(column.server_default, "arg", None)
    return int(argument) if isinstance(argument, str) and argument.isdigit() else argument or ""
