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
