"""How a schema's fields are bound to data.

A type's data are *rows*: tuples whose columns the compiler chooses, or, for a `keyed`
type, mappings. A binding says which columns a field reads and what it makes of them. It is called
with whole columns, of all the rows of a level, because a call for each value costs more than what
most of them do; `Each` makes such a function of one of single values.
A binding answers values that are ready for JSON: the compiler serialises nothing again.
Bindings are pure: the same columns render as the same values, and a row may be rendered twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regulars.graphql.layout import Layout, Layouts

Row = Any
Arguments = Mapping[str, Any]

# Columns in, of the same length, one column out.
OfColumns = Callable[..., Sequence[Any]]


class Each:
    """A function of columns that calls one of single values, `of_one`, for each of them."""

    __slots__ = ("of_one",)

    def __init__(self, of_one: Callable[..., Any]) -> None:
        self.of_one = of_one

    def __call__(self, *columns: Sequence[Any]) -> list[Any]:
        return list(map(self.of_one, *columns))


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf: the columns in `reads`, through `render(*columns)`, which answers a column of values.

    Without `render` it is its only column. A field with arguments gives `prepare`
    instead: `prepare(arguments)` is called once for each plan, may refuse them
    (`RequestError`), and answers `render(env, *columns)`. `cost` is what the field costs beside
    the objects, in points. `is_long` says that a value may have kilobytes.
    """

    reads: tuple[str, ...]
    render: OfColumns | None = None
    prepare: Callable[[Arguments], OfColumns] | None = None
    cost: int = 0
    is_long: bool = False

    def __post_init__(self) -> None:
        if self.prepare is None:
            _only_column(self.reads, self.render)


@dataclass(frozen=True, slots=True)
class Same:
    """An object that is another view of the same row."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object, or a list of objects, that is made of columns of the row: `pick(*columns)`
    answers a column of rows, or of lists of rows; None where there is none. Without `pick` it is
    the only column.

    Whoever makes the rows of a part fills them, if its type has `Related` fields:
    `Layout.fill` of the layout `Layout.part`. `paged` when it is the page whose length the root
    field's arguments say. `is_long` says that the columns may have kilobytes.
    """

    reads: tuple[str, ...]
    pick: OfColumns | None = None
    paged: bool = False
    is_long: bool = False

    def __post_init__(self) -> None:
        _only_column(self.reads, self.pick)


# (env, keys, layout) -> for each key what is related to it.
Load = Callable[[Any, list[Any], "Layout"], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Related:
    """An object, or a list of objects, in rows of their own.

    `load(env, keys, layout)` is called once for all the rows of a level. It answers, in the
    order of `keys` (the values of column `key`), a list of rows for a list field, a row or
    None otherwise; each row holds the layout's columns. A field with arguments gives `prepare`
    instead: `prepare(arguments)` is called once for each plan and answers `load`. `size(arguments)`
    says how many rows its page has, where its type has a `paged` part; of a list, how many rows
    that may have at most, or None.
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
    """A field of Query or Mutation: `prepare(layouts)` is called once for each plan and answers
    `resolve(env, arguments)`.

    For an object that answers a row that holds the layout's columns, for a list of objects a
    list of rows, for an abstract type a pair (name of the object type, row), for a leaf the
    value; None for null. The arguments are not to be changed.

    `guard(layouts)`, called once for each plan too, answers what is asked before anything else of
    the field: it raises for an `env` that may not have it. `price(arguments, fixed, per_row)` is
    what the field costs, of the points it has in any case and those of each row of its page;
    without it, the fixed ones. A field is `anywhere` if it may be read from a copy of the data,
    which may lack what was changed a moment ago.
    """

    prepare: Callable[[Layouts], Resolve]
    guard: Callable[[Layouts], Guard] | None = None
    price: Callable[[Arguments, int, int], int] | None = None
    is_replica_safe: bool = False


def _only_column(reads: tuple[str, ...], function: Callable[..., Any] | None) -> None:
    if function is None and len(reads) != 1:
        raise TypeError("a binding without a function of its columns reads exactly one")


FieldBinding = Value | Same | Part | Related


@dataclass(frozen=True, slots=True)
class TypeBinding:
    """The bindings of an object type's fields; `keyed` when its rows are mappings."""

    fields: Mapping[str, FieldBinding]
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Bindings:
    """Everything a schema's fields are bound to: object types, and the root fields by name."""

    types: Mapping[str, TypeBinding]
    roots: Mapping[str, Root]


__all__ = [
    "Arguments",
    "Bindings",
    "Each",
    "FieldBinding",
    "Guard",
    "Load",
    "Part",
    "Related",
    "Resolve",
    "Root",
    "Row",
    "Same",
    "TypeBinding",
    "Value",
]
