"""The keys of the search language: what each one's values are, and which condition they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import iso3166

from regulars.directory import dates, phones
from regulars.directory.emails import clean_email
from regulars.directory.found_by import NOTES, custom_key, facet
from regulars.directory.ids import customer as named_customer
from regulars.directory.lexer import KeyValue, refused
from regulars.directory.matching import in_notes, line
from regulars.directory.text import fold, nearest
from regulars.store.conditions import (
    And,
    Condition,
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


def _compared(column: str, operator: str, start: Any, end: Any) -> Within:
    """A column compared with what lasts from `start` until before `end`; a moment, or a number,
    where those are one."""
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
    return line(facet(term.key, term.value.text), term.value.prefix)


def _custom(term: KeyValue) -> Condition:
    return line(facet(_custom_path(term), term.value.text), term.value.prefix)


def _custom_path(term: KeyValue) -> str:
    name = term.key.partition(".")[2]
    if not name.strip():
        message = "custom. needs the name of a custom field, as in custom.loyalty:gold."
        raise refused(message, term.position, "the name of a custom field")
    return custom_key("custom", name)


def _country(term: KeyValue) -> Condition:
    if term.value.prefix:
        return _text_facet(term)
    given = term.value.text.strip()
    country = iso3166.countries_by_alpha2.get(given.upper()) or _COUNTRIES.get(fold(given))
    if country is None:
        message = (
            f"{term.value.shown} is not a country. Use its code of ISO 3166-1, two letters, or "
            "its name there."
        )
        raise refused(message, term.value.position, "a country", _like_country(given))
    return line(facet("country", country.alpha2))


def _like_country(given: str) -> str | None:
    near = nearest(fold(given), _COUNTRIES)
    return _COUNTRIES[near].alpha2 if near else None


_COUNTRIES = {
    fold(name): country
    for country in iso3166.countries
    for name in (country.name, country.apolitical_name, country.alpha3)
}


def _phone(term: KeyValue) -> Condition:
    known_by = phones.forms(term.value.text)
    if not known_by:
        message = f"{term.value.shown} has no digit; phone: compares digits."
        raise refused(message, term.value.position, "a phone number")
    return line(f"phone:{known_by[0]}", term.value.prefix)


def _email(term: KeyValue) -> Condition:
    if term.value.prefix:
        return Predicate.of_column(beginning("email_folded", fold(term.value.text.strip())))
    _, key, wrong = clean_email(term.value.text)
    if wrong:
        message = (
            f"{term.value.shown} is not a whole email address. For the beginning of one put a "
            "star behind it; for a word of one leave email: out."
        )
        raise refused(message, term.value.position, "an email address")
    return Predicate.of_column(equal("email_key", key))


def _name(term: KeyValue) -> Condition:
    column, text = f"{term.key}_folded", fold(term.value.text.strip())
    return Predicate.of_column(
        beginning(column, text) if term.value.prefix else equal(column, text)
    )


def _consent(term: KeyValue) -> Condition:
    said = term.value.text.lower()
    if said not in ("true", "false"):
        message = f"accepts_marketing: takes true or false; it is {term.value.shown} here."
        near = nearest(said, ("true", "false"))
        raise refused(message, term.value.position, "true or false", near)
    return Predicate.of_column(equal("accepts_marketing", said == "true"))


# Values that have an order.


def _id(term: KeyValue) -> Condition:
    text = term.value.text
    number = int(text) if _WHOLE.fullmatch(text) else named_customer(text).customer_id
    if number is None or number > _MAX:
        message = f"{term.value.shown} is not the id of a customer."
        raise refused(message, term.value.position, "an id or _id")
    return Predicate.of_column(_compared("customer_id", term.operator, number, number))


def _count(term: KeyValue) -> Condition:
    text = term.value.text
    if not _WHOLE.fullmatch(text) or int(text) > _MAX:
        message = f"{term.key}: takes a whole number; it is {term.value.shown} here."
        raise refused(message, term.value.position, "a whole number")
    return Predicate.of_column(_compared(term.key, term.operator, int(text), int(text)))


def _money(term: KeyValue) -> Condition:
    text = term.value.text
    if not _AMOUNT.fullmatch(text) or abs(Decimal(text) * MONEY_SCALE) > _MAX:
        message = (
            f"{term.key}: takes an amount of at most four decimal places, as in 12.5; it is "
            f"{term.value.shown} here."
        )
        raise refused(message, term.value.position, "an amount")
    amount = int(Decimal(text) * MONEY_SCALE)
    return Predicate.of_column(_compared("expenses", term.operator, amount, amount))


def _moment(term: KeyValue) -> Condition:
    text = term.value.text
    ago = dates.ago(text)
    if ago:
        return Predicate.of_column(_compared(term.key, term.operator or ">=", ago, ago))
    named = dates.span(text)
    if named is None:
        message = (
            f"{term.value.shown} is not a date. Use a day (2024-03-18), a month (2024-03), a "
            "year, a moment (2024-03-18T14:20:37Z), or a time back from now (-7d, -12h, -3mo)."
        )
        raise refused(message, term.value.position, "a date")
    start, end = named
    if end == start + 1:  # a moment to the millisecond
        end = start
    return Predicate.of_column(_compared(term.key, term.operator, start, end))


# Whether there is a value at all.


def _has(term: KeyValue) -> Condition:
    key = term.value.text
    if key.startswith("custom."):
        path = _custom_path(KeyValue(key, term.value.position, "", term.value))
        return Or((line(f"{path}:", prefix=True), line(f"{path}.", prefix=True)))
    if key not in _FILLED:
        known = [*_FILLED, "custom.KEY"]
        message = f"{term.value.shown} is no key that has: knows. Keys are {', '.join(known)}."
        raise refused(message, term.value.position, "a key", nearest(key, _FILLED))
    return _FILLED[key]


def _not_zero(column: str) -> Condition:
    above = Predicate.of_column(Within(column, low=0, above=True))
    return Or((above, Predicate.of_column(Within(column, high=0))))


_FILLED: Mapping[str, Condition] = {
    **dict.fromkeys(("id", "email", "created_at", "updated_at"), ALWAYS),
    **{
        name: Predicate.of_column(Within(f"{name}_folded", low="", above=True))
        for name in ("first_name", "last_name", "full_name")
    },
    **{
        name: line(f"{name}:", prefix=True)
        for name in ("phone", "tag", "country", "state", "city", "zip")
    },
    "notes": line(NOTES),
    "custom": line("custom.", prefix=True),
    "accepts_marketing": Predicate.of_column(equal("accepts_marketing", True)),
    "orders_count": Predicate.of_column(Within("orders_count", low=0, above=True)),
    **dict.fromkeys(("expenses", "total_spent"), _not_zero("expenses")),
}


@dataclass(frozen=True, slots=True)
class Key:
    """How a key's value is read, and what may stand with it: `takes` says what the value is, and
    `values` which there are, or some of them."""

    read: Callable[[KeyValue], Condition]
    takes: str
    compared: bool = False
    prefix: bool = False
    values: Sequence[str] = ()


_TEXT = Key(_text_facet, "text", prefix=True)
_NAME = Key(_name, "text", prefix=True)
_MOMENT = Key(_moment, "a date", compared=True, values=("-7d", "-1mo", "-1y", "2024-03-18"))
_AMOUNT_KEY = Key(_money, "an amount", compared=True)

KEYS: Mapping[str, Key] = {
    "id": Key(_id, "an id or _id", compared=True),
    "email": Key(_email, "an email address", prefix=True),
    "phone": Key(_phone, "a phone number", prefix=True),
    "first_name": _NAME,
    "last_name": _NAME,
    "full_name": _NAME,
    "tag": _TEXT,
    "accepts_marketing": Key(_consent, "true or false", values=("true", "false")),
    "country": Key(_country, "a country", prefix=True),
    "state": _TEXT,
    "city": _TEXT,
    "zip": _TEXT,
    "orders_count": Key(_count, "a whole number", compared=True),
    "expenses": _AMOUNT_KEY,
    "total_spent": _AMOUNT_KEY,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "notes": Key(lambda term: in_notes(term.value), "words", prefix=True),
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
    """The condition of a key and its value; `others` are keys that are read elsewhere. Raises
    Refused."""
    key = CUSTOM if term.key.startswith("custom.") else KEYS.get(term.key)
    if key is None:
        message = (
            f"{term.key[:100]!r} is not a key of the search. To look for the text itself, put it "
            "in quotes."
        )
        near = nearest(term.key, (*KEYS, *others, "custom."))
        raise refused(message, term.position, "a key", near)
    if term.operator and not key.compared:
        message = f"{term.key}: takes no {term.operator}; only dates and numbers have an order."
        raise refused(message, term.value.position - len(term.operator), "a value")
    if term.value.prefix and not key.prefix:
        message = f"{term.key}: takes a whole value, and no star."
        raise refused(message, term.value.position, "a whole value")
    if not term.value.text.strip():
        message = f"{term.key}: needs a value. For customers without one, use -has:{term.key}."
        raise refused(message, term.value.position, "a value")
    return key.read(term)
