"""What customers have spent: in each currency, in the account's currency, and after its change."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from regulars.directory.verify import verify
from regulars.orders.recount import RecountWorker
from regulars.store import Store, parse_url
from tests.support import (
    Client,
    Server,
    create_token,
    example_count,
    find_account_name,
    run_regulars,
    with_store,
)

pytestmark = pytest.mark.both_databases

# The decimal places of currencies: two, none, three.
CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}
RECORD = """mutation($n: InputRecordOrder!) { recordOrder(node: $n) { currency customer {
  _id expenses version } } }"""
SET = """mutation($n: InputAccountSettings!) { updateAccountSettings(node: $n) {
  currency expenses_currency } }"""
READ = "{ accountSettings { currency expenses_currency } }"
SPEND = """email expenses orders_count
  spend { currency amount orders_count average
    first_order_at(format: "x") last_order_at(format: "x") }
  summary { orders { expenses count last_order_at(format: "x") list { order {
    total net_payment currency test cancelled_at created_at(format: "x") } } } }"""


@pytest.fixture
def owner(server: Server) -> Iterator[Client]:
    scopes = ("customers", "orders:write", "settings")
    with Client(server, create_token(server, scopes=scopes)) as client:
        yield client


def record(owner: Client, name: str, currency: str | None = "EUR", **node: Any) -> Any:
    values = {"name": name, "email": "ana@example.com", "currency": currency, "total": 10, **node}
    node = {key: value for key, value in values.items() if value is not None}
    return owner.data(RECORD, n=node)["recordOrder"]


def customers(owner: Client, query: str = "") -> list[Any]:
    return [edge["node"] for edge in owner.page(SPEND, query=query, first=100)["edges"]]


def recount(owner: Client) -> None:
    """Wait until no account needs a recount."""

    async def work(store: Store) -> None:
        await RecountWorker(store).do_all()

    with_store(owner.server.database_url, work)


def settings(owner: Client, **node: Any) -> Any:
    changed = owner.data(SET, n=node)["updateAccountSettings"]
    recount(owner)
    return changed


def verified(owner: Client) -> list[str]:
    return verify(parse_url(owner.server.database_url)).problems


def check(customer: Any, currency: str | None) -> None:
    """Compare the figures of a customer with those of its orders. `currency` is the one that
    `expenses` count, or None if they count all."""
    summary = customer["summary"]["orders"]
    orders = [entry["order"] for entry in summary["list"]]
    counted = [o for o in orders if not o["test"] and o["cancelled_at"] is None]

    def total(rows: list[Any]) -> float:
        return float(sum(Decimal(str(row["net_payment"])) for row in rows))

    in_currency = [o for o in counted if currency in (None, o["currency"])]
    assert customer["expenses"] == summary["expenses"] == total(in_currency)
    assert customer["orders_count"] == summary["count"] == len(counted)
    times = [int(o["created_at"]) for o in counted]
    last = summary["last_order_at"]
    assert (int(last) if last else None) == (max(times) if times else None)
    by_currency = {
        o["currency"]: [p for p in counted if p["currency"] == o["currency"]] for o in counted
    }
    assert {row["currency"] for row in customer["spend"]} == by_currency.keys()
    for row in customer["spend"]:
        rows = by_currency[row["currency"]]
        assert row["amount"] == total(rows)
        assert row["orders_count"] == len(rows)
        assert row["average"] == pytest.approx(total(rows) / len(rows))
        times = [int(o["created_at"]) for o in rows]
        assert [int(row["first_order_at"]), int(row["last_order_at"])] == [min(times), max(times)]
    amounts = [row["amount"] for row in customer["spend"] if row["currency"] != currency]
    if currency is not None:
        assert amounts == sorted(amounts, reverse=True)
        assert currency not in [row["currency"] for row in customer["spend"][1:]]


def test_the_account_takes_the_currency_of_its_first_order(owner: Client) -> None:
    assert owner.data(READ)["accountSettings"]["currency"] is None
    record(owner, "0", "JPY", test=True)
    assert owner.data(READ)["accountSettings"]["currency"] is None
    assert record(owner, "1", "MAD")["customer"]["expenses"] == 10
    assert owner.data(READ)["accountSettings"] == {
        "currency": "MAD",
        "expenses_currency": "account",
    }
    assert record(owner, "2", "EUR")["customer"]["expenses"] == 10
    # An order without a currency has that of the account.
    assert record(owner, "3", None)["currency"] == "MAD"
    (ana,) = customers(owner)
    assert (ana["expenses"], ana["orders_count"]) == (20, 3)
    assert [(s["currency"], s["amount"]) for s in ana["spend"]] == [("MAD", 20), ("EUR", 10)]
    assert verified(owner) == []


def test_a_change_of_the_currency_counts_again(owner: Client) -> None:
    for number, (currency, total) in enumerate((("EUR", 1), ("JPY", 300), ("KWD", 0.005))):
        record(owner, str(number), currency, total=total)
    record(owner, "other", "EUR", email="ben@example.com", total=2)
    version = owner.data("{ customers { edges { node { version } } } }")
    assert settings(owner, expenses_currency="all")["expenses_currency"] == "all"
    assert [c["expenses"] for c in customers(owner)] == [2, 301.005]
    assert settings(owner, expenses_currency="account", currency="KWD")["currency"] == "KWD"
    assert [c["expenses"] for c in customers(owner)] == [0, 0.005]
    assert record(owner, "more", "KWD", total=0.001)["customer"]["expenses"] == 0.006
    # The next order decides, and all are counted in its currency.
    assert settings(owner, currency=None)["currency"] is None
    record(owner, "last", "JPY", total=7)
    recount(owner)
    assert [c["expenses"] for c in customers(owner)] == [0, 307]
    assert version != owner.data("{ customers { edges { node { version } } } }")
    changes = owner.data(
        "{ customerChanges(first: 100) { edges { node { kind actor { kind name } "
        "fields { name after } } } } }"
    )["customerChanges"]["edges"]
    recounted = [e["node"] for e in changes if e["node"]["actor"]["name"] == "currency"]
    assert {change["kind"] for change in recounted} == {"updated"}
    assert {f["name"] for change in recounted for f in change["fields"]} == {"expenses"}
    assert verified(owner) == []


def test_a_setting_without_effect_changes_no_customer(owner: Client) -> None:
    record(owner, "1")
    before = owner.data("{ customers { edges { node { version expenses } } } }")
    settings(owner, currency="EUR", expenses_currency="all")
    settings(owner, currency="EUR", expenses_currency="account")
    assert owner.data("{ customers { edges { node { version expenses } } } }") == before


@pytest.mark.parametrize("values", [{"currency": "eur"}, {"currency": "EURO"}, {"currency": ""}])
def test_a_wrong_currency_is_refused(owner: Client, values: dict[str, str]) -> None:
    error = owner.expect_error("errors_invalid_input", SET, n=values)
    assert "ISO 4217" in error["message"]


def test_the_last_order_is_a_key_and_an_order_of_the_list(owner: Client) -> None:
    days = {"a": "2024-01-05", "b": "2024-03-05", "c": "1969-12-31", "d": None}
    for name, day in days.items():
        email = f"{name}@example.com"
        if day is None:
            owner.data(
                "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }",
                n={"email": email},
            )
        else:
            record(owner, name, email=email, created_at=f"{day}T10:00:00Z")

    def found(query: str) -> list[str]:
        page = owner.page("email", query=query, first=100)
        return [edge["node"]["email"][0] for edge in page["edges"]]

    assert found("last_order_at:>=2024-02 order_by:email") == ["b"]
    assert sorted(found("last_order_at:<2024-02")) == ["a", "c"]
    assert found("last_order_at:2024-01-05") == ["a"]
    assert found("last_order_at:<=1970") == ["c"]
    assert found("-has:last_order_at") == ["d"]
    assert sorted(found("-last_order_at:<2024-02")) == ["b", "d"]
    assert found("order_by:last_order_at order_dir:desc") == ["b", "a", "c", "d"]
    names: list[str] = []
    after = None
    while True:  # every cursor works, also that of a customer without orders
        page = owner.page(
            "email", query="order_by:last_order_at order_dir:asc", first=1, after=after
        )
        names += [edge["node"]["email"][0] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert names == ["d", "c", "a", "b"]


def test_the_order_before_counts_when_the_last_one_is_cancelled(owner: Client) -> None:
    for month in (1, 2, 3):
        record(owner, str(month), created_at=f"2024-0{month}-01T00:00:00Z")

    def last() -> str:
        (ana,) = owner.page(
            'summary { orders { last_order_at(format: "YYYY-MM") } }', query="", first=1
        )["edges"]
        return str(ana["node"]["summary"]["orders"]["last_order_at"])

    assert last() == "2024-03"
    record(owner, "3", cancelled_at="2024-04-01T00:00:00Z")
    assert last() == "2024-02"
    record(owner, "2", created_at="2023-12-01T00:00:00Z")
    assert last() == "2024-01"
    record(owner, "1", test=True)
    assert last() == "2023-12"
    record(owner, "2", test=True)
    assert last() == "None"
    record(owner, "2", test=False)
    assert last() == "2023-12"
    assert verified(owner) == []


def test_a_restored_customer_has_the_totals_of_its_orders(owner: Client) -> None:
    record(owner, "1", "EUR", total=3)
    record(owner, "2", "JPY", total=500)
    (edge,) = owner.page("id", query="", first=1)["edges"]
    items = [edge["node"]["id"]]
    owner.data("mutation($i: [ID!]!) { deleteCustomers(items: $i) }", i=items)
    assert verified(owner) == []
    settings(owner, currency="JPY")
    assert verified(owner) == []
    restored = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }"
    owner.data(restored, i=items)
    (ana,) = customers(owner)
    assert ana["expenses"] == 500
    check(ana, "JPY")
    assert verified(owner) == []


def test_every_figure_equals_a_recalculation(owner: Client) -> None:
    """Random orders, refunds, cancellations and changes of the currency."""
    choose = random.Random(4711)
    names = [str(n) for n in range(14)]
    recorded: dict[str, str] = {}
    for step in range(example_count(160)):
        name = choose.choice(names)
        currency = recorded.setdefault(name, choose.choice(list(CURRENCIES)))
        if choose.random() < 0.1:
            currency = recorded[name] = choose.choice(list(CURRENCIES))
        unit = Decimal(10) ** -CURRENCIES[currency]
        total = choose.randrange(1, 10**6) * unit
        node: dict[str, Any] = {
            "name": name,
            "email": f"{int(name) % 3}@example.com",
            "currency": currency,
            "total": float(total),
            "refunded_amount": float(choose.choice((0, unit, total))),
        }
        if choose.random() < 0.4:
            day = choose.randrange(1, 29)
            node["created_at"] = f"2024-{choose.randrange(1, 13):02}-{day:02}T00:00:00Z"
        if choose.random() < 0.4:
            node["cancelled_at"] = choose.choice((None, "2025-01-01T00:00:00Z"))
        if choose.random() < 0.2:
            node["test"] = choose.random() < 0.5
        owner.data(RECORD, n=node)
        if step % 20 == 10:
            mode = choose.choice(("account", "all"))
            settings(owner, currency=choose.choice(list(CURRENCIES)), expenses_currency=mode)
        if step % 10 == 0 or step % 20 == 10:
            chosen = owner.data(READ)["accountSettings"]
            is_all = chosen["expenses_currency"] == "all"
            for customer in customers(owner):
                check(customer, None if is_all else chosen["currency"])
    assert verified(owner) == []


def test_doctor_names_the_accounts_that_add_currencies(owner: Client) -> None:
    record(owner, "1", "EUR")
    name = find_account_name(owner.server, owner.token)
    url = ("--database-url", owner.server.database_url)
    line = f"account {name}"
    settings(owner, expenses_currency="all")
    assert line not in run_regulars("doctor", *url).stdout  # a single currency
    record(owner, "2", "JPY")
    result = run_regulars("doctor", *url)
    assert line in result.stdout
    assert "expenses_currency=account" in result.stdout
