"""Lists: orders, pages, cursors."""

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
from tests.support import Client, Server, new_token, with_store

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
    """The folded form, as the contract defines it."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def add_many(server: Server, account: str, count: int, seed: int = 1) -> None:
    """Customers with many ties in every order's value, orders among them."""
    draw = random.Random(seed)

    def command(index: int) -> CreateCustomer:
        node = {
            "email": f"{draw.choice('abcDEF')}{index}@example.com",
            "first_name": draw.choice(NAMES),
            "last_name": draw.choice(NAMES),
        }
        values, problems = clean_values(node, ())
        at = 1_700_000_000_000 + draw.randrange(50)
        orders = tuple(
            NewOrder(f"{index}-{n}", Decimal(draw.choice(("35", "12.5", "0.01"))), at)
            for n in range(draw.randrange(4))
        )
        return CreateCustomer(values, at, problems, Activity(orders))

    async def add(store: Store) -> None:
        found = await Accounts(store).resolve(account)
        commands = [command(index) for index in range(count)]
        for outcome in await Directory(store).create_many(found.account_id, commands):
            assert not isinstance(outcome, Rejected)

    with_store(server.database_url, add)


@pytest.fixture(scope="module")
def crowd(server: Server) -> Iterator[Client]:
    """An account of 1,000 customers."""
    name = "crowd of the lists"

    async def create(store: Store) -> None:
        await Accounts(store).create(name)

    with_store(server.database_url, create)
    add_many(server, name, 1_000)
    with Client(server, new_token(server, name)) as made:
        yield made


def key_of(order: str) -> Callable[[dict[str, Any]], Any]:
    """What a customer is ordered by."""

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
    alone: bool = True,
) -> list[Any]:
    """All the nodes of a list, page by page. Unless `alone`, others write meanwhile, and what was
    read may be gone."""
    found: list[Any] = []
    count, place = ("last", "before") if backward else ("first", "after")
    arguments: dict[str, Any] = {"query": query, count: size}
    while True:
        page = client.page(fields, **arguments)
        nodes = [edge["node"] for edge in page["edges"]]
        found = nodes + found if backward else found + nodes
        info = page["pageInfo"]
        if nodes:
            assert info["startCursor"] == page["edges"][0]["cursor"]
            assert info["endCursor"] == page["edges"][-1]["cursor"]
        behind, ahead = info["hasNextPage"], info["hasPreviousPage"]
        if not backward:
            behind, ahead = ahead, behind
        assert behind == (place in arguments) or not alone
        if not ahead:
            return found
        arguments[place] = info["startCursor" if backward else "endCursor"]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_in_both_directions(crowd: Client, order: str, direction: str) -> None:
    query = f"order_by:{order} order_dir:{direction}"
    forward = walk(crowd, query, 250, False, FIELDS)
    assert len(forward) == 1_000
    assert forward == sorted(forward, key=key_of(order), reverse=direction == "desc")
    ids = [node["_id"] for node in forward]
    assert [node["_id"] for node in walk(crowd, query, 250, True)] == ids
    for size, backward in ((23, False), (50, True)):
        assert [node["_id"] for node in walk(crowd, query, size, backward)] == ids


def test_pages_of_one(crowd: Client) -> None:
    cursor, seen = None, []
    for _ in range(60):
        page = crowd.page(query="order_by:first_name order_dir:asc", first=1, after=cursor)
        seen.append(page["edges"][0]["node"]["_id"])
        cursor = page["pageInfo"]["endCursor"]
    full = crowd.page(query="order_by:first_name order_dir:asc", first=60)
    assert seen == [edge["node"]["_id"] for edge in full["edges"]]


@pytest.mark.parametrize("size", [1, 25, 250])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.slow
def test_a_walk_misses_and_repeats_nothing_while_others_write(
    server: Server, size: int, backward: bool
) -> None:
    account = f"walk {size} {backward}"
    token = new_token_of_new_account(server, account)
    count = 60 if size == 1 else 400
    add_many(server, account, count)
    stays = {n for n in range(1, count + 1) if n % 4}
    stop = threading.Event()
    failures: list[BaseException] = []

    def disturb() -> None:
        try:
            with Client(server, token) as other:
                goes = [n for n in range(1, count + 1) if n % 4 == 0]
                for number in itertools.count():
                    if stop.is_set():
                        return
                    other.create(f"new{number}@example.com", first_name=NAMES[number % 12])
                    if goes:
                        other.delete(str(goes.pop(number % len(goes))))
                    moved = other.page(query="order_by:id order_dir:desc", first=1)["edges"][0]
                    other.update(str(moved["node"]["_id"]), first_name=NAMES[number % 11])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        with Client(server, token) as client:
            for order in ("id", "first_name", "expenses", "email"):
                nodes = walk(client, f"order_by:{order}", size, backward, alone=False)
                ids = [node["_id"] for node in nodes]
                there = [number for number in ids if number in stays]
                assert sorted(there) == sorted(stays)
                assert len(ids) == len(set(ids)) or order == "first_name"
    finally:
        stop.set()
        thread.join()
    assert not failures


def new_token_of_new_account(server: Server, name: str) -> str:
    """A token for a new account of that name."""

    async def create(store: Store) -> None:
        await Accounts(store).create(name)

    with_store(server.database_url, create)
    return new_token(server, name)


def test_a_list_is_newest_first_and_holds_25(crowd: Client) -> None:
    ids = [edge["node"]["_id"] for edge in crowd.page()["edges"]]
    assert ids == list(range(1_000, 975, -1))
    for query in ("order_by:id", "order_dir:desc", "order_dir:desc  order_by:id", None):
        assert [edge["node"]["_id"] for edge in crowd.page(query=query)["edges"]] == ids
    (smallest,) = crowd.page(query="order_dir:asc", first=1)["edges"]
    assert smallest["node"]["_id"] == 1


