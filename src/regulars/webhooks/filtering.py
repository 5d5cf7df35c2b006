"""Filtering the events of a webhook and their bodies.

Filters are read once for equal settings. Those that use segments are read each time, because a
change of a segment applies to the next event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from regulars.segments.definitions import Definitions
from regulars.segments.expansion import Expansion
from regulars.segments.searching import load_definitions, run_with
from regulars.store import Row, Store
from regulars.webhooks import payloads
from regulars.webhooks.filters import (
    FILTERS,
    BodyFilter,
    Change,
    ChangeFilter,
    CustomerFilter,
    Filter,
    filter_names,
    read_filter,
)
from regulars.webhooks.segment_use import can_use_segments

_NO_SEGMENTS = Expansion(Definitions())
# Settings whose parsed filters are stored. They have at most 4 KB.
_CACHED = 1_000


class EventFilters:
    """The filters that decide which entries become events of a webhook. Raises Rejected if one of
    the settings is invalid."""

    def __init__(self, type_: str, settings: str, segments: Expansion) -> None:
        self._filters = [
            each
            for each in _read_all(type_, orjson.loads(settings), segments)
            if not isinstance(each[0], BodyFilter)
        ]

    async def passing(
        self, store: Store, account_id: int, changes: Sequence[Change], now: int
    ) -> Sequence[Change]:
        """Return the entries that pass all filters at the time `now`. It runs one statement for
        each filter of customers."""
        for filter_, value in self._filters:
            if isinstance(filter_, ChangeFilter):
                changes = [change for change in changes if filter_.passes(value, change)]
        for filter_, value in self._filters:
            if isinstance(filter_, CustomerFilter) and changes:
                ids = sorted({change.customer_id for change in changes})
                selected = await filter_.select(value, store, account_id, ids, now)
                changes = [change for change in changes if change.customer_id in selected]
        return changes


def _read_all(
    type_: str, settings: Mapping[str, Any], segments: Expansion
) -> list[tuple[Filter, Any]]:
    names = filter_names(settings)
    return [read_filter(name, settings[name], type_, segments) for name in names]


@lru_cache(maxsize=_CACHED)
def _without_segments(type_: str, settings: str) -> EventFilters:
    return EventFilters(type_, settings, _NO_SEGMENTS)


async def event_filters(store: Store, webhook: Row) -> EventFilters:
    """Return the filters of events of a webhook that has filters. Raises Rejected if one is
    invalid, or uses a segment that cannot be read now."""
    type_, settings = webhook["type"], webhook["settings"]
    if not can_use_segments(settings):
        return _without_segments(type_, settings)
    found = await load_definitions(store, webhook["account_id"])
    queries = (each.query for each in found)
    return await run_with(queries, lambda: EventFilters(type_, settings, Expansion(found)))


@lru_cache(maxsize=_CACHED)
def _body_filters(type_: str, settings: str) -> list[tuple[BodyFilter, Any]]:
    parsed = orjson.loads(settings)
    names = [name for name in filter_names(parsed) if isinstance(FILTERS[name][0], BodyFilter)]
    of_bodies = {name: parsed[name] for name in names}
    filters = _read_all(type_, of_bodies, _NO_SEGMENTS)
    return [(each, value) for each, value in filters if isinstance(each, BodyFilter)]


def limit_body(webhook: Row, body: payloads.Body) -> payloads.Body:
    """Return what a webhook sends of a body. Raises Rejected if a filter of bodies is invalid."""
    if webhook["filtered"]:
        for filter_, value in _body_filters(webhook["type"], webhook["settings"]):
            body = filter_.limit(value, body)
    return body
