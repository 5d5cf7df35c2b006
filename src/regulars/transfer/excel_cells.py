"""Cells that Excel shows as they are, and that an import reads back to the same text.

Excel converts text in a CSV file that looks like a number, a date, a time or a logical value:
`0612345678` loses its zero, `1-2` becomes a date. A constant formula, `="0612345678"`, stays text.
"""

from __future__ import annotations

import re

from regulars.transfer.cells import neutral, original

# Limits of a sheet ("Excel specifications and limits", Microsoft). Characters are UTF-16 units.
MAX_ROWS = 1_048_576
MAX_CELL_CHARACTERS = 32_767
# The longest text constant of a formula.
_MAX_CONSTANT = 255

_DIGIT = re.compile(r"\d")
# Letters, except the marks of East Asian dates and times.
_LETTER = r"[^\W\d_年月日時时分秒년월일시분초]"
# Text that Excel never converts: it has signs that no number or date has, a word that is longer
# than the name of a month, or two words (AM and PM are none).
_TEXT = re.compile(
    r"""^'|["@{}\[\]\\|<>;!?&_=#~^*\x00-\x1f\x7f]"""
    rf"|{_LETTER}{{13}}|{_LETTER}[\W\d]+(?![ap]\.?m?\.?(?!\w)){_LETTER}",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9][0-9 +()./-]*$")
# The logical values of Excel in the languages of its larger markets.
_LOGICAL_VALUES = frozenset(
    "true false wahr falsch vrai faux verdadero falso vero verdadeiro waar onwaar prawda fałsz "
    "doğru yanliş yanlış истина ложь sand sant falskt tosi epätosi".split()
)
_CONSTANT = re.compile(r'=\s*+"')


def excel_csv_cell(text: str) -> str:
    """Return a text as a cell of CSV that Excel neither converts nor runs as a formula."""
    if _DIGIT.search(text):
        is_text = _TEXT.search(text) is not None
        if not is_text and len(text) <= _MAX_CONSTANT:
            return f'="{text}"'
        if not is_text and _DIGITS.match(text):
            return f"'{text}"
    elif text.lower() in _LOGICAL_VALUES:
        return f'="{text}"'
    return neutral(text)


def workbook_text(text: str) -> str:
    """Return a text for a cell of a workbook. A text that an import would take for a protected one
    begins with an apostrophe, which the import removes."""
    if text[:1] in ("'", "=") and (original(text) != text or _CONSTANT.match(text)):
        return f"'{text}"
    return text


def excel_length(text: str) -> int:
    """Return the length of a text in UTF-16 units, as Excel counts characters."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
