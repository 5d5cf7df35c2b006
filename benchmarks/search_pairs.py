"""Measure the first page of each kind of search in each order and direction, and print the slowest:
`python -m benchmarks.search_pairs DATABASE_URL` (--slowest N, --kinds TEXT).

The database has one account with sample customers. The searches run in this process, without a
server. A figure is the shortest of a few runs, in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.searches import ONE_KEY
from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.cli.database import with_store
from regulars.directory.directory import Directory
from regulars.sample import LAST_TIMESTAMP
from regulars.settings import Settings
from regulars.store import Store
from regulars.store.tables import ORDER_COLUMNS

# Searches with many matches, which are the last ones in some orders.
_MANY = (
    *("id:<100000", "id:>500000", "email:m*", "first_name:m*", "last_name:r*", "full_name:m*"),
    *("accepts_marketing:false", "orders_count:0", "orders_count:1", "orders_count:>1"),
    *("orders_count:5", "expenses:0", "expenses:<50", "expenses:>100", "expenses:>1000"),
    *("created_at:<2024-01", "created_at:2024", "updated_at:<2024", "updated_at:>2025-06"),
    *("has:last_name", "tag:returning", "country:US", "zip:7*", "phone:+44*", "has:custom"),
)
_DOCUMENT = """query($q: String) { customers(query: $q, first: 25) { edges { cursor node { id
    full_name email expenses orders_count created_at } } } }"""
# A search that takes longer is measured a second time only.
_SLOW_SECONDS = 0.1
_RUNS = 3


async def _measure(store: Store, kinds: str) -> list[tuple[float, str]]:
    """Returns the milliseconds of each search whose kind contains a text, the slowest first."""
    account = await Accounts(store).resolve(None)
    api, directory = engine(), Directory(store)
    operation = api.get_operation(_DOCUMENT)

    async def run(query: str) -> float:
        context = Context(account.account_id, directory, "benchmark", LAST_TIMESTAMP)
        began = time.perf_counter()
        result = await api.run(operation, {"q": query}, context)
        assert not result.errors, result.errors
        return time.perf_counter() - began

    results = []
    for kind in (*ONE_KEY.values(), *_MANY):
        for order in ORDER_COLUMNS if kinds in kind else ():
            for direction in ("asc", "desc"):
                query = f"{kind} order_by:{order} order_dir:{direction}"
                runs = 1 if await run(query) > _SLOW_SECONDS else _RUNS
                results.append((1e3 * min([await run(query) for _ in range(runs)]), query))
    return sorted(results, reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url")
    parser.add_argument("--slowest", type=int, default=40)
    parser.add_argument("--kinds", default="")
    options = parser.parse_args()

    async def measure(store: Store) -> list[tuple[float, str]]:
        return await _measure(store, options.kinds)

    results = with_store(Settings(database_url=options.database_url), measure)
    for milliseconds, query in results[: options.slowest]:
        print(f"{milliseconds:8.1f}  {query}")
    print(f"{statistics.median(ms for ms, _ in results):8.1f}  median of {len(results)} searches")
    print(f"{sum(ms > 20 for ms, _ in results):8}  of them take more than 20 ms")


if __name__ == "__main__":
    main()
