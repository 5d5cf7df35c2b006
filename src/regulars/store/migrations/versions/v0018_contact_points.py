"""The lists of a customer's emails and phones, and the emails that are not the default.

Older programs know the default only: they would give another email to a second customer. So the
lists are accepted after the contract part (`CustomerUnitOfWork.accepts_lists`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
# Older programs leave what is new at its defaults.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for name in ("emails", "phones"):
        op.add_column("customers", sa.Column(name, text, nullable=True))
    op.create_table(
        "additional_emails",
        sa.Column("account_id", number, nullable=False),
        sa.Column("email_key", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "email_key"),
        sqlite_strict=True,
    )
    columns = ["account_id", "customer_id"]
    op.create_index("additional_emails_of_customer", "additional_emails", columns)


def contract() -> None:
    """Excludes the programs that do not know the lists. Nothing else changes."""
