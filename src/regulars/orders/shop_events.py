"""Events of a shop: what it tells of orders and customers, read as commands.

A shop sends `{"node": {…}}`, with amounts as JSON numbers and moments as `2024-03-18 14:20:37` in
UTC or as an age in words. What is not known here is left alone; what cannot be read is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.commands import Command, IdempotencyRecord, Origin
from regulars.core.dates import from_now, iso, parse_timestamp
from regulars.core.errors import InvalidInput, Problem, RegularsError
from regulars.core.fields import in_order, names_of
from regulars.core.ids import MAX_ID
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
    ShopIds,
)
from regulars.orders.shop_input import (
    address,
    address_patch,
    amount,
    clean_lead,
    clean_order,
    order_details,
)
from regulars.orders.values import financial_status

ORDERS = (
    *("order/created", "order/confirmed", "order/updated", "order/refunded", "order/cancelled"),
    *("order/fulfilled", "order/uncancelled"),
)
CONTACTS = ("contact/signup", "contact/updated")
DELETED = "contact/deleted"
FORM = "contact-form/created"
CHECKOUT = "checkout/created"
TYPES = (*ORDERS, *CONTACTS, DELETED, FORM, CHECKOUT)

FULFILLMENT_STATUSES = ("unfulfilled", "fulfilled", "partial")
_IDS = ("id", "_id", "__typename")
_ORDER_TEXTS = ("name", "currency")
_ADDRESSES = names_of(FIELDS, fields.Address)
# The fields of a contact that are texts, in the order in which they are read; and flags.
_TEXTS = in_order(
    "email phone notes first_name last_name",
    names_of(FIELDS, fields.Email, fields.Phone, fields.Text, fields.LongText),
)
_FLAGS = names_of(FIELDS, fields.Flag)
# What null in an event of the whole customer empties.
_CLEARED = tuple(name for name in FILLABLE if name not in names_of(FIELDS, fields.Tags))
# Of an order.
_NOTES_LENGTH = 65_535

Node = Mapping[str, Any]


class UnparseableEvent(RegularsError):
    """An event that cannot be read; the message says why, and names no values."""


def command_of(
    type_: str,
    body: bytes,
    at: int,
    idempotency_record: IdempotencyRecord | None,
    origin: Origin,
    delivery: Delivery | None = None,
) -> Command | None:
    """What an event asks for, which came at a moment, sent by another Regulars if there is a
    `delivery`; None for one that tells nothing. Raises UnparseableEvent."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnparseableEvent("The body is not JSON.") from error
    node = told.get("node") if isinstance(told, dict) else None
    if not isinstance(node, dict):
        raise UnparseableEvent('The body is not of the form {"node": {…}}.')
    if type_ in TYPES and _is_of_deleted(type_, node):
        return None
    if type_ in ORDERS:
        return _order(type_, node, at, idempotency_record, origin)
    if type_ in CONTACTS:
        return _contact(node, at, type_ == "contact/signup", idempotency_record, origin, delivery)
    if type_ == DELETED:
        return _deletion(node, at, idempotency_record, origin)
    if type_ == FORM:
        return _form(node, at, idempotency_record, origin)
    if type_ == CHECKOUT:
        return _contact(_buyer(node), at, True, idempotency_record, origin)
    raise UnparseableEvent(f"There is no event {type_!r}. The types are {', '.join(TYPES)}.")


def _deletion(
    node: Node, at: int, idempotency_record: IdempotencyRecord | None, origin: Origin
) -> DeleteContact:
    shop_id, number = _id(node), _number_id(node)
    if shop_id is None and number is None:
        raise UnparseableEvent(
            "The event names no customer: its `id` is not a text of 1 to "
            f"{SHOP_ID_LENGTH} characters."
        )
    return DeleteContact(at, shop_id, idempotency_record, origin, number)


def _is_of_deleted(type_: str, node: Node) -> bool:
    """Whether a body is one that Regulars sends of a customer who is deleted meanwhile: it has the
    ids, and no value. It changes nothing; `contact/deleted` does."""
    if type_ == DELETED or "__typename" not in node:
        return False
    values = [value for name, value in node.items() if name not in _IDS]
    return not any(map(_says, values)) if type_ in CONTACTS else not values


def _says(value: Any) -> bool:
    return any(map(_says, value.values())) if isinstance(value, dict) else bool(value)


