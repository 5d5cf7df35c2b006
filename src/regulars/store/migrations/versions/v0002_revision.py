"""How many batches have changed an account: a writer sees that another was faster."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("counters", sa.Column("revision", number, nullable=False, server_default="0"))
