"""Watched segments, the customers in them, and the cause of a change."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
# Older programs leave what is new at its defaults.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for column in (
        sa.Column("watched", flag, nullable=False, server_default=sa.false()),
        sa.Column("watched_since", number, nullable=True),
        sa.Column("position", number, nullable=True),
        sa.Column("evaluated", text, nullable=True),
        sa.Column("due_at", number, nullable=True),
        sa.Column("announce", flag, nullable=False, server_default=sa.false()),
        sa.Column("claimed_by", text, nullable=True),
        sa.Column("claimed_until", number, nullable=False, server_default="0"),
    ):
        op.add_column("segments", column)
    op.create_index("segments_watched", "segments", ["watched", "account_id", "segment_id"])
    op.create_table(
        "memberships",
        sa.Column("account_id", number, nullable=False),
        sa.Column("segment_id", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("since", number, nullable=False),
        sa.Column("removed_at", number, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "segment_id", "customer_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    columns = ["account_id", "customer_id", "segment_id"]
    op.create_index("memberships_of_customer", "memberships", columns)
    op.create_index("memberships_removed_at", "memberships", ["removed_at"])
    op.add_column("history", sa.Column("cause", text, nullable=True))
