"""People, who sign in with links."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
# Older programs see the token of a person as any other.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("person_id", text, nullable=False),
        sa.Column("account_id", number, nullable=False),
        sa.Column("token_id", text, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("email", text, nullable=True),
        sa.Column("role", text, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("removed_at", number, nullable=True),
        sa.PrimaryKeyConstraint("person_id"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], ondelete="CASCADE"),
        sa.UniqueConstraint("token_id", name="people_token"),
        sqlite_strict=True,
    )
    op.create_index("people_account", "people", ["account_id"])
