"""Rebuilds the columns and terms of the search index, which are derived from a customer's other
columns.

The rules are those of the program that migrates. No migration knows them: migrations change the
tables, and `rebuild` runs after the last one. A migration whose program has other rules says
`rebuilds_search = True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

# Returns the derived columns of a customer's row, and its terms.
Derive = Callable[[Mapping[str, Any]], tuple[Mapping[str, str], Iterable[str]]]

# The released migrations that need a rebuild: 0003 added the columns, and facets have other rules
# since 0004.
REBUILT_BY = ("0003", "0004")
COLUMNS = ("words", "notes_words", "facets")
# Customers per batch. Terms are inserted in their order, which fills a B-tree faster.
BATCH = 20_000


def rebuild(connection: sa.Connection, derive: Derive) -> None:
    """Derive the search index of all stored customers."""
    metadata = sa.MetaData()
    connection.execute(sa.text("DELETE FROM terms"))
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
        entries = sorted((a, term, c) for a, c, _, of_row in derived for term in of_row)
        names = ("account_id", "term", "customer_id")
        connection.execute(terms.insert(), [dict(zip(names, row, strict=True)) for row in entries])


def _batches(connection: sa.Connection, customers: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """All customers, in batches, in the order of their keys."""
    keys = sa.tuple_(customers.c.account_id, customers.c.customer_id)
    statement = customers.select().order_by(customers.c.account_id, customers.c.customer_id)
    after = (0, 0)
    while True:
        rows = connection.execute(statement.where(keys > after).limit(BATCH)).mappings().all()
        if not rows:
            return
        yield [dict(row) for row in rows]
        after = (rows[-1]["account_id"], rows[-1]["customer_id"])
