"""The keys of the search language: the values of each key, and the condition that it makes of a
value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from regulars.core import dates, fields
from regulars.core.countries import find_country, like_country
from regulars.core.fields import in_order, names_of
from regulars.core.ids import number_of
from regulars.core.text import nearest, without_invisible
from regulars.customers.emails import clean_email
from regulars.customers.fields import FIELDS
from regulars.customers.search import phones
from regulars.customers.search.lexer import KeyValue, syntax_error
from regulars.customers.search.matching import (
    has_address,
    has_valid_phone,
    in_address,
    in_notes,
    line,
    order_number,
    phone_lines,
)
from regulars.customers.search.search_document import (
    ADDRESS_KEYS,
    NOTES,
    custom_key,
    email_facet,
    make_facet,
    sorted_text,
    sorted_text_facet,
)
from regulars.store.conditions import (
    And,
    Condition,
    Not,
    Or,
    Predicate,
    Within,
    beginning,
    equal,
)
from regulars.store.tables import MONEY_SCALE

_MAX = 2**63 - 1
_WHOLE = re.compile(r"[0-9]{1,19}")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,4})?")

ALWAYS = And(())
SEGMENT = "segment"
ORDER = "order"


def _compared(column: str, operator: str, start: Any, end: Any) -> Within:
    """Return the comparison of a column with the period from `start` (included) to `end`
    (excluded), or with a single value if the two are equal."""
    point = start == end
    match operator:
        case "<":
            return Within(column, high=start)
        case "<=":
            return Within(column, high=end, through=point)
        case ">":
            return Within(column, low=end, above=point)
        case ">=":
            return Within(column, low=start)
    return Within(column, start, end, through=point)


# Values that are compared whole.


def _text_facet(term: KeyValue) -> Condition:
    return line(make_facet(term.key, term.value.text), term.value.prefix)


def _custom(term: KeyValue) -> Condition:
    return line(make_facet(_custom_path(term), term.value.text), term.value.prefix)


def _custom_path(term: KeyValue) -> str:
    name = term.key.partition(".")[2]
    if not name.strip():
        message = "`custom.` needs the name of a custom field, such as `custom.loyalty:gold`."
        raise syntax_error(message, term.position, "the name of a custom field")
    return custom_key("custom", name)


def _country(term: KeyValue) -> Condition:
    if term.value.prefix:
        return _text_facet(term)
    text = term.value.text.strip()
    code = find_country(text)
    if code is None:
        message = (
            f"{term.value.shown} is not a country. Use an ISO 3166-1 code, such as DE, or a name."
        )
        suggestion = like_country(text)
        raise syntax_error(message, term.value.position, "a country", suggestion)
    return line(make_facet("country", code))


def _phone(term: KeyValue) -> Condition:
    known_by = phones.forms(term.value.text)
    if not known_by:
        message = f"{term.value.shown} has no digits. `{term.key}:` compares digits."
        raise syntax_error(message, term.value.position, "a phone number")
    return Or(phone_lines(term.key, known_by[0], term.value.prefix))


def _email(term: KeyValue) -> Condition:
    if term.value.prefix:
        return _name(term)
    _, key, error = clean_email(term.value.text)
    if error:
        message = (
            f"{term.value.shown} is not a complete email address. For its beginning, add `*` at "
            f"the end. For a word of it, remove `{term.key}:`."
        )
        raise syntax_error(message, term.value.position, "an email address")
    return Or((Predicate.of_column(equal(f"{term.key}_key", key)), line(email_facet(key))))


def _name(term: KeyValue) -> Condition:
    """Return the condition of a text by which lists are sorted: its column, or its facet if the
    column is folded differently."""
    column, text = f"{term.key}_folded", sorted_text(term.value.text)
    within = beginning(column, text) if term.value.prefix else equal(column, text)
    facet = line(sorted_text_facet(term.key, text), term.value.prefix)
    return Or((Predicate.of_column(within), facet))


def _consent(term: KeyValue) -> Condition:
    text = term.value.text.lower()
    if text not in ("true", "false"):
        message = f"Use `{term.key}:true` or `{term.key}:false`, not {term.value.shown}."
        suggestion = nearest(text, ("true", "false"))
        raise syntax_error(message, term.value.position, "true or false", suggestion)
    return Predicate.of_column(equal(term.key, text == "true"))


def _order(term: KeyValue) -> Condition:
    return order_number(term.value.text, term.value.prefix)


def _valid(term: KeyValue) -> Condition:
    if term.value.text.lower() != "phone":
        message = f"`{term.key}:` supports only `{term.key}:phone`, not {term.value.shown}."
        raise syntax_error(
            message, term.value.position, "phone", nearest(term.value.text, ("phone",))
        )
    return has_valid_phone()


# Values that have an order.


def _id(term: KeyValue) -> Condition:
    text = term.value.text
    number = int(text) if _WHOLE.fullmatch(text) else number_of(text, "Customer")
    if number is None or number > _MAX:
        message = (
            f"{term.value.shown} is not the id of a customer. Use a number such as 191350, or a "
            "global id."
        )
        raise syntax_error(message, term.value.position, "an id or _id")
    return Predicate.of_column(_compared("customer_id", term.operator, number, number))


def _count(term: KeyValue) -> Condition:
    number = _whole_number(term)
    return Predicate.of_column(_compared(term.key, term.operator, number, number))


def _whole_number(term: KeyValue) -> int:
    text = term.value.text
    if not _WHOLE.fullmatch(text) or int(text) > _MAX:
        message = f"`{term.key}:` needs a whole number, not {term.value.shown}."
        raise syntax_error(message, term.value.position, "a whole number")
    return int(text)


def _optional_timestamp(term: KeyValue) -> Condition:
    """Return the condition of a time that may be NEVER, which no date finds."""
    period = _period(term)
    if period.low is None:
        period = replace(period, low=fields.NEVER, above=True)
    return Predicate.of_column(period)


def _is_set(column: str) -> Condition:
    return Predicate.of_column(Within(column, low=fields.NEVER, above=True))


def _money(column: str, term: KeyValue) -> Condition:
    text = term.value.text
    if not _AMOUNT.fullmatch(text) or abs(Decimal(text) * MONEY_SCALE) > _MAX:
        message = (
            f"`{term.key}:` needs an amount with at most four decimal places, such as 12.5, not "
            f"{term.value.shown}."
        )
        raise syntax_error(message, term.value.position, "an amount")
    amount = int(Decimal(text) * MONEY_SCALE)
    return Predicate.of_column(_compared(column, term.operator, amount, amount))


def _timestamp(term: KeyValue) -> Condition:
    return Predicate.of_column(_period(term))


def _period(term: KeyValue) -> Within:
    text = term.value.text
    ago = dates.ago(text)
    if ago:
        return _compared(term.key, term.operator or ">=", ago, ago)
    named = dates.span(text)
    if named is None:
        message = (
            f"{term.value.shown} is not a date. Use a day (2024-03-18), a month (2024-03), a "
            "year, a timestamp (2024-03-18T14:20:37Z), or a time before now (-7d, -12h, -3mo)."
        )
        raise syntax_error(message, term.value.position, "a date")
    start, end = named
    if end == start + 1:  # a moment to the millisecond
        end = start
    return _compared(term.key, term.operator, start, end)


# Whether there is a value at all.


def _has(term: KeyValue) -> Condition:
    key = term.value.text
    if key.startswith("custom."):
        path = _custom_path(KeyValue(key, term.value.position, "", term.value))
        return Or((line(f"{path}:", prefix=True), line(f"{path}.", prefix=True)))
    if key not in _FILLED:
        valid_keys = [*_FILLED, "custom.KEY"]
        message = f"`has:` does not support {term.value.shown}. Supported: {', '.join(valid_keys)}."
        raise syntax_error(message, term.value.position, "a key", nearest(key, _FILLED))
    return _FILLED[key]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the search language. `read` makes a condition of a term; the parser itself reads
    the terms of a key without it. `takes` describes the value
    for people, and `values` are examples or all valid values. `compared` and `prefix` say whether
    the key supports comparisons and a star."""

    read: Callable[[KeyValue], Condition] | None
    takes: str
    compared: bool = False
    prefix: bool = False
    values: Sequence[str] = ()


