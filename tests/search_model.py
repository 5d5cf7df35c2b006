"""The search language as a slow, simple filter: the reference model of `test_search_model`.

A query is a tree of tuples, as `("and", left, right)` or `("key", "tag", "=", "vip", prefix)`.
`format_query` writes it in the search language, and `matches` checks one customer. The model uses
no code of Regulars, only its list of common words.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from regulars.customers.search.address_words import COMMON

Query = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ModelCustomer:
    """A customer of the model. `phone_forms` are the digits that match its phones, and `numbers`
    those with whose endings they match."""

    number: int
    node: dict[str, Any]
    phone_forms: tuple[str, ...]
    created_at: int
    updated_at: int
    expenses: Decimal = Decimal(0)
    orders_count: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    has_valid_phone: bool = False
    comments: tuple[str, ...] = ()


def fold(text: str) -> str:
    """Folds a text as the contract defines it: NFKD, no combining marks, casefold."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def fold_letters(text: str) -> str:
    """Folds a text as the search compares it: also letters with a stroke and ligatures, without
    characters that have no width."""
    visible = "".join(c for c in text if c not in "\u200b\u200d\u200e\ufeff\u00ad")
    result = fold(visible)
    for letters, plain in LETTERS.items():
        for letter in letters:
            result = result.replace(letter, plain)
    return result


LETTERS = {"ł": "l", "ø": "o", "œ": "oe", "đ": "d", "ı": "i", "æ": "ae", "’ʼ": "'"}


def fold_spaces(text: str) -> str:
    """Folds a text and collapses spaces, for values that no list is sorted by."""
    return " ".join(fold_letters(text).split())


def is_single_character_word(character: str) -> bool:
    """Returns whether a character belongs to a script without spaces."""
    name = unicodedata.name(character, "")
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC ITERATION")
    return name.startswith(scripts) and unicodedata.category(character)[0] == "L"


def words(text: str) -> list[str]:
    """Splits a text into words, character by character."""
    result: list[str] = []
    word = ""
    for character in unicodedata.normalize("NFC", fold_letters(text)) + " ":
        kind = unicodedata.category(character)
        is_word_character = kind[0] in "LN" or (kind[0] == "M" and bool(word))
        if is_word_character and not is_single_character_word(character):
            word += character
            continue
        if word:
            result.append(word)
            word = ""
        if is_single_character_word(character) or kind == "So":
            result.append(character)
    return result


def contains_words(texts: list[str], wanted_words: list[str], prefix: bool) -> bool:
    """Returns whether a text contains the words in sequence. With `prefix`, the last is a prefix."""
    for text in texts:
        text_words = words(text)
        for start in range(len(text_words) - len(wanted_words) + 1):
            piece = text_words[start : start + len(wanted_words)]
            if piece == wanted_words:
                return True
            if (
                prefix
                and piece[:-1] == wanted_words[:-1]
                and piece[-1].startswith(wanted_words[-1])
            ):
                return True
    return False


def is_common(word: str) -> bool:
    """Returns whether a word of a street finds nothing alone."""
    is_short = len(word) <= 2 and not is_single_character_word(word[0])
    return is_short or word in COMMON or word[0].isdecimal()


def may_begin_common(text: str) -> bool:
    """Returns whether a common word may begin with a text."""
    return is_common(text) or any(word.startswith(text) for word in COMMON)


def in_address(
    customer: ModelCustomer, wanted_words: list[str], prefix: bool, among_others: bool = False
) -> bool:
    """Returns whether an address contains the words in sequence. In a street, one of them must not
    be common, unless they are among others."""
    streets, others = [], []
    for name in ("shipping_address", "billing_address"):
        address = customer.node.get(name) or {}
        streets += [address.get("line1", ""), address.get("line2", "")]
        others += [address[k] for k in ("city", "area", "state", "zip", "company") if k in address]
    if contains_words(others, wanted_words, prefix):
        return True
    for street in streets:
        all_words = words(street)
        for start in range(len(all_words) - len(wanted_words) + 1):
            piece = all_words[start : start + len(wanted_words)]
            is_there = contains_words([" ".join(piece)], wanted_words, prefix)
            if is_there and (among_others or not all(map(is_common, piece))):
                return True
    return False


