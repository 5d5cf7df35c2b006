"""The query that looks up which words an account has."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from regulars.store.queries import of_account
from regulars.store.query import Query
from regulars.store.tables import customers, terms


class elements(FunctionElement[str]):  # noqa: N801  # used like a function
    """The texts of the array parameter `name`, as rows."""

    inherit_cache = False
    type = sa.Text()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.array = sa.bindparam(name, type_=sa.ARRAY(sa.Text()))
        self.json = sa.bindparam(name, type_=sa.Text())


@compiles(elements, "postgresql")
def _unnest(element: elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"unnest({compiler.process(element.array, **options)})"


@compiles(elements, "sqlite")
def _json_each(element: elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.json, **options)})"


@cache
def known_words(prefixes: tuple[str, ...], columns: tuple[str, ...]) -> Query:
    """Those of the texts `words` that are a term of the account behind one of the prefixes, or a
    word at the beginning of one of the columns of customers. A few index lookups for each."""
    # The alias of a function of PostgreSQL names its column, too; the column of SQLite is `value`.
    value = elements("words").table_valued("value", name="value").c.value
    one: sa.ColumnElement[int] = sa.literal_column("1")
    found: list[sa.ColumnElement[bool]] = []
    for prefix in prefixes:
        is_term = terms.c.term == sa.literal_column(f"'{prefix}'").concat(value)
        found.append(sa.exists(sa.select(one).select_from(terms).where(of_account(terms), is_term)))
    for name in columns:
        column = customers.c[name]
        # The first word ends at a character before the digits: a space, a hyphen, an apostrophe.
        within = (column >= value) & (column < value.concat(sa.literal_column("'0'")))
        rows = sa.select(one).select_from(customers).where(of_account(customers), within)
        found.append(sa.exists(rows))
    return Query(sa.select(value).where(sa.or_(*found)))
