"""The rules that rename a tag of customers, and tags in the segments that name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from regulars.core.errors import Rejected
from regulars.customers.search import index_terms
from regulars.customers.search.splitting import tag_terms
from regulars.customers.tags import TAG_KEY, TagRenaming
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import with_values
from regulars.segments import settings as tag_settings
from regulars.segments.commands import RenameTag, SegmentChange
from regulars.segments.expansion import as_value
from regulars.segments.problems import MAX_CHARACTERS
from regulars.segments.rules import count_characters, definitions_of, users_of
from regulars.segments.table import segments
from regulars.segments.values import QUERY_LENGTH
from regulars.segments.watching import require_evaluation
from regulars.store import Row

_SHOWN = ("segment_id", "name", "renamed")


def rename_tag(unit: CustomerUnitOfWork, command: RenameTag) -> dict[str, Any]:
    """Rename a tag of some customers. Return the number of changed customers, the last customer,
    whether others follow, and the segments that name the tag, with whether each was changed. A
    customer with much text can end the work early: then others follow. Customers that have been
    deleted are skipped."""
    changed_count, work = 0, 0
    renaming = TagRenaming(frozenset([command.tag_term]), command.new_name)
    for index, number in enumerate(command.customer_ids):
        row = unit.customer(number)
        if row is None:
            continue
        tags = renaming.apply(orjson.loads(row["tags"]))
        updated, _ = with_values(row, {"tags": tags}, ())
        work += index_terms.work_of(row, updated)
        if work > index_terms.MAX_BATCH_WORK and changed_count:
            return _result(changed_count, command.customer_ids[index - 1], has_next=True)
        changed_count += unit.save(row, updated, command) is not row
    last = command.customer_ids[-1] if command.customer_ids else None
    is_end = not command.has_next and command.renames_segments
    changes = rename_in_segments(unit, renaming, command.at) if is_end else []
    shown = [{name: change[name] for name in _SHOWN} for change in changes]
    return _result(changed_count, last, command.has_next, shown)


def _result(
    changed_count: int, last: int | None, has_next: bool, changed: Sequence[Any] = ()
) -> dict[str, Any]:
    return {
        "customers_count": changed_count,
        "last": last,
        "has_next": has_next,
        "segments": list(changed),
    }


def rename_in_segments(
    unit: CustomerUnitOfWork, renaming: TagRenaming, at: int
) -> list[SegmentChange]:
    """Rename tags in the segments whose queries have them as a whole. A segment whose query would
    be too long keeps it, and one that cannot be read. Return the segments that name the tags."""
    changes = []
    for row in unit.rows[segments].all():
        after = _renamed_columns(row, renaming)
        if after is not None and after["query"] != row["query"]:
            before = {name: row[name] for name in after}
            changes.append({"segment_id": row["segment_id"], "before": before, "after": after})
    return _save(unit, changes, at)


def restore_segments(
    unit: CustomerUnitOfWork, changes: Iterable[SegmentChange], at: int
) -> list[SegmentChange]:
    """Undo what was renamed in segments. One that was changed since stays as it is. Return the
    segments."""
    reverse = [
        {**each, "before": each["after"], "after": each["before"]}
        for each in changes
        if each["renamed"]
    ]
    return _save(unit, reverse, at)


def _save(
    unit: CustomerUnitOfWork, changes: Iterable[SegmentChange], at: int
) -> list[SegmentChange]:
    """Save changes of segments that still have the columns `before`. Return those of all segments
    that exist."""
    saved: list[SegmentChange] = []
    changed_ids: set[int] = set()
    for change in changes:
        before, after = change["before"], change["after"]
        row = unit.rows[segments].get(change["segment_id"])
        if row is None:
            continue
        is_present = all(row[name] == value for name, value in before.items())
        is_short = len(after["query"]) <= QUERY_LENGTH
        longer = sum(len(after[name] or "") - len(before[name] or "") for name in after)
        has_room = longer <= 0 or count_characters(unit) + longer <= MAX_CHARACTERS
        is_changed = is_present and is_short and has_room
        if is_changed:
            updated_at = max(at, row["updated_at"])
            unit.rows[segments].put({**row, **after, "updated_at": updated_at})
            changed_ids.add(row["segment_id"])
        saved.append({**change, "name": row["name"], "renamed": is_changed})
    definitions = definitions_of(unit)
    users = set().union(*(users_of(definitions, number) for number in changed_ids))
    require_evaluation(unit, users, at, announce=False)
    return saved


def _renamed_columns(row: Row, renaming: TagRenaming) -> Mapping[str, Any] | None:
    """Return the query and the settings of a segment with the new name; None if the query cannot be
    parsed."""
    if row["settings"]:
        settings = {
            part: {**condition, "tags": renaming.apply(condition["tags"])}
            for part, condition in tag_settings.load(row["settings"]).items()
        }
        return {"query": tag_settings.query_of(settings), "settings": tag_settings.dump(settings)}
    query = row["query"]
    try:
        bounds = tag_terms(query, renaming.terms)
    except Rejected:
        return None
    for start, end in reversed(bounds):
        query = f"{query[:start]}{TAG_KEY}:{as_value(renaming.new_name)}{query[end:]}"
    return {"query": query, "settings": None}
