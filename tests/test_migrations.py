"""Migrations: what they make is what the tables say, from every earlier version."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from regulars.directory.accounts import Accounts
from regulars.directory.database import upgrade
from regulars.directory.directory import Directory
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.schema_version import newest_version, require_usable, versions
from regulars.store.tables import inbox, inbox_keys, metadata
from tests.support import regulars, with_store


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_the_migrated_tables_are_those_that_the_program_defines(empty_database: str) -> None:
    address = parse_url(empty_database)
    assert upgrade(address) == newest_version()
    require_usable(address)
    assert run_in_transaction(address, differences) == []


def test_a_database_is_brought_up_from_every_earlier_version(empty_database: str) -> None:
    address = parse_url(empty_database)
    for version in versions():
        assert upgrade(address, version) == version
    assert versions()[-1] == newest_version()
    assert upgrade(address) == newest_version()


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

    found = run_in_transaction(address, tables)
    assert sorted(found) == [(name, 1) for name in sorted(metadata.tables)]


def test_customers_of_an_earlier_version_are_found(empty_database: str, tmp_path: Path) -> None:
    """What version 0003 derives from stored customers is what it would have stored itself."""
    now = f"sqlite:///{tmp_path / 'now.db'}"
    assert regulars("migrate", "--database-url", now).returncode == 0
    node = {
        "email": "Yassir.Ennazk@example.com",
        "first_name": "太郎",
        "last_name": "Núñez",
        "phone": "+212 612-345678",
        "tags": ["VIP", "birthday club"],
        "notes": "Lorem ipsum",
        "custom": {"a": {"b": [1, True]}},
        "shipping_address": {"country": "MA", "city": "Fès"},
    }

    async def create(store: Store) -> None:
        account = await Accounts(store).create("one")
        await Directory(store).create(account.account_id, node, 1)
        await Directory(store).create(account.account_id, {"email": "b@b.co"}, 2)

    with_store(now, create)
    tables = ("accounts", "counters", "customers")
    stored = {name: run_in_transaction(parse_url(now), partial(rows_of, name)) for name in tables}
    terms = run_in_transaction(parse_url(now), partial(rows_of, "terms"))

    def fill(connection: sa.Connection) -> None:
        for name in tables:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            for row in stored[name]:
                earlier = {column.name: row[column.name] for column in table.columns}
                flags = {n: bool(v) for n, v in earlier.items() if n == "accepts_marketing"}
                connection.execute(table.insert(), {**earlier, **flags})

    address = parse_url(empty_database)
    assert upgrade(address, "0002") == "0002"
    run_in_transaction(address, fill)
    assert upgrade(address) == newest_version()
    for row, found in zip(
        stored["customers"], run_in_transaction(address, partial(rows_of, "customers")), strict=True
    ):
        assert found == row
    assert run_in_transaction(address, partial(rows_of, "terms")) == terms
    assert len(terms) == 20
    history = run_in_transaction(address, partial(rows_of, "history"))
    columns = ("sequence", "customer_id", "kind", "at", "actor", "fields")
    assert [tuple(row[name] for name in columns) for row in history] == [
        (1, 1, "created", 1, "regulars migrate", None),
        (2, 2, "created", 2, "regulars migrate", None),
    ]
    (last,) = run_in_transaction(address, partial(rows_of, "counters"))
    assert last["changes"] == 2


def rows_of(name: str, connection: sa.Connection) -> list[dict[str, object]]:
    table = metadata.tables[name]
    statement = table.select().order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(statement).mappings()]


def test_events_that_an_older_program_kept_get_their_keys(empty_database: str) -> None:
    """It keeps them without keys between the two parts of the migration."""
    url = ("--database-url", empty_database)
    assert regulars("migrate", "--before", *url).returncode == 0

    def keep(connection: sa.Connection) -> None:
        row = {"account_id": 1, "inbox_id": "e1", "type": "order/created", "problem": "No name."}
        body = b'{"node": {"id": "o1", "email": "Old@example.com"}}'
        connection.execute(inbox.insert(), {**row, "body": body, "received_at": 1, "times": 1})

    run_in_transaction(parse_url(empty_database), keep)
    assert regulars("migrate", *url).returncode == 0

    def keys(connection: sa.Connection) -> set[str]:
        return set(connection.execute(sa.select(inbox_keys.c.key)).scalars())

    assert run_in_transaction(parse_url(empty_database), keys) == {"o1", "old@example.com"}
