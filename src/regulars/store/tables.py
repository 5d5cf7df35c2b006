"""The tables, written once for both databases.

Every key begins with `account_id` (except in `auth_tables.py`), and every statement names it, so
that accounts can be spread over machines. Times are in milliseconds since 1970 in UTC. Amounts are
in 1/10,000 of the currency's unit, which is exact for every currency of ISO 4217. Text is compared
by code point.
"""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.auth_tables import accounts as accounts
from regulars.store.auth_tables import compatibility as compatibility
from regulars.store.auth_tables import people as people
from regulars.store.auth_tables import sessions as sessions
from regulars.store.auth_tables import tokens as tokens
from regulars.store.columns import (
    Number,
    Text,
    belongs_to,
    flag,
    key,
    number,
    table,
    text,
)

# The metadata that this module exports has all tables.
from regulars.store.columns import metadata as metadata
from regulars.store.customer_table import ORDER_COLUMNS as ORDER_COLUMNS
from regulars.store.customer_table import customers as customers

MONEY_SCALE = 10_000

# The last `_id` of each type in an account, the number of the last change in its history, and its
# revision, which counts the batches that have changed it. The row is the account's lock.
counters = table(
    "counters",
    key("account_id"),
    number("customers"),
    number("orders"),
    number("leads"),
    sa.Column("revision", Number, nullable=False, server_default="0"),
    sa.Column("changes", Number, nullable=False, server_default="0"),
    sa.Column("webhooks", Number, nullable=False, server_default="0"),
    # Those that are no default addresses. Their `_id`s are below 0.
    sa.Column("addresses", Number, nullable=False, server_default="0"),
    # The setting of this name as a number, because every write needs it; 0 for none. Customers from
    # the `_id` `rebuild_from` on have search terms of another setting; 0 if none has.
    sa.Column("default_country", Number, nullable=False, server_default="0"),
    sa.Column("rebuild_from", Number, nullable=False, server_default="0"),
)


def add_counter(name: str) -> str:
    """Add the counter of an entity, whose table is defined elsewhere; return its name."""
    counters.append_column(sa.Column(name, Number, nullable=False, server_default="0"))
    return name


# The words and facets by which customers are found, a row for each. The writer deletes them with
# their customer: a foreign key would be checked for each of a dozen rows.
terms = table(
    "terms",
    key("account_id"),
    sa.Column("term", Text, primary_key=True),
    key("customer_id"),
    with_rowid=False,
)

# The history of an account: the changes of its customers, numbered without gaps in the order of
# commits. `fields` is a JSON object of pairs, the values before and after, or null. The deletion of
# the customer sets it to null; nothing else of a row changes. `cause` names what made the change,
# if it was no direct write: `seg_` and the `_id` of a segment, or the id of a job.
history = table(
    "history",
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
    text("cause", nullable=True),
    sa.Index("history_of_customer", "account_id", "customer_id", "sequence"),
    with_rowid=False,
)

# The outcome, as JSON, of a write with an idempotency key: a repeated request returns it. The
# deletion of the customer sets it to null.
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

# `paid` is the amount that the customer has paid; if it is null, the status determines the amount.
# `details` is a JSON object with further values from the shop. `external_ids` is a JSON array.
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
    text("external_ids", nullable=True),
    belongs_to("customers", "customer_id"),
    sa.Index("orders_name", "account_id", "name", unique=True),
    sa.Index("orders_of_customer", "account_id", "customer_id", "created_at", "order_id"),
    # It has all that the figures of a period read: these take a fifth of the time. Partial, so that
    # SQLite does not take it for the orders of a customer. `postgresql_where` would import the
    # dialect at the start of each process; the migration has it.
    sa.Index(
        "orders_of_period",
        "account_id",
        "created_at",
        "customer_id",
        "currency",
        "net_payment",
        sqlite_where=sa.text("test = 0 AND cancelled_at IS NULL"),
    ),
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
    belongs_to("customers", "customer_id"),
    sa.Index("leads_of_customer", "account_id", "customer_id", "created_at", "lead_id"),
)

# A subscription to events of one type. The delivery worker writes the columns from `position` on:
# `position` is the last change of the history that it has read; `next_at`, when a delivery is due;
# `claimed_by` and `claimed_until`, the claim of a worker. A webhook is disabled if `disabled_at` is
# later than `enabled_at`; `paused` says that a client disabled it. `filtered` says that the filters
# in `settings` were checked and apply.
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
    flag("filtered", server_default=sa.false()),
    sa.Index("webhook_targets", "account_id", "url", "type", unique=True),
)

