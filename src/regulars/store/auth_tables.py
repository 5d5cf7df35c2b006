"""The tables of what is looked up before an account is known: the only ones whose keys do not begin
with the account. On Citus, each node has all of them."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import Text, key, number, table, text

accounts = table(
    "accounts",
    key("account_id"),
    text("name"),
    number("created_at"),
    sa.UniqueConstraint("name", name="accounts_name"),
)

tokens = table(
    "tokens",
    sa.Column("token_id", Text, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    number("account_id"),
    text("name"),
    number("created_at"),
    number("expires_at", nullable=True),
    number("revoked_at", nullable=True),
    sa.Column("scopes", Text, nullable=False, server_default="customers"),
    number("last_used_at", nullable=True),
    sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"]),
    sa.UniqueConstraint("hash", name="tokens_hash"),
)

# Which programs can work with the tables, in its only row: the version of the tables of the oldest
# that can, and up to which version what only older ones needed is gone.
compatibility = table(
    "compatibility",
    key("one"),
    text("oldest"),
    text("finished"),
)

# A person's way in with a token, by a secret that a browser keeps: of the kind `session`, or
# `link`, which begins one session and is gone.
sessions = table(
    "sessions",
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    text("kind"),
    text("token_id"),
    number("created_at"),
    number("expires_at"),
    sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], ondelete="CASCADE"),
    sa.Index("sessions_expires_at", "expires_at"),
)
