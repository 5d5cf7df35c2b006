"""The rule that renames a tag of customers, and in the segments that name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.core.errors import Rejected
from regulars.customers.search import index_terms
from regulars.customers.search.search_document import TAG_KEYS, make_facet
from regulars.customers.search.splitting import tag_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import with_values
from regulars.segments import settings as tag_settings
from regulars.segments.commands import RenameTag
from regulars.segments.expansion import as_value
from regulars.segments.problems import MAX_CHARACTERS
from regulars.segments.rules import count_characters, definitions_of, users_of
from regulars.segments.table import segments
from regulars.segments.values import QUERY_LENGTH
from regulars.segments.watching import require_evaluation
from regulars.store import Row

(_KEY,) = TAG_KEYS


def rename_tag(unit: CustomerUnitOfWork, command: RenameTag) -> dict[str, Any]:
    """Rename a tag of some customers. Return the number of changed customers, the last customer,
    whether others follow, and the segments that name the tag, with whether each was changed. A
    customer with much text can end the work early: then others follow. Customers that have been
    deleted are skipped."""
    changed_count, work = 0, 0
    for index, number in enumerate(command.customer_ids):
        row = unit.customer(number)
        if row is None:
            continue
        tags = _renamed(orjson.loads(row["tags"]), command)
        updated, _ = with_values(row, {"tags": tags}, ())
        work += index_terms.work_of(row, updated)
        if work > index_terms.MAX_BATCH_WORK and changed_count:
            return _result(changed_count, command.customer_ids[index - 1], has_next=True)
        changed_count += unit.save(row, updated, command) is not row
    last = command.customer_ids[-1] if command.customer_ids else None
    is_end = not command.has_next and command.renames_segments
    return _result(
        changed_count, last, command.has_next, _rename_in(unit, command) if is_end else []
    )


def _result(
    changed_count: int, last: int | None, has_next: bool, changed: Sequence[Any] = ()
) -> dict[str, Any]:
    return {
        "customers_count": changed_count,
        "last": last,
        "has_next": has_next,
        "segments": list(changed),
    }


def _renamed(tags: Sequence[str], command: RenameTag) -> list[str]:
    """Return tags with the new name in the place of each that the term indexes, once."""
    names = [command.new_name if make_facet(_KEY, tag) == command.tag_term else tag for tag in tags]
    return list(dict.fromkeys(names))


def _rename_in(unit: CustomerUnitOfWork, command: RenameTag) -> list[dict[str, Any]]:
    """Rename the tag in the segments whose queries have it as a whole. A segment whose query would
    be too long keeps it, and one that cannot be read. Return the segments that name the tag."""
    named = []
    changed_ids: set[int] = set()
    for row in unit.rows[segments].all():
        columns = _renamed_columns(row, command)
        if columns is None or columns["query"] == row["query"]:
            continue
        size = count_characters(unit)
        is_short = len(columns["query"]) <= QUERY_LENGTH
        longer = sum(len(columns[name] or "") - len(row[name] or "") for name in columns)
        is_changed = is_short and (longer <= 0 or size + longer <= MAX_CHARACTERS)
        if is_changed:
            updated_at = max(command.at, row["updated_at"])
            unit.rows[segments].put({**row, **columns, "updated_at": updated_at})
            changed_ids.add(row["segment_id"])
        named.append({"segment_id": row["segment_id"], "name": row["name"], "renamed": is_changed})
    definitions = definitions_of(unit)
    users = set().union(*(users_of(definitions, number) for number in changed_ids))
    require_evaluation(unit, users, command.at, announce=False)
    return named


def _renamed_columns(row: Row, command: RenameTag) -> Mapping[str, Any] | None:
    """Return the query and the settings of a segment with the new name; None if the query cannot be
    parsed."""
    if row["settings"]:
        settings = {
            part: {**condition, "tags": _renamed(condition["tags"], command)}
            for part, condition in tag_settings.load(row["settings"]).items()
        }
        return {"query": tag_settings.query_of(settings), "settings": tag_settings.dump(settings)}
    query = row["query"]
    try:
        bounds = tag_terms(query, command.tag_term)
    except Rejected:
        return None
    for start, end in reversed(bounds):
        query = f"{query[:start]}{_KEY}:{as_value(command.new_name)}{query[end:]}"
    return {"query": query, "settings": None}
