"""Read the values of terms with a key: the condition for customers with the value. A value that
is not valid raises Rejected."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from regulars.core import dates, fields
from regulars.core.countries import find_country, like_country
from regulars.core.ids import number_of
from regulars.core.text import nearest
from regulars.customers.emails import clean_email
from regulars.customers.search import phones
from regulars.customers.search.lexer import KeyValue, syntax_error
from regulars.customers.search.matching import has_valid_phone, line, order_number, phone_lines
from regulars.customers.search.search_document import (
    custom_key,
    email_facet,
    make_facet,
    sorted_text,
    sorted_text_facet,
)
from regulars.store.conditions import Condition, Or, Predicate, Within, beginning, equal
from regulars.store.tables import MONEY_SCALE

_MAX = 2**63 - 1
_WHOLE = re.compile(r"[0-9]{1,19}")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,4})?")


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


def read_text(term: KeyValue) -> Condition:
    """Return the condition of a text that is compared whole."""
    return line(make_facet(term.key, term.value.text), term.value.prefix)


def read_custom(term: KeyValue) -> Condition:
    """Return the condition of a custom field."""
    return line(make_facet(read_custom_path(term), term.value.text), term.value.prefix)


def read_custom_path(term: KeyValue) -> str:
    """Return the beginning of the facets of a custom field."""
    name = term.key.partition(".")[2]
    if not name.strip():
        message = "`custom.` needs the name of a custom field, such as `custom.loyalty:gold`."
        raise syntax_error(message, term.position, "the name of a custom field")
    return custom_key("custom", name)


def read_country(term: KeyValue) -> Condition:
    """Return the condition of a country, by its code or a name."""
    if term.value.prefix:
        return read_text(term)
    text = term.value.text.strip()
    code = find_country(text)
    if code is None:
        message = (
            f"{term.value.shown} is not a country. Use an ISO 3166-1 code, such as DE, or a name."
        )
        suggestion = like_country(text)
        raise syntax_error(message, term.value.position, "a country", suggestion)
    return line(make_facet("country", code))


def read_phone(term: KeyValue) -> Condition:
    """Return the condition of a phone number, by its digits."""
    known_by = phones.forms(term.value.text)
    if not known_by:
        message = f"{term.value.shown} has no digits. `{term.key}:` compares digits."
        raise syntax_error(message, term.value.position, "a phone number")
    return Or(phone_lines(term.key, known_by[0], term.value.prefix))


def read_email(term: KeyValue) -> Condition:
    """Return the condition of an email address, or of its beginning."""
    if term.value.prefix:
        return read_sorted_name(term)
    _, key, error = clean_email(term.value.text)
    if error:
        message = (
            f"{term.value.shown} is not a complete email address. For its beginning, add `*` at "
            f"the end. For a word of it, remove `{term.key}:`."
        )
        raise syntax_error(message, term.value.position, "an email address")
    return Or((Predicate.of_column(equal(f"{term.key}_key", key)), line(email_facet(key))))


def read_sorted_name(term: KeyValue) -> Condition:
    """Return the condition of a text by which lists are sorted: its column, or its facet if the
    column is folded differently."""
    column, text = f"{term.key}_folded", sorted_text(term.value.text)
    within = beginning(column, text) if term.value.prefix else equal(column, text)
    facet = line(sorted_text_facet(term.key, text), term.value.prefix)
    return Or((Predicate.of_column(within), facet))


# The words for true and false that people type.
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def read_consent(term: KeyValue) -> Condition:
    """Return the condition of `true` or `false`."""
    text = term.value.text.lower()
    if text not in _BOOLEANS:
        message = f"Use `{term.key}:true` or `{term.key}:false`, not {term.value.shown}."
        suggestion = nearest(text, ("true", "false", "yes"))
        raise syntax_error(message, term.value.position, "true or false", suggestion)
    return Predicate.of_column(equal(term.key, _BOOLEANS[text]))


def read_order(term: KeyValue) -> Condition:
    """Return the condition of an order number."""
    return order_number(term.value.text, term.value.prefix)


def read_valid(term: KeyValue) -> Condition:
    """Return the condition of `valid:phone`."""
    if term.value.text.lower() != "phone":
        message = f"`{term.key}:` supports only `{term.key}:phone`, not {term.value.shown}."
        raise syntax_error(
            message, term.value.position, "phone", nearest(term.value.text, ("phone",))
        )
    return has_valid_phone()


# Values that have an order.


def read_customer_id(term: KeyValue) -> Condition:
    """Return the condition of an `_id` or a global id."""
    text = term.value.text
    number = int(text) if _WHOLE.fullmatch(text) else number_of(text, "Customer")
    if number is None or number > _MAX:
        message = (
            f"{term.value.shown} is not the id of a customer. Use a number such as 191350, or a "
            "global id."
        )
        raise syntax_error(message, term.value.position, "an id or _id")
    return Predicate.of_column(_compared("customer_id", term.operator, number, number))


def read_count(term: KeyValue) -> Condition:
    """Return the condition of a whole number in a column."""
    number = read_whole_number(term)
    return Predicate.of_column(_compared(term.key, term.operator, number, number))


def read_whole_number(term: KeyValue) -> int:
    """Return a whole number from 0 to 2**63 - 1."""
    text = term.value.text
    if not _WHOLE.fullmatch(text) or int(text) > _MAX:
        message = f"`{term.key}:` needs a whole number, not {term.value.shown}."
        raise syntax_error(message, term.value.position, "a whole number")
    return int(text)


def read_optional_timestamp(term: KeyValue) -> Condition:
    """Return the condition of a time that may be NEVER, which no date finds."""
    period = _period(term)
    if period.low is None:
        period = replace(period, low=fields.NEVER, above=True)
    return Predicate.of_column(period)


def read_money(column: str, term: KeyValue) -> Condition:
    """Return the condition of an amount in a column of money."""
    text = term.value.text
    if not _AMOUNT.fullmatch(text) or abs(Decimal(text) * MONEY_SCALE) > _MAX:
        message = (
            f"`{term.key}:` needs an amount with at most four decimal places, such as 12.5, not "
            f"{term.value.shown}."
        )
        raise syntax_error(message, term.value.position, "an amount")
    amount = int(Decimal(text) * MONEY_SCALE)
    return Predicate.of_column(_compared(column, term.operator, amount, amount))


def read_timestamp(term: KeyValue) -> Condition:
    """Return the condition of a day, a month, a year or a moment."""
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
