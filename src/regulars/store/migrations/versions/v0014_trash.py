"""Settings of accounts, and the trash of deleted customers."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
# An older program deletes customers permanently.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("settings", text, nullable=True))
    op.create_table(
        "trash",
        sa.Column("account_id", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("deleted_at", number, nullable=False),
        sa.Column("purge_at", number, nullable=False),
        sa.Column("email", text, nullable=False),
        sa.Column("full_name", text, nullable=False),
        sa.Column("orders_count", number, nullable=False),
        sa.Column("actor_kind", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("size", number, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "customer_id"),
        sqlite_strict=True,
    )
    op.create_index("trash_deleted_at", "trash", ["account_id", "deleted_at", "customer_id"])
    op.create_index("trash_purge_at", "trash", ["purge_at"])
    op.create_table(
        "trash_keys",
        sa.Column("account_id", number, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("value", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", "value", "customer_id"),
        sqlite_strict=True,
    )
    op.create_index("trash_keys_of_customer", "trash_keys", ["account_id", "customer_id"])
