"""What a token may do and when it was last used; a customer's version; the answers kept for
requests that are sent again; and how much of its rate a token has used."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    # What a token could do until now.
    scopes = sa.Column("scopes", text, nullable=False, server_default="customers")
    op.add_column("tokens", scopes)
    op.add_column("tokens", sa.Column("last_used_at", number))
    op.add_column("customers", sa.Column("version", number, nullable=False, server_default="1"))
    op.create_table(
        "receipts",
        sa.Column("account_id", number, nullable=False),
        sa.Column("token_id", text, nullable=False),
        sa.Column("key", text, nullable=False),
        sa.Column("part", number, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("customer_id", number),
        sa.Column("outcome", text),
        sa.PrimaryKeyConstraint("account_id", "token_id", "key", "part"),
        sqlite_strict=True,
    )
    op.create_index("receipts_created_at", "receipts", ["created_at"])
    op.create_index("receipts_customer", "receipts", ["account_id", "customer_id"])
    op.create_table(
        "buckets",
        sa.Column("account_id", number, nullable=False),
        sa.Column("token_id", text, nullable=False),
        sa.Column("level", number, nullable=False),
        sa.Column("at", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "token_id"),
        sqlite_strict=True,
    )
