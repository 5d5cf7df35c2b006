"""Webhooks whose filters apply. The settings of stored webhooks stay without effect."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
# An older program sends a webhook all events, and no webhook that it creates has filters.
works_with = "0008"

flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "webhooks", sa.Column("filtered", flag, nullable=False, server_default=sa.false())
    )
