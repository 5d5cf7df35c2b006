"""For each field of each object type what it reads and how it is rendered, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from regulars.api import changes, timestamps
from regulars.api.connections import PAGE_INFO, connection_types
from regulars.api.context import Context
from regulars.core import fields as kinds
from regulars.core.fields import Field
from regulars.customers.fields import FIELDS
from regulars.directory import addresses, custom, history
from regulars.directory.avatars import avatars
from regulars.directory.errors import InvalidCursor, Problem, Rejected
from regulars.directory.ids import encoder, number_of
from regulars.directory.orders import amounts
from regulars.directory.paging import CHANGE_CURSORS, check_size, encode, requested_size
from regulars.directory.text import full_name
from regulars.graphql import (
    Arguments,
    CostLimitError,
    Layout,
    Load,
    Nested,
    PerRow,
    Related,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.graphql.bindings import ColumnFunction
from regulars.store.queries import ORDER_VALUE
from regulars.store.relations import CHANGES, LEADS, ORDERS, Relation

# What it costs to count customers, in points.
COUNT_COST = 10

BILLING = "billing_address"
SHIPPING = "shipping_address"


def _global_id(type_name: str, column: str) -> Value:
    return Value((column,), encoder(type_name))


def timestamp_of(column: str) -> Value:
    """A moment in the format that its arguments ask for."""
    return Value((column,), prepare=timestamps.prepare)


def _location(shipping: str | None, billing: str | None) -> str:
    return addresses.location(addresses.load(shipping), addresses.load(billing))


def address_row(kind: str, customer_id: int, stored: str | None) -> Mapping[str, Any] | None:
    """An address as its fields read it: its parts and its derived `_id`, twice the customer's
    for shipping and one more for billing."""
    parts = addresses.load(stored)
    if parts is None:
        return None
    return {"address_id": 2 * customer_id + (kind == BILLING), "parts": parts}


def _address(kind: str) -> Nested:
    return Nested(("customer_id", kind), PerRow(partial(address_row, kind)), can_be_large=True)


def _list_of(relation: Relation, type_name: str, noun: str) -> Related:
    """A list without cursors of the rows that belong to customers: `after` is the id of a row."""

    def prepare(arguments: Arguments) -> Load:
        first, after = arguments.get("first"), arguments.get("after")

        async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
            problems: list[Problem] = [
                *check_size("first", first, env.directory.limits.page_size, noun)
            ]
            cursor = None
            if after:
                number = number_of(after, type_name)
                cursor = await env.directory.cursor_of(relation, env.account_id, number)
                if cursor is None:
                    problems.append(_no_cursor(type_name))
            if problems:
                raise Rejected(*problems)
            rows = await env.directory.rows_of_each(
                relation, env.account_id, ids, layout.columns, first, cursor
            )
            # A customer can be there several times, as the customer of several orders.
            count, max_count = sum(map(len, rows)), env.directory.limits.list_rows
            if count > max_count:
                raise CostLimitError(count, max_count)
            return rows

        return load

    return Related("customer_id", prepare=prepare, size=lambda arguments: arguments.get("first"))


def _no_cursor(type_name: str) -> InvalidCursor:
    noun = type_name.lower()
    return InvalidCursor(
        "after", f"No {noun} has this id. Use the `id` of the last {noun} of the previous page."
    )


async def customers_of(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
    """For each `_id` the customer's row, or None."""
    return await env.directory.customers(env.account_id, ids, layout.columns)


async def _orders(env: Context, ids: list[int | None], layout: Layout) -> Sequence[Any]:
    known = [number for number in ids if number is not None]
    found = await env.directory.orders(env.account_id, known, layout.columns) if known else []
    rows = dict(zip(known, found, strict=True))
    return [rows.get(number) if number is not None else None for number in ids]


def _part(name: str, missing: str | None = "") -> Value:
    """A part of an address; `missing` where it is not known."""
    return Value(("parts",), PerRow(lambda parts: parts.get(name, missing)))


def _column(
    read: ColumnFunction | None = None, *, can_be_large: bool = False
) -> Callable[[Field], Value]:
    """A field that shows its own column."""
    return lambda field: Value((field.name,), read, can_be_large=can_be_large)


