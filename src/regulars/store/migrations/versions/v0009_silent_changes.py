"""Silent changes, which are sent to no webhook, and webhooks that are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
# An older program writes no silent changes, and takes a paused webhook for a disabled one.
works_with = "0008"

flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table, name in (("history", "silent"), ("webhooks", "paused")):
        op.add_column(table, sa.Column(name, flag, nullable=False, server_default=sa.false()))
