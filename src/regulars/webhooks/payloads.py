"""The bodies of events about customers, messages and orders.

A body shows the customer as it was at the change: the current row, with later changes undone. It is
the same at every attempt, and a write stores no bodies. If the customer has been deleted, the body
has ids and no values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from regulars.core import fields as kinds
from regulars.core.dates import iso
from regulars.core.fields import Field, in_order, names_of
from regulars.core.ids import encoder
from regulars.core.money import amounts
from regulars.core.text import full_name
from regulars.customers import address_book, addresses, contact_points, history
from regulars.customers.avatars import avatars
from regulars.customers.field_rules import EMPTY
from regulars.customers.fields import FIELDS
from regulars.jobs.ending import JOB_ENDED
from regulars.store import Row, Store, queries
from regulars.store.relations import LEADS, all_of_each
from regulars.webhooks import delivery_queries, job_events

_CUSTOMER_ID, _ORDER_ID, _LEAD_ID, _ACCOUNT_ID, _SEGMENT_ID, _ADDRESS_ID = map(
    encoder, ("Customer", "Order", "Lead", "Account", "Segment", "Address")
)
FORM = "contact-form/created"
# Begins the types of events of segments. Their bodies have the segment, too.
OF_SEGMENT, SEGMENT = "segment/", "segment"
_NO_MESSAGE: dict[str, Any] = {"id": None, "_id": None, "__typename": "Lead"}
# How often a body is read at most, if its customer changes during the reads.
_MAX_READS = 5
_ADDRESS = (
    *("zip", "area", "city", "email", "line1", "line2", "phone", "state", "country"),
    *("last_name", "first_name", "company"),
)
LEAD_COLUMNS = ("lead_id", "subject", "message", "custom", "created_at")

Body = dict[str, Any]


async def event_body(
    store: Store,
    account_id: int,
    sequence: int,
    customer_id: int,
    with_changes: bool,
    is_form: bool = False,
) -> Body:
    """Return the body of the event of the change `sequence`. `with_changes` adds the values before
    the change. `is_form` selects the message of the change instead of its customer."""
    parameters = {"account_id": account_id, "customer_id": customer_id, "after": sequence}
    rows = await store.fetch(delivery_queries.later_changes(), parameters)
    for _ in range(_MAX_READS):
        body = await _read_body(store, account_id, customer_id, rows, with_changes, is_form)
        current_rows = await store.fetch(delivery_queries.later_changes(), parameters)
        if len(current_rows) == len(rows):
            break
        rows = current_rows  # the customer changed: the rows of the body may not match
    return body


async def _read_body(
    store: Store,
    account_id: int,
    customer_id: int,
    rows: Sequence[Any],
    with_changes: bool,
    is_form: bool,
) -> Body:
    later_changes = [dict(zip(delivery_queries.CHANGE_COLUMNS, row, strict=True)) for row in rows]
    change = later_changes.pop()
    customer = await _find_customer(
        store, queries.one_customer(queries.CUSTOMER_COLUMNS), account_id, customer_id
    )
    if change["order_id"] is not None:
        node = await _order_body(store, account_id, change["order_id"], later_changes, customer)
    elif is_form:
        node = await _form_body(store, account_id, customer_id, later_changes, customer)
    else:
        leads = await store.fetch(
            all_of_each(LEADS, LEAD_COLUMNS), {"account_id": account_id, "ids": [customer_id]}
        )
        node = _contact_before(customer_id, customer, [row[1:] for row in leads], later_changes)
    body: Body = {"node": node}
    segment_id = history.segment_of(change["cause"])
    if segment_id is not None:
        body[SEGMENT] = _segment_body(segment_id, change["actor"])
    if with_changes:
        fields = history.fields(change["fields"])
        body["changes"] = {field["name"]: field["before"] for field in fields}
    return body


def _segment_body(segment_id: int, name: str) -> Body:
    """Return a segment with its name at the time of the event."""
    return {"id": _SEGMENT_ID([segment_id])[0], "_id": segment_id, "name": name}


async def _find_customer(store: Store, query: Any, account_id: int, number: int) -> Row | None:
    rows = await store.fetch(query, {"account_id": account_id, "number": number})
    return dict(zip(queries.CUSTOMER_COLUMNS, rows[0], strict=True)) if rows else None


def _contact_before(
    customer_id: int, row: Row | None, leads: Sequence[Any], later_changes: Sequence[Row]
) -> Body:
    """Return a customer as it was before `later_changes` (newest first), or an empty one if it has
    been deleted."""
    if row is None:
        return contact_body(customer_id, EMPTY, [])
    for change in later_changes:
        row = history.undone(row, change["fields"])
    newer_count = sum(change["kind"] == history.LEAD_CREATED for change in later_changes)
    # The ids of leads ascend with time: the greatest ids belong to the later changes.
    older_leads = sorted(leads)[: len(leads) - newer_count]
    return contact_body(customer_id, row, older_leads)


def contact_body(customer_id: int, row: Row, leads: Sequence[Any]) -> Body:
    """Return a customer in the form of the API's webhooks; `leads` are oldest first."""
    values = {
        "id": _CUSTOMER_ID([customer_id])[0],
        "_id": customer_id,
        "leads": [_lead_body(lead) for lead in reversed(leads)],
        "__typename": "Customer",
        **{name: value(row) for name, value in _FIELD_READERS.items()},
    }
    return {name: values[name] for name in _BODY_KEYS}


