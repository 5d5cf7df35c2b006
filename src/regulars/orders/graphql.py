"""Orders, leads and visits in the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.api import timestamps
from regulars.api.context import Context
from regulars.api.guards import needs, needs_to_write, price_of_counting, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.related import customers_of, node_loader
from regulars.api.values import external_ids_of, global_id, timestamp_of
from regulars.api.writing import mutation
from regulars.core import account_settings
from regulars.core.commands import IdempotencyRecord
from regulars.core.dates import parse_timestamp
from regulars.core.errors import InvalidInput, Problem, Rejected
from regulars.core.external_ids import clean_one
from regulars.core.fields import NEVER
from regulars.core.money import amounts
from regulars.core.scopes import ORDERS, READ
from regulars.customers import custom
from regulars.customers.commands import reference_to
from regulars.customers.graphql.bulk import WRITTEN
from regulars.customers.identifiers import Identifier, read_identifier
from regulars.directory.directory import Directory
from regulars.graphql import (
    Arguments,
    CostLimitError,
    Layout,
    Layouts,
    Nested,
    PerRow,
    Related,
    Resolve,
    Root,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.orders.commands import RecordLead, RecordOrder, RecordVisit
from regulars.orders.shop_input import clean_lead, clean_order, clean_order_details
from regulars.orders.spend import ADOPT_CURRENCY
from regulars.orders.statistics import Period
from regulars.orders.values import is_counted
from regulars.store import Row
from regulars.store.relations import ORDERS as ORDERS_OF
from regulars.store.spend import spend_of_each
from regulars.store.tables import MONEY_SCALE, orders
from regulars.store.tokens import account_settings_of


def _order_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordOrder:
    node, customer, problems = _identified(arguments["node"])
    given = node.pop("external_id", None)
    external_id = None
    if given is not None:
        external_id, id_problems = clean_one(given, ("node", "external_id"))
        problems += id_problems
    values, person, order_problems = clean_order(node, ("node",))
    return RecordOrder(
        values,
        person,
        env.now,
        [*order_problems, *problems],
        idempotency_record,
        env.origin,
        details=clean_order_details(node),
        customer=customer,
        external_id=external_id,
    )


def _lead_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordLead:
    node, customer, problems = _identified(arguments["node"])
    if customer is not None and not node["email"].strip():
        del node["email"]
    values, person, lead_problems = clean_lead(node, ("node",))
    problems = [*lead_problems, *problems]
    return RecordLead(values, person, env.now, problems, idempotency_record, env.origin, customer)


def _identified(
    node: Mapping[str, Any],
) -> tuple[dict[str, Any], Identifier | None, list[Problem]]:
    """Returns an input without the identifier of its customer, the identifier, and problems."""
    others = dict(node)
    customer, problems = read_identifier(others.pop("customer", None), ("node", "customer"))
    return others, customer, problems


def _visit_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordVisit:
    return RecordVisit(reference_to(arguments["id"]), env.now, idempotency_record, env.origin)


record_order = mutation(_order_command)
record_lead = mutation(_lead_command)
record_visit = mutation(_visit_command)

ORDER_SUMMARY = TypeBinding({"order": SameRow(), "referrer": Value(("referrer",))})

ORDER = TypeBinding(
    {
        "id": global_id("Order", "order_id"),
        "_id": Value(("order_id",)),
        "name": Value(("name",)),
        "email": Value(("email",)),
        "total": Value(("total",), amounts),
        "refunded_amount": Value(("refunded_amount",), amounts),
        "net_payment": Value(("net_payment",), amounts),
        "currency": Value(("currency",)),
        "financial_status": Value(("financial_status",)),
        "fulfillment_status": Value(("fulfillment_status",)),
        "customer": Related("customer_id", customers_of),
        "external_ids": external_ids_of("external_ids"),
        "tags": Value(("tags",), PerRow(orjson.loads), can_be_large=True),
        "test": Value(("test",), PerRow(bool)),
        "cancelled_at": timestamp_of("cancelled_at"),
        "created_at": timestamp_of("created_at"),
        "updated_at": timestamp_of("updated_at"),
    }
)

LEAD = TypeBinding(
    {
        "id": global_id("Lead", "lead_id"),
        "_id": Value(("lead_id",)),
        "subject": Value(("subject",), can_be_large=True),
        "message": Value(("message",), can_be_large=True),
        "custom": Value(("custom",), PerRow(custom.load), can_be_large=True),
        "created_at": timestamp_of("created_at"),
    }
)


async def _spend_of_each(env: Context, ids: list[int], _layout: Layout) -> Sequence[Sequence[Any]]:
    """Return what each customer has spent: the account's currency first, then by amount."""
    store, account = env.directory.store, {"account_id": env.account_id}
    drafts = env.draft.rows.get(orders, {}).values() if env.draft else ()
    drafted = {order["customer_id"] for order in drafts if order}.intersection(ids)
    parameters = {**account, "recounted_ids": list(set(ids) - drafted)}
    rows = [*await store.fetch(spend_of_each(), parameters, is_long=True)]
    if drafted:
        rows += await _spend_with_drafts(env, sorted(drafted))
    if len(rows) > env.directory.limits.list_rows:
        raise CostLimitError(len(rows), env.directory.limits.list_rows)
    currency = None
    if len({row[1] for row in rows}) > 1:
        adopted = env.draft.statements.get(ADOPT_CURRENCY) if env.draft else None
        if adopted is None:
            ((stored,),) = await store.fetch(account_settings_of(), account)
        else:
            stored = adopted["adopted_settings"]
        currency = account_settings.load(stored)[account_settings.CURRENCY.name]
    found: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row[1] != currency, -row[2], row[1])):
        found.setdefault(row[0], []).append(dict(zip(_SPEND, row, strict=True)))
    return [found.get(number, ()) for number in ids]


