"""The tables, written once for both databases.

Every key begins with `account_id` (but those of `entrance`), and every statement names it, so that
accounts can be spread over machines. Moments are milliseconds since 1970 in UTC; amounts are
counted in 1/10,000 of the currency's unit, which is exact for every currency of ISO 4217; text is
compared by code point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from regulars.core import fields
from regulars.core.fields import Field
from regulars.customers.fields import FIELDS
from regulars.store.auth_tables import accounts as accounts
from regulars.store.auth_tables import compatibility as compatibility
from regulars.store.auth_tables import sessions as sessions
from regulars.store.auth_tables import tokens as tokens
from regulars.store.columns import (
    Number,
    Text,
    derived,
    flag,
    goes_with,
    key,
    number,
    table,
    text,
)

# Whoever asks for it here has all the tables in it.
from regulars.store.columns import metadata as metadata

MONEY_SCALE = 10_000

# The last `_id` that an account gave for each type, how many batches have changed the account, and
# the number of the last change in its history.
# Its row is the account's lock.
counters = table(
    "counters",
    key("account_id"),
    number("customers"),
    number("orders"),
    number("leads"),
    sa.Column("revision", Number, nullable=False, server_default="0"),
    sa.Column("changes", Number, nullable=False, server_default="0"),
    sa.Column("webhooks", Number, nullable=False, server_default="0"),
)


def add_counter(name: str) -> str:
    """Add the counter of an entity, whose table is defined elsewhere; return its name."""
    counters.append_column(sa.Column(name, Number, nullable=False, server_default="0"))
    return name


# The columns of each kind of field. A sorted text has its folded form in a column of its own.
_COLUMNS: dict[type[Field], Callable[[Any], list[sa.Column[Any]]]] = {
    fields.Timestamp: lambda field: [number(field.name)],
    fields.Text: lambda field: [text(field.name), *_folded(field)],
    fields.LongText: lambda field: [text(field.name, nullable=True)],
    fields.Email: lambda field: [text(field.name), text(field.key_column), *_folded(field)],
    fields.Phone: lambda field: [text(field.name)],
    fields.Flag: lambda field: [flag(field.name)],
    fields.Money: lambda field: [number(field.name)],
    fields.Count: lambda field: [_count(field)],
    fields.Json: lambda field: [text(field.name, nullable=True)],
    fields.Address: lambda field: [text(field.name, nullable=True)],
    fields.Tags: lambda field: [text(field.name)],
    fields.FullName: lambda field: _folded(field),
    fields.Location: lambda _: [],
    fields.Avatar: lambda _: [],
}


def _folded(field: Field) -> list[sa.Column[Any]]:
    return [text(field.folded_column)] if field.sort else []


def _count(field: fields.Count) -> sa.Column[Any]:
    default = str(field.start) if field.start else None
    return sa.Column(field.name, Number, nullable=False, server_default=default)


customers = table(
    "customers",
    key("account_id"),
    key("customer_id"),
    *(column for field in FIELDS for column in _COLUMNS[type(field)](field)),
    derived("words"),
    derived("notes_words"),
    derived("facets"),
)

# The orders of the list. Each ends with the customer's id, which breaks ties.
ORDER_COLUMNS = {"id": "customer_id", **{f.name: f.sort_column for f in FIELDS if f.sort}}

for _field in FIELDS:
    if isinstance(_field, fields.Email):
        _unique = _field.key_column
        sa.Index(f"customers_{_unique}", customers.c.account_id, customers.c[_unique], unique=True)
    if _field.sort or (_field.search and isinstance(_field, fields.Flag)):
        _column = _field.sort_column
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
    key("account_id"),
    sa.Column("term", Text, primary_key=True),
    key("customer_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# The history of an account: what happened to its customers, numbered without gaps in the order of
# commits. `fields` is a JSON object of pairs, the values before and after; null when there are
# none, and once the customer is deleted. Nothing else of a row ever changes.
history = sa.Table(
    "history",
    metadata,
    key("account_id"),
    key("sequence"),
    number("customer_id"),
    text("kind"),
    number("at"),
    text("actor_kind"),
    text("actor"),
    text("request_id", nullable=True),
    text("fields", nullable=True),
    number("order_id", nullable=True),
    flag("silent", server_default=sa.false()),
    sa.Index("history_of_customer", "account_id", "customer_id", "sequence"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# What became of a write that was sent with a key, so that the same request can be answered again:
# the outcome as JSON; null once its customer is deleted.
idempotency_records = table(
    "receipts",
    key("account_id"),
    sa.Column("token_id", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    key("part"),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    number("created_at"),
    number("customer_id", nullable=True),
    text("outcome", nullable=True),
    sa.Index("receipts_created_at", "created_at"),
    sa.Index("receipts_customer", "account_id", "customer_id"),
)

# The level of a token's bucket at a time, in thousandths of a point, where several processes
# share the database.
buckets = table(
    "buckets",
    key("account_id"),
    sa.Column("token_id", Text, primary_key=True),
    number("level"),
    number("at"),
)

# `paid` is what the customer has paid, where that is known: else it follows from the status.
# `details` is a JSON object: what else the shop tells of the order.
orders = table(
    "orders",
    key("account_id"),
    key("order_id"),
    number("customer_id"),
    text("name"),
    text("email"),
    number("total"),
    number("refunded_amount"),
    number("net_payment"),
    text("currency"),
    text("financial_status"),
    text("fulfillment_status"),
    text("tags"),
    flag("test"),
    text("referrer", nullable=True),
    number("cancelled_at", nullable=True),
    number("created_at"),
    number("updated_at"),
    number("paid", nullable=True),
    text("details", nullable=True),
    goes_with("customers", "customer_id"),
    sa.Index("orders_name", "account_id", "name", unique=True),
    sa.Index("orders_of_customer", "account_id", "customer_id", "created_at", "order_id"),
)

leads = table(
    "leads",
    key("account_id"),
    key("lead_id"),
    number("customer_id"),
    text("subject"),
    text("message"),
    text("custom", nullable=True),
    number("created_at"),
    goes_with("customers", "customer_id"),
    sa.Index("leads_of_customer", "account_id", "customer_id", "created_at", "lead_id"),
)

# A subscription to events of one type. The worker that delivers also writes the columns from
# `position` on: `position`, the last change of the history that was looked at; `next_at`, when a
# delivery is due; `claimed_by` and `claimed_until`, which worker delivers. It is disabled when
# `disabled_at` is later than `enabled_at`, and then paused if that was asked for (`paused`).
webhooks = table(
    "webhooks",
    key("account_id"),
    key("webhook_id"),
    text("type"),
    text("url"),
    text("settings"),
    number("created_at"),
    number("updated_at"),
    number("enabled_at"),
    number("position"),
    number("next_at", nullable=True),
    text("claimed_by", nullable=True),
    sa.Column("claimed_until", Number, nullable=False, server_default="0"),
    number("disabled_at", nullable=True),
    text("disabled_reason", nullable=True),
    flag("paused", server_default=sa.false()),
    sa.Index("webhook_targets", "account_id", "url", "type", unique=True),
)


# An event on its way to a webhook. Its `number` is that of its change in the history; a test has a
# negative one. `tries` counts the attempts since it was last asked for; `due_at` is null unless it
# is pending.
deliveries = table(
    "deliveries",
    key("account_id"),
    key("webhook_id"),
    key("number"),
    number("customer_id", nullable=True),
    text("state"),
    sa.Column("attempts", Number, nullable=False, server_default="0"),
    sa.Column("tries", Number, nullable=False, server_default="0"),
    number("due_at", nullable=True),
    number("created_at"),
    number("ended_at", nullable=True),
    goes_with("webhooks", "webhook_id"),
    sa.Index("deliveries_of_webhook", "account_id", "webhook_id", "created_at", "number"),
    sa.Index("deliveries_due", "account_id", "webhook_id", "due_at"),
    sa.Index("deliveries_created_at", "created_at"),
)

# What was sent to a webhook, and what it answered: `exchange` is a JSON object, null once the
# customer is deleted.
attempts = table(
    "attempts",
    key("account_id"),
    key("webhook_id"),
    key("number"),
    key("attempt"),
    number("customer_id", nullable=True),
    number("at"),
    number("milliseconds"),
    number("status", nullable=True),
    text("error", nullable=True),
    text("exchange", nullable=True),
    goes_with("webhooks", "webhook_id"),
    sa.Index("attempts_of_customer", "account_id", "customer_id"),
    sa.Index("attempts_at", "at"),
)

# With what an account's events are signed: the present secret, and the one before it; and the one
# that its shop signs with, if it has another.
webhook_secrets = table(
    "webhook_secrets",
    key("account_id"),
    text("secret"),
    text("previous", nullable=True),
    number("rotated_at"),
    text("inbound", nullable=True),
)

# The ids that an account's shop gave to what is kept here: the type and the `_id` that it has here,
# and the customer with whom it goes. `event` is the number of the last event about it, where the
# shop is another Regulars.
shop_ids = table(
    "shop_ids",
    key("account_id"),
    sa.Column("shop_id", Text, primary_key=True),
    text("type"),
    number("number"),
    number("customer_id"),
    sa.Column("event", Number, nullable=False, server_default="0"),
    sa.Index("shop_ids_of_customer", "account_id", "customer_id"),
)

# The ids of a shop whose customers are deleted, and when they were: a late event of such a customer
# does not create it again. They are kept as long as events of the inbox.
deleted_shop_ids = table(
    "deleted_shop_ids",
    key("account_id"),
    sa.Column("shop_id", Text, primary_key=True),
    key("deleted_at"),
    sa.Index("deleted_shop_ids_deleted_at", "deleted_at"),
)

# Events of a shop that could not be understood, as they came.
inbox = table(
    "inbox",
    key("account_id"),
    sa.Column("inbox_id", Text, primary_key=True),
    text("type"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    text("problem"),
    number("received_at"),
    number("times"),
)

# The emails (as `email_key`) and the ids of a shop that an event of the inbox names: the event is
# deleted with a customer who has one of them. The empty key stands for every customer: the event
# names too many. There is no foreign key, as on `terms`: Citus takes none while tables are added.
inbox_keys = table(
    "inbox_keys",
    key("account_id"),
    sa.Column("key", Text, primary_key=True),
    sa.Column("inbox_id", Text, primary_key=True),
    sa.Index("inbox_keys_of_event", "account_id", "inbox_id"),
)

# Customers on their way in, from a file or, of the kind `pull`, from another server, whose list is
# read from `cursor` on. `position` counts the rows that are done, each of which is in
# one of the four counts; `last_rejected` tells of those of the last batch, as JSON, and the others
# are kept up to `rejected_at`: bytes of a file, or parts. `source` is JSON: what is read and how;
# `problems` are examples, as JSON. Who brings it on holds it until `claimed_until`.
imports = table(
    "imports",
    key("account_id"),
    sa.Column("import_id", Text, primary_key=True),
    text("kind"),
    text("state"),
    text("name"),
    text("fingerprint"),
    text("source"),
    text("actor"),
    number("size", nullable=True),
    *(
        number(name)
        for name in (
            *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
            "rejected_at",
        )
    ),
    text("last_rejected"),
    text("problems"),
    text("message", nullable=True),
    text("cursor", nullable=True),
    number("created_at"),
    number("updated_at"),
    number("ended_at", nullable=True),
    text("claimed_by", nullable=True),
    sa.Column("claimed_until", Number, nullable=False, server_default="0"),
    sa.Index("imports_created_at", "account_id", "created_at", "import_id"),
)

# The parts of a file that came over HTTP (`file`), and of its rejected rows (`rejected`), in their
# order.
import_parts = table(
    "import_parts",
    key("account_id"),
    sa.Column("import_id", Text, primary_key=True),
    sa.Column("kind", Text, primary_key=True),
    key("part"),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(
        ["account_id", "import_id"],
        ["imports.account_id", "imports.import_id"],
        ondelete="CASCADE",
    ),
)
