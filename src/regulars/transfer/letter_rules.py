"""Judge a decoded text by rules for scripts, case and symbols.

A text in a wrong encoding has capitals after small letters, several scripts in a word, or signs and
controls within words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Costs are negative natural logarithms of rough probabilities.
_BAD_BYTE, _CONTROL, _RARE_SYMBOL, _SYMBOL = 14.0, 20.0, 11.0, 6.0
_MIXED_SCRIPTS, _CASE, _INSIDE, _TOUCH = 9.0, 7.0, 6.0, 3.0


class _Classes(dict[int, str]):
    """A class for each character: a, A: ASCII letter. Others: a letter for the script, in capitals
    for capital letters; `~` bad byte, `!` control, `#` rare symbol, `+` symbol, `€` currency,
    `'` apostrophe."""

    def __missing__(self, code: int) -> str:
        kind = self[code] = _class_of(chr(code))
        return kind


_SCRIPTS = {
    "LATIN": "l", "CYRILLIC": "c", "GREEK": "g", "HEBREW": "h", "ARABIC": "r", "THAI": "t",
    "CJK": "k", "HIRAGANA": "k", "KATAKANA": "k", "KATAKANA-HIRAGANA": "k", "HANGUL": "k",
    "HALFWIDTH": "k", "IDEOGRAPHIC": "k", "FULLWIDTH": "k",
}  # fmt: skip
_COMMON_SYMBOLS = frozenset(
    "‘“”„«»–—…€£°ªº¿¡№§·´\u00a0、。・（）「」〒－　，．：；＆\u200e\u200f،؛־׳״¨`"
)


def _class_of(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        if character.isalpha():
            return "A" if character.isupper() else "a"
        return character if character.isprintable() or character in "\n\t" else "!"
    if 0xDC80 <= code <= 0xDCFF:
        return "~"
    if character in "£€":
        return "€"
    if character in "’ʼ":
        return "'"
    if character in _COMMON_SYMBOLS:
        return "+"
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cn", "Co", "Cs"):
        return "!"
    if category[0] == "L" or category in ("Mn", "Mc", "Nd"):
        script = _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0])
        if category == "Mn" and script is None:
            script = "l" if code < 0x370 else None
        if category in ("Lm", "Lo") and code < 0x300:
            return "#"
        if script is None or "MATHEMATICAL" in unicodedata.name(character):
            return "#"
        return script.upper() if category == "Lu" and script in "lcg" else script
    return "#"


_CLASSES = _Classes()
_LETTER = "aAlLcCgGhrtk"
# A symbol next to a letter, which a quote or sign in its own place is not.
_TOUCHING = re.compile(rf"(?<=[{_LETTER}])[#+]|[#+](?=[{_LETTER}])")
# Signs of Latin-1 that are œ, Œ and Ÿ in Latin-9: `Chl½`.
_FRACTION = re.compile(r"(?<=[^\W\d_])[¼½¾]|[¼½¾](?=[^\W\d_])")
_PRICE = re.compile(rf"€(?=[{_LETTER}])|(?<=[{_LETTER}])€")
_AMOUNT = re.compile("[0-9] ?€|€ ?[0-9]")
_OPENING = re.compile(rf"(?<![{_LETTER}])'(?=[{_LETTER}])")
_INNER = re.compile(rf"(?<=[{_LETTER}])[#+!](?=[{_LETTER}])")
# Neighbours of different scripts, and capitals after small letters, of which one is not ASCII.
_SCRIPT_CHANGE = re.compile(
    "(?<=[aAlL])[cCgGhrtk]|(?<=[cC])[aAlLgGhrtk]|(?<=[gG])[aAlLcChrtk]|(?<=h)[aAlLcCgGrtk]"
    "|(?<=r)[aAlLcCgGhtk]|(?<=t)[aAlLcCgGhrk]|(?<=k)[alLcCgGhrt]"
)
_CASE_CHANGE = re.compile(
    "(?<=l)[AL]|(?<=a)L|(?<=c)C|(?<=g)G|(?<=[AL][AL])l|(?<=LA)a|(?<=AL)a|(?<=CC)c|(?<=GG)g"
)
_BROKEN = re.compile("|".join(p.pattern for p in (_INNER, _SCRIPT_CHANGE, _CASE_CHANGE)) + "|[~!#]")
_SMALL_START = re.compile(r"(?<![aAlLcCgG'~#])[lcg]")
_WORDS = re.compile(rf"[{_LETTER}]+")


def rule_cost(text: str) -> float:
    """Return the cost of the bad bytes, symbols, mixed scripts and case of a text."""
    classes = text.translate(_CLASSES)
    return (
        classes.count("~") * _BAD_BYTE
        + classes.count("!") * _CONTROL
        + classes.count("#") * _RARE_SYMBOL
        + (classes.count("+") + classes.count("'")) * _SYMBOL
        + len(_FRACTION.findall(text)) * _RARE_SYMBOL
        + len(_INNER.findall(classes)) * _INSIDE
        + len(_OPENING.findall(classes)) * _INSIDE
        + (classes.count("€") - len(_AMOUNT.findall(classes))) * _SYMBOL
        + len(_PRICE.findall(classes)) * 2 * _TOUCH
        + len(_TOUCHING.findall(classes)) * _TOUCH
        + len(_SCRIPT_CHANGE.findall(classes)) * _MIXED_SCRIPTS
        + len(_CASE_CHANGE.findall(classes)) * _CASE
        + len(_SMALL_START.findall(classes)) * 1.5
    )


def breaks_rules(text: str) -> bool:
    """Whether a text has bad bytes, controls, rare symbols, or words of mixed scripts or case."""
    return _BROKEN.search(text.translate(_CLASSES)) is not None


def has_controls(text: str) -> bool:
    """Whether a text has bad bytes or control characters, which no encoding of the text has."""
    return not {"~", "!"}.isdisjoint(text.translate(_CLASSES))


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text: letters with their marks."""
    for match in _WORDS.finditer(text.translate(_CLASSES)):
        yield text[match.start() : match.end()]
