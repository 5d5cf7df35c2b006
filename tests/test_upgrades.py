"""Databases of released programs are upgraded without loss, on SQLite and PostgreSQL.

Each file in tests/files/versions was written by the program of that version, after it was used
through its API: the rows of all tables, and the customers as that program returned them.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.directory.database import upgrade
from regulars.store import parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.schema_version import versions
from tests.support import Client, create_token, run_regulars, run_server

pytestmark = pytest.mark.both_databases

FOLDER = Path(__file__).parent / "files" / "versions"
# The version of the first program whose tables are not in the folder yet: the one in development.
UNRELEASED = "0013"

REFERRED_TO = ("accounts", "tokens", "counters", "customers", "webhooks", "imports")
EXTERNAL = """__typename ... on Customer { _id external_ids { source id } }
  ... on Order { _id external_ids { source id } }"""
CUSTOMERS = """query($after: String) {
  customers(first: 7, after: $after, query: "order_by:id order_dir:asc") {
    edges { node {
      id _id created_at(format: "x") updated_at(format: "x") email phone first_name last_name full_name
      accepts_marketing notes custom tags expenses orders_count shipping_address { toString }
      summary { visits orders { list { order {
        id name total financial_status cancelled_at(format: "x") } } } }
      leads { id message } } }
    pageInfo { endCursor hasNextPage } } }"""


def test_every_released_version_has_a_database() -> None:
    files = sorted(path.stem for path in FOLDER.iterdir())
    assert files == [version for version in versions() if version < UNRELEASED]


def insert(connection: sa.Connection, tables: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in tables.items():
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        connection.execute(table.delete())  # what the migration itself has put there
        for row in rows:
            connection.execute(table.insert(), {c.name: value_of(c, row[c.name]) for c in table.c})


def value_of(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return bool(value) if isinstance(column.type, sa.Boolean) and value is not None else value


def all_customers(client: Client) -> list[dict[str, Any]]:
    customers: list[dict[str, Any]] = []
    after = None
    while True:
        page = client.data(CUSTOMERS, after=after)["customers"]
        customers += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return customers
        after = page["pageInfo"]["endCursor"]


@pytest.mark.slow
@pytest.mark.parametrize("version", [path.stem for path in sorted(FOLDER.iterdir())])
def test_a_database_of_a_released_version_is_upgraded(durable_database: str, version: str) -> None:
    dump = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
    assert dump["version"] == version
    address = parse_url(durable_database)
    assert upgrade(address, version) == version
    run_in_transaction(address, lambda connection: insert(connection, in_order(dump["tables"])))

    assert run_regulars("migrate", "--database-url", durable_database).returncode == 0
    result = run_regulars("verify", "--database-url", durable_database)
    assert result.returncode == 0, result.stdout
    with run_server(durable_database) as server:
        account = dump["tables"]["accounts"][0]["name"]
        with Client(server, create_token(server, account)) as client:
            expected = [edge["node"] for edge in dump["customers"]]
            assert all_customers(client) == expected
            for row in dump["tables"].get("shop_ids", ()):
                assert client.node(row["shop_id"], EXTERNAL) == {
                    "__typename": row["type"],
                    "_id": row["number"],
                    "external_ids": [{"source": "shop", "id": row["shop_id"]}],
                }
            client.create("afterwards@example.com")
            words = client.data('{ customers(query: "Søren") { totalCount } }')
            assert words["customers"]["totalCount"] > 0
    assert run_regulars("doctor", "--database-url", durable_database).returncode == 0
    assert run_regulars("verify", "--database-url", durable_database).returncode == 0


def in_order(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables, with referenced tables before those that refer to them."""
    first = [name for name in REFERRED_TO if name in tables]
    return {name: tables[name] for name in (*first, *(n for n in tables if n not in first))}
