"""The mutation that renames a tag, or merges it with another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.api.context import Context
from regulars.api.guards import WRITE_COST
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidCursor, InvalidInput, Problem, Rejected
from regulars.core.ids import encoder
from regulars.core.paging import TaggedCursors, check_size
from regulars.customers.tags import clean_tag, tag_term
from regulars.graphql import Arguments, Layouts, Nested, TypeBinding, Value
from regulars.segments.commands import RenameTag
from regulars.store import queries

_CURSORS = TaggedCursors(
    "tag", 1, "This is not a cursor of `renameTag`. Use `endCursor` of the call before.", minimum=0
)
_DEFAULT_SIZE = 250


class _Prepared(NamedTuple):
    """The customers with the tag, and the tag's term and new name."""

    customer_ids: tuple[int, ...]
    term: str
    new_name: str
    has_next: bool
    renames_segments: bool


async def _prepare(env: Context, arguments: dict[str, Any]) -> _Prepared:
    max_count = env.directory.limits.bulk_rows
    problems: list[Problem] = list(
        check_size("first", arguments.get("first"), max_count, "customers")
    )
    if arguments.get("first") == 0:
        problems.append(InvalidInput("`first` is 0. Use a number from 1.", ("first",)))
    name, more = clean_tag(arguments["name"], ("name",))
    new_name, others = clean_tag(arguments["newName"], ("newName",))
    problems += [*more, *others]
    after = arguments.get("after")
    cursor = _CURSORS.decode(after) if after else (0,)
    if cursor is None:
        problems.append(InvalidCursor("after", _CURSORS.mismatch))
    if problems or cursor is None:
        raise Rejected(*problems)
    count = arguments.get("first") or min(_DEFAULT_SIZE, max_count)
    term = tag_term(name)
    parameters = {
        "account_id": env.account_id,
        "term": term,
        "after": cursor[0],
        "limit": count + 1,
    }
    rows = await env.directory.primary.fetch(queries.customers_with_term_after(), parameters)
    ids = tuple([row[0] for row in rows[:count]])
    renames_segments = arguments.get("segments") is not False
    return _Prepared(ids, term, new_name, len(rows) > count, renames_segments)


def _build(env: Context, prepared: _Prepared, record: IdempotencyRecord | None) -> RenameTag:
    return RenameTag(*prepared, env.now, record, env.origin)


async def _result(_env: Context, result: Mapping[str, Any], _layouts: Layouts) -> Any:
    last, segments = result["last"], result["segments"]
    cursors = _CURSORS.encode([last]) if last is not None and result["has_next"] else [None]
    ids = encoder("Segment")([each["segment_id"] for each in segments])
    return {
        "customers_count": result["customers_count"],
        "hasNextPage": result["has_next"],
        "endCursor": cursors[0],
        "segments": [
            {**each, "id": id_, "_id": each["segment_id"]}
            for each, id_ in zip(segments, ids, strict=True)
        ],
    }


rename_tag = mutation(_build, _prepare, _result)


def price_of_renaming(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns a write for each customer that the call can change."""
    first = arguments.get("first")
    return fixed + WRITE_COST * max(1, _DEFAULT_SIZE if first is None else first)


TYPES: Mapping[str, TypeBinding] = {
    "RenameTagResult": TypeBinding(
        {
            **{name: Value((name,)) for name in ("customers_count", "hasNextPage", "endCursor")},
            "segments": Nested(("segments",)),
        },
        has_dict_rows=True,
    ),
    "RenamedTagSegment": TypeBinding(
        {name: Value((name,)) for name in ("id", "_id", "name", "renamed")}, has_dict_rows=True
    ),
}
