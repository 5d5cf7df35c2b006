"""Text as it is stored, and as it is compared."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

# PostgreSQL indexes values of up to 2,704 bytes; a code point takes up to 4. Compatibility
# decomposition can make a text longer than what was checked on the way in.
FOLDED_LENGTH = 640

# Normalising a run of combining marks takes time quadratic in its length. UAX #15 (section 13,
# Stream-Safe Text Format) allows 30 of them; no language needs more.
MAX_MARKS = 30
_TOO_MANY_MARKS = regex.compile(rf"\P{{ccc=0}}{{{MAX_MARKS + 1}}}")
_MARKS = regex.compile(r"\P{ccc=0}+")
_MOST_DECOMPOSED = 4
_LONG_RUN = regex.compile(rf"(\P{{ccc=0}}{{{MAX_MARKS}}})\P{{ccc=0}}+")
# NFC makes at most four code points one (U+1F82 is alpha and three marks). A longer text is too
# long in any form, which is known before it is normalised.
_MOST_COMPOSED = 4

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_OUTSIDE_NOTES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BREAK = re.compile(r"\r\n|[\t\n\v\f\r\x85]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# The kinds of changes that `sanitize` makes.
CONTROL_CHARACTERS = "control_characters"
COMBINING_MARKS = "combining_marks"


def clean(value: str, max_length: int, lines: bool = False) -> tuple[str, str | None]:
    """Return the text as it is stored (trimmed, in NFC), and what is wrong with it, if anything.

    `max_length` is in code points. Control characters are refused; `lines` allows
    tabs and line breaks. A text that is refused is returned empty: nothing that is computed from
    it later can be expensive.
    """
    text = value.strip()
    if len(text) <= max_length and text.isascii() and text.isprintable():
        return text, None
    if len(text) > max_length * _MOST_COMPOSED:
        return "", _too_long(len(text), max_length)
    if _TOO_MANY_MARKS.search(text):
        message = f"has more than {MAX_MARKS} combining marks in a row. Remove some of them."
        return "", message
    if _SURROGATE.search(text):
        return "", "has an unpaired surrogate, which is not a character. Remove it."
    text = unicodedata.normalize("NFC", text)
    control = (_CONTROL_OUTSIDE_NOTES if lines else _CONTROL).search(text)
    if control:
        code = f"U+{ord(control[0]):04X}"
        allowed = "Only tabs and line breaks are allowed" if lines else "Remove it"
        return "", f"has a control character ({code}). {allowed}."
    if len(text) > max_length:
        return "", _too_long(len(text), max_length)
    return text, None


def _too_long(length: int, max_length: int) -> str:
    return f"has {length:,} characters; the maximum is {max_length:,}."


def sanitize(value: str, lines: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the text without what `clean` refuses as a control character or as too many combining
    marks, and the kinds of changes. A text that `clean` does not refuse for these is unchanged.

    A tab or a line break becomes a space, unless `lines` allows them. Other control characters are
    removed. Of a run of combining marks the first 30 are kept. The time is linear.
    """
    if value.isprintable() and value.isascii():
        return value, ()
    text, changes = value.strip(), []
    if (_CONTROL_OUTSIDE_NOTES if lines else _CONTROL).search(text):
        text = _CONTROL_OUTSIDE_NOTES.sub("", text if lines else _BREAK.sub(" ", text))
        changes.append(CONTROL_CHARACTERS)
    # Later than the removal, which can join two runs.
    if _TOO_MANY_MARKS.search(text):
        text = _LONG_RUN.sub(r"\1", text)
        changes.append(COMBINING_MARKS)
    return (text, tuple(changes)) if changes else (value, ())


def folded(value: str) -> str:
    """Return the form by which text is compared: compatibility decomposition (NFKD), no combining
    marks, Unicode case folding. `Ána`, `ana` and `ANA` are the same.

    Of a run of more than 30 marks only the first 30 are looked at, so that the time is linear. A
    decomposition that is more than four times as long as the text and 640 code points is cut
    there: U+FDFA is 18.
    """
    if value.isascii():
        return value.lower()
    decomposed = unicodedata.normalize("NFKD", _without_long_runs(value))
    max_length = _MOST_DECOMPOSED * len(value) + FOLDED_LENGTH
    return _MARKS.sub(_without_marks, decomposed[:max_length]).casefold()


def _without_marks(run: regex.Match[str]) -> str:
    return _not_marks(run[0])


@lru_cache(maxsize=4_096)
def _not_marks(run: str) -> str:
    # The expression may know newer characters than Python, whose tables decide.
    return "".join([c for c in run if not unicodedata.combining(c)])


def _without_long_runs(value: str) -> str:
    return _LONG_RUN.sub(r"\1", value) if _TOO_MANY_MARKS.search(value) else value


