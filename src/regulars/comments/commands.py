"""The commands on comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.comments.queries import BY_COMMENT, BY_ID, BY_SHOP_ID
from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    one_id,
    record_lookups,
)
from regulars.core.errors import Problem
from regulars.customers.commands import Reference, customer_ids, named_shop_ids
from regulars.store import LookupKeys
from regulars.store.large_work import is_large


class Editor(NamedTuple):
    """The token of a request, and whether it may change the comments of others."""

    token_id: str
    is_admin: bool


@dataclass(frozen=True, slots=True)
class AddComment(SmallCommand):
    """Adds a comment of clean values to a customer, at a time in milliseconds since 1970."""

    customer: Reference
    values: Mapping[str, Any]
    editor: Editor
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        ids, shop_ids = customer_ids(self.customer), named_shop_ids(self.customer)
        return LookupKeys(
            customer_ids=ids,
            shop_ids=shop_ids,
            table_versions=(True,),
            **{BY_ID: ids, BY_SHOP_ID: shop_ids},
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class UpdateComment(SmallCommand):
    """Merges clean values into a comment. `id_text` is the id in the request."""

    id_text: str
    comment_id: int | None
    values: Mapping[str, Any]
    editor: Editor
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        ids = one_id(self.comment_id)
        counted = {BY_COMMENT: ids} if "text" in self.values else {}
        return LookupKeys(comment_ids=ids, **counted, **record_lookups(self.idempotency_record))


@dataclass(frozen=True, slots=True)
class DeleteComments(SmallCommand):
    """Deletes all of the comments or none. `comments` has the ids in the request, with the `_id`
    of each, or None for an invalid id."""

    comments: tuple[tuple[str, int | None], ...]
    editor: Editor
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        ids = [number for _, number in self.comments if number is not None]
        return LookupKeys(comment_ids=ids, **record_lookups(self.idempotency_record))
