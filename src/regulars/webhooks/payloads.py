"""The bodies of events: what a receiver is told of a customer, or of an order.

A body shows the customer as it was when the change was made: the present row, with the changes
since then undone. So it is the same at every attempt, and costs a write nothing. Of a customer who
is deleted meanwhile it keeps the ids and none of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from regulars.core import fields as kinds
from regulars.core.dates import iso
from regulars.core.fields import Field, in_order
from regulars.core.ids import encoder
from regulars.core.money import amounts
from regulars.core.text import full_name
from regulars.customers import addresses, history
from regulars.customers.avatars import avatars
from regulars.customers.field_rules import EMPTY
from regulars.customers.fields import FIELDS
from regulars.store import Row, Store, queries
from regulars.store.relations import LEADS, all_of_each
from regulars.webhooks import delivery_queries

_CUSTOMER_ID, _ORDER_ID, _LEAD_ID, _ACCOUNT_ID = map(
    encoder, ("Customer", "Order", "Lead", "Account")
)
FORM = "contact-form/created"
_NO_MESSAGE: dict[str, Any] = {"id": None, "_id": None, "__typename": "Lead"}
# How often a body is made again because its customer changed meanwhile.
_TRIES = 5
_ADDRESS = (
    *("zip", "area", "city", "email", "line1", "line2", "phone", "state", "country"),
    *("last_name", "first_name"),
)
_LEAD_COLUMNS = ("lead_id", "subject", "message", "custom", "created_at")

Body = dict[str, Any]


async def event(
    store: Store,
    account_id: int,
    sequence: int,
    customer_id: int,
    changes: bool,
    form: bool = False,
) -> Body:
    """The body of the event of a change; `changes` asks for the values before, too, and `form` for
    the message that the change is about, instead of its customer."""
    given = {"account_id": account_id, "customer_id": customer_id, "after": sequence}
    rows = await store.fetch(delivery_queries.later_changes(), given)
    for _ in range(_TRIES):
        body = await _body(store, account_id, customer_id, rows, changes, form)
        again = await store.fetch(delivery_queries.later_changes(), given)
        if len(again) == len(rows):
            break
        rows = again  # the customer changed in between: what was read need not go together
    return body


async def _body(
    store: Store, account_id: int, customer_id: int, rows: Sequence[Any], changes: bool, form: bool
) -> Body:
    later = [dict(zip(delivery_queries.CHANGE_COLUMNS, row, strict=True)) for row in rows]
    this = later.pop()
    customer = await _one(
        store, queries.one_customer(queries.CUSTOMER_COLUMNS), account_id, customer_id
    )
    if this["order_id"] is not None:
        node = await _order(store, account_id, this["order_id"], later, customer)
    elif form:
        node = await _form(store, account_id, customer_id, later, customer)
    else:
        leads = await store.fetch(
            all_of_each(LEADS, _LEAD_COLUMNS), {"account_id": account_id, "ids": [customer_id]}
        )
        node = _contact(customer_id, customer, [row[1:] for row in leads], later)
    body: Body = {"node": node}
    if changes:
        told = history.fields(this["fields"])
        body["changes"] = {field["name"]: field["before"] for field in told}
    return body


async def _one(store: Store, query: Any, account_id: int, number: int) -> Row | None:
    rows = await store.fetch(query, {"account_id": account_id, "number": number})
    return dict(zip(queries.CUSTOMER_COLUMNS, rows[0], strict=True)) if rows else None


def _contact(customer_id: int, row: Row | None, leads: Sequence[Any], later: Sequence[Row]) -> Body:
    """A customer as it was before the `later` changes, newest first; blank when it is gone."""
    if row is None:
        return contact(customer_id, EMPTY, [])
    for change in later:
        row = history.undone(row, change["fields"])
    newer = sum(change["kind"] == history.LEAD_CREATED for change in later)
    # The ids of leads are given in order: those that came later are the greatest.
    known = sorted(leads)[: len(leads) - newer]
    return contact(customer_id, row, known)


def contact(customer_id: int, row: Row, leads: Sequence[Any]) -> Body:
    """A customer as the API's webhooks tell it."""
    values = {
        "id": _CUSTOMER_ID([customer_id])[0],
        "_id": customer_id,
        "leads": [_lead(lead) for lead in reversed(leads)],
        "__typename": "Customer",
        **{name: value(row) for name, value in _VALUES.items()},
    }
    return {name: values[name] for name in _KEYS}