# Letters that no decomposition takes apart, by the letters that people write for them where a
# keyboard lacks them; and the dotless i, which `casefold` leaves.
_LETTERS = str.maketrans(
    {
        **dict(zip("łøđðħŧıɨƚɫƀƃɓɖƌɗɠǥɦɟɉƙĸŀɱŋɲɵƥɋɍƭʈʉʋƴɏƶȥⱥⱦɇƈȼ",
                   "loddhtiillbbbdddgghjjkklmnnopqrttuvyyzzatecc", strict=True)),
        "æ": "ae", "œ": "oe", "þ": "th", "ß": "ss", "ŉ": "n", "ʼ": "'",
    }
)  # fmt: skip
# Zero-width characters, bidi marks, the soft hyphen, variation selectors and the like.
_INVISIBLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--[\u3164\uFFA0]]", regex.V1)
# The characters that are written as an apostrophe or a hyphen; those of the confusables of Unicode
# (UTS #39) that are no letters of a script.
_APOSTROPHE = (
    "'\u0060\u00b4\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u02be\u02c8"
)
_APOSTROPHE += (
    "\u02ca\u02cb\u02f4\u0374\u0384\u055a\u055d\u05f3\u07f4\u07f5\u1fbf\u1ffe\ua78c\uff07\uff40"
)
_HYPHEN = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7\u06d4\u2796\ufe58\ufe63\uff0d"
_SIGNS = str.maketrans({**dict.fromkeys(_APOSTROPHE, "'"), **dict.fromkeys(_HYPHEN, "-")})
# What `folded` may return of other characters: signs of twice the size, and Hangul fillers.
_FOLDED = {**_LETTERS, **_SIGNS, 0x1160: None}


# Characters whose compatibility decomposition has more than four, and at most 18. `folded` may cut
# the decomposition of a text with them, if the text is longer than this.
_LONG_FORMS = re.compile(
    "[\u321d\u321e\u327c\u3300\u3302\u3304\u3307\u3313\u3315-\u3317\u3319\u331a\u3320\u3321\u332b\u332d"
    "\u332e\u3332\u3334\u3336\u333b\u333d\u3340\u3347\u334a\u334c\u3354\u3356\u33ae\u33af\ufdfa\ufdfb]"
)
_NEVER_CUT = FOLDED_LENGTH // (18 - _MOST_DECOMPOSED)
# Words up to this length are remembered.
_CACHED_LENGTH = 64


def without_invisible(value: str) -> str:
    """Return the text without characters that have no width: zero-width spaces and joiners, marks
    of direction, byte order marks, soft hyphens (Unicode's Default_Ignorable_Code_Point)."""
    return value if value.isascii() else _INVISIBLE.sub("", value)


def folded_letters(value: str) -> str:
    """Return the form by which the search compares text: that of `folded`, without invisible
    characters, with one apostrophe and one hyphen, and with plain letters instead of ligatures and
    letters with a stroke (`ł` is `l`, `ø` is `o`, `đ` is `d`, `æ` is `ae`, `ı` is `i`).

    Lists are ordered by `folded`. Folding a folded text does not change it.
    """
    if value.isascii():
        return value.lower().replace("`", "'") if "`" in value else value.lower()
    if len(value) > _NEVER_CUT and _LONG_FORMS.search(value):
        return _folded_at_once(value)
    # Word by word, because names and places are repeated. A line break is a word here.
    words = [
        word.lower().replace("`", "'")
        if word.isascii()
        else _folded_word(word)
        if len(word) <= _CACHED_LENGTH
        else _folded_at_once(word)
        for word in value.replace("\n", " \n ").split(" ")
    ]
    return " ".join(words).replace(" \n ", "\n")


def _folded_at_once(value: str) -> str:
    signs = _INVISIBLE.sub("", value).translate(_SIGNS)
    return folded(signs).translate(_FOLDED)


@lru_cache(maxsize=8_192)
def _folded_word(word: str) -> str:
    return _folded_at_once(word)


def fold(value: str) -> str:
    """Return the folded form of a text by which lists are ordered and whole values are compared,
    cut to the length that an index can hold."""
    return (value.lower() if value.isascii() else folded(value))[:FOLDED_LENGTH]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that is most similar to a mistyped word, or None."""
    matches = difflib.get_close_matches(word[:100].lower(), list(candidates), n=1)
    return matches[0] if matches else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return a space and a hint at the candidate that is most similar to a mistyped word, or an
    empty text."""
    near = nearest(word, candidates)
    return f" Did you mean `{near}`?" if near else ""


def full_name(first_name: str, last_name: str) -> str:
    """Return first and last name with one space between them, and no spaces at the ends."""
    return f"{first_name} {last_name}".strip()


# What begins a formula of a spreadsheet (OWASP, "CSV Injection").
_RISKY = re.compile(r"['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]")


def neutral(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{text}" if _RISKY.match(text) else text
