"""Find text in UTF-7 (RFC 2152), which looks like ASCII: `Zo+AOk-` is `Zoé`."""

from __future__ import annotations

import re

# Text in Base64 after a plus, which is no tag of an email (`ana+news@example.com`).
_RUN = re.compile(rb"\+([A-Za-z0-9/][A-Za-z0-9+/]{2,80}+)-?(?![A-Za-z0-9+/])(?![\w.+-]{0,64}@)")
_LETTER = re.compile(rb"[A-Za-z]")
_MAX_RUNS = 10_000
# The last letter of Latin, Greek, Cyrillic, Hebrew and Arabic. Few other texts decode to these.
_LAST_SURE = "\u06ff"
_MIN_OTHERS = 3
_MAX_UNREADABLE = 0.1


def find_utf7(data: bytes) -> bool:
    """Return whether bytes of ASCII are text in UTF-7."""
    sure: set[str] = set()
    others: set[str] = set()
    runs = unreadable = 0
    for match in _RUN.finditer(data):
        if not _LETTER.search(match[1]):  # a phone
            continue
        runs += 1
        if runs > _MAX_RUNS:
            break
        try:
            text = (b"+" + match[1] + b"-").decode("utf-7")
        except UnicodeError:
            text = ""
        if text.isalpha() and not text.isascii():
            (sure if max(text) <= _LAST_SURE else others).add(text)
        else:
            unreadable += 1
    is_text = bool(sure) or len(others) >= _MIN_OTHERS
    return is_text and unreadable <= _MAX_UNREADABLE * runs
