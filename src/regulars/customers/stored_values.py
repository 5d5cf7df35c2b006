"""Rules for the stored values of customers, their history and their search index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regulars.core import fields as kinds
from regulars.core.commands import ACTOR_KINDS
from regulars.core.fields import Field
from regulars.core.stored_values import (
    ARRAY,
    COUNT,
    FLAG,
    ID,
    NOT_EMPTY,
    OBJECT,
    POSITIVE,
    TIME,
    Rule,
    one_of,
)
from regulars.customers import history
from regulars.customers.fields import STORED

# What the stored value of each kind of field must be; texts are free.
_OF_KIND: Mapping[type[Field], Callable[[Any], Rule | None]] = {
    kinds.Text: lambda _: None,
    kinds.LongText: lambda _: None,
    kinds.Email: lambda _: None,
    kinds.Phone: lambda _: None,
    kinds.Flag: lambda _: FLAG,
    kinds.Tags: lambda _: ARRAY,
    kinds.ExternalIds: lambda _: ARRAY,
    kinds.Emails: lambda _: OBJECT,
    kinds.Phones: lambda _: OBJECT,
    kinds.Json: lambda _: OBJECT,
    kinds.Address: lambda _: OBJECT,
    kinds.Addresses: lambda _: ARRAY,
    kinds.Timestamp: lambda _: TIME,
    kinds.OptionalTimestamp: lambda _: None,
    kinds.Money: lambda _: None,
    kinds.Count: lambda field: POSITIVE if field.start else COUNT,
}

RULES: Mapping[str, Mapping[str, Rule]] = {
    "customers": {
        "customer_id": ID,
        **{f.name: rule for f in STORED if (rule := _OF_KIND[type(f)](f)) is not None},
    },
    "additional_emails": {"email_key": NOT_EMPTY, "customer_id": ID},
    "terms": {"term": NOT_EMPTY},
    "history": {
        "kind": one_of(*history.KINDS),
        "actor_kind": one_of(*ACTOR_KINDS),
        "at": TIME,
        "fields": OBJECT,
        "silent": FLAG,
    },
}