def address_body(parts: Mapping[str, Any] | None) -> Body:
    """Return an address with all its parts; absent parts are empty, an absent country is null."""
    return {name: (parts or {}).get(name, None if name == "country" else "") for name in _ADDRESS}


# Reads the value of a field in a body from the customer's row.
_Reader = Callable[[Row], Any]


def _read_column(read: Callable[[Any], Any]) -> Callable[[Field], _Reader]:
    return lambda field: lambda row: read(row[field.name])


def _identity(value: Any) -> Any:
    return value


def _read_location(field: kinds.Location) -> _Reader:
    first, second = field.sources
    return lambda row: addresses.location(addresses.load(row[first]), addresses.load(row[second]))


def _read_full_name(field: kinds.FullName) -> _Reader:
    first, last = field.sources
    return lambda row: full_name(row[first], row[last])


def _read_avatar(field: kinds.Avatar) -> _Reader:
    (email,) = field.sources
    return lambda row: avatars([row[email]])[0]


def _read_contact_points(name: str, row: Row) -> list[Body]:
    kind = contact_points.KINDS[name]
    return contact_points.shown(kind, kind.points(row))


def _read_book(row: Row) -> list[Body]:
    entries = address_book.load(row)
    ids = _ADDRESS_ID([entry.number(row["customer_id"]) for entry in entries])
    return [
        {
            "id": id_,
            "label": entry.label,
            "default_shipping": entry.default_shipping,
            "default_billing": entry.default_billing,
            "address": address_body(entry.address),
        }
        for id_, entry in zip(ids, entries, strict=True)
    ]


def _load_json(stored: str | None) -> Any:
    return None if stored is None else orjson.loads(stored)


# The kinds of fields in a body.
_OF_KIND: Mapping[type[Field], Callable[[Any], _Reader]] = {
    kinds.Text: _read_column(_identity),
    kinds.LongText: _read_column(_identity),
    kinds.Email: _read_column(_identity),
    kinds.Phone: _read_column(_identity),
    kinds.Flag: _read_column(bool),
    kinds.Tags: _read_column(orjson.loads),
    kinds.ExternalIds: _read_column(lambda stored: _load_json(stored) or []),
    kinds.Emails: lambda field: partial(_read_contact_points, field.name),
    kinds.Phones: lambda field: partial(_read_contact_points, field.name),
    kinds.Json: _read_column(lambda stored: _load_json(stored) or {}),
    kinds.Address: _read_column(lambda stored: address_body(addresses.load(stored))),
    kinds.Addresses: lambda _: _read_book,
    kinds.Location: _read_location,
    kinds.FullName: _read_full_name,
    kinds.Avatar: _read_avatar,
}
# Bodies have no totals, counts or timestamps that Regulars computes.
_EXCLUDED_KINDS = (kinds.Timestamp, kinds.OptionalTimestamp, kinds.Money, kinds.Count)
_FIELD_READERS = {
    f.name: _OF_KIND[type(f)](f) for f in FIELDS if not isinstance(f, _EXCLUDED_KINDS)
}
_LAST_KEYS = names_of(FIELDS, kinds.ExternalIds, kinds.ContactPoints, kinds.Addresses)
# In the order of the first release, because a signature covers the order. New fields follow.
_BODY_KEYS = (
    *in_order(
        "id _id tags email leads notes phone avatar custom location full_name last_name first_name "
        "accepts_marketing billing_address shipping_address",
        ("id", "_id", "leads", *(name for name in _FIELD_READERS if name not in _LAST_KEYS)),
    ),
    "__typename",
    *_LAST_KEYS,
)