def flatten(value: Any, path: str = "custom") -> list[tuple[str, str]]:
    """Returns the values of custom fields with their paths."""
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in flatten(inner, f"{path}.{fold_spaces(key)}")
        ]
    if isinstance(value, list):
        return [pair for inner in value for pair in flatten(inner, path)]
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [(path, fold_spaces(value))]
    return [
        (
            path,
            {True: "true", False: "false"}.get(value, str(value))
            if isinstance(value, bool)
            else str(value),
        )
    ]


def values(customer: ModelCustomer, key: str) -> list[str]:
    """Returns the texts that a key is compared with."""
    node = customer.node
    if key.startswith("custom."):
        return [text for path, text in flatten(node.get("custom") or {}) if path == fold(key)]
    if key == "tag":
        return [fold_spaces(tag) for tag in node.get("tags", [])]
    if key == "address":
        return ["x"] if node.get("shipping_address") or node.get("billing_address") else []
    if key == "external_id":
        ids = node.get("external_ids", [])
        return [fold_spaces(f"{external['source']}:{external['id']}") for external in ids]
    if key in ("country", "state", "city", "zip", "company"):
        addresses = (node.get("shipping_address"), node.get("billing_address"))
        return [fold_spaces(address[key]) for address in addresses if address and address.get(key)]
    if key == "phone":
        return list(customer.phone_forms)
    if key == "email":
        return [fold_letters(email) for email in emails(customer)]
    if key == "full_name":
        return [fold_letters(f"{node.get('first_name', '')} {node.get('last_name', '')}".strip())]
    return [fold_letters(node.get(key, ""))]


def emails(customer: ModelCustomer) -> list[str]:
    """Returns all emails of a customer."""
    others = [entry["email"] for entry in customer.node.get("emails", [])]
    return [customer.node["email"], *others]


