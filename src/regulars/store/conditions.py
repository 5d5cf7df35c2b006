"""Conditions of a search on customers.

A condition is a tree of `And`, `Or` and `Not` over `Predicate`s. It has two forms: with its values,
and as a shape, in which each value is the name of a parameter (`Parameters`). A statement is built
once for each shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

# Columns that belong to other tables: a term of `terms`, the name of an order, the words of a
# comment, each of them as a term, and the customers with comments. All others belong to
# `customers`.
TERM = "term"
ORDER_NAME = "order_name"
COMMENT_WORDS = "comment_words"
COMMENT_TERM = "comment_term"
COMMENTED = "commented"


class RelativeValue(ABC):
    """A value that depends on the present time."""

    __slots__ = ()

    @abstractmethod
    def at(self, now: int) -> Any:
        """Return the value at the time `now`, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Within:
    """A column's value lies between two bounds, each of which may be None. `low` is included unless
    `above` is set, `high` only if `through` is set. Every such column has an index."""

    column: str
    low: Any = None
    high: Any = None
    above: bool = False
    through: bool = False

    @property
    def one_value(self) -> bool:
        """Whether the range is a single value, so that its index entries are in the order of
        ids."""
        return self.low is not None and self.low == self.high


def equal(column: str, value: Any) -> Within:
    """Return the condition that a column has this value."""
    return Within(column, value, value, through=True)


def beginning(column: str, prefix: str) -> Within:
    """Return the condition that a column's text begins with a prefix. An empty prefix matches any
    text."""
    return Within(column, prefix, _first_after(prefix))


def _first_after(prefix: str) -> str | None:
    """The smallest text, by code point, that is greater than all texts with the prefix."""
    for index in range(len(prefix) - 1, -1, -1):
        code_point = ord(prefix[index]) + 1
        if code_point <= 0x10FFFF:
            # Surrogates are not characters.
            code_point = 0xE000 if 0xD800 <= code_point <= 0xDFFF else code_point
            return prefix[:index] + chr(code_point)
    return None


@dataclass(frozen=True, slots=True)
class Contains:
    """One of the columns contains a text."""

    columns: tuple[str, ...]
    text: str


# The customers in any of several ranges.
Union = tuple[Within, ...]
# A larger union is not used: SQLite combines at most 500 SELECTs (SQLITE_MAX_COMPOUND_SELECT).
# Those of 50 terms are smaller.
MAX_RANGES = 450


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on a row. Each of the unions contains every customer that meets the condition;
    if `is_exact`, it contains no other."""

    condition: Within | Contains
    unions: tuple[Union, ...]
    is_exact: bool = True

    @classmethod
    def of_column(cls, within: Within) -> Predicate:
        """Return the predicate of a range of a column of `customers`."""
        return cls(within, ((within,),))


@dataclass(frozen=True, slots=True)
class And:
    """All parts are met. Without parts it is always met."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part is met. Without parts it is never met."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not met."""

    part: Condition


Condition = Predicate | And | Or | Not


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """Return the parts of a condition that must all be met."""
    if isinstance(condition, And):
        return tuple(inner for part in condition.parts for inner in conjuncts(part))
    return (condition,)


def unions(condition: Condition) -> list[Union]:
    """Return the unions of ranges each of which contains every customer that meets a condition;
    none if no index can be used."""
    match condition:
        case Predicate():
            return list(condition.unions)
        case And():
            return [union for part in condition.parts for union in unions(part)]
        case Or() if condition.parts:
            of_parts = [unions(part) for part in condition.parts]
            if all(of_parts):
                # The unions of a phrase are those of its words: one of them may be small.
                count = max(map(len, of_parts))
                columns = ([u[min(n, len(u) - 1)] for u in of_parts] for n in range(count))
                return [union for column in columns if (union := _joined(column))]
    return []


def exact_union(condition: Condition) -> Union | None:
    """Return the union of ranges that contains exactly the customers that meet a condition; None if
    there is none."""
    match condition:
        case Predicate() if condition.is_exact:
            return condition.unions[0]
        case Or() if condition.parts:
            of_parts = [exact_union(part) for part in condition.parts]
            if all(of_parts):
                return _joined([union for union in of_parts if union])
    return None


def _joined(unions: Sequence[Union]) -> Union | None:
    """Return the union of unions, or None if it has more than `MAX_RANGES`."""
    ranges = tuple(dict.fromkeys(within for union in unions for within in union))
    return ranges if len(ranges) <= MAX_RANGES else None


def columns_of(condition: Condition) -> set[str]:
    """Return the columns of `customers` that a condition reads."""
    match condition:
        case Predicate(condition=Within(column=column)):
            return {"customer_id" if column == ORDER_NAME else column}
        case Predicate(condition=Contains(columns=columns)):
            return {"customer_id" if name == COMMENT_WORDS else name for name in columns}
        case And() | Or():
            return set().union(*(columns_of(part) for part in condition.parts))
        case Not():
            return columns_of(condition.part)
    raise TypeError(condition)


class Parameters:
    """The values of shapes at the time `now`, by the names of their parameters."""

    def __init__(self, now: int) -> None:
        self._now = now
        self.values: dict[str, Any] = {}

    def _name(self, value: Any) -> str:
        name = f"p{len(self.values)}"
        self.values[name] = value.at(self._now) if isinstance(value, RelativeValue) else value
        return name

    def within(self, within: Within) -> Within:
        """Return the shape of a range. A range of a single value stays one."""
        low = None if within.low is None else self._name(within.low)
        if within.one_value:
            return replace(within, low=low, high=low)
        high = None if within.high is None else self._name(within.high)
        return replace(within, low=low, high=high)

    def union(self, union: Union) -> Union:
        """Return the shape of a union."""
        return tuple(self.within(within) for within in union)

    def condition(self, condition: Condition) -> Condition:
        """Return the shape of a condition, without its unions."""
        match condition:
            case Predicate(condition=Within() as within):
                return Predicate(self.within(within), ())
            case Predicate(condition=Contains() as contains):
                return Predicate(Contains(contains.columns, self._name(contains.text)), ())
            case And():
                return And(tuple(self.condition(part) for part in condition.parts))
            case Or():
                return Or(tuple(self.condition(part) for part in condition.parts))
            case Not():
                return Not(self.condition(condition.part))
        raise TypeError(condition)