def address(parts: Mapping[str, Any] | None) -> Body:
    """An address: one that is absent is all empty strings, its country null."""
    return {name: (parts or {}).get(name, None if name == "country" else "") for name in _ADDRESS}


# What of a customer's row the value of a field is in a body.
_OfRow = Callable[[Row], Any]


def _column(read: Callable[[Any], Any]) -> Callable[[Field], _OfRow]:
    return lambda field: lambda row: read(row[field.name])


def _same(value: Any) -> Any:
    return value


def _location(field: kinds.Location) -> _OfRow:
    first, second = field.sources
    return lambda row: addresses.location(addresses.load(row[first]), addresses.load(row[second]))


def _full_name(field: kinds.FullName) -> _OfRow:
    first, last = field.sources
    return lambda row: full_name(row[first], row[last])


def _avatar(field: kinds.Avatar) -> _OfRow:
    (email,) = field.sources
    return lambda row: avatars([row[email]])[0] if row[email] else ""


def _load(stored: str | None) -> Any:
    return None if stored is None else orjson.loads(stored)


# The kinds of fields that are in a body.
_OF_KIND: Mapping[type[Field], Callable[[Any], _OfRow]] = {
    kinds.Text: _column(_same),
    kinds.LongText: _column(_same),
    kinds.Email: _column(_same),
    kinds.Phone: _column(_same),
    kinds.Flag: _column(bool),
    kinds.Tags: _column(orjson.loads),
    kinds.Json: _column(lambda stored: _load(stored) or {}),
    kinds.Address: _column(lambda stored: address(addresses.load(stored))),
    kinds.Location: _location,
    kinds.FullName: _full_name,
    kinds.Avatar: _avatar,
}
# The program's own counts and timestamps are in none.
_LEFT_OUT = (kinds.Timestamp, kinds.Money, kinds.Count)
_VALUES = {f.name: _OF_KIND[type(f)](f) for f in FIELDS if not isinstance(f, _LEFT_OUT)}
# In the order of the first release, which a signature covers; other fields follow.
_KEYS = (
    *in_order(
        "id _id tags email leads notes phone avatar custom location full_name last_name first_name "
        "accepts_marketing billing_address shipping_address",
        ("id", "_id", "leads", *_VALUES),
    ),
    "__typename",
)


def _lead(row: Any) -> Body:
    number, subject, message, custom, created_at = row
    return {
        "id": _LEAD_ID([number])[0],
        "_id": number,
        "subject": subject,
        "message": message,
        "custom": _load(custom) or {},
        "created_at": iso(created_at),
        "__typename": "Lead",
    }


async def _form(
    store: Store, account_id: int, customer_id: int, later: Sequence[Row], row: Row | None
) -> Body:
    """The message that a change is about, with its customer's names, email and phone then."""
    if row is None:
        return _NO_MESSAGE
    given = {"account_id": account_id, "ids": [customer_id]}
    rows = await store.fetch(all_of_each(LEADS, _LEAD_COLUMNS), given)
    leads = sorted(row[1:] for row in rows)
    newer = sum(change["kind"] == history.LEAD_CREATED for change in later)
    if newer >= len(leads):  # the customer is being deleted
        return _NO_MESSAGE
    for change in later:
        row = history.undone(row, change["fields"])
    return _message(leads[-1 - newer], row)


def _message(lead: Any, customer: Row) -> Body:
    person = ("email", "phone", "first_name", "last_name")
    return {**_lead(lead), **{name: customer[name] for name in person}}


