"""The comments of customers in an export."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from regulars.comments import queries
from regulars.core.dates import iso
from regulars.store.base import QueryExecutor
from regulars.transfer.errors import BadOption

COMMENTS, PUBLIC_COMMENTS = "comments", "public_comments"
# What an export can include besides the columns.
INCLUDED = (COMMENTS, PUBLIC_COMMENTS)
# The characters of comments that are read at once, unless one customer has more.
_CHARACTERS = 1_000_000

Comments = dict[int, list[dict[str, Any]]]


def parse_included(names: Sequence[str], can_nest: bool) -> str | None:
    """Return what an export includes, None for no comments. `can_nest` says whether the format has
    nested objects. Raises BadOption."""
    if not names:
        return None
    (name, *others) = dict.fromkeys(names)
    if name not in INCLUDED or others:
        shown = ",".join(names)[:100]
        raise BadOption(f"`include` is one of {', '.join(INCLUDED)}, not {shown!r}.")
    if not can_nest:
        raise BadOption("Only the format jsonl can include comments. Choose it, or omit `include`.")
    return name


async def with_comments(
    snapshot: QueryExecutor,
    account_id: int,
    customer_ids: Sequence[int],
    included: str,
) -> AsyncGenerator[tuple[int, Comments], None]:
    """Yield how many of the customers come next, and their comments, oldest first. Of a few long
    comments and of many short ones, the same number of characters is in memory."""
    parameters = {"account_id": account_id, "ids": list(customer_ids)}
    sizes = dict(map(tuple, await snapshot.fetch(queries.characters(), parameters)))
    start = total = 0
    for index, number in enumerate(customer_ids):
        size = sizes.get(number, 0)
        if total and total + size > _CHARACTERS:
            group = customer_ids[start:index]
            yield len(group), await _of_customers(snapshot, account_id, group, sizes, included)
            start, total = index, 0
        total += size
    group = customer_ids[start:]
    yield len(group), await _of_customers(snapshot, account_id, group, sizes, included)


async def _of_customers(
    snapshot: QueryExecutor,
    account_id: int,
    customer_ids: Sequence[int],
    sizes: dict[int, int],
    included: str,
) -> Comments:
    commented = [number for number in customer_ids if number in sizes]
    if not commented:
        return {}
    query = queries.exported(included == PUBLIC_COMMENTS)
    rows = await snapshot.fetch(query, {"account_id": account_id, "ids": commented})
    comments: Comments = {}
    for row in rows:
        number, text, pinned, private, edited, kind, actor, created_at, updated_at = row
        comments.setdefault(number, []).append(
            {
                "text": text,
                "pinned": bool(pinned),
                "private": bool(private),
                "edited": bool(edited),
                "author": {"kind": kind, "name": actor},
                "created_at": iso(created_at),
                "updated_at": iso(updated_at),
            }
        )
    return comments