def date_range(date: str) -> tuple[int, int]:
    """Returns the start of a day or month and of the next one, in milliseconds."""
    parts = [int(part) for part in date.split("-")]
    start = datetime(parts[0], parts[1], parts[2] if parts[2:] else 1, tzinfo=UTC)
    if len(parts) == 2:
        end = datetime(parts[0] + parts[1] // 12, parts[1] % 12 + 1, 1, tzinfo=UTC)
        return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000
    start_ms = int(start.timestamp()) * 1000
    return start_ms, start_ms + 86_400_000


def compare(value: Any, sign: str, start: Any, end: Any) -> bool:
    """Compares a value with the interval from start to before end, or with a single value."""
    is_inside = start <= value < end if start != end else value == start
    results: dict[str, bool] = {
        "=": is_inside,
        "<": value < start,
        "<=": value < end or is_inside,
        ">": value > start and not is_inside,
        ">=": value >= start,
    }
    return results[sign]


def has_value(customer: ModelCustomer, key: str) -> bool:
    """Returns whether a key is not empty."""
    node = customer.node
    if key in ("id", "email", "created_at", "updated_at"):
        return True
    if key == "emails_count":
        return True
    if key == "phones_count":
        return bool(node["phones_count"])
    if key in ("expenses", "total_spent"):
        return customer.expenses != 0
    if key == "orders_count":
        return customer.orders_count != 0
    if key == "accepts_marketing":
        return bool(node.get(key))
    if key == "notes":
        return bool(node.get(key))
    if key == "comment":
        return bool(customer.comments)
    if key == "custom":
        return bool(flatten(node.get("custom") or {}))
    if key.startswith("custom."):
        paths = [path for path, _ in flatten(node.get("custom") or {})]
        return any(path == fold(key) or path.startswith(fold(key) + ".") for path in paths)
    return any(values(customer, key)) if key != "phone" else bool(node["phones_count"])


def matches(customer: ModelCustomer, query: Query, has_other: bool = False) -> bool:
    """Returns whether a customer matches a query. `has_other` says whether the query also has a
    word that is not common."""
    match query:
        case ("and", *parts):
            values_ = [words(part[1]) for part in parts if part[0] == "word"]
            has_other = any(len(each) > 1 or not may_begin_common(each[0]) for each in values_)
            return all(matches(customer, part, has_other) for part in parts)
        case ("or", *parts):
            return any(matches(customer, part) for part in parts)
        case ("not", part):
            return not matches(customer, part)
        case ("word", text):
            node = customer.node
            name = f"{node.get('first_name', '')} {node.get('last_name', '')}"
            texts = [name, *emails(customer), *node.get("tags", []), node.get("notes") or ""]
            last_name = node.get("last_name", "")
            if any(map(is_single_character_word, last_name)) and node.get("first_name"):
                texts.append(f"{last_name} {node['first_name']}")
            wanted_words = words(text)
            digits = "".join(c for c in text if c.isdecimal())
            if contains_words(texts, wanted_words, prefix=True):
                return True
            is_among_others = has_other and len(wanted_words) == 1
            if in_address(customer, wanted_words, True, is_among_others):
                return True
            phone_like = all(c.isdecimal() or c in " +-.()" for c in text)
            if (
                phone_like
                and len(digits) >= 4
                and any(n.endswith(digits) for n in customer.numbers)
            ):
                return True
            return phone_like and any(form.startswith(digits) for form in customer.phone_forms)
        case ("key", "address", "=", text, prefix):
            return in_address(customer, words(text), prefix)
        case ("key", "valid", "=", "phone", False):
            return customer.has_valid_phone
        case ("key", "notes", "=", text, prefix):
            return contains_words([customer.node.get("notes") or ""], words(text), prefix)
        case ("key", "comment", "=", text, prefix):
            return contains_words(list(customer.comments), words(text), prefix)
        case ("key", "phone", "=", text, prefix):
            digits = "".join(c for c in text if c.isdecimal())
            return any(
                f.startswith(digits) if prefix else f == digits for f in customer.phone_forms
            )
        case ("key", "has", "=", key, False):
            return has_value(customer, key)
        case ("key", "accepts_marketing", "=", text, False):
            return bool(customer.node["accepts_marketing"] == (text == "true"))
        case ("key", "email", "=", text, False):
            return text.lower().replace("xn--d-uga0v4h", "łódź") in [
                email.lower() for email in emails(customer)
            ]
        case ("key", "emails_count", sign, text, False):
            return compare(len(set(emails(customer))), sign, int(text), int(text))
        case ("key", "phones_count", sign, text, False):
            return compare(customer.node["phones_count"], sign, int(text), int(text))
        case ("key", "id", sign, text, False):
            return compare(customer.number, sign, int(text), int(text))
        case ("key", "orders_count", sign, text, False):
            return compare(customer.orders_count, sign, int(text), int(text))
        case ("key", "expenses" | "total_spent", sign, text, False):
            return compare(customer.expenses, sign, Decimal(text), Decimal(text))
        case ("key", "created_at" | "updated_at" as key, sign, text, False):
            timestamp = customer.created_at if key == "created_at" else customer.updated_at
            return compare(timestamp, sign, *date_range(text))
        case ("key", key, "=", text, prefix):
            wanted = (
                fold_letters(text) if key.endswith("_name") or key == "email" else fold_spaces(text)
            )
            candidates = values(customer, key)
            return any(v.startswith(wanted) if prefix else v == wanted for v in candidates)
    raise AssertionError(query)


def quote(text: str) -> str:
    """Quotes a value and escapes quotes and backslashes in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def format_query(query: Query) -> str:
    """Writes a query in the search language."""
    match query:
        case ("and", *parts):
            return "(" + " ".join(format_query(part) for part in parts) + ")"
        case ("or", *parts):
            return "(" + " OR ".join(format_query(part) for part in parts) + ")"
        case ("not", part):
            return f"-{format_query(part)}"
        case ("word", text):
            return quote(text)
        case ("key", key, sign, text, prefix):
            escaped_key = key.replace(" ", "\\ ").replace(":", "\\:")
            return (
                f"{escaped_key}:{'' if sign == '=' else sign}{quote(text)}{'*' if prefix else ''}"
            )
    raise AssertionError(query)
