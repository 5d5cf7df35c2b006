"""The keys of the search language, and the conditions for customers with a value under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from regulars.core import dates, fields
from regulars.core.fields import in_order, names_of
from regulars.core.text import nearest, without_invisible
from regulars.customers.fields import FIELDS
from regulars.customers.search.lexer import KeyValue, syntax_error
from regulars.customers.search.matching import (
    has_address,
    has_comments,
    in_address,
    in_comments,
    in_notes,
    line,
)
from regulars.customers.search.search_document import ADDRESS_KEYS, NOTES
from regulars.customers.search.term_values import (
    read_consent,
    read_count,
    read_country,
    read_custom,
    read_custom_path,
    read_customer_id,
    read_email,
    read_money,
    read_optional_timestamp,
    read_order,
    read_phone,
    read_sorted_name,
    read_text,
    read_timestamp,
    read_valid,
    read_whole_number,
)
from regulars.store.conditions import And, Condition, Not, Or, Predicate, Within, equal

ALWAYS = And(())
SEGMENT = "segment"
ORDER = "order"


def _is_set(column: str) -> Condition:
    return Predicate.of_column(Within(column, low=fields.NEVER, above=True))


# Whether there is a value at all.


def _has(term: KeyValue) -> Condition:
    key = term.value.text
    if key.startswith("custom."):
        path = read_custom_path(KeyValue(key, term.value.position, "", term.value))
        return Or((line(f"{path}:", prefix=True), line(f"{path}.", prefix=True)))
    if key not in _FILLED:
        valid_keys = [*_FILLED, "custom.KEY"]
        message = f"`has:` does not support {term.value.shown}. Supported: {', '.join(valid_keys)}."
        raise syntax_error(message, term.value.position, "a key", nearest(key, _FILLED))
    return _FILLED[key]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the search language. `read` makes a condition of a term; the parser itself reads
    the terms of a key without it. `takes` describes the value for people, and `values` are examples
    or all valid values. `compared` and `prefix` say whether the key supports comparisons and a
    star."""

    read: Callable[[KeyValue], Condition] | None
    takes: str
    compared: bool = False
    prefix: bool = False
    values: Sequence[str] = ()


_TEXT = Key(read_text, "text", prefix=True)
_NAME = Key(read_sorted_name, "text", prefix=True)
_DATES = ("-7d", "-1mo", "-1y", "2024-03-18")
_TIMESTAMP = Key(read_timestamp, "a date", compared=True, values=_DATES)
_OPTIONAL_TIMESTAMP = Key(read_optional_timestamp, "a date", compared=True, values=_DATES)


class _Searched(NamedTuple):
    """A key, and the condition for customers with a value under it (`has:`)."""

    key: Key
    filled: Condition


def _text(field: fields.Text | fields.FullName) -> dict[str, _Searched]:
    """Return the keys of a text field: by its index if lists are sorted by it, or else by its
    facet."""
    if field.sort:
        return {field.name: _Searched(_NAME, _is_filled(field))}
    return {field.name: _Searched(_TEXT, _has_facet(field.name))}


def _is_filled(field: fields.Text | fields.FullName | fields.Email) -> Condition:
    """Return the condition for customers with a value in a text by which lists are sorted."""
    return Predicate.of_column(Within(field.folded_column, low="", above=True))


def _has_facet(key: str) -> Condition:
    return line(f"{key}:", prefix=True)


def _amount(field: fields.Money) -> dict[str, _Searched]:
    key = Key(partial(read_money, field.name), "an amount", compared=True)
    above = Predicate.of_column(Within(field.name, low=0, above=True))
    not_zero = Or((above, Predicate.of_column(Within(field.name, high=0))))
    return dict.fromkeys((field.name, *field.synonyms.split()), _Searched(key, not_zero))


def _counted(field: fields.ContactPoints) -> dict[str, _Searched]:
    """Return the key of the number of entries in a list. Only numbers above 1 have a facet."""
    name = f"{field.name}_count"
    (default,) = (f for f in FIELDS if f.name == field.default)
    has_any = _is_filled(default) if isinstance(default, fields.Email) else _has_facet(default.name)
    has_several = _has_facet(name)

    def count_is(number: int) -> Condition:
        if number > 1:
            return line(f"{name}:{number}")
        return And((has_any, Not(has_several))) if number else Not(has_any)

    def read(term: KeyValue) -> Condition:
        number = read_whole_number(term)
        match term.operator:
            case "<" | "<=":
                high = min(number + (term.operator == "<="), field.max_count + 1)
                return Or(tuple(map(count_is, range(high)))) if high <= field.max_count else ALWAYS
            case ">" | ">=":
                low = number + (term.operator == ">")
                if low <= 2:  # without a number for each
                    return (ALWAYS, has_any, has_several)[low]
                return Or(tuple(map(count_is, range(low, field.max_count + 1))))
        return count_is(number)

    return {name: _Searched(Key(read, "a whole number", compared=True), has_any)}


_WORDS = Key(lambda term: in_notes(term.value), "words", prefix=True)
_YES_NO = Key(read_consent, "true or false", values=("true", "false"))
_PLACE = {"country": Key(read_country, "a country", prefix=True)}

