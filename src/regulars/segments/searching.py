"""Parsing searches that may use segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from regulars.core.errors import Rejected
from regulars.core.limits import DEFAULTS
from regulars.customers.search.parser import Search, check_text, parse, parse_text
from regulars.segments.definitions import Definition, Definitions
from regulars.segments.expansion import Expansion, uses_segments
from regulars.segments.problems import SegmentNotFound
from regulars.segments.queries import definitions
from regulars.store import QueryExecutor
from regulars.store.conditions import And
from regulars.store.large_work import LARGE_CHARACTERS, run_large

T = TypeVar("T")


async def run_with(queries: Iterable[str], work: Callable[[], T]) -> T:
    """Return what `work` returns, which parses these queries of segments: many of them in a
    thread."""
    is_large = sum(map(len, queries)) > LARGE_CHARACTERS
    return await run_large(work) if is_large else work()


async def load_definitions(store: QueryExecutor, account_id: int) -> Definitions:
    """Return the segments of an account. They are not cached, so that a change applies to the next
    search of every process. `store` must be the primary: replicas can lack recent changes."""
    rows = await store.fetch(definitions(), {"account_id": account_id})
    read = [Definition(*row) for row in rows]
    return await run_with((each.name for each in read), lambda: Definitions(read))


async def parse_search(
    store: QueryExecutor,
    account_id: int,
    query: str,
    max_length: int = DEFAULTS.search_characters,
    segment: str | None = None,
) -> Search:
    """Parse a query of at most `max_length` characters, whose segments are replaced by their
    queries. With `segment`, a name or an id, the search finds only customers of this segment.

    Raises Rejected: with InvalidQuery, as `parse` does, and with SegmentNotFound.
    """
    check_text(query, max_length)
    if segment is None and not uses_segments(query):
        return parse(query, max_length)
    found = await load_definitions(store, account_id)

    def expand() -> Search:
        expansion = Expansion(found)
        search = parse_text(query, expansion).search
        if segment is None:
            return search
        definition = found.find(segment)
        if definition is None:
            raise Rejected(SegmentNotFound([segment], ("segment",), "name or id"))
        members = expansion.condition(definition)
        condition = And((members, search.condition)) if search.condition else members
        return Search(search.order, condition, search.ordered)

    return await run_with((each.query for each in found), expand)
