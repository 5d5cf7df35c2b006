"""What Citus requires of the tables, checked without Citus: each is distributed by its account, or
is a reference table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import sqlalchemy as sa

import regulars
from regulars.core.packages import all_tables
from regulars.store.citus.distribution import REFERENCE_TABLES
from regulars.store.columns import Number

SOURCE = Path(regulars.__file__).parent
# The modules that may read the metadata. It lacks the tables of packages that are not imported
# yet: others get `all_tables()`.
READ_METADATA = {"store/tables.py", "store/migrations/env.py", "core/packages.py"}
DISTRIBUTED = [table for table in all_tables() if table.name not in REFERENCE_TABLES]


def test_every_reference_table_exists() -> None:
    names = {table.name for table in all_tables()}
    assert set(REFERENCE_TABLES) - names == {"alembic_version"}
    assert len(DISTRIBUTED) + len(REFERENCE_TABLES) == len(names) + 1


@pytest.mark.parametrize("table", DISTRIBUTED, ids=lambda table: table.name)
def test_keys_and_unique_indexes_begin_with_the_account(table: sa.Table) -> None:
    """Citus refuses others. The type of the account is the same in all tables: they are colocated."""
    assert table.c.account_id.type is Number
    unique: list[list[str]] = [
        [column.name for column in part.columns]
        for part in (*table.constraints, *table.indexes)
        if isinstance(part, (sa.PrimaryKeyConstraint, sa.UniqueConstraint))
        or (isinstance(part, sa.Index) and part.unique)
    ]
    assert unique
    for columns in unique:
        assert columns[0] == "account_id"


@pytest.mark.parametrize("table", DISTRIBUTED, ids=lambda table: table.name)
def test_foreign_keys_stay_within_the_account(table: sa.Table) -> None:
    for constraint in table.foreign_key_constraints:
        assert constraint.referred_table in DISTRIBUTED
        assert constraint.column_keys[0] == "account_id"
        assert constraint.elements[0].column.name == "account_id"


@pytest.mark.parametrize("name", [name for name in REFERENCE_TABLES if name != "alembic_version"])
def test_reference_tables_refer_to_reference_tables(name: str) -> None:
    (table,) = (table for table in all_tables() if table.name == name)
    for constraint in table.foreign_key_constraints:
        assert constraint.referred_table.name in REFERENCE_TABLES


def test_all_tables_are_read_through_the_packages() -> None:
    readers = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module in ("regulars.store.tables", "regulars.store.columns")
                and "metadata" in {alias.name for alias in node.names}
            ):
                readers.add(path.relative_to(SOURCE).as_posix())
    assert readers == READ_METADATA
