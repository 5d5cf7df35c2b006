"""The lists inside a customer: `leads` and `summary.orders.list`, in pages."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.errors import Rejected
from regulars.customers.commands import Activity, CreateCustomer, NewLead
from regulars.customers.values import clean_values
from regulars.directory.directory import Directory
from regulars.orders.values import NewOrder
from regulars.store import Store
from tests.support import Client, Server, create_token, run_server, with_store
from tests.test_statements import run_document

pytestmark = pytest.mark.both_databases

COUNTS = (300, 7, 0, 60)  # the orders of each customer, and the leads
NOW = 1_700_000_000_000

LIST = {
    "orders": "summary { orders { list%s { referrer order { id _id name } } } }",
    "leads": "leads%s { id _id message }",
}
PAGE = "{ customers { edges { node { %s } } } }"
NODE = 'node(id: "Q3VzdG9tZXI6MQ==") { ... on Customer { %s } } '
IN_BRACES, TWO = "{ %s }", "{ a: %s b: %s }"
CUSTOMERS = "summary { orders { list { order { customer { %s } } } } }"
FIRST = '{ customers(query: "0@example.com") { edges { node { %s } } } }'
PAGED = "query($first: Int, $after: ID) { customers { edges { node { %s } } } }"


def fill(server: Server, account: str) -> None:
    """Customers with orders and leads, many of them with the same timestamp."""
    draw = random.Random(5)

    def command(number: int, count: int) -> CreateCustomer:
        values, problems = clean_values({"email": f"{number}@example.com"}, ())
        orders = tuple(
            NewOrder(f"{number}-{n}", Decimal(n), NOW + draw.randrange(40)) for n in range(count)
        )
        leads = tuple(NewLead("", f"{number}-{n}", NOW + draw.randrange(40)) for n in range(count))
        return CreateCustomer(values, NOW, problems, Activity(orders, leads))

    async def add(store: Store) -> None:
        created = await Accounts(store).create(account)
        commands = [command(number, count) for number, count in enumerate(COUNTS)]
        for outcome in await Directory(store).create_many(created.account_id, commands):
            assert not isinstance(outcome, Rejected)

    with_store(server.database_url, add)


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[Client]:
    """A client of an account whose customers have the orders and leads of `COUNTS`."""
    fill(server, "shop of related lists")
    with Client(server, create_token(server, "shop of related lists")) as client:
        yield client


def arguments(**values: Any) -> str:
    pairs = ", ".join(f"{name}: {value}" for name, value in values.items())
    return f"({pairs})" if pairs else ""


def rows(node: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns the orders or the leads of a customer in a response."""
    if name == "leads":
        leads: list[dict[str, Any]] = node["leads"]
        return leads
    return [summary["order"] for summary in node["summary"]["orders"]["list"]]


def read_list(client: Client, name: str, number: int = 1, **values: Any) -> list[dict[str, Any]]:
    """Returns the orders or the leads of the customer with an `_id`."""
    customer_id = base64.b64encode(f"Customer:{number}".encode()).decode()
    selection = LIST[name] % arguments(**values)
    return rows(client.node(customer_id, f"... on Customer {{ {selection} }}"), name)


def quoted(text: str) -> str:
    return f'"{text}"'


@pytest.mark.slow
@pytest.mark.parametrize("name", LIST)
def test_the_pages_of_a_customer_add_up_to_the_list(shop: Client, name: str) -> None:
    whole = read_list(shop, name)
    assert len(whole) == 300
    for size in (1, 100, 7, 250):
        pages: list[dict[str, Any]] = []
        values: dict[str, Any] = {"first": size}
        while len(pages) < 300 if size > 1 else len(pages) < 30:
            page = read_list(shop, name, **values)
            pages += page
            assert len(page) == min(size, 300 - len(pages) + len(page))
            values["after"] = quoted(page[-1]["id"])
        assert pages == whole[: len(pages)]
    assert read_list(shop, name, first=5, after=quoted(whole[-1]["id"])) == []
    assert read_list(shop, name, first=0) == []


@pytest.mark.parametrize("name", LIST)
def test_a_list_is_newest_first_and_ties_break_by_id(shop: Client, name: str) -> None:
    timestamps = 'created_at(format: "x")'
    selection = LIST[name].replace("_id", f"_id {timestamps}") % ""
    query = FIRST % selection
    (edge,) = shop.data(query)["customers"]["edges"]
    keys = [(int(row["created_at"]), row["_id"]) for row in rows(edge["node"], name)]
    assert keys == sorted(keys, reverse=True)
    assert len({created_at for created_at, _ in keys}) < 50


