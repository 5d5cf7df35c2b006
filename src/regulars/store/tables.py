"""The tables, written once for both databases.

Every key begins with `account_id`, and every statement names it, so that accounts can be spread
over machines. Moments are milliseconds since 1970 in UTC; amounts are counted in 1/10,000 of the
currency's unit, which is exact for every currency of ISO 4217; text is compared by code point.
"""

from __future__ import annotations

import sqlalchemy as sa

MONEY_SCALE = 10_000

metadata = sa.MetaData()

# SQLite's STRICT tables know INTEGER, TEXT and BLOB; a PostgreSQL column that is compared by
# code point, as SQLite compares, needs the collation "C".
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _table(name: str, *items: sa.Column[object] | sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *items, sqlite_strict=True)


def _number(name: str, **options: bool) -> sa.Column[int]:
    return sa.Column(name, Number, nullable=options.get("nullable", False))


def _text(name: str, **options: bool) -> sa.Column[str]:
    return sa.Column(name, Text, nullable=options.get("nullable", False))


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, Number, primary_key=True, autoincrement=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, Flag, nullable=False)


def _derived(name: str) -> sa.Column[str]:
    """Text made of other columns, for the search."""
    return sa.Column(name, Text, nullable=False, server_default="")


def _goes_with(table: str, key: str) -> sa.ForeignKeyConstraint:
    """What belongs to a customer, or to a webhook, goes with it."""
    columns = ["account_id", key]
    there = [f"{table}.{column}" for column in columns]
    return sa.ForeignKeyConstraint(columns, there, ondelete="CASCADE")


# Accounts and tokens are looked up before an account is known: the only tables whose keys do
# not begin with the account.
accounts = _table(
    "accounts",
    _key("account_id"),
    _text("name"),
    _number("created_at"),
    sa.UniqueConstraint("name", name="accounts_name"),
)

