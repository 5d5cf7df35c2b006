"""Which programs can work with the tables: so that two versions can serve one database."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    table = op.create_table(
        "compatibility",
        sa.Column("one", number, nullable=False),
        sa.Column("oldest", text, nullable=False),
        sa.Column("finished", text, nullable=False),
        sa.PrimaryKeyConstraint("one"),
        sqlite_strict=True,
    )
    op.bulk_insert(table, [{"one": 1, "oldest": revision, "finished": revision}])
