"""Bindings: which columns a field of the schema reads, and how its values are made of them.

The rows of a type are tuples, whose columns the compiler chooses, or dicts. The functions of a
binding are called with whole columns: one sequence per column, with the values of all rows of a
level. A call per value would cost more than most of these functions do. `PerRow` turns a function
of single values into a function of columns.

A binding returns values that are ready for JSON. A binding is pure: it returns the same values for
the same columns, because a row may be rendered twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regulars.graphql.layout import Layout, Layouts

Row = Any
Arguments = Mapping[str, Any]

# (*columns) -> a column of the same length.
ColumnFunction = Callable[..., Sequence[Any]]


class PerRow:
    """A column function that calls `row_function` with the values of each row."""

    __slots__ = ("row_function",)

    def __init__(self, row_function: Callable[..., Any]) -> None:
        self.row_function = row_function

    def __call__(self, *columns: Sequence[Any]) -> list[Any]:
        return list(map(self.row_function, *columns))


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf. `render(*columns)` returns its values; without `render` they are its only column.

    A field with arguments has `prepare` instead: `prepare(arguments)` is called once per plan and
    returns `render(env, *columns)`. It raises RequestError for invalid arguments.

    `cost` is the cost of the field in points, in addition to the cost of the objects.
    `can_be_large` is true if a value can have kilobytes.
    """

    columns: tuple[str, ...]
    render: ColumnFunction | None = None
    prepare: Callable[[Arguments], ColumnFunction] | None = None
    cost: int = 0
    can_be_large: bool = False

    def __post_init__(self) -> None:
        if self.prepare is None:
            _check_columns(self.columns, self.render)


@dataclass(frozen=True, slots=True)
class SameRow:
    """An object whose fields read the row of the parent object."""


@dataclass(frozen=True, slots=True)
class Nested:
    """An object, or a list of objects, whose rows are inside the parent row.

    `extract(*columns)` returns a column of rows, or of lists of rows; None stands for null. Without
    `extract` that is the only column.

    If the nested type has `Related` fields, the code that makes the nested rows appends their
    related rows, with `Layout.load_related` of `Layout.nested(field)`.

    `is_page` is true for the rows of a page whose size is an argument of the root field, or of the
    `Related` field above. `can_be_large` is true if the columns can have kilobytes.
    `count(*columns)` returns the number of rows in all lists. Without it, lists cost as many points
    as is estimated.
    """

    columns: tuple[str, ...]
    extract: ColumnFunction | None = None
    is_page: bool = False
    can_be_large: bool = False
    count: Callable[..., int] | None = None

    def __post_init__(self) -> None:
        _check_columns(self.columns, self.extract)


# (env, keys, layout) -> for each key a row, a list of rows, or None.
Load = Callable[[Any, list[Any], "Layout"], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Related:
    """An object, or a list of objects, whose rows are loaded by a key.

    `load(env, keys, layout)` is called once for all rows of a level. `keys` are the values of the
    column `key`. It returns for each key, in the same order, a list of rows if the field is a list,
    else a row or None. The rows have the columns of the layout.

    A field with arguments has `prepare` instead: `prepare(arguments)` is called once per plan and
    returns `load`. `size(arguments)` returns the number of rows on the page if the type has an
    `is_page` field. For a list it returns the maximum number of rows, or None if it has none.
    """

    key: str
    load: Load | None = None
    prepare: Callable[[Arguments], Load] | None = None
    size: Callable[[Arguments], int | None] | None = None

    def __post_init__(self) -> None:
        if (self.load is None) == (self.prepare is None):
            raise TypeError("a binding of related rows has either load or prepare")


Resolve = Callable[[Any, dict[str, Any]], Awaitable[Any]]
Guard = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Root:
    """A field of Query or Mutation.

    `prepare(layouts)` is called once per plan and returns `resolve(env, arguments)`. That returns,
    by the type of the field:

    - object: a row with the columns of the layout
    - list of objects: a list of rows
    - interface or union: a pair (name of the object type, row)
    - leaf: the value

    or None for null. It must not change the arguments.

    `prepare_guard(layouts)` is called once per plan and returns `guard(env)`, which runs before
    `resolve` and raises if `env` does not permit the field.

    `compute_cost(arguments, fixed, per_row)` returns the cost of the field in points: `fixed` are
    the points of the selection, `per_row` those of each row of its page. Without it the cost is
    `fixed`.

    `measure_cost(value)` returns the points of the work that only the resolved value shows, in
    addition to `compute_cost`.

    `is_replica_safe` is true if the field may read from a replica, which can lack recent changes.
    """

    prepare: Callable[[Layouts], Resolve]
    prepare_guard: Callable[[Layouts], Guard] | None = None
    compute_cost: Callable[[Arguments, int, int], int] | None = None
    is_replica_safe: bool = False
    measure_cost: Callable[[Any], int] | None = None


def _check_columns(columns: tuple[str, ...], function: ColumnFunction | None) -> None:
    if function is None and len(columns) != 1:
        raise TypeError("a binding without a function of its columns reads exactly one")


FieldBinding = Value | SameRow | Nested | Related


@dataclass(frozen=True, slots=True)
class TypeBinding:
    """The bindings of an object type, by field. Its rows are dicts or tuples."""

    fields: Mapping[str, FieldBinding]
    has_dict_rows: bool = False


@dataclass(frozen=True, slots=True)
class Bindings:
    """The bindings of a schema: its object types, and the fields of Query and Mutation, by name."""

    types: Mapping[str, TypeBinding]
    roots: Mapping[str, Root]
