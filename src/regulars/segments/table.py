"""The table of segments."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import Number, flag, key, number, table, text
from regulars.store.tables import add_counter

# Saved searches. `query` is in the version `language` of the search language. `settings` is a JSON
# object with the tags of which `query` was made; null if a client wrote the query. `name_key` is
# the name as it is compared. The columns from `watched` on belong to a watched segment, whose
# entries and exits are recorded: since when; the last change of the history that was evaluated; a
# hash of the condition that the memberships meet; when all customers are to be evaluated; whether
# that evaluation records entries and exits; and the claim of the process that evaluates.
segments = table(
    "segments",
    key("account_id"),
    key("segment_id"),
    text("name"),
    text("name_key"),
    text("description"),
    text("query"),
    text("settings", nullable=True),
    number("language"),
    number("created_at"),
    number("updated_at"),
    flag("watched", server_default=sa.false()),
    number("watched_since", nullable=True),
    number("position", nullable=True),
    text("evaluated", nullable=True),
    number("due_at", nullable=True),
    flag("announce", server_default=sa.false()),
    text("claimed_by", nullable=True),
    sa.Column("claimed_until", Number, nullable=False, server_default="0"),
    sa.Index("segments_name", "account_id", "name_key", unique=True),
    sa.Index("segments_watched", "watched", "account_id", "segment_id"),
)
COUNTER = add_counter("segments")

# The customers of watched segments. The row of a deleted customer stays for some time, with the
# time of the deletion: the last known membership.
memberships = table(
    "memberships",
    key("account_id"),
    key("segment_id"),
    key("customer_id"),
    number("since"),
    number("removed_at", nullable=True),
    sa.Index("memberships_of_customer", "account_id", "customer_id", "segment_id"),
    sa.Index("memberships_removed_at", "removed_at"),
    with_rowid=False,
)
