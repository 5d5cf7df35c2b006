"""The rules of writes to segments: create, update and delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.core.errors import InvalidInput, InvalidQuery, Problem, Rejected
from regulars.customers.search.parser import MAX_TERMS
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.segments import settings as tag_settings
from regulars.segments import watching
from regulars.segments.commands import CreateSegment, DeleteSegments, UpdateSegment
from regulars.segments.definitions import Definition, Definitions
from regulars.segments.expansion import LANGUAGE, Expansion, references, rename, uses_segments
from regulars.segments.problems import (
    MAX_CHARACTERS,
    MAX_SEGMENTS,
    DuplicateSegment,
    LargeSegments,
    SegmentInUse,
    SegmentNotFound,
    SegmentUser,
    TooManySegments,
)
from regulars.segments.queries import DELETE_MEMBERSHIPS
from regulars.segments.table import COUNTER, segments
from regulars.store import Row
from regulars.store.tables import webhooks
from regulars.store.unit_of_work import Savepoint
from regulars.webhooks import segment_use
from regulars.webhooks.filters import check_filters

_QUERY = ("node", "query")
_NAME = ("node", "name")


def create(unit: CustomerUnitOfWork, command: CreateSegment) -> Row:
    """Create a segment and return its row. Raises Rejected."""
    values, problems = command.values, list(command.problems)
    if "name" not in values and not any(p.input_path == _NAME for p in problems):
        problems.append(InvalidInput("A segment needs a name. Pass `name`.", _NAME))
    problems += _duplicates(unit, values, None)
    if not problems and len(unit.rows[segments].all()) >= MAX_SEGMENTS:
        problems.append(TooManySegments())
    if not problems and values.get("watched"):
        problems += watching.check_count(unit)
    if problems:
        raise Rejected(*problems)
    savepoint = unit.savepoint()
    row = {
        "account_id": unit.account_id,
        "segment_id": unit.next_id(COUNTER),
        "description": "",
        **values,
        **_query_columns(None, values),
        "created_at": command.at,
        "updated_at": command.at,
        **watching.NOT_WATCHED,
        "claimed_by": None,
        "claimed_until": 0,
    }
    if values.get("watched"):
        row |= watching.watch_columns(unit, command.at, command.announce)
    return _save(unit, command, row, None, savepoint)


def update(unit: CustomerUnitOfWork, command: UpdateSegment) -> Row:
    """Update a segment and return its row. Raises Rejected."""
    row = unit.rows[segments].get(command.segment_id)
    if row is None:
        raise Rejected(SegmentNotFound([command.id_text], ("id",)), *command.problems)
    values, problems = command.values, list(command.problems)
    problems += _duplicates(unit, values, row["segment_id"])
    new_settings = values.get("settings")
    is_emptied = new_settings is not None and not tag_settings.has_tags(new_settings)
    if is_emptied and row["settings"] is None and not problems:
        message = "This segment is defined by a query. Pass `query` to change it."
        problems.append(InvalidInput(message, ("node", "settings")))
    is_newly_watched = values.get("watched", False) and not row["watched"]
    if is_newly_watched and not problems:
        problems += watching.check_count(unit)
    if row["watched"] and not values.get("watched", True):
        problems += _watchers(unit, row)
    if problems:
        raise Rejected(*problems)
    changed = {**row, **values, **_query_columns(row, values)}
    if changed == row:
        return row
    changed["updated_at"] = max(command.at, row["updated_at"])
    if is_newly_watched:
        changed |= watching.watch_columns(unit, command.at, command.announce)
    elif row["watched"] and not changed["watched"]:
        changed |= watching.NOT_WATCHED
    saved = _save(unit, command, changed, row, unit.savepoint())
    if is_newly_watched:
        unit.run(DELETE_MEMBERSHIPS, watched_segments=[row["segment_id"]])
    if saved["query"] != row["query"]:
        users = users_of(definitions_of(unit), row["segment_id"])
        watching.require_evaluation(unit, users, command.at, command.announce)
    return unit.rows[segments].get(row["segment_id"]) or saved


def _watchers(unit: CustomerUnitOfWork, row: Row) -> list[Problem]:
    """Return the problem of webhooks that need a segment to be watched."""
    definitions, number = definitions_of(unit), row["segment_id"]
    users = [
        segment_use.as_user(webhook)
        for webhook in _webhooks(unit)
        if number in segment_use.listed_segments(webhook, definitions)
    ]
    return [SegmentInUse(row["name"], users, ("node", "watched"))] if users else []


def delete(unit: CustomerUnitOfWork, command: DeleteSegments) -> list[int]:
    """Delete segments and return their `_id`s. Raises Rejected, with nothing deleted."""
    rows = unit.rows[segments]
    missing = [text for text, number in command.segments if rows.get(number) is None]
    if missing:
        raise Rejected(SegmentNotFound(missing, ("items",)))
    ids = [number for _, number in command.segments if number is not None]
    definitions = definitions_of(unit)
    users: dict[int, list[SegmentUser]] = {}
    for each in definitions:
        used = () if each.segment_id in ids else _used_ids(definitions, each.query)
        for number in used:
            users.setdefault(number, []).append(SegmentUser.of(each))
    for webhook in _webhooks(unit):
        for number in segment_use.used_segments(webhook, definitions):
            users.setdefault(number, []).append(segment_use.as_user(webhook))
    problems = [
        SegmentInUse(each.name, users[each.segment_id])
        for each in definitions
        if each.segment_id in ids and each.segment_id in users
    ]
    if problems:
        raise Rejected(*problems)
    for number in dict.fromkeys(ids):
        rows.delete(number)
    return ids


def users_of(definitions: Definitions, segment_id: int) -> set[int]:
    """Return a segment and those that use it, also through others."""
    used_by = {each.segment_id: _used_ids(definitions, each.query) for each in definitions}
    users, found = {segment_id}, {segment_id}
    while found:
        found = {user for user, used in used_by.items() if used & found} - users
        users |= found
    return users


def _used_ids(definitions: Definitions, query: str) -> set[int]:
    """Return the `_id`s of the segments that a query names."""
    used = [definitions.find(reference.value) for reference in references(query)]
    return {each.segment_id for each in used if each is not None}


def _duplicates(
    unit: CustomerUnitOfWork, values: Mapping[str, Any], segment_id: int | None
) -> list[Problem]:
    """Return the problem of a name that another segment has."""
    holder = unit.rows[segments].find(("name_key",), values.get("name_key"))
    if holder is None or holder == segment_id:
        return []
    row = unit.rows[segments].get(holder)
    assert row is not None
    return [DuplicateSegment(row["name"])]


def _query_columns(row: Row | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the query after a write: that of the input, that of the settings with
    the parts of the input, or nothing if neither is in the input of an update."""
    if "query" in values:
        return {"query": values["query"].strip(), "settings": None, "language": LANGUAGE}
    if row is not None and "settings" not in values:
        return {}
    stored = tag_settings.load(row["settings"]) if row else tag_settings.EMPTY
    merged = {**stored, **values.get("settings", {})}
    query = tag_settings.query_of(merged)
    return {"query": query, "settings": tag_settings.dump(merged), "language": LANGUAGE}


