"""How a search matches texts: words and phrases, phone numbers, and whole values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from regulars.customers.search import address_words, phones
from regulars.customers.search.index_terms import BEGINNINGS, WORD
from regulars.customers.search.lexer import Value, syntax_error
from regulars.customers.search.phone_facets import ENDING
from regulars.customers.search.search_document import NOTES, PHONE_KEYS, TAG_KEYS
from regulars.customers.search.words import alone, as_folded, words
from regulars.store.conditions import (
    COMMENT_TERM,
    COMMENT_WORDS,
    COMMENTED,
    ORDER_NAME,
    TERM,
    Condition,
    Contains,
    Or,
    Predicate,
    Union,
    Within,
    beginning,
    equal,
)

_TEXTS = ("words", "notes_words")
_ADDRESSES = (address_words.COLUMN,)
# Of a phrase's words so many, the longest, are looked up in the index.
_LOOKED_UP = 3
# Numbers side by side with as many digits may be one phone number.
_SHORTEST_IN_PARTS = 4
# With fewer digits, too many numbers end with them.
_SHORTEST_ENDING = 4
_PHONE = re.compile(r"[+＋]?[\d\s().\-/]*")
# What is written before the number of an order.
_ORDER_SIGNS = "#№"
# A value without a key that may be the number of an order.
_ORDER = re.compile(rf"[{_ORDER_SIGNS}]?[\w./-]*\d[\w./-]*")


class FreeValue(NamedTuple):
    """The condition of a value without a key. `among_others` is the one together with other words:
    then it may also be a common word of a street. None if it is no such word."""

    condition: Condition
    among_others: Condition | None = None


def free(value: Value, in_addresses: bool = True) -> FreeValue:
    """Return the condition of a value without a key. Its words must follow each other in a name,
    the email, a tag or the notes, and the last word is a prefix. Or a phone number begins or ends
    with its digits, or it is the number of an order. With `in_addresses`, the words may follow each
    other in an address."""
    word_list = _words_of(value)
    pieces = [_beginnings(piece, goes_on) for piece, goes_on in _pieces(word_list, True)]
    parts: list[Condition] = [_phrase(f" {' '.join(word_list)}", _TEXTS, word_list, pieces)]
    number = phone_digits(value.text)
    if number:
        parts += _numbers(number)
    if _ORDER.fullmatch(value.text):
        parts.append(order_number(value.text))
    if not in_addresses:
        return FreeValue(_any_of(parts))
    parts += in_address_words(word_list, prefix=True)
    if len(word_list) > 1 or not address_words.may_begin_common(word_list[0]):
        return FreeValue(_any_of(parts))
    text = f" {address_words.marked([word_list[0]])}"
    if not address_words.is_common(word_list[0]):
        text = f" {address_words.MARK}{word_list[0]}"
    common = Predicate(Contains((address_words.COLUMN,), text), (), is_exact=False)
    return FreeValue(_any_of(parts), Or((*parts, common)))


def _any_of(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def in_address_words(word_list: Sequence[str], prefix: bool) -> list[Predicate]:
    """Return conditions one of which is met if words follow each other in an address. Common words
    of streets find nothing without another word. With `prefix`, the last word is a prefix."""
    end = "" if prefix else " "
    plain = " ".join(word_list)
    pieces = [_in_parts(*piece) for piece in _pieces(word_list, prefix)]
    conditions = [_phrase(f" {plain}{end}", _ADDRESSES, word_list, pieces)]
    if len(word_list) == 1:
        return conditions  # a common word alone finds nothing
    # In streets, common words have a mark. The last one may be the beginning of another word.
    *before, last = word_list
    indexed = [word for word in before if not address_words.is_common(word)]
    last_words = {last: [*indexed, last]} if prefix or not address_words.is_common(last) else {}
    if address_words.may_begin_common(last) if prefix else address_words.is_common(last):
        last_words[address_words.MARK + last] = indexed
    for text, known in last_words.items():
        phrase = f"{address_words.marked(before)} {text}"
        is_prefix = prefix and known[-1:] == [last]
        pieces = [_in_parts(*piece) for piece in _pieces(known, is_prefix)] if known else []
        if phrase != plain and pieces:
            conditions.append(_phrase(f" {phrase}{end}", _ADDRESSES, word_list, pieces))
    return conditions


def _in_parts(piece: str, goes_on: bool) -> Union:
    """Return the index ranges of customers with a word in an address: the terms, and the facets
    that may begin with it (`address_words.terms_of`)."""
    term = address_words.TERM_PREFIX + piece
    by_term = beginning(TERM, term) if goes_on else equal(TERM, term)
    if not as_folded(piece):
        return (by_term,)
    parts = address_words.FACET_PARTS
    return (by_term, *(beginning(TERM, f"{part}:{piece}") for part in parts))


def order_number(text: str, prefix: bool = False) -> Condition:
    """Return the condition that an order has a name, or one that begins with it, with or without
    `#`, as written or in upper or lower case."""
    plain = text.strip().lstrip(f"{_ORDER_SIGNS} ")
    names = dict.fromkeys(
        sign + name for name in (plain, plain.upper(), plain.lower()) for sign in ("", "#")
    )
    matches = beginning if prefix else equal
    return Or(tuple(Predicate.of_column(matches(ORDER_NAME, name)) for name in names))


def phone_digits(text: str) -> str:
    """Return the digits of a text in the form of a phone number; empty for any other text."""
    is_number = _PHONE.fullmatch(phones.without_extension(text))
    return next(iter(phones.forms(text)), "") if is_number else ""


def number_in_parts(texts: Sequence[str]) -> Condition | None:
    """Return the condition of adjacent numbers as the parts of one phone number, such as `06 12 34
    56 78`; None if they cannot be one."""
    known_by = phone_digits(" ".join(texts))
    if len(known_by) < _SHORTEST_IN_PARTS:
        return None
    numbers = _numbers(known_by)
    return numbers[0] if len(numbers) == 1 else Or(numbers)


def _numbers(known_by: str) -> tuple[Predicate, ...]:
    """Return the conditions that a phone number begins or ends with digits."""
    begins = (each for key in PHONE_KEYS for each in phone_lines(key, known_by, prefix=True))
    return (*begins, *_endings(known_by))


def phone_lines(key: str, known_by: str, prefix: bool) -> tuple[Predicate, Predicate]:
    """Return the conditions that a form of a phone has these digits, or begins with them. A form
    with a 0 at its beginning matches without it, too."""
    return line(f"{key}:{known_by}", prefix), line(f"{key}:0{known_by}", prefix)


def _endings(known_by: str) -> tuple[Predicate, ...]:
    """Return the conditions that a phone number ends with digits."""
    if len(known_by) < _SHORTEST_ENDING:
        return ()
    return tuple(line(f"{ENDING}{sign}{known_by[::-1]}", prefix=True) for sign in "+-")


def _words_of(value: Value) -> list[str]:
    word_list = words(value.text)
    if not word_list:
        message = (
            f"{value.shown} has no letters and no digits, so it cannot be found. Search for a "
            "word or a number."
        )
        raise syntax_error(message, value.position, "a word")
    return word_list


def _pieces(word_list: Sequence[str], prefix: bool) -> Iterator[tuple[str, bool]]:
    """Return the index terms of words that follow each other, as `words.terms` has them, and
    whether the last is a prefix."""
    for index, word in enumerate(word_list):
        follower = word_list[index + 1] if index + 1 < len(word_list) else ""
        if not alone(word):
            yield word, prefix and not follower
        elif alone(follower):
            yield word + follower, False
        elif index == 0 or not alone(word_list[index - 1]):
            yield word, True


def _beginnings(piece: str, goes_on: bool) -> Union:
    """Return the index ranges of customers with a word: the terms, and the indexes of texts that
    may begin with it (`index_terms.terms_of`)."""
    term = WORD + piece
    by_terms = [beginning(TERM, term) if goes_on else equal(TERM, term)]
    if not as_folded(piece):
        return tuple(by_terms)
    by_terms += [beginning(TERM, f"{key}:{piece}") for key in TAG_KEYS]
    return (*by_terms, *(beginning(column, piece) for column in BEGINNINGS))


def _phrase(
    text: str, columns: tuple[str, ...], word_list: Sequence[str], pieces: Sequence[Union]
) -> Predicate:
    longest = sorted(pieces, key=lambda union: -len(union[0].low))[:_LOOKED_UP]
    exact = len(word_list) == 1 or (len(word_list) == 2 and all(map(alone, word_list)))
    return Predicate(Contains(columns, text), tuple(longest), exact)


def in_address(value: Value) -> Condition:
    """Return the condition that the words of a value follow each other in an address. If the value
    is a prefix, so is the last word."""
    word_list = _words_of(value)
    return _any_of(in_address_words(word_list, value.prefix))


def has_address() -> Condition:
    """Return the condition that a customer has an address."""
    keys = (*address_words.FACET_PARTS, "country")
    ranges = [beginning(TERM, f"{key}:") for key in keys]
    by_terms = (beginning(TERM, address_words.TERM_PREFIX), *ranges)
    return Predicate(Contains(_ADDRESSES, " "), (by_terms,))


def has_valid_phone() -> Condition:
    """Return the condition that a customer has a valid phone."""
    return line(f"{ENDING}+", prefix=True)


def in_notes(value: Value) -> Condition:
    """Return the condition that the words of a value follow each other in the notes. If the value
    is a prefix, so is the last word."""
    word_list = _words_of(value)
    pieces = [
        ((beginning if goes_on else equal)(TERM, NOTES + piece),)
        for piece, goes_on in _pieces(word_list, value.prefix)
    ]
    end = "" if value.prefix else " "
    return _phrase(f" {' '.join(word_list)}{end}", ("notes_words",), word_list, pieces)


def in_comments(value: Value) -> Condition:
    """Return the condition that the words of a value follow each other in a comment. If the value
    is a prefix, so is the last word."""
    word_list = _words_of(value)
    pieces = [
        ((beginning if goes_on else equal)(COMMENT_TERM, piece),)
        for piece, goes_on in _pieces(word_list, value.prefix)
    ]
    end = "" if value.prefix else " "
    return _phrase(f" {' '.join(word_list)}{end}", (COMMENT_WORDS,), word_list, pieces)


def has_comments() -> Condition:
    """Return the condition that a customer has comments."""
    return Predicate(Contains((COMMENT_WORDS,), ""), ((Within(COMMENTED),),))


def line(text: str, prefix: bool = False) -> Predicate:
    """Return the condition of a line of the facets, or of all lines with a prefix."""
    within = beginning(TERM, text) if prefix else equal(TERM, text)
    return Predicate(Contains(("facets",), f"\n{text}" if prefix else f"\n{text}\n"), ((within,),))
