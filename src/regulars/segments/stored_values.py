"""Rules for the stored values of segments."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.core.stored_values import COUNT, FLAG, ID, NOT_EMPTY, OBJECT, POSITIVE, TIME, Rule

RULES: Mapping[str, Mapping[str, Rule]] = {
    "segments": {
        "segment_id": ID,
        "name": NOT_EMPTY,
        "name_key": NOT_EMPTY,
        "settings": OBJECT,
        "language": POSITIVE,
        "created_at": TIME,
        "updated_at": TIME,
        "watched": FLAG,
        "watched_since": TIME,
        "position": COUNT,
        "evaluated": NOT_EMPTY,
        "due_at": TIME,
        "announce": FLAG,
    },
    "memberships": {"segment_id": ID, "customer_id": ID, "since": TIME, "removed_at": TIME},
}
