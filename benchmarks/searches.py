"""Searches among a million customers: for each kind, and each of some orders, the median time of a
first page, on both databases, one request after the other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, data
from benchmarks.load import http_request, send
from benchmarks.servers import Running, serving
from benchmarks.work import LIST, page_body, search_body

Say = Callable[[str], None]

REQUESTS = 9

# Searches of each kind: of values that many of the sample customers have, and few.
ONE_KEY = {
    "id": "id:500000",
    "id, a range": "id:>900000",
    "email": "email:molly.rees.s1.76@example.com",
    "email, a prefix": "email:molly*",
    "phone": "phone:+441164960784",
    "phone, a prefix": "phone:0116496*",
    "first_name": "first_name:molly",
    "last_name": "last_name:rees",
    "full_name": "full_name:'molly rees'",
    "tag, of many": "tag:vip",
    "accepts_marketing": "accepts_marketing:true",
    "country": "country:FR",
    "city": "city:hammondfort",
    "zip, a prefix": "zip:20*",
    "orders_count": "orders_count:>3",
    "expenses": "expenses:>500",
    "created_at, a day": "created_at:2024-03-18",
    "created_at, a range": "created_at:>2025-06",
    "updated_at": "updated_at:2025-03",
    "notes": "notes:gift",
    "custom": "custom.loyalty:gold",
    "has": "has:notes",
    "one word, of few": "molly",
    "one word, of many": "gift",
    "the beginning of a word": "mo",
    "one word, Chinese": "山田",
}
TWO_WORDS = {
    "first and last name": "molly rees",
    "name and email": "molly example.com",
    "tag and email": "gift example.com",
    "two tags": "vip returning",
    "name and tag": "molly vip",
}
ORDERS = {
    "id": "",
    "created_at": "order_by:created_at",
    "last_name": "order_by:last_name order_dir:asc",
    "expenses": "order_by:expenses",
}


@dataclass(frozen=True, slots=True)
class Searched:
    """The median milliseconds of a first page, by order, for a kind of search on a database."""

    kind: str
    database: str
    by_order: dict[str, float]


def among_a_million(large: Path, rounds: int, say: Say) -> list[Searched]:
    """Every kind on every database; `large` holds the customers."""
    say("filling PostgreSQL with a million customers")
    with data.postgresql(large, peers=False) as (dsn, _):
        databases = {"SQLite": f"sqlite:///{large}", "PostgreSQL": dsn}
        found: dict[tuple[str, str, str], list[float]] = {}
        with (
            serving(contenders.regulars("m", databases["SQLite"]), page_body(LIST, 100)) as lite,
            serving(contenders.regulars("n", databases["PostgreSQL"]), page_body(LIST, 100)) as pg,
        ):
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}: searches among a million")
                for kind, query in {**ONE_KEY, **TWO_WORDS}.items():
                    for order, text in ORDERS.items():
                        for name, running in (("SQLite", lite), ("PostgreSQL", pg)):
                            taken = _median(running, f"{query} {text}")
                            found.setdefault((kind, name, order), []).append(taken)
    return [
        Searched(
            kind,
            name,
            {order: statistics.median(found[kind, name, order]) for order in ORDERS},
        )
        for kind in (*ONE_KEY, *TWO_WORDS)
        for name in databases
    ]


def _median(running: Running, query: str) -> float:
    """The median latency of a search, in milliseconds."""
    sample = send(running.url, _same(running, query), 1, 60.0, most=REQUESTS)
    return statistics.median(sample.latencies) * 1e3


def _same(running: Running, query: str) -> Iterator[bytes]:
    request = http_request(running.url, search_body(query), running.contender.token)
    while True:
        yield request


def of(searched: list[Searched], kinds: dict[str, str], database: str) -> list[float]:
    """The medians of some kinds, in every order, on a database."""
    return [
        taken
        for one in searched
        if one.kind in kinds and one.database == database
        for taken in one.by_order.values()
    ]


def table(searched: list[Searched]) -> list[str]:
    """A table of the medians, for the report."""
    if not searched:
        return []
    heads = " | ".join(f"by {order}" for order in ORDERS)
    lines = [
        "",
        "## Searches among 1,000,000 customers",
        "",
        "Median milliseconds of a first page of 25, by the order of the list.",
        "",
        f"| search | database | {heads} |",
        f"| --- | --- | {' | '.join('---:' for _ in ORDERS)} |",
    ]
    queries = {**ONE_KEY, **TWO_WORDS}
    for one in searched:
        taken = " | ".join(f"{one.by_order[order]:.1f}" for order in ORDERS)
        lines.append(f"| {one.kind}: `{queries[one.kind]}` | {one.database} | {taken} |")
    return lines
