"""The words of comments, by which customers are searched.

Programs without it write comments without words, so the words of all comments are derived again
after the contract part.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
# Older programs leave the words at their default.
works_with = "0008"
rebuilds_comments = True

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("comments", sa.Column("words", text, nullable=False, server_default=""))
    op.create_table(
        "comment_terms",
        sa.Column("account_id", number, nullable=False),
        sa.Column("comment_id", number, nullable=False),
        sa.Column("term", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "comment_id", "term"),
        sa.ForeignKeyConstraint(
            ["account_id", "comment_id"],
            ["comments.account_id", "comments.comment_id"],
            ondelete="CASCADE",
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    columns = ["account_id", "term", "customer_id"]
    op.create_index("comment_terms_of_words", "comment_terms", columns)
