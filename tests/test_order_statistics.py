"""Figures of the orders of a period: they equal what the orders say, and the searches find the customers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from regulars.api.guards import price_of_counting
from regulars.store import parse_url, spend, statistics
from regulars.store.query import Query
from regulars.store.sqlite.file import connect
from tests.support import Client, Server, create_token

pytestmark = pytest.mark.both_databases

RECORD = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
READ = """query($since: String!, $until: String) { orderStatistics(since: $since, until: $until) {
  orders customers returning new_customers spend { currency amount orders_count average }
  top_customers { customer { email } currency amount orders_count } } }"""
TAGS = "{ statistics { tags { tag customers } } }"


@pytest.fixture
def owner(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        yield client


def figures(owner: Client, since: str, until: str | None = None) -> Any:
    return owner.data(READ, since=since, until=until)["orderStatistics"]


def test_an_account_without_orders_has_zeros(owner: Client) -> None:
    assert figures(owner, "2024-01-01") == {
        **dict.fromkeys(("orders", "customers", "returning", "new_customers"), 0),
        "spend": [],
        "top_customers": [],
    }


def test_the_figures_of_a_period_equal_a_recalculation(owner: Client) -> None:
    choose = random.Random(7)
    orders = []
    for number in range(60):
        order: dict[str, Any] = {
            "name": str(number),
            "email": f"{choose.randrange(9)}@example.com",
            "currency": choose.choice(("EUR", "JPY", "JPY")) if number else "EUR",
            "total": choose.randrange(1, 500),
            "created_at": f"2024-{choose.randrange(1, 7):02}-15T00:00:00Z",
            "test": choose.random() < 0.1 and number > 0,
            "cancelled_at": "2025-01-01" if choose.random() < 0.1 and number else None,
        }
        owner.data(RECORD, n=order)
        orders.append(order)
    counted = [o for o in orders if not o["test"] and not o["cancelled_at"]]
    for first, last in ((1, 7), (2, 4), (3, 4), (6, 7)):
        inside = [o for o in counted if first <= int(o["created_at"][5:7]) < last]
        before = [o for o in counted if int(o["created_at"][5:7]) < last]
        result = figures(owner, f"2024-{first:02}-01", f"2024-{last:02}-01")
        buyers = {o["email"] for o in inside}
        assert result["orders"] == len(inside)
        assert result["customers"] == len(buyers)
        assert result["returning"] == sum(
            1 for email in buyers if sum(o["email"] == email for o in before) > 1
        )
        assert [row["currency"] for row in result["spend"]] == sorted(
            {o["currency"] for o in inside}
        )
        for row in result["spend"]:
            rows = [o for o in inside if o["currency"] == row["currency"]]
            assert row["amount"] == sum(o["total"] for o in rows)
            assert row["orders_count"] == len(rows)
            assert row["average"] == pytest.approx(row["amount"] / len(rows))
        sums: dict[str, int] = {}
        for o in inside:
            if o["currency"] == result["spend"][0]["currency"]:
                sums[o["email"]] = sums.get(o["email"], 0) + o["total"]
        top = result["top_customers"]
        assert {row["customer"]["email"]: row["amount"] for row in top} == sums
        assert [row["amount"] for row in top] == sorted(sums.values(), reverse=True)
    # A period that ends now is that of the searches.
    result = figures(owner, "2024-03-01")
    found = owner.emails("last_order_at:>=2024-03-01", first=100)
    assert len(found) == result["customers"]
    found = owner.emails("last_order_at:>=2024-03-01 orders_count:>1", first=100)
    assert len(found) == result["returning"]


def test_new_customers_are_those_that_were_created(owner: Client) -> None:
    owner.create("ana@example.com")
    owner.data(RECORD, n={"name": "1", "email": "ben@example.com", "total": 1})
    assert figures(owner, "2024-01-01")["new_customers"] == 2
    assert figures(owner, "2024-01-01", "2024-02-01")["new_customers"] == 0


@pytest.mark.parametrize(
    ("since", "until", "path"),
    [
        ("yesterday", None, ["since"]),
        ("2024-01-01", "later", ["until"]),
        ("2024-02-01", "2024-01-01", ["since"]),
        ("2999-01-01", None, ["since"]),
    ],
)
def test_an_invalid_period_is_refused(
    owner: Client, since: str, until: str | None, path: list[str]
) -> None:
    error = owner.expect_error("errors_invalid_input", READ, since=since, until=until)
    assert error["extensions"]["input_path"] == path


def test_a_period_needs_the_scope_to_read_customers(server: Server) -> None:
    with Client(server, create_token(server, scopes=("orders:write",))) as shop:
        shop.expect_error("errors_scope", READ, since="2024-01-01")


def test_the_most_frequent_tags_are_counted(owner: Client) -> None:
    for number in range(12):
        owner.create(f"{number}@example.com", tags=[f"Tag {n}" for n in range(number + 1)])
    tags = owner.data(TAGS)["statistics"]["tags"]
    assert tags == [{"tag": f"Tag {n}", "customers": 12 - n} for n in range(10)]


def test_counted_orders_and_customers_cost_points(owner: Client) -> None:
    for first in range(0, 250, 50):
        fields = [
            f'o{n}: recordOrder(node: {{name: "{n}", email: "a@example.com", total: 1}}) {{ id }}'
            for n in range(first, first + 50)
        ]
        owner.data("mutation {" + " ".join(fields) + "}")
    of_period = 'orderStatistics(since: "%s") { %s }'
    for field, points in (
        (of_period % ("2024-01-01", "orders"), 2),
        (of_period % ("2024-01-01", "customers"), 2),
        (of_period % ("2024-01-01", "top_customers { amount }"), 2),
        (of_period % ("2024-01-01", "new_customers"), 0),
        ("statistics { spend_by_month { orders } }", 2),
        ("statistics { customers countries { customers } }", 0),
    ):
        response = owner.post("{" + field + "}", headers={"Regulars-Cost": "1"}).json()
        cost = response["extensions"]["cost"]
        assert cost["requested"] >= 200
        assert cost["actual"] - cost["requested"] == points, field


@pytest.mark.parametrize(
    ("orders", "customers", "points"),
    [(99, 999, 0), (100, 999, 1), (100, 1_000, 2), (156_000, 100_000, 1_660), (10**9, 0, 5_000)],
)
def test_counting_has_a_price_and_a_maximum(orders: int, customers: int, points: int) -> None:
    assert price_of_counting(orders, customers) == points


@pytest.mark.parametrize(
    "query",
    [
        spend.spend_of_period,
        spend.customers_of_period,
        spend.top_customers_of_period,
        statistics.spend_by_day,
    ],
)
def test_figures_read_only_the_index(new_database: str, query: Callable[[], Query]) -> None:
    """Reading each order from the table takes five times as long on SQLite."""
    url = parse_url(new_database)
    if url.dialect == "postgresql":
        assert "Index Only Scan using orders_of_period" in asyncio.run(explain(new_database, query))
        return
    assert url.path
    connection = connect(url.path)
    compiled = query().compiled("sqlite")
    arguments = compiled.arguments(dict.fromkeys(compiled.names, 1))
    roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))
    steps = connection.execute(f"EXPLAIN {compiled.text}", arguments).fetchall()
    opened = [(step[2], step[3]) for step in steps if step[1] == "OpenRead"]
    # The table is opened with its index, and then without it for the orders before the period.
    (index,) = [n for n, (_, root) in enumerate(opened) if root == roots["orders_of_period"]]
    table, root = opened[index - 1]
    assert root == roots["orders"]
    assert not [step for step in steps if step[1] == "Column" and step[2] == table]
    connection.close()


async def explain(database_url: str, query: Callable[[], Query]) -> str:
    connection = await asyncpg.connect(database_url)
    try:
        # The planner prefers them for an empty table.
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        await connection.execute("DROP INDEX orders_of_customer, orders_name")
        compiled = query().compiled("postgresql")
        values = compiled.arguments({**dict.fromkeys(compiled.names, 1), "currency": "EUR"})
        rows = await connection.fetch(f"EXPLAIN {compiled.text}", *values)
        return "\n".join(row[0] for row in rows)
    finally:
        await connection.close()