# How each kind of field is shown.
_OF_KIND: Mapping[type[Field], Callable[[Any], Value | Nested]] = {
    kinds.Text: _column(),
    kinds.LongText: _column(can_be_large=True),
    kinds.Email: _column(),
    kinds.Phone: _column(),
    kinds.Flag: _column(PerRow(bool)),
    kinds.Tags: _column(PerRow(orjson.loads), can_be_large=True),
    kinds.Json: _column(PerRow(custom.load), can_be_large=True),
    kinds.Address: lambda field: _address(field.name),
    kinds.Timestamp: lambda field: timestamp_of(field.name),
    kinds.Money: _column(amounts),
    kinds.Count: _column(),
    kinds.FullName: lambda field: Value(field.sources, PerRow(full_name)),
    kinds.Location: lambda field: Value(field.sources, PerRow(_location)),
    kinds.Avatar: lambda field: Value(field.sources, avatars),
}

CUSTOMER = TypeBinding(
    {
        "id": _global_id("Customer", "customer_id"),
        "_id": Value(("customer_id",)),
        **{field.name: _OF_KIND[type(field)](field) for field in FIELDS if field.in_api},
        "summary": SameRow(),
        "leads": _list_of(LEADS, "Lead", "leads"),
        "changes": Related("customer_id", prepare=changes.changes_of, size=requested_size),
    }
)

ADDRESS = TypeBinding(
    {
        "id": _global_id("Address", "address_id"),
        "_id": Value(("address_id",)),
        **{name: _part(name) for name in addresses.PARTS if name != "country"},
        "country": _part("country", missing=None),
        "toString": Value(("parts",), PerRow(addresses.on_one_line)),
    },
    has_dict_rows=True,
)

SUMMARY = TypeBinding({"visits": Value(("visits",)), "orders": SameRow()})

CUSTOMER_ORDERS = TypeBinding(
    {
        "expenses": Value(("expenses",), amounts),
        "count": Value(("orders_count",)),
        "list": _list_of(ORDERS, "Order", "orders"),
    }
)

ORDER_SUMMARY = TypeBinding({"order": SameRow(), "referrer": Value(("referrer",))})

ORDER = TypeBinding(
    {
        "id": _global_id("Order", "order_id"),
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
        "tags": Value(("tags",), PerRow(orjson.loads), can_be_large=True),
        "test": Value(("test",), PerRow(bool)),
        "cancelled_at": timestamp_of("cancelled_at"),
        "created_at": timestamp_of("created_at"),
        "updated_at": timestamp_of("updated_at"),
    }
)

LEAD = TypeBinding(
    {
        "id": _global_id("Lead", "lead_id"),
        "_id": Value(("lead_id",)),
        "subject": Value(("subject",), can_be_large=True),
        "message": Value(("message",), can_be_large=True),
        "custom": Value(("custom",), PerRow(custom.load), can_be_large=True),
        "created_at": timestamp_of("created_at"),
    }
)

CUSTOMER_KEYSET = (ORDER_VALUE, "customer_id")
COUNT = Value(("totalCount",), cost=COUNT_COST)

CHANGE = TypeBinding(
    {
        "sequence": Value(("sequence",)),
        "kind": Value(("kind",)),
        "at": timestamp_of("at"),
        "actor": SameRow(),
        "request_id": Value(("request_id",)),
        "customer_id": _global_id("Customer", "customer_id"),
        "customer": Related("customer_id", customers_of),
        "order": Related("order_id", _orders),
        "fields": Nested(("fields",), PerRow(history.fields), can_be_large=True),
        "silent": Value(("silent",), PerRow(bool)),
    }
)
ACTOR = TypeBinding({"kind": Value(("actor_kind",)), "name": Value(("actor",))})
FIELD_CHANGE = TypeBinding(
    {name: Value((name,), can_be_large=name != "name") for name in ("name", "before", "after")},
    has_dict_rows=True,
)

TYPES: Mapping[str, TypeBinding] = {
    "Customer": CUSTOMER,
    "Address": ADDRESS,
    "CustomerSummary": SUMMARY,
    "CustomerOrders": CUSTOMER_ORDERS,
    "OrderSummary": ORDER_SUMMARY,
    "Order": ORDER,
    "Lead": LEAD,
    **connection_types("Customer", CUSTOMER_KEYSET, encode, {"totalCount": COUNT}),
    "PageInfo": PAGE_INFO,
    **connection_types("CustomerChange", CHANGES.keyset, CHANGE_CURSORS.encode),
    "CustomerChange": CHANGE,
    "Actor": ACTOR,
    "FieldChange": FIELD_CHANGE,
}
