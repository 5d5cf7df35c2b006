"""Text as the directory keeps it, and as it compares it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

# PostgreSQL indexes values of up to 2,704 bytes; a code point takes up to 4. Compatibility
# decomposition can make a text longer than what was checked on the way in.
FOLDED_LENGTH = 640

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINE_BREAKS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def clean(value: str, most: int, lines: bool = False) -> tuple[str, str | None]:
    """The text as it is kept, trimmed and in NFC, and what is wrong with it, if anything.

    `most` is the greatest length in code points. Control characters are refused; line breaks
    are allowed where `lines` says so.
    """
    kept = value.strip()
    if len(kept) <= most and kept.isascii() and kept.isprintable():
        return kept, None
    kept = unicodedata.normalize("NFC", kept)
    control = (_CONTROL_BUT_LINE_BREAKS if lines else _CONTROL).search(kept)
    if control:
        code = f"U+{ord(control[0]):04X}"
        allowed = "Line breaks are fine, other control characters are not" if lines else "Remove it"
        return kept, f"has a control character ({code}). {allowed}."
    if len(kept) > most:
        return kept, f"has {len(kept):,} characters; at most {most:,} are allowed."
    return kept, None


def folded(value: str) -> str:
    """The form by which text is compared: compatibility decomposition (NFKD), no combining marks,
    Unicode case folding. `Ána`, `ana` and `ANA` are one."""
    if value.isascii():
        return value.lower()
    decomposed = unicodedata.normalize("NFKD", value)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def fold(value: str) -> str:
    """The folded form of a text as it is ordered by, and found by as a whole: what of it fits into
    an index."""
    return folded(value)[:FOLDED_LENGTH]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like a mistyped one, if any is like it."""
    found = difflib.get_close_matches(word[:100].lower(), list(known), n=1)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that is most like a mistyped one, after a space; empty where none is
    like it."""
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""


def full_name(first_name: str, last_name: str) -> str:
    """First and last name with one space between, none at either end."""
    return f"{first_name} {last_name}".strip()
