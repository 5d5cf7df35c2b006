"""The statements that save a batch, and their order.

On PostgreSQL a batch is one statement, or several of one transaction (Citus, and batches with many
new rows). A set of rows is sent as one array for each column; many new rows are copied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store import queries
from regulars.store.changes import Changes, LookupKeys, State, Terms
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

# An entity has at most this many update statements in a batch, each for other columns.
MAX_UPDATES = 3
# Python's lock is held while terms are sorted, and the event loop waits. This many take 20 ms.
_SORTED_TERMS = 40_000


# Ids of customers, each with terms.
TermsOfCustomers = Iterable[tuple[int, Collection[str]]]


class Shape(NamedTuple):
    """The kinds of changes that a batch makes: the entities with deleted rows; those with updated
    rows, and the columns that are updated together; further statements; the entities with new rows;
    and whether search terms are removed or added. If the state was predicted, `absent` has the
    lookups that must name no customer. `releases` says whether rows are updated twice, to release
    unique values first."""

    entities: Entities
    deletes: tuple[Entity, ...]
    updates: tuple[tuple[Entity, tuple[str, ...]], ...]
    statements: tuple[BatchStatement, ...]
    inserts: tuple[Entity, ...]
    removes_terms: bool
    adds_terms: bool
    absent: tuple[str, ...] = ()
    releases: bool = False

    @property
    def needs_snapshots(self) -> bool:
        """Whether a statement of the batch must not be combined with others."""
        return self.releases or any(statement.needs_snapshot for statement in self.statements)


def deletions(entities: Entities, deletes: Sequence[Entity]) -> Iterator[BatchStatement]:
    """Yield the statements that delete rows, in their order."""
    for entity in deletes:
        dependents = entities.of_customers if entity is entities.root else ()
        actions = [e.on_customer_delete for e in dependents if e.on_customer_delete]
        yield from (statement for action in actions for statement in action.before)
        yield _deletion(entity.table)
        yield from (statement for action in actions for statement in action.after)


@cache
def _deletion(table: sa.Table) -> BatchStatement:
    """Return the statement that deletes rows by their keys."""

    def build(where: Where) -> Change:
        account, key = table.primary_key.columns
        return table.delete().where(
            where(account == batch_account(), any_of(key, deleted_keys_name(table)))
        )

    return BatchStatement(f"deleted_{table.name}", build)


def advance_revision(names: Sequence[str]) -> sa.Update:
    """Return the statement that sets the counters `names` of the account and increments its
    revision, if the revision is still `batch_revision`."""
    table = queries.counters_table(tuple(names))
    statement = table.update().where(
        table.c.account_id == batch_account(), table.c.revision == number("batch_revision")
    )
    values = {name: number(f"last_{name}") for name in names}
    return statement.values(revision=table.c.revision + 1, **values)


@lru_cache(maxsize=1_000)
def save(shape: Shape) -> Query:
    """All changes of a batch in one statement (PostgreSQL): 1 if they were made, or 0, with nothing
    changed, if the account's revision is not the loaded one any more, or if the predicted state is
    wrong.

    PostgreSQL runs the parts of a WITH in no fixed order (section 7.8.4), but an insert may use an
    email that a delete frees. So each part depends on the one before it, but for the inserts at the
    end: no rows of them are counted, and foreign keys are checked when the statement ends.
    """
    revision = _advance(shape).cte("held")
    parts = [revision]

    def where(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        is_current = sa.exists(sa.select(revision.c.done))
        if parts[-1] is revision:
            return sa.and_(is_current, *conditions)
        row_count = sa.select(sa.func.count()).select_from(parts[-1]).scalar_subquery()
        return sa.and_(is_current, row_count >= sa.literal_column("0"), *conditions)

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        return sa.select(batch_account(), *columns).where(where())

    inserts = []
    for name, statement, is_insert in _changes(shape, where, rows, _elements):
        if is_insert:
            inserts.append(statement.cte(name))
        else:
            parts.append(statement.returning(sa.literal_column("1").label("done")).cte(name))
    count = sa.select(sa.func.count()).select_from(revision)
    return Query(count.add_cte(*parts, *inserts))


def _advance(shape: Shape) -> Any:
    """Return the statement that increments the account's revision and returns a row, if the state
    is still the loaded one. A predicted state must have the account's counters, because another
    primary may have given its revision to other changes, and no customer of the absent lookups."""
    entities, root = shape.entities, shape.entities.root
    advance = advance_revision(entities.counters)
    if shape.absent:
        table = queries.counters_table(entities.counters)
        advance = advance.where(*(table.c[n] == number(_predicted(n)) for n in entities.counters))
    for lookup in root.lookups:
        if lookup.name in shape.absent:
            rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(root.table)
            of_account = root.table.c.account_id == batch_account()
            for condition in lookup.conditions(batch_account()):
                advance = advance.where(~rows.where(of_account, condition).exists())
    return advance.returning(sa.literal_column("1").label("done"))


@lru_cache(maxsize=1_000)
def save_in_steps(shape: Shape) -> tuple[Query, tuple[tuple[Query, bool], ...]]:
    """All changes of a batch as statements of one transaction (Citus), with the parameters of
    `save`. Citus accepts no INSERT within another statement. It sends a statement to the account's
    node only if the inserted rows are selected together with a row of the account.

    The first statement returns a row if the account's revision is still the loaded one. Otherwise
    the others must not run. Each of the others comes with whether it must insert rows. If it
    inserts none, the transaction must be rolled back: the account has left the shard on which the
    first statement ran, because Citus lets a statement that has waited for a split continue without
    a lock on the new shard.
    """

    def rows(columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        is_account = counters.c.account_id == batch_account()
        is_advanced = counters.c.revision == number("batch_revision") + 1
        return sa.select(counters.c.account_id, *columns).where(is_account, is_advanced)

    steps = _changes(shape, sa.and_, rows, _columns)
    return Query(_advance(shape)), tuple(
        (Query(statement), must_insert) for _, statement, must_insert in steps
    )


def _changes(
    shape: Shape,
    where: Where,
    rows_of: Callable[[Sequence[sa.ColumnElement[Any]]], sa.Select[Any]],
    values_of: Callable[[Sequence[sa.Column[Any]], str], Sequence[sa.ColumnElement[Any]]],
) -> Iterator[tuple[str, Change, bool]]:
    """Yield the statements of a batch in their order, each with its name and whether it must insert
    rows. `where` adds the conditions on which the batch is saved. `rows_of` selects the account and
    the columns of rows to insert. `values_of` returns the expressions for columns whose values are
    array parameters, named by a prefix and the column."""
    for deletion in deletions(shape.entities, shape.deletes):
        yield deletion.name, deletion.build(where), False
    for index, (entity, columns) in enumerate(shape.updates):
        account, *keys = entity.table.primary_key.columns
        rows = _arrays([*keys, *(entity.table.c[n] for n in columns)], _update_prefix(index))
        is_row = where(account == batch_account(), *(key == rows.c[key.name] for key in keys))
        values = {name: rows.c[name] for name in columns}
        yield f"updated_{index}", entity.table.update().where(is_row).values(values), False
    if shape.removes_terms:
        removed = _terms("removed_").subquery("lost")
        is_removed = sa.and_(
            *(terms.c[name] == removed.c[name] for name in ("term", "customer_id"))
        )
        of_account = terms.c.account_id == batch_account()
        yield "removed", terms.delete().where(where(of_account, is_removed)), False
    for statement in shape.statements:
        yield statement.name, statement.build(where), False
    for entity in shape.inserts:
        own_columns = [column for column in entity.table.c if column.name != "account_id"]
        new_rows = rows_of(values_of(own_columns, f"{entity.name}_"))
        names = ["account_id", *(str(column.name) for column in own_columns)]
        yield f"inserted_{entity.name}", entity.table.insert().from_select(names, new_rows), True
    if shape.adds_terms:
        added = _terms("added_").subquery("new")
        new_rows = rows_of([added.c.term, added.c.customer_id])
        yield "added", terms.insert().from_select([c.name for c in terms.c], new_rows), True


def shape_of(entities: Entities, changes: Changes, absent: Iterable[str] = ()) -> Shape:
    """Return the shape of changes. `absent` has the lookups of a predicted state."""
    tables = [(entities.by_name[name], table) for name, table in changes.tables.items()]
    return Shape(
        entities,
        tuple(entity for entity, table in tables if table.deleted),
        tuple((entity, columns) for entity, columns, _ in updates(entities, changes)),
        tuple(changes.statements),
        tuple(entity for entity, table in tables if table.inserted),
        bool(changes.removed_terms),
        bool(changes.added_terms),
        tuple(sorted(absent)),
        any(table.released for _, table in tables),
    )


def parameters(
    entities: Entities, account_id: int, state: State, changes: Changes
) -> dict[str, Any]:
    """Return the parameters that both databases need: all but those of updated and inserted rows,
    and of search terms."""
    counters = {**state.counters, **changes.counters}
    values: dict[str, Any] = {f"last_{name}": counters[name] for name in entities.counters}
    values |= {ACCOUNT: account_id, "batch_revision": state.revision}
    values[DELETED_AT] = changes.deleted_at
    for name, table in changes.tables.items():
        if table.deleted:
            values[deleted_keys_name(entities.by_name[name].table)] = list(table.deleted)
    for statement_values in changes.statements.values():
        values |= statement_values
    return values


def save_parameters(
    entities: Entities, account_id: int, state: State, changes: Changes
) -> dict[str, Any]:
    """Return the parameters of `save`."""
    values = parameters(entities, account_id, state, changes)
    for index, (entity, columns, rows) in enumerate(updates(entities, changes)):
        for name in (*entity.key, *columns):
            values[_update_prefix(index) + name] = [row[name] for row in rows]
    for table_name, table in changes.tables.items():
        for name in table.inserted[0] if table.inserted else ():
            values[f"{table_name}_{name}"] = [row[name] for row in table.inserted]
    for prefix, texts in (("added", changes.added_terms), ("removed", changes.removed_terms)):
        values[f"{prefix}_ids"] = list(texts)
        values[f"{prefix}_terms"] = ["\n".join(terms_of) for terms_of in texts.values()]
    return values


def prediction_parameters(state: State, keys: LookupKeys) -> dict[str, Any]:
    """Return the further parameters of `save` for a predicted state: its counters, and the keys
    that must name no customer."""
    counters = {_predicted(name): value for name, value in state.counters.items()}
    return counters | {name: list(values) for name, values in keys.items()}


def _predicted(counter: str) -> str:
    return f"predicted_{counter}"


class Copy(NamedTuple):
    """New rows, to be copied into a table. `make_rows` returns the values of `columns`; for a large
    batch that takes some milliseconds."""

    table: str
    columns: Sequence[str]
    make_rows: Callable[[], Sequence[Sequence[Any]]]


def split_copies(
    entities: Entities, account_id: int, changes: Changes
) -> tuple[Changes, Sequence[Copy]]:
    """Return the changes without new rows, and the new rows. Copied after the other changes, they
    take less time than as arrays: PostgreSQL fills the pages of a table one after the other."""
    copies = []
    for name, table in changes.tables.items():
        if table.inserted:
            columns = [c.name for c in entities.by_name[name].table.c if c.name != "account_id"]
            make_rows = partial(_values, account_id, columns, table.inserted)
            copies.append(Copy(name, ["account_id", *columns], make_rows))
    if added := changes.added_terms:
        names = [column.name for column in terms.c]
        make_rows = partial(_all_sorted_terms, account_id, added)
        copies.append(Copy(terms.name, names, make_rows))
    tables = {name: table._replace(inserted=()) for name, table in changes.tables.items()}
    return replace(changes, tables=tables, added_terms={}), copies


def _values(account_id: int, columns: Sequence[str], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return the account and the values of some columns of rows."""
    return [(account_id, *values) for values in map(itemgetter(*columns), rows)]


