"""What customers are found by: words, facets, and the terms that index them.

`regulars.store.migrations.derived` fills them, once all tables are those of the program that
migrates.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

COLUMNS = ("words", "notes_words", "facets")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("customers", sa.Column(name, text, nullable=False, server_default=""))
    op.create_table(
        "terms",
        sa.Column("account_id", number, nullable=False),
        sa.Column("term", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "term", "customer_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "customers_accepts_marketing",
        "customers",
        ["account_id", "accepts_marketing", "customer_id"],
    )
