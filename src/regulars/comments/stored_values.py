"""Rules for the stored values of comments."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.core.stored_values import FLAG, ID, NOT_EMPTY, TIME, Rule

RULES: Mapping[str, Mapping[str, Rule]] = {
    "comments": {
        "comment_id": ID,
        "text": NOT_EMPTY,
        **dict.fromkeys(("pinned", "private", "edited"), FLAG),
        "actor_kind": NOT_EMPTY,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "comment_terms": {"comment_id": ID, "term": NOT_EMPTY},
}
