"""What is known of the values of a column, and what they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from regulars.transfer.artefacts import is_empty_marker
from regulars.transfer.composed_fields import is_place
from regulars.transfer.consent import is_subscription_state, read_consent, read_flag
from regulars.transfer.heading_dictionary import comparable, value_words

_MAX_VALUE_CHARACTERS = 400
_NEARLY_ALL = 0.9
_EMAIL = re.compile(r"[^\s@<>,;]{1,100}@[^\s@<>,;]{1,100}\.[^\s@<>,;.]{2,20}")
_TIME = re.compile(r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|\b(?:19|20)\d\d\b|^\d{8,13}$")
_HOUSE_NUMBER = re.compile(
    r"\s*(?:\d{1,5}\s?[A-Za-z]?(?:\s?[-/]\s?\w{1,4})?|s/?n\.?)\s*", re.IGNORECASE
)
_LONG_NUMBER = re.compile(r"\s*'?\+?\(?(?:\d[\s()./-]{0,3}){10,15}")
_TECHNICAL_ID = re.compile(r"[a-z_]+\.[a-z0-9_]+|__\w+__\.\w+")


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """The values of a column: the number of those that are not blank, the number of rows, and up to
    200 different values that are not blank."""

    filled: int = 0
    rows: int = 0
    sample: tuple[str, ...] = ()


def share(profile: ColumnProfile, test: Callable[[str], object]) -> float:
    """Return the share of the sampled values that pass a test; 0 without values."""
    sample = profile.sample
    return sum(bool(test(v[:_MAX_VALUE_CHARACTERS])) for v in sample) / len(sample) if sample else 0


def is_email(text: str) -> bool:
    """Return whether a text has an email address."""
    return _EMAIL.search(text[:_MAX_VALUE_CHARACTERS]) is not None


def email_share(profile: ColumnProfile) -> float:
    """Return the share of the sampled values that are email addresses."""
    return share(profile, is_email)


def is_consent(profile: ColumnProfile) -> bool:
    """Return whether nearly all values are words of consent, and not only of an account's state."""
    has_answer = share(profile, lambda value: read_consent(value) is not None) >= _NEARLY_ALL
    return has_answer and any(map(is_subscription_state, profile.sample))


def is_mostly_time(profile: ColumnProfile) -> bool:
    """Return whether most values seem to be dates or times."""
    return share(profile, _TIME.search) > 0.5


def is_mostly_technical_id(profile: ColumnProfile) -> bool:
    """Return whether most values are ids of records, as in `base.us` of Odoo."""
    return share(profile, _TECHNICAL_ID.fullmatch) > 0.5


def is_mostly_account_state(profile: ColumnProfile) -> bool:
    """Return whether most values are states of an account, as in `disabled`."""
    states = value_words().account_states
    return share(profile, lambda value: comparable(value) in states) > 0.5


def is_mostly_list(profile: ColumnProfile) -> bool:
    """Return whether most values are lists in brackets, such as the reasons of suppressions."""
    return share(profile, lambda value: value[:1] == "[") >= 0.5


def is_mostly_house_number(profile: ColumnProfile) -> bool:
    """Return whether most values are numbers of houses: `12`, `12 B`, `12-14`, `s/n`."""
    return share(profile, _HOUSE_NUMBER.fullmatch) > 0.5


def is_mostly_phone(profile: ColumnProfile) -> bool:
    """Return whether most values have more digits than a postal code, and no letters."""
    return share(profile, _LONG_NUMBER.fullmatch) > 0.5


def is_mostly_without_digits(profile: ColumnProfile) -> bool:
    """Return whether most values have no digit."""
    sample = [value for value in profile.sample if not is_empty_marker(value)]
    return sum(not any(map(str.isdigit, value)) for value in sample) >= max(len(sample), 1) / 2


def is_mostly_flag(profile: ColumnProfile) -> bool:
    """Return whether most values are yes or no."""
    return share(profile, lambda value: read_flag(value) is not None) > 0.5


def has_letters(profile: ColumnProfile) -> bool:
    """Return whether any of the sampled values has a letter."""
    return any(c.isalpha() for value in profile.sample for c in value[:_MAX_VALUE_CHARACTERS])


def is_mostly_letters(profile: ColumnProfile) -> bool:
    """Return whether most values have letters and no digits, as names have."""
    return share(profile, lambda v: any(map(str.isalpha, v)) and not any(map(str.isdigit, v))) > 0.5


def is_mostly_without_letters(profile: ColumnProfile) -> bool:
    """Return whether most values have no letter, as numbers of orders: `#1001`."""
    return share(profile, lambda value: not any(map(str.isalpha, value))) > 0.5


def is_mostly_several_words(profile: ColumnProfile) -> bool:
    """Return whether most values are of several words, as whole names are."""
    return share(profile, lambda value: " " in value.strip()) > 0.6


def is_mostly_place(profile: ColumnProfile) -> bool:
    """Return whether most values are a postal code and a city: `80331 München`, `Wien, 1190`."""
    return share(profile, is_place) > 0.6


def is_mostly_district(profile: ColumnProfile) -> bool:
    """Return whether most values are districts of Portugal."""
    return share(profile, lambda value: comparable(value) in value_words().districts) > 0.6


def has_circles_and_crosses(profile: ColumnProfile) -> bool:
    """Return whether the values are `O` for yes and `X` for no, as in Korea and Japan, or `O` and
    `N`, for oui and non. Elsewhere an `X` alone marks a box as checked."""
    return {value.strip().upper() for value in profile.sample} in ({"O", "X"}, {"O", "N"})


def has_one_value(profile: ColumnProfile) -> bool:
    """Return whether a column has one value in all rows, such as the email of the shop."""
    return profile.filled > 2 and len(profile.sample) == 1
