"""Migrations: from every earlier version, they create the tables that the program defines."""

from __future__ import annotations

import ast
import hashlib
import io
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from regulars.accounts.accounts import Accounts
from regulars.customers.commands import CreateCustomer
from regulars.directory.database import upgrade
from regulars.orders.inbox_keys import find_keys
from regulars.store import Store, parse_url
from regulars.store.auth_tables import compatibility
from regulars.store.migrate import module, run_in_transaction
from regulars.store.schema_version import newest_version, require_usable, versions
from regulars.store.tables import inbox, inbox_keys, metadata
from tests.support import run_regulars, with_store
from tests.test_upgrades import UNRELEASED


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


@pytest.mark.both_databases
def test_the_migrated_tables_are_those_that_the_program_defines(empty_database: str) -> None:
    address = parse_url(empty_database)
    assert upgrade(address) == newest_version()
    require_usable(address)
    assert run_in_transaction(address, differences) == []


@pytest.mark.both_databases
def test_database_is_upgraded_from_every_earlier_version(empty_database: str) -> None:
    address = parse_url(empty_database)
    for version in versions():
        assert upgrade(address, version) == version
    assert versions()[-1] == newest_version()
    assert upgrade(address) == newest_version()


# The SQL of each released migration, as hashes of what Alembic writes for SQLite and PostgreSQL.
# They never change: a database may have been migrated by any of them.
RELEASED = {
    "0001": ("26eead721ea3bfe4", "f838b42fc17927d2"),
    "0002": ("c4abb164c5ef4380", "9b73cae961e18789"),
    "0003": ("01fbf76afb5ab099", "fb5db7fa0db60d5f"),
    "0004": ("703acfb05f484e61", "0d78a04396d55e3f"),
    "0005": ("2f9023ecf134f26a", "d6195926edfe3b0b"),
    "0006": ("bc08612a5632eb77", "662f60ddc2fe53b9"),
    "0007": ("c2a3e4f0b5b66a93", "eab0479c9b1a32e8"),
    "0008": ("bf19d644ad75458e", "7ece44886c6f0033"),
    "0009": ("8ea7c322414f5023", "9f7eafc0fd5a0a32"),
    "0010": ("f68297807db3dc9e", "fc0dfa1708cfb342"),
    "0011": ("cb0a81a83f21a76c", "bd8cb5a20ccbdc60"),
    "0012": ("eddac1507b59d516", "15f9fc7224b492e3"),
}


def written_sql(version: str, dialect: str) -> str:
    """Return the SQL of a migration, with single spaces."""
    output = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": output}
    )
    connection: Any = context.impl.bind
    execute = connection.execute

    def execute_without_rows(*arguments: Any) -> sa.Result[Any]:
        execute(*arguments)
        return sa.engine.IteratorResult(sa.engine.result.SimpleResultMetaData([]), iter(()))

    connection.execute = execute_without_rows
    with Operations.context(context):
        module(version).upgrade()
    return " ".join(output.getvalue().split())


@pytest.mark.parametrize("version", [v for v in versions() if v < UNRELEASED])
def test_a_released_migration_never_changes(version: str) -> None:
    hashes = [
        hashlib.sha256(written_sql(version, dialect).encode()).hexdigest()[:16]
        for dialect in ("sqlite", "postgresql")
    ]
    assert tuple(hashes) == RELEASED[version]


def test_a_migration_imports_nothing_of_the_product() -> None:
    paths = sorted(Path(str(module(versions()[0]).__file__)).parent.glob("v*.py"))
    assert len(paths) == len(versions())
    allowed = {*sys.stdlib_module_names, "sqlalchemy", "alembic"}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, path
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_versions_match_alembic() -> None:
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

    result = run_in_transaction(address, tables)
    assert sorted(result) == [(name, 1) for name in sorted(metadata.tables)]


@pytest.mark.slow
def test_customers_of_an_earlier_version_are_searchable_after_the_upgrade(
    empty_database: str, tmp_path: Path
) -> None:
    """The values derived from stored customers are those that the writer would have stored."""
    now = f"sqlite:///{tmp_path / 'now.db'}"
    assert run_regulars("migrate", "--database-url", now).returncode == 0
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
        await store.write(account.account_id, CreateCustomer.from_node(node, 1))
        await store.write(account.account_id, CreateCustomer.from_node({"email": "b@b.co"}, 2))

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
    for row, result in zip(
        stored["customers"], run_in_transaction(address, partial(rows_of, "customers")), strict=True
    ):
        assert result == row
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


@pytest.mark.slow
def test_migration_adds_keys_to_stored_inbox_events(empty_database: str) -> None:
    """An older program stores events without keys between the two parts of the migration."""
    url = ("--database-url", empty_database)
    assert run_regulars("migrate", "--before", *url).returncode == 0

    def keep(connection: sa.Connection) -> None:
        row = {"account_id": 1, "inbox_id": "e1", "type": "order/created", "problem": "No name."}
        body = b'{"node": {"id": "o1", "email": "Old@example.com"}}'
        connection.execute(inbox.insert(), {**row, "body": body, "received_at": 1, "times": 1})

    run_in_transaction(parse_url(empty_database), keep)
    assert run_regulars("migrate", *url).returncode == 0

    def keys(connection: sa.Connection) -> set[str]:
        return set(connection.execute(sa.select(inbox_keys.c.key)).scalars())

    assert run_in_transaction(parse_url(empty_database), keys) == {"o1", "old@example.com"}


