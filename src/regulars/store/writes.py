"""What is written.

On PostgreSQL a batch is one statement, and a set of rows travels as one array for each column; on
SQLite there is a statement for each kind of change, run for each row within the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from regulars.store.queries import COUNTERS
from regulars.store.query import Query, any_of, number
from regulars.store.tables import (
    counters,
    customers,
    metadata,
    orders,
    receipts,
    shop_ids,
    terms,
    webhooks,
)
from regulars.store.writer import Changes, Row, State


@cache
def insert_one(table: sa.Table) -> Query:
    """One row; a parameter for each column, of its name."""
    return Query(
        table.insert().values({c.name: sa.bindparam(c.name, type_=c.type) for c in table.c})
    )


@lru_cache(maxsize=1_000)
def update_one(columns: tuple[str, ...]) -> Query:
    """Columns of one customer; a parameter for each, and for the keys, of its name."""
    statement = customers.update().where(
        customers.c.account_id == number("only_account"),
        customers.c.customer_id == number("only_customer"),
    )
    parameters = {name: sa.bindparam(name, type_=customers.c[name].type) for name in columns}
    return Query(statement.values(parameters))


# What the writer changes of rows that it updates as a whole.
_EDITED = {
    "orders": tuple(str(c.name) for c in orders.c if not c.primary_key),
    "webhooks": ("type", "url", "settings", "updated_at", "enabled_at"),
    "imports": (
        "position",
        "bytes_read",
        "created",
        "updated",
        "unchanged",
        "rejected",
        "rejected_at",
        "last_rejected",
        "problems",
        "cursor",
        "updated_at",
    ),
}


@cache
def update_whole(table_name: str) -> Query:
    """One row of a table; a parameter for each column, of its name."""
    table = metadata.tables[table_name]
    keys = [c == sa.bindparam(c.name, type_=c.type) for c in table.primary_key]
    values = {n: sa.bindparam(n, type_=table.c[n].type) for n in _EDITED[table_name]}
    return Query(table.update().where(*keys).values(values))


@cache
def delete_customers() -> Query:
    """The customers `ids`, with what belongs to them."""
    statement = customers.delete().where(customers.c.account_id == number("account_id"))
    return Query(statement.where(any_of(customers.c.customer_id, "ids")))


# What holds values of customers elsewhere than in their own rows: forgotten with the customer.
BLANKED = {"receipts": "outcome", "history": "fields", "attempts": "exchange"}


@cache
def blank(table_name: str) -> Query:
    """Forgets what a table keeps of the customers `ids`."""
    return Query(_blank(table_name, number("account_id"), "ids", sa.and_))


def _blank(
    table_name: str,
    account_id: sa.ColumnElement[int],
    ids: str,
    after: Callable[..., sa.ColumnElement[bool]],
) -> sa.Update:
    table, column = metadata.tables[table_name], BLANKED[table_name]
    theirs = (table.c.account_id == account_id, any_of(table.c.customer_id, ids))
    statement = table.update().where(after(*theirs, table.c[column].is_not(None)))
    return statement.values({column: sa.null()})


@cache
def delete_shop_ids() -> Query:
    """What a shop called the customers `ids`, and what was theirs."""
    statement = shop_ids.delete().where(shop_ids.c.account_id == number("account_id"))
    return Query(statement.where(any_of(shop_ids.c.customer_id, "ids")))


@cache
def delete_webhooks() -> Query:
    """The webhooks `ids`, with what was delivered to them."""
    statement = webhooks.delete().where(webhooks.c.account_id == number("account_id"))
    return Query(statement.where(any_of(webhooks.c.webhook_id, "ids")))


@cache
def delete_receipts() -> Query:
    """The receipts that others take the place of."""
    return Query(receipts.delete().where(_replaced(number("account_id"))))


def _replaced(account_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return sa.and_(
        receipts.c.account_id == account_id,
        any_of(receipts.c.key, "receipt_keys"),
        receipts.c.created_at <= number("receipts_before"),
    )


def replaced_receipts(account_id: int, changes: Changes) -> dict[str, Any]:
    """The parameters of `delete_receipts`."""
    return {
        "account_id": account_id,
        "receipt_keys": [row["key"] for row in changes.inserted_receipts],
        "receipts_before": changes.receipts_before,
    }


@cache
def forget_receipts() -> Query:
    """The receipts of every account that were made at `receipts_before` or earlier."""
    return Query(receipts.delete().where(receipts.c.created_at <= number("receipts_before")))


@cache
def set_counters() -> Query:
    """The account's counters, and one more for its revision, if the revision is still that of the
    parameter."""
    return Query(_hold())


def _hold() -> sa.Update:
    statement = counters.update().where(
        counters.c.account_id == number("only_account"),
        counters.c.revision == number("only_revision"),
    )
    changed = {name: number(f"last_{name}") for name in COUNTERS}
    return statement.values(revision=counters.c.revision + 1, **changed)


def counters_after(account_id: int, state: State, changes: Changes) -> dict[str, int]:
    """The parameters of `set_counters`."""
    after = {**state.counters, **changes.counters}
    return {
        "only_account": account_id,
        "only_revision": state.revision,
        **{f"last_{name}": after[name] for name in COUNTERS},
    }


@cache
def remove_term() -> Query:
    """One row of the terms; a parameter for each column, in its order."""
    same = [column == sa.bindparam(column.name, type_=column.type) for column in terms.c]
    return Query(terms.delete().where(*same))


MAX_UPDATES = 3


class Shape(NamedTuple):
    """What kinds of changes a batch makes: whether customers are deleted, and webhooks; which
    columns of customers are updated together; in which tables rows are updated as a whole, and
    into which they are inserted; and whether customers lose terms, and get new ones."""

    deletes: bool
    fewer_webhooks: bool
    updates: tuple[tuple[str, ...], ...]
    whole: tuple[str, ...]
    inserts: tuple[str, ...]
    removes: bool
    adds: bool


@lru_cache(maxsize=1_000)
def save(shape: Shape) -> Query:
    """All the changes of a batch in one statement (PostgreSQL): 1 if they were made, 0 if the
    account has another revision than the batch was decided on, and nothing was changed.

    Each part's parameters have its name before theirs. Parts have no order of their own
    (PostgreSQL, section 7.8.4), and an email that a delete frees may be given away by an insert: so
    each part waits for the one before it.
    """
    held = _hold().returning(sa.literal_column("1").label("done")).cte("held")
    parts = [held]

    def after(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        done = sa.select(sa.func.count()).select_from(parts[-1]).scalar_subquery()
        return sa.and_(
            sa.exists(sa.select(held.c.done)), done >= sa.literal_column("0"), *conditions
        )

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        return sa.select(number("only_account"), *columns).where(after())

    for name, statement in _changes(shape, after, rows):
        parts.append(statement.returning(sa.literal_column("1").label("done")).cte(name))
    counted = sa.select(sa.func.count()).select_from(held)
    return Query(counted.add_cte(*parts))


@lru_cache(maxsize=1_000)
def save_in_steps(shape: Shape) -> tuple[Query, ...]:
    """All the changes of a batch as statements of one transaction, each of which Citus sends to the
    account's node as it is: it takes no INSERT within another statement, and rows for the one node
    only where they are selected together with a row of the account's. The first answers a row,
    unless the account has another revision than the batch was decided on; then the others must not
    be made. The parameters are those of `save`."""

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        mine = counters.c.account_id == number("only_account")
        return sa.select(counters.c.account_id, *columns).where(mine)

    held: Any = _hold().returning(sa.literal_column("1").label("done"))
    steps = (statement for _, statement in _changes(shape, sa.and_, rows))
    return tuple(map(Query, (held, *steps)))


def _changes(
    shape: Shape,
    after: Callable[..., sa.ColumnElement[bool]],
    rows_of: Callable[[Sequence[sa.ColumnElement[Any]]], sa.Select[Any]],
) -> Iterator[tuple[str, sa.Delete | sa.Update | sa.Insert]]:
    """What a batch changes, in its order: a name, and the statement. `after` is the condition on
    which it is made, in addition to those given; `rows_of` selects the account and the columns of
    rows to insert."""
    deletes, fewer_webhooks, updates, whole, inserts, removes, adds = shape
    mine = customers.c.account_id == number("only_account")
    if deletes:
        named = any_of(customers.c.customer_id, "deleted_ids")
        yield "deleted", customers.delete().where(after(mine, named))
        for name in BLANKED:
            yield f"blanked_{name}", _blank(name, number("only_account"), "deleted_ids", after)
        theirs = any_of(shop_ids.c.customer_id, "deleted_ids")
        of_account = shop_ids.c.account_id == number("only_account")
        yield "deleted_shop_ids", shop_ids.delete().where(after(of_account, theirs))
    if fewer_webhooks:
        named = any_of(webhooks.c.webhook_id, "deleted_webhooks")
        of_account = webhooks.c.account_id == number("only_account")
        yield "deleted_webhooks", webhooks.delete().where(after(of_account, named))
    for place, columns in enumerate(updates):
        rows = _arrays([customers.c[name] for name in ("customer_id", *columns)], f"u{place}_")
        same = customers.c.customer_id == rows.c.customer_id
        update = customers.update().where(after(mine, same))
        yield f"updated_{place}", update.values({name: rows.c[name] for name in columns})
    for name in whole:
        table = metadata.tables[name]
        key, (account, own) = f"updated_{name}", table.primary_key.columns
        rows = _arrays([table.c[column] for column in (own.name, *_EDITED[name])], f"{key}_")
        same = sa.and_(account == number("only_account"), own == rows.c[own.name])
        values = {column: rows.c[column] for column in _EDITED[name]}
        yield key, table.update().where(after(same)).values(values)
    if removes:
        lost = _terms("removed_").subquery("lost")
        same = sa.and_(*(terms.c[name] == lost.c[name] for name in ("term", "customer_id")))
        of_account = terms.c.account_id == number("only_account")
        yield "removed", terms.delete().where(after(of_account, same))
    if receipts.name in inserts:
        yield "replaced", receipts.delete().where(after(_replaced(number("only_account"))))
    for name in inserts:
        table = metadata.tables[name]
        others = [column for column in table.c if column.name != "account_id"]
        chosen = rows_of(list(_arrays(others, f"{name}_").columns))
        names = ["account_id", *(str(column.name) for column in others)]
        yield f"inserted_{name}", table.insert().from_select(names, chosen)
    if adds:
        new = _terms("added_").subquery("new")
        chosen = rows_of([new.c.term, new.c.customer_id])
        yield "added", terms.insert().from_select([c.name for c in terms.c], chosen)


def shape_of(changes: Changes) -> Shape:
    """The shape of the statement that saves the changes."""
    return Shape(
        bool(changes.deleted_customers),
        bool(changes.deleted_webhooks),
        tuple(columns for columns, _ in _updated(changes)),
        tuple(name for name, rows in changes.updated.items() if rows),
        tuple(name for name, rows in _inserted(changes) if rows),
        bool(changes.removed_terms),
        bool(changes.added_terms),
    )


def save_parameters(account_id: int, state: State, changes: Changes) -> dict[str, Any]:
    """The parameters of `save`."""
    parameters: dict[str, Any] = counters_after(account_id, state, changes)
    parameters["deleted_ids"] = list(changes.deleted_customers)
    parameters["deleted_webhooks"] = list(changes.deleted_webhooks)
    parameters |= replaced_receipts(account_id, changes)
    for place, (columns, rows) in enumerate(_updated(changes)):
        for name in ("customer_id", *columns):
            parameters[f"u{place}_{name}"] = [row[name] for row in rows]
    whole = [(f"updated_{name}", rows) for name, rows in changes.updated.items()]
    for table, rows in [*_inserted(changes), *whole]:
        for name in rows[0] if rows else ():
            parameters[f"{table}_{name}"] = [row[name] for row in rows]
    for prefix, found in (("added", changes.added_terms), ("removed", changes.removed_terms)):
        parameters[f"{prefix}_ids"] = list(found)
        parameters[f"{prefix}_terms"] = ["\n".join(each) for each in found.values()]
    return parameters


def _updated(changes: Changes) -> list[tuple[tuple[str, ...], Sequence[Row]]]:
    """The rows to update, by the columns that change; all in one part when those are of many
    kinds, because each combination of them is a statement to prepare."""
    updated = changes.updated_customers
    if len(updated) <= MAX_UPDATES:
        return sorted(updated.items())
    columns = tuple(sorted({name for names in updated for name in names}))
    return [(columns, [row for rows in updated.values() for row in rows])]


def _inserted(changes: Changes) -> list[tuple[str, Sequence[Row]]]:
    """The rows to insert, by their table, in the order in which they refer to each other."""
    return [
        ("customers", changes.inserted_customers),
        ("orders", changes.inserted_orders),
        ("leads", changes.inserted_leads),
        ("receipts", changes.inserted_receipts),
        ("history", changes.inserted_changes),
        ("webhooks", changes.inserted_webhooks),
        ("shop_ids", changes.inserted_shop_ids),
    ]


def _arrays(of: Iterable[sa.Column[Any]], prefix: str) -> sa.TableValuedAlias:
    """Rows made of an array parameter for each column, of its name after the prefix."""
    typed = list(of)
    arrays = [sa.bindparam(prefix + c.name, type_=postgresql.ARRAY(c.type)) for c in typed]
    columns = [sa.column(c.name, c.type) for c in typed]
    return sa.func.unnest(*arrays).table_valued(*columns).render_derived()


def _terms(prefix: str) -> sa.Select[Any]:
    """Terms and their customers, of an array of customers and one of the terms of each, in lines:
    an element for each term would take longer to send than to store."""
    ids = sa.bindparam(f"{prefix}ids", type_=postgresql.ARRAY(terms.c.customer_id.type))
    lines = sa.bindparam(f"{prefix}terms", type_=postgresql.ARRAY(terms.c.term.type))
    columns = (sa.column("customer_id", terms.c.customer_id.type), sa.column("lines", sa.Text()))
    each = sa.func.unnest(ids, lines).table_valued(*columns).render_derived()
    term = sa.func.unnest(sa.func.string_to_array(each.c.lines, sa.literal_column("E'\\n'")))
    return sa.select(term.label("term"), each.c.customer_id)
