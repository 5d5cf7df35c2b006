"""Jobs that edit many customers and that undo others, in the table of imports.

The range of a job's entries in the history is stored with it, so that it is undone without an
index. Older programs would run such a job as an import. So jobs are accepted after the contract
part (`jobs.rules.start`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
# Older programs leave what is new at its defaults.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for name in ("first_change", "last_change"):
        op.add_column("imports", sa.Column(name, number, nullable=True))
    for name in ("undo_of", "undone_by"):
        op.add_column("imports", sa.Column(name, text, nullable=True))


def contract() -> None:
    """Excludes the programs that do not know the jobs. Nothing else changes."""