async def _spend_with_drafts(env: Context, ids: list[int]) -> list[tuple[Any, ...]]:
    """Return the rows of `spend_of_each` for customers of orders that a dry run would write."""
    columns = ("currency", "net_payment", "created_at", "test", "cancelled_at")
    listed = await env.directory.rows_of_each(ORDERS_OF, env.account_id, ids, columns)
    if (count := sum(map(len, listed))) > env.directory.limits.list_rows:
        raise CostLimitError(count, env.directory.limits.list_rows)
    rows = []
    for customer_id, values in zip(ids, listed, strict=True):
        by_currency: dict[str, list[Row]] = {}
        for row in (dict(zip(columns, v, strict=True)) for v in values):
            if is_counted(row):
                by_currency.setdefault(row["currency"], []).append(row)
        for currency, spent in by_currency.items():
            times = [row["created_at"] for row in spent]
            amount = sum(row["net_payment"] for row in spent)
            rows.append((customer_id, currency, amount, len(spent), min(times), max(times)))
    return rows


_SPEND = ("customer_id", "currency", "amount", "orders_count", "first_order_at", "last_order_at")


def averages(stored: Sequence[int], counts: Sequence[int]) -> list[float]:
    """Return the averages of stored amounts and counts, as JSON numbers."""
    return [
        amount / count / MONEY_SCALE if count else 0
        for amount, count in zip(stored, counts, strict=True)
    ]


_SPENT: Mapping[str, Value] = {
    "currency": Value(("currency",)),
    "amount": Value(("amount",), amounts),
    "orders_count": Value(("orders_count",)),
}
_AVERAGE = Value(("amount", "orders_count"), averages)
SPEND = TypeBinding(
    {
        **_SPENT,
        "average": _AVERAGE,
        "first_order_at": timestamp_of("first_order_at"),
        "last_order_at": timestamp_of("last_order_at"),
    },
    has_dict_rows=True,
)


# What it costs, in points, before the orders of the period are counted.
_STATISTICS_COST = 200