def _lead_body(row: Any) -> Body:
    number, subject, message, custom, created_at = row
    return {
        "id": _LEAD_ID([number])[0],
        "_id": number,
        "subject": subject,
        "message": message,
        "custom": _load_json(custom) or {},
        "created_at": iso(created_at),
        "__typename": "Lead",
    }


async def _form_body(
    store: Store, account_id: int, customer_id: int, later_changes: Sequence[Row], row: Row | None
) -> Body:
    """Return the message of a change, with the customer's names, email and phone at that time."""
    if row is None:
        return _NO_MESSAGE
    parameters = {"account_id": account_id, "ids": [customer_id]}
    rows = await store.fetch(all_of_each(LEADS, LEAD_COLUMNS), parameters)
    leads = sorted(row[1:] for row in rows)
    newer_count = sum(change["kind"] == history.LEAD_CREATED for change in later_changes)
    if newer_count >= len(leads):  # the customer is being deleted
        return _NO_MESSAGE
    for change in later_changes:
        row = history.undone(row, change["fields"])
    return _message_body(leads[-1 - newer_count], row)


def _message_body(lead: Any, customer: Row) -> Body:
    person_columns = ("email", "phone", "first_name", "last_name")
    return {**_lead_body(lead), **{name: customer[name] for name in person_columns}}


async def _order_body(
    store: Store, account_id: int, order_id: int, later_changes: Sequence[Row], customer: Row | None
) -> Body:
    rows = await store.fetch(
        queries.one_order(queries.WHOLE_ORDER), {"account_id": account_id, "number": order_id}
    )
    ids = {"id": _ORDER_ID([order_id])[0], "_id": order_id, "__typename": "Order"}
    if not rows or customer is None:
        return ids
    row: Row = dict(zip(queries.WHOLE_ORDER, rows[0], strict=True))
    for change in later_changes:
        if change["order_id"] == order_id:
            row = history.undone(row, change["fields"], of_order=True)
        else:
            customer = history.undone(customer, change["fields"])
    return {**ids, **order_body(row, customer)}


def order_body(row: Row, customer: Row) -> Body:
    """Return an order in the form of the API's webhooks, with amounts as numbers."""
    details = _load_json(row["details"]) or {}
    shipping, billing = (
        addresses.load(customer[name]) for name in ("shipping_address", "billing_address")
    )
    total, refunded, net = amounts([row["total"], row["refunded_amount"], row["net_payment"]])
    (paid_amount,) = amounts([row["net_payment"] + row["refunded_amount"]])
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
        "billing_address": address_body(details.get("billing_address", billing)),
        "shipping_address": address_body(details.get("shipping_address", shipping)),
        "payments": details.get("payments", []),
        "refunded_amount": refunded,
        "paid_by_customer": paid_amount,
        "net_payment": net,
        "created_at": _format_seconds(row["created_at"]),
        "cancelled_at": _format_seconds(row["cancelled_at"]),
    }


def _format_seconds(timestamp_ms: int | None) -> str | None:
    """Return a timestamp in the form of the API's events, in UTC: `2024-03-18 14:20:37`."""
    return None if timestamp_ms is None else iso(timestamp_ms)[:19].replace("T", " ")


_EXAMPLE_CUSTOMER = {
    **EMPTY,
    "customer_id": 1,
    "email": "test@example.com",
    "first_name": "Test",
    "last_name": "Event",
    "tags": '["test"]',
    "shipping_address": '{"line1":"1 Example Street","city":"Casablanca","country":"MA"}',
}
_EXAMPLE_LEAD = (1, "Test", "This is a test message.", None, 1_710_771_637_000)
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


def example_body(type_: str) -> Body:
    """Return an invented body of an event type, for a test delivery."""
    if type_.startswith("contact/"):
        return {"node": contact_body(1, _EXAMPLE_CUSTOMER, [])}
    if type_.startswith(OF_SEGMENT):
        node = contact_body(1, _EXAMPLE_CUSTOMER, [])
        return {"node": node, SEGMENT: _segment_body(1, "Test")}
    if type_ == FORM:
        return {"node": _message_body(_EXAMPLE_LEAD, _EXAMPLE_CUSTOMER)}
    if type_ == JOB_ENDED:
        return job_events.example_body()
    if type_ == "app/uninstalled":
        return {"node": {"id": _ACCOUNT_ID([1])[0], "_id": 1, "__typename": "Account"}}
    ids = {"id": _ORDER_ID([1])[0], "_id": 1, "__typename": "Order"}
    return {"node": {**ids, **order_body(_EXAMPLE_ORDER, _EXAMPLE_CUSTOMER)}}
