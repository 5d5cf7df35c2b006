"""Recognise a heading that is not in the dictionary by parts of its words, if its values agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from regulars.core.countries import find_country
from regulars.core.text import nearest
from regulars.transfer.column_profile import ColumnProfile, is_mostly_time, share
from regulars.transfer.consent import read_consent, read_flag
from regulars.transfer.heading_dictionary import comparable, dictionary, words
from regulars.transfer.headings import Match
from regulars.transfer.secret_headings import is_secret

# The rank of these headings: after all that are in the dictionary.
_LAST = 900
# The shortest stem of the alphabets that is looked for within a word, and the shortest one of a
# list `..._not` that is the beginning of a word. Shorter ones are whole words, as `no`.
_MIN_WITHIN, _MIN_BEGINNING = 6, 4
# As `min_beginning`: no stem is the beginning of a word.
_WHOLE_WORDS = 100
_LIKE_EMAIL = ("email", "emailaddress", "mail", "correo", "courriel", "eposta")
_MIN_DIGITS = 6
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PHONE = re.compile(r"[\d\s()+./\-–]{6,40}")
_NEARLY_ALL, _MOST = 0.9, 0.7
_MAX_ANSWERS = 12


@dataclass(frozen=True, slots=True)
class _Rule:
    """The names of stems, a field, and a test of the values. A heading is of the field if it has a
    stem of each of `names`, and none of the list that is named as the first one with `_not`. A
    stem of the first list of at least `min_beginning` characters may be the beginning of a word."""

    names: tuple[str, ...]
    match: Match
    has_values: Callable[[ColumnProfile], bool]
    min_beginning: int = 1


def guess_heading(heading: str, profile: ColumnProfile) -> Match | None:
    """Return what an unknown heading is probably of, or None.

    Both the heading and the values must say so: `Tilmeldt nyhedsbrev` with values such as `Ja`, or
    `Asiakas alkaen` with dates. A column without values is not recognised.
    """
    if not profile.sample or is_secret(heading) or comparable(heading) in dictionary().never:
        return None
    listed = _with_e(words(heading))
    if len(listed) > 1 and listed[-1] in dictionary().particles:
        listed = listed[:-1]  # `Đăng ký nhận tin không?`
    for rule in _RULES:
        if (
            _has(listed, rule.names[0], rule.min_beginning)
            and all(_has(listed, name, 1) for name in rule.names[1:])
            and not _has(listed, f"{rule.names[0]}_not", _MIN_BEGINNING)
            and rule.has_values(profile)
        ):
            return rule.match
    return None


def _with_e(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Return words with `e` and the word after it as one: `E-posta` is not of the post."""
    joined: list[str] = []
    for word in listed:
        if joined and joined[-1] == "e":
            joined[-1] += word
        else:
            joined.append(word)
    return tuple(joined)


def _has(listed: tuple[str, ...], name: str, min_beginning: int) -> bool:
    key = "".join(listed)
    for stem in dictionary().stems[name]:
        if stem in listed:
            return True
        if len(stem) >= min_beginning and any(word.startswith(stem) for word in listed):
            return True
        if (len(stem) >= _MIN_WITHIN or _SPACELESS.search(stem)) and stem in key:
            return True
    return False


def _are_answers(profile: ColumnProfile) -> bool:
    if len(profile.sample) > _MAX_ANSWERS:
        return False
    return share(profile, lambda value: read_consent(value) is not None) >= _NEARLY_ALL


def _are_flags(profile: ColumnProfile) -> bool:
    return share(profile, lambda value: read_flag(value) is not None) >= _NEARLY_ALL


def _are_phones(profile: ColumnProfile) -> bool:
    return share(profile, _is_phone) >= _MOST


def _is_phone(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    return (
        digits >= _MIN_DIGITS and _PHONE.fullmatch(text.strip(" '\u200e\u202a\u202c")) is not None
    )


def _are_texts(profile: ColumnProfile) -> bool:
    has_letters = share(profile, lambda text: any(map(str.isalpha, text))) >= _MOST
    return has_letters and not _are_answers(profile) and not is_mostly_time(profile)


def _are_countries(profile: ColumnProfile) -> bool:
    return country_share(profile) >= _NEARLY_ALL


def country_share(profile: ColumnProfile) -> float:
    """Return the share of the sampled values that are countries."""
    return share(profile, find_country)


def is_status_of_consent(heading: str) -> bool:
    """Return whether a heading has the word of a status (`Estado del suscriptor`), and none of
    other messages (`SMS status`)."""
    listed = _with_e(words(heading))
    if comparable(heading) in dictionary().never:  # `Marketing contact status`, for billing
        return False
    is_one = not dictionary().statuses.isdisjoint(listed)
    return is_one and not _has(listed, "consent_not", _MIN_BEGINNING)


def _are_codes_of_states(profile: ColumnProfile) -> bool:
    return share(profile, lambda value: value.strip().upper() in _STATES) >= _NEARLY_ALL


def _are_postal_codes(profile: ColumnProfile) -> bool:
    return share(profile, lambda value: _POSTAL_CODE.fullmatch(value.strip())) >= _NEARLY_ALL


# Forms that are hardly anything else: Poland, Portugal, Brazil, Japan, the United States with four
# more digits, the Netherlands, the Czech Republic, the United Kingdom and Canada.
_POSTAL_CODE = re.compile(
    r"\d{2}-\d{3}|\d{4}-\d{3}|\d{5}-\d{3,4}|〒?\d{3}-\d{4}|\d{4} [A-Z]{2}|\d{3} \d{2}"
    r"|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z] \d[A-Z]\d"
)
# Of the United States, Canada and Australia.
_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ "
    "NM NY NC ND OH OK OR PA PR RI SC SD TN TX UT VT VA WA WV WI WY "
    "AB BC MB NB NL NS NT NU ON PE QC SK YT ACT NSW QLD SA TAS VIC".split()
)
_RULES = (
    _Rule(("opt_out",), Match("opt_out", (1, _LAST, 0)), _are_flags),
    _Rule(
        ("refusal", "mail", "contacting"),
        Match("opt_out", (1, _LAST, 0)),
        _are_flags,
        _WHOLE_WORDS,
    ),
    _Rule(("consent",), Match("accepts_marketing", (1, _LAST, 0)), _are_answers),
    _Rule(("permission", "mail"), Match("accepts_marketing", (1, _LAST, 0)), _are_answers),
    _Rule(("created_at",), Match("created_at", (1, _LAST, 0)), is_mostly_time),
    _Rule(("phone",), Match("phone", (1, _LAST, 0)), _are_phones),
    _Rule(("state",), Match("state", (0, _LAST, 0), ""), _are_codes_of_states, _WHOLE_WORDS),
    _Rule(("zip",), Match("zip", (0, _LAST, 0), ""), _are_postal_codes, _WHOLE_WORDS),
    _Rule(("country",), Match("country", (0, _LAST, 0), ""), _are_countries),
    _Rule(("notes",), Match("notes", (1, _LAST, 0)), _are_texts),
)


def is_like_email(heading: str) -> bool:
    """Return whether a heading may be one of emails, such as a misspelled one."""
    key = comparable(heading)
    return "mail" in key or nearest(key, _LIKE_EMAIL) is not None
