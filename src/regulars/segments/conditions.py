"""The conditions of watched segments, ready to be evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regulars.core.errors import Rejected
from regulars.segments.definitions import Definition, Definitions
from regulars.segments.expansion import Expansion
from regulars.segments.searching import run_with
from regulars.store import QueryExecutor, searches
from regulars.store.conditions import (
    And,
    Condition,
    Contains,
    Not,
    Or,
    Parameters,
    Predicate,
    RelativeValue,
    Within,
)

_DIGEST_CHARACTERS = 32
_MAX_CACHED = 100
# Of a statement, unless a single condition has more.
_MAX_PREDICATES = 500


class WatchedCondition(NamedTuple):
    """The condition of a segment, a hash of it, and whether it depends on the time."""

    condition: Condition
    digest: str
    is_relative: bool


def conditions_of(
    definitions: Sequence[Definition], segment_ids: Collection[int]
) -> Mapping[int, WatchedCondition]:
    """Return the conditions of segments, but for those that cannot be read."""
    by_id = Definitions(definitions)
    expansion = Expansion(by_id)
    conditions = {}
    for segment_id in segment_ids:
        definition = by_id.get(segment_id)
        if definition is None:
            continue
        try:
            condition = expansion.condition(definition)
        except Rejected:
            continue
        # The values of a condition are texts, numbers and times before now.
        digest = hashlib.sha256(repr(condition).encode()).hexdigest()[:_DIGEST_CHARACTERS]
        conditions[segment_id] = WatchedCondition(condition, digest, _is_relative(condition))
    return conditions


class ConditionCache:
    """The conditions of accounts, until their segments change."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Mapping[int, WatchedCondition]]] = {}

    async def conditions_of(
        self, account_id: int, definitions: Sequence[Definition], segment_ids: Collection[int]
    ) -> Mapping[int, WatchedCondition]:
        """Return the conditions of segments, but for those that cannot be read."""
        key = (list(definitions), frozenset(segment_ids))
        known = self._known.get(account_id)
        if known is None or known[0] != key:
            queries = [each.query for each in definitions]
            found = await run_with(queries, lambda: conditions_of(definitions, segment_ids))
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            known = self._known[account_id] = (key, found)
        return known[1]


def _is_relative(condition: Condition) -> bool:
    match condition:
        case Predicate(condition=Within() as within):
            return any(isinstance(value, RelativeValue) for value in (within.low, within.high))
        case Predicate(condition=Contains()):
            return False
        case And() | Or():
            return any(map(_is_relative, condition.parts))
        case Not():
            return _is_relative(condition.part)
    raise TypeError(condition)


async def matches_among(
    store: QueryExecutor,
    account_id: int,
    conditions: Sequence[Condition],
    customer_ids: Collection[int],
    now: int,
) -> list[set[int]]:
    """Return for each condition which customers meet it at the time `now`. Each statement reads the
    customers once for many conditions."""
    matches: list[set[int]] = []
    for group in _groups(conditions):
        parameters = Parameters(now)
        query = searches.matches_of_each(tuple(parameters.condition(each) for each in group))
        values = {**parameters.values, "account_id": account_id, "ids": list(customer_ids)}
        rows = await store.fetch(query, values)
        matches += [{row[0] for row in rows if row[n + 1]} for n in range(len(group))]
    return matches


def _groups(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """Yield the conditions in groups, each for one statement."""
    group: list[Condition] = []
    size = 0
    for condition in conditions:
        group_size, size = size, size + _count_predicates(condition)
        if group and size > _MAX_PREDICATES:
            yield group
            group, size = [], size - group_size
        group.append(condition)
    if group:
        yield group


def _count_predicates(condition: Condition) -> int:
    match condition:
        case And() | Or():
            return sum(map(_count_predicates, condition.parts))
        case Not():
            return _count_predicates(condition.part)
    return 1
