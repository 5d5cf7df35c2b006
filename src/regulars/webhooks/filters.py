"""The filters of webhooks: settings that limit which events are sent, and what a body contains.

`FILTERS` declares each filter once. Its class says when it is evaluated: a `ChangeFilter` reads the
entry of the history, a `CustomerFilter` reads customers with one statement for a batch of entries,
and a `BodyFilter` changes the body. Several filters of a webhook are combined with AND.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from regulars.core.errors import InvalidInput, InvalidQuery, Problem, Rejected
from regulars.core.limits import DEFAULTS
from regulars.core.text import did_you_mean, nearest
from regulars.customers import history
from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.parser import check_text, parse, parse_text
from regulars.segments.expansion import Expansion, uses_segments
from regulars.segments.queries import customers_known_in
from regulars.store import Store, searches
from regulars.store.conditions import Condition, Parameters
from regulars.webhooks import payloads
from regulars.webhooks.segment_use import QUERY, SEGMENTS, read_segments
from regulars.webhooks.values import CHANGES, TYPES

_PATH = ("node", "settings")
_LEADS, _CUSTOM, _OF_ORDER = "leads", "custom.", "order."


class Change(NamedTuple):
    """An entry of the history that may become an event. `fields` has its stored fields."""

    sequence: int
    customer_id: int
    kind: str
    fields: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """A setting that is a filter. `read` parses its value for a type of `types`, with the segments
    of the account, and raises Rejected if the value is invalid. The other functions get what it
    returns."""

    types: Collection[str]
    read: Callable[[Any, str, Expansion], Any]


@dataclass(frozen=True, slots=True)
class ChangeFilter(Filter):
    """A filter of entries: `passes` returns whether an entry becomes an event."""

    passes: Callable[[Any, Change], bool]


@dataclass(frozen=True, slots=True)
class CustomerFilter(Filter):
    """A filter of customers: `select` returns which of the ids in an account pass at a time, in
    milliseconds since 1970. It runs one statement."""

    select: Callable[[Any, Store, int, Sequence[int], int], Awaitable[Collection[int]]]


@dataclass(frozen=True, slots=True)
class BodyFilter(Filter):
    """A filter of bodies: `limit` returns what is sent of a body."""

    limit: Callable[[Any, payloads.Body], payloads.Body]


def _read_names(name: str, value: Any, names: Collection[str]) -> list[str]:
    """Return a list of names. A key of `custom.` is valid if `names` has that."""
    path = (*_PATH, name)
    if not isinstance(value, list) or not value or not all(isinstance(n, str) for n in value):
        message = f"`{name}` must be a list of one or more names. Omit it to send everything."
        raise Rejected(InvalidInput(message, path))
    for index, word in enumerate(value):
        if word == _CUSTOM:
            message = f"`{_CUSTOM}` needs a key, such as `{_CUSTOM}loyalty`. Add one."
            raise Rejected(InvalidInput(message, (*path, index)))
        if word not in names and not (word.startswith(_CUSTOM) and _CUSTOM in names):
            hint = did_you_mean(word, names)
            if _OF_ORDER + word in names:
                hint = f" Did you mean `{_OF_ORDER}{word}`?"
            supported = ", ".join(n + "KEY" if n == _CUSTOM else n for n in names)
            message = f"`{name}` does not support `{word[:50]}`.{hint} Supported: {supported}."
            raise Rejected(InvalidInput(message, (*path, index)))
    return value


def _read_fields(value: Any, type_: str, _segments: Expansion) -> list[str]:
    of_customer = (*history.FIELD_NAMES, _CUSTOM)
    of_order = (*(_OF_ORDER + name for name in history.ORDER_FIELD_NAMES), *of_customer)
    names = of_order if type_.startswith("order/") else (*of_customer, _LEADS)
    return _read_names("fields", value, names)


def _changed(names: Sequence[str], change: Change) -> bool:
    """Return whether an entry changed one of the fields."""
    if change.kind == history.LEAD_CREATED and _LEADS in names:
        return True
    pairs: dict[str, Any] = orjson.loads(change.fields) if change.fields else {}
    if not pairs.keys().isdisjoint(names):
        return True
    before, after = (value or {} for value in pairs.get("custom", ({}, {})))
    keys = [name.removeprefix(_CUSTOM) for name in names if name.startswith(_CUSTOM)]
    return any((key in before, before.get(key)) != (key in after, after.get(key)) for key in keys)


def _read_query(value: Any, _type: str, segments: Expansion) -> Condition:
    path = (*_PATH, QUERY)
    if not isinstance(value, str) or not value.strip():
        message = "`query` must be a search, such as `country:MA`. Omit it to send everything."
        raise Rejected(InvalidInput(message, path))
    try:
        check_text(value, DEFAULTS.search_characters)
        search = parse_text(value, segments).search if uses_segments(value) else parse(value)
    except Rejected as rejected:
        problems = (p.at(path) for p in rejected.problems if isinstance(p, InvalidQuery))
        raise Rejected(*problems) from None
    if search.ordered:
        message = (
            "`query` cannot have `order_by:` or `order_dir:`, because events are sent in the order "
            "of the history. Remove them."
        )
        raise Rejected(InvalidInput(message, path))
    return search.condition or ALWAYS


def _read_any_segment(value: Any, _type: str, segments: Expansion) -> Condition:
    found = read_segments(value, segments.definitions)
    try:
        return segments.any_of(found)
    except Rejected as rejection:
        message = rejection.problems[0].message
        raise Rejected(InvalidInput(message, (*_PATH, SEGMENTS))) from rejection


def _read_segment_ids(value: Any, _type: str, segments: Expansion) -> list[int]:
    return [each.segment_id for each in read_segments(value, segments.definitions)]


def _is_of_segment(segment_ids: Collection[int], change: Change) -> bool:
    """Return whether an entry says that a customer entered or left one of the segments."""
    return history.segment_of(change.cause) in segment_ids


async def _select_known(
    segment_ids: Sequence[int], store: Store, account_id: int, customer_ids: Sequence[int], _: int
) -> Collection[int]:
    values = {"account_id": account_id, "ids": customer_ids, "segment_ids": segment_ids}
    return {row[0] for row in await store.fetch(customers_known_in(), values)}


async def _select_matches(
    condition: Condition, store: Store, account_id: int, customer_ids: Sequence[int], now: int
) -> Collection[int]:
    parameters = Parameters(now)
    query = searches.matches_among(parameters.condition(condition))
    values = {**parameters.values, "account_id": account_id, "ids": customer_ids}
    return {row[0] for row in await store.fetch(query, values)}


def _read_include(value: Any, type_: str, _segments: Expansion) -> list[str]:
    return _read_names("include", value, payloads.example_body(type_)["node"].keys())


def _include(names: Sequence[str], body: payloads.Body) -> payloads.Body:
    """Return a body with these keys. Those of `changes` may have the prefix of an order. The
    segment stays whole."""
    return {
        part: values
        if part == payloads.SEGMENT
        else {key: value for key, value in values.items() if key.removeprefix(_OF_ORDER) in names}
        for part, values in body.items()
    }


_OF_CUSTOMERS = tuple(
    name for name in TYPES if name.startswith(("contact/", "order/", payloads.OF_SEGMENT))
)
# After a deletion, no customer is left to meet a query.
_OF_DELETED = ("contact/deleted",)
_OF_STORED = tuple(name for name in _OF_CUSTOMERS if name not in _OF_DELETED)
_OF_ENTRIES = tuple(name for name in TYPES if name.startswith(payloads.OF_SEGMENT))
_OF_MEMBERS = tuple(name for name in _OF_STORED if name not in _OF_ENTRIES)
# For each setting, the filters of different types.
FILTERS: Mapping[str, Sequence[Filter]] = {
    "fields": [ChangeFilter(("contact/updated", "order/updated"), _read_fields, _changed)],
    QUERY: [CustomerFilter(_OF_STORED, _read_query, _select_matches)],
    SEGMENTS: [
        CustomerFilter(_OF_MEMBERS, _read_any_segment, _select_matches),
        CustomerFilter(_OF_DELETED, _read_segment_ids, _select_known),
        ChangeFilter(_OF_ENTRIES, _read_segment_ids, _is_of_segment),
    ],
    "include": [BodyFilter(tuple(TYPES), _read_include, _include)],
}


def filter_names(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings that are filters. Clients of the imitated API send an empty
    list of segments for all customers."""
    return [
        name
        for name in FILTERS
        if name in settings and not (name == SEGMENTS and settings[name] == [])
    ]


