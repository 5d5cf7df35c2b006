"""Account settings: what each account chooses for itself.

They are one JSON object of the account. A setting that is not in it has its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import iso3166
import orjson

from regulars.core.countries import find_country, like_country
from regulars.core.errors import InvalidInput, Problem


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A setting whose value is an integer from `minimum` to `maximum`."""

    name: str
    default: int
    minimum: int
    maximum: int

    def problem(self, value: int) -> str | None:
        """Return what is wrong with a value, or None."""
        if self.minimum <= value <= self.maximum:
            return None
        limits = f"{self.minimum:,} to {self.maximum:,}"
        return f"`{self.name}` is {value:,}. Use a whole number from {limits}."

    def parse(self, text: str) -> int:
        """Return the value of a text. Raises ValueError with the problem."""
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"The value of {self.name} is {text!r}. Use a whole number.") from None


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting whose value is one of `values`, the first of which is the default. The API checks
    the values: they are an enum."""

    name: str
    values: tuple[str, ...]

    @property
    def default(self) -> str:
        return self.values[0]

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value, or None."""
        if value in self.values:
            return None
        return f"`{self.name}` is {value[:50]!r}. Use {', '.join(self.values)}."

    def parse(self, text: str) -> str:
        """Return the value of a text. Raises ValueError with the problem."""
        if problem := self.problem(text):
            raise ValueError(problem)
        return text


@dataclass(frozen=True, slots=True)
class Country:
    """A setting whose value is an ISO 3166-1 code of two letters, or None for no country."""

    name: str
    default: None = None

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value, or None."""
        if value in iso3166.countries_by_alpha2:
            return None
        near = find_country(value) or like_country(value)
        hint = f" Did you mean {near}?" if near else ""
        code = "an ISO 3166-1 code of two letters, such as FR"
        return f"`{self.name}` is {value[:50]!r}. Use {code}.{hint}"

    def parse(self, text: str) -> str:
        """Return the value of a text. Raises ValueError with the problem."""
        if problem := self.problem(text):
            raise ValueError(problem)
        return text


@dataclass(frozen=True, slots=True)
class CurrencyCode:
    """A setting whose value is a code of ISO 4217. It is unset by default."""

    name: str
    default: None = None

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value, or None."""
        if _CURRENCY.fullmatch(value):
            return None
        return (
            f"`{self.name}` is {value[:50]!r}. Use an ISO 4217 code: three capital letters, such "
            "as MAD or EUR."
        )

    def parse(self, text: str) -> str:
        """Return the value of a text. Raises ValueError with the problem."""
        value = text.strip().upper()
        if problem := self.problem(value):
            raise ValueError(problem)
        return value


_CURRENCY = re.compile("[A-Z]{3}")
TRASH_DAYS = WholeNumber("trash_days", default=30, minimum=0, maximum=3_650)
EMAIL, EMAIL_OR_PHONE, ANYTHING = "email", "email_or_phone", "anything"
# Letters are the digits above 9 of a number with base 36.
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
IDENTIFY_BY = Choice("identify_by", (EMAIL, EMAIL_OR_PHONE, ANYTHING))
# The fields of which a customer needs one.
IDENTIFIERS: Mapping[str, tuple[str, ...]] = {
    EMAIL: ("email",),
    EMAIL_OR_PHONE: ("email", "phone"),
    ANYTHING: ("email", "phone", "first_name", "last_name", "external_ids"),
}
DEFAULT_COUNTRY = Country("default_country")
CURRENCY = CurrencyCode("currency")
OF_ACCOUNT, OF_ALL = "account", "all"
EXPENSES_CURRENCY = Choice("expenses_currency", (OF_ACCOUNT, OF_ALL))
# The version of the tables since which accounts have a currency.
SPEND_VERSION = "0021"
# The settings on which `expenses` depend.
SPEND_SETTINGS = (CURRENCY.name, EXPENSES_CURRENCY.name)
SETTINGS: Mapping[str, WholeNumber | Choice | Country | CurrencyCode] = {
    setting.name: setting
    for setting in (TRASH_DAYS, IDENTIFY_BY, DEFAULT_COUNTRY, CURRENCY, EXPENSES_CURRENCY)
}


def load(text: str | None) -> dict[str, Any]:
    """Return the value of each setting of an account. `text` is its stored JSON object, or None."""
    stored = orjson.loads(text) if text else {}
    return {name: stored.get(name, setting.default) for name, setting in SETTINGS.items()}


def country_number(country: str | None) -> int:
    """Return a country code as the number that the counters of an account have; 0 without one."""
    return int(country, 36) if country else 0


def country_of(number: int) -> str:
    """Return the country code of a number of `country_number`, or an empty text."""
    return "".join(_DIGITS[digit] for digit in divmod(number, 36)) if number else ""


def counted_currency(settings: Mapping[str, Any]) -> str | None:
    """Return the currency whose orders `expenses` count; None if they count all orders."""
    is_of_account = settings[EXPENSES_CURRENCY.name] == OF_ACCOUNT
    currency: str | None = settings[CURRENCY.name]
    return currency if is_of_account else None


def merge(text: str | None, values: Mapping[str, Any]) -> str:
    """Return the JSON object of an account with changed settings. None resets a setting to its
    default. Settings that this program does not know are kept."""
    merged = {**(orjson.loads(text) if text else {}), **values}
    stored = {name: value for name, value in merged.items() if value is not None}
    return orjson.dumps(stored, option=orjson.OPT_SORT_KEYS).decode()


def problems_of(values: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of new values. None is valid: it resets a setting."""
    return [
        InvalidInput(message, ("node", name))
        for name, value in values.items()
        if value is not None and (message := SETTINGS[name].problem(value))
    ]
