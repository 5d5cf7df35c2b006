"""Parse events of a shop into commands.

A shop sends `{"node": {…}}`. Amounts are JSON numbers. Unknown fields are ignored; a known field
that cannot be read raises UnparseableEvent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.commands import Command, IdempotencyRecord, Origin
from regulars.core.dates import iso
from regulars.core.errors import MissingEmail, Problem
from regulars.core.fields import in_order, names_of
from regulars.customers import custom
from regulars.customers.field_rules import EMPTY, FILLABLE, NULLABLE
from regulars.customers.fields import FIELDS
from regulars.customers.values import clean_values
from regulars.orders.commands import (
    SHOP_ID_LENGTH,
    DeleteContact,
    Delivery,
    RecordContact,
    RecordLead,
    RecordOrder,
    RestoreContact,
    ShopIds,
)
from regulars.orders.contact_lists import read_lists
from regulars.orders.shop_input import (
    clean_address,
    clean_address_patch,
    clean_lead,
    clean_order,
    clean_order_details,
    parse_amount,
)
from regulars.orders.shop_node import (
    Node,
    UnparseableEvent,
    read_flag,
    read_names,
    read_number,
    read_object,
    read_regulars_id,
    read_shop_id,
    read_tags,
    read_text,
    read_timestamp,
)
from regulars.orders.values import financial_status

ORDERS = (
    *("order/created", "order/confirmed", "order/updated", "order/refunded", "order/cancelled"),
    *("order/fulfilled", "order/uncancelled"),
)
RESTORED = "contact/restored"
CONTACTS = ("contact/signup", "contact/updated", RESTORED)
DELETED = "contact/deleted"
FORM = "contact-form/created"
CHECKOUT = "checkout/created"
TYPES = (*ORDERS, *CONTACTS, DELETED, FORM, CHECKOUT)

FULFILLMENT_STATUSES = ("unfulfilled", "fulfilled", "partial")
_IDS = ("id", "_id", "__typename")
_ORDER_TEXTS = ("name", "currency")
_ADDRESSES = names_of(FIELDS, fields.Address)
# The text fields of a contact in the order in which they are read, and its flags.
_TEXTS = in_order(
    "email phone notes first_name last_name",
    names_of(FIELDS, fields.Email, fields.Phone, fields.Text, fields.LongText),
)
_FLAGS = names_of(FIELDS, fields.Flag)
# The fields that null empties in an event of the whole customer.
_CLEARABLE = tuple(name for name in FILLABLE if name not in names_of(FIELDS, fields.Tags))
_ORDER_NOTES_LENGTH = 65_535


def parse_event(
    type_: str,
    body: bytes,
    at: int,
    idempotency_record: IdempotencyRecord | None,
    origin: Origin,
    delivery: Delivery | None = None,
) -> Command | None:
    """Return the command of an event, or None if the event changes nothing.

    `at` is when it arrived, in milliseconds since 1970. `delivery` is present if another Regulars
    sent it. Raises UnparseableEvent.
    """
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnparseableEvent("The body is not JSON.") from error
    node = event.get("node") if isinstance(event, dict) else None
    if not isinstance(node, dict):
        raise UnparseableEvent('The body does not have the form `{"node": {…}}`.')
    if type_ in TYPES and _is_of_deleted(type_, node):
        return None
    if type_ in ORDERS:
        return _parse_order(type_, node, at, idempotency_record, origin)
    if type_ in CONTACTS:
        should_fill_empty = type_ == "contact/signup"
        command = RestoreContact if type_ == RESTORED else RecordContact
        return _parse_contact(
            node, at, should_fill_empty, idempotency_record, origin, delivery, command
        )
    if type_ == DELETED:
        return _parse_deletion(node, at, idempotency_record, origin, delivery)
    if type_ == FORM:
        return _parse_lead(node, at, idempotency_record, origin)
    if type_ == CHECKOUT:
        return _parse_contact(_buyer(node), at, True, idempotency_record, origin)
    raise UnparseableEvent(f"Unknown event type {type_!r}. Supported: {', '.join(TYPES)}.")


def _is_of_deleted(type_: str, node: Node) -> bool:
    """Whether Regulars sent the event after its customer was deleted: it has ids and no values.
    Only `contact/deleted` deletes a customer."""
    if type_ == DELETED or "__typename" not in node:
        return False
    values = [value for name, value in node.items() if name not in _IDS]
    return not any(map(_has_content, values)) if type_ in CONTACTS else not values


def _has_content(value: Any) -> bool:
    return any(map(_has_content, value.values())) if isinstance(value, dict) else bool(value)


def _parse_deletion(
    node: Node,
    at: int,
    idempotency_record: IdempotencyRecord | None,
    origin: Origin,
    delivery: Delivery | None,
) -> DeleteContact:
    shop_id, sender_customer_id = read_shop_id(node), read_regulars_id(node)
    if shop_id is None and sender_customer_id is None:
        raise UnparseableEvent(
            f"The event identifies no customer: `id` is not a string of 1 to {SHOP_ID_LENGTH} "
            "characters."
        )
    return DeleteContact(at, shop_id, idempotency_record, origin, delivery, sender_customer_id)


def _parse_order(
    type_: str, node: Node, at: int, idempotency_record: IdempotencyRecord | None, origin: Origin
) -> RecordOrder:
    buyer = {name: value for name, value in _buyer(node).items() if name != "id"}
    raw: dict[str, Any] = {name: read_text(node, name) for name in _ORDER_TEXTS if node.get(name)}
    if not raw.get("name"):
        raise UnparseableEvent("The order has no `name`.")
    raw["total"] = read_number(node, "total")
    raw["refunded_amount"] = read_number(node, "refunded_amount")
    raw["paid"] = _paid_amount(type_, node, raw)
    raw["tags"] = read_tags(node)
    raw["test"] = read_flag(node, "test")
    raw["created_at"] = read_timestamp(node, "created_at", at)
    raw["cancelled_at"] = read_timestamp(node, "cancelled_at", at)
    if type_ == "order/cancelled" and raw["cancelled_at"] is None:
        raw["cancelled_at"] = iso(at)
    if type_ == "order/uncancelled":
        raw["cancelled_at"] = None
    raw["fulfillment_status"] = _fulfillment_status(type_, node)
    order_values, person, problems = clean_order(
        {name: value for name, value in raw.items() if value is not None} | buyer, ("node",)
    )
    values = dict(order_values)
    if values.get("paid") is not None and not problems:
        total, refunded = values.get("total", 0), values.get("refunded_amount", 0)
        values["financial_status"] = financial_status(total, values["paid"], refunded)
    details = {**clean_order_details(_person_of_order(node, buyer)), **_order_details(node)}
    customer = node.get("customer")
    shop_ids = ShopIds(
        read_shop_id(customer) if isinstance(customer, dict) else None,
        read_shop_id(node),
    )
    return RecordOrder(
        values, person, at, problems, idempotency_record, origin, type_, shop_ids, details
    )


def _person_of_order(node: Node, buyer: Node) -> dict[str, Any]:
    """Return the person's fields that the order itself contains. Null means that there is none."""
    person = {name: buyer[name] for name in ("first_name", "last_name") if name in buyer}
    for name, type_ in (("phone", str), *((name, dict) for name in _ADDRESSES)):
        value = node.get(name)
        if name in node and (value is None or isinstance(value, type_)):
            person[name] = clean_address(value) if type_ is dict else value
    return person


