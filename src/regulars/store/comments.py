"""The tables of comments about customers, and the search for their words."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from regulars.store.columns import (
    Number,
    Text,
    belongs_to,
    derived,
    flag,
    key,
    number,
    table,
    text,
)
from regulars.store.queries import of_account
from regulars.store.query import position_in

# Notes of colleagues about a customer. `token_id` is the token of the author; a session has that of
# the token with which it was started. `pinned` is 0 or 1: it is the first column of the order.
# `words` has the words of the text.
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
    derived("words"),
    belongs_to("customers", "customer_id"),
    sa.Index(
        "comments_of_customer", "account_id", "customer_id", "pinned", "created_at", "comment_id"
    ),
)

# The words by which comments are found, a row for each. A customer has a row of a word for each
# comment with it, so that no other comment is read when one changes.
comment_terms = table(
    "comment_terms",
    key("account_id"),
    key("comment_id"),
    sa.Column("term", Text, primary_key=True),
    number("customer_id"),
    belongs_to("comments", "comment_id"),
    sa.Index("comment_terms_of_words", "account_id", "term", "customer_id"),
    with_rowid=False,
)


def has_comment(
    customer_id: sa.ColumnElement[int], text: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Return the condition that one of a customer's comments contains a text. It reads the comments
    of one customer after the other: PostgreSQL makes no join of a scalar subquery."""
    found: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        of_account(comments),
        comments.c.customer_id == customer_id,
        position_in(comments.c.words, text) > sa.literal_column("0"),
    )
    return found.limit(sa.literal_column("1")).scalar_subquery().is_not(None)
