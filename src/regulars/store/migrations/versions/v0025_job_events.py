"""The job of a delivery: jobs that end are events of webhooks.

Older programs end jobs without an event. So a webhook of these events is accepted after the
contract part of the jobs (`webhooks.job_events.require_jobs`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
# Older programs leave what is new at its default.
works_with = "0008"

text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("job_id", text, nullable=True))
