"""Lists: sort orders, pages and cursors."""

from __future__ import annotations

import base64
import itertools
import json
import random
import threading
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.errors import Rejected
from regulars.customers.commands import Activity, CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.directory import Directory
from regulars.orders.values import NewOrder
from regulars.store import Store
from tests.support import Client, Server, create_token, with_store

pytestmark = pytest.mark.both_databases

ORDERS = (
    "id",
    "created_at",
    "updated_at",
    "email",
    "first_name",
    "last_name",
    "full_name",
    "expenses",
    "orders_count",
)
NAMES = ("ana", "Ana", "Ána", "Bo", "Émile", "emile", "Zoë", "zoe", "王", "Ωmega", "", "straße")


def fold(text: str) -> str:
    """Folds a text as the contract defines it."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def add_many(server: Server, account: str, count: int, seed: int = 1) -> None:
    """Creates customers with orders, and with many equal values in each sort order."""
    draw = random.Random(seed)

    def command(index: int) -> CreateCustomer:
        node = {
            "email": f"{draw.choice('abcDEF')}{index}@example.com",
            "first_name": draw.choice(NAMES),
            "last_name": draw.choice(NAMES),
        }
        values, problems = clean_values(node, ())
        timestamp = 1_700_000_000_000 + draw.randrange(50)
        orders = tuple(
            NewOrder(f"{index}-{n}", Decimal(draw.choice(("35", "12.5", "0.01"))), timestamp)
            for n in range(draw.randrange(4))
        )
        return CreateCustomer(values, timestamp, problems, Activity(orders))

    async def add(store: Store) -> None:
        owner = await Accounts(store).resolve(account)
        commands = [command(index) for index in range(count)]
        for outcome in await Directory(store).create_many(owner.account_id, commands):
            assert not isinstance(outcome, Rejected)

    with_store(server.database_url, add)


@pytest.fixture(scope="module")
def large_account(server: Server) -> Iterator[Client]:
    """An account of 1,000 customers."""
    name = "account of the lists"

    async def create(store: Store) -> None:
        await Accounts(store).create(name)

    with_store(server.database_url, create)
    add_many(server, name, 1_000)
    with Client(server, create_token(server, name)) as client:
        yield client


def sort_key(order: str) -> Callable[[dict[str, Any]], Any]:
    """Returns the sort key of an order."""

    def key(node: dict[str, Any]) -> Any:
        if order == "id":
            return node["_id"]
        if order in ("created_at", "updated_at"):
            return (int(node[order]), node["_id"])
        value = node[order]
        return (fold(value) if isinstance(value, str) else value, node["_id"])

    return key


FIELDS = """_id email first_name last_name full_name expenses orders_count
    created_at(format: "x") updated_at(format: "x")"""


def walk(
    client: Client,
    query: str,
    size: int,
    backward: bool,
    fields: str = "_id",
    has_writers: bool = False,
) -> list[Any]:
    """Returns all nodes of a list, page by page. With `has_writers`, customers may be deleted during
    the walk."""
    collected: list[Any] = []
    count, cursor = ("last", "before") if backward else ("first", "after")
    arguments: dict[str, Any] = {"query": query, count: size}
    while True:
        page = client.page(fields, **arguments)
        nodes = [edge["node"] for edge in page["edges"]]
        collected = nodes + collected if backward else collected + nodes
        info = page["pageInfo"]
        if nodes:
            assert info["startCursor"] == page["edges"][0]["cursor"]
            assert info["endCursor"] == page["edges"][-1]["cursor"]
        has_earlier, has_later = info["hasNextPage"], info["hasPreviousPage"]
        if not backward:
            has_earlier, has_later = has_later, has_earlier
        assert has_earlier == (cursor in arguments) or has_writers
        if not has_later:
            return collected
        arguments[cursor] = info["startCursor" if backward else "endCursor"]


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_in_both_directions(large_account: Client, order: str, direction: str) -> None:
    query = f"order_by:{order} order_dir:{direction}"
    forward = walk(large_account, query, 250, False, FIELDS)
    assert len(forward) == 1_000
    assert forward == sorted(forward, key=sort_key(order), reverse=direction == "desc")
    ids = [node["_id"] for node in forward]
    assert [node["_id"] for node in walk(large_account, query, 250, True)] == ids
    for size, backward in ((23, False), (50, True)):
        assert [node["_id"] for node in walk(large_account, query, size, backward)] == ids


def test_pages_of_one_customer(large_account: Client) -> None:
    cursor, ids = None, []
    for _ in range(60):
        page = large_account.page(query="order_by:first_name order_dir:asc", first=1, after=cursor)
        ids.append(page["edges"][0]["node"]["_id"])
        cursor = page["pageInfo"]["endCursor"]
    full = large_account.page(query="order_by:first_name order_dir:asc", first=60)
    assert ids == [edge["node"]["_id"] for edge in full["edges"]]


@pytest.mark.parametrize("size", [1, 25, 250])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.slow
def test_paging_during_writes_misses_and_repeats_nothing(
    server: Server, size: int, backward: bool
) -> None:
    account = f"walk {size} {backward}"
    token = create_account_and_token(server, account)
    count = 60 if size == 1 else 400
    add_many(server, account, count)
    permanent_ids = {n for n in range(1, count + 1) if n % 4}
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with Client(server, token) as other:
                deletable_ids = [n for n in range(1, count + 1) if n % 4 == 0]
                for number in itertools.count():
                    if stop.is_set():
                        return
                    other.create(f"new{number}@example.com", first_name=NAMES[number % 12])
                    if deletable_ids:
                        other.delete(str(deletable_ids.pop(number % len(deletable_ids))))
                    newest = other.page(query="order_by:id order_dir:desc", first=1)["edges"][0]
                    other.update(str(newest["node"]["_id"]), first_name=NAMES[number % 11])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with Client(server, token) as client:
            for order in ("id", "first_name", "expenses", "email"):
                nodes = walk(client, f"order_by:{order}", size, backward, has_writers=True)
                ids = [node["_id"] for node in nodes]
                walked = [number for number in ids if number in permanent_ids]
                assert sorted(walked) == sorted(permanent_ids)
                assert len(ids) == len(set(ids)) or order == "first_name"
    finally:
        stop.set()
        thread.join()
    assert not failures


def create_account_and_token(server: Server, name: str) -> str:
    """Creates an account of that name and returns a token for it."""

    async def create(store: Store) -> None:
        await Accounts(store).create(name)

    with_store(server.database_url, create)
    return create_token(server, name)


def test_a_list_defaults_to_the_25_newest_customers(large_account: Client) -> None:
    ids = [edge["node"]["_id"] for edge in large_account.page()["edges"]]
    assert ids == list(range(1_000, 975, -1))
    for query in ("order_by:id", "order_dir:desc", "order_dir:desc  order_by:id", None):
        assert [edge["node"]["_id"] for edge in large_account.page(query=query)["edges"]] == ids
    (smallest,) = large_account.page(query="order_dir:asc", first=1)["edges"]
    assert smallest["node"]["_id"] == 1


def test_an_empty_page_has_correct_page_info(large_account: Client) -> None:
    empty = {"startCursor": None, "endCursor": None}
    page = large_account.page(first=0)
    assert page["edges"] == []
    assert page["pageInfo"] == {**empty, "hasNextPage": True, "hasPreviousPage": False}
    page = large_account.page(last=0)
    assert page["pageInfo"] == {**empty, "hasNextPage": False, "hasPreviousPage": True}
    lowest = large_account.page(last=1)["pageInfo"]["endCursor"]
    page = large_account.page(first=5, after=lowest)
    assert page["edges"] == []
    assert page["pageInfo"] == {**empty, "hasNextPage": False, "hasPreviousPage": True}


@pytest.mark.parametrize("arguments", [{}, {"first": 0}, {"last": 3}])
def test_an_empty_list(client: Client, arguments: dict[str, Any]) -> None:
    page = client.page(**arguments)
    assert page["edges"] == []
    assert page["pageInfo"] == {
        "startCursor": None,
        "endCursor": None,
        "hasNextPage": False,
        "hasPreviousPage": False,
    }


def test_a_page_between_two_cursors(large_account: Client) -> None:
    edges = large_account.page(first=10)["edges"]
    inner = large_account.page(after=edges[2]["cursor"], before=edges[7]["cursor"])
    assert inner["edges"] == edges[3:7]
    assert inner["pageInfo"]["hasNextPage"] is True
    assert inner["pageInfo"]["hasPreviousPage"] is True
    bounds: dict[str, Any] = {"after": edges[2]["cursor"], "before": edges[7]["cursor"]}
    assert large_account.page(first=2, **bounds)["edges"] == edges[3:5]
    assert large_account.page(last=2, **bounds)["edges"] == edges[5:7]
    swapped = large_account.page(after=edges[7]["cursor"], before=edges[2]["cursor"])
    assert swapped["edges"] == []


def test_a_cursor_of_a_deleted_customer_is_valid(client: Client) -> None:
    for letter in "abcd":
        client.create(f"{letter}@example.com")
    cursor = client.page(query="order_by:email order_dir:asc", first=2)["pageInfo"]["endCursor"]
    client.delete("2")
    following = client.emails("order_by:email order_dir:asc", after=cursor)
    assert following == ["c@example.com", "d@example.com"]


@pytest.mark.parametrize(
    ("order", "value"),
    [("id", 1), ("first_name", "ana"), ("expenses", 0), ("orders_count", 0), ("email", "ana@b.co")],
)
def test_a_cursor_holds_the_order_value_and_the_id(client: Client, order: str, value: Any) -> None:
    client.create("ANA@b.co", first_name="Ána")
    cursor = client.page(query=f"order_by:{order}")["edges"][0]["cursor"]
    assert json.loads(base64.b64decode(cursor)) == [value, 1]


def test_a_cursor_by_expenses_holds_the_displayed_value(large_account: Client) -> None:
    page = large_account.page("_id expenses", query="order_by:expenses order_dir:desc", first=100)
    for edge in page["edges"]:
        node = edge["node"]
        expected = [node["expenses"], node["_id"]]
        assert json.loads(base64.b64decode(edge["cursor"])) == expected
        assert not str(node["expenses"]).endswith(".0")


def encode_cursor(*value: Any) -> str:
    return base64.b64encode(json.dumps(list(value)).encode()).decode()


@pytest.mark.parametrize(
    ("order", "cursor"),
    [
        ("id", "WzE5MTM1MCwxOTEzNTB"),
        ("id", "WzVE4OTA5LDEe/4OTA5XQ=="),
        ("id", "\u0000"),
        ("id", "é"),
        ("id", encode_cursor(2, 1)),
        ("id", encode_cursor("ana", 1)),
        ("id", encode_cursor(1)),
        ("id", encode_cursor(1, 1, 1)),
        ("id", encode_cursor(True, True)),
        ("id", encode_cursor(1.0, 1)),
        ("id", encode_cursor(0, 0)),
        ("id", encode_cursor(2**40, 2**40)),
        ("id", base64.b64encode(b'{"a":1}').decode()),
        ("email", encode_cursor(1, 1)),
        ("email", encode_cursor("ana", 1)),
        ("first_name", encode_cursor(1_700_000_000_000, 1)),
        ("first_name", encode_cursor("a\u0000", 1)),
        ("full_name", encode_cursor(None, 1)),
        ("created_at", encode_cursor("ana", 1)),
        ("created_at", encode_cursor(1, 1)),
        ("updated_at", encode_cursor(10**30, 1)),
        ("orders_count", encode_cursor(1_700_000_000_000, 1)),
        ("orders_count", encode_cursor(1.5, 1)),
        ("expenses", encode_cursor("12", 1)),
        ("expenses", encode_cursor(1e300, 1)),
        ("last_name", base64.b64encode(b'["\\ud800",1]').decode()),
    ],
)
def test_an_invalid_cursor_is_rejected(client: Client, order: str, cursor: str) -> None:
    for argument in ("after", "before"):
        query = f"""query($cursor: String) {{
            customers(query: "order_by:{order}", {argument}: $cursor) {{ edges {{ cursor }} }} }}"""
        error = client.expect_error("errors_invalid_cursor", query, cursor=cursor)
        assert error["extensions"]["input_path"] == [argument]


def test_a_cursor_can_be_unpadded_and_url_safe(client: Client) -> None:
    client.create("a@example.com", first_name="ÿ?~~")
    client.create("b@example.com", first_name="zz")
    query = "order_by:first_name order_dir:asc"
    cursor = client.page(query=query, first=1)["pageInfo"]["endCursor"]
    lenient = cursor.replace("+", "-").replace("/", "_").rstrip("=")
    assert client.emails(query, after=lenient) == ["b@example.com"]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"first": -1}, ["first"]),
        ({"first": 251}, ["first"]),
        ({"last": -1}, ["last"]),
        ({"last": 251}, ["last"]),
        ({"first": 1, "last": 1}, ["last"]),
        ({"first": 2**31 - 1}, ["first"]),
    ],
)
def test_an_invalid_page_size_is_rejected(client: Client, arguments: Any, path: list[str]) -> None:
    query = "query($first: Int, $last: Int) { customers(first: $first, last: $last) { edges { cursor } } }"
    error = client.expect_error("errors_page_size", query, **arguments)
    assert error["extensions"]["input_path"] == path


@pytest.mark.parametrize(
    ("query", "position", "suggestion"),
    [
        ("order_by:emial", 9, "email"),
        ("order_by:id order_dir:up", 22, None),
        ("order_by:id order_dir:DESC", 22, "desc"),
        ("ordr_by:id", 0, "order_by"),
        ("order_by:id order_by:id", 12, None),
        ("order_by:", 9, None),
        ("\u0000", 0, None),
        ("first_name:a\u0000b", 12, None),
        ("a" * 2_001, 2_000, None),
    ],
)
def test_an_invalid_query_is_rejected_with_its_position(
    client: Client, query: str, position: int, suggestion: str | None
) -> None:
    document = "query($q: String) { customers(query: $q) { edges { cursor } } }"
    error = client.expect_error("errors_invalid_query", document, q=query)
    assert error["extensions"]["position"] == position
    assert error["extensions"].get("suggestion") == suggestion
    assert suggestion is None or f"Did you mean `{suggestion}`?" in error["message"]


def test_only_selected_fields_are_returned(large_account: Client) -> None:
    assert large_account.data("{ customers(first: 1) { __typename } }") == {
        "customers": {"__typename": "CustomerConnection"}
    }
    assert large_account.data("{ customers { pageInfo { hasNextPage } } }") == {
        "customers": {"pageInfo": {"hasNextPage": True}}
    }
    assert large_account.data("{ customers(first: 2) { edges { __typename } } }") == {
        "customers": {"edges": [{"__typename": "CustomerEdge"}] * 2}
    }
