"""Segments: saved searches."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
# Older programs leave what is new at its defaults.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("account_id", number, nullable=False),
        sa.Column("segment_id", number, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("name_key", text, nullable=False),
        sa.Column("description", text, nullable=False),
        sa.Column("query", text, nullable=False),
        sa.Column("settings", text, nullable=True),
        sa.Column("language", number, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("updated_at", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "segment_id"),
        sqlite_strict=True,
    )
    op.create_index("segments_name", "segments", ["account_id", "name_key"], unique=True)
    op.add_column("counters", sa.Column("segments", number, nullable=False, server_default="0"))
