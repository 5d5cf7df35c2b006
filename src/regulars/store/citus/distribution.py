"""Distribution of the tables over the nodes of Citus, if a database has the extension.

Tables that are read before the account is known are reference tables: every node has a copy. All
other tables are distributed by `account_id`, so that an account's rows are on one node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, compatibility, people, sessions, tokens
from regulars.store.tables import counters

# Every server reads Alembic's own table.
REFERENCE_TABLES = (
    "alembic_version",
    *(table.name for table in (accounts, tokens, people, sessions, compatibility)),
)
_DISTRIBUTION_COLUMN = "account_id"

_HAS_CITUS = "SELECT count(*) > 0 FROM pg_extension WHERE extname = 'citus'"
_IS_DISTRIBUTED = "SELECT count(*) > 0 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1)"


async def is_distributed(connection: Any) -> bool:
    """Return whether the tables of an asyncpg connection's database are distributed."""
    if not await connection.fetchval(_HAS_CITUS):
        return False
    return bool(await connection.fetchval(_IS_DISTRIBUTED, counters.name))


def use_sequential_mode(connection: sa.Connection) -> None:
    """Have Citus change the shards of a table one after another in this transaction: each change
    must see the ones before it."""
    if connection.exec_driver_sql(_HAS_CITUS).scalar():
        connection.exec_driver_sql("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")


def distribute_tables(connection: sa.Connection, tables: Sequence[sa.Table]) -> list[str]:
    """Distribute those of all tables that are not distributed yet, with their rows; return their
    names. Does nothing without the extension."""
    if not connection.exec_driver_sql(_HAS_CITUS).scalar():
        return []
    distributed = set(
        connection.exec_driver_sql(
            "SELECT relname FROM pg_dist_partition JOIN pg_class ON oid = logicalrelid"
        ).scalars()
    )
    ordered = ["alembic_version", *(table.name for table in tables)]
    # The others are colocated with `counters`, so it comes first.
    ordered.sort(key=lambda name: name != counters.name)
    local = [name for name in ordered if name not in distributed]
    if not local:
        return []
    # A local table cannot reference a distributed one: foreign keys are dropped and added again.
    keys = _foreign_keys(connection, local)
    for table, name, _ in keys:
        connection.exec_driver_sql(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    for name in local:
        _distribute(connection, name)
    for table, name, definition in keys:
        connection.exec_driver_sql(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {definition}')
    return local


@contextmanager
def distribute_new_tables(connection: sa.Connection) -> Iterator[None]:
    """Distribute each table that a migration creates in the block at once, if the others are
    distributed: the migration may read both in one statement."""
    is_distributed = connection.exec_driver_sql(_HAS_CITUS).scalar() and (
        connection.scalar(sa.text(_IS_DISTRIBUTED.replace("$1", ":name")), {"name": counters.name})
    )
    if not is_distributed:
        yield
        return

    def distribute(table: sa.Table, connection: sa.Connection, **_: Any) -> None:
        _distribute(connection, table.name)

    sa.event.listen(sa.Table, "after_create", distribute)
    try:
        yield
    finally:
        sa.event.remove(sa.Table, "after_create", distribute)


def _distribute(connection: sa.Connection, name: str) -> None:
    """Distribute a table with its rows, or make it a reference table."""
    if name in REFERENCE_TABLES:
        connection.execute(sa.select(sa.func.create_reference_table(name)))
        return
    parameters = {
        "name": name,
        "column": _DISTRIBUTION_COLUMN,
        "colocate_with": "none" if name == counters.name else counters.name,
    }
    text = "SELECT create_distributed_table(:name, :column, colocate_with => :colocate_with)"
    connection.execute(sa.text(text), parameters)
    connection.execute(sa.select(sa.func.truncate_local_data_after_distributing_table(name)))


def _foreign_keys(connection: sa.Connection, names: Sequence[str]) -> Sequence[Any]:
    """The foreign keys of tables: table, name, definition."""
    text = """SELECT relname, conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
        JOIN pg_class ON pg_class.oid = conrelid WHERE contype = 'f' AND relname = ANY(:names)"""
    bound = sa.text(text).bindparams(sa.bindparam("names", type_=sa.ARRAY(sa.Text())))
    return connection.execute(bound, {"names": list(names)}).all()
