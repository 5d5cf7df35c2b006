"""The field that lists the tags of an account with their numbers of customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.guards import price_of_page
from regulars.core.paging import Cursor, encode, load, page_of
from regulars.customers.graphql.search_values import read_terms, spell_values
from regulars.customers.graphql.types import COUNT_COST
from regulars.customers.search.parser import check_text
from regulars.customers.search.search_document import TAG_KEYS, make_facet
from regulars.customers.search.words import FACET_LENGTH
from regulars.graphql import Arguments, Layouts, Resolve, TypeBinding, Value
from regulars.store import statistics
from regulars.store.conditions import TERM, beginning

_KEYSET = ("term",)
_KEY = TAG_KEYS[0]
# No stored text has the character U+0000, so that no term lies between a term and this.
_NEXT = "\x01"


class _Cursors:
    """The cursors of the list: base64 of the JSON array `[term]`."""

    mismatch = "This is not a cursor of tags. Use `cursor` of an edge, or `endCursor`."

    def decode(self, text: str) -> Cursor | None:
        match load(text):
            case [str(term)] if len(term) <= FACET_LENGTH and "\0" not in term:
                return (term,)
        return None


def tags(layouts: Layouts) -> Resolve:
    """Resolve a page of the tags that customers have, by name."""
    connection = Connection(layouts.only, _KEYSET, encode)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limits = env.directory.limits
        query = arguments.get("query") or ""
        check_text(query, limits.search_characters)
        page = page_of(arguments, _Cursors(), "tags", limits.page_size)
        within = beginning(TERM, make_facet(_KEY, query))
        if page.after:
            within = replace(within, low=max(within.low, page.after[0] + _NEXT))
        found = await read_terms(env, statistics.count_terms_page(), within, page.limit)
        cut = page.cut(found, page.after is not None)
        names = await spell_values(env, _KEY, {term: holder for term, _, holder in cut.rows})
        rows = [
            {"term": term, "name": names[term], "customers_count": count}
            for term, count, _ in cut.rows
        ]
        edges = [tuple([row[name] for name in connection.columns]) for row in rows]
        return connection.row(cut._replace(rows=edges), edges)

    return resolve


async def most_frequent(env: Context, limit: int) -> list[dict[str, Any]]:
    """Return the tags with most customers: the tag, and its number of customers."""
    within = beginning(TERM, make_facet(_KEY, ""))
    rows = await read_terms(env, statistics.most_frequent_terms(), within, limit)
    names = await spell_values(env, _KEY, {term: holder for term, _, holder in rows})
    return [{"tag": names[term], "customers": count} for term, count, _ in rows]


def price(page_size: int, arguments: Arguments, fixed: int, per_row: int) -> int:
    """Return the cost of a page, with a count for each of its tags."""
    return price_of_page(page_size, arguments, fixed, COUNT_COST + per_row)


TYPES: Mapping[str, TypeBinding] = {
    "Tag": TypeBinding({name: Value((name,)) for name in ("name", "customers_count")}),
    **connection_types("Tag", _KEYSET, encode),
}
