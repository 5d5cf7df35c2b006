"""The table of customers, made of the declarations of its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from regulars.core import fields
from regulars.core.fields import Field
from regulars.customers.fields import FIELDS
from regulars.store.columns import Number, derived, flag, key, number, table, text

# The columns of each kind of field. A sorted text has its folded form in a column of its own.
_COLUMNS: dict[type[Field], Callable[[Any], list[sa.Column[Any]]]] = {
    fields.Timestamp: lambda field: [number(field.name)],
    fields.OptionalTimestamp: lambda field: [_optional_timestamp(field)],
    fields.Text: lambda field: [text(field.name), *_folded(field)],
    fields.LongText: lambda field: [text(field.name, nullable=True)],
    fields.Email: lambda field: [text(field.name), text(field.key_column), *_folded(field)],
    fields.Phone: lambda field: [text(field.name)],
    fields.Flag: lambda field: [flag(field.name)],
    fields.Money: lambda field: [number(field.name)],
    fields.Count: lambda field: [_count(field)],
    fields.Json: lambda field: [text(field.name, nullable=True)],
    fields.Address: lambda field: [text(field.name, nullable=True)],
    fields.Addresses: lambda field: [text(field.name, nullable=True)],
    fields.Tags: lambda field: [text(field.name)],
    fields.ExternalIds: lambda field: [text(field.name, nullable=True)],
    fields.Emails: lambda field: [text(field.name, nullable=True)],
    fields.Phones: lambda field: [text(field.name, nullable=True)],
    fields.FullName: lambda field: _folded(field),
    fields.Location: lambda _: [],
    fields.Avatar: lambda _: [],
}


def _folded(field: Field) -> list[sa.Column[Any]]:
    return [text(field.folded_column)] if field.sort else []


def _optional_timestamp(field: fields.OptionalTimestamp) -> sa.Column[Any]:
    return sa.Column(field.name, Number, nullable=False, server_default=str(fields.NEVER))


def _count(field: fields.Count) -> sa.Column[Any]:
    default = str(field.start) if field.start else None
    return sa.Column(field.name, Number, nullable=False, server_default=default)


customers = table(
    "customers",
    key("account_id"),
    key("customer_id"),
    *(column for field in FIELDS for column in _COLUMNS[type(field)](field)),
    derived("words"),
    derived("notes_words"),
    derived("address_words"),
    derived("facets"),
)

# The orders of the list. Each ends with the customer's id, which breaks ties.
ORDER_COLUMNS = {"id": "customer_id", **{f.name: f.sort_column for f in FIELDS if f.sort}}

for _field in FIELDS:
    if isinstance(_field, fields.Email):
        _unique = _field.key_column
        sa.Index(f"customers_{_unique}", customers.c.account_id, customers.c[_unique], unique=True)
    if _field.sort or (_field.search and isinstance(_field, fields.Flag)):
        _column = _field.sort_column
        sa.Index(
            f"customers_{_column}",
            customers.c.account_id,
            customers.c[_column],
            customers.c.customer_id,
        )
