"""Comments in the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.guards import WRITE_COST, needs, needs_to_write, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.values import global_id, timestamp_of
from regulars.api.writing import load_written_row, mutation
from regulars.comments import queries
from regulars.comments.commands import AddComment, DeleteComments, Editor, UpdateComment
from regulars.comments.rules import clean_comment
from regulars.comments.table import COMMENTS, comments
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import encoder, number_of
from regulars.core.paging import TaggedCursors, page_of, requested_size
from regulars.core.scopes import ADMIN, READ, WRITE
from regulars.customers.commands import reference_to
from regulars.graphql import (
    Arguments,
    Layout,
    Layouts,
    Load,
    PerRow,
    Related,
    Root,
    SameRow,
    TypeBinding,
    Value,
)

TYPE = "Comment"
CURSORS = TaggedCursors(
    "comment",
    3,
    "This is not a cursor of a comment. Use `cursor` of an edge, or `endCursor`, from the comments "
    "of a customer.",
)
_PATH = ("node",)
# What the response to a new comment has of the input.
_WRITTEN = (
    *("comment_id", "text", "pinned", "private", "edited", "actor_kind", "actor"),
    *("created_at", "updated_at"),
)


def _editor(env: Context) -> Editor:
    return Editor(env.token_id, ADMIN in env.scopes)


def _add(env: Context, arguments: Arguments, record: IdempotencyRecord | None) -> AddComment:
    values, problems = clean_comment(arguments["node"], _PATH)
    customer = reference_to(arguments["customer"])
    return AddComment(customer, values, _editor(env), env.now, problems, record, env.origin)


def _update(env: Context, arguments: Arguments, record: IdempotencyRecord | None) -> UpdateComment:
    values, problems = clean_comment(arguments["node"], _PATH)
    id_text = arguments["id"]
    return UpdateComment(
        *(id_text, number_of(id_text, TYPE), values, _editor(env), env.now, problems, record),
        env.origin,
    )


def _delete(env: Context, arguments: Arguments, record: IdempotencyRecord | None) -> DeleteComments:
    items, max_count = arguments["items"], env.directory.limits.deletes
    if not 1 <= len(items) <= max_count:
        message = f"`items` has {len(items):,} ids. Send 1 to {max_count:,}."
        raise Rejected(InvalidInput(message, ("items",)))
    numbers = tuple([(text, number_of(text, TYPE)) for text in items])
    return DeleteComments(numbers, _editor(env), env.now, record, env.origin)


async def _deleted(_env: Context, numbers: Sequence[int], _layouts: Layouts) -> list[str]:
    return encoder(TYPE)(numbers)


async def _load(env: Context, number: int, layout: Layout) -> Any:
    """Return the row of a comment in a layout, or None."""
    draft = env.draft.rows.get(comments, {}) if env.draft else {}
    if number in draft:
        row = draft[number]
        return None if row is None else await load_written_row(env, row, layout)
    parameters = {"account_id": env.account_id, "number": number}
    rows = await env.directory.store.fetch(queries.one_comment(layout.columns), parameters)
    return (await layout.load_related([tuple(rows[0])], env))[0] if rows else None


def _comments(arguments: Arguments) -> Load:
    """Return the loader of a page of comments for each customer."""

    async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
        page = page_of(arguments, CURSORS, "comments", env.directory.limits.page_size)
        connection = Connection(layout, COMMENTS.keyset, CURSORS.encode)
        rows: list[dict[str, Any]] = [{} for _ in ids]
        if layout.selects("edges", "pageInfo"):
            pages = await env.directory.page_of_each(
                COMMENTS, env.account_id, ids, page, connection.columns
            )
            rows = await connection.rows_of(pages, env)
        if not layout.selects("totalCount"):
            return rows
        parameters = {"account_id": env.account_id, "ids": list(set(ids))}
        counts = dict(map(tuple, await env.directory.store.fetch(queries.counts(), parameters)))
        return [{**row, "totalCount": counts.get(n, 0)} for n, row in zip(ids, rows, strict=True)]

    return load


def _price_of_items(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Return a write for each comment."""
    return WRITE_COST * len(arguments["items"]) + fixed


def _roots(_page_size: int) -> Mapping[str, Root]:
    return {
        "addComment": Root(mutation(_add), needs_to_write(WRITE, *_WRITTEN), price_of_write),
        "updateComment": Root(
            mutation(_update), needs_to_write(WRITE, "comment_id"), price_of_write
        ),
        "deleteComments": Root(mutation(_delete, render=_deleted), needs(WRITE), _price_of_items),
    }


API = ApiPart(
    {
        TYPE: TypeBinding(
            {
                "id": global_id(TYPE, "comment_id"),
                "_id": Value(("comment_id",)),
                "text": Value(("text",), can_be_large=True),
                **{name: Value((name,), PerRow(bool)) for name in ("pinned", "private", "edited")},
                "author": SameRow(),
                "created_at": timestamp_of("created_at"),
                "updated_at": timestamp_of("updated_at"),
            }
        ),
        "Customer": TypeBinding(
            {"comments": Related("customer_id", prepare=_comments, size=requested_size)}
        ),
        **connection_types(
            TYPE, COMMENTS.keyset, CURSORS.encode, {"totalCount": Value(("totalCount",))}
        ),
    },
    _roots,
    {TYPE: Node(READ, _load)},
)
