"""The entity of comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.comments import queries, rules
from regulars.comments.commands import AddComment, DeleteComments, UpdateComment
from regulars.comments.table import COUNTER, comments
from regulars.comments.words import WORDS
from regulars.store import LoadedRows
from regulars.store.entity import CASCADE, Entity, Load, Lookup
from regulars.store.moving import DELETED, DELETION_WORK

_NAMED = (queries.BY_ID, queries.BY_SHOP_ID, queries.BY_COMMENT)


def _counts(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    names = ("customer_id", "count", "characters")
    return {rules.COUNTS: [dict(zip(names, row, strict=True)) for row in rows]}


def _deletion_work(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {DELETION_WORK: [{"customer_id": number, "work": size} for number, size in rows]}


COMMENTS = Entity(
    comments,
    counter=COUNTER,
    lookups=(Lookup("comment_ids", comments.c.comment_id),),
    more_loads=(
        Load(_NAMED, queries.counts_of_named, _counts, _NAMED),
        Load(DELETED, queries.characters_of_deleted, _deletion_work, DELETED),
    ),
    editable=("text", "pinned", "private", "edited", "updated_at", WORDS.column),
    on_customer_delete=CASCADE,
    rules={AddComment: rules.add, UpdateComment: rules.update, DeleteComments: rules.delete},
    word_index=WORDS,
)
# Their rows follow from the words of the comments.
COMMENT_TERMS = Entity(WORDS.table)
ENTITIES = (COMMENTS, COMMENT_TERMS)