def _fulfillment_status(type_: str, node: Node) -> str | None:
    """Return the fulfillment status if it is one that is stored. Only events of a new order and
    events about fulfillment set it: others may arrive late."""
    value = node.get("fulfillment_status")
    status = value if value in FULFILLMENT_STATUSES else None
    if type_ == "order/fulfilled":
        return status or "fulfilled"
    return status if type_ in ("order/created", "order/updated") else None


def _paid_amount(type_: str, node: Node, order: Mapping[str, Any]) -> float | None:
    """Return what the customer has paid, or None if the event does not say it."""
    paid = read_number(node, "paid_by_customer")
    if paid is not None:
        return paid
    net = read_number(node, "net_payment")
    if net is not None:
        return round(net + (order["refunded_amount"] or 0), 4)
    payments = node.get("payments")
    if isinstance(payments, list) and payments:
        totals = [read_number(item, "total") for item in payments if isinstance(item, dict)]
        return round(sum(total for total in totals if total is not None), 4)
    if type_ in ("order/confirmed", "order/refunded"):
        return order["total"]  # type: ignore[no-any-return]  # it is a number, or None
    return 0 if type_ == "order/created" else None


def _order_details(node: Node) -> dict[str, Any]:
    """Return the values of an order that are stored as its details, without the customer's."""
    details: dict[str, Any] = {}
    for name in ("subtotal", "shipping"):
        value = read_number(node, name)
        if value is not None and parse_amount(value)[1] is None:
            details[name] = value
    if isinstance(node.get("notes"), str):
        details["notes"] = node["notes"][:_ORDER_NOTES_LENGTH]
    for name, type_ in (("custom", dict), ("payments", list)):
        value = node.get(name)
        if not isinstance(value, type_):
            continue
        if custom.check(value, ()):
            raise UnparseableEvent(
                f"`{name}` is nested more than {custom.MAX_DEPTH} levels deep, or contains NUL."
            )
        if len(orjson.dumps(value)) <= custom.MAX_BYTES:
            details[name] = value
    return details


