"""The field that counts what is in an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api.context import Context
from regulars.api.guards import price_of_counting
from regulars.api.values import timestamp_of
from regulars.core.money import amounts
from regulars.customers.graphql.tags import most_frequent
from regulars.customers.statistics import Statistics
from regulars.graphql import Arguments, Layouts, Nested, Resolve, TypeBinding, Value

# What it costs, in points, before everything is counted.
_COST = 200
_TAGS = 10


def statistics(layouts: Layouts) -> Resolve:
    """Resolve the statistics of the account. Only selected figures are computed."""
    layout = layouts.only
    everybody = layout.selects("customers", "accepts_marketing")
    lists = [name for name in _LISTS if layout.selects(name)]
    sums = [name for name in ("ordered", "expenses") if layout.selects(name)]

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        count = Statistics(env.directory.store, env.account_id, env.now)
        figures: dict[str, Any] = {}
        if everybody:
            figures["customers"], figures["accepts_marketing"] = await count.consent()
        for name in sums:
            figures[name] = await getattr(count, name)()
        for name in lists:
            figures[name] = [row._asdict() for row in await getattr(count, name)()]
        if layout.selects("tags"):
            figures["tags"] = await most_frequent(env, _TAGS)
        return figures

    return resolve


def price(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Costs as much whatever is selected."""
    return _COST + fixed


def measure(figures: Mapping[str, Any]) -> int:
    """Return the cost of the orders and customers that the figures count."""
    lists = [row for name in ("new_by_week", "countries") for row in figures.get(name, ())]
    customers = figures.get("customers", 0) + sum(row["customers"] for row in lists)
    orders = sum(row["orders"] for row in figures.get("spend_by_month", ()))
    return price_of_counting(orders, customers)


_LISTS = ("new_by_week", "countries", "spend_by_month")

TYPES: Mapping[str, TypeBinding] = {
    "CustomerStatistics": TypeBinding(
        {
            **{name: Value((name,)) for name in ("customers", "accepts_marketing", "ordered")},
            "expenses": Value(("expenses",), amounts),
            **{name: Nested((name,)) for name in (*_LISTS, "tags")},
        },
        has_dict_rows=True,
    ),
    "WeekCount": TypeBinding(
        {"start": timestamp_of("start"), "customers": Value(("customers",))}, has_dict_rows=True
    ),
    "CountryCount": TypeBinding(
        {name: Value((name,)) for name in ("country", "customers")}, has_dict_rows=True
    ),
    "TagCount": TypeBinding(
        {name: Value((name,)) for name in ("tag", "customers")}, has_dict_rows=True
    ),
    "MonthlySpend": TypeBinding(
        {
            **{name: Value((name,)) for name in ("month", "currency", "orders")},
            "amount": Value(("amount",), amounts),
        },
        has_dict_rows=True,
    ),
}