_TEXT = Key(_text_facet, "text", prefix=True)
_NAME = Key(_name, "text", prefix=True)
_DATES = ("-7d", "-1mo", "-1y", "2024-03-18")
_TIMESTAMP = Key(_timestamp, "a date", compared=True, values=_DATES)
_OPTIONAL_TIMESTAMP = Key(_optional_timestamp, "a date", compared=True, values=_DATES)


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
    key = Key(partial(_money, field.name), "an amount", compared=True)
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
        number = _whole_number(term)
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
_YES_NO = Key(_consent, "true or false", values=("true", "false"))
_PLACE = {"country": Key(_country, "a country", prefix=True)}

# The keys of each kind of field; those of an address are the same of every one.
_OF_KIND: Mapping[type[fields.Field], Callable[[Any], dict[str, _Searched]]] = {
    fields.Text: _text,
    fields.FullName: _text,
    fields.Email: lambda field: {
        field.name: _Searched(Key(_email, "an email address", prefix=True), _is_filled(field))
    },
    fields.Phone: lambda field: {
        field.name: _Searched(Key(_phone, "a phone number", prefix=True), _has_facet(field.name))
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
            Key(_count, "a whole number", compared=True),
            Predicate.of_column(Within(field.name, low=0, above=True)),
        )
    },
    fields.Emails: _counted,
    fields.Phones: _counted,
    fields.ExternalIds: lambda field: {
        field.key: _Searched(
            Key(_text_facet, "SOURCE:ID", prefix=True, values=("stripe:cus_1", "stripe:*")),
            _has_facet(field.key),
        )
    },
    fields.Json: lambda _: {},  # `custom.KEY`, which is looked up by its beginning
}
_SEARCHED = {
    "id": _Searched(Key(_id, "an id or _id", compared=True), ALWAYS),
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
} | {"address": has_address()}
KEYS: Mapping[str, Key] = {
    **{name: _SEARCHED[name].key for name in in_order(_KEY_ORDER, _SEARCHED)},
    ORDER: Key(_order, "an order number", prefix=True),
    "address": Key(lambda term: in_address(term.value), "words", prefix=True),
    "valid": Key(_valid, "phone", values=("phone",)),
    SEGMENT: Key(None, "a segment"),
    "has": Key(_has, "a key", values=(*_FILLED, "custom")),
}
CUSTOM = Key(_custom, "text", prefix=True)

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