# An event for a webhook. `number` is the number of its change in the history; that of a test is
# negative, and that of the end of a job is none of the history (`jobs/ending.py`). `tries` counts
# the attempts since delivery was last requested. `due_at` is null unless the delivery is pending.
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
    text("job_id", nullable=True),
    belongs_to("webhooks", "webhook_id"),
    sa.Index("deliveries_of_webhook", "account_id", "webhook_id", "created_at", "number"),
    sa.Index("deliveries_due", "account_id", "webhook_id", "due_at"),
    sa.Index("deliveries_created_at", "created_at"),
)

# The attempts of a delivery. `exchange` is a JSON object with the request and the response. The
# deletion of the customer sets it to null.
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
    belongs_to("webhooks", "webhook_id"),
    sa.Index("attempts_of_customer", "account_id", "customer_id"),
    sa.Index("attempts_at", "at"),
)

# The secrets with which an account's events are signed: the current one and the previous one; and
# `inbound`, with which its shop signs, if that is another.
webhook_secrets = table(
    "webhook_secrets",
    key("account_id"),
    text("secret"),
    text("previous", nullable=True),
    number("rotated_at"),
    text("inbound", nullable=True),
)

# The external ids of an account: the id `shop_id` in the system `source`, the type and the `_id` of
# the object, and its customer. The source `shop` is the account's shop. `event` is the number of
# the last event about the object, if the shop is another Regulars. The objects have the same ids in
# their column `external_ids`.
shop_ids = table(
    "shop_ids",
    key("account_id"),
    sa.Column("shop_id", Text, primary_key=True),
    sa.Column("source", Text, primary_key=True, server_default="shop"),
    sa.Column("type", Text, primary_key=True),
    number("number"),
    number("customer_id"),
    sa.Column("event", Number, nullable=False, server_default="0"),
    sa.Index("shop_ids_of_customer", "account_id", "customer_id"),
)

# The emails of customers that are not their default, as `email_key`: each belongs to one customer,
# and is the default of none. The list of a customer is in its column `emails`.
additional_emails = table(
    "additional_emails",
    key("account_id"),
    sa.Column("email_key", Text, primary_key=True),
    number("customer_id"),
    sa.Index("additional_emails_of_customer", "account_id", "customer_id"),
)

# The shop ids of deleted customers, with the time of the deletion, so that a late event does not
# create such a customer again. They are stored as long as events of the inbox. `event` is the
# number of the event of another Regulars that deleted the customer, or 0.
deleted_shop_ids = table(
    "deleted_shop_ids",
    key("account_id"),
    sa.Column("shop_id", Text, primary_key=True),
    key("deleted_at"),
    sa.Column("event", Number, primary_key=True, server_default="0"),
    sa.Index("deleted_shop_ids_deleted_at", "deleted_at"),
)

# Events of a shop that could not be parsed, unchanged.
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

# The emails (as `email_key`) and shop ids in an event of the inbox. The event is deleted with a
# customer that has one of them. An event with too many has an empty key: it names every customer.
# There is no foreign key: Citus accepts none while tables are added.
inbox_keys = table(
    "inbox_keys",
    key("account_id"),
    sa.Column("key", Text, primary_key=True),
    sa.Column("inbox_id", Text, primary_key=True),
    sa.Index("inbox_keys_of_event", "account_id", "inbox_id"),
)

# Jobs: imports of files, bulk edits (`bulk`), undos and, with the kind `pull`, the list of
# another server, which is read from `cursor` on. `first_change` and `last_change` are the range
# of its entries in the history; their cause is its id. `undo_of` is the job that it undoes, and
# `undone_by` the one that undid it. `position` counts the processed rows, each of which is in one
# of the four counts. `last_rejected` has the rejected rows of the last batch as JSON, and after
# `kept` the fields that customers kept; earlier ones are in a file or in parts, up to
# `rejected_at` (bytes of a file, or parts). `source` is JSON: what is read, and how. `problems`
# has examples of problems as JSON. `claimed_until` is the end of a worker's claim.
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
    number("first_change", nullable=True),
    number("last_change", nullable=True),
    text("undo_of", nullable=True),
    text("undone_by", nullable=True),
    sa.Index("imports_created_at", "account_id", "created_at", "import_id"),
)

# The parts of a file that came over HTTP (`file`) and of its rejected rows (`rejected`), in order;
# and those of a job: the ids of its customers (`ids`), and what it kept (`kept`) or rejected.
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
