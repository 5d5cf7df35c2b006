"""Words that differ from a word of a search by one typo: a letter that is missing, added, replaced,
or exchanged with the next one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from regulars.core.errors import Rejected
from regulars.customers.search.lexer import Text, Value
from regulars.customers.search.words import alone, words

# Shorter words have too many similar ones; longer ones are no names.
MIN_LETTERS, MAX_LETTERS = 4, 24
# Words of a query that are looked up, and those of them that may be misspelled.
MAX_WORDS, MAX_UNKNOWN = 8, 2
# Similar words of a word. A word of 24 Latin letters has 1,297.
MAX_SIMILAR = 1_500
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(r"\w+")


class QueryWord(NamedTuple):
    """A word of a query without a key, folded, and where it begins and ends in the query."""

    word: str
    start: int
    end: int


def words_of_query(query: str) -> list[QueryWord]:
    """Return the words of values without a key in a query that is valid: at most `MAX_WORDS` which
    may be misspelled. None with operators or parentheses: a similar word would mean something
    else."""
    text, result = Text(query), list[QueryWord]()
    while True:
        text.skip_spaces()
        if text.at_end():
            return result[:MAX_WORDS]
        start = text.position
        if any(map(text.next_is, "-()")) or any(map(text.take_keyword, ("AND", "OR", "NOT"))):
            return []
        try:
            term = text.term()
        except Rejected:
            return []
        if isinstance(term, Value):
            result += _words_between(query, start, text.position)


def _words_between(query: str, start: int, end: int) -> Iterator[QueryWord]:
    for match in _WORD.finditer(query, start, end):
        match words(match[0]):
            case [word] if _can_be_misspelled(word):
                yield QueryWord(word, *match.span())


def _can_be_misspelled(word: str) -> bool:
    is_long = MIN_LETTERS <= len(word) <= MAX_LETTERS
    return is_long and not alone(word[0]) and not any(map(str.isdecimal, word))


def similar_words(word: str) -> list[str]:
    """Return the words that differ from a folded word by one typo, the most likely ones first."""
    letters = _alphabet(word)
    splits = [(word[:index], word[index:]) for index in range(len(word) + 1)]
    swapped = [a + b[1] + b[0] + b[2:] for a, b in splits if len(b) > 1]
    shorter = [a + b[1:] for a, b in splits if b]
    replaced = [a + c + b[1:] for a, b in splits if b for c in letters]
    longer = [a + c + b for a, b in splits for c in letters]
    similar = dict.fromkeys([*swapped, *shorter, *replaced, *longer])
    similar.pop(word, None)
    return list(similar)[:MAX_SIMILAR]


def _alphabet(word: str) -> Sequence[str]:
    """Return the letters of the scripts of a word that are folded."""
    if word.isascii():
        return _LATIN
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    letters = [letter for script in sorted(scripts) for letter in _letters_of(script)]
    return list(dict.fromkeys([*letters, *word]))


@lru_cache(maxsize=50)
def _letters_of(script: str) -> str:
    """Return the folded letters of a script of one alphabet, as names of Unicode begin with it."""
    if script == "LATIN":
        return _LATIN
    first, last = _ALPHABETS.get(script, (0, -1))
    return "".join(map(chr, range(first, last + 1)))


# The small letters of the alphabets that have one range of code points.
_ALPHABETS = {
    "GREEK": (0x3B1, 0x3C9),
    "CYRILLIC": (0x430, 0x45F),
    "HEBREW": (0x5D0, 0x5EA),
    "ARABIC": (0x621, 0x64A),
    "ARMENIAN": (0x561, 0x586),
    "GEORGIAN": (0x10D0, 0x10F0),
    "THAI": (0xE01, 0xE2E),
    "DEVANAGARI": (0x905, 0x939),
}


def replaced(query: str, query_word: QueryWord, similar: str) -> tuple[str, str]:
    """Return a similar word with a capital where the word of the query has one, and the query with
    it."""
    before = query[query_word.start : query_word.end]
    text = similar.capitalize() if before[0].isupper() else similar
    return text, query[: query_word.start] + text + query[query_word.end :]
