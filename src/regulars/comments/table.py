"""The table of comments."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import Number, belongs_to, flag, key, number, table, text
from regulars.store.relations import Relation
from regulars.store.tables import add_counter, customers

# Notes of colleagues about a customer. `token_id` is the token of the author; a session has that of
# the token with which it was started. `pinned` is 0 or 1: it is the first column of the order.
comments = table(
    "comments",
    key("account_id"),
    key("comment_id"),
    number("customer_id"),
    text("text"),
    sa.Column("pinned", Number, nullable=False, server_default="0"),
    flag("private", server_default=sa.false()),
    flag("edited", server_default=sa.false()),
    text("token_id"),
    text("actor_kind"),
    text("actor"),
    number("created_at"),
    number("updated_at"),
    belongs_to("customers", "customer_id"),
    sa.Index(
        "comments_of_customer", "account_id", "customer_id", "pinned", "created_at", "comment_id"
    ),
)
COUNTER = add_counter("comments")

# Pinned comments first, then the newest.
COMMENTS = Relation(comments, customers, "customer_id", ("pinned", "created_at", "comment_id"))
