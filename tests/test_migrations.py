"""Migrations: what they make is what the tables say, from every earlier version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from regulars.directory.database import upgrade
from regulars.store import parse_url
from regulars.store.migrate import in_transaction, newest, require_newest, versions
from regulars.store.tables import metadata


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_the_migrated_tables_are_those_that_the_program_defines(empty_database: str) -> None:
    address = parse_url(empty_database)
    assert upgrade(address) == newest()
    require_newest(address)
    assert in_transaction(address, differences) == []


def test_a_database_is_brought_up_from_every_earlier_version(empty_database: str) -> None:
    address = parse_url(empty_database)
    for version in versions():
        assert upgrade(address, version) == version
    assert versions()[-1] == newest()
    assert upgrade(address) == newest()


def test_the_versions_are_those_that_alembic_knows() -> None:
    config = Config()
    config.set_main_option("script_location", "regulars.store:migrations")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert versions() == [script.revision for script in reversed(scripts)]


def test_the_tables_of_sqlite_are_strict(tmp_path: object) -> None:
    address = parse_url(f"sqlite:///{tmp_path}/r.db")
    upgrade(address)

    def tables(connection: sa.Connection) -> list[tuple[str, int]]:
        rows = connection.exec_driver_sql("SELECT name, strict FROM pragma_table_list")
        return [(name, strict) for name, strict in rows if name in metadata.tables]

    found = in_transaction(address, tables)
    assert sorted(found) == [(name, 1) for name in sorted(metadata.tables)]