def _all_sorted_terms(account_id: int, added: Terms) -> list[tuple[int, str, int]]:
    return list(chain.from_iterable(sorted_terms(account_id, added.items())))


def sorted_terms(
    account_id: int, terms_of_customers: TermsOfCustomers
) -> Iterator[list[tuple[int, str, int]]]:
    """Yield rows of the table `terms`, in parts. They are in the order of the index, so that the
    database looks each page up once."""
    by_term: defaultdict[str, list[int]] = defaultdict(list)
    for customer_id, customer_terms in terms_of_customers:
        for term in customer_terms:
            by_term[term].append(customer_id)
    remaining = iter(by_term)
    while part := sorted(islice(remaining, _SORTED_TERMS)):
        yield [(account_id, term, number) for term in part for number in by_term[term]]


def updates(
    entities: Entities, changes: Changes
) -> list[tuple[Entity, tuple[str, ...], Sequence[Row]]]:
    """Return the rows to update: the entity, the columns to write, the rows. Rows with many
    combinations of changed columns are updated together: each combination is a statement."""
    result: list[tuple[Entity, tuple[str, ...], Sequence[Row]]] = []
    for name, table in changes.tables.items():
        rows_by_columns = table.updated
        if not rows_by_columns:
            continue
        entity = entities.by_name[name]
        result += [(entity, columns, rows) for columns, rows in table.released.items()]
        if len(rows_by_columns) > MAX_UPDATES and entity.updates is Updates.CHANGED:
            columns = tuple(sorted({name for names in rows_by_columns for name in names}))
            all_rows = [row for rows in rows_by_columns.values() for row in rows]
            result.append((entity, columns, all_rows))
        else:
            result += [(entity, columns, rows) for columns, rows in sorted(rows_by_columns.items())]
    return result


