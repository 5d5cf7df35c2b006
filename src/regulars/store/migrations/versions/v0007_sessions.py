"""Sessions: how a person's browser comes in with a token, and the links that begin them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("token_id", text, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("expires_at", number, nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], ondelete="CASCADE"),
        sqlite_strict=True,
    )
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])
