"""The fields that help to build a query: its terms, and the values of customers for a key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from regulars.api.context import Context
from regulars.api.guards import price_of_search
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.paging import check_size, requested_size
from regulars.customers.graphql.types import COUNT_COST
from regulars.customers.search import spellings
from regulars.customers.search.lexer import KeyValue, Text
from regulars.customers.search.parser import check_text
from regulars.customers.search.search_document import custom_key, make_facet
from regulars.customers.search.splitting import split
from regulars.graphql import Arguments, Layouts, Resolve, TypeBinding, Value
from regulars.segments.expansion import as_value
from regulars.store import Row, statistics
from regulars.store.conditions import TERM, Within, beginning
from regulars.store.query import Query

_CUSTOM = f"{spellings.CUSTOM}."
# The most keys of custom fields that are listed: each is one look into the index.
_MAX_KEYS = 50
# Characters of a key that would end it, or begin something else.
_SPECIAL = re.compile(r"([\s()\"':\\])")


def search_terms(_layouts: Layouts) -> Resolve:
    """Resolve the terms of a query."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        query = arguments["query"]
        check_text(query, env.directory.limits.search_characters)
        return [term._asdict() for term in split(query)]

    return resolve


def search_values(_layouts: Layouts) -> Resolve:
    """Resolve the values that customers have for a key."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limits = env.directory.limits
        query, key = arguments.get("query") or "", arguments["key"]
        check_text(query, limits.search_characters)
        check_text(key, limits.search_characters)
        problems = check_size("first", arguments.get("first"), limits.page_size, "values")
        if problems:
            raise Rejected(*problems)
        size = requested_size(arguments, limits.page_size)
        if key == _CUSTOM:
            return await _custom_keys(env, query, min(size, _MAX_KEYS))
        path = _path(key)
        within = beginning(TERM, make_facet(path, query))
        rows = await read_terms(env, statistics.count_terms_page(), within, size)
        names = await spell_values(env, path, {term: holder for term, _, holder in rows})
        return [
            {"value": names[term], "text": as_value(names[term]), "customers_count": count}
            for term, count, _ in rows
        ]

    return resolve


def _path(key: str) -> str:
    """Return the folded form of a key that has values. Raises Rejected."""
    if key in spellings.COLUMNS:
        return key
    if key.startswith(_CUSTOM):
        term = Text(f"{key}:a").term()
        if isinstance(term, KeyValue):
            return custom_key(spellings.CUSTOM, term.key.removeprefix(_CUSTOM))
    valid_keys = ", ".join([*spellings.COLUMNS, f"{_CUSTOM}KEY"])
    message = f"`searchValues` does not support the key {key[:100]!r}. Supported: {valid_keys}."
    raise Rejected(InvalidInput(message, ("key",)))


async def read_terms(
    env: Context, query: Query, within: Within, limit: int = 1
) -> Sequence[tuple[Any, ...]]:
    """Return rows of terms in a range, of a query of `statistics`."""
    parameters = {
        "account_id": env.account_id,
        "low": within.low,
        "high": within.high,
        "limit": limit,
    }
    return await env.directory.store.fetch(query, parameters, is_long=True)


async def _custom_keys(env: Context, query: str, limit: int) -> Any:
    """Return the keys of custom fields that customers have, by name. The index is read once for
    each."""
    within = beginning(TERM, custom_key(spellings.CUSTOM, query) if query else _CUSTOM)
    holders: dict[str, int] = {}
    while len(holders) < limit:
        rows = await read_terms(env, statistics.first_term(), within)
        if not rows:
            break
        ((term, customer_id),) = rows
        path = term.partition(":")[0]
        holders[path] = customer_id
        # All terms of the path are before this.
        within = Within(TERM, f"{path};", within.high)
    spelled = await _spell(env, (spellings.CUSTOM,), holders, spellings.key_spellings)
    names = [
        spelled.get(path) or path.removeprefix(_CUSTOM).replace("\x01", ":") for path in holders
    ]
    return [
        {"value": name, "text": f"{_CUSTOM}{_SPECIAL.sub(_escaped, name)}", "customers_count": None}
        for name in names
    ]


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}"


async def spell_values(env: Context, key: str, holders: Mapping[str, int]) -> dict[str, str]:
    """Return the values of terms of a key as a customer has them: terms are folded. `holders` has a
    customer of each term. If it has just lost the value, the term is the value."""
    read = partial(spellings.value_spellings, key)
    spelled = await _spell(env, spellings.columns_of(key), holders, read)
    return {term: spelled.get(term) or term.removeprefix(f"{key}:") for term in holders}


async def _spell(
    env: Context,
    columns: tuple[str, ...],
    holders: Mapping[str, int],
    read: Callable[[Row], dict[str, str]],
) -> dict[str, str]:
    """Return what `read` returns for the customer of each term. Customers with many values take
    long: other requests are served between them."""
    terms: dict[int, list[str]] = {}
    for term, customer_id in holders.items():
        terms.setdefault(customer_id, []).append(term)
    rows = await env.directory.customers(env.account_id, list(terms), columns)
    spelled: dict[str, str] = {}
    for row, own_terms in zip(rows, terms.values(), strict=True):
        if row:
            values = read(dict(zip(columns, row, strict=False)))
            spelled |= {term: values[term] for term in own_terms if term in values}
            await asyncio.sleep(0)
    return spelled


def price_of_values(page_size: int, arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns the cost of a list of values, with a count for each."""
    searched = price_of_search(arguments)
    return fixed + searched + (1 + COUNT_COST) * requested_size(arguments, page_size)


def price_of_terms(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns the cost of splitting a query."""
    return fixed + price_of_search(arguments)


TYPES: Mapping[str, TypeBinding] = {
    "SearchTerm": TypeBinding(
        {
            name: Value((name,))
            for name in (
                *("start", "end", "text", "negated", "key", "operator", "value", "prefix"),
            )
        },
        has_dict_rows=True,
    ),
    "SearchValue": TypeBinding(
        {name: Value((name,)) for name in ("value", "text", "customers_count")}, has_dict_rows=True
    ),
}
