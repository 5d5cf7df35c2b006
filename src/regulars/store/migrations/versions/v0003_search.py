"""What customers are found by: words, facets, and the terms that index them."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

COLUMNS = ("words", "notes_words", "facets")
# Customers taken together. Their terms are sorted, because a tree is filled faster in its order.
BATCH = 20_000


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("customers", sa.Column(name, text, nullable=False, server_default=""))
    op.create_table(
        "terms",
        sa.Column("account_id", number, nullable=False),
        sa.Column("term", text, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "term", "customer_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _fill(op.get_bind())
    op.create_index(
        "customers_accepts_marketing",
        "customers",
        ["account_id", "accepts_marketing", "customer_id"],
    )


def _fill(connection: sa.Connection) -> None:
    """Derives what is searched from the customers that there are."""
    derive = context.config.attributes["derive"]
    metadata = sa.MetaData()
    customers = sa.Table("customers", metadata, autoload_with=connection)
    terms = sa.Table("terms", metadata, autoload_with=connection)
    keys = (customers.c.account_id, customers.c.customer_id)
    update = customers.update().where(*(key == sa.bindparam(f"of_{key.name}") for key in keys))
    update = update.values({name: sa.bindparam(f"new_{name}") for name in COLUMNS})
    for rows in _batches(connection, customers):
        derived = [(row["account_id"], row["customer_id"], *derive(row)) for row in rows]
        connection.execute(
            update,
            [
                {
                    "of_account_id": account,
                    "of_customer_id": customer,
                    **{f"new_{name}": columns[name] for name in COLUMNS},
                }
                for account, customer, columns, _ in derived
            ],
        )
        found = sorted((a, term, c) for a, c, _, of_row in derived for term in of_row)
        names = ("account_id", "term", "customer_id")
        connection.execute(terms.insert(), [dict(zip(names, row, strict=True)) for row in found])


def _batches(connection: sa.Connection, customers: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """All customers as they were, some at a time, in the order of their keys."""
    keys = sa.tuple_(customers.c.account_id, customers.c.customer_id)
    statement = customers.select().order_by(customers.c.account_id, customers.c.customer_id)
    after = (0, 0)
    while True:
        found = connection.execute(statement.where(keys > after).limit(BATCH)).mappings().all()
        if not found:
            return
        yield [dict(row) for row in found]
        after = (found[-1]["account_id"], found[-1]["customer_id"])
