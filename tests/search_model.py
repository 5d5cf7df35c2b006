"""The search language as a slow, obvious filter: what `test_search_model` compares with.

A query is a tree of tuples, `("and", left, right)` or `("key", "tag", "=", "vip", prefix)`, that is
both written in the language (`text_of`) and asked of every customer in turn (`matches`). Nothing of
Regulars is used here.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Query = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A customer, as the model sees one. `known_by` are the digits by which its phone is found."""

    number: int
    node: dict[str, Any]
    known_by: tuple[str, ...]
    created_at: int
    updated_at: int
    expenses: Decimal = Decimal(0)
    orders_count: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def fold(text: str) -> str:
    """NFKD, no combining marks, casefold: as the contract has it."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def spaced(text: str) -> str:
    """Folded, each run of spaces one space: as values are compared that no list is ordered by."""
    return " ".join(fold(text).split())


def stands_alone(character: str) -> bool:
    """Whether a character is of a script that is written without spaces."""
    name = unicodedata.name(character, "")
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC ITERATION")
    return name.startswith(scripts) and unicodedata.category(character)[0] == "L"


def words(text: str) -> list[str]:
    """The words of a text, one character after the other."""
    found: list[str] = []
    word = ""
    for character in unicodedata.normalize("NFC", fold(text)) + " ":
        kind = unicodedata.category(character)
        goes_on = kind[0] in "LN" or (kind[0] == "M" and bool(word))
        if goes_on and not stands_alone(character):
            word += character
            continue
        if word:
            found.append(word)
            word = ""
        if stands_alone(character) or kind == "So":
            found.append(character)
    return found


def follow(texts: list[str], looked_for: list[str], prefix: bool) -> bool:
    """Whether words follow one another in one of the texts; the last may go on, for a prefix."""
    for text in texts:
        there = words(text)
        for start in range(len(there) - len(looked_for) + 1):
            piece = there[start : start + len(looked_for)]
            if piece == looked_for:
                return True
            if prefix and piece[:-1] == looked_for[:-1] and piece[-1].startswith(looked_for[-1]):
                return True
    return False


def flat(value: Any, path: str = "custom") -> list[tuple[str, str]]:
    """The values of custom fields, each under its path."""
    if isinstance(value, dict):
        return [
            pair for key, inner in value.items() for pair in flat(inner, f"{path}.{spaced(key)}")
        ]
    if isinstance(value, list):
        return [pair for inner in value for pair in flat(inner, path)]
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [(path, spaced(value))]
    return [
        (
            path,
            {True: "true", False: "false"}.get(value, str(value))
            if isinstance(value, bool)
            else str(value),
        )
    ]


def values(person: Person, key: str) -> list[str]:
    """The texts that a key is compared with."""
    node = person.node
    if key.startswith("custom."):
        return [text for path, text in flat(node.get("custom") or {}) if path == fold(key)]
    if key == "tag":
        return [spaced(tag) for tag in node.get("tags", [])]
    if key in ("country", "state", "city", "zip"):
        both = (node.get("shipping_address"), node.get("billing_address"))
        return [spaced(address[key]) for address in both if address and address.get(key)]
    if key == "phone":
        return list(person.known_by)
    if key == "full_name":
        return [fold(f"{node.get('first_name', '')} {node.get('last_name', '')}".strip())]
    return [fold(node.get(key, ""))]


def span(date: str) -> tuple[int, int]:
    """A day or a month, from its first moment to the first after it."""
    parts = [int(part) for part in date.split("-")]
    start = datetime(parts[0], parts[1], parts[2] if parts[2:] else 1, tzinfo=UTC)
    if len(parts) == 2:
        later = datetime(parts[0] + parts[1] // 12, parts[1] % 12 + 1, 1, tzinfo=UTC)
        return int(start.timestamp()) * 1000, int(later.timestamp()) * 1000
    begins = int(start.timestamp()) * 1000
    return begins, begins + 86_400_000


def compared(value: Any, sign: str, start: Any, end: Any) -> bool:
    """A value against what lasts from start until before end, or a single value."""
    inside = start <= value < end if start != end else value == start
    held: dict[str, bool] = {
        "=": inside,
        "<": value < start,
        "<=": value < end or inside,
        ">": value > start and not inside,
        ">=": value >= start,
    }
    return held[sign]


def has(person: Person, key: str) -> bool:
    """Whether a key is not empty."""
    node = person.node
    if key in ("id", "email", "created_at", "updated_at"):
        return True
    if key in ("expenses", "total_spent"):
        return person.expenses != 0
    if key == "orders_count":
        return person.orders_count != 0
    if key == "accepts_marketing":
        return bool(node.get(key))
    if key == "notes":
        return bool(node.get(key))
    if key == "custom":
        return bool(flat(node.get("custom") or {}))
    if key.startswith("custom."):
        paths = [path for path, _ in flat(node.get("custom") or {})]
        return any(path == fold(key) or path.startswith(fold(key) + ".") for path in paths)
    return any(values(person, key)) if key != "phone" else bool(node.get("phone"))


def matches(person: Person, query: Query) -> bool:
    """Whether a customer meets a query."""
    match query:
        case ("and", *parts):
            return all(matches(person, part) for part in parts)
        case ("or", *parts):
            return any(matches(person, part) for part in parts)
        case ("not", part):
            return not matches(person, part)
        case ("word", text):
            node = person.node
            name = f"{node.get('first_name', '')} {node.get('last_name', '')}"
            texts = [name, node["email"], *node.get("tags", []), node.get("notes") or ""]
            looked_for = words(text)
            digits = "".join(c for c in text if c.isdecimal())
            if follow(texts, looked_for, prefix=True):
                return True
            phone_like = all(c.isdecimal() or c in " +-.()" for c in text)
            return phone_like and any(form.startswith(digits) for form in person.known_by)
        case ("key", "notes", "=", text, prefix):
            return follow([person.node.get("notes") or ""], words(text), prefix)
        case ("key", "phone", "=", text, prefix):
            digits = "".join(c for c in text if c.isdecimal())
            return any(f.startswith(digits) if prefix else f == digits for f in person.known_by)
        case ("key", "has", "=", key, False):
            return has(person, key)
        case ("key", "accepts_marketing", "=", text, False):
            return bool(person.node["accepts_marketing"] == (text == "true"))
        case ("key", "email", "=", text, False):
            return bool(person.node["email"].casefold() == text.casefold())
        case ("key", "id", sign, text, False):
            return compared(person.number, sign, int(text), int(text))
        case ("key", "orders_count", sign, text, False):
            return compared(person.orders_count, sign, int(text), int(text))
        case ("key", "expenses" | "total_spent", sign, text, False):
            return compared(person.expenses, sign, Decimal(text), Decimal(text))
        case ("key", "created_at" | "updated_at" as key, sign, text, False):
            timestamp = person.created_at if key == "created_at" else person.updated_at
            return compared(timestamp, sign, *span(text))
        case ("key", key, "=", text, prefix):
            wanted = fold(text) if key.endswith("_name") else spaced(text)
            looked_at = values(person, key)
            return any(v.startswith(wanted) if prefix else v == wanted for v in looked_at)
    raise AssertionError(query)


def quoted(text: str) -> str:
    """A value in quotes, its own quotes and backslashes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def text_of(query: Query) -> str:
    """A query in the language."""
    match query:
        case ("and", *parts):
            return "(" + " ".join(text_of(part) for part in parts) + ")"
        case ("or", *parts):
            return "(" + " OR ".join(text_of(part) for part in parts) + ")"
        case ("not", part):
            return f"-{text_of(part)}"
        case ("word", text):
            return quoted(text)
        case ("key", key, sign, text, prefix):
            plain = key.replace(" ", "\\ ").replace(":", "\\:")
            return f"{plain}:{'' if sign == '=' else sign}{quoted(text)}{'*' if prefix else ''}"
    raise AssertionError(query)
