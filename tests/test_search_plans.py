"""Each kind of search, in every order, uses an index on both databases."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.comments.commands import AddComment, Editor
from regulars.core.external_ids import ExternalId
from regulars.customers.bulk import SetCustomers, SetRow
from regulars.customers.commands import reference_to
from regulars.customers.search import finding
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.sample import LAST_TIMESTAMP
from regulars.store import parse_url
from regulars.store.postgresql.connect import open_connection
from regulars.store.query import Query
from regulars.store.searches import MAX_WALK_SET
from regulars.store.sqlite.file import connect
from regulars.store.tables import ORDER_COLUMNS
from regulars.webhooks.filtering import event_filters
from regulars.webhooks.filters import Change
from tests.postgres import vacuum
from tests.support import RecordingStore, run_regulars, scratch_database

pytestmark = pytest.mark.both_databases

CUSTOMERS = 12_000
TERMS = {"sqlite": "terms USING PRIMARY KEY", "postgresql": "Scan using terms_pkey on terms"}

# A search of each kind, and a column whose index it must use; None for the terms'.
KINDS: dict[str, str | None] = {
    "id:77": "customer_id",
    "id:>100": "customer_id",
    "email:customer.s1.4@example.com": "email_key",
    "email:molly*": "email_folded",
    "phone:+441164960784": None,
    "phone:0116*": None,
    "first_name:molly": "first_name_folded",
    "first_name:m*": "first_name_folded",
    "last_name:rees": "last_name_folded",
    "full_name:'molly rees'": "full_name_folded",
    "tag:vip": None,
    "tag:v*": None,
    "external_id:stripe:cus_7": None,
    "external_id:stripe:*": None,
    "has:external_id": None,
    "accepts_marketing:true": "accepts_marketing",
    "country:FR": None,
    "city:paris": None,
    "state:ny": None,
    "zip:75*": None,
    "orders_count:3": "orders_count",
    "orders_count:>=4": "orders_count",
    "expenses:>1000": "expenses",
    "total_spent:35": "expenses",
    "created_at:2024-03-18": "created_at",
    "created_at:>-30d": "created_at",
    "updated_at:2024-03": "updated_at",
    "notes:gift": None,
    "comment:called": "comment_term",
    "comment:cal*": "comment_term",
    "comment:'called back'": "comment_term",
    "has:comment": "commented",
    "comment:called tag:vip": "comment_term",
    "custom.loyalty:gold": None,
    "has:notes": None,
    "has:last_name": "last_name_folded",
    "last_year": "created_at",
    "order:#1001": "order_name",
    "order:10*": "order_name",
    "molly": None,
    "m": None,
    "vip": None,
    "山田": None,
    "'birthday club'": None,
    "06": None,
    "molly rees": None,
    "molly example.com": None,
    "gift example.com": None,
    "vip returning": None,
    "tag:vip country:FR": None,
    "tag:vip OR tag:gift": None,
    "tag:vip -tag:gift": None,
}
# The indexes of other tables, by the column of a search.
OTHER_INDEXES = {
    "order_name": "orders_name",
    "comment_term": "comment_terms_of_words",
    "commented": "comments_of_customer",
}
# Searches that no index serves, and are read along the order's.
ALONG = (
    "-tag:vip",
    "-comment:called",
    "-has:comment",
    "-vip -gift -country:FR",
    "-tag:vip OR tag:gift",
    "-has:notes -id:5",
)


def fill_database(url: str) -> str:
    for command in ("migrate", "account create one", f"sample --customers {CUSTOMERS}"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    asyncio.run(add_external_ids(url))
    asyncio.run(add_comments(url))
    return url


async def add_comments(url: str) -> None:
    """Add comments to a third of the customers."""
    store = store_for(url)
    await store.open()
    account_id = (await Accounts(store).resolve(None)).account_id
    editor = Editor("test", is_admin=True)
    for start in range(1, CUSTOMERS, 600):
        commands = [
            AddComment(
                reference_to(f"{n}"),
                {"text": f"Called on day {n}. {'Called' if n % 2 else 'Wrote'} back."},
                editor,
                LAST_TIMESTAMP,
            )
            for n in range(start, start + 600, 3)
        ]
        await asyncio.gather(*(store.write(account_id, command) for command in commands))
    await store.close()


async def add_external_ids(url: str) -> None:
    """Give an external id to a quarter of the customers."""
    store = store_for(url)
    await store.open()
    account = await Accounts(store).resolve(None)
    for start in range(1, CUSTOMERS // 4, 250):
        rows = [
            SetRow(
                {"external_ids": (ExternalId("stripe", f"cus_{n}"),)}, customer=reference_to(f"{n}")
            )
            for n in range(start, start + 250)
        ]
        await store.write(account.account_id, SetCustomers(tuple(rows), LAST_TIMESTAMP))
    await store.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill_database(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'plans.db'}")


@pytest.fixture(scope="module")
def on_postgresql(postgresql: str) -> Iterator[str]:
    with scratch_database(postgresql) as url:
        asyncio.run(vacuum(fill_database(url)))
        yield url


def statements_of(
    url: str, queries: Sequence[str]
) -> dict[str, list[tuple[Query, Mapping[str, Any]]]]:
    """Return the statements of the first page of each query."""
    document = "query($q: String) { customers(query: $q) { edges { node { email } } } }"

    async def run() -> dict[str, list[tuple[Query, Mapping[str, Any]]]]:
        store = store_for(url)
        await store.open()
        account = await Accounts(store).resolve(None)
        api, by_query = engine(), {}
        for query in queries:
            listening = RecordingStore(store)
            context = Context(account.account_id, Directory(listening), "test", LAST_TIMESTAMP)
            answer = await api.run(api.get_operation(document), {"q": query}, context)
            assert "errors" not in answer.to_response(), answer.to_response()
            by_query[query] = listening.queries
        await store.close()
        return by_query

    return asyncio.run(run())


def in_every_order(kinds: Iterable[str] = KINDS) -> list[str]:
    return [
        f"{kind} order_by:{order} order_dir:{direction}"
        for kind in kinds
        for order in ORDER_COLUMNS
        for direction in ("asc", "desc")
    ]


def order_index(query: str, of_id: str) -> str:
    """The name of the index of a query's order."""
    order = query.partition("order_by:")[2].partition(" ")[0]
    return of_id if order == "id" else f"customers_{ORDER_COLUMNS[order]}"