@pytest.mark.parametrize("name", LIST)
def test_after_without_first_returns_the_rest(shop: Client, name: str) -> None:
    whole = read_list(shop, name)
    for after in (whole[9]["id"], whole[9]["id"].rstrip("="), str(whole[9]["_id"])):
        assert read_list(shop, name, after=quoted(after)) == whole[10:]
    assert read_list(shop, name, after=whole[9]["_id"]) == whole[10:]
    assert read_list(shop, name, after='""', first="null") == whole
    assert read_list(shop, name, after="null") == whole


@pytest.mark.slow
@pytest.mark.parametrize("name", LIST)
def test_lists_of_several_customers(shop: Client, name: str) -> None:
    query = """{ customers(query: "order_by:id order_dir:asc") { edges { node {
        %s } } } }"""
    whole = [rows(edge["node"], name) for edge in nodes(shop, query % (LIST[name] % ""))]
    assert [len(items) for items in whole] == list(COUNTS)
    first = nodes(shop, query % (LIST[name] % "(first: 50)"))
    assert [rows(edge["node"], name) for edge in first] == [items[:50] for items in whole]
    # The cursor of one customer's row is a position in the list of every customer.
    after = whole[0][99]
    position = order_of(shop, name)[after["_id"]]
    rest = nodes(shop, query % (LIST[name] % arguments(first=250, after=quoted(after["id"]))))
    for items, edge in zip(whole, rest, strict=True):
        following = [row for row in items if order_of(shop, name)[row["_id"]] < position]
        assert rows(edge["node"], name) == following[:250]


def nodes(client: Client, query: str) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = client.data(query)["customers"]["edges"]
    return edges


def order_of(client: Client, name: str) -> dict[int, tuple[int, int]]:
    """Returns the sort keys of the rows of all customers, by `_id`."""
    selection = LIST[name].replace("_id", '_id created_at(format: "x")') % ""
    edges = nodes(client, PAGE % selection)
    all_rows = [row for edge in edges for row in rows(edge["node"], name)]
    return {row["_id"]: (int(row["created_at"]), row["_id"]) for row in all_rows}


def test_two_aliases_of_a_list(shop: Client) -> None:
    query = """{ customers(query: "1@example.com") { edges { node {
        a: leads(first: 2) { message } b: leads { message } summary { orders {
          a: list(first: 3) { order { name } } b: list(first: 4) { order { name } } } } } } } }"""
    (edge,) = nodes(shop, query)
    node = edge["node"]
    assert node["a"] == node["b"][:2]
    assert [len(node["summary"]["orders"][name]) for name in "ab"] == [3, 4]


def document(name: str) -> str:
    """A page of customers with a page of a list of each."""
    return PAGED % (LIST[name] % "(first: $first, after: $after)")


@pytest.mark.parametrize("name", LIST)
@pytest.mark.parametrize("size", [-1, 251, 2**31 - 1])
def test_an_invalid_page_size_is_rejected(client: Client, name: str, size: int) -> None:
    client.create("a@example.com")
    key = "errors_document_limit" if size > 251 else "errors_page_size"
    error = client.expect_error(key, document(name), first=size)
    if size <= 251:
        assert error["extensions"]["input_path"] == ["first"]
        assert error["path"] == ["customers"]
        assert f"a number of {name} from 0 to 250" in error["message"]


@pytest.mark.parametrize("name", LIST)
def test_an_id_of_no_row_is_rejected(shop: Client, other: Client, name: str) -> None:
    type_name, wrong_type = ("Lead", "Order") if name == "leads" else ("Order", "Lead")
    ids = [f"{type_name}:999999", f"{wrong_type}:1", "Customer:1", f"{type_name}:0", "x"]
    encoded = [base64.b64encode(text.encode()).decode() for text in ids]
    for after in (*encoded, "x", "-1", "999999", "4000000000", " "):
        error = shop.expect_error("errors_invalid_cursor", document(name), after=after)
        assert error["extensions"]["input_path"] == ["after"]
        assert f"`id` of the last {type_name.lower()}" in error["message"]
    # Rows of another account do not exist for this one.
    other.create("a@example.com")
    other.expect_error("errors_invalid_cursor", document(name), after="1")
    both = shop.errors(document(name), first=-1, after="x")
    assert [error["key"] for error in both] == ["errors_page_size", "errors_invalid_cursor"]


def costs(client: Client, query: str) -> tuple[int, int]:
    """Returns the cost of a request before and after it is executed."""
    response = client.post(query, headers={"Regulars-Cost": "1"}).json()
    points = response["extensions"]["cost"]
    return points["requested"], points["actual"]


def cost(client: Client, query: str) -> int:
    return costs(client, query)[0]