def _buyer(node: Node) -> dict[str, Any]:
    """Return the person of an order or a checkout: its own values first, then its customer's."""
    customer = node.get("customer")
    customer = customer if isinstance(customer, dict) else {}
    buyer: dict[str, Any] = {"id": customer.get("id")}
    for name in ("email", "phone"):
        buyer[name] = read_text(node, name) or read_text(customer, name)
    for name in _ADDRESSES:
        address = node.get(name)
        buyer[name] = clean_address(address) if isinstance(address, dict) else None
    names = read_names(customer) or read_names(node)
    for name in _ADDRESSES:
        names = names or read_names(buyer[name] or {})
    return {name: value for name, value in (buyer | names).items() if value}


def _parse_contact(
    node: Node,
    at: int,
    should_fill_empty: bool,
    idempotency_record: IdempotencyRecord | None,
    origin: Origin,
    delivery: Delivery | None = None,
    command: type[RecordContact] = RecordContact,
) -> RecordContact:
    raw: dict[str, Any] = read_names(node)
    raw |= {name: node[name] for name in _TEXTS if read_text(node, name) is not None}
    if (tags := read_tags(node)) is not None:
        raw["tags"] = tags
    for name in _FLAGS:
        if (flag := read_flag(node, name)) is not None:
            raw[name] = flag
    if (custom_fields := read_object(node, "custom")) is not None:
        raw["custom"] = custom_fields or None
    address_problems: list[Problem] = []
    for name in _ADDRESSES:
        address = read_object(node, name)
        if address is None:
            continue
        if should_fill_empty:
            raw[name] = clean_address(address)
        else:
            raw[name], problems = clean_address_patch(address, ("node", name))
            address_problems += problems
    if not should_fill_empty:
        raw = {**_cleared_fields(node), **raw}
    raw = {name: value for name, value in raw.items() if value is not None or not should_fill_empty}
    is_removed = delivery is not None and not should_fill_empty and node.get("email") == ""
    if not raw.get("email") and not is_removed:
        raw.pop("email", None)
    values, problems = clean_values(raw, ("node",))
    lists, list_problems = read_lists(node) if delivery else ({}, [])
    ids = (ShopIds(read_shop_id(node)), delivery, read_regulars_id(node))
    return command(
        values,
        at,
        should_fill_empty,
        [*problems, *address_problems, *list_problems],
        idempotency_record,
        origin,
        *ids,
        lists=lists,
    )


def _cleared_fields(node: Node) -> dict[str, Any]:
    """Return empty values for the fields that are null in an event of the whole customer."""
    return {
        name: None if name in NULLABLE else EMPTY[name]
        for name in _CLEARABLE
        if name in node and node[name] is None
    }


def _parse_lead(
    node: Node, at: int, idempotency_record: IdempotencyRecord | None, origin: Origin
) -> RecordLead:
    raw: dict[str, Any] = {
        name: read_text(node, name) for name in ("email", "phone", "subject", "message")
    }
    raw |= read_names(node) or read_names({"full_name": node.get("name")})
    raw["created_at"] = read_timestamp(node, "created_at", at)
    if isinstance(node.get("custom"), dict):
        raw["custom"] = node["custom"]
    raw = {name: value for name, value in raw.items() if value}
    values, person, problems = clean_lead(raw, ("node",))
    if "email_key" not in person and not problems:
        problems = [MissingEmail("The message has no `email`.", ("node", "email"))]
    return RecordLead(values, person, at, problems, idempotency_record, origin)
