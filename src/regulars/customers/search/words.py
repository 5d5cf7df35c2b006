"""Words: what a text is searched by.

A word is a run of letters, marks and digits, folded (`text.folded_letters`) and in NFC. Scripts
that are written without spaces between words (Han, Hiragana, Katakana; Hangul, whose words are
joined as often) are taken character by character, and an emoji is a word of its own: so any run of
them is found as words that follow one another.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import regex

from regulars.core.text import folded_letters

# What is longer is cut, in what is kept as in what is looked for: a key of an index is limited.
WORD_LENGTH = 64

# The maximum length of a facet in code points, when stored and when searched: PostgreSQL indexes up
# to 2,704 bytes, and a code point takes up to 4.
FACET_LENGTH = 512

_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー"
_WORD = regex.compile(
    rf"(?V1)[{_ALONE}]|[[\p{{L}}\p{{N}}]--[{_ALONE}]][[\p{{L}}\p{{M}}\p{{N}}]--[{_ALONE}]]*|\p{{So}}"
)
_HANGUL = regex.compile(r"\p{Hangul}")
_CHARACTER = regex.compile(rf"[{_ALONE}]")
# ASCII in lower case, with spaces for what is no part of a word.
_APART = bytes(
    [ord(chr(n).lower()) if chr(n).isalnum() or chr(n) == "\n" else 32 for n in range(256)]
)
_LONG_WORD = re.compile(rf"[^ \n]{{{WORD_LENGTH + 1},}}")


def words(text: str) -> list[str]:
    """Return the words of a text, in their order."""
    return lines([text]).split()


def lines(texts: Sequence[str]) -> str:
    """Return the words of texts as they are stored: a line for each text, with single spaces
    between the words, and one space at both ends."""
    # All of them at once: a customer has half a dozen, each of a few words.
    block, blank = "\n".join(texts), " "
    if not block.isascii():
        block, blank = unicodedata.normalize("NFC", folded_letters(block)), "  "
    if block.isascii():  # also of Latin letters with accents
        # Bytes take a third of the time of characters.
        spaced = block.encode().translate(_APART).decode()
        joined = " " + spaced.replace("\n", " \n ") + " "
        if "  " in joined:
            each_apart = [" ".join(text.split()) for text in spaced.split("\n")]
            joined = "\n".join([f" {text} " if text else blank for text in each_apart])
        if len(block) <= WORD_LENGTH or max(map(len, block.split("\n"))) <= WORD_LENGTH:
            return joined
    else:
        joined = "\n".join([f" {' '.join(_WORD.findall(each))} " for each in block.split("\n")])
    return _LONG_WORD.sub(lambda word: word[0][:WORD_LENGTH], joined)


def terms(stored_lines: str) -> set[str]:
    """What lines of words are indexed by: each word; for characters that stand alone each with
    the one that follows it, and a last one by itself."""
    if stored_lines.isascii():
        return set(stored_lines.split())
    return {term for text in stored_lines.split("\n") for term in _pairs(text.split())}


def has_term(stored_lines: str, term: str) -> bool:
    """Return whether a term is one of the index terms of lines of words."""
    if " " in term:
        return False
    if len(term) == 1 and alone(term):  # one that none of its kind follows
        return regex.search(rf"(?V1) {regex.escape(term)} (?![{_ALONE}])", stored_lines) is not None
    if len(term) == 2 and alone(term[0]) and alone(term[1]):
        return f" {term[0]} {term[1]} " in stored_lines
    return f" {term} " in stored_lines


def _pairs(words_of_text: Sequence[str]) -> Iterable[str]:
    for word, follower in itertools.pairwise([*words_of_text, ""]):
        yield word + follower if alone(word) and alone(follower) else word


def as_folded(word: str) -> bool:
    """Whether a folded text that begins with a word begins with its very characters. Not so with
    Hangul, whose syllables are taken apart there."""
    return word.isascii() or _HANGUL.search(word) is None


def begins_one(sorted_texts: Sequence[str], term: str) -> bool:
    """Return whether one of the sorted texts begins with a term."""
    index = bisect_left(sorted_texts, term)
    return index < len(sorted_texts) and sorted_texts[index].startswith(term)


def facet_values(facets: str, keys: Collection[str]) -> Iterator[str]:
    """Yield the values of the facets of keys, which are lines `key:value`."""
    for facet in facets.split("\n"):
        key, colon, value = facet.partition(":")
        if colon and key in keys:
            yield value


def has_lone_characters(text: str) -> bool:
    """Return whether a text has a character of a script without spaces."""
    return not text.isascii() and _CHARACTER.search(text) is not None


def alone(word: str) -> bool:
    """Return whether a word is one character of a script without spaces."""
    return len(word) == 1 and _is_of_such_a_script(word)


@lru_cache(maxsize=65_536)
def _is_of_such_a_script(character: str) -> bool:
    return _CHARACTER.match(character) is not None
