"""Imports: customers on their way in, how far they have come, and files that came over HTTP."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("account_id", number, nullable=False),
        sa.Column("import_id", text, nullable=False),
        *(
            sa.Column(name, text, nullable=False)
            for name in ("kind", "state", "name", "fingerprint", "source", "actor")
        ),
        sa.Column("size", number),
        *(
            sa.Column(name, number, nullable=False)
            for name in (
                *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
                "rejected_at",
            )
        ),
        sa.Column("last_rejected", text, nullable=False),
        sa.Column("problems", text, nullable=False),
        sa.Column("message", text),
        sa.Column("cursor", text),
        sa.Column("created_at", number, nullable=False),
        sa.Column("updated_at", number, nullable=False),
        sa.Column("ended_at", number),
        sa.Column("claimed_by", text),
        sa.Column("claimed_until", number, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("account_id", "import_id"),
        sqlite_strict=True,
    )
    op.create_index("imports_created_at", "imports", ["account_id", "created_at", "import_id"])
    op.create_table(
        "import_parts",
        sa.Column("account_id", number, nullable=False),
        sa.Column("import_id", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("part", number, nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "import_id", "kind", "part"),
        sa.ForeignKeyConstraint(
            ["account_id", "import_id"],
            ["imports.account_id", "imports.import_id"],
            ondelete="CASCADE",
        ),
        sqlite_strict=True,
    )