def _order(
    type_: str, node: Node, at: int, idempotency_record: IdempotencyRecord | None, origin: Origin
) -> RecordOrder:
    buyer = {name: value for name, value in _buyer(node).items() if name != "id"}
    told: dict[str, Any] = {name: _text(node, name) for name in _ORDER_TEXTS if node.get(name)}
    if not told.get("name"):
        raise UnparseableEvent("The order has no name.")
    told["total"] = _number(node, "total")
    told["refunded_amount"] = _number(node, "refunded_amount")
    told["paid"] = _paid(type_, node, told)
    told["tags"] = _tags(node)
    told["test"] = _flag(node, "test")
    told["created_at"] = _timestamp(node, "created_at", at)
    told["cancelled_at"] = _timestamp(node, "cancelled_at", at)
    if type_ == "order/cancelled" and told["cancelled_at"] is None:
        told["cancelled_at"] = iso(at)
    if type_ == "order/uncancelled":
        told["cancelled_at"] = None
    told["fulfillment_status"] = _fulfillment(type_, node)
    clean, person, problems = clean_order(
        {name: value for name, value in told.items() if value is not None} | buyer, ("node",)
    )
    values = dict(clean)
    if values.get("paid") is not None and not problems:
        total, refunded = values.get("total", 0), values.get("refunded_amount", 0)
        values["financial_status"] = financial_status(total, values["paid"], refunded)
    details = {**order_details(_said(node, buyer)), **_details(node)}
    customer = node.get("customer")
    of_shop = ShopIds(
        _id(customer) if isinstance(customer, dict) else None,
        _id(node),
    )
    return RecordOrder(
        values, person, at, problems, idempotency_record, origin, type_, of_shop, details
    )


def _said(node: Node, buyer: Node) -> dict[str, Any]:
    """What an order itself says of its customer. Null says that there is none."""
    said = {name: buyer[name] for name in ("first_name", "last_name") if name in buyer}
    for name, kind in (("phone", str), *((name, dict) for name in _ADDRESSES)):
        value = node.get(name)
        if name in node and (value is None or isinstance(value, kind)):
            said[name] = address(value) if kind is dict else value
    return said


def _fulfillment(type_: str, node: Node) -> str | None:
    """The fulfillment status that an event says, if it is one that is stored. Only an event of a
    new order, and those that are about it, say it: others may come late."""
    given = node.get("fulfillment_status")
    known = given if given in FULFILLMENT_STATUSES else None
    if type_ == "order/fulfilled":
        return known or "fulfilled"
    return known if type_ in ("order/created", "order/updated") else None


def _paid(type_: str, node: Node, told: Mapping[str, Any]) -> float | None:
    """What the customer has paid, as far as the shop tells it."""
    given = _number(node, "paid_by_customer")
    if given is not None:
        return given
    net = _number(node, "net_payment")
    if net is not None:
        return round(net + (told["refunded_amount"] or 0), 4)
    payments = node.get("payments")
    if isinstance(payments, list) and payments:
        totals = [_number(one, "total") for one in payments if isinstance(one, dict)]
        return round(sum(total for total in totals if total is not None), 4)
    if type_ in ("order/confirmed", "order/refunded"):
        return told["total"]  # type: ignore[no-any-return]  # it is a number, or None
    return 0 if type_ == "order/created" else None


def _details(node: Node) -> dict[str, Any]:
    """What else is kept of an order, for the events that tell of it, but for its customer."""
    details: dict[str, Any] = {}
    for name in ("subtotal", "shipping"):
        value = _number(node, name)
        if value is not None and amount(value)[1] is None:
            details[name] = value
    if isinstance(node.get("notes"), str):
        details["notes"] = node["notes"][:_NOTES_LENGTH]
    for name, kind in (("custom", dict), ("payments", list)):
        value = node.get(name)
        if not isinstance(value, kind):
            continue
        if custom.check(value, ()):
            raise UnparseableEvent(
                f"`{name}` is nested deeper than {custom.MAX_DEPTH} levels, or has a NUL character."
            )
        if len(orjson.dumps(value)) <= custom.MAX_BYTES:
            details[name] = value
    return details


def _buyer(node: Node) -> dict[str, Any]:
    """Whom an order, or a checkout, is of: by what it tells itself, and by its customer."""
    customer = node.get("customer")
    customer = customer if isinstance(customer, dict) else {}
    buyer: dict[str, Any] = {"id": customer.get("id")}
    for name in ("email", "phone"):
        buyer[name] = _text(node, name) or _text(customer, name)
    for name in _ADDRESSES:
        given = node.get(name)
        buyer[name] = address(given) if isinstance(given, dict) else None
    names = _names(customer) or _names(node)
    for name in _ADDRESSES:
        names = names or _names(buyer[name] or {})
    return {name: value for name, value in (buyer | names).items() if value}