tokens = _table(
    "tokens",
    sa.Column("token_id", Text, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    _number("account_id"),
    _text("name"),
    _number("created_at"),
    _number("expires_at", nullable=True),
    _number("revoked_at", nullable=True),
    sa.Column("scopes", Text, nullable=False, server_default="customers"),
    _number("last_used_at", nullable=True),
    sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"]),
    sa.UniqueConstraint("hash", name="tokens_hash"),
)

# The last `_id` that an account gave for each type, how many batches have changed the account, and
# the number of the last change in its history.
# Its row is the account's lock.
counters = _table(
    "counters",
    _key("account_id"),
    _number("customers"),
    _number("orders"),
    _number("leads"),
    sa.Column("revision", Number, nullable=False, server_default="0"),
    sa.Column("changes", Number, nullable=False, server_default="0"),
    sa.Column("webhooks", Number, nullable=False, server_default="0"),
)

customers = _table(
    "customers",
    _key("account_id"),
    _key("customer_id"),
    _number("created_at"),
    _number("updated_at"),
    _text("email"),
    _text("email_key"),
    _text("email_folded"),
    _text("phone"),
    _text("first_name"),
    _text("last_name"),
    _text("first_name_folded"),
    _text("last_name_folded"),
    _text("full_name_folded"),
    _flag("accepts_marketing"),
    _number("expenses"),
    _number("orders_count"),
    _number("visits"),
    _text("tags"),
    _text("notes", nullable=True),
    _text("custom", nullable=True),
    _text("shipping_address", nullable=True),
    _text("billing_address", nullable=True),
    _derived("words"),
    _derived("notes_words"),
    _derived("facets"),
    sa.Column("version", Number, nullable=False, server_default="1"),
    sa.Index("customers_email_key", "account_id", "email_key", unique=True),
    sa.Index("customers_accepts_marketing", "account_id", "accepts_marketing", "customer_id"),
)

# The orders of the list. Each ends with the customer's id, which breaks ties.
ORDER_COLUMNS = {
    "id": "customer_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "email": "email_folded",
    "first_name": "first_name_folded",
    "last_name": "last_name_folded",
    "full_name": "full_name_folded",
    "expenses": "expenses",
    "orders_count": "orders_count",
}

for _column in ORDER_COLUMNS.values():
    if _column != "customer_id":
        sa.Index(
            f"customers_{_column}",
            customers.c.account_id,
            customers.c[_column],
            customers.c.customer_id,
        )

# By which words and values a customer is found, a row for each. They are written with their
# customer, and go with it; a foreign key would be asked for each of a dozen rows.
terms = sa.Table(
    "terms",
    metadata,
    _key("account_id"),
    sa.Column("term", Text, primary_key=True),
    _key("customer_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# The history of an account: what happened to its customers, numbered without gaps in the order of
# commits. `fields` is a JSON object of pairs, the values before and after; null when there are
# none, and once the customer is deleted. Nothing else of a row ever changes.
history = sa.Table(
    "history",
    metadata,
    _key("account_id"),
    _key("sequence"),
    _number("customer_id"),
    _text("kind"),
    _number("at"),
    _text("actor_kind"),
    _text("actor"),
    _text("request_id", nullable=True),
    _text("fields", nullable=True),
    _number("order_id", nullable=True),
    sa.Index("history_of_customer", "account_id", "customer_id", "sequence"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# What became of a write that was sent with a key, so that the same request can be answered again:
# the outcome as JSON; null once its customer is deleted.
receipts = _table(
    "receipts",
    _key("account_id"),
    sa.Column("token_id", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    _key("part"),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    _number("created_at"),
    _number("customer_id", nullable=True),
    _text("outcome", nullable=True),
    sa.Index("receipts_created_at", "created_at"),
    sa.Index("receipts_customer", "account_id", "customer_id"),
)

# How full a token's bucket was at a moment, in thousandths of a point, where several processes
# share the database.
buckets = _table(
    "buckets",
    _key("account_id"),
    sa.Column("token_id", Text, primary_key=True),
    _number("level"),
    _number("at"),
)

# `paid` is what the customer has paid, where that is known: else it follows from the status.
# `details` is a JSON object: what else the shop tells of the order.
orders = _table(
    "orders",
    _key("account_id"),
    _key("order_id"),
    _number("customer_id"),
    _text("name"),
    _text("email"),
    _number("total"),
    _number("refunded_amount"),
    _number("net_payment"),
    _text("currency"),
    _text("financial_status"),
    _text("fulfillment_status"),
    _text("tags"),
    _flag("test"),
    _text("referrer", nullable=True),
    _number("cancelled_at", nullable=True),
    _number("created_at"),
    _number("updated_at"),
    _number("paid", nullable=True),
    _text("details", nullable=True),
    _goes_with("customers", "customer_id"),
    sa.Index("orders_name", "account_id", "name", unique=True),
    sa.Index("orders_of_customer", "account_id", "customer_id", "created_at", "order_id"),
)

leads = _table(
    "leads",
    _key("account_id"),
    _key("lead_id"),
    _number("customer_id"),
    _text("subject"),
    _text("message"),
    _text("custom", nullable=True),
    _number("created_at"),
    _goes_with("customers", "customer_id"),
    sa.Index("leads_of_customer", "account_id", "customer_id", "created_at", "lead_id"),
)

# A subscription to events of one type. The columns up to `enabled_at` are the writer's, the others
# those of the worker that delivers: `position`, the last change of the history that was looked at;
# `next_at`, when a delivery is due; `claimed_by` and `claimed_until`, who delivers. It is disabled
# when `disabled_at` is later than `enabled_at`.
webhooks = _table(
    "webhooks",
    _key("account_id"),
    _key("webhook_id"),
    _text("type"),
    _text("url"),
    _text("settings"),
    _number("created_at"),
    _number("updated_at"),
    _number("enabled_at"),
    _number("position"),
    _number("next_at", nullable=True),
    _text("claimed_by", nullable=True),
    sa.Column("claimed_until", Number, nullable=False, server_default="0"),
    _number("disabled_at", nullable=True),
    _text("disabled_reason", nullable=True),
    sa.Index("webhook_targets", "account_id", "url", "type", unique=True),
)


# An event on its way to a webhook. Its `number` is that of its change in the history; a test has a
# negative one. `tries` counts the attempts since it was last asked for; `due_at` is null unless it
# is pending.
deliveries = _table(
    "deliveries",
    _key("account_id"),
    _key("webhook_id"),
    _key("number"),
    _number("customer_id", nullable=True),
    _text("state"),
    sa.Column("attempts", Number, nullable=False, server_default="0"),
    sa.Column("tries", Number, nullable=False, server_default="0"),
    _number("due_at", nullable=True),
    _number("created_at"),
    _number("ended_at", nullable=True),
    _goes_with("webhooks", "webhook_id"),
    sa.Index("deliveries_of_webhook", "account_id", "webhook_id", "created_at", "number"),
    sa.Index("deliveries_due", "account_id", "webhook_id", "due_at"),
    sa.Index("deliveries_created_at", "created_at"),
)

# What was sent to a webhook, and what it answered: `exchange` is a JSON object, null once the
# customer is deleted.
attempts = _table(
    "attempts",
    _key("account_id"),
    _key("webhook_id"),
    _key("number"),
    _key("attempt"),
    _number("customer_id", nullable=True),
    _number("at"),
    _number("milliseconds"),
    _number("status", nullable=True),
    _text("error", nullable=True),
    _text("exchange", nullable=True),
    _goes_with("webhooks", "webhook_id"),
    sa.Index("attempts_of_customer", "account_id", "customer_id"),
    sa.Index("attempts_at", "at"),
)

# With what an account's events are signed: the present secret, and the one before it; and the one
# that its shop signs with, if it has another.
webhook_secrets = _table(
    "webhook_secrets",
    _key("account_id"),
    _text("secret"),
    _text("previous", nullable=True),
    _number("rotated_at"),
    _text("inbound", nullable=True),
)

# The ids that an account's shop gave to what is kept here: the type and the `_id` that it has here,
# and the customer with whom it goes.
shop_ids = _table(
    "shop_ids",
    _key("account_id"),
    sa.Column("shop_id", Text, primary_key=True),
    _text("type"),
    _number("number"),
    _number("customer_id"),
    sa.Index("shop_ids_of_customer", "account_id", "customer_id"),
)

# Events of a shop that could not be understood, as they came.
inbox = _table(
    "inbox",
    _key("account_id"),
    sa.Column("inbox_id", Text, primary_key=True),
    _text("type"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    _text("problem"),
    _number("received_at"),
    _number("times"),
)

# Customers on their way in, from a file or, of the kind `pull`, from another server, whose list is
# read from `cursor` on. `position` counts the rows that are done, each of which is in
# one of the four counts; `last_rejected` tells of those of the last batch, as JSON, and the others
# are kept up to `rejected_at`: bytes of a file, or parts. `source` is JSON: what is read and how;
# `problems` are examples, as JSON. Who brings it on holds it until `claimed_until`.
imports = _table(
    "imports",
    _key("account_id"),
    sa.Column("import_id", Text, primary_key=True),
    _text("kind"),
    _text("state"),
    _text("name"),
    _text("fingerprint"),
    _text("source"),
    _text("actor"),
    _number("size", nullable=True),
    *(
        _number(name)
        for name in (
            *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
            "rejected_at",
        )
    ),
    _text("last_rejected"),
    _text("problems"),
    _text("message", nullable=True),
    _text("cursor", nullable=True),
    _number("created_at"),
    _number("updated_at"),
    _number("ended_at", nullable=True),
    _text("claimed_by", nullable=True),
    sa.Column("claimed_until", Number, nullable=False, server_default="0"),
    sa.Index("imports_created_at", "account_id", "created_at", "import_id"),
)

# The parts of a file that came over HTTP (`file`), and of its rejected rows (`rejected`), in their
# order.
import_parts = _table(
    "import_parts",
    _key("account_id"),
    sa.Column("import_id", Text, primary_key=True),
    sa.Column("kind", Text, primary_key=True),
    _key("part"),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(
        ["account_id", "import_id"],
        ["imports.account_id", "imports.import_id"],
        ondelete="CASCADE",
    ),
)