def kind_of(query: str) -> str:
    return query.partition(" order_by:")[0]


@pytest.mark.parametrize("few", [finding.MAX_INDEX_SCAN, 5])
@pytest.mark.slow
def test_every_search_uses_an_index_on_sqlite(
    on_sqlite: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `few` of 5, an order scan is chosen instead of an index scan."""
    monkeypatch.setattr(finding, "MAX_INDEX_SCAN", few)
    path = parse_url(on_sqlite).path
    assert path
    connection = connect(path)
    for query, statements in statements_of(on_sqlite, in_every_order()).items():
        plans = []
        for statement, parameters in statements:
            compiled = statement.compiled("sqlite")
            values = compiled.arguments(parameters)
            rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall()
            plans += [str(row[3]) for row in rows]
        plan = "\n".join(plans)
        assert not [line for line in plans if line.startswith("SCAN") and "customers" in line], plan
        assert "SCAN terms" not in plan, (query, plan)
        assert "AUTOMATIC" not in plan, (query, plan)
        # Every read of a table is bounded by the account and something else, but for the walk's.
        for line in plans:
            if line.startswith("SEARCH terms"):
                assert "(account_id=? AND term" in line, (query, plan)
        column = KINDS[kind_of(query)]
        indexes = {"customer_id": "sqlite_autoindex_customers_1", **OTHER_INDEXES}
        index = indexes.get(column or "", f"INDEX customers_{column} ")
        assert (index if column else TERMS["sqlite"]) in plan, (query, plan)
    for query, statements in statements_of(on_sqlite, in_every_order(ALONG)).items():
        plan = "\n".join(
            str(row[3])
            for statement, parameters in statements
            for compiled in [statement.compiled("sqlite")]
            for row in connection.execute(
                f"EXPLAIN QUERY PLAN {compiled.text}", compiled.arguments(parameters)
            )
        )
        assert order_index(query, "sqlite_autoindex_customers_1") in plan, (query, plan)
        assert "TEMP B-TREE" not in plan, (query, plan)
    connection.close()


def test_the_largest_set_of_a_walk_fits_into_a_hash_table(postgresql: str) -> None:
    walk = f"""EXPLAIN SELECT n FROM generate_series(1::bigint, 1000) n WHERE (n IN (
        SELECT m FROM generate_series(1::bigint, 10000000) m LIMIT {MAX_WALK_SET * 6 // 5}
    )) IS TRUE"""

    async def explain() -> str:
        connection = await open_connection(postgresql, 10.0)
        rows = await connection.fetch(walk)
        await connection.close()
        return "\n".join(row[0] for row in rows)

    assert "hashed SubPlan" in asyncio.run(explain())


@pytest.mark.slow
def test_every_search_uses_an_index_on_postgresql(on_postgresql: str) -> None:
    async def plans() -> dict[str, str]:
        connection = await open_connection(on_postgresql, 10.0)
        by_query = {}
        for query, statements in asked_for.items():
            lines = []
            for statement, parameters in statements:
                compiled = statement.compiled("postgresql")
                values = compiled.arguments(parameters)
                rows = await connection.fetch(f"EXPLAIN {compiled.text}", *values)
                lines += [row[0] for row in rows]
            by_query[query] = "\n".join(lines)
        await connection.close()
        return by_query

    asked_for = statements_of(on_postgresql, in_every_order([*KINDS, *ALONG]))
    walks = [
        query
        for query, statements in asked_for.items()
        if any("IS TRUE" in statement.compiled("postgresql").text for statement, _ in statements)
    ]
    assert {kind_of(query) for query in walks} >= {"country:FR", "first_name:m*", "notes:gift"}
    for query, plan in asyncio.run(plans()).items():
        if kind_of(query) in ALONG:
            assert order_index(query, "customers_pkey") in plan, (query, plan)
            assert "Sort" not in plan, (query, plan)
            continue
        # Without a hash table, a walk would read the index of the search for each of its entries.
        assert plan.count("IS TRUE") == plan.count("hashed SubPlan"), (query, plan)
        # The account's own counters are a page of a handful of rows. All comments are the account's.
        other_scans = plan.replace("Seq Scan on counters", "")
        if kind_of(query) == "has:comment":
            other_scans = other_scans.replace("Seq Scan on comments ", "")
        assert "Seq Scan" not in other_scans, (query, plan)
        column = KINDS[kind_of(query)]
        indexes = {"customer_id": "customers_pkey", **OTHER_INDEXES}
        index = indexes.get(column or "", f"customers_{column}")
        bitmap = "on terms_pkey" if column is None else f"on {index}"
        direct = "using terms_pkey" if column is None else f"using {index}"
        assert bitmap in plan or direct in plan, (query, plan)


def filter_statements(url: str) -> dict[str, tuple[Query, Mapping[str, Any]]]:
    """Return the statement with which each search, as the filter of a webhook, reads a batch."""

    async def run() -> dict[str, tuple[Query, Mapping[str, Any]]]:
        store = store_for(url)
        await store.open()
        account = await Accounts(store).resolve(None)
        changes = [Change(n, n % 80 + 1, "created", None, None) for n in range(100)]
        by_query = {}
        for query in (*KINDS, *ALONG):
            settings = orjson.dumps({"query": query}).decode()
            webhook = {"type": "contact/signup", "settings": settings}
            listening: Any = RecordingStore(store)
            filters = await event_filters(store, webhook)
            await filters.passing(listening, account.account_id, changes, LAST_TIMESTAMP)
            (by_query[query],) = listening.queries
        await store.close()
        return by_query

    return asyncio.run(run())


def test_a_filter_of_webhooks_reads_a_batch_by_id_on_sqlite(on_sqlite: str) -> None:
    path = parse_url(on_sqlite).path
    assert path
    connection = connect(path)
    for kind, (query, parameters) in filter_statements(on_sqlite).items():
        compiled = query.compiled("sqlite")
        arguments = compiled.arguments(parameters)
        values = [orjson.dumps(v).decode() if isinstance(v, list) else v for v in arguments]
        rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall()
        (plan,) = [str(row[3]) for row in rows if "customers" in str(row[3])]
        assert plan.startswith("SEARCH customers USING"), (kind, plan)
        assert "(account_id=? AND customer_id=?)" in plan, (kind, plan)
    connection.close()


def test_a_filter_of_webhooks_reads_a_batch_by_an_index_on_postgresql(on_postgresql: str) -> None:
    async def plans() -> dict[str, str]:
        connection = await open_connection(on_postgresql, 10.0)
        texts = {}
        for kind, (query, parameters) in statements.items():
            compiled = query.compiled("postgresql")
            rows = await connection.fetch(
                f"EXPLAIN {compiled.text}", *compiled.arguments(parameters)
            )
            texts[kind] = "\n".join(row[0] for row in rows)
        await connection.close()
        return texts

    statements = filter_statements(on_postgresql)
    for kind, plan in asyncio.run(plans()).items():
        assert re.search("Index (Only )?Scan using customers_", plan), (kind, plan)
        assert "Seq Scan on customers" not in plan, (kind, plan)
