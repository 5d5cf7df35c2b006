"""Queries: statements of SQLAlchemy Core, compiled once to the SQL of each database.

The SQL runs on the driver itself: SQLAlchemy's execution layer costs more than the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from regulars.store.columns import Number


@dataclass(frozen=True, slots=True)
class Compiled:
    """The SQL of a statement for one database, and its parameters in the order of the SQL."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def of_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
        """Return the values of each row, in the order of the SQL."""
        if self.constants or len(self.names) < 2:
            return [self.arguments(row) for row in rows]
        return map(itemgetter(*self.names), rows)

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the values, in the order of the SQL."""
        if self.constants:
            parameters = {**self.constants, **parameters}
        return [parameters[name] for name in self.names]


class Query:
    """A statement with named parameters, or a function that builds it. The function is for
    statements that are too large to keep: the objects of a search of fifty terms take two hundred
    times the memory of its SQL."""

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: sa.ClauseElement | Callable[[], sa.ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: str) -> Compiled:
        """Return the SQL for `sqlite` or `postgresql`; the first call compiles it."""
        result = self._compiled.get(dialect)
        if result is None:
            source = self._statement
            statement = source if isinstance(source, sa.ClauseElement) else source()
            compiled = statement.compile(dialect=dialect_of(dialect))
            constants = {k: v for k, v in (compiled.params or {}).items() if v is not None}
            names = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]  # SQLCompiler's
            result = Compiled(compiled.string, names, constants)
            self._compiled[dialect] = result
        return result


@cache
def dialect_of(name: str) -> sa.engine.Dialect:
    """Return SQLAlchemy's dialect for `sqlite` or `postgresql`."""
    if name == "sqlite":
        return sqlite.dialect(paramstyle="qmark")
    # SQLite does not need it, and it takes 35 ms to import.
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

    return PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


# A query with the values of its parameters.
Statement = tuple[Query, Mapping[str, Any]]


class any_of(ColumnElement[bool]):  # noqa: N801  # used like a function, as SQLAlchemy's `any_`
    """Whether `column` is one of the values of the array parameter `name`."""

    inherit_cache = False
    _is_implicitly_boolean = True  # or SQLite's compiler would write `… = 1`

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.list = sa.bindparam(name, type_=sa.ARRAY(column.type))
        self.json = sa.bindparam(name, type_=sa.Text())
        self.type = sa.Boolean()


@compiles(any_of, "postgresql")
def _any_of_array(element: any_of, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} = ANY ({compiler.process(element.list, **options)})"


@compiles(any_of, "sqlite")
def _any_of_json(element: any_of, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.json, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # SQL from the compiler


class among(ColumnElement[bool]):  # noqa: N801  # as `any_of`
    """Whether `column` is one of the values that a statement selects. PostgreSQL gets the values as
    an array, so that the statement runs first: its planner would choose a join by a wrong
    estimate."""

    inherit_cache = False
    _is_implicitly_boolean = True

    def __init__(self, column: ColumnElement[Any], selected: sa.SelectBase) -> None:
        self.column = column
        self.selected = selected
        self.type = sa.Boolean()


@compiles(among, "postgresql")
def _among_array(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} = ANY (ARRAY({_select(element, compiler, options)}))"


@compiles(among, "sqlite")
def _among_rows(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} IN ({_select(element, compiler, options)})"


def _select(element: among, compiler: SQLCompiler, options: dict[str, Any]) -> str:
    return compiler.process(element.selected, **{**options, "asfrom": False})


class in_set(among):  # noqa: N801  # as `any_of`
    """`among` for many values of the column: they are looked up in a hash table. `IS TRUE` keeps
    PostgreSQL from making a join."""

    inherit_cache = False


@compiles(in_set, "postgresql")
def _in_hash_table(element: in_set, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"({column} IN ({_select(element, compiler, options)})) IS TRUE"


class among_rows(ColumnElement[bool]):  # noqa: N801  # as `any_of`
    """The columns are those of one of the rows that a statement selects. PostgreSQL compares the
    last of them alone, with an array, as in `among`. SQLite compares all of them, and finds the row
    by the index that has them; by the last alone, it can choose to read the whole index."""

    inherit_cache = False
    _is_implicitly_boolean = True

    def __init__(self, columns: Sequence[sa.Column[Any]], selected: sa.Select[Any]) -> None:
        self.columns_compared = columns
        self.selected = selected
        self.type = sa.Boolean()


@compiles(among_rows, "postgresql")
def _last_in_array(element: among_rows, compiler: SQLCompiler, **options: Any) -> str:
    last = list(element.selected.selected_columns)[-1]
    selected = element.selected.with_only_columns(last, maintain_column_froms=True)
    return compiler.process(among(element.columns_compared[-1], selected), **options)


@compiles(among_rows, "sqlite")
def _among_row_values(element: among_rows, compiler: SQLCompiler, **options: Any) -> str:
    columns = [compiler.process(column, **options) for column in element.columns_compared]
    selected = compiler.process(element.selected, **{**options, "asfrom": False})
    return f"({', '.join(columns)}) IN ({selected})"


class unindexed(ColumnElement[Any]):  # noqa: N801  # as `any_of`
    """A column whose index SQLite must not use here: it gets a unary plus (SQLite, "The Query
    Optimizer Overview", section 2)."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(unindexed, "postgresql")
def _without_plus(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.column, **options)


@compiles(unindexed, "sqlite")
def _with_a_plus(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.column, **options)}"


class position_in(sa.sql.functions.GenericFunction[int]):  # noqa: N801  # as `any_of`
    """The index of a text in a column's text, from 1; 0 if it is absent. Unlike LIKE, no character
    is special."""

    type = sa.Integer()
    inherit_cache = True
    name = "instr"


@compiles(position_in, "postgresql")
def _strpos(element: position_in, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos{compiler.process(element.clause_expr, **options)}"


def number(name: str) -> sa.BindParameter[int]:
    """Return an integer parameter."""
    return sa.bindparam(name, type_=Number)
