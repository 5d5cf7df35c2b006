"""The segments that the filters of webhooks use: `segment:NAME` in `query`, and `segments_uids`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from regulars.core.errors import InputPath, InvalidInput, Problem, Rejected
from regulars.core.ids import encoder, number_of
from regulars.core.text import nearest
from regulars.segments.definitions import TYPE, Definition, Definitions
from regulars.segments.expansion import references, rename, uses_segments
from regulars.segments.problems import SegmentUser
from regulars.store import LoadedRows, Row
from regulars.store.entity import Load
from regulars.store.queries import WHOLE_WEBHOOK, columns_named, of_account
from regulars.store.query import Query, position_in
from regulars.store.tables import webhooks

QUERY, SEGMENTS = "query", "segments_uids"
MAX_SEGMENTS = 20
# Segments in a message.
_LISTED = 10
_PATH = ("node", "settings", SEGMENTS)


def can_use_segments(settings: str) -> bool:
    """Return whether stored settings may use segments. A backslash in the key is ignored, as in
    `uses_segments`."""
    return "segment" in settings.replace("\\", "")


@cache
def _webhooks_of_segments() -> Query:
    """The webhooks of the account whose filters may use segments, whole."""
    settings = sa.func.replace(webhooks.c.settings, "\\", "")
    can_use = position_in(settings, sa.literal("segment")) > sa.literal_column("0")
    rows = sa.select(*columns_named(webhooks, WHOLE_WEBHOOK)).where(of_account(webhooks), can_use)
    return Query(rows.where(webhooks.c.filtered.is_(sa.true())))


def _split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {"webhooks": [dict(zip(WHOLE_WEBHOOK, row, strict=True)) for row in rows]}


LOAD = Load(("segment_webhooks",), _webhooks_of_segments, _split)


def with_segments(rows: Iterable[Row]) -> list[Row]:
    """Return the webhooks whose filters may use segments."""
    return [row for row in rows if row["filtered"] and can_use_segments(row["settings"])]


def query_of(settings: Mapping[str, Any]) -> str:
    """Return the query in the settings of a webhook if it may use segments, or an empty text."""
    query = settings.get(QUERY)
    return query if isinstance(query, str) and uses_segments(query) else ""


def find_segment(definitions: Definitions, id_: Any) -> Definition | None:
    """Return the segment with an id in `segments_uids`: a global id or an `_id`. None if there is
    none."""
    number = number_of(str(id_), TYPE) if isinstance(id_, str | int) else None
    return None if number is None else definitions.get(number)


def read_segments(value: Any, definitions: Definitions) -> list[Definition]:
    """Return the segments of `segments_uids`. Raises Rejected if it is no list of ids, or has
    unknown ones."""
    if not isinstance(value, list):
        message = f"`{SEGMENTS}` must be a list of ids of segments. Omit it to send everything."
        raise Rejected(InvalidInput(message, _PATH))
    if len(value) > MAX_SEGMENTS:
        message = f"`{SEGMENTS}` has {len(value):,} ids; the maximum is {MAX_SEGMENTS}."
        raise Rejected(InvalidInput(message, _PATH))
    found = [find_segment(definitions, id_) for id_ in value]
    problems = [
        _unknown_segment(definitions, value[index], (*_PATH, index))
        for index, definition in enumerate(found)
        if definition is None
    ]
    if problems:
        raise Rejected(*problems)
    return [definition for definition in found if definition is not None]


def _unknown_segment(definitions: Definitions, id_: Any, path: InputPath) -> Problem:
    """Return the problem of an id that no segment has. A name is a mistake that is easily made."""
    ids = {each.name: encoder(TYPE)([each.segment_id])[0] for each in definitions}
    text = str(id_)[:50]
    named = definitions.find(text)
    name = named.name if named else nearest(text, ids)
    hint = f' Did you mean `{ids[name]}` ("{name[:50]}")?' if name else ""
    listed = ", ".join(f'`{each}` ("{name[:50]}")' for name, each in list(ids.items())[:_LISTED])
    more = ", …" if len(ids) > _LISTED else ""
    existing = f" Segments: {listed}{more}." if ids else " Create a segment first."
    return InvalidInput(f"No segment has the id `{text}`.{hint}{existing}", path)


def used_segments(webhook: Row, definitions: Definitions) -> set[int]:
    """Return the `_id`s of the segments that the filters of a webhook use."""
    query = query_of(orjson.loads(webhook["settings"]))
    used = [definitions.find(reference.value) for reference in references(query)]
    return {each.segment_id for each in used if each} | listed_segments(webhook, definitions)


def listed_segments(webhook: Row, definitions: Definitions) -> set[int]:
    """Return the `_id`s of the segments in `segments_uids` of a webhook."""
    ids = orjson.loads(webhook["settings"]).get(SEGMENTS)
    found = [find_segment(definitions, id_) for id_ in ids] if isinstance(ids, list) else []
    return {each.segment_id for each in found if each}


def as_user(webhook: Row) -> SegmentUser:
    """Return a webhook as a user of segments. Its URL is not named, because it can contain
    secrets."""
    number, type_ = webhook["webhook_id"], webhook["type"]
    return SegmentUser("Webhook", number, type_, f"webhook {number} (`{type_}`)")


def renamed_settings(webhook: Row, new_value: Callable[[str], str | None]) -> str | None:
    """Return the settings of a webhook with other values of `segment:`, as `rename` does; None if
    nothing changes."""
    settings = orjson.loads(webhook["settings"])
    query = query_of(settings)
    new_query = rename(query, new_value)
    if new_query == query:
        return None
    return orjson.dumps({**settings, QUERY: new_query}).decode()
