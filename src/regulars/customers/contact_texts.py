"""Contact points as texts for people, which can be read again: those of the history."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regulars.core.dates import iso, parse_timestamp
from regulars.customers.contact_points import ContactPoints, Entry

# The form of an entry in the history, for people and to be read again.
_WRITTEN = re.compile(r"(?:([^<>]*) )?<(.*)>(?: \(verified (\S+)\))?")


def written(points: ContactPoints) -> list[str]:
    """Return the entries as texts, the default first: `work <b@example.com>`."""
    return [_written(entry) for entry in points.default_first()]


def _written(entry: Entry) -> str:
    is_bare = not entry.label and entry.verified_at is None
    if is_bare and not _WRITTEN.fullmatch(entry.value):
        return entry.value
    time = f" (verified {iso(entry.verified_at)})" if entry.verified_at is not None else ""
    return f"{entry.label} <{entry.value}>{time}".lstrip(" ")


def parse(texts: Iterable[str]) -> ContactPoints:
    """Return the entries of texts, of which the first is the default. The numbers are new."""
    entries = []
    for n, text in enumerate(texts, 1):
        match = _WRITTEN.fullmatch(text)
        if match is None:
            entries.append(Entry(n, text))
        else:
            verified_at = parse_timestamp(match[3]) if match[3] else None
            entries.append(Entry(n, match[2], match[1] or "", verified_at))
    return ContactPoints(tuple(entries), 1 if entries else 0, len(entries) + 1)
