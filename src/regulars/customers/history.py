"""The history: the changes of an account's customers, in the order of commits.

A change is written in the transaction of the write. It stores the previous and the new value of
each changed field, with the field names of the API. When a customer is deleted, its changes stay
without the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from regulars.core import fields as kinds
from regulars.core.dates import iso, parse_timestamp
from regulars.core.errors import InvalidCursor
from regulars.core.external_ids import ExternalId, ExternalIds
from regulars.core.fields import Field
from regulars.core.money import amounts, units
from regulars.core.paging import TaggedCursors
from regulars.customers import contact_points, contact_texts
from regulars.customers.fields import STORED
from regulars.store import Row

CREATED = "created"
UPDATED = "updated"
DELETED = "deleted"
ORDER_CREATED = "order_created"
ORDER_CONFIRMED = "order_confirmed"
ORDER_UPDATED = "order_updated"
ORDER_REFUNDED = "order_refunded"
ORDER_CANCELLED = "order_cancelled"
ORDER_UNCANCELLED = "order_uncancelled"
ORDER_FULFILLED = "order_fulfilled"
LEAD_CREATED = "lead_created"
VISITED = "visited"
RESTORED = "restored"
PURGED = "purged"
SEGMENT_ENTERED = "segment_entered"
SEGMENT_LEFT = "segment_left"
COMMENTED = "commented"
COMMENT_UPDATED = "comment_updated"
COMMENT_DELETED = "comment_deleted"
KINDS = (
    *(CREATED, UPDATED, DELETED, ORDER_CREATED, ORDER_CONFIRMED, ORDER_UPDATED, ORDER_REFUNDED),
    *(ORDER_CANCELLED, ORDER_UNCANCELLED, ORDER_FULFILLED, LEAD_CREATED, VISITED),
    *(RESTORED, PURGED, SEGMENT_ENTERED, SEGMENT_LEFT),
    *(COMMENTED, COMMENT_UPDATED, COMMENT_DELETED),
)
# Begins the cause of an entry of a segment; the `_id` of the segment follows.
_SEGMENT_CAUSE = "seg_"

_LARGEST = 2**63 - 1

# The cursors of the history.
CHANGE_CURSORS = TaggedCursors(
    "change",
    1,
    "This is not a cursor of a change. Use `cursor` of an edge, or `endCursor`, from "
    "`customerChanges` or the changes of a customer.",
    minimum=0,
)


class Form(NamedTuple):
    """Converts the values of a column to JSON for a change (`tell`), and back (`keep`). The texts
    of a list of contact points also need the column of its default."""

    tell: Callable[[Any], Any] = lambda value: value
    keep: Callable[[Any], Any] = lambda value: value


_PLAIN = Form()
_FLAG = Form(bool)
_AMOUNT = Form(
    lambda value: None if value is None else amounts([value])[0],
    lambda value: None if value is None else units(Decimal(repr(value))),
)
_JSON = Form(
    lambda value: None if value is None else orjson.Fragment(value),
    lambda value: None if value is None else orjson.dumps(value).decode(),
)
_LIST = Form(
    lambda value: orjson.Fragment(value or "[]"),
    lambda value: orjson.dumps(value).decode() if value else None,
)
_TIMESTAMP = Form(
    lambda value: None if value is None else iso(value),
    lambda value: None if value is None else parse_timestamp(value),
)

_CONTACT_POINTS = Form(keep=lambda texts: contact_points.dump(contact_texts.parse(texts)))

# The form of each kind of field's values in the history.
_FORMS: Mapping[type[Field], Form] = {
    kinds.Text: _PLAIN,
    kinds.LongText: _PLAIN,
    kinds.Email: _PLAIN,
    kinds.Phone: _PLAIN,
    kinds.Flag: _FLAG,
    kinds.Tags: _JSON,
    kinds.ExternalIds: _LIST,
    kinds.Emails: _CONTACT_POINTS,
    kinds.Phones: _CONTACT_POINTS,
    kinds.Json: _JSON,
    kinds.Address: _JSON,
    kinds.Addresses: _LIST,
    kinds.Timestamp: _TIMESTAMP,
    kinds.Money: _AMOUNT,
    kinds.Count: _PLAIN,
}
# What is derived of other fields (a full name, a location) is derived of those.
_CUSTOMER = {f.name: _FORMS[type(f)] for f in STORED if f.in_history}
_ORDER = {
    "email": _PLAIN,
    "total": _AMOUNT,
    "refunded_amount": _AMOUNT,
    "net_payment": _AMOUNT,
    "paid": _AMOUNT,
    "currency": _PLAIN,
    "financial_status": _PLAIN,
    "fulfillment_status": _PLAIN,
    "tags": _JSON,
    "test": _FLAG,
    "referrer": _PLAIN,
    "cancelled_at": _TIMESTAMP,
    "created_at": _TIMESTAMP,
    "details": _JSON,
    "external_ids": _LIST,
}
# The names of the fields in the entries of customers and of orders.
FIELD_NAMES, ORDER_FIELD_NAMES = tuple(_CUSTOMER), tuple(_ORDER)
# Before the name of a field of the order that a change is about.
_OF_ORDER = "order."

Pairs = dict[str, tuple[Any, Any]]


def difference(before: Row, after: Row) -> Pairs:
    """Return the fields that differ between two rows of a customer, each with its value before and
    after, in the form of the history. A list of contact points also differs if its default does,
    unless it is no more than this default."""
    pairs = _pairs(_CUSTOMER, before, after, "")
    for kind in contact_points.KINDS.values():
        name = kind.name
        if before[name] is not None or after[name] is not None:
            lists = [kind.points(row) for row in (before, after)]
            pairs.pop(name, None)
            texts = list(map(contact_texts.written, lists))
            if texts[0] != texts[1] and any(each.has_more_than_default for each in lists):
                pairs[name] = (texts[0], texts[1])
    return pairs


def order_difference(before: Row | None, after: Row) -> Pairs:
    """Return the fields that differ between two rows of an order; nothing for a new order."""
    return _pairs(_ORDER, before, after, _OF_ORDER) if before else {}


def _pairs(forms: Mapping[str, Form], before: Row, after: Row, prefix: str) -> Pairs:
    return {
        prefix + name: (form.tell(before[name]), form.tell(after[name]))
        for name, form in forms.items()
        if before[name] != after[name]
    }


def dump(pairs: Pairs) -> str | None:
    """Return fields as the JSON text that a change stores, or None if there are none."""
    return orjson.dumps(pairs).decode() if pairs else None


def undone(row: Row, text: str | None, of_order: bool = False) -> Row:
    """Return a row of a customer, or of an order, as it was before a change. `text` has the stored
    fields of the change."""
    pairs: dict[str, Any] = orjson.loads(text) if text else {}
    prefix, forms = (_OF_ORDER, _ORDER) if of_order else ("", _CUSTOMER)
    before = {
        name: form.keep(pairs[prefix + name][0])
        for name, form in forms.items()
        if prefix + name in pairs
    }
    return {**row, **before}


def values_of(row: Row, names: Iterable[str]) -> dict[str, Any]:
    """Return the values that fields of a customer have now, as an entry has them after JSON."""
    values: dict[str, Any] = {}
    for name in names:
        kind = contact_points.KINDS.get(name)
        values[name] = contact_texts.written(kind.points(row)) if kind else _told(name, row[name])
    return values


def _told(name: str, value: Any) -> Any:
    return orjson.loads(orjson.dumps(_CUSTOMER[name].tell(value)))


def stored_value(name: str, value: Any) -> Any:
    """Return the value of a field in an entry as the column has it."""
    return _CUSTOMER[name].keep(value)


def stored_ids(items: Iterable[Mapping[str, str]]) -> ExternalIds:
    """Return the external ids in an entry."""
    return tuple(ExternalId(**item) for item in items)


def fields(text: str | None) -> list[dict[str, Any]]:
    """Return the stored fields of a change: for each its `name`, and its values `before` and
    `after`."""
    pairs = orjson.loads(text) if text else {}
    return [{"name": name, "before": b, "after": a} for name, (b, a) in pairs.items()]


def segment_cause(segment_id: int) -> str:
    """Return the cause of the entries of a segment."""
    return f"{_SEGMENT_CAUSE}{segment_id}"


def segment_of(cause: str | None) -> int | None:
    """Return the `_id` of the segment that caused an entry, or None."""
    is_segment = cause is not None and cause.startswith(_SEGMENT_CAUSE)
    return int(cause.removeprefix(_SEGMENT_CAUSE)) if cause and is_segment else None


def beyond(last_sequence: int) -> InvalidCursor:
    """Return the problem of a cursor after the last change. The database was restored from a backup
    after the cursor was returned, so later changes are lost."""
    return InvalidCursor(
        "after",
        f"The cursor is after the last change of this account, {last_sequence:,}. The database "
        "was restored from a backup. Read the history again from the start.",
    )
