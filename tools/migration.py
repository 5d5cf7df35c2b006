"""Writes the migration from the newest version of the tables to those that the code defines.

Use: tools/migration.py NAME

Alembic compares the tables of a migrated database with `metadata`. The expand part adds what the
database lacks; the contract part removes what the code does not define. Read the file before you
commit it, and say in its first line what it is for.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import regulars.store.migrations.versions
from regulars.customers.search.search_document import SOURCES
from regulars.directory.database import upgrade
from regulars.store import parse_url
from regulars.store.columns import Flag, Number, Text
from regulars.store.migrate import module, run_in_transaction
from regulars.store.schema_version import newest_version
from regulars.store.tables import metadata

FOLDER = Path(next(iter(regulars.store.migrations.versions.__path__)))
# The names of the types in a migration: the type, and its definition.
TYPES: dict[str, tuple[Any, str]] = {
    "number": (Number, 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'),
    "flag": (Flag, 'sa.Boolean().with_variant(sa.Integer(), "sqlite")'),
    "text": (Text, 'sa.Text().with_variant(sa.Text(collation="C"), "postgresql")'),
}
# The server defaults of new columns: for existing rows, and for rows that older programs write.
DEFAULTS = {"number": '"0"', "flag": "sa.false()", "text": '""'}


def differences() -> list[Any]:
    """Return how the tables of the code differ from those of the newest version."""
    with tempfile.TemporaryDirectory() as folder:
        url = parse_url(f"sqlite:///{folder}/tables.db")
        upgrade(url)

        def compare(connection: sa.Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, metadata))

        return run_in_transaction(url, compare)


def type_name(column: sa.Column[Any]) -> str:
    """Return the name of a column's type in a migration."""
    for name, (type_, _) in TYPES.items():
        if column.type is type_:
            return name
    return f"sa.{column.type!r}"


def column_text(column: sa.Column[Any], default: str | None = None) -> str:
    """Return the source of a column."""
    if default is None and column.server_default is not None:
        value = getattr(column.server_default, "arg", None)
        default = repr(value) if isinstance(value, str) else "sa.false()"
    options = [f"nullable={column.nullable}"]
    if default is not None and not column.nullable:
        options.append(f"server_default={default}")
    return f'sa.Column("{column.name}", {type_name(column)}, {", ".join(options)})'


def table_lines(table: sa.Table) -> Iterator[str]:
    """Yield the source lines that create a table."""
    yield "op.create_table("
    yield f'    "{table.name}",'
    for column in table.columns:
        yield f"    {column_text(column)},"
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
    yield f"    sa.PrimaryKeyConstraint({keys}),"
    for key in table.foreign_key_constraints:
        names = [str(name) for name in key.column_keys]
        referenced = [element.target_fullname for element in key.elements]
        yield f"    sa.ForeignKeyConstraint({names}, {referenced}, ondelete={key.ondelete!r}),"
    for name, value in table.dialect_options["sqlite"].items():
        if (name, value) in (("strict", True), ("with_rowid", False)):
            yield f"    sqlite_{name}={value},"
    yield ")"


def index_line(index: sa.Index) -> str:
    """Return the source line that creates an index."""
    names = [str(column.name) for column in index.columns]
    unique = ", unique=True" if index.unique else ""
    assert index.table is not None
    return f'op.create_index("{index.name}", "{index.table.name}", {names}{unique})'


def part_lines(changes: list[Any]) -> tuple[list[str], list[str]]:
    """Return the source lines of the expand part, and those of the contract part."""
    expand: list[str] = []
    contract: list[str] = []
    for difference in changes:
        match difference:
            case ("add_table", sa.Table() as table):
                expand += table_lines(table)
            case ("add_column", _, str() as table, sa.Column() as column):
                default = DEFAULTS.get(type_name(column))
                expand.append(f'op.add_column("{table}", {column_text(column, default)})')
            case ("add_index", sa.Index() as index):
                expand.append(index_line(index))
            case ("remove_index", sa.Index(table=sa.Table() as table) as index):
                contract.append(f'op.drop_index("{index.name}", "{table.name}")')
            case ("remove_column", _, str() as table, sa.Column() as column):
                contract.append(f'op.drop_column("{table}", "{column.name}")')
            case ("remove_table", sa.Table() as table):
                contract.append(f'op.drop_table("{table.name}")')
            case _:
                raise SystemExit(f"Write this change by hand, and run it again: {difference}")
    return expand, contract


def migration_source(name: str, changes: list[Any]) -> str:
    """Return the source of the migration."""
    expand, contract = part_lines(changes)
    previous = newest_version()
    body = "\n".join(f"    {line}" for line in expand or ["pass"])
    new_columns = {
        str(d[3].name) for d in changes if d[:1] == ("add_column",) and d[2] == "customers"
    }
    parts = [
        f'"""{name.replace("_", " ").capitalize()}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n',
        f'revision = "{int(previous) + 1:04}"\ndown_revision = "{previous}"',
        "# Older programs leave what is new at its defaults.\n"
        f'works_with = "{getattr(module(previous), "works_with", previous)}"',
    ]
    if new_columns & SOURCES:
        parts.append(
            "# Until the part after, an older program that writes a customer forgets to index these.\n"
            "rebuilds_search = True"
        )
    names = [n for n in TYPES if re.search(rf"\b{n}\b,", body)]
    parts.append("\n" + "\n".join(f"{n} = {TYPES[n][1]}" for n in names) if names else "")
    parts.append(f"\n\ndef upgrade() -> None:\n{body}\n")
    if contract:
        text = "\n".join(f"    {line}" for line in contract)
        parts.append(f"\n\ndef contract() -> None:\n{text}\n")
    return "\n".join(part for part in parts if part).replace("'", '"')


def run(name: str) -> int:
    """Write the file; return the exit code."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        print("A name has lower-case letters, digits and underscores, as in add_company.")
        return 2
    changes = differences()
    if not changes:
        print(f"The tables are those of version {newest_version()} already.")
        return 1
    path = FOLDER / f"v{int(newest_version()) + 1:04}_{name}.py"
    path.write_text(migration_source(name, changes), encoding="utf-8")
    print(f"Wrote {path}. Read it, say what it is for, and run: make format")
    return 0


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:2] or [""]))
