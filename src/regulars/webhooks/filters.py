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
from regulars.core.text import did_you_mean, nearest
from regulars.customers import history
from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.parser import parse
from regulars.store import Row, Store, searches
from regulars.store.conditions import Condition, Parameters
from regulars.webhooks import payloads
from regulars.webhooks.values import CHANGES, TYPES

_PATH = ("node", "settings")
_LEADS, _CUSTOM, _OF_ORDER = "leads", "custom.", "order."


class Change(NamedTuple):
    """An entry of the history that may become an event. `fields` has its stored fields."""

    sequence: int
    customer_id: int
    kind: str
    fields: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """A setting that is a filter. `read` parses its value for a type of `types`, and raises
    Rejected if the value is invalid. The other functions get what it returns."""

    types: Collection[str]
    read: Callable[[Any, str], Any]


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


def _read_fields(value: Any, type_: str) -> list[str]:
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


def _read_query(value: Any, _type: str) -> Condition:
    path = (*_PATH, "query")
    if not isinstance(value, str) or not value.strip():
        message = "`query` must be a search, such as `country:MA`. Omit it to send everything."
        raise Rejected(InvalidInput(message, path))
    try:
        search = parse(value)
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


async def _select_matches(
    condition: Condition, store: Store, account_id: int, customer_ids: Sequence[int], now: int
) -> Collection[int]:
    parameters = Parameters(now)
    query = searches.matches_among(parameters.condition(condition))
    values = {**parameters.values, "account_id": account_id, "ids": customer_ids}
    return {row[0] for row in await store.fetch(query, values)}


def _read_include(value: Any, type_: str) -> list[str]:
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
FILTERS: Mapping[str, Filter] = {
    "fields": ChangeFilter(("contact/updated", "order/updated"), _read_fields, _changed),
    # After a deletion, no customer is left to meet a query.
    "query": CustomerFilter(
        tuple(name for name in _OF_CUSTOMERS if name != "contact/deleted"),
        _read_query,
        _select_matches,
    ),
    "include": BodyFilter(tuple(TYPES), _read_include, _include),
}


def filter_names(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings that are filters."""
    return [name for name in FILTERS if name in settings]


def find_misspelt(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem of an unknown setting whose name is similar to that of a known one."""
    known = (CHANGES, *FILTERS)
    for name in settings:
        near = None if name in known else nearest(name, known)
        if near:
            message = f"Unknown setting `{name[:50]}`. Did you mean `{near}`?"
            yield InvalidInput(message, (*_PATH, name))
            return


def check_filters(type_: str, settings: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the filters in the settings of a webhook."""
    problems: list[Problem] = []
    for name in filter_names(settings):
        try:
            _read(name, settings[name], type_)
        except Rejected as rejected:
            problems.extend(rejected.problems)
    return problems


def _read(name: str, value: Any, type_: str) -> Any:
    types = FILTERS[name].types
    if type_ not in types:
        message = (
            f"`{name}` cannot filter events of the type `{type_}`. Remove it, or use one of these "
            f"types: {', '.join(types)}."
        )
        raise Rejected(InvalidInput(message, (*_PATH, name)))
    return FILTERS[name].read(value, type_)


class WebhookFilters:
    """The filters of a webhook, ready to be evaluated. Raises Rejected if one is invalid."""

    def __init__(self, webhook: Row) -> None:
        settings = orjson.loads(webhook["settings"]) if webhook["filtered"] else {}
        self._values = [
            (FILTERS[name], _read(name, settings[name], webhook["type"]))
            for name in filter_names(settings)
        ]

    @property
    def are_of_changes(self) -> bool:
        """Whether some entries may become no events."""
        return any(not isinstance(filter_, BodyFilter) for filter_, _ in self._values)

    async def passing(
        self, store: Store, account_id: int, changes: Sequence[Change], now: int
    ) -> Sequence[Change]:
        """Return the entries that pass all filters at the time `now`. It runs one statement for
        each filter of customers."""
        for filter_, value in self._values:
            if isinstance(filter_, ChangeFilter):
                changes = [change for change in changes if filter_.passes(value, change)]
        for filter_, value in self._values:
            if isinstance(filter_, CustomerFilter) and changes:
                ids = sorted({change.customer_id for change in changes})
                selected = await filter_.select(value, store, account_id, ids, now)
                changes = [change for change in changes if change.customer_id in selected]
        return changes

    def limit(self, body: payloads.Body) -> payloads.Body:
        """Return what is sent of a body."""
        for filter_, value in self._values:
            if isinstance(filter_, BodyFilter):
                body = filter_.limit(value, body)
        return body
