"""Writes the migration from the newest version of the tables to those that the code defines.

Use: tools/migration.py NAME

Alembic compares the tables of a migrated database with `metadata`. What the code has and the
database has not is added in the expand part; what only the database has is removed in the contract
part. Read the file before you commit it, and say in its first line what it is for.
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
# How a migration calls the types, and how it defines them.
TYPES: dict[str, tuple[Any, str]] = {
    "number": (Number, 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'),
    "flag": (Flag, 'sa.Boolean().with_variant(sa.Integer(), "sqlite")'),
    "text": (Text, 'sa.Text().with_variant(sa.Text(collation="C"), "postgresql")'),
}
# What a column has in rows that are there already, and in those that older programs write.
DEFAULTS = {"number": '"0"', "flag": "sa.false()", "text": '""'}


def differences() -> list[Any]:
    """How the tables of the code differ from those of the newest version."""
    with tempfile.TemporaryDirectory() as folder:
        address = parse_url(f"sqlite:///{folder}/tables.db")
        upgrade(address)

        def compare(connection: sa.Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, metadata))

        return run_in_transaction(address, compare)


def type_name(column: sa.Column[Any]) -> str:
    """What a migration calls the type of a column."""
    for name, (type_, _) in TYPES.items():
        if column.type is type_:
            return name
    return f"sa.{column.type!r}"


def column_text(column: sa.Column[Any], default: str | None = None) -> str:
    """A column, as a migration writes it."""
    if default is None and column.server_default is not None:
        value = getattr(column.server_default, "arg", None)
        default = repr(value) if isinstance(value, str) else "sa.false()"
    options = [f"nullable={column.nullable}"]
    if default is not None and not column.nullable:
        options.append(f"server_default={default}")
    return f'sa.Column("{column.name}", {type_name(column)}, {", ".join(options)})'


def table_lines(table: sa.Table) -> Iterator[str]:
    """A new table."""
    yield "op.create_table("
    yield f'    "{table.name}",'
    for column in table.columns:
        yield f"    {column_text(column)},"
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
    yield f"    sa.PrimaryKeyConstraint({keys}),"
    for key in table.foreign_key_constraints:
        names = [str(name) for name in key.column_keys]
        there = [element.target_fullname for element in key.elements]
        yield f"    sa.ForeignKeyConstraint({names}, {there}, ondelete={key.ondelete!r}),"
    for name, value in table.dialect_options["sqlite"].items():
        if (name, value) in (("strict", True), ("with_rowid", False)):
            yield f"    sqlite_{name}={value},"
    yield ")"


def index_line(index: sa.Index) -> str:
    """A new index."""
    names = [str(column.name) for column in index.columns]
    unique = ", unique=True" if index.unique else ""
    assert index.table is not None
    return f'op.create_index("{index.name}", "{index.table.name}", {names}{unique})'


def lines(found: list[Any]) -> tuple[list[str], list[str]]:
    """The statements of the expand part, and those of the contract part."""
    before: list[str] = []
    after: list[str] = []
    for difference in found:
        match difference:
            case ("add_table", sa.Table() as table):
                before += table_lines(table)
            case ("add_column", _, str() as table, sa.Column() as column):
                default = DEFAULTS.get(type_name(column))
                before.append(f'op.add_column("{table}", {column_text(column, default)})')
            case ("add_index", sa.Index() as index):
                before.append(index_line(index))
            case ("remove_index", sa.Index(table=sa.Table() as table) as index):
                after.append(f'op.drop_index("{index.name}", "{table.name}")')
            case ("remove_column", _, str() as table, sa.Column() as column):
                after.append(f'op.drop_column("{table}", "{column.name}")')
            case ("remove_table", sa.Table() as table):
                after.append(f'op.drop_table("{table.name}")')
            case _:
                raise SystemExit(f"Write this change by hand, and run it again: {difference}")
    return before, after


def migration(name: str, found: list[Any]) -> str:
    """The text of the migration."""
    before, after = lines(found)
    previous = newest_version()
    body = "\n".join(f"    {line}" for line in before or ["pass"])
    added = {str(d[3].name) for d in found if d[:1] == ("add_column",) and d[2] == "customers"}
    parts = [
        f'"""{name.replace("_", " ").capitalize()}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n',
        f'revision = "{int(previous) + 1:04}"\ndown_revision = "{previous}"',
        "# Older programs leave what is new at its defaults.\n"
        f'works_with = "{getattr(module(previous), "works_with", previous)}"',
    ]
    if added & SOURCES:
        parts.append(
            "# Until the part after, an older program that writes a customer forgets to index these.\n"
            "rebuilds_search = True"
        )
    used = [n for n in TYPES if re.search(rf"\b{n}\b,", body)]
    parts.append("\n" + "\n".join(f"{n} = {TYPES[n][1]}" for n in used) if used else "")
    parts.append(f"\n\ndef upgrade() -> None:\n{body}\n")
    if after:
        text = "\n".join(f"    {line}" for line in after)
        parts.append(f"\n\ndef contract() -> None:\n{text}\n")
    return "\n".join(part for part in parts if part).replace("'", '"')


def run(name: str) -> int:
    """Writes the file."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        print("A name has lower-case letters, digits and underscores, as in add_company.")
        return 2
    found = differences()
    if not found:
        print(f"The tables are those of version {newest_version()} already.")
        return 1
    path = FOLDER / f"v{int(newest_version()) + 1:04}_{name}.py"
    path.write_text(migration(name, found), encoding="utf-8")
    print(f"Wrote {path}. Read it, say what it is for, and run: make format")
    return 0


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:2] or [""]))
