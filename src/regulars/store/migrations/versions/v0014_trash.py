"""Settings of accounts, and the trash of deleted customers.

The key of `deleted_shop_ids` has the number of an event, so that an older program still inserts its
rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
# An older program deletes customers permanently.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


DELETED_KEY = ("account_id", "shop_id", "deleted_at", "event")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("settings", text, nullable=True))
    op.create_table(
        "trash",
        sa.Column("account_id", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("deleted_at", number, nullable=False),
        sa.Column("purge_at", number, nullable=False),
        sa.Column("email", text, nullable=False),
        sa.Column("full_name", text, nullable=False),
        sa.Column("orders_count", number, nullable=False),
        sa.Column("actor_kind", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("size", number, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "customer_id"),
        sqlite_strict=True,
    )
    op.create_index("trash_deleted_at", "trash", ["account_id", "deleted_at", "customer_id"])
    op.create_index("trash_purge_at", "trash", ["purge_at"])
    op.create_table(
        "trash_keys",
        sa.Column("account_id", number, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("value", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", "value", "customer_id"),
        sqlite_strict=True,
    )
    op.create_index("trash_keys_of_customer", "trash_keys", ["account_id", "customer_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("deleted_shop_ids", _event())
        op.drop_constraint("deleted_shop_ids_pkey", "deleted_shop_ids")
        op.create_primary_key("deleted_shop_ids_pkey", "deleted_shop_ids", list(DELETED_KEY))
    else:
        _create_again()
        _describe_history()


def _event() -> sa.Column[int]:
    return sa.Column("event", number, nullable=False, server_default="0")


def _create_again() -> None:
    """SQLite cannot change the key of a table."""
    names = DELETED_KEY[:-1]
    op.drop_index("deleted_shop_ids_deleted_at", "deleted_shop_ids")
    op.rename_table("deleted_shop_ids", "former_deleted_shop_ids")
    table = op.create_table(
        "deleted_shop_ids",
        sa.Column("account_id", number, nullable=False),
        sa.Column("shop_id", text, nullable=False),
        sa.Column("deleted_at", number, nullable=False),
        _event(),
        sa.PrimaryKeyConstraint(*DELETED_KEY),
        sqlite_strict=True,
    )
    former = sa.table("former_deleted_shop_ids", *map(sa.column, names))
    op.get_bind().execute(table.insert().from_select(names, sa.select(former)))
    op.drop_table("former_deleted_shop_ids")
    op.create_index("deleted_shop_ids_deleted_at", "deleted_shop_ids", ["deleted_at"])


def _describe_history() -> None:
    """Tell SQLite that an account has many changes. Without statistics it takes all accounts for
    small, and reads the whole history for the changes of a few customers. The statistics of a
    database that was analyzed stay."""
    op.execute("ANALYZE trash")  # creates the table of the statistics
    insert = sa.text(
        "INSERT INTO sqlite_stat1 SELECT 'history', :index_name, :statistics WHERE NOT EXISTS "
        "(SELECT 1 FROM sqlite_stat1 WHERE tbl = 'history' AND idx = :index_name)"
    )
    for index, statistics in (
        ("history", "1000000 100000 1"),
        ("history_of_customer", "1000000 100000 10 1"),
    ):
        op.get_bind().execute(insert, {"index_name": index, "statistics": statistics})