def _save(
    unit: CustomerUnitOfWork,
    command: CreateSegment | UpdateSegment,
    row: Row,
    before: Row | None,
    savepoint: Savepoint,
) -> Row:
    """Save a new or changed segment, and return its row. Queries that name it keep their meaning.
    Its own query must be readable, and no segment that uses it may become unreadable."""
    old_definitions, old_size = definitions_of(unit), count_characters(unit)
    unit.rows[segments].put(row)
    written = command.values.get("query")
    if before is None or before["name"] != row["name"]:
        _rewrite_references(unit, old_definitions, row["segment_id"] if written else None)
    try:
        if old_size < (size := count_characters(unit)) and size > MAX_CHARACTERS:
            raise Rejected(LargeSegments())
        definitions = definitions_of(unit)
        if written:
            _check_query(definitions, row, written)
        if before is not None and before["query"] != row["query"]:
            _check_users(unit, old_definitions, definitions, row)
    except Rejected:
        unit.roll_back(savepoint)
        raise
    saved = unit.rows[segments].get(row["segment_id"])
    assert saved is not None
    return saved


def _check_query(definitions: Definitions, row: Row, query: str) -> None:
    """Check the query in the input, in which the positions of errors count. Raises Rejected."""
    written = Definition(row["segment_id"], row["name"], query)
    try:
        Expansion(definitions.replace(written)).parse(written, MAX_TERMS)
    except Rejected as rejection:
        problems = [p.at(_QUERY) if isinstance(p, InvalidQuery) else p for p in rejection.problems]
        raise Rejected(*problems) from rejection


