"""Queries: a statement of SQLAlchemy Core, compiled once to each database's own text.

The text is run on the driver itself: SQLAlchemy's execution layer costs more than the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from regulars.store.columns import Number

_DIALECTS: dict[str, sa.engine.Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": PGDialect_asyncpg(),  # type: ignore[no-untyped-call]  # SQLAlchemy's own
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement's text for one database, and its parameters in the order of the text."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def of_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
        """The values of each row in the order of the text."""
        if self.constants or len(self.names) < 2:
            return [self.arguments(row) for row in rows]
        return map(itemgetter(*self.names), rows)

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the text."""
        if self.constants:
            parameters = {**self.constants, **parameters}
        return [parameters[name] for name in self.names]


class Query:
    """A statement with named parameters; or what makes one, where it is too large to be kept: the
    objects of a search of fifty terms take two hundred times what its text takes."""

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: sa.ClauseElement | Callable[[], sa.ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: str) -> Compiled:
        """The statement for `sqlite` or `postgresql`, compiled the first time it is asked for."""
        found = self._compiled.get(dialect)
        if found is None:
            given = self._statement
            statement = given if isinstance(given, sa.ClauseElement) else given()
            compiled = statement.compile(dialect=_DIALECTS[dialect])
            constants = {k: v for k, v in (compiled.params or {}).items() if v is not None}
            names = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]  # SQLCompiler's
            found = Compiled(compiled.string, names, constants)
            self._compiled[dialect] = found
        return found


class any_of(ColumnElement[bool]):  # noqa: N801  # a function in use, as SQLAlchemy's own `any_`
    """`column` is one of the values of the array parameter `name`."""

    inherit_cache = False
    _is_implicitly_boolean = True  # or SQLite's compiler would write `… = 1`

    def __init__(self, column: sa.Column[Any], name: str) -> None:
        self.column = column
        self.list = sa.bindparam(name, type_=postgresql.ARRAY(column.type))
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
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # SQL of the compiler's own


class among(ColumnElement[bool]):  # noqa: N801  # as `any_of`
    """`column` is one of the values that a statement selects, which is run first: PostgreSQL is
    given its values as an array, for it would else join them as it estimates, wrongly, best."""

    inherit_cache = False
    _is_implicitly_boolean = True

    def __init__(self, column: sa.Column[Any], selected: sa.SelectBase) -> None:
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


class unindexed(ColumnElement[Any]):  # noqa: N801  # as `any_of`
    """A column, in a place for which SQLite shall not use its index: there it has a plus before it
    (SQLite, "The Query Optimizer Overview", section 2)."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(unindexed, "postgresql")
def _as_it_is(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.column, **options)


@compiles(unindexed, "sqlite")
def _with_a_plus(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.column, **options)}"


class place_in(sa.sql.functions.GenericFunction[int]):  # noqa: N801  # as `any_of`
    """Where a text is in a column's, from 1; 0 where it is not. No character of it has a meaning
    of its own, as in LIKE."""

    type = sa.Integer()
    inherit_cache = True
    name = "instr"


@compiles(place_in, "postgresql")
def _strpos(element: place_in, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos{compiler.process(element.clause_expr, **options)}"


def number(name: str) -> sa.BindParameter[int]:
    """A parameter that is a number."""
    return sa.bindparam(name, type_=Number)
