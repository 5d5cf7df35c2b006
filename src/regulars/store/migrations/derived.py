"""Fills the columns and terms that are derived from a customer's other columns.

They follow the rules of the program that migrates, which no migration knows: migrations change the
tables, and this runs after the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

# Of a customer's row, the columns made of others, and its terms.
Derive = Callable[[Mapping[str, Any]], tuple[Mapping[str, str], Iterable[str]]]

# Version 0003 added the columns, and the facets of its first programs followed other rules.
SINCE, LAST_OF_OTHER_RULES = "0003", "0003"
# Customers taken together. Their terms are sorted, because a tree is filled faster in its order.
BATCH = 20_000


def fill(connection: sa.Connection, derive: Derive) -> None:
    """Derive what customers are searched and sorted by from all of them, some at a time. Columns
    that the tables do not have yet are left out. Others can read meanwhile, and not write."""
    metadata = sa.MetaData()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE customers IN EXCLUSIVE MODE"))
    connection.execute(sa.text("DELETE FROM terms"))
    customers = sa.Table("customers", metadata, autoload_with=connection)
    terms = sa.Table("terms", metadata, autoload_with=connection)
    keys = (customers.c.account_id, customers.c.customer_id)
    update = customers.update().where(*(key == sa.bindparam(f"of_{key.name}") for key in keys))
    for rows in _batches(connection, customers):
        derived = [(row["account_id"], row["customer_id"], *derive(row)) for row in rows]
        columns = [name for name in derived[0][2] if name in customers.c]
        connection.execute(
            update.values({name: sa.bindparam(f"new_{name}") for name in columns}),
            [
                {
                    "of_account_id": account,
                    "of_customer_id": customer,
                    **{f"new_{name}": values[name] for name in columns},
                }
                for account, customer, values, _ in derived
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