def _check_users(
    unit: CustomerUnitOfWork, before: Definitions, after: Definitions, row: Row
) -> None:
    """Raise Rejected if a segment or a filter that can be read cannot be read after a change of a
    segment."""
    readable, still_readable = Expansion(before), Expansion(after)
    for each in after:
        is_user = each.segment_id != row["segment_id"] and uses_segments(each.query)
        if not is_user or _problem(readable, each):
            continue
        problem = _problem(still_readable, each)
        if problem:
            raise _unreadable(f'segment "{each.name[:100]}"', problem)
    for webhook in _webhooks(unit):
        if _filter_problem(readable, webhook) is None:
            problem = _filter_problem(still_readable, webhook)
            if problem:
                raise _unreadable(segment_use.as_user(webhook).label, problem)


def _unreadable(user: str, problem: str) -> Rejected:
    message = f"The {user} uses this one. {problem}"
    return Rejected(InvalidQuery(message, 0, "fewer terms or segments").at(_QUERY))


def _filter_problem(expansion: Expansion, webhook: Row) -> str | None:
    problems = check_filters(webhook["type"], orjson.loads(webhook["settings"]), expansion)
    return problems[0].message if problems else None


def _problem(expansion: Expansion, definition: Definition) -> str | None:
    try:
        expansion.condition(definition)
    except Rejected as rejection:
        return rejection.problems[0].message
    return None


def _rewrite_references(
    unit: CustomerUnitOfWork, before: Definitions, written_id: int | None
) -> None:
    """Rewrite the references that would mean another segment after a change of names, or none. A
    query that was just written (that of `written_id`) means what it says."""
    after = definitions_of(unit)

    def new_value(value: str) -> str | None:
        meant, found = before.find(value), after.find(value)
        if meant is None or (found and found.segment_id == meant.segment_id):
            return None
        renamed = after.get(meant.segment_id)
        return renamed.name if renamed else None

    for row in unit.rows[segments].all():
        if row["segment_id"] != written_id:
            query = rename(row["query"], new_value)
            if query != row["query"]:
                unit.rows[segments].put({**row, "query": query})
    for webhook in _webhooks(unit):
        settings = segment_use.renamed_settings(webhook, new_value)
        if settings is not None:
            unit.rows[webhooks].put({**webhook, "settings": settings}, {"settings"})


def count_characters(unit: CustomerUnitOfWork) -> int:
    """Return the number of characters of all segments."""
    names = ("name", "description", "query", "settings")
    return sum(len(row[name] or "") for row in unit.rows[segments].all() for name in names)


def definitions_of(unit: CustomerUnitOfWork) -> Definitions:
    return Definitions.of_rows(unit.rows[segments].all())


def _webhooks(unit: CustomerUnitOfWork) -> list[Row]:
    """Return the webhooks that may use segments."""
    return segment_use.with_segments(unit.rows[webhooks].all())