@pytest.mark.parametrize("name", LIST)
def test_a_list_costs_what_it_can_return(shop: Client, name: str) -> None:
    query = "{ customers(first: 4) { edges { node { %s } } } }"
    for size in (0, 1, 30, 250):
        assert cost(shop, query % (LIST[name] % f"(first: {size})")) == 1 + 4 * (1 + size)
    assert cost(shop, query % (LIST[name] % "")) == 1 + 4 * (1 + 10)
    # A customer of each of the orders is an object of its own.
    nested = "summary { orders { list(first: 3) { order { customer { id } } } } }"
    assert cost(shop, query % nested) == 1 + 4 * (1 + 3 * 2)


@pytest.mark.parametrize("name", LIST)
def test_the_lists_of_a_page_take_one_statement(shop: Client, name: str) -> None:
    whole = read_list(shop, name)
    for page_arguments, extra in (
        ("", 0),
        ("(first: 5)", 0),
        (f'(first: 5, after: "{whole[4]["id"]}")', 1),  # the position of that row
    ):
        selection = LIST[name] % page_arguments
        query = PAGE % selection
        statements, answer = run_document(shop.server.database_url, query, "shop of related lists")
        assert "errors" not in answer
        assert len(statements) == 2 + extra, statements


@pytest.mark.parametrize("name", LIST)
def test_a_list_without_first_costs_what_it_returns(shop: Client, name: str) -> None:
    query = "{ customers(first: 4) { edges { node { %s } } } }"
    more = sum(COUNTS) - 4 * 10
    assert costs(shop, query % (LIST[name] % "")) == (45, 45 + more)
    after = f'(after: "{read_list(shop, name)[-1]["id"]}")'
    assert costs(shop, query % (LIST[name] % after)) == (45, 45)
    # A page never costs more than it can return.
    assert costs(shop, query % (LIST[name] % "(first: 250)")) == (1005, 1005)
    both = query % (LIST["orders"] % "" + LIST["leads"] % "")
    assert costs(shop, both) == (85, 85 + 2 * more)
    one = NODE % (LIST[name] % "")
    assert costs(shop, IN_BRACES % (one + "b: __typename")) == (12, 12 + 290)


def test_the_customer_of_each_order_costs_a_point(shop: Client) -> None:
    query = """{ customers(first: 4) { edges { node {
        summary { orders { list { order { customer { id } } } } } } } } }"""
    assert costs(shop, query) == (1 + 4 * 21, 1 + 4 * 21 + 2 * (sum(COUNTS) - 40))


ONE = NODE % (LIST["orders"] % "")


@pytest.fixture
def strict(new_database: str) -> Iterator[Client]:
    """A client of a server that allows a request 400 points, and 10 points per second."""
    options = ("--max-cost", "400", "--rate-limit", "10", "--rate-burst", "2000")
    with run_server(new_database, *options) as server:
        fill(server, "strict")
        with Client(server, create_token(server, "strict")) as client:
            yield client


@pytest.mark.slow
def test_a_response_beyond_the_cost_limit_is_rejected(strict: Client) -> None:
    assert len(rows(strict.data(IN_BRACES % ONE)["node"], "orders")) == 300
    response = strict.run(TWO % (ONE, ONE))
    assert len(rows(response["data"]["a"], "orders")) == 300
    assert response["data"]["b"] is None
    (error,) = response["errors"]
    assert (error["key"], error["path"]) == ("errors_document_limit", ["b"])
    assert error["extensions"]["limit"] == 400
    assert error["extensions"]["cost"] == 602
    assert "`first`" in error["message"]
    # The same customer for each of the orders: 300 times 300 orders.
    nested = CUSTOMERS % (LIST["orders"] % "")
    response = strict.run(IN_BRACES % (NODE % nested))
    assert [error["key"] for error in response["errors"]] == ["errors_document_limit"]
    paged = TWO % ((NODE % (LIST["orders"] % "(first: 100)"),) * 2)
    assert "errors" not in strict.run(paged)


@pytest.mark.slow
def test_the_rate_limit_is_charged_for_the_response(strict: Client) -> None:
    def remaining() -> Any:
        response = strict.post("{ __typename }", headers={"Regulars-Cost": "1"}).json()
        return response["extensions"]["cost"]["remaining"]

    before = remaining()
    strict.data(IN_BRACES % ONE)
    assert 200 < before - remaining() <= 302
    for _ in range(20):
        response = strict.post(IN_BRACES % ONE)
        if response.status_code == 429:
            break
    assert response.status_code == 429
    assert response.json()["errors"][0]["key"] == "rate_limit_reached"
    assert int(response.headers["retry-after"]) >= 1
