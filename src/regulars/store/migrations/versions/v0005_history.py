"""The history: a row for each change of a customer. Customers who are there already have been
created at some moment: so the history of an account tells of each, and can be followed from its
beginning. What else a shop tells of an order. Webhooks, and what was delivered to them;
the ids that a shop gave, and events of it that could not be understood."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_CREATED = """
INSERT INTO history (account_id, sequence, customer_id, kind, at, actor_kind, actor)
SELECT account_id, row_number() OVER (PARTITION BY account_id ORDER BY customer_id), customer_id,
    'created', created_at, 'command_line', 'regulars migrate'
FROM customers
"""
_COUNTED = """
UPDATE counters SET changes = (
    SELECT count(*) FROM history WHERE history.account_id = counters.account_id
)
"""


def upgrade() -> None:
    for name in ("changes", "webhooks"):
        op.add_column("counters", sa.Column(name, number, nullable=False, server_default="0"))
    op.create_table(
        "history",
        sa.Column("account_id", number, nullable=False),
        sa.Column("sequence", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("at", number, nullable=False),
        sa.Column("actor_kind", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("request_id", text),
        sa.Column("fields", text),
        sa.Column("order_id", number),
        sa.PrimaryKeyConstraint("account_id", "sequence"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("history_of_customer", "history", ["account_id", "customer_id", "sequence"])
    op.add_column("orders", sa.Column("paid", number))
    op.add_column("orders", sa.Column("details", text))
    _webhooks()
    op.execute(_CREATED)
    op.execute(_COUNTED)


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("account_id", number, nullable=False),
        sa.Column("webhook_id", number, nullable=False),
        sa.Column("type", text, nullable=False),
        sa.Column("url", text, nullable=False),
        sa.Column("settings", text, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("updated_at", number, nullable=False),
        sa.Column("enabled_at", number, nullable=False),
        sa.Column("position", number, nullable=False),
        sa.Column("next_at", number),
        sa.Column("claimed_by", text),
        sa.Column("claimed_until", number, nullable=False, server_default="0"),
        sa.Column("disabled_at", number),
        sa.Column("disabled_reason", text),
        sa.PrimaryKeyConstraint("account_id", "webhook_id"),
        sqlite_strict=True,
    )
    op.create_index("webhook_targets", "webhooks", ["account_id", "url", "type"], unique=True)
    op.create_table(
        "deliveries",
        sa.Column("account_id", number, nullable=False),
        sa.Column("webhook_id", number, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("customer_id", number),
        sa.Column("state", text, nullable=False),
        sa.Column("attempts", number, nullable=False, server_default="0"),
        sa.Column("tries", number, nullable=False, server_default="0"),
        sa.Column("due_at", number),
        sa.Column("created_at", number, nullable=False),
        sa.Column("ended_at", number),
        sa.PrimaryKeyConstraint("account_id", "webhook_id", "number"),
        sa.ForeignKeyConstraint(
            ["account_id", "webhook_id"],
            ["webhooks.account_id", "webhooks.webhook_id"],
            ondelete="CASCADE",
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "deliveries_of_webhook", "deliveries", ["account_id", "webhook_id", "created_at", "number"]
    )
    op.create_index("deliveries_due", "deliveries", ["account_id", "webhook_id", "due_at"])
    op.create_index("deliveries_created_at", "deliveries", ["created_at"])
    op.create_table(
        "attempts",
        sa.Column("account_id", number, nullable=False),
        sa.Column("webhook_id", number, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("attempt", number, nullable=False),
        sa.Column("customer_id", number),
        sa.Column("at", number, nullable=False),
        sa.Column("milliseconds", number, nullable=False),
        sa.Column("status", number),
        sa.Column("error", text),
        sa.Column("exchange", text),
        sa.PrimaryKeyConstraint("account_id", "webhook_id", "number", "attempt"),
        sa.ForeignKeyConstraint(
            ["account_id", "webhook_id"],
            ["webhooks.account_id", "webhooks.webhook_id"],
            ondelete="CASCADE",
        ),
        sqlite_strict=True,
    )
    op.create_index("attempts_of_customer", "attempts", ["account_id", "customer_id"])
    op.create_index("attempts_at", "attempts", ["at"])
    op.create_table(
        "webhook_secrets",
        sa.Column("account_id", number, nullable=False),
        sa.Column("secret", text, nullable=False),
        sa.Column("previous", text),
        sa.Column("rotated_at", number, nullable=False),
        sa.Column("inbound", text),
        sa.PrimaryKeyConstraint("account_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "shop_ids",
        sa.Column("account_id", number, nullable=False),
        sa.Column("shop_id", text, nullable=False),
        sa.Column("type", text, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "shop_id"),
        sqlite_strict=True,
    )
    op.create_index("shop_ids_of_customer", "shop_ids", ["account_id", "customer_id"])
    op.create_table(
        "inbox",
        sa.Column("account_id", number, nullable=False),
        sa.Column("inbox_id", text, nullable=False),
        sa.Column("type", text, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("problem", text, nullable=False),
        sa.Column("received_at", number, nullable=False),
        sa.Column("times", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "inbox_id"),
        sqlite_strict=True,
    )
