"""The history: a row for each change of a customer. Customers who are there already have been
created at some moment: so the history of an account tells of each, and can be followed from its
beginning."""

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
    op.add_column("counters", sa.Column("changes", number, nullable=False, server_default="0"))
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
    op.execute(_CREATED)
    op.execute(_COUNTED)
