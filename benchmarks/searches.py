"""Measure searches with a million customers: for each kind and order, the median latency of a first
page on both databases, one request at a time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, data
from benchmarks.load import build_http_request, send
from benchmarks.servers import RunningServer, run_server
from benchmarks.work import LIST, page_body, search_body

Progress = Callable[[str], None]

REQUESTS = 9

# Searches of each kind, for values that are frequent and rare among the sample customers.
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
class SearchLatency:
    """The median milliseconds of a first page, by order, of a kind of search on a database."""

    kind: str
    database: str
    by_order_ms: dict[str, float]


def measure(large: Path, rounds: int, progress: Progress) -> list[SearchLatency]:
    """Measures every kind of search on both databases, with the customers of `large`."""
    progress("filling PostgreSQL with a million customers")
    with data.postgresql(large, peers=False) as (dsn, _):
        databases = {"SQLite": f"sqlite:///{large}", "PostgreSQL": dsn}
        latencies: dict[tuple[str, str, str], list[float]] = {}
        with (
            run_server(contenders.regulars("m", databases["SQLite"]), page_body(LIST, 100)) as lite,
            run_server(
                contenders.regulars("n", databases["PostgreSQL"]), page_body(LIST, 100)
            ) as pg,
        ):
            for number in range(rounds):
                progress(f"round {number + 1} of {rounds}: searches among a million")
                for kind, query in {**ONE_KEY, **TWO_WORDS}.items():
                    for order, text in ORDERS.items():
                        for name, server in (("SQLite", lite), ("PostgreSQL", pg)):
                            latency_ms = _median_ms(server, f"{query} {text}")
                            latencies.setdefault((kind, name, order), []).append(latency_ms)
    return [
        SearchLatency(
            kind,
            name,
            {order: statistics.median(latencies[kind, name, order]) for order in ORDERS},
        )
        for kind in (*ONE_KEY, *TWO_WORDS)
        for name in databases
    ]


def _median_ms(server: RunningServer, query: str) -> float:
    """Returns the median latency of a search, in milliseconds."""
    sample = send(server.url, _repeat(server, query), 1, 60.0, max_requests=REQUESTS)
    return statistics.median(sample.latencies) * 1e3


def _repeat(server: RunningServer, query: str) -> Iterator[bytes]:
    request = build_http_request(server.url, search_body(query), server.contender.token)
    while True:
        yield request


def latencies_of(
    search_latencies: list[SearchLatency], kinds: dict[str, str], database: str
) -> list[float]:
    """Returns the medians of some kinds in every order, on one database."""
    return [
        latency_ms
        for latency in search_latencies
        if latency.kind in kinds and latency.database == database
        for latency_ms in latency.by_order_ms.values()
    ]


def table(search_latencies: list[SearchLatency]) -> list[str]:
    """Returns the table of the report."""
    if not search_latencies:
        return []
    headings = " | ".join(f"by {order}" for order in ORDERS)
    lines = [
        "",
        "## Searches among 1,000,000 customers",
        "",
        "Median milliseconds of a first page of 25, by the order of the list.",
        "",
        f"| search | database | {headings} |",
        f"| --- | --- | {' | '.join('---:' for _ in ORDERS)} |",
    ]
    queries = {**ONE_KEY, **TWO_WORDS}
    for latency in search_latencies:
        cells = " | ".join(f"{latency.by_order_ms[order]:.1f}" for order in ORDERS)
        lines.append(
            f"| {latency.kind}: `{queries[latency.kind]}` | {latency.database} | {cells} |"
        )
    return lines
