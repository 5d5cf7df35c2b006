"""Divide cells with several emails or phones."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

from regulars.customers.contact_points import EMAILS, Kind
from regulars.transfer.artefacts import is_empty_marker, unwrap, unwrap_number
from regulars.transfer.email_cells import addresses_in, unwrap_email
from regulars.transfer.heading_dictionary import comparable, dictionary

# Between values with one label in the files of Google Contacts.
SEVERAL = " ::: "
# Values of a cell that are read. The rest is kept as one value.
MAX_VALUES = 50
_SEPARATORS = re.compile(r" ::: |[;,|\n\r]")
# Between whole phones: `0171 1234567 / 030 123456`.
_BETWEEN_PHONES = re.compile(
    r"\s*[;,|\n\r]\s*|\s+/\s+|\s*/\s*(?=\+|00)"
    r"|\s+(?:or|ou|oder|o|od|of|lub|или|veya|and|und|et|y|e|en|og|och|i|и|ve|&)\s+"
)
_WHOLE_PHONE = re.compile(r"[^\W\d_]{0,12}[.:]?\s?[+(]?[(\d][\d\s()./–-]{4,24}\d")
_MIN_WHOLE_DIGITS = 6
# Phones without a prefix, as in a city: only some separators are certain.
_CERTAIN = re.compile(r"[;|\n\r]|,\s")
# Characters of a cell that are read.
MAX_CHARACTERS = 8_000
_LABELLED = re.compile(r"([^<>]*?)\s*<([^<>]+)>")
_MIN_DIGITS = 5
_NOT_IN_LABELS = str.maketrans("", "", "<>*")
_VALUES = ("email", "phone", "value", "number", "address", "primaryEmail")
_CODES = ("callingCode", "primaryPhoneCallingCode")


class Point(NamedTuple):
    """An email or a phone in a cell, and its label."""

    value: str
    label: str = ""


def clean_label(text: str, max_length: int) -> str:
    """Return a label as it is stored. Those that programs have for everybody are in lower case,
    and in English."""
    label = " ".join(text.translate(_NOT_IN_LABELS).split())[:max_length].strip()
    known = dictionary().contact_words.labels.get(comparable(label))
    return known or label


def divide_cell(kind: Kind, value: Any, is_labelled: bool) -> list[Point]:
    """Return the emails or phones in a value of a file: a cell, or a list of JSON.

    With `is_labelled`, the text before `<` is a label. For emails it is the name of a person
    otherwise. Raises nothing: a text that is no email is returned as it is.
    """
    items = value
    if isinstance(value, str):
        text = unwrap(value[:MAX_CHARACTERS]).strip()
        items = _from_json(text) if text[:1] in "[{" else None
        if items is None:
            return _divide_text(kind, text, is_labelled)
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        return [] if value is None or isinstance(value, bool) else [Point(str(value))]
    points: list[Point] = []
    for item in items[:MAX_VALUES]:
        points += _of_item(kind, item, is_labelled)
    return points


def further_emails(cell: str) -> list[str]:
    """Return the emails of a default's cell after the first one, if the cell has nothing else."""
    rest = unwrap_email(cell).rest
    return (addresses_in(rest) or []) if rest else []


def divide_phones(cell: str) -> list[str]:
    """Return the phones in a cell of a default, or nothing if the cell is not of several."""
    if len(cell) > MAX_CHARACTERS:
        return []
    parts = list(filter(None, _BETWEEN_PHONES.split(unwrap(cell).strip(), MAX_VALUES)))
    is_certain = _CERTAIN.search(cell) is not None
    are_whole = len(parts) > 1 and all(
        _WHOLE_PHONE.fullmatch(part)
        and sum(map(str.isdigit, part)) >= _MIN_WHOLE_DIGITS
        and (is_certain or part.lstrip("(")[:1] in "+0")
        for part in parts
    )
    return list(dict.fromkeys(parts)) if are_whole else []


def _from_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _of_item(kind: Kind, item: Any, is_labelled: bool) -> list[Point]:
    if isinstance(item, dict):
        value = next((item[key] for key in _VALUES if isinstance(item.get(key), str)), "")
        code = next((item[key] for key in _CODES if isinstance(item.get(key), str)), "")
        label = item.get("label") or item.get("type") or ""
        if code.startswith("+") and not value.startswith("+"):
            value = f"{code} {value}" if value else ""
        return [Point(value, label if isinstance(label, str) else "")] if value else []
    if isinstance(item, str | int) and not isinstance(item, bool):
        return _divide_text(kind, str(item).strip(), is_labelled)
    return []


def _divide_text(kind: Kind, text: str, is_labelled: bool) -> list[Point]:
    pieces = [text] if kind is not EMAILS and not _are_phones(text) else _pieces(kind, text)
    points = []
    for piece in pieces:
        label, value = "", piece
        labelled = _LABELLED.fullmatch(piece)
        if labelled and (is_labelled or kind is not EMAILS):
            label, value = labelled.groups()
        if kind is EMAILS:
            value = unwrap_email(value).address
        else:
            value = unwrap_number(unwrap(value))[0].strip()
        if value and not is_empty_marker(value):
            points.append(Point(value, label))
    return points


def _pieces(kind: Kind, text: str) -> list[str]:
    """Return the parts of a text between separators. A part without an `@` belongs to the next:
    `"Lo, Ana" <ana@example.com>`."""
    found = _split(text)
    if kind is not EMAILS:
        return found
    pieces: list[str] = []
    open_part = ""
    for piece in found:
        joined = f"{open_part}, {piece}" if open_part else piece
        open_part = "" if "@" in piece else joined
        if not open_part:
            pieces.append(joined)
    return [*pieces, open_part] if open_part else pieces


def _are_phones(text: str) -> bool:
    """Return whether all parts of a text are whole numbers, and not an extension, say."""
    return SEVERAL in text or all(
        sum(map(str.isdigit, piece)) >= _MIN_DIGITS for piece in _split(text)
    )


def _split(text: str) -> list[str]:
    return list(filter(None, map(str.strip, _SEPARATORS.split(text, MAX_VALUES))))
