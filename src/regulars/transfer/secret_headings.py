"""Recognise the headings of columns of secrets, which are left out of an import."""

from __future__ import annotations

from functools import lru_cache

from regulars.transfer.heading_dictionary import dictionary, words

_MAX_SECRET_WORDS = 6


@lru_cache(maxsize=4_096)
def is_secret(heading: str) -> bool:
    """Return whether a heading is one of a secret: a password, a token, the number of a card, an
    account or an identity document."""
    secrets = dictionary().secrets
    listed = words(heading)
    key = "".join(listed)
    if any(word in key for word in secrets.inside):
        return True
    if not listed or any(word in secrets.harmless for word in listed):
        return False
    if key in secrets.exact or listed[-1] in secrets.last:
        return True
    return any(
        "".join(listed[start:end]) in secrets.words
        for start in range(len(listed))
        for end in range(start + 1, min(start + _MAX_SECRET_WORDS, len(listed)) + 1)
    )
