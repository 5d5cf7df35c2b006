"""Comments about customers.

Older programs would lose them when they move a customer to the trash. So they are accepted after
the contract part (`_VERSION` in `comments/rules.py`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
# Older programs leave the counter at its default.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "comments",
        sa.Column("account_id", number, nullable=False),
        sa.Column("comment_id", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("text", text, nullable=False),
        sa.Column("pinned", number, nullable=False, server_default="0"),
        sa.Column("private", flag, nullable=False, server_default=sa.false()),
        sa.Column("edited", flag, nullable=False, server_default=sa.false()),
        sa.Column("token_id", text, nullable=False),
        sa.Column("actor_kind", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("updated_at", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "comment_id"),
        sa.ForeignKeyConstraint(
            ["account_id", "customer_id"],
            ["customers.account_id", "customers.customer_id"],
            ondelete="CASCADE",
        ),
        sqlite_strict=True,
    )
    columns = ["account_id", "customer_id", "pinned", "created_at", "comment_id"]
    op.create_index("comments_of_customer", "comments", columns)
    op.add_column("counters", sa.Column("comments", number, nullable=False, server_default="0"))


def contract() -> None:
    """Excludes the programs that do not know comments. Nothing else changes."""
