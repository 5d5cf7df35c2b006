"""The tables that are read before the account is known. Only their keys do not begin with the
account. On Citus they are reference tables: each node has a copy."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import Text, key, number, table, text

# The tokens of an account with a `disabled_at` are refused, and its webhooks and imports wait.
# `settings` is a JSON object (core/account_settings.py), or null while all have their defaults.
# `recount_after` is the last customer whose `expenses` were counted after a change of the currency
# that they count, or null if all were.
accounts = table(
    "accounts",
    key("account_id"),
    text("name"),
    number("created_at"),
    number("disabled_at", nullable=True),
    text("settings", nullable=True),
    number("recount_after", nullable=True),
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

# The people of the accounts. A person signs in with the links of a token of their own, whose secret
# is discarded. Its scopes are those of the role, a key of `core/roles.py`, and it is revoked when
# the person is removed. So the sessions of a person are those of this token.
people = table(
    "people",
    sa.Column("person_id", Text, primary_key=True),
    number("account_id"),
    text("token_id"),
    text("name"),
    text("email", nullable=True),
    text("role"),
    number("created_at"),
    number("removed_at", nullable=True),
    sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], ondelete="CASCADE"),
    sa.UniqueConstraint("token_id", name="people_token"),
    sa.Index("people_account", "account_id"),
)

# Which programs can work with the tables, in a single row: the version of the oldest program, and
# the last version whose contract part is finished. `last_deleted_account` is the greatest id of a
# deleted account: ids are not used again, because running servers cache values by account.
compatibility = table(
    "compatibility",
    key("one"),
    text("oldest"),
    text("finished"),
    number("last_deleted_account", nullable=True),
)

# Sign-ins by a token: the kind `session`, whose secret a browser stores, or `link`, a sign-in link
# that starts one session and is then deleted.
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
