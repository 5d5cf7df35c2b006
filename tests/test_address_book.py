"""The address book of a customer: its rules, its ids, and every place where it is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.store import parse_url
from regulars.store.migrate import run_in_transaction
from tests.support import (
    Client,
    copy_sqlite_template,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
)
from tests.test_contact_points import assert_consistent
from tests.test_history import read_feed
from tests.test_import import Shop

pytestmark = pytest.mark.both_databases

ENTRY = "id label default_shipping default_billing address { _id line1 city country company }"
BOOK = f"addresses {{ {ENTRY} }}"
CREATE = f"""mutation ($c: ID!, $n: InputAddressEntry!, $v: Int, $d: Boolean) {{
  createAddress(customer: $c, node: $n, ifVersion: $v, dryRun: $d) {{ {ENTRY} }} }}"""
UPDATE = f"""mutation ($i: ID!, $n: InputAddressEntry!, $v: Int, $d: Boolean) {{
  updateAddress(id: $i, node: $n, ifVersion: $v, dryRun: $d) {{ {ENTRY} }} }}"""
DELETE = "mutation ($i: [ID!]!) { deleteAddresses(items: $i) }"
UPDATE_CUSTOMER = """mutation ($i: ID!, $n: InputUpdateCustomer!) {
  updateCustomer(id: $i, node: $n) { id } }"""
CREATE_CUSTOMER = "mutation ($n: InputCustomer!) { createCustomer(node: $n) { id } }"
RECORD = "mutation ($n: InputRecordOrder!) { recordOrder(node: $n) { _id } }"
HOME = {"line1": "1 Rue", "city": "Rabat", "country": "MA"}
WORK = {"line1": "2 Rue", "city": "Fès", "country": "MA", "company": "Acme"}
OLD = {"city": "Paris", "country": "FR"}


def global_id(number: int) -> str:
    return base64.b64encode(f"Address:{number}".encode()).decode()


def book(client: Client, customer_id: str) -> list[dict[str, Any]]:
    """Return the entries of a customer, each with its `_id`, flags and address in short."""
    entries = client.node(customer_id, f"... on Customer {{ {BOOK} }}")["addresses"]
    return [short(entry) for entry in entries]


def short(entry: Mapping[str, Any]) -> dict[str, Any]:
    number = entry["address"]["_id"]
    assert entry["id"] == global_id(number)
    roles = [name for name in ("shipping", "billing") if entry[f"default_{name}"]]
    return {
        "_id": number,
        "roles": "+".join(roles),
        "label": entry["label"],
        "city": entry["address"]["city"],
    }


def row(number: int, roles: str, city: str, label: str = "") -> dict[str, Any]:
    return {"_id": number, "roles": roles, "label": label, "city": city}


def test_the_book_of_a_customer_with_default_addresses(client: Client) -> None:
    first = client.create("a@x.test", shipping_address=HOME, billing_address=WORK)["id"]
    assert book(client, first) == [row(2, "shipping", "Rabat"), row(3, "billing", "Fès")]
    second = client.create("b@x.test", shipping_address=HOME, billing_address=HOME)["id"]
    assert book(client, second) == [row(4, "shipping+billing", "Rabat")]
    # A change of one of them separates them.
    client.update(second, shipping_address={"city": "Salé"})
    assert book(client, second) == [row(4, "shipping", "Salé"), row(5, "billing", "Rabat")]
    third = client.create("c@x.test")["id"]
    assert book(client, third) == []
    assert client.create("d@x.test", BOOK, billing_address=OLD)["addresses"][0]["id"] == global_id(
        9
    )


def test_addresses_are_created_updated_and_deleted(client: Client) -> None:
    customer = client.create("a@x.test", shipping_address=HOME)["id"]
    created = client.data(CREATE, c=customer, n={"label": "Work", "address": WORK})["createAddress"]
    assert short(created) == row(-1, "", "Fès", "Work")
    node = {"address": OLD, "default_billing": True}
    assert short(client.data(CREATE, c=customer, n=node)["createAddress"]) == row(
        3, "billing", "Paris"
    )
    # A new default replaces the present one, which stays.
    moved = client.data(UPDATE, i=global_id(-1), n={"address": {}, "default_shipping": True})
    assert short(moved["updateAddress"]) == row(2, "shipping", "Fès", "Work")
    home = row(-2, "", "Rabat")
    paris = row(3, "billing", "Paris")
    assert book(client, customer) == [row(2, "shipping", "Fès", "Work"), paris, home]
    # The id below 0 still finds it.
    for number in (-1, 2):
        found = client.node(global_id(number), "... on Address { _id company }")
        assert found == {"_id": 2, "company": "Acme"}
    assert client.node(global_id(-2), "... on Address { _id city }") == {"_id": -2, "city": "Rabat"}
    node = {"address": {"line1": None, "city": "Salé"}, "label": "Home"}
    client.data(UPDATE, i="-2", n=node)
    assert book(client, customer)[2] == row(-2, "", "Salé", "Home")
    assert client.data(DELETE, i=["-2", global_id(2)])["deleteAddresses"] == [
        global_id(-2),
        global_id(2),
    ]
    assert book(client, customer) == [paris]
    assert client.node(customer, "... on Customer { shipping_address { id } version }") == {
        "shipping_address": None,
        "version": 6,
    }
    # An id is not assigned again.
    again = client.data(CREATE, c=customer, n={"address": HOME})["createAddress"]
    assert short(again)["_id"] == -3


def test_an_equal_address_is_not_added_twice(client: Client) -> None:
    customer = client.create("a@x.test", shipping_address=HOME)["id"]
    node = {"address": {**HOME, "line2": ""}, "label": "Home", "default_billing": True}
    created = client.data(CREATE, c=customer, n=node)["createAddress"]
    assert short(created) == row(2, "shipping+billing", "Rabat", "Home")
    # Without a label, that of the entry stays.
    client.data(CREATE, c=customer, n={"address": HOME, "label": ""})
    assert book(client, customer) == [row(2, "shipping+billing", "Rabat", "Home")]
    # An update changes both addresses.
    client.data(UPDATE, i=global_id(3), n={"address": {"city": "Salé"}})
    assert book(client, customer) == [row(2, "shipping+billing", "Salé", "Home")]
    client.data(UPDATE, i=global_id(2), n={"address": {}, "default_shipping": False})
    assert book(client, customer) == [row(3, "billing", "Salé", "Home")]


def test_the_list_replaces_the_book(client: Client) -> None:
    entries = [
        {"address": HOME, "label": "Home", "default_shipping": True},
        {"address": WORK, "label": "Work"},
        {"address": OLD},
        {"address": WORK, "label": "Again", "default_billing": True},
    ]
    customer = client.create("a@x.test", addresses=entries)["id"]
    home, work = row(2, "shipping", "Rabat", "Home"), row(3, "billing", "Fès", "Work")
    assert book(client, customer) == [home, work, row(-1, "", "Paris")]
    # Entries keep their ids by the id, or by an equal address, and what is omitted.
    lyon = {"id": global_id(-1), "address": {"city": "Lyon"}, "label": "Old"}
    client.update(customer, addresses=[lyon, {"address": HOME}])
    assert book(client, customer) == [home, row(-1, "", "Lyon", "Old")]
    # The entry that becomes the default stays in place of the former one.
    client.update(
        customer,
        addresses=[
            {"id": "-1", "address": OLD, "default_shipping": True},
            {"id": "2", "address": HOME},
        ],
    )
    assert book(client, customer) == [
        row(2, "shipping", "Paris", "Old"),
        row(-2, "", "Rabat", "Home"),
    ]
    client.update(customer, addresses=[])
    assert book(client, customer) == []
    assert client.node(customer, "... on Customer { location }") == {"location": ""}


@pytest.mark.parametrize(
    ("node", "path", "message"),
    [
        (
            {"addresses": [{"address": {}}]},
            ["addresses", 0, "address"],
            "The address has no parts. Set one of them, or delete it with `deleteAddresses`.",
        ),
        (
            {"addresses": [{"address": HOME, "default_billing": True}, {"address": OLD, "default_billing": True}]},
            ["addresses", 1, "default_billing"],
            "Entries 0 and 1 have `default_billing`. Set it for one of them.",
        ),
        (
            {"addresses": [{"address": HOME}] * 101},
            ["addresses"],
            "A customer can have 100 addresses; this one would have 101 addresses. Remove some of them.",
        ),
        (
            {"addresses": [{"address": HOME, "label": "x" * 65}]},
            ["addresses", 0, "label"],
            "The label has 65 characters; the maximum is 64.",
        ),
        (
            {"addresses": [], "billing_address": HOME},
            ["addresses"],
            "`addresses` and `billing_address` cannot be combined. Set `default_shipping` and "
            "`default_billing` in `addresses`.",
        ),
        (
            {"addresses": None},
            ["addresses"],
            "`addresses` cannot be null. Omit it to keep the stored value.",
        ),
        (
            {"addresses": [{"address": {"country": "XX"}}]},
            ["addresses", 0, "address", "country"],
            "`country` must be an ISO 3166-1 alpha-2 code: two letters, such as MA for Morocco or "
            "FR for France.",
        ),
        (
            {"addresses": [{"id": "2", "address": HOME}, {"id": "2", "address": OLD}]},
            ["addresses", 1, "id"],
            "Another entry of the list has this id. Use an id once.",
        ),
    ],
)  # fmt: skip
def test_an_invalid_list_is_refused(
    client: Client, node: dict[str, Any], path: list[Any], message: str
) -> None:
    customer = client.create("a@x.test", shipping_address=OLD)["id"]
    error = client.expect_error("errors_invalid_input", UPDATE_CUSTOMER, i=customer, n=node)
    assert error["message"] == message
    assert error["extensions"]["input_path"] == ["node", *path]
    assert book(client, customer) == [row(2, "shipping", "Paris")]


def test_an_unknown_address_is_refused(client: Client) -> None:
    customer = client.create("a@x.test", addresses=[{"address": HOME}])["id"]
    other = client.create("b@x.test", shipping_address=OLD)["id"]
    for id_ in ("-2", "2", "3", "-1073741824", "x", global_id(-9), customer, "0", "5"):
        error = client.expect_error("addresses_not_found", UPDATE, i=id_, n={"address": {}})
        assert error["extensions"]["ids"] == [id_]
        assert error["message"].startswith(f"No address has the id `{id_}`. Select `addresses`")
        client.expect_error("addresses_not_found", DELETE, i=["-1", id_])
        assert client.node(global_id(-9), "... on Address { _id }") is None
    error = client.expect_error(
        "addresses_not_found",
        UPDATE_CUSTOMER,
        i=other,
        n={"addresses": [{"id": "-1", "address": OLD}]},
    )
    assert error["extensions"]["input_path"] == ["node", "addresses", 0, "id"]
    client.expect_error("errors_customer_not_found", CREATE, c="99", n={"address": HOME})
    error = client.expect_error(
        "errors_invalid_input", CREATE, c=customer, n={"address": {"zip": ""}}
    )
    assert error["extensions"]["input_path"] == ["node", "address"]
    removal = dict.fromkeys(HOME)
    client.expect_error("errors_invalid_input", UPDATE, i="-1", n={"address": removal})
    assert book(client, customer) == [row(-1, "", "Rabat")]


def test_the_hundredth_address_is_the_last(client: Client) -> None:
    entries = [{"address": {"line1": f"{n}"}} for n in range(100)]
    customer = client.create("a@x.test", addresses=entries)["id"]
    error = client.expect_error("errors_invalid_input", CREATE, c=customer, n={"address": HOME})
    assert error["message"].startswith("A customer can have 100 addresses; this one would have 101")
    client.data(CREATE, c=customer, n={"address": {"line1": "7"}, "label": "Seventh"})
    assert len(book(client, customer)) == 100
    for role in ("shipping_address", "billing_address"):
        error = client.expect_error(
            "errors_invalid_input", UPDATE_CUSTOMER, i=customer, n={role: HOME}
        )
        assert error["message"].startswith("A customer can have 100 addresses; this one would have")
        assert error["extensions"]["input_path"] == ["node", role]
    order = {"name": "#1", "email": "a@x.test", "total": 1, "shipping_address": HOME}
    account = find_account_name(client.server, client.token)
    token = create_token(client.server, account, scopes=("orders:write",))
    with Client(client.server, token) as shop:
        shop.data(RECORD, n=order)
    assert len(book(client, customer)) == 100
    client.data(DELETE, i=["-1"])
    client.data(UPDATE_CUSTOMER, i=customer, n={"shipping_address": HOME, "billing_address": HOME})
    error = client.expect_error(
        "errors_invalid_input", UPDATE_CUSTOMER, i=customer, n={"shipping_address": OLD}
    )
    assert error["extensions"]["input_path"] == ["node", "shipping_address"]
    assert len(book(client, customer)) == 100
    client.data(UPDATE_CUSTOMER, i=customer, n={"shipping_address": OLD, "billing_address": OLD})
    assert_consistent(client.server)


def test_a_delete_from_many_large_books_is_refused(client: Client) -> None:
    """Its index would stop the writes of others for seconds."""
    parts = dict.fromkeys(("line1", "line2", "area", "state", "zip", "company"), "a" * 255)
    entries = [{"address": {**parts, "city": f"{n}"}} for n in range(100)]
    customers = [client.create(f"{n}@x.test", addresses=entries)["id"] for n in range(8)]
    ids = [f"{-1 - 100 * n}" for n in range(8)]
    error = client.expect_error("errors_invalid_input", DELETE, i=ids)
    assert error["message"] == (
        "The search index of these customers is too large to be changed in one request. Send fewer "
        "customers."
    )
    assert [len(book(client, customer)) for customer in customers] == [100] * 8
    client.data(DELETE, i=[ids[0], ids[7]])
    client.data(DELETE, i=[f"{-1 - n}" for n in range(1, 100)])  # of one customer
    assert [len(book(client, customer)) for customer in customers] == [0, *[100] * 6, 99]


def test_books_need_the_contract_part(new_database: str) -> None:
    """A program of an older version would lose the book of a customer that it deletes."""
    statement = sa.text("UPDATE compatibility SET finished = '0017'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    default = {"address": HOME, "default_shipping": True}
    with run_server(new_database) as server, Client(server, create_token(server)) as client:
        customer = client.create("a@x.test", addresses=[default])["id"]  # it has no more
        client.data(CREATE, c=customer, n={"address": WORK, "default_billing": True})
        client.data(UPDATE, i="2", n={"address": {"city": "Fès"}})
        before = book(client, customer)
        assert before == [row(2, "shipping", "Fès"), row(3, "billing", "Fès")]
        rows = "mutation ($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { rows { errors { key } } } }"
        list_ = {"addresses": [{"address": OLD}]}
        for document, variables, path in (
            (CREATE, {"c": customer, "n": {"address": OLD}}, ["node"]),
            (CREATE, {"c": customer, "n": {"address": OLD, "default_billing": True}}, ["node"]),
            (UPDATE, {"i": "2", "n": {"label": "Home", "address": {}}}, ["node"]),
            (UPDATE, {"i": "2", "n": {"default_shipping": False, "address": {}}}, ["node"]),
            (UPDATE_CUSTOMER, {"i": customer, "n": list_}, ["node", "addresses"]),
            (CREATE_CUSTOMER, {"n": {"email": "b@x.test", **list_}}, ["node", "addresses"]),
        ):
            error = client.expect_error("errors_invalid_input", document, **variables)
            assert "regulars migrate --contract" in error["message"]
            assert error["extensions"]["input_path"] == path
        result = client.data(rows, n=[{"email": "a@x.test", **list_}])["setCustomers"]
        assert result == {"rows": [{"errors": [{"key": "errors_invalid_input"}]}]}
        assert book(client, customer) == before
        run_regulars("migrate", "--database-url", new_database)
        client.data(CREATE, c=customer, n={"address": OLD, "label": "Old"})
        assert book(client, customer) == [*before, row(-1, "", "Paris", "Old")]


def test_versions_dry_runs_and_repeated_requests(client: Client) -> None:
    customer = client.create("a@x.test", shipping_address=HOME)["id"]
    node = {"address": WORK, "label": "Work"}
    client.expect_error("errors_version_conflict", CREATE, c=customer, n=node, v=7)
    draft = client.data(CREATE, c=customer, n=node, d=True)["createAddress"]
    assert short(draft) == row(-1, "", "Fès", "Work")
    assert len(book(client, customer)) == 1
    variables = {"c": customer, "n": node, "v": 1}
    answers = [
        client.post(CREATE, variables, headers={"Idempotency-Key": "once"}).json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert short(answers[0]["data"]["createAddress"]) == row(-1, "", "Fès", "Work")
    client.expect_error("errors_version_conflict", UPDATE, i="-1", n={"address": {}}, v=1)
    client.data(UPDATE, i="-1", n={"address": {}}, v=2)
    assert client.node(customer, "... on Customer { version }") == {"version": 2}


def test_every_address_is_found(client: Client) -> None:
    customer = client.create("a@x.test", addresses=[{"address": HOME}, {"address": WORK}])["id"]
    client.create("b@x.test")
    for query in ("city:rabat", "city:Fès", "country:MA", "company:acme", "has:city"):
        assert client.emails(query) == ["a@x.test"], query
    client.data(DELETE, i=["-2"])
    assert client.emails("company:acme") == []
    assert client.emails("city:rabat") == ["a@x.test"]
    client.update(customer, addresses=[])
    assert client.emails("has:country") == []


def test_the_history_has_the_book(client: Client) -> None:
    customer = client.create("a@x.test", shipping_address=HOME)["id"]
    client.data(CREATE, c=customer, n={"address": OLD, "label": "Old"})
    client.data(UPDATE, i="-1", n={"address": {}, "default_shipping": True})
    changes = [edge["node"]["fields"] for edge in read_feed(client)["edges"][1:]]
    old = {"id": -1, "label": "Old", "address": OLD}
    assert changes[0] == [{"name": "addresses", "before": [], "after": [old]}]
    fields = {field["name"]: (field["before"], field["after"]) for field in changes[1]}
    assert fields == {
        "shipping_address": (HOME, OLD),
        "addresses": (
            [old],
            [
                {"default_shipping": True, "id": -1, "label": "Old"},
                {"id": -2, "label": "", "address": HOME},
            ],
        ),
    }


def test_the_book_is_deleted_and_restored_with_its_customer(client: Client) -> None:
    entries = [{"address": HOME, "label": "Home", "default_billing": True}, {"address": OLD}]
    customer = client.create("a@x.test", addresses=entries)["id"]
    before = book(client, customer)
    client.delete(customer)
    assert client.node(global_id(-1), "... on Address { _id }") is None
    client.data(
        "mutation ($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }", i=[customer]
    )
    assert book(client, customer) == before
    assert client.node(global_id(-1), "... on Address { city }") == {"city": "Paris"}
    done = run_regulars("verify", "--database-url", client.server.database_url)
    assert done.returncode == 0, done.stdout


def test_an_older_program_may_change_the_default_addresses(client: Client) -> None:
    """It writes the columns of the default addresses alone."""
    entries = [
        {"address": HOME, "label": "Home", "default_shipping": True, "default_billing": True},
        {"address": OLD, "label": "Old"},
    ]
    customer = client.create("a@x.test", addresses=entries)["id"]
    assert book(client, customer)[0] == row(2, "shipping+billing", "Rabat", "Home")
    client.update(customer, shipping_address={"city": "Salé"})
    assert book(client, customer) == [
        row(2, "shipping", "Salé", "Home"),
        row(3, "billing", "Rabat", "Home"),
        row(-1, "", "Paris", "Old"),
    ]
    client.update(customer, shipping_address=None)
    client.update(customer, shipping_address=HOME, billing_address={"city": "Fès"})
    assert book(client, customer)[:2] == [
        row(2, "shipping", "Rabat"),
        row(3, "billing", "Fès", "Home"),
    ]


def test_an_export_has_labels_and_defaults(tmp_path: Path) -> None:
    local = Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)
    books: list[Any] = [
        [{"label": "Home", "default_shipping": True, "default_billing": True, "address": HOME}],
        [{"label": "", "default_shipping": False, "default_billing": True, "address": WORK},
         {"label": "Ä, \"x\"", "default_shipping": False, "default_billing": False, "address": OLD}],
        None,
    ]  # fmt: skip
    lines = [
        json.dumps({"regulars_id": n + 1, "email": f"{n}@x.test", "addresses": each})
        for n, each in enumerate(books)
    ]
    lines.append(json.dumps({"regulars_id": 9, "email": "9@x.test", "shipping_address": HOME}))
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines))
    assert local.run("import", str(source)).returncode == 0
    assert [each["addresses"] for each in local.customers("addresses")] == [*books, None]
    contents = []
    for name in ("x.csv", "x.jsonl"):
        target = tmp_path / name
        assert local.run("export", str(target)).returncode == 0
        again = Shop(copy_sqlite_template(tmp_path / f"{name}.db"), tmp_path)
        assert again.run("import", str(target), "--match", "_id").returncode == 0
        assert [each["addresses"] for each in again.customers("addresses")] == [*books, None]
        second = tmp_path / f"again-{name}"
        assert again.run("export", str(second)).returncode == 0
        contents.append((target.read_bytes(), second.read_bytes()))
        # A second import changes nothing.
        assert again.run("import", str(target), "--match", "_id", "--json").returncode == 0
    for first, second_content in contents:
        assert first == second_content


def test_long_lists_cost_what_they_have(client: Client) -> None:
    """A list is estimated at 10 entries for each customer; further ones are charged afterwards."""
    client.create(
        "p@x.test",
        emails=[{"email": f"{name}@x.test"} for name in ("p", *range(19))],
        phones=[{"phone": f"+3519000000{n:02}"} for n in range(20)],
        addresses=[{"address": {"line1": f"Street {n}"}} for n in range(100)],
    )
    for n in range(3):
        client.create(f"plain{n}@x.test")

    def cost(selection: str, root: str = "node(id: 1)") -> tuple[int, int]:
        inner = (
            f"... on Customer {{ {selection} }}"
            if root.startswith("node")
            else f"edges {{ node {{ {selection} }} }}"
        )
        client.http.headers["Regulars-Cost"] = "1"
        body = client.run(f"{{ {root} {{ {inner} }} }}")
        assert "errors" not in body, body
        figures = body["extensions"]["cost"]
        return figures["requested"], figures["actual"]

    assert cost("emails { email }") == (11, 21)
    assert cost("phones { phone }") == (11, 21)
    assert cost("addresses { label }") == (11, 101)
    assert cost("addresses { address { city } }") == (21, 201)
    # The lists of all customers of a page are estimated together.
    assert cost("emails { email }", "customers(first: 4)") == (45, 45)
    assert cost("addresses { label }", "customers(first: 4)") == (45, 105)
