"""The counter and the list of comments. The store has their table, which the search reads."""

from __future__ import annotations

from regulars.store.comments import comments as comments
from regulars.store.relations import Relation
from regulars.store.tables import add_counter, customers

COUNTER = add_counter("comments")

# Pinned comments first, then the newest.
COMMENTS = Relation(comments, customers, "customer_id", ("pinned", "created_at", "comment_id"))