def test_a_page_of_nothing_knows_what_lies_beyond(crowd: Client) -> None:
    empty = {"startCursor": None, "endCursor": None}
    page = crowd.page(first=0)
    assert page["edges"] == []
    assert page["pageInfo"] == {**empty, "hasNextPage": True, "hasPreviousPage": False}
    page = crowd.page(last=0)
    assert page["pageInfo"] == {**empty, "hasNextPage": False, "hasPreviousPage": True}
    lowest = crowd.page(last=1)["pageInfo"]["endCursor"]
    page = crowd.page(first=5, after=lowest)
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


def test_between_two_cursors(crowd: Client) -> None:
    edges = crowd.page(first=10)["edges"]
    inner = crowd.page(after=edges[2]["cursor"], before=edges[7]["cursor"])
    assert inner["edges"] == edges[3:7]
    assert inner["pageInfo"]["hasNextPage"] is True
    assert inner["pageInfo"]["hasPreviousPage"] is True
    bounds: dict[str, Any] = {"after": edges[2]["cursor"], "before": edges[7]["cursor"]}
    assert crowd.page(first=2, **bounds)["edges"] == edges[3:5]
    assert crowd.page(last=2, **bounds)["edges"] == edges[5:7]
    swapped = crowd.page(after=edges[7]["cursor"], before=edges[2]["cursor"])
    assert swapped["edges"] == []


def test_a_page_survives_the_deletion_of_its_cursor_row(client: Client) -> None:
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
def test_a_cursor_is_the_order_value_and_the_id(client: Client, order: str, value: Any) -> None:
    client.create("ANA@b.co", first_name="Ána")
    cursor = client.page(query=f"order_by:{order}")["edges"][0]["cursor"]
    assert json.loads(base64.b64decode(cursor)) == [value, 1]


def test_a_cursor_of_a_spend_is_the_spend_that_is_shown(crowd: Client) -> None:
    page = crowd.page("_id expenses", query="order_by:expenses order_dir:desc", first=100)
    for edge in page["edges"]:
        node = edge["node"]
        expected = [node["expenses"], node["_id"]]
        assert json.loads(base64.b64decode(edge["cursor"])) == expected
        assert not str(node["expenses"]).endswith(".0")


def cursor_of(*value: Any) -> str:
    return base64.b64encode(json.dumps(list(value)).encode()).decode()


@pytest.mark.parametrize(
    ("order", "cursor"),
    [
        ("id", "WzE5MTM1MCwxOTEzNTB"),
        ("id", "WzVE4OTA5LDEe/4OTA5XQ=="),
        ("id", "\u0000"),
        ("id", "é"),
        ("id", cursor_of(2, 1)),
        ("id", cursor_of("ana", 1)),
        ("id", cursor_of(1)),
        ("id", cursor_of(1, 1, 1)),
        ("id", cursor_of(True, True)),
        ("id", cursor_of(1.0, 1)),
        ("id", cursor_of(0, 0)),
        ("id", cursor_of(2**40, 2**40)),
        ("id", base64.b64encode(b'{"a":1}').decode()),
        ("email", cursor_of(1, 1)),
        ("email", cursor_of("ana", 1)),
        ("first_name", cursor_of(1_700_000_000_000, 1)),
        ("first_name", cursor_of("a\u0000", 1)),
        ("full_name", cursor_of(None, 1)),
        ("created_at", cursor_of("ana", 1)),
        ("created_at", cursor_of(1, 1)),
        ("updated_at", cursor_of(10**30, 1)),
        ("orders_count", cursor_of(1_700_000_000_000, 1)),
        ("orders_count", cursor_of(1.5, 1)),
        ("expenses", cursor_of("12", 1)),
        ("expenses", cursor_of(1e300, 1)),
        ("last_name", base64.b64encode(b'["\\ud800",1]').decode()),
    ],
)
def test_a_cursor_that_is_none_is_refused(client: Client, order: str, cursor: str) -> None:
    for argument in ("after", "before"):
        query = f"""query($cursor: String) {{
            customers(query: "order_by:{order}", {argument}: $cursor) {{ edges {{ cursor }} }} }}"""
        error = client.refused("errors_invalid_cursor", query, cursor=cursor)
        assert error["extensions"]["input_path"] == [argument]


def test_a_cursor_is_read_unpadded_and_url_safe(client: Client) -> None:
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
def test_a_page_of_no_size_is_refused(client: Client, arguments: Any, path: list[str]) -> None:
    query = "query($first: Int, $last: Int) { customers(first: $first, last: $last) { edges { cursor } } }"
    error = client.refused("errors_page_size", query, **arguments)
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
def test_a_query_that_cannot_be_read_says_where(
    client: Client, query: str, position: int, suggestion: str | None
) -> None:
    document = "query($q: String) { customers(query: $q) { edges { cursor } } }"
    error = client.refused("errors_invalid_query", document, q=query)
    assert error["extensions"]["position"] == position
    assert error["extensions"].get("suggestion") == suggestion
    assert suggestion is None or f"Did you mean {suggestion}?" in error["message"]


def test_only_what_is_selected_is_answered(crowd: Client) -> None:
    assert crowd.data("{ customers(first: 1) { __typename } }") == {
        "customers": {"__typename": "CustomerConnection"}
    }
    assert crowd.data("{ customers { pageInfo { hasNextPage } } }") == {
        "customers": {"pageInfo": {"hasNextPage": True}}
    }
    assert crowd.data("{ customers(first: 2) { edges { __typename } } }") == {
        "customers": {"edges": [{"__typename": "CustomerEdge"}] * 2}
    }
