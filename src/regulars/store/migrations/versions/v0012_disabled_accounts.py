"""Disabled accounts, and the greatest id of a deleted account, which is not used again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
# An older program still accepts the tokens of a disabled account.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("disabled_at", number, nullable=True))
    op.add_column("compatibility", sa.Column("last_deleted_account", number, nullable=True))
