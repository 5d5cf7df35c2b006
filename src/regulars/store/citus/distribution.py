"""Citus: PostgreSQL's tables spread over nodes by account, where a database has the extension.

What is asked before an account is known is on every node (a reference table); every other table is
distributed by its `account_id`, so that an account's rows are together on one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, compatibility, sessions, tokens
from regulars.store.tables import counters, metadata

# Alembic's own table is asked for by every server.
_EVERYWHERE = ("alembic_version", *(t.name for t in (accounts, tokens, sessions, compatibility)))
_BY = "account_id"

_INSTALLED = "SELECT count(*) > 0 FROM pg_extension WHERE extname = 'citus'"
_IS_SPREAD = "SELECT count(*) > 0 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1)"


async def is_distributed(connection: Any) -> bool:
    """Whether a database's tables are spread over nodes; asked of a connection of asyncpg's."""
    if not await connection.fetchval(_INSTALLED):
        return False
    return bool(await connection.fetchval(_IS_SPREAD, counters.name))


def begin(connection: sa.Connection) -> None:
    """Prepares a transaction that changes tables: what it does to a table's parts is done one
    after another, so that it sees what it did before."""
    if connection.exec_driver_sql(_INSTALLED).scalar():
        connection.exec_driver_sql("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")


def distribute(connection: sa.Connection) -> list[str]:
    """Spreads the tables that are not spread yet, with what they hold; answers their names. Without
    the extension there is nothing to do."""
    if not connection.exec_driver_sql(_INSTALLED).scalar():
        return []
    spread = "SELECT relname FROM pg_dist_partition JOIN pg_class ON oid = logicalrelid"
    known = set(connection.exec_driver_sql(spread).scalars())
    ordered = ["alembic_version", *(table.name for table in metadata.sorted_tables)]
    # The table that all others are kept together with comes first.
    ordered.sort(key=lambda name: name != counters.name)
    local = [name for name in ordered if name not in known]
    if not local:
        return []
    # A table that is not distributed cannot refer to one that is: keys go, and come back.
    keys = _foreign_keys(connection, local)
    for table, name, _ in keys:
        connection.exec_driver_sql(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    for name in local:
        if name in _EVERYWHERE:
            connection.execute(sa.select(sa.func.create_reference_table(name)))
        else:
            beside = "none" if name == counters.name else counters.name
            text = "SELECT create_distributed_table(:name, :by, colocate_with => :beside)"
            given = {"name": name, "by": _BY, "beside": beside}
            connection.execute(sa.text(text), given)
            emptied = sa.func.truncate_local_data_after_distributing_table(name)
            connection.execute(sa.select(emptied))
    for table, name, definition in keys:
        connection.exec_driver_sql(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {definition}')
    return local


def _foreign_keys(connection: sa.Connection, names: Sequence[str]) -> Sequence[Any]:
    """The foreign keys of tables: table, name, definition."""
    text = """SELECT relname, conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
        JOIN pg_class ON pg_class.oid = conrelid WHERE contype = 'f' AND relname = ANY(:names)"""
    bound = sa.text(text).bindparams(sa.bindparam("names", type_=sa.ARRAY(sa.Text())))
    return connection.execute(bound, {"names": list(names)}).all()
