"""The search language, as far as it is spoken today: the order of a list."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from regulars.directory.errors import InvalidQuery, Refused
from regulars.store.tables import ORDER_COLUMNS

MAX_LENGTH = 2_000

_TERM = re.compile(r"\S+")
_KEYS = ("order_by", "order_dir")
_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Order:
    """A list's order: by one of the names of `ORDER_COLUMNS`; ties break by `_id` in the same
    direction."""

    by: str = "id"
    ascending: bool = False


@lru_cache(maxsize=1_000)
def parse_order(query: str) -> Order:
    """Reads `order_by:NAME order_dir:asc|desc`, either or both, in any order.

    Newest first (`order_by:id order_dir:desc`) where the query does not say. Raises Refused
    with InvalidQuery.
    """
    if len(query) > MAX_LENGTH:
        message = f"The query has {len(query):,} characters; at most {MAX_LENGTH:,} are allowed."
        raise Refused(InvalidQuery(message, MAX_LENGTH))
    said: dict[str, str] = {}
    for term in _TERM.finditer(query):
        key, colon, value = term[0].partition(":")
        if not colon or key not in _KEYS:
            near = nearest(key, _KEYS)
            message = f"{key[:100]!r} is not a key of a query. Use order_by: and order_dir:."
            raise Refused(InvalidQuery(message, term.start(), near))
        if key in said:
            raise Refused(InvalidQuery(f"{key}: stands here twice.", term.start()))
        allowed = tuple(ORDER_COLUMNS) if key == "order_by" else _DIRECTIONS
        if value not in allowed:
            where = term.start() + len(key) + 1
            message = f"{key}: takes one of {', '.join(allowed)}; it is {value[:100]!r} here."
            raise Refused(InvalidQuery(message, where, nearest(value, allowed)))
        said[key] = value
    return Order(said.get("order_by", "id"), said.get("order_dir", "desc") == "asc")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like a mistyped one, if any is like it."""
    found = difflib.get_close_matches(word[:100].lower(), list(known), n=1)
    return found[0] if found else None
