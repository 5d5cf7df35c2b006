"""Statements: few for each request, with only the needed columns, and always by an index."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import pytest

from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.customers.commands import CreateCustomer, DeleteCustomers, Reference, UpdateCustomer
from regulars.directory.database import store_for
from regulars.directory.decide import DOMAIN
from regulars.directory.directory import Directory
from regulars.directory.entities import ENTITIES
from regulars.store import LookupKeys, parse_url, queries
from regulars.store.postgresql.store import PostgreSQLStore
from regulars.store.relations import LEADS, ORDERS, first_of_each
from regulars.store.sqlite.file import connect
from regulars.store.tables import ORDER_COLUMNS
from tests.conftest import DATABASES
from tests.support import RecordingStore, copy_sqlite_template, run_regulars, scratch_database

pytestmark = pytest.mark.both_databases

NESTED = """{ customers(first: 50) { edges { cursor node { full_name
    leads { subject } shipping_address { city }
    summary { visits orders { list { referrer order { name customer { email
      leads { message } summary { orders { list { order { total } } } } } } } } } } }
    pageInfo { hasNextPage hasPreviousPage } } }"""


@pytest.fixture(scope="module", params=DATABASES)
def sample_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database with an account of sample customers."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = copy_sqlite_template(tmp_path_factory.mktemp("sample") / "sample.db")
        else:
            dsn = request.getfixturevalue("postgresql")
            template = request.getfixturevalue("postgresql_template")
            url = stack.enter_context(scratch_database(dsn, template=template))
        for command in ("account create one", "sample --customers 400"):
            assert run_regulars(*command.split(), "--database-url", url).returncode == 0
        yield url


def run_document(
    database_url: str, document: str, account_name: str | None = None
) -> tuple[list[str], Any]:
    """Return the statements that a document runs, and the response."""

    async def run() -> tuple[list[str], Any]:
        store = store_for(database_url)
        await store.open()
        recorder = RecordingStore(store)
        account = await Accounts(store).resolve(account_name)
        context = Context(account.account_id, Directory(recorder), "test", 0)
        api = engine()
        answer = await api.run(api.get_operation(document), {}, context)
        await store.close()
        texts = [query.compiled("sqlite").text for query, _ in recorder.queries]
        return texts, answer.to_response()

    return asyncio.run(run())


def test_a_nested_document_takes_a_statement_for_each_relation_and_level(
    sample_database: str,
) -> None:
    for size in (1, 50):
        statements, answer = run_document(
            sample_database, NESTED.replace("first: 50", f"first: {size}")
        )
        assert "errors" not in answer
        assert len(answer["data"]["customers"]["edges"]) == size
        # The page; leads and orders of its customers; the orders' customers; theirs.
        assert len(statements) == 6, statements


def test_page_and_page_info_take_one_statement(sample_database: str) -> None:
    """A page with any bounds takes one statement, unless it is empty."""
    for bounds in ('first: 2, after: "WzIwMCwyMDBd"', 'last: 2, before: "WzIwMCwyMDBd"'):
        for more in ("", ', before: "WzEwMCwxMDBd"' if "after" in bounds else ""):
            statements, answer = run_document(
                sample_database,
                f"{{ customers({bounds}{more}) {{ edges {{ node {{ _id }} }} "
                "pageInfo { hasNextPage hasPreviousPage } } }",
            )
            assert len(statements) == 1, statements
            assert len(answer["data"]["customers"]["edges"]) == 2
            info = {"hasNextPage": True, "hasPreviousPage": True}
            assert answer["data"]["customers"]["pageInfo"] == info


def test_a_page_of_segments_reads_the_segments_once(sample_database: str) -> None:
    for name in ("one", "two"):
        command = ("segments", "create", name, "--query", f"tag:{name}")
        assert run_regulars(*command, "--database-url", sample_database).returncode == 0
    selection = "{ edges { node { name problem statistics } } }"
    statements, answer = run_document(sample_database, f"{{ segments(first: 2) {selection} }}")
    assert len(answer["data"]["segments"]["edges"]) == 2
    assert sum("FROM segments" in text.replace("\n", " ") for text in statements) == 1


@pytest.mark.slow
@pytest.mark.one_server
def test_single_write_takes_two_round_trips_and_a_create_one(postgresql: str) -> None:
    sent: list[str] = []

    async def write(dsn: str) -> None:
        store = PostgreSQLStore(dsn, DOMAIN)
        await store.open()
        accounts = Accounts(store)
        account = await accounts.create("one")
        directory = Directory(store)
        # The first statements of a connection ask for the types of their arrays as well.
        await directory.write(account.account_id, CreateCustomer.from_node({"email": "a@b.co"}, 1))
        async with store._cluster.pool.acquire() as connection:
            connection.add_query_logger(lambda record: sent.append(record.query))
        created = await directory.write(
            account.account_id, CreateCustomer.from_node({"email": "b@b.co"}, 1)
        )
        reference = Reference("2", created["customer_id"])
        await directory.write(
            account.account_id, UpdateCustomer.from_node(reference, {"phone": "1"}, 2)
        )
        await directory.write(account.account_id, DeleteCustomers((reference,), 3, permanent=True))
        await store.close()

    with scratch_database(postgresql) as dsn:
        assert run_regulars("migrate", "--database-url", dsn).returncode == 0
        asyncio.run(write(dsn))
    # A deletion also measures the comments that it deletes.
    assert len(sent) == 6, sent


def test_only_the_columns_that_a_document_needs_are_read(sample_database: str) -> None:
    (statement,), _ = run_document(
        sample_database, "{ customers { edges { node { avatar full_name } } } }"
    )
    columns = re.findall(r"customers\.(\w+)", statement.split("FROM")[0])
    assert sorted(columns) == ["customer_id", "customer_id", "email", "first_name", "last_name"]


PAGES = [
    (order, ascending, after, before)
    for order in ORDER_COLUMNS
    for ascending in (True, False)
    for after, before in ((False, False), (True, False), (False, True))
]


def test_every_page_is_read_along_an_index_on_sqlite(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    assert run_regulars("migrate", "--database-url", url).returncode == 0
    path = parse_url(url).path
    assert path
    connection = connect(path)
    for shape in PAGES:
        compiled = queries.page(shape[0], ("phone",), *shape[1:]).compiled("sqlite")
        values: list[Any] = [1] * len(compiled.names)
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall())
        assert "SEARCH customers USING INDEX" in plan, (shape, plan)
        assert "TEMP B-TREE" not in plan, (shape, plan)
    for query in (ENTITIES.state_query(LookupKeys()), queries.customers_by_id(("email",))):
        compiled = query.compiled("sqlite")
        values = ["[]"] * len(compiled.names)
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall())
        assert "SCAN customers" not in plan, plan
    for relation, columns in ((ORDERS, ("order_id",)), (ORDERS, ("name",)), (LEADS, ("message",))):
        for after in (False, True):
            compiled = first_of_each(relation, columns, after).compiled("sqlite")
            values = ["[]" if name == "ids" else 1 for name in compiled.names]
            plan = str(connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall())
            key = f"(account_id=? AND customer_id=? AND created_at=? AND {relation.keyset[-1]}=?)"
            assert f"{relation.table.name}_of_customer {key}" in plan, plan
    connection.close()


@pytest.mark.slow
def test_every_page_is_read_along_an_index_on_postgresql(postgresql: str) -> None:
    async def plans(dsn: str) -> list[str]:
        connection = await asyncpg.connect(dsn)
        texts = []
        # Without figures about a large table, the planner would sort a small one.
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        for order, ascending, after, before in PAGES:
            compiled = queries.page(order, ("phone",), ascending, after, before).compiled(
                "postgresql"
            )
            text = order in ("email", "first_name", "last_name", "full_name")
            values = ["x" if text and name.endswith("_value") else 1 for name in compiled.names]
            rows = await connection.fetch(f"EXPLAIN {compiled.text}", *values)
            texts.append("\n".join(row[0] for row in rows))
        await connection.close()
        return texts

    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        for plan in asyncio.run(plans(url)):
            assert "Index Scan" in plan
            assert "Sort" not in plan
