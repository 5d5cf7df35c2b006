"""A batch as one statement (PostgreSQL), or as several of one transaction (Citus): a set of rows
travels as one array for each column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from regulars.store.query import Query, any_of, number
from regulars.store.tables import (
    counters,
    customers,
    deleted_shop_ids,
    metadata,
    receipts,
    shop_ids,
    terms,
    webhooks,
)
from regulars.store.writer import Changes, Row, State
from regulars.store.writes import (
    BLANKED,
    INBOX,
    blanked,
    counters_after,
    deleted_ids,
    deleted_inbox,
    hold,
    replaced,
    replaced_receipts,
    skipped,
    updated,
)

MAX_UPDATES = 3
# The part that notes the ids that deleted customers had in the shop: there may be none.
_NOTED = "noted_shop_ids"


class Shape(NamedTuple):
    """What kinds of changes a batch makes: whether customers are deleted, and webhooks; which
    columns of customers are updated together, and of which other tables; whether deliveries are
    skipped; into which tables rows are inserted; and whether customers lose terms, and get new
    ones."""

    deletes: bool
    fewer_webhooks: bool
    updates: tuple[tuple[str, ...], ...]
    others: tuple[tuple[str, tuple[str, ...]], ...]
    skips: bool
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
    held = hold().returning(sa.literal_column("1").label("done")).cte("held")
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
def save_in_steps(shape: Shape) -> tuple[Query, tuple[tuple[Query, bool], ...]]:
    """All the changes of a batch as statements of one transaction, each of which Citus sends to the
    account's node as it is: it takes no INSERT within another statement, and rows for the one node
    only where they are selected together with a row of the account's. The first answers a row,
    unless the account has another revision than the batch was decided on; then the others must not
    be made. The parameters are those of `save`.

    With each of the others comes whether it must insert rows, if it is an INSERT. Where it inserts
    none, the first was made on a part of the tables that the account has
    left since: Citus lets a statement that has waited for a split go on without holding the new
    part, which may then be moved. Nothing of the batch may be kept.
    """

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        mine = counters.c.account_id == number("only_account")
        held_here = counters.c.revision == number("only_revision") + 1
        return sa.select(counters.c.account_id, *columns).where(mine, held_here)

    held = Query(hold().returning(sa.literal_column("1").label("done")))
    steps = _changes(shape, sa.and_, rows)
    return held, tuple((Query(statement), name != _NOTED) for name, statement in steps)


def _changes(
    shape: Shape,
    after: Callable[..., sa.ColumnElement[bool]],
    rows_of: Callable[[Sequence[sa.ColumnElement[Any]]], sa.Select[Any]],
) -> Iterator[tuple[str, sa.Delete | sa.Update | sa.Insert]]:
    """What a batch changes, in its order: a name, and the statement. `after` is the condition on
    which it is made, in addition to those given; `rows_of` selects the account and the columns of
    rows to insert."""
    deletes, fewer_webhooks, updates, others, skips, inserts, removes, adds = shape
    mine = customers.c.account_id == number("only_account")
    if deletes:
        account_id = number("only_account")
        for events in INBOX:
            forgotten = deleted_inbox(events, account_id, "deleted_ids", after)
            yield f"deleted_from_{events.name}", forgotten
        named = any_of(customers.c.customer_id, "deleted_ids")
        yield "deleted", customers.delete().where(after(mine, named))
        for name in BLANKED:
            yield f"blanked_{name}", blanked(name, account_id, "deleted_ids", after)
        noted = deleted_ids(account_id, shop_ids.c.account_id, "deleted_ids", after)
        into = [str(column.name) for column in deleted_shop_ids.c]
        yield _NOTED, deleted_shop_ids.insert().from_select(into, noted)
        theirs = any_of(shop_ids.c.customer_id, "deleted_ids")
        of_account = shop_ids.c.account_id == account_id
        yield "gone_shop_ids", shop_ids.delete().where(after(of_account, theirs))
    if fewer_webhooks:
        named = any_of(webhooks.c.webhook_id, "deleted_webhooks")
        of_account = webhooks.c.account_id == number("only_account")
        yield "deleted_webhooks", webhooks.delete().where(after(of_account, named))
    for place, columns in enumerate(updates):
        rows = _arrays([customers.c[name] for name in ("customer_id", *columns)], f"u{place}_")
        same = customers.c.customer_id == rows.c.customer_id
        update = customers.update().where(after(mine, same))
        yield f"updated_{place}", update.values({name: rows.c[name] for name in columns})
    for place, (name, columns) in enumerate(others):
        table = metadata.tables[name]
        key, (account, own) = f"other_{place}", table.primary_key.columns
        rows = _arrays([table.c[column] for column in (own.name, *columns)], f"{key}_")
        same = sa.and_(account == number("only_account"), own == rows.c[own.name])
        values = {column: rows.c[column] for column in columns}
        yield key, table.update().where(after(same)).values(values)
    if skips:
        yield "skipped", skipped(number("only_account"), "skipped_webhooks", after)
    if removes:
        lost = _terms("removed_").subquery("lost")
        same = sa.and_(*(terms.c[name] == lost.c[name] for name in ("term", "customer_id")))
        of_account = terms.c.account_id == number("only_account")
        yield "removed", terms.delete().where(after(of_account, same))
    if receipts.name in inserts:
        yield "replaced", receipts.delete().where(after(replaced(number("only_account"))))
    for name in inserts:
        table = metadata.tables[name]
        own_columns = [column for column in table.c if column.name != "account_id"]
        chosen = rows_of(list(_arrays(own_columns, f"{name}_").columns))
        names = ["account_id", *(str(column.name) for column in own_columns)]
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
        tuple((name, columns) for name, columns, _ in updated(changes)),
        bool(changes.skipped_webhooks),
        tuple(name for name, rows in _inserted(changes) if rows),
        bool(changes.removed_terms),
        bool(changes.added_terms),
    )


def save_parameters(account_id: int, state: State, changes: Changes) -> dict[str, Any]:
    """The parameters of `save`."""
    parameters: dict[str, Any] = counters_after(account_id, state, changes)
    parameters["deleted_ids"] = list(changes.deleted_customers)
    parameters["deleted_at"] = changes.deleted_at
    parameters["deleted_webhooks"] = list(changes.deleted_webhooks)
    parameters |= replaced_receipts(account_id, changes)
    for place, (columns, rows) in enumerate(_updated(changes)):
        for name in ("customer_id", *columns):
            parameters[f"u{place}_{name}"] = [row[name] for row in rows]
    parameters["skipped_webhooks"] = list(changes.skipped_webhooks)
    parameters["skipped_at"] = changes.skipped_at
    others = [(f"other_{n}", rows) for n, (_, _, rows) in enumerate(updated(changes))]
    for table, rows in [*_inserted(changes), *others]:
        for name in rows[0] if rows else ():
            parameters[f"{table}_{name}"] = [row[name] for row in rows]
    for prefix, found in (("added", changes.added_terms), ("removed", changes.removed_terms)):
        parameters[f"{prefix}_ids"] = list(found)
        parameters[f"{prefix}_terms"] = ["\n".join(each) for each in found.values()]
    return parameters


def _updated(changes: Changes) -> list[tuple[tuple[str, ...], Sequence[Row]]]:
    """The rows to update, by the columns that change; all in one part when those are of many
    kinds, because each combination of them is a statement to prepare."""
    customers_updated = changes.updated_customers
    if len(customers_updated) <= MAX_UPDATES:
        return sorted(customers_updated.items())
    columns = tuple(sorted({name for names in customers_updated for name in names}))
    return [(columns, [row for rows in customers_updated.values() for row in rows])]


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
        ("deleted_shop_ids", changes.inserted_deleted_shop_ids),
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
