"""Find the columns of further emails and phones, such as `E-mail 2 - Value` and `Home Phone`, and
the labels of their values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from regulars.customers.contact_points import EMAILS, PHONES, Kind
from regulars.transfer.column_profile import (
    ColumnProfile,
    email_share,
    has_one_value,
    is_mostly_without_digits,
)
from regulars.transfer.column_selection import DROP, Choice
from regulars.transfer.heading_dictionary import comparable, dictionary, words
from regulars.transfer.headings import match_heading

# The field of columns with further values, by the field of the default.
ADDITIONAL = {kind.default: f"additional_{kind.name}" for kind in (EMAILS, PHONES)}
KIND_OF: Mapping[str, Kind] = {f"additional_{kind.name}": kind for kind in (EMAILS, PHONES)}
# The texts before `<` in a cell are labels.
LABELLED = "labelled"

_NUMBERED = re.compile(r"([^\W\d_]+)(\d{1,2})")
_MAX_NUMBER = 20
# Emails of a person are different from those of others; those of an employee repeat.
_MIN_DIFFERENT, _MIN_FILLED, MAX_SAMPLE = 0.8, 5, 200


def add_contact_points(
    headings: Sequence[str | None],
    names: Sequence[str],
    profiles: Sequence[ColumnProfile],
    choices: list[Choice],
) -> None:
    """Let the columns that have no field become further emails and phones, and columns of labels
    their labels. Arguments as of `Chooser`; `headings` are None for columns that are mapped or are
    exact names. A repeated heading says nothing of its values, and stays as it is."""
    counts = Counter(heading for heading in headings if heading)
    found: dict[str, list[int]] = {}
    for position, choice in enumerate(choices):
        heading = headings[position]
        if not heading or counts[heading] > 1:
            continue
        if choice.field in ADDITIONAL:
            found.setdefault(choice.field or "", [])
        elif choice.field is None:
            field = _field_of(heading, choice)
            profile = profiles[position] if position < len(profiles) else ColumnProfile()
            if field and _fits(field, profile):
                found.setdefault(field, []).append(position)
    _prefer_lower_numbers(headings, choices, found)
    labels = _label_columns(headings)
    for position, choice in enumerate(choices):
        heading = headings[position] or ""
        further = choice.field is None and _further(found, position)
        field = further or (choice.field if choice.field in ADDITIONAL else None)
        label = labels.get(position)
        if not field or (not further and not found.get(field) and label is None):
            continue
        choice.label, choice.label_position = label_of(heading), label
        if label is not None:
            choices[label].field = DROP
            choices[label].note = f"{names[label]!r} has the labels of {names[position]!r}."
        if further:
            choice.field, choice.fallback, choice.note = ADDITIONAL[further], None, None
            if comparable(heading) == comparable(choice.field):
                choice.reader = LABELLED


def _prefer_lower_numbers(
    headings: Sequence[str | None], choices: list[Choice], found: Mapping[str, list[int]]
) -> None:
    """Let the first of numbered columns be that of the default, although another may be fuller: a
    row without it has the next one."""
    for field, positions in found.items():
        best = next((n for n, choice in enumerate(choices) if choice.field == field), None)
        base, number = _without_number(headings[best] or "") if best is not None else ("", 1)
        lower = [(*_without_number(headings[position] or ""), position) for position in positions]
        siblings = [(other, position) for key, other, position in lower if key == base]
        if best is not None and siblings and (first := min(siblings))[0] < number:
            choices[first[1]], choices[best] = choices[best], choices[first[1]]
            positions[positions.index(first[1])] = best


def _without_number(heading: str) -> tuple[str, int]:
    """Return a heading without its number, and the number; 1 if it has none."""
    listed = _divided_words(heading)
    numbers = [int(word) for word in listed if word.isdecimal() and len(word) < 3]
    return "".join(word for word in listed if not word.isdecimal()), next(iter(numbers), 1)


def _divided_words(heading: str) -> list[str]:
    listed: list[str] = []
    for word in words(heading):
        divided = _NUMBERED.fullmatch(word)
        listed += divided.groups() if divided else (word,)
    return listed


def _further(found: Mapping[str, Sequence[int]], position: int) -> str | None:
    return next((field for field, positions in found.items() if position in positions), None)


@lru_cache(maxsize=4_096)
def match_further(heading: str) -> str | None:
    """Return `email` or `phone` if a heading is that of further ones: `email2`, `phone_2`,
    `E-mail 3 Address`, `Additional email addresses`, `Home phone`."""
    known = dictionary().contact_words
    listed = _divided_words(heading)
    numbers = [word for word in listed if word.isdigit()]
    if len(numbers) > 1 or any(int(number) > _MAX_NUMBER for number in numbers):
        return None
    rest = [word for word in listed if word not in numbers and word not in known.additional]
    is_further = len(rest) < len(listed)
    bare = [word for word in rest if word not in known.labels]
    if not is_further and len(bare) == len(rest):
        return None
    first = ["1" if word in numbers else word for word in listed]
    for variant in (first, rest, bare):
        if field := _plain_field("".join(variant)):
            return field
    return None


def _plain_field(key: str) -> str | None:
    known = dictionary()
    field = known.fields.get(key, ("",))[0]
    if field in ADDITIONAL:
        return field
    return next((f for f, nouns in known.contact_words.nouns.items() if key in nouns), None)


def _field_of(heading: str, choice: Choice) -> str | None:
    if not dictionary().contact_words.excluded.isdisjoint(words(heading)):
        return None
    if choice.fallback in ADDITIONAL:
        return choice.fallback
    field = match_further(heading)
    if field is None and (match := match_heading(heading)) and match.group is None:
        # A column that is not the best of its field, but was not one of its candidates.
        field = match.field if match.field in ADDITIONAL else None
    return field


def _fits(field: str, profile: ColumnProfile) -> bool:
    """Return whether the values of a column can be further emails or phones."""
    if not profile.sample:
        return True
    if field == PHONES.default:
        return not is_mostly_without_digits(profile)
    expected = _MIN_DIFFERENT * min(profile.filled, MAX_SAMPLE)
    is_shared = profile.filled >= _MIN_FILLED and len(profile.sample) < expected
    return email_share(profile) > 0.5 and not (is_shared or has_one_value(profile))


def label_of(heading: str) -> str:
    """Return the label that a heading gives its values, such as `home`; else empty."""
    labels = dictionary().contact_words.labels
    found = [labels[word] for word in words(heading) if word in labels]
    # `Mobile (other)` and `Company main phone` say the same in another order.
    found.sort(key=lambda label: label in ("main", "other"))
    return found[0] if found and found[0] != "main" else ""


def _label_columns(headings: Sequence[str | None]) -> dict[int, int]:
    """Return the positions of columns, each with that of the column of its labels."""
    positions: dict[tuple[str, ...], int] = {}
    for position, heading in enumerate(headings):
        if heading:
            positions.setdefault(words(heading), position)
    known = dictionary().contact_words
    found: dict[int, int] = {}
    for key, position in positions.items():
        if len(key) < 2 or key[-1] not in known.label:
            continue
        start = key[:-1]
        if start[-1].isdigit():  # `Phone 1 - Type` next to `Phone 1 - Value`
            others = [(*start, word) for word in known.value]
        elif key[-1] in ("label", "type"):
            others = [start, (*start, "value"), (*start, "number")]
        else:
            continue
        others.append(start)
        owner = next((positions[other] for other in others if other in positions), None)
        if owner is not None:
            found.setdefault(owner, position)
    return found
