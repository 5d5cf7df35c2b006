"""The field that suggests other words for a search that finds no customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.api.context import Context
from regulars.api.guards import price_of_search
from regulars.core import fields
from regulars.customers.fields import FIELDS
from regulars.customers.graphql.types import COUNT_COST
from regulars.customers.listing import customer_page
from regulars.customers.search import address_words, spelling
from regulars.customers.search.index_terms import WORD
from regulars.graphql import Arguments, Layouts, Nested, Resolve, TypeBinding, Value
from regulars.segments.searching import parse_search
from regulars.store.spelling_queries import known_words

# Similar words whose customers are counted, and those that are returned.
_MAX_COUNTED, _MAX_SUGGESTIONS = 6, 3
# Customers of a suggestion are counted up to this number.
_MAX_COUNT = 100
_TERMS = (WORD, address_words.TERM_PREFIX, "city:")
_COLUMNS = tuple(
    field.folded_column
    for field in FIELDS
    if isinstance(field, fields.Text) and field.sort and field.search
)


class _Candidate(NamedTuple):
    """A similar word: the word in the query, and the similar one."""

    query_word: spelling.QueryWord
    similar: str


def search_suggestions(_layouts: Layouts) -> Resolve:
    """Resolve searches with one word spelled differently, if a search finds nothing."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        query = arguments["query"]
        if await _count(env, query, 0):
            return []
        counted = []
        for query_word, similar in (await _candidates(env, query))[:_MAX_COUNTED]:
            text, other_query = spelling.replaced(query, query_word, similar)
            if count := await _count(env, other_query, _MAX_COUNT):
                word = query[query_word.start : query_word.end]
                counted.append({"query": other_query, "word": word, "other": text, "count": count})
        counted.sort(key=lambda suggestion: -suggestion["count"])
        return [{**each, "customers": _shown(each["count"])} for each in counted[:_MAX_SUGGESTIONS]]

    return resolve


def _shown(count: int) -> Mapping[str, Any]:
    is_more = count > _MAX_COUNT
    return {"count": min(count, _MAX_COUNT), "precision": "at_least" if is_more else "exact"}


async def _count(env: Context, query: str, limit: int) -> int:
    """Return the number of customers that a query finds, at most one more than a limit."""
    limits = env.directory.limits
    search = await parse_search(
        env.directory.primary, env.account_id, query, limits.search_characters
    )
    page = customer_page({}, search, env.now, limits.page_size)
    return await env.directory.count(env.account_id, page, limit)


async def _candidates(env: Context, query: str) -> list[_Candidate]:
    """Return words of the account that are similar to words of the query which it does not have."""
    query_words = spelling.words_of_query(query)
    known = await _known(env, [each.word for each in query_words])
    unknown = [each for each in query_words if each.word not in known]
    candidates = []
    for query_word in unknown[: spelling.MAX_UNKNOWN]:
        similar_words = spelling.similar_words(query_word.word)
        similar_known = await _known(env, similar_words)
        candidates += [_Candidate(query_word, w) for w in similar_words if w in similar_known]
    return candidates


async def _known(env: Context, words: list[str]) -> set[str]:
    """Return the words that the account has."""
    if not words:
        return set()
    parameters = {"account_id": env.account_id, "words": words}
    rows = await env.directory.store.fetch(known_words(_TERMS, _COLUMNS), parameters, is_long=True)
    return {row[0] for row in rows}


def price(arguments: Arguments, fixed: int, per_row: int) -> int:
    """Return the cost: as counting several searches, and the length of the search."""
    counts = (1 + _MAX_COUNTED) * COUNT_COST
    return counts + fixed + _MAX_SUGGESTIONS * per_row + price_of_search(arguments)


TYPES: Mapping[str, TypeBinding] = {
    "SearchSuggestion": TypeBinding(
        {
            **{name: Value((name,)) for name in ("query", "word", "other")},
            "customers": Nested(("customers",)),
        },
        has_dict_rows=True,
    )
}
