"""Saving a batch: what both databases run, in which order. On PostgreSQL a batch is one statement,
or several of one transaction (Citus); a set of rows travels as one array for each column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from regulars.store import queries
from regulars.store.changes import Changes, State
from regulars.store.entities import Entities
from regulars.store.entity import (
    ACCOUNT,
    DELETED_AT,
    BatchStatement,
    Change,
    Entity,
    Row,
    Updates,
    Where,
    batch_account,
    deleted_keys_name,
)
from regulars.store.query import Query, any_of, number
from regulars.store.tables import counters, terms

# An entity has at most this many updates in a batch, each with columns of its own.
MAX_UPDATES = 3


class Shape(NamedTuple):
    """The kinds of changes that a batch makes: the entities with deleted rows, those with updated
    rows and the columns that are updated together, the further statements, the entities with new
    rows, and whether customers lose or get search terms."""

    entities: Entities
    deletes: tuple[Entity, ...]
    updates: tuple[tuple[Entity, tuple[str, ...]], ...]
    statements: tuple[BatchStatement, ...]
    inserts: tuple[Entity, ...]
    removes_terms: bool
    adds_terms: bool

    @property
    def needs_snapshots(self) -> bool:
        """Whether a statement of the batch must not be combined with others."""
        return any(statement.needs_snapshot for statement in self.statements)


def deletions(entities: Entities, deletes: Sequence[Entity]) -> Iterator[BatchStatement]:
    """The statements that delete rows, in their order."""
    for entity in deletes:
        erased = entities.of_customers if entity is entities.root else ()
        each = [one.on_customer_delete for one in erased if one.on_customer_delete]
        yield from (statement for one in each for statement in one.before)
        yield _deletion(entity.table)
        yield from (statement for one in each for statement in one.after)


@cache
def _deletion(table: sa.Table) -> BatchStatement:
    """Deletes rows by their keys."""

    def build(where: Where) -> Change:
        account, key = table.primary_key.columns
        return table.delete().where(
            where(account == batch_account(), any_of(key, deleted_keys_name(table)))
        )

    return BatchStatement(f"deleted_{table.name}", build)


def hold(names: Sequence[str]) -> sa.Update:
    """Sets the counters of an account and increments its revision, if the revision is still that of
    the parameter."""
    table = queries.counters_table(tuple(names))
    statement = table.update().where(
        table.c.account_id == batch_account(), table.c.revision == number("batch_revision")
    )
    after = {name: number(f"last_{name}") for name in names}
    return statement.values(revision=table.c.revision + 1, **after)


@lru_cache(maxsize=1_000)
def save(shape: Shape) -> Query:
    """All the changes of a batch in one statement (PostgreSQL): 1 if they were made, 0 if the
    account has another revision than the batch was decided on, and nothing was changed.

    Parts have no order of their own (PostgreSQL, section 7.8.4), and an email that a delete frees
    may be used by an insert: so each part waits for the one before it.
    """
    held = hold(shape.entities.counters).returning(sa.literal_column("1").label("done")).cte("held")
    parts = [held]

    def where(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        done = sa.select(sa.func.count()).select_from(parts[-1]).scalar_subquery()
        return sa.and_(
            sa.exists(sa.select(held.c.done)), done >= sa.literal_column("0"), *conditions
        )

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        return sa.select(batch_account(), *columns).where(where())

    for name, statement, _ in _changes(shape, where, rows):
        parts.append(statement.returning(sa.literal_column("1").label("done")).cte(name))
    counted = sa.select(sa.func.count()).select_from(held)
    return Query(counted.add_cte(*parts))


@lru_cache(maxsize=1_000)
def save_in_steps(shape: Shape) -> tuple[Query, tuple[tuple[Query, bool], ...]]:
    """All the changes of a batch as statements of one transaction, each of which Citus sends to the
    account's node as it is: it takes no INSERT within another statement, and rows for the one node
    only where they are selected together with a row of the account's. The first returns a row,
    unless the account has another revision than the batch was decided on; then the others must not
    be run. The parameters are those of `save`.

    With each of the others comes whether it must insert rows. If it inserts none, the first
    statement ran on a shard that the account has left since: Citus lets a statement that has waited
    for a split go on without holding the new shard, which may then be moved. Nothing of the batch
    may be kept.
    """

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        mine = counters.c.account_id == batch_account()
        held_here = counters.c.revision == number("batch_revision") + 1
        return sa.select(counters.c.account_id, *columns).where(mine, held_here)

    held = Query(hold(shape.entities.counters).returning(sa.literal_column("1").label("done")))
    steps = _changes(shape, sa.and_, rows)
    return held, tuple((Query(statement), must_insert) for _, statement, must_insert in steps)


def _changes(
    shape: Shape,
    where: Where,
    rows_of: Callable[[Sequence[sa.ColumnElement[Any]]], sa.Select[Any]],
) -> Iterator[tuple[str, Change, bool]]:
    """The statements of a batch in their order, each with its name and whether it must insert rows.
    `where` adds the conditions on which the batch is saved; `rows_of` selects the account and the
    columns of rows to insert."""
    for each in (*deletions(shape.entities, shape.deletes),):
        yield each.name, each.build(where), False
    for place, (entity, columns) in enumerate(shape.updates):
        account, key = entity.table.primary_key.columns
        rows = _arrays([entity.table.c[n] for n in (key.name, *columns)], _updated(place))
        same = where(account == batch_account(), key == rows.c[key.name])
        values = {name: rows.c[name] for name in columns}
        yield f"updated_{place}", entity.table.update().where(same).values(values), False
    if shape.removes_terms:
        lost = _terms("removed_").subquery("lost")
        same = sa.and_(*(terms.c[name] == lost.c[name] for name in ("term", "customer_id")))
        of_account = terms.c.account_id == batch_account()
        yield "removed", terms.delete().where(where(of_account, same)), False
    for each in shape.statements:
        yield each.name, each.build(where), False
    for entity in shape.inserts:
        own_columns = [column for column in entity.table.c if column.name != "account_id"]
        chosen = rows_of(list(_arrays(own_columns, f"{entity.name}_").columns))
        names = ["account_id", *(str(column.name) for column in own_columns)]
        yield f"inserted_{entity.name}", entity.table.insert().from_select(names, chosen), True
    if shape.adds_terms:
        new = _terms("added_").subquery("new")
        chosen = rows_of([new.c.term, new.c.customer_id])
        yield "added", terms.insert().from_select([c.name for c in terms.c], chosen), True


def shape_of(entities: Entities, changes: Changes) -> Shape:
    """The shape of the statement that saves the changes."""
    each = [(entities.by_name[name], found) for name, found in changes.tables.items()]
    return Shape(
        entities,
        tuple(entity for entity, found in each if found.deleted),
        tuple((entity, columns) for entity, columns, _ in updates(entities, changes)),
        tuple(changes.statements),
        tuple(entity for entity, found in each if found.inserted),
        bool(changes.removed_terms),
        bool(changes.added_terms),
    )


def parameters(
    entities: Entities, account_id: int, state: State, changes: Changes
) -> dict[str, Any]:
    """The parameters that both databases need: all but those of updated and inserted rows, and of
    search terms."""
    after = {**state.counters, **changes.counters}
    found: dict[str, Any] = {f"last_{name}": after[name] for name in entities.counters}
    found |= {ACCOUNT: account_id, "batch_revision": state.revision}
    found[DELETED_AT] = changes.deleted_at
    for name, table in changes.tables.items():
        if table.deleted:
            found[deleted_keys_name(entities.by_name[name].table)] = list(table.deleted)
    for values in changes.statements.values():
        found |= values
    return found


def save_parameters(
    entities: Entities, account_id: int, state: State, changes: Changes
) -> dict[str, Any]:
    """The parameters of `save`."""
    found = parameters(entities, account_id, state, changes)
    for place, (entity, columns, rows) in enumerate(updates(entities, changes)):
        for name in (*entity.key, *columns):
            found[_updated(place) + name] = [row[name] for row in rows]
    for table, each in changes.tables.items():
        for name in each.inserted[0] if each.inserted else ():
            found[f"{table}_{name}"] = [row[name] for row in each.inserted]
    for prefix, texts in (("added", changes.added_terms), ("removed", changes.removed_terms)):
        found[f"{prefix}_ids"] = list(texts)
        found[f"{prefix}_terms"] = ["\n".join(each) for each in texts.values()]
    return found


def updates(
    entities: Entities, changes: Changes
) -> list[tuple[Entity, tuple[str, ...], Sequence[Row]]]:
    """The rows to update: the entity, the columns to write, the rows. Rows with many combinations
    of changed columns are updated together, because each combination is a statement to prepare."""
    found: list[tuple[Entity, tuple[str, ...], Sequence[Row]]] = []
    for name, table in changes.tables.items():
        entity = entities.by_name[name]
        updated = table.updated
        if len(updated) > MAX_UPDATES and entity.updates is Updates.CHANGED:
            columns = tuple(sorted({name for names in updated for name in names}))
            found.append((entity, columns, [row for rows in updated.values() for row in rows]))
        else:
            found += [(entity, columns, rows) for columns, rows in sorted(updated.items())]
    return found


def _updated(place: int) -> str:
    """The prefix of the parameters of an update."""
    return f"updated_{place}_"


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
