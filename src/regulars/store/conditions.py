"""Conditions on customers: what a search asks, as the store understands it.

A condition is a tree of `And`, `Or` and `Not` over `Predicate`s. It is written down twice: with its
values, and as a shape, in which each value is the name of a parameter (`Parameters`), so that a
statement is built once for each shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

TERM = "term"  # the column of the terms; all other columns are the customers'


class RelativeValue(ABC):
    """A value that depends on the present."""

    __slots__ = ()

    @abstractmethod
    def at(self, now: int) -> Any:
        """The value at a moment, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Within:
    """A column's value lies between two bounds, either of which may be missing; the lower is
    included unless `above`, the higher if `through`. Each is served by an index."""

    column: str
    low: Any = None
    high: Any = None
    above: bool = False
    through: bool = False

    @property
    def one_value(self) -> bool:
        """Whether all that lies within has the same value, and so is in the order of ids."""
        return self.low is not None and self.low == self.high


def equal(column: str, value: Any) -> Within:
    """The column has this value."""
    return Within(column, value, value, through=True)


def beginning(column: str, prefix: str) -> Within:
    """The column's text begins with a prefix; with anything if that is empty."""
    return Within(column, prefix, _after(prefix))


def _after(prefix: str) -> str | None:
    """The least text, by code point, that is greater than all that begin with the prefix."""
    for place in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[place]) + 1
        if following <= 0x10FFFF:
            # The surrogates are no characters.
            following = 0xE000 if 0xD800 <= following <= 0xDFFF else following
            return prefix[:place] + chr(following)
    return None


@dataclass(frozen=True, slots=True)
class Contains:
    """One of the columns' texts has this text in it."""

    columns: tuple[str, ...]
    text: str


# Ranges that hold the customers whom any of them holds.
Union = tuple[Within, ...]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on a row, and the unions of ranges each of which holds every customer who meets
    it; and no other, if it is `exact`."""

    condition: Within | Contains
    unions: tuple[Union, ...]
    exact: bool = True

    @classmethod
    def of_column(cls, within: Within) -> Predicate:
        """A range of one of the customers' columns that have an index."""
        return cls(within, ((within,),))


@dataclass(frozen=True, slots=True)
class And:
    """Every part is met; always, if there is none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part is met; never, if there is none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not met."""

    part: Condition


Condition = Predicate | And | Or | Not


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """The parts that all have to be met."""
    if isinstance(condition, And):
        return tuple(part for each in condition.parts for part in conjuncts(each))
    return (condition,)


def unions(condition: Condition) -> list[Union]:
    """The unions of ranges each of which holds every customer that meets the condition; none for
    one that no index serves."""
    match condition:
        case Predicate():
            return list(condition.unions)
        case And():
            return [union for part in condition.parts for union in unions(part)]
        case Or() if condition.parts:
            each = [unions(part) for part in condition.parts]
            if all(each):
                return [tuple(dict.fromkeys(w for found in each for w in found[0]))]
    return []


def exact_union(condition: Condition) -> Union | None:
    """The union of ranges that holds those customers who meet the condition, and no other."""
    match condition:
        case Predicate() if condition.exact:
            return condition.unions[0]
        case Or() if condition.parts:
            each = [exact_union(part) for part in condition.parts]
            if all(each):
                return tuple(dict.fromkeys(within for union in each if union for within in union))
    return None


def columns_of(condition: Condition) -> set[str]:
    """The customers' columns that a condition reads."""
    match condition:
        case Predicate(condition=Within(column=column)):
            return {column}
        case Predicate(condition=Contains(columns=columns)):
            return set(columns)
        case And() | Or():
            return set().union(*(columns_of(part) for part in condition.parts))
        case Not():
            return columns_of(condition.part)
    raise TypeError(condition)


class Parameters:
    """The values of shapes at a moment, by the names that stand for them there."""

    def __init__(self, now: int) -> None:
        self._now = now
        self.values: dict[str, Any] = {}

    def _name(self, value: Any) -> str:
        name = f"p{len(self.values)}"
        self.values[name] = value.at(self._now) if isinstance(value, RelativeValue) else value
        return name

    def within(self, within: Within) -> Within:
        """A range's shape. Two bounds that are one value stay one."""
        low = None if within.low is None else self._name(within.low)
        if within.one_value:
            return replace(within, low=low, high=low)
        high = None if within.high is None else self._name(within.high)
        return replace(within, low=low, high=high)

    def union(self, union: Union) -> Union:
        """A union's shape."""
        return tuple(self.within(within) for within in union)

    def condition(self, condition: Condition) -> Condition:
        """A condition's shape, without the unions."""
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