def _names(told: Node) -> dict[str, str]:
    first, last = _text(told, "first_name"), _text(told, "last_name")
    if not first and not last:
        first, _, last = (_text(told, "full_name") or "").strip().partition(" ")
    found = {"first_name": first, "last_name": last}
    return {name: value for name, value in found.items() if value}


def _contact(
    node: Node,
    at: int,
    fill: bool,
    idempotency_record: IdempotencyRecord | None,
    origin: Origin,
    delivery: Delivery | None = None,
) -> RecordContact:
    told: dict[str, Any] = _names(node)
    told |= {name: node[name] for name in _TEXTS if _text(node, name) is not None}
    if _tags(node) is not None:
        told["tags"] = _tags(node)
    for name in _FLAGS:
        if (flag := _flag(node, name)) is not None:
            told[name] = flag
    if (custom_fields := _object(node, "custom")) is not None:
        told["custom"] = custom_fields or None
    unreadable: list[Problem] = []
    for name in _ADDRESSES:
        given = _object(node, name)
        if given is None:
            continue
        if fill:
            told[name] = address(given)
        else:
            told[name], wrong = address_patch(given, ("node", name))
            unreadable += wrong
    if not fill:
        told = {**_cleared(node), **told}
    told = {name: value for name, value in told.items() if value is not None or not fill}
    if not told.get("email"):
        told.pop("email", None)
    values, problems = clean_values(told, ("node",))
    ids = (ShopIds(_id(node)), delivery, _number_id(node))
    return RecordContact(
        values, at, fill, [*problems, *unreadable], idempotency_record, origin, *ids
    )


def _cleared(node: Node) -> dict[str, Any]:
    """The fields that are null in an event of the whole customer: there is nothing in them."""
    return {
        name: None if name in NULLABLE else EMPTY[name]
        for name in _CLEARED
        if name in node and node[name] is None
    }


def _form(
    node: Node, at: int, idempotency_record: IdempotencyRecord | None, origin: Origin
) -> RecordLead:
    told: dict[str, Any] = {
        name: _text(node, name) for name in ("email", "phone", "subject", "message")
    }
    told |= _names(node) or _names({"full_name": node.get("name")})
    told["created_at"] = _timestamp(node, "created_at", at)
    if isinstance(node.get("custom"), dict):
        told["custom"] = node["custom"]
    told = {name: value for name, value in told.items() if value}
    values, person, problems = clean_lead(told, ("node",))
    if "email_key" not in person:
        problems = [*problems, *([] if problems else [_no_email()])]
    return RecordLead(values, person, at, problems, idempotency_record, origin)


def _no_email() -> Problem:
    return InvalidInput("The message has no email.", ("node", "email"))


def _id(told: Node) -> str | None:
    """What the shop calls something: `order_…`, `cus_…`."""
    given = told.get("id")
    if not isinstance(given, str) or not 0 < len(given) <= SHOP_ID_LENGTH or "\0" in given:
        return None
    return given


def _number_id(told: Node) -> int | None:
    """The `_id` of something in another Regulars."""
    given = told.get("_id")
    return given if type(given) is int and 0 < given <= MAX_ID else None


def _text(told: Node, name: str) -> str | None:
    found: str | None = _of_kind(told, name, "a text", lambda value: isinstance(value, str))
    return found


def _flag(told: Node, name: str) -> bool | None:
    found: bool | None = _of_kind(told, name, "true or false", lambda v: isinstance(v, bool))
    return found


def _number(told: Node, name: str) -> float | None:
    found: float | None = _of_kind(told, name, "a number", _is_number)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(told: Node, name: str) -> dict[str, Any] | None:
    """An object; PHP writes an empty one as `[]`."""
    found = _of_kind(told, name, "an object", lambda value: isinstance(value, dict) or value == [])
    return {} if found == [] else found


def _tags(told: Node) -> list[str] | None:
    found: list[str] | None = _of_kind(told, "tags", "a list of texts", _are_tags)
    return found


def _are_tags(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _of_kind(told: Node, name: str, kind: str, fits: Callable[[Any], bool]) -> Any:
    """A value, None where there is none. Raises UnparseableEvent for one of another kind."""
    value = told.get(name)
    if value is not None and not fits(value):
        raise UnparseableEvent(f"{name} is not {kind}.")
    return value


def _timestamp(told: Node, name: str, at: int) -> str | None:
    """A moment that is told, as `2024-03-18T14:20:37.000Z`."""
    given = _text(told, name)
    if not given:
        return None
    found = parse_timestamp(given)
    if found is None:
        found = from_now(given, at)
    if found is None:
        raise UnparseableEvent(f"{name} is neither a moment nor an age.")
    return iso(found)