def find_misspelt(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem of an unknown setting whose name is similar to that of a known one."""
    known = (CHANGES, *FILTERS)
    for name in settings:
        near = None if name in known else nearest(name, known)
        if near:
            message = f"Unknown setting `{name[:50]}`. Did you mean `{near}`?"
            yield InvalidInput(message, (*_PATH, name))
            return


def check_filters(type_: str, settings: Mapping[str, Any], segments: Expansion) -> list[Problem]:
    """Return the problems of the filters in the settings of a webhook."""
    problems: list[Problem] = []
    for name in filter_names(settings):
        try:
            read_filter(name, settings[name], type_, segments)
        except Rejected as rejected:
            problems.extend(rejected.problems)
    return problems


def read_filter(name: str, value: Any, type_: str, segments: Expansion) -> tuple[Filter, Any]:
    """Return the filter of a setting for events of a type, and what it has read of the value.
    Raises Rejected."""
    for filter_ in FILTERS[name]:
        if type_ in filter_.types:
            return filter_, filter_.read(value, type_, segments)
    supported = [type_ for filter_ in FILTERS[name] for type_ in filter_.types]
    message = (
        f"`{name}` cannot filter events of the type `{type_}`. Remove it, or use one of these "
        f"types: {', '.join(sorted(supported, key=list(TYPES).index))}."
    )
    raise Rejected(InvalidInput(message, (*_PATH, name)))