async def _order(
    store: Store, account_id: int, order_id: int, later: Sequence[Row], customer: Row | None
) -> Body:
    rows = await store.fetch(
        queries.one_order(queries.WHOLE_ORDER), {"account_id": account_id, "number": order_id}
    )
    ids = {"id": _ORDER_ID([order_id])[0], "_id": order_id, "__typename": "Order"}
    if not rows or customer is None:
        return ids
    row: Row = dict(zip(queries.WHOLE_ORDER, rows[0], strict=True))
    for change in later:
        if change["order_id"] == order_id:
            row = history.undone(row, change["fields"], of_order=True)
        else:
            customer = history.undone(customer, change["fields"])
    return {**ids, **order(row, customer)}


def order(row: Row, customer: Row) -> Body:
    """An order as a shop's own events tell it: amounts as numbers, moments as ISO 8601 has them."""
    details = _load(row["details"]) or {}
    shipping, billing = (
        addresses.load(customer[name]) for name in ("shipping_address", "billing_address")
    )
    total, refunded, net = amounts([row["total"], row["refunded_amount"], row["net_payment"]])
    (paid,) = amounts([row["net_payment"] + row["refunded_amount"]])
    return {
        "name": row["name"],
        "email": row["email"],
        "phone": details.get("phone", customer["phone"]),
        "total": total,
        "subtotal": details.get("subtotal", total),
        "shipping": details.get("shipping", 0),
        "currency": row["currency"],
        "tags": orjson.loads(row["tags"]),
        "test": bool(row["test"]),
        "custom": details.get("custom") or {},
        "items": [],
        "notes": details.get("notes", ""),
        "account_id": _ACCOUNT_ID([row["account_id"]])[0],
        "financial_status": row["financial_status"],
        "fulfillment_status": row["fulfillment_status"],
        "customer": {
            "id": _CUSTOMER_ID([customer["customer_id"]])[0],
            "full_name": full_name(customer["first_name"], customer["last_name"]),
            "avatar": avatars([customer["email"]])[0],
            "location": addresses.location(shipping, billing),
        },
        "billing_address": address(details.get("billing_address", billing)),
        "shipping_address": address(details.get("shipping_address", shipping)),
        "payments": details.get("payments", []),
        "refunded_amount": refunded,
        "paid_by_customer": paid,
        "net_payment": net,
        "created_at": _in_seconds(row["created_at"]),
        "cancelled_at": _in_seconds(row["cancelled_at"]),
    }


def _in_seconds(at: int | None) -> str | None:
    """A timestamp as the API's own events have it: `2024-03-18 14:20:37`, in UTC."""
    return None if at is None else iso(at)[:19].replace("T", " ")


_EXAMPLE_CUSTOMER = {
    **EMPTY,
    "customer_id": 1,
    "email": "test@example.com",
    "first_name": "Test",
    "last_name": "Event",
    "tags": '["test"]',
    "shipping_address": '{"line1":"1 Example Street","city":"Casablanca","country":"MA"}',
}
_EXAMPLE_LEAD = (1, "Test", "A message of a test.", None, 1_710_771_637_000)
_EXAMPLE_ORDER = {
    "account_id": 1,
    "order_id": 1,
    "name": "TEST-1",
    "email": "test@example.com",
    "total": 350_000,
    "refunded_amount": 0,
    "net_payment": 350_000,
    "currency": "USD",
    "financial_status": "paid",
    "fulfillment_status": "unfulfilled",
    "tags": '["test"]',
    "test": True,
    "cancelled_at": None,
    "created_at": 1_710_771_637_000,
    "details": None,
}


def example(type_: str) -> Body:
    """The body of an event of a type that has not happened."""
    if type_.startswith("contact/"):
        return {"node": contact(1, _EXAMPLE_CUSTOMER, [])}
    if type_ == FORM:
        return {"node": _message(_EXAMPLE_LEAD, _EXAMPLE_CUSTOMER)}
    if type_ == "app/uninstalled":
        return {"node": {"id": _ACCOUNT_ID([1])[0], "_id": 1, "__typename": "Account"}}
    ids = {"id": _ORDER_ID([1])[0], "_id": 1, "__typename": "Order"}
    return {"node": {**ids, **order(_EXAMPLE_ORDER, _EXAMPLE_CUSTOMER)}}
