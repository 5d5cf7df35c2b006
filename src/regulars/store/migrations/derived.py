"""Rebuilds the columns and terms that are derived from a customer's other columns, and the words of
comments.

The rules are those of the program that migrates. No migration knows them: migrations change the
tables, and `rebuild` runs after the last one. A migration whose program has other rules says
`rebuilds_search = True`, or `rebuilds_comments = True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

# Returns the derived columns of a customer's row, and its terms, by the `default_country` of the
# counters of its account.
Derive = Callable[[Mapping[str, Any], int], tuple[Mapping[str, str], Iterable[str]]]

# Returns the words of a comment, and their terms.
DeriveWords = Callable[[str], tuple[str, Iterable[str]]]


class Rules(NamedTuple):
    """How the program derives what is searched: of customers, and of comments."""

    of_customer: Derive
    of_comment: DeriveWords


# The released migrations that need a rebuild: 0003 added the columns, and facets have other rules
# since 0004.
REBUILT_BY = ("0003", "0004")
# Customers per batch, of the first batch and at most, and characters. Terms are inserted in their
# order, which fills a B-tree faster. 20,000 customers took 150 MiB more, and as long.
_FIRST_BATCH = 500
_MAX_BATCH = 5_000
_BATCH_CHARACTERS = 4 * 1024 * 1024


def rebuild(connection: sa.Connection, derive: Derive) -> None:
    """Fill the columns and terms by which customers are searched and sorted. Columns that the
    tables do not have yet are left out. Other sessions can read meanwhile, but not write."""
    metadata = sa.MetaData()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE customers IN EXCLUSIVE MODE"))
    connection.execute(sa.text("DELETE FROM terms"))
    customers = sa.Table("customers", metadata, autoload_with=connection)
    terms = sa.Table("terms", metadata, autoload_with=connection)
    keys = (customers.c.account_id, customers.c.customer_id)
    update = customers.update().where(*(key == sa.bindparam(f"of_{key.name}") for key in keys))
    countries = _countries(connection)
    for rows in _batches(connection, customers, customers.c.customer_id):
        derived = [
            (row["account_id"], row["customer_id"], *derive(row, countries(row["account_id"])))
            for row in rows
        ]
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
        entries = sorted((a, term, c) for a, c, _, of_row in derived for term in of_row)
        names = ("account_id", "term", "customer_id")
        connection.execute(terms.insert(), [dict(zip(names, row, strict=True)) for row in entries])


def _countries(connection: sa.Connection) -> Callable[[int], int]:
    """Return a function from an account to its `default_country`, and end the rebuilds that are in
    progress. Tables of earlier versions have no such column."""
    counters = sa.Table("counters", sa.MetaData(), autoload_with=connection)
    if "default_country" not in counters.c:
        return lambda _account_id: 0
    connection.execute(counters.update().values(rebuild_from=0))
    rows = connection.execute(sa.select(counters.c.account_id, counters.c.default_country))
    by_account = {row.account_id: row.default_country for row in rows}
    return lambda account_id: by_account.get(account_id, 0)


def rebuild_comments(connection: sa.Connection, derive: DeriveWords) -> None:
    """Fill the words of all comments, and their terms. Other sessions can read meanwhile, but not
    write comments."""
    metadata = sa.MetaData()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE comments IN EXCLUSIVE MODE"))
    connection.execute(sa.text("DELETE FROM comment_terms"))
    comments = sa.Table("comments", metadata, autoload_with=connection)
    terms = sa.Table("comment_terms", metadata, autoload_with=connection)
    update = comments.update().where(
        comments.c.account_id == sa.bindparam("of_account_id"),
        comments.c.comment_id == sa.bindparam("of_comment_id"),
    )
    for rows in _batches(connection, comments, comments.c.comment_id):
        derived = [(row, *derive(row["text"])) for row in rows]
        connection.execute(
            update.values(words=sa.bindparam("new_words")),
            [
                {
                    "of_account_id": row["account_id"],
                    "of_comment_id": row["comment_id"],
                    "new_words": words,
                }
                for row, words, _ in derived
            ],
        )
        names = ("account_id", "comment_id", "customer_id")
        entries = [
            {**{name: row[name] for name in names}, "term": term}
            for row, _, of_row in derived
            for term in sorted(of_row)
        ]
        if entries:
            connection.execute(terms.insert(), entries)


def _batches(
    connection: sa.Connection, table: sa.Table, key: sa.Column[int]
) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows of a table in batches, in the order of their keys. Long texts make smaller
    batches."""
    keys = sa.tuple_(table.c.account_id, key)
    statement = table.select().order_by(table.c.account_id, key)
    after, size = (0, 0), _FIRST_BATCH
    while True:
        rows = connection.execute(statement.where(keys > after).limit(size)).mappings().all()
        if not rows:
            return
        batch = [dict(row) for row in rows]
        yield batch
        after = (batch[-1]["account_id"], batch[-1][key.name])
        characters = sum(len(v) for row in batch for v in row.values() if isinstance(v, str))
        size = min(_MAX_BATCH, 2 * size, max(1, len(batch) * _BATCH_CHARACTERS // characters))