def _period_of(env: Context, arguments: Mapping[str, Any]) -> Period:
    """Return the period of the arguments. Raises Rejected."""
    times = {"since": None, "until": env.now}
    for name in times:
        text = arguments.get(name)
        if text is not None:
            times[name] = parse_timestamp(text)
            if times[name] is None:
                message = f"`{name}` is not a timestamp. Use a day or a time, such as 2024-03-18."
                raise Rejected(InvalidInput(message, (name,)))
    since, until = times["since"], times["until"]
    assert since is not None
    assert until is not None
    if since >= until:
        message = "`since` is not before `until`. Exchange them, or choose an earlier `since`."
        raise Rejected(InvalidInput(message, ("since",)))
    return Period(env.directory.store, env.account_id, since, until)


def order_statistics(layouts: Layouts) -> Resolve:
    """Resolve the figures of a period. Only selected figures are computed."""
    layout = layouts.only
    has_buyers = layout.selects("customers", "returning")
    has_spend = layout.selects("spend", "orders", "top_customers")
    top = layout.nested("top_customers") if layout.selects("top_customers") else None

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        period = _period_of(env, arguments)
        figures: dict[str, Any] = {"top_customers": []}
        if has_spend:
            figures["spend"] = spend = await period.spend()
            figures["orders"] = sum(row["orders_count"] for row in spend)
        if has_buyers:
            names = ("customers", "returning", "orders")
            figures |= zip(names, await period.buyers(), strict=True)
        if layout.selects("new_customers"):
            figures["new_customers"] = await period.new_customers()
        if top is not None and spend:
            currency = spend[0]["currency"]
            names = ("customer_id", "amount", "orders_count")
            rows = [
                {**dict(zip(names, row, strict=True)), "currency": currency}
                for row in await period.top_customers(currency)
            ]
            tuples = [tuple([row[name] for name in top.columns]) for row in rows]
            figures["top_customers"] = await top.load_related(tuples, env)
        return figures

    return resolve


def _price_of_statistics(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    return _STATISTICS_COST + fixed


def _measure_statistics(figures: Mapping[str, Any]) -> int:
    return price_of_counting(figures.get("orders", 0))


STATISTICS: Mapping[str, TypeBinding] = {
    "OrderStatistics": TypeBinding(
        {
            **{
                name: Value((name,))
                for name in ("orders", "customers", "returning", "new_customers")
            },
            "spend": Nested(("spend",)),
            "top_customers": Nested(("top_customers",)),
        },
        has_dict_rows=True,
    ),
    "PeriodSpend": TypeBinding({**_SPENT, "average": _AVERAGE}, has_dict_rows=True),
    "TopCustomer": TypeBinding({**_SPENT, "customer": Related("customer_id", customers_of)}),
}


def _last_order_at(arguments: Arguments) -> Any:
    render = timestamps.prepare(arguments)
    return lambda env, times: render(env, [None if at == NEVER else at for at in times])


def _roots(_page_size: int) -> Mapping[str, Root]:
    return {
        "orderStatistics": Root(
            order_statistics,
            needs(READ),
            _price_of_statistics,
            is_replica_safe=True,
            measure_cost=_measure_statistics,
        ),
        "recordOrder": Root(
            record_order, needs_to_write(ORDERS, "order_id", "name"), price_of_write
        ),
        "recordLead": Root(record_lead, needs(ORDERS), price_of_write),
        "recordVisit": Root(
            record_visit,
            needs_to_write(ORDERS, *WRITTEN, "visits"),
            price_of_write,
        ),
    }


API = ApiPart(
    {
        "OrderSummary": ORDER_SUMMARY,
        "Order": ORDER,
        "Lead": LEAD,
        "Spend": SPEND,
        **STATISTICS,
        "Customer": TypeBinding({"spend": Related("customer_id", _spend_of_each)}),
        "CustomerOrders": TypeBinding(
            {"last_order_at": Value(("last_order_at",), prepare=_last_order_at)}
        ),
    },
    _roots,
    {
        "Order": Node(READ, node_loader(Directory.order)),
        "Lead": Node(READ, node_loader(Directory.lead)),
    },
)
