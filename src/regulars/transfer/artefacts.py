"""Remove what spreadsheets leave in values: formulas, apostrophes, decimals, invisible marks.

No function raises an error for any text.
"""

from __future__ import annotations

import re

# Characters without a form: zero width, bidi marks and isolates, BOM, soft hyphen, word joiner,
# fillers (Unicode, Default_Ignorable_Code_Point). Variation selectors and tags belong to emoji.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2065\u2066\u2067\u2068\u2069"
    "\u206a\u206b\u206c\u206d\u206e\u206f\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
WHITESPACE = "".join([chr(code) for code in range(0x3001) if chr(code).isspace()])
ENDS = _INVISIBLE + WHITESPACE
WITHOUT_INVISIBLE = dict.fromkeys(map(ord, _INVISIBLE))
# Full-width forms (U+FF01 to U+FF5E) of ASCII.
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0xFE6B: "@"}

QUOTES = "\"'‘’“”«»`´"

# A text that begins with another character is no formula and has no apostrophe before it.
_UNUSUAL_STARTS = "='" + "".join([c for c in WHITESPACE if c.isascii()])
_FORMULA_TEXT = re.compile(r'=\s*(?:"((?:[^"]|"")*+)"|""(.*)"")', re.DOTALL)
# As in `cells`: an export writes an apostrophe before formulas, and shops write one before numbers.
_APOSTROPHE = re.compile(r"'(?:['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]|[0-9][0-9 +()./-]*\Z)")

# The kinds of warnings of `unwrap_number`.
DIGITS_LOST = "digits_lost"
SPREADSHEET_ERROR = "spreadsheet_error"


def strip_invisible(text: str) -> str:
    """Return the text without white space and invisible characters at its ends."""
    return text.strip(ENDS)


def unwrap(text: str) -> str:
    """Return the text of a cell as it was before a spreadsheet.

    Removed are invisible characters and white space at the ends, the formula of `="0612345678"`,
    and one apostrophe before a formula, a number or another apostrophe. What is behind an
    apostrophe is not unwrapped again, so that the cells of an export are read exactly. The text
    may be empty. Texts in ASCII without these are returned as they are, also with spaces after.
    """
    if text.isascii():
        if text[:1] not in _UNUSUAL_STARTS:
            return text
        if _APOSTROPHE.match(text):
            return text[1:]
        stripped = text.strip()
    else:
        stripped = text.strip(ENDS)
    start = stripped[:1]
    if start == "'":
        return stripped[1:] if _APOSTROPHE.match(stripped) else stripped
    if start == "=" and (formula := _FORMULA_TEXT.fullmatch(stripped)):
        escaped, doubled = formula.groups()
        inner = doubled if escaped is None else escaped.replace('""', '"')
        return inner.strip(ENDS)
    return stripped


_MAX_NUMBER_CHARACTERS = 256
_PLAIN_NUMBER = re.compile(r"\+?[0-9][0-9 ()/-]*")
_DECIMAL = re.compile(r"([+-]?[0-9]{2,})[.,]00?")
_EXPONENT = re.compile(r"[+-]?([0-9])(?:[.,]([0-9]*))?[Ee](\+?)([0-9]{1,3})")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){3,4}")
_ERROR = re.compile(r"#(?:NAME\?|VALUE!|REF!|N/A|DIV/0!|NUM!|NULL!|SPILL!|CALC!|#+)")
# Of URLs (RFC 3966), and of leads of Facebook: p: before phones, and z: before postal codes.
_NUMBER_SCHEME = re.compile(
    r"(?:tel|phone|callto|sms|fax|mobile|whatsapp|p|z)\s*+:\s*+", re.IGNORECASE
)
# With fewer digits, a number may have lost zeros at its beginning.
_MIN_EXACT_DIGITS = 8


def unwrap_number(cell: str) -> tuple[str, str | None]:
    """Return a phone, postal code or other text of digits as it was before a spreadsheet, and the
    kind of a warning.

    `447911123456.0` loses its decimals, `tel:+33 1` its scheme, any cell its invisible characters
    and apostrophes. `2.12E+11` is unchanged with `digits_lost`, unless all digits are there. An
    error of a spreadsheet (`#NAME?`, `####`) is unchanged with `spreadsheet_error`.
    """
    if _PLAIN_NUMBER.fullmatch(cell) or len(cell) > _MAX_NUMBER_CHARACTERS:
        return cell, None
    text = unwrap(cell)
    if not text.isascii():
        text = text.translate(WITHOUT_INVISIBLE).translate(FULL_WIDTH).replace("\u00a0", " ")
    text = text.strip(QUOTES + ENDS)
    if scheme := _NUMBER_SCHEME.match(text):
        text = text[scheme.end() :]
    if decimal := _DECIMAL.fullmatch(text):
        return decimal[1], None
    if exponent := _EXPONENT.fullmatch(text):
        return _of_exponent(text, exponent)
    if _GROUPED.fullmatch(text):
        return text.replace(",", ""), None
    return text, SPREADSHEET_ERROR if _ERROR.fullmatch(text) else None


def _of_exponent(text: str, match: re.Match[str]) -> tuple[str, str | None]:
    digit, fraction, sign, exponent = match.groups()
    if fraction is None and not sign:
        # 1E10 may be a code.
        return text, None
    fraction = fraction or ""
    if len(fraction) == int(exponent) and len(fraction) >= _MIN_EXACT_DIGITS - 1:
        return digit + fraction, None
    return text, DIGITS_LOST


_MAY_HAVE_LINES = re.compile(r"[\n\r\x85\u2028\u2029<\\]")
# Escaped line breaks of JSON and vCard, and those of HTML. `\north` is no line break.
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]|(?:\\r)?\\n(?![a-z])|<[bB][rR]\s{0,3}/?>")


def split_street(text: str) -> tuple[str, str]:
    """Return the first line of a street, and the other lines joined with commas; empty if there
    are none."""
    if not _MAY_HAVE_LINES.search(text):
        return text, ""
    lines = [line.strip(f",{ENDS}") for line in _LINE_BREAK.split(text)]
    if len(lines) == 1:
        return text, ""
    first, *others = [line for line in lines if line] or [""]
    return first, ", ".join(others)


# Of other systems and databases for a value that is not there. NA is not one of them: it is the
# code of Namibia.
_EMPTY_MARKERS = frozenset(
    "- -- --- – — . ? n/a #n/a n.a. n/d н/д null (null) <null> \\n none (none) nan <na> nil "
    "undefined (blank) (empty) [empty] [null] 未填 未填写 未填寫 未入力 없음".split()
) | {
    "[object object]",
    "k. a.",
    "k.a.",
    "keine angabe",
    "not provided",
    "not specified",
    "sin datos",
}
# Of these, words that are the names of people and places when they are capitalized.
_NAMES_TOO = frozenset(("Null", "None", "Nan", "Nil"))
_MAX_MARKER_CHARACTERS = 15


def is_empty_marker(text: str) -> bool:
    """Return whether a text stands for no value: `-`, `N/A`, `null`."""
    return len(text) <= _MAX_MARKER_CHARACTERS and text.strip().lower() in _EMPTY_MARKERS


def is_empty_name(text: str) -> bool:
    """Return whether a text of a name, a place or a note stands for no value: `-`, `NULL`. `Null`
    is a last name, and `None` a town."""
    return is_empty_marker(text) and text.strip() not in _NAMES_TOO