def _update_prefix(index: int) -> str:
    """The prefix of the parameters of an update."""
    return f"updated_{index}_"


def _array(column: sa.Column[Any], prefix: str) -> sa.BindParameter[Any]:
    return sa.bindparam(prefix + column.name, type_=sa.ARRAY(column.type))


def _arrays(columns: Sequence[sa.Column[Any]], prefix: str) -> sa.TableValuedAlias:
    """Rows made of an array parameter for each column, named by the prefix and the column."""
    arrays = [_array(column, prefix) for column in columns]
    elements = [sa.column(c.name, c.type) for c in columns]
    return sa.func.unnest(*arrays).table_valued(*elements).render_derived()


def _columns(columns: Sequence[sa.Column[Any]], prefix: str) -> Sequence[sa.ColumnElement[Any]]:
    """Return the columns of `_arrays`."""
    return list(_arrays(columns, prefix).columns)


def _elements(columns: Sequence[sa.Column[Any]], prefix: str) -> Sequence[sa.ColumnElement[Any]]:
    """Return expressions that make a row of the first elements of all arrays, a row of the second
    ones, and so on (PostgreSQL, "SQL Functions Returning Sets"). A table of arrays, as `_arrays`
    makes it, would store each array in memory first: 0.12 of the 0.48 ms of a batch of one."""
    return [sa.func.unnest(_array(c, prefix), type_=c.type).label(c.name) for c in columns]


def _terms(prefix: str) -> sa.Select[Any]:
    """Terms and their customers, from two arrays: the customers, and the terms of each customer as
    lines of a text. To send an element for each term would take longer than to store the terms."""
    ids = sa.bindparam(f"{prefix}ids", type_=sa.ARRAY(terms.c.customer_id.type))
    lines = sa.bindparam(f"{prefix}terms", type_=sa.ARRAY(terms.c.term.type))
    columns = (sa.column("customer_id", terms.c.customer_id.type), sa.column("lines", sa.Text()))
    rows = sa.func.unnest(ids, lines).table_valued(*columns).render_derived()
    term = sa.func.unnest(sa.func.string_to_array(rows.c.lines, sa.literal_column("E'\\n'")))
    return sa.select(term.label("term"), rows.c.customer_id)
