"""The columns that each field of each object type reads, and its renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import starmap
from typing import Any

import orjson

from regulars.api.connections import connection_types
from regulars.api.context import Context
from regulars.api.related import list_of
from regulars.api.values import external_ids_of, global_id, timestamp_of
from regulars.core import fields as kinds
from regulars.core.fields import Field
from regulars.core.money import amounts
from regulars.core.paging import encode, requested_size
from regulars.core.text import full_name
from regulars.customers import address_book, addresses, contact_points, custom
from regulars.customers.address_book import BILLING, SHIPPING
from regulars.customers.avatars import avatars
from regulars.customers.fields import FIELDS
from regulars.customers.graphql.address_rules import PROBLEMS
from regulars.customers.graphql.history import changes_of
from regulars.customers.phone_numbers import read_number
from regulars.graphql import (
    Nested,
    PerRow,
    Related,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.graphql.bindings import Arguments, ColumnFunction
from regulars.store.queries import ORDER_VALUE
from regulars.store.relations import LEADS, ORDERS

# What it costs to count customers, in points.
COUNT_COST = 10


def _location(shipping: str | None, billing: str | None) -> str:
    return addresses.location(addresses.load(shipping), addresses.load(billing))


def address_row(kind: str, customer_id: int, text: str | None) -> Mapping[str, Any] | None:
    """Return the columns of an address with its derived `_id`: twice the customer's for shipping,
    and one more for billing."""
    parts = addresses.load(text)
    if parts is None:
        return None
    return {"address_id": 2 * customer_id + (kind == BILLING), "parts": parts}


def _address(kind: str) -> Nested:
    return Nested(("customer_id", kind), PerRow(partial(address_row, kind)), can_be_large=True)


def _part(name: str, missing: str | None = "") -> Value:
    """Return the field of a part of an address. `missing` is its value if it is not known."""
    return Value(("parts",), PerRow(lambda parts: parts.get(name, missing)))


def _contact_points(name: str) -> Nested:
    """Return the field of a list of contact points."""
    kind = contact_points.KINDS[name]

    def rows(customer_id: int, value: str, stored: str | None) -> list[Mapping[str, Any]]:
        points = contact_points.load(stored, value)
        return [contact_row(kind, customer_id, points, e) for e in points.default_first()]

    def count(_ids: Sequence[int], values: Sequence[str], stored: Sequence[str | None]) -> int:
        return sum(
            len(contact_points.load(text, value).entries) if text else bool(value)
            for value, text in zip(values, stored, strict=True)
        )

    columns = ("customer_id", kind.default, name)
    return Nested(columns, PerRow(rows), can_be_large=True, count=count)


def _count_addresses(_ids: Sequence[int], *columns: Sequence[str | None]) -> int:
    """Return the number of entries in the address books of customers."""
    return sum(starmap(address_book.count_entries, zip(*columns, strict=True)))


def contact_row(
    kind: contact_points.Kind,
    customer_id: int,
    points: contact_points.ContactPoints,
    entry: contact_points.Entry,
) -> Mapping[str, Any]:
    """Return the columns of an entry of a list of contact points."""
    return {
        "id": contact_points.ContactPointId(kind, customer_id, entry.n).encode(),
        kind.noun: entry.value,
        "label": entry.label,
        "default": entry.n == points.default,
        "verified_at": entry.verified_at,
    }


def _column(
    read: ColumnFunction | None = None, *, can_be_large: bool = False
) -> Callable[[Field], Value]:
    """Return a field that shows its own column."""
    return lambda field: Value((field.name,), read, can_be_large=can_be_large)


# How each kind of field is shown.
_OF_KIND: Mapping[type[Field], Callable[[Any], Value | Nested]] = {
    kinds.Text: _column(),
    kinds.LongText: _column(can_be_large=True),
    kinds.Email: _column(),
    kinds.Phone: _column(),
    kinds.Flag: _column(PerRow(bool)),
    kinds.Tags: _column(PerRow(orjson.loads), can_be_large=True),
    kinds.ExternalIds: lambda field: external_ids_of(field.name),
    kinds.Emails: lambda field: _contact_points(field.name),
    kinds.Phones: lambda field: _contact_points(field.name),
    kinds.Json: _column(PerRow(custom.load), can_be_large=True),
    kinds.Address: lambda field: _address(field.name),
    kinds.Addresses: lambda field: Nested(
        ("customer_id", SHIPPING, BILLING, field.name),
        PerRow(address_book.api_rows),
        can_be_large=True,
        count=_count_addresses,
    ),
    kinds.Timestamp: lambda field: timestamp_of(field.name),
    kinds.Money: _column(amounts),
    kinds.Count: _column(),
    kinds.FullName: lambda field: Value(field.sources, PerRow(full_name)),
    kinds.Location: lambda field: Value(field.sources, PerRow(_location)),
    kinds.Avatar: lambda field: Value(field.sources, avatars),
}

CUSTOMER = TypeBinding(
    {
        "id": global_id("Customer", "customer_id"),
        "_id": Value(("customer_id",)),
        **{field.name: _OF_KIND[type(field)](field) for field in FIELDS if field.in_api},
        "summary": SameRow(),
        "leads": list_of(LEADS, "Lead", "leads"),
        "changes": Related("customer_id", prepare=changes_of, size=requested_size),
    }
)

ADDRESS = TypeBinding(
    {
        "id": global_id("Address", "address_id"),
        "_id": Value(("address_id",)),
        **{name: _part(name) for name in addresses.PARTS if name != "country"},
        "country": _part("country", missing=None),
        "toString": Value(("parts",), PerRow(addresses.on_one_line)),
        "problems": PROBLEMS,
    },
    has_dict_rows=True,
)

ADDRESS_ENTRY = TypeBinding(
    {
        "id": global_id("Address", "address_id"),
        **{name: Value((name,)) for name in ("label", *address_book.FLAGS.values())},
        "address": Nested(("address",)),
    },
    has_dict_rows=True,
)

_OF_ENTRY: Mapping[str, Any] = {
    "id": Value(("id",)),
    "label": Value(("label",)),
    "default": Value(("default",)),
}
EMAIL_ADDRESS = TypeBinding(
    {**_OF_ENTRY, "email": Value(("email",)), "verified_at": timestamp_of("verified_at")},
    has_dict_rows=True,
)


def _number(name: str) -> Value:
    """Return a field that is computed from a phone number."""

    def prepare(_arguments: Arguments) -> ColumnFunction:
        def render(env: Context, phones: Sequence[str]) -> list[Any]:
            return [getattr(read_number(phone, env.default_country), name) for phone in phones]

        return render

    return Value(("phone",), prepare=prepare, cost=1)


PHONE_NUMBER = TypeBinding(
    {
        **_OF_ENTRY,
        "phone": Value(("phone",)),
        **{name: _number(name) for name in ("e164", "country", "valid")},
    },
    has_dict_rows=True,
)

EXTERNAL_ID = TypeBinding({"source": Value(("source",)), "id": Value(("id",))}, has_dict_rows=True)

SUMMARY = TypeBinding({"visits": Value(("visits",)), "orders": SameRow()})

CUSTOMER_ORDERS = TypeBinding(
    {
        "expenses": Value(("expenses",), amounts),
        "count": Value(("orders_count",)),
        "list": list_of(ORDERS, "Order", "orders"),
    }
)

CUSTOMER_KEYSET = (ORDER_VALUE, "customer_id")
COUNT = Value(("totalCount",), cost=COUNT_COST)

TYPES: Mapping[str, TypeBinding] = {
    "Customer": CUSTOMER,
    "Address": ADDRESS,
    "EmailAddress": EMAIL_ADDRESS,
    "PhoneNumber": PHONE_NUMBER,
    "AddressEntry": ADDRESS_ENTRY,
    "ExternalId": EXTERNAL_ID,
    "CustomerSummary": SUMMARY,
    "CustomerOrders": CUSTOMER_ORDERS,
    **connection_types("Customer", CUSTOMER_KEYSET, encode, {"totalCount": COUNT}),
}