EMAILS = (
    "Info@straße.example",
    "ß@example.com",
    "Ana@example.com",
    "ana@xn--fa-hia.example",
    "ΟΔΌΣ@οδός.example",
    "łukasz@łódź.example",
    "Ꭰ@xᎠy.example",
)


def create_customers_with_former_keys(url: str) -> dict[object, str]:
    """Create customers as an older program stored them; return their keys by the new rules."""

    async def create(store: Store) -> None:
        account = await Accounts(store).create("one")
        for email in EMAILS:
            await store.write(account.account_id, CreateCustomer.from_node({"email": email}, 1))

    with_store(url, create)
    stored = run_in_transaction(parse_url(url), partial(rows_of, "customers"))
    new_keys = {row["customer_id"]: str(row["email_key"]) for row in stored}
    for number, key in new_keys.items():
        set_key(url, number, key.casefold())
    return new_keys


def set_key(url: str, number: object, key: str) -> None:
    customers = metadata.tables["customers"]
    statement = customers.update().where(customers.c.customer_id == number).values(email_key=key)
    run_in_transaction(parse_url(url), lambda connection: connection.execute(statement))


def store_event(url: str, body: str, keys: set[str]) -> None:
    """Store an event of the inbox as an older program does."""

    def run(connection: sa.Connection) -> None:
        row = {"account_id": 1, "inbox_id": "e1", "type": "order/created", "problem": "No name."}
        row |= {"received_at": 1, "times": 1}
        connection.execute(inbox.insert(), {**row, "body": body.encode()})
        values = [{"account_id": 1, "inbox_id": "e1", "key": key} for key in keys]
        connection.execute(inbox_keys.insert(), values)

    run_in_transaction(parse_url(url), run)


def run_part(url: str, part: str) -> None:
    def run(connection: sa.Connection) -> None:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            getattr(module("0011"), part)()

    run_in_transaction(parse_url(url), run)


def stored_keys(url: str) -> dict[object, object]:
    rows = run_in_transaction(parse_url(url), partial(rows_of, "customers"))
    return {row["customer_id"]: row["email_key"] for row in rows}


@pytest.mark.parametrize("part", ["upgrade", "contract"])
@pytest.mark.both_databases
def test_keys_of_emails_follow_idna_2008(empty_database: str, part: str) -> None:
    """The contract part replaces keys that older programs stored after the expand part. A second run
    changes nothing."""
    upgrade(parse_url(empty_database))
    new_keys = create_customers_with_former_keys(empty_database)
    assert set(new_keys.values()) > {"info@straße.example", "ana@faß.example", "ß@example.com"}
    for _ in range(2):
        run_part(empty_database, part)
        assert stored_keys(empty_database) == new_keys


def test_all_batches_of_keys_are_replaced(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module("0011"), "BATCH", 2)
    upgrade(parse_url(empty_database))
    new_keys = create_customers_with_former_keys(empty_database)
    run_part(empty_database, "upgrade")
    assert stored_keys(empty_database) == new_keys


def test_a_key_that_another_customer_has_meanwhile_is_not_taken(empty_database: str) -> None:
    upgrade(parse_url(empty_database))
    new_keys = create_customers_with_former_keys(empty_database)
    (first,) = (number for number, key in new_keys.items() if key == "info@straße.example")
    (other,) = (number for number, key in new_keys.items() if key == "ana@example.com")
    set_key(empty_database, other, "info@straße.example")
    run_part(empty_database, "contract")
    expected = {**new_keys, first: "info@strasse.example", other: "info@straße.example"}
    assert stored_keys(empty_database) == expected


def test_stored_events_get_the_new_keys_of_their_emails(empty_database: str) -> None:
    """An event is deleted with a customer who is created later, too."""
    upgrade(parse_url(empty_database))
    body = '{"node": {"email": "Neu@stra\\u00dfe.example", "text": "to\\nwei\u00df@example.com"}}'
    old_keys = {"neu@strasse.example", "weiss@example.com"}
    store_event(empty_database, body, old_keys)
    for _ in range(2):
        run_part(empty_database, "contract")
        rows = run_in_transaction(parse_url(empty_database), partial(rows_of, "inbox_keys"))
        assert {row["key"] for row in rows} == old_keys | {
            "neu@straße.example",
            "weiß@example.com",
        }
    assert find_keys(body.encode()) == ["neu@straße.example", "weiß@example.com"]


@pytest.mark.slow
def test_an_older_and_the_newer_program_share_a_database(empty_database: str) -> None:
    """Between the two parts an older program can work with the tables; the contract part excludes
    it."""
    url = ("--database-url", empty_database)
    assert run_regulars("migrate", "--before", *url).returncode == 0
    new_keys = create_customers_with_former_keys(empty_database)
    oldest = sa.select(compatibility.c.oldest)

    def read_oldest() -> str:
        address = parse_url(empty_database)
        return str(run_in_transaction(address, lambda c: c.execute(oldest).scalar_one()))

    assert read_oldest() == "0008"
    assert run_regulars("migrate", *url).returncode == 0
    assert stored_keys(empty_database) == new_keys
    assert read_oldest() == "0027"
    result = run_regulars("verify", *url)
    assert result.returncode == 0, result.stdout


def test_no_two_keys_of_emails_become_equal() -> None:
    """Emails whose lower case is the same have the same case folding, which is the former key."""
    characters = map(chr, range(sys.maxunicode + 1))
    assert [c for c in characters if c.lower().casefold() != c.casefold()] == []