# The keys of each kind of field; those of an address are the same of every one.
_OF_KIND: Mapping[type[fields.Field], Callable[[Any], dict[str, _Searched]]] = {
    fields.Text: _text,
    fields.FullName: _text,
    fields.Email: lambda field: {
        field.name: _Searched(Key(read_email, "an email address", prefix=True), _is_filled(field))
    },
    fields.Phone: lambda field: {
        field.name: _Searched(
            Key(read_phone, "a phone number", prefix=True), _has_facet(field.name)
        )
    },
    fields.LongText: lambda field: {field.name: _Searched(_WORDS, line(NOTES))},
    fields.Flag: lambda field: {
        field.name: _Searched(_YES_NO, Predicate.of_column(equal(field.name, True)))
    },
    fields.Tags: lambda field: {field.key: _Searched(_TEXT, _has_facet(field.key))},
    fields.Address: lambda _: {
        key: _Searched(_PLACE.get(key, _TEXT), _has_facet(key)) for key in ADDRESS_KEYS
    },
    fields.Addresses: lambda _: {},  # those of an address
    fields.Timestamp: lambda field: {field.name: _Searched(_TIMESTAMP, ALWAYS)},
    fields.OptionalTimestamp: lambda field: {
        field.name: _Searched(_OPTIONAL_TIMESTAMP, _is_set(field.name))
    },
    fields.Money: _amount,
    fields.Count: lambda field: {
        field.name: _Searched(
            Key(read_count, "a whole number", compared=True),
            Predicate.of_column(Within(field.name, low=0, above=True)),
        )
    },
    fields.Emails: _counted,
    fields.Phones: _counted,
    fields.ExternalIds: lambda field: {
        field.key: _Searched(
            Key(read_text, "SOURCE:ID", prefix=True, values=("stripe:cus_1", "stripe:*")),
            _has_facet(field.key),
        )
    },
    fields.Json: lambda _: {},  # `custom.KEY`, which is looked up by its beginning
}
_SEARCHED = {
    "id": _Searched(Key(read_customer_id, "an id or _id", compared=True), ALWAYS),
    **{
        key: searched
        for field in FIELDS
        if field.search
        for key, searched in _OF_KIND[type(field)](field).items()
    },
}
_JSON = names_of([field for field in FIELDS if field.search], fields.Json)
# The orders are those of the first release; the keys of other fields follow.
_HAS_ORDER = (
    "id email created_at updated_at first_name last_name full_name phone tag country state city "
    "zip notes custom accepts_marketing orders_count expenses total_spent"
)
_KEY_ORDER = (
    "id email phone first_name last_name full_name tag accepts_marketing country state city zip "
    "orders_count expenses total_spent created_at updated_at notes"
)
_FILLED: Mapping[str, Condition] = {
    name: line(f"{name}.", prefix=True) if name in _JSON else _SEARCHED[name].filled
    for name in in_order(_HAS_ORDER, (*_SEARCHED, *_JSON))
} | {"address": has_address(), "comment": has_comments()}
KEYS: Mapping[str, Key] = {
    **{name: _SEARCHED[name].key for name in in_order(_KEY_ORDER, _SEARCHED)},
    ORDER: Key(read_order, "an order number", prefix=True),
    "address": Key(lambda term: in_address(term.value), "words", prefix=True),
    "comment": Key(lambda term: in_comments(term.value), "words", prefix=True),
    "valid": Key(read_valid, "phone", values=("phone",)),
    SEGMENT: Key(None, "a segment"),
    "has": Key(_has, "a key", values=(*_FILLED, "custom")),
}
CUSTOM = Key(read_custom, "text", prefix=True)

# Words that stand alone for when a customer was created.
WITHIN: Mapping[str, Condition] = {
    name: Predicate.of_column(Within("created_at", low=ago))
    for name, ago in (
        ("last_week", dates.RelativeTime(1, "w")),
        ("last_month", dates.RelativeTime(1, "mo")),
        ("last_3_months", dates.RelativeTime(3, "mo")),
        ("last_year", dates.RelativeTime(1, "y")),
    )
}


def keyed(term: KeyValue, others: Sequence[str]) -> Condition:
    """Return the condition of a key and its value. `others` are valid keys that are read elsewhere,
    for suggestions. Raises Rejected."""
    read = check(term, others).read
    assert read is not None
    return read(term)


def check(term: KeyValue, others: Sequence[str]) -> Key:
    """Return the key of a term. Raises Rejected if it is unknown or does not support the form of
    the value."""
    key = CUSTOM if term.key.startswith("custom.") else KEYS.get(term.key)
    if key is None:
        message = (
            f"No filter is named {term.key[:100]!r}. To search for these words, put them in quotes."
        )
        near = nearest(term.key, (*KEYS, *others, "custom."))
        raise syntax_error(message, term.position, "a key", near)
    if term.operator and not key.compared:
        message = (
            f"`{term.key}:` does not support `{term.operator}`. Only dates and numbers can be "
            "compared."
        )
        raise syntax_error(message, term.value.position - len(term.operator), "a value")
    if term.value.prefix and not key.prefix:
        message = f"`{term.key}:` needs a complete value, without `*`."
        raise syntax_error(message, term.value.position, "a complete value")
    if not without_invisible(term.value.text).strip():
        message = (
            f"`{term.key}:` needs a value. To find customers without one, use `-has:{term.key}`."
        )
        raise syntax_error(message, term.value.position, "a value")
    return key
