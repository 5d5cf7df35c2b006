"""Customers without an email, where the account allows them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from regulars.customers.emails import EMPTY
from regulars.directory.verify import verify
from regulars.store.url import parse_url
from tests.support import Client, Server, create_token, find_account_name, run_regulars, run_server

pytestmark = pytest.mark.both_databases

SCOPES = ("customers", "orders:write", "settings", "admin")
CREATE = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id _id email version } }"
UPDATE = """mutation($id: ID!, $n: InputUpdateCustomer!) {
  updateCustomer(id: $id, node: $n) { id email phone version accepts_marketing avatar } }"""
UPSERT = """mutation($n: [InputSetCustomer!]!, $phone: Boolean, $dry: Boolean) {
  setCustomers(nodes: $n, phoneIdentifies: $phone, dryRun: $dry, errorPolicy: REJECT_ROW) {
    rows { outcome errors { key message input_path } customer { _id email phone } } } }"""
SETTINGS = "mutation($n: InputAccountSettings!) { updateAccountSettings(node: $n) { identify_by } }"
ORDER = """mutation($n: InputRecordOrder!) { recordOrder(node: $n) {
  name email customer { _id email phone first_name } } }"""
LEAD = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }"
FULL = "_id email phone first_name accepts_marketing avatar full_name"


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    """An account whose customers need an email or a phone."""
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        identify_by(client, "email_or_phone")
        yield client
        assert problems(server, client) == []


def problems(server: Server, client: Client) -> list[str]:
    """Return what `verify` finds in the account. Other tests have their own in the database."""
    number = client.data("{ account { _id } }")["account"]["_id"]
    found = verify(parse_url(server.database_url)).problems
    return [text for text in found if text.startswith((f"account {number},", f"account {number}:"))]


def identify_by(client: Client, value: str | None) -> None:
    client.data(SETTINGS, n={"identify_by": value})


def create(client: Client, **node: Any) -> dict[str, Any]:
    created: dict[str, Any] = client.data(CREATE, n={"email": "", **node})["createCustomer"]
    return created


def upsert(client: Client, *nodes: Any, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.data(UPSERT, n=nodes, **options)["setCustomers"]["rows"]
    return rows


def find(client: Client, query: str) -> list[int]:
    edges = client.page("_id", query=f"{query} order_by:id order_dir:asc")["edges"]
    return [edge["node"]["_id"] for edge in edges]


def error_of(client: Client, key: str, document: str, **variables: Any) -> tuple[str, list[Any]]:
    extensions = (error := client.expect_error(key, document, **variables))["extensions"]
    return error["message"], extensions["input_path"]


def test_an_account_needs_emails_unless_it_says_otherwise(server: Server) -> None:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        assert client.data("{ accountSettings { identify_by } }") == {
            "accountSettings": {"identify_by": "email"}
        }
        message, path = error_of(
            client,
            "errors_invalid_input",
            CREATE,
            n={"email": "", "phone": "1", "accepts_marketing": True},
        )
        assert (message, path) == (EMPTY, ["node", "email"])
        ana = client.create("ana@x.test", phone="1")
        message, path = error_of(
            client, "errors_invalid_input", UPDATE, id=ana["id"], n={"email": ""}
        )
        assert (message, path) == (EMPTY, ["node", "email"])
        rows = upsert(client, {"phone": "2"}, {"email": "", "phone": "1"}, phone=True)
        assert [row["outcome"] for row in rows] == ["REJECTED", "REJECTED"]
        assert rows[0]["errors"][0]["message"].startswith("No email. A new customer needs one.")
        assert rows[1]["errors"][0]["message"] == EMPTY
        message, path = error_of(
            client, "errors_invalid_input", ORDER, n={"name": "#1", "total": 1, "phone": "1"}
        )
        assert path == ["node", "email"]
        error_of(
            client, "errors_invalid_input", LEAD, n={"email": "", "phone": "1", "message": "x"}
        )
        assert client.update(ana["id"], phone="") == {"id": ana["id"]}


def test_a_customer_without_an_email_is_shown_with_empty_values(shop: Client) -> None:
    created = create(shop, phone="+212 600 000 001", first_name="Ana")
    assert created["email"] == ""
    assert shop.node(created["id"], f"... on Customer {{ {FULL} }}") == {
        "_id": 1,
        "email": "",
        "phone": "+212 600 000 001",
        "first_name": "Ana",
        "full_name": "Ana",
        "avatar": "",
        "accepts_marketing": False,
    }
    shop.create("ben@x.test")
    assert find(shop, "has:email") == [2]
    assert find(shop, "-has:email") == [1]
    assert find(shop, "phone:212600000001") == [1]
    assert find(shop, "-email:ben@x.test") == [1]
    # Neither the key of the row nor the term of imports can be searched.
    for query in ('email:"#1"', "email:#1", 'email:""', 'contact:"212600000001 ana"'):
        shop.expect_error(
            "errors_invalid_query",
            "query($q: String) { customers(query: $q) { edges { node { _id } } } }",
            q=query,
        )
    assert find(shop, "email:#*") == find(shop, '"#1"') == []
    lookup = "query($i: CustomerIdentifier!) { customer(by: $i) { _id } }"
    for email in ("#1", ""):
        answer = shop.run(lookup, i={"email": email})
        assert "errors" in answer or answer["data"]["customer"] is None, answer
    assert shop.data('{ trash(email: "#1") { edges { node { email } } } }')["trash"]["edges"] == []


@pytest.mark.parametrize("email", ["#1", "#1@", "#1000000000000000000"])
def test_the_key_of_a_row_is_no_email(shop: Client, email: str) -> None:
    create(shop, phone="1")
    shop.expect_error("errors_invalid_input", CREATE, n={"email": email})


def test_an_email_may_begin_with_the_sign_of_the_keys(shop: Client) -> None:
    create(shop, phone="1")
    shop.create("#1@x.test")
    assert find(shop, 'email:"#1@x.test"') == [2]


def test_a_new_customer_needs_what_the_account_says(shop: Client) -> None:
    message, path = error_of(
        shop, "errors_invalid_input", CREATE, n={"email": "", "first_name": "A"}
    )
    assert path == ["node", "email"]
    assert message == "A new customer needs an email or a phone. Send one of them."
    (row,) = upsert(shop, {"external_ids": [{"source": "crm", "id": "1"}]})
    assert row["errors"][0]["message"] == message
    identify_by(shop, "anything")
    assert create(shop, first_name="A")["_id"] == 1
    assert create(shop, external_ids=[{"source": "crm", "id": "1"}])["_id"] == 2
    message, _ = error_of(shop, "errors_invalid_input", CREATE, n={"email": "", "notes": "x"})
    assert "a name, an email, a phone or an external id" in message


def test_marketing_needs_an_email(shop: Client) -> None:
    node = {"email": "", "phone": "1", "accepts_marketing": True}
    message, path = error_of(shop, "errors_invalid_input", CREATE, n=node)
    assert path == ["node", "accepts_marketing"]
    assert "needs an email" in message
    ana = shop.create("ana@x.test", phone="1", accepts_marketing=True)
    removed = shop.data(UPDATE, id=ana["id"], n={"email": ""})["updateCustomer"]
    assert removed == {
        "id": ana["id"],
        "email": "",
        "phone": "1",
        "version": 2,
        "accepts_marketing": False,
        "avatar": "",
    }
    error_of(shop, "errors_invalid_input", UPDATE, id=ana["id"], n={"accepts_marketing": True})
    (row,) = upsert(shop, {"_id": ana["_id"], "accepts_marketing": True})
    assert row["errors"][0]["input_path"] == ["nodes", "0", "accepts_marketing"] or row["errors"][
        0
    ]["input_path"] == ["nodes", 0, "accepts_marketing"]
    both = {"email": "ana@x.test", "accepts_marketing": True}
    again = shop.data(UPDATE, id=ana["id"], n=both)["updateCustomer"]
    assert (again["email"], again["accepts_marketing"], again["version"]) == ("ana@x.test", True, 3)


def test_the_last_identifier_stays(shop: Client) -> None:
    ana = create(shop, phone="1", first_name="Ana", external_ids=[{"source": "crm", "id": "7"}])
    message, path = error_of(shop, "errors_last_identifier", UPDATE, id=ana["id"], n={"phone": ""})
    assert path == ["node", "phone"]
    assert message == "This customer needs an email or a phone. Add one before you remove the last."
    (row,) = upsert(shop, {"_id": ana["_id"], "phone": ""})
    assert row["errors"][0]["key"] == "errors_last_identifier"
    ben = shop.create("ben@x.test")
    _, path = error_of(shop, "errors_last_identifier", UPDATE, id=ben["id"], n={"email": ""})
    assert path == ["node", "email"]
    # One is replaced by the other.
    changed = shop.data(UPDATE, id=ana["id"], n={"phone": "", "email": "a@x.test"})
    assert changed["updateCustomer"]["phone"] == ""
    changed = shop.data(UPDATE, id=ana["id"], n={"phone": "2", "email": ""})
    assert changed["updateCustomer"]["email"] == ""
    identify_by(shop, "anything")
    assert shop.update(ana["id"], phone="", first_name="") == {"id": ana["id"]}
    remove = """mutation($id: ID!) { removeExternalIds(id: $id,
      externalIds: [{source: "crm", id: "7"}]) { id } }"""
    message, path = error_of(shop, "errors_last_identifier", remove, id=ana["id"])
    assert path == ["externalIds"]
    assert "a name, an email, a phone or an external id" in message


def test_a_stricter_setting_blocks_no_other_change(shop: Client) -> None:
    ana = create(shop, phone="1", first_name="Ana")
    identify_by(shop, "anything")
    zoe = create(shop, first_name="Zoé")
    identify_by(shop, None)
    for customer in (ana, zoe):
        node = {"email": "", "notes": "x", "phone": "", "last_name": "Sá"}
        changed = shop.data(UPDATE, id=customer["id"], n=node)["updateCustomer"]
        assert (changed["email"], changed["version"]) == ("", 2)
    (row,) = upsert(shop, {"_id": 1, "email": "", "notes": "y"})
    assert row["outcome"] == "UPDATED"
    shop.data(UPDATE, id=ana["id"], n={"email": "ana@x.test"})
    error_of(shop, "errors_invalid_input", UPDATE, id=ana["id"], n={"email": ""})
    error_of(shop, "errors_invalid_input", CREATE, n={"email": "", "phone": "5"})


def test_an_email_is_added_removed_and_given_to_another(shop: Client) -> None:
    ana, ben = create(shop, phone="1"), create(shop, phone="2")
    for number, email in enumerate(("a@x.test", "", "A@x.test", ""), start=2):
        changed = shop.data(UPDATE, id=ana["id"], n={"email": email})["updateCustomer"]
        assert (changed["email"], changed["version"]) == (email, number)
    unchanged = shop.data(UPDATE, id=ana["id"], n={"email": ""})["updateCustomer"]
    assert unchanged["version"] == 5
    assert (
        shop.data(UPDATE, id=ben["id"], n={"email": "a@x.test"})["updateCustomer"]["version"] == 2
    )
    shop.expect_error("errors_dup_email", UPDATE, id=ana["id"], n={"email": "A@X.test"})
    # One customer gives its email to another.
    assert upsert(shop, {"_id": ben["_id"], "email": ""})[0]["outcome"] == "UPDATED"
    assert upsert(shop, {"_id": ana["_id"], "email": "a@x.test"})[0]["outcome"] == "UPDATED"
    changes = """query($id: ID!) { node(id: $id) { ... on Customer { changes { edges { node {
      kind fields { name before after } } } } } } }"""
    answer = shop.run(changes, id=ana["id"])
    assert "#" not in str(answer)


def test_rows_are_matched_by_external_id_or_phone(shop: Client) -> None:
    crm = {"external_ids": [{"source": "crm", "id": "1234567890123456789"}]}
    rows = upsert(shop, {**crm, "phone": "+212600000001"})
    assert rows[0]["outcome"] == "CREATED"
    rows = upsert(
        shop, {**crm, "email": "", "first_name": "Ana"}, {"phone": "00212600000001"}, phone=True
    )
    assert [row["outcome"] for row in rows] == ["UPDATED", "REJECTED"]
    assert rows[1]["errors"][0]["key"] == "errors_dup_row"
    rows = upsert(shop, {"phone": "00212600000001", "email": ""}, phone=True)
    assert rows[0]["outcome"] == "UNCHANGED"
    assert rows[0]["customer"]["phone"] == "+212600000001"
    # Without `phoneIdentifies`, an equal phone is another customer of the family.
    assert upsert(shop, {"phone": "+212600000001"})[0]["customer"]["_id"] == 2
    rows = upsert(shop, {"phone": "+212600000001"}, phone=True)
    assert rows[0]["errors"][0]["key"] == "errors_ambiguous"
    # A phone finds a customer with an email, who keeps it.
    shop.create("ben@x.test", phone="5551234")
    rows = upsert(shop, {"email": "", "phone": "555-1234", "notes": "n"}, phone=True)
    assert rows[0]["customer"]["email"] == "ben@x.test"
    rows = upsert(shop, {"phone": "999"}, dry=True)
    assert rows[0]["outcome"] == "CREATED"
    assert find(shop, "phone:999") == []


def test_rows_of_unknown_customers_name_what_is_missing(shop: Client) -> None:
    rows = upsert(
        shop,
        {"_id": 99, "email": "", "phone": "1"},
        {"email": "", "phone": "2", "if_version": 1},
        {"phone": "3", "if_version": 1},
    )
    errors = [[(e["key"], e["input_path"][-1]) for e in row["errors"]] for row in rows]
    assert errors == [
        [("errors_customer_not_found", "id")],
        [("errors_invalid_input", "if_version")],
        [("errors_invalid_input", "if_version")],
    ]
    assert rows[1]["errors"][0]["message"].startswith("No customer matches the row")


def test_lists_by_email_hold_customers_without_one(shop: Client) -> None:
    for number in range(3):
        create(shop, phone=f"{number}")
    shop.create("b@x.test")
    shop.create("a@x.test")
    for direction, expected in (("asc", [1, 2, 3, 5, 4]), ("desc", [4, 5, 3, 2, 1])):
        query = f"order_by:email order_dir:{direction}"
        for size in (1, 2, 3):
            found, after = [], None
            while True:
                page = shop.page("_id", query=query, first=size, after=after)
                found += [edge["node"]["_id"] for edge in page["edges"]]
                after = page["pageInfo"]["endCursor"]
                if not page["pageInfo"]["hasNextPage"]:
                    break
            assert found == expected
            back: list[int] = []
            before = None
            while True:
                page = shop.page("_id", query=query, last=size, before=before)
                back = [edge["node"]["_id"] for edge in page["edges"]] + back
                before = page["pageInfo"]["startCursor"]
                if not page["pageInfo"]["hasPreviousPage"]:
                    break
            assert back == expected
        page = shop.page("_id", query=f"{query} -has:email", first=2)
        assert page["pageInfo"]["hasNextPage"]


def test_the_trash_holds_and_restores_them(shop: Client) -> None:
    ana, ben = create(shop, phone="1", first_name="Ana"), create(shop, phone="1", first_name="Ben")
    shop.delete(ana["id"], ben["id"])
    rows = shop.data("{ trash { edges { node { _id email full_name } } } }")["trash"]["edges"]
    assert sorted((r["node"]["email"], r["node"]["full_name"]) for r in rows) == [
        ("", "Ana"),
        ("", "Ben"),
    ]
    restore = """mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { _id email } } }"""
    restored = shop.data(restore, i=[ana["id"], ben["id"]])["restoreCustomers"]["customers"]
    assert restored == [{"_id": 1, "email": ""}, {"_id": 2, "email": ""}]
    shop.delete(ana["id"], permanent=True)


def test_orders_and_leads_create_and_find_them(shop: Client) -> None:
    order = {"name": "#1", "total": 10, "phone": "+212600000001", "first_name": "Ana"}
    recorded = shop.data(ORDER, n=order)["recordOrder"]
    ana = {"_id": 1, "email": "", "phone": "+212600000001", "first_name": "Ana"}
    assert recorded == {"name": "#1", "email": "", "customer": ana}
    recorded = shop.data(ORDER, n={**order, "name": "#2", "phone": "00212600000001"})
    assert recorded["recordOrder"]["customer"] == ana
    shop.data(ORDER, n={"name": "#2", "total": 12})
    shop.data(LEAD, n={"email": "", "phone": "+212600000001", "message": "Hi"})
    assert find(shop, "orders_count:2") == [1]
    message, path = error_of(shop, "errors_invalid_input", ORDER, n={"name": "#3", "total": 1})
    assert path == ["node", "email"]
    assert message == "A new customer needs an email or a phone. Send one of them."
    error_of(shop, "errors_invalid_input", LEAD, n={"email": "", "message": "Hi"})
    shop.create("ben@x.test", phone="+212600000001")
    shop.expect_error("errors_ambiguous", ORDER, n={**order, "name": "#4"})
    shop.expect_error(
        "errors_ambiguous", LEAD, n={"email": "", "phone": "+212600000001", "message": "x"}
    )
    # An identifier finds them, and an order fills in the email that is missing.
    by_id = {"name": "#5", "total": 1, "customer": {"_id": 1}, "email": "ana@x.test"}
    assert shop.data(ORDER, n=by_id)["recordOrder"]["customer"]["email"] == "ana@x.test"
    new = {"name": "#6", "total": 1, "customer": {"phone": "+33612345678"}}
    assert shop.data(ORDER, n=new)["recordOrder"]["customer"]["phone"] == "+33612345678"
    shop.expect_error(
        "errors_invalid_input",
        ORDER,
        n={"name": "#7", "total": 1, "customer": {"external": {"source": "crm", "id": "1"}}},
    )


def test_two_servers_create_one_customer_for_a_phone(server: Server, shop: Client) -> None:
    """Two clients upsert the same phones at the same time; on PostgreSQL with two processes."""
    url = server.database_url
    second_server = run_server(database_url=url) if url.startswith("postgres") else None
    phones = [f"+2126000000{number:02}" for number in range(20)]
    barrier = threading.Barrier(2, timeout=120)

    def write(client: Client) -> None:
        for phone in phones:
            barrier.wait()
            upsert(client, {"phone": phone}, phone=True)

    with (
        second_server or contextlib.nullcontext(server) as other,
        Client(other, shop.token) as second,
    ):
        threads = [threading.Thread(target=write, args=(client,)) for client in (shop, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(find(shop, "-has:email")) == len(phones)


def test_a_race_between_a_removal_and_the_setting(server: Server, shop: Client) -> None:
    """A removal that is decided while the setting becomes stricter follows one of the two."""
    ids = [shop.create(f"c{n}@x.test", phone=f"{n}")["id"] for n in range(15)]
    barrier = threading.Barrier(2, timeout=120)

    def change() -> None:
        with Client(server, shop.token) as client:
            for number in range(len(ids)):
                barrier.wait()
                identify_by(client, "email" if number % 2 else "email_or_phone")

    thread = threading.Thread(target=change)
    thread.start()
    for customer_id in ids:
        barrier.wait()
        answer = shop.run(UPDATE, id=customer_id, n={"email": ""})
        assert "errors" not in answer or answer["errors"][0]["extensions"]["key"] == (
            "errors_invalid_input"
        )
    thread.join()


def test_the_command_line_creates_and_changes_them(server: Server, shop: Client) -> None:
    account = find_account_name(server, shop.token)
    database = ("--account", account, "--database-url", server.database_url)
    made = run_regulars("customers", "create", "--phone", "0600", "--first-name", "Ana", *database)
    assert made.returncode == 0, made.stderr
    listed = run_regulars("customers", "search", "", *database)
    assert "Ana" in listed.stdout
    changed = run_regulars("customers", "update", "1", "--phone", "", *database)
    assert changed.returncode != 0
    assert "needs an email or a phone" in changed.stderr


def test_verify_counts_customers_without_the_identification(server: Server, shop: Client) -> None:
    create(shop, phone="1")
    create(shop, phone="2")
    identify_by(shop, "email")
    result = run_regulars("verify", "--database-url", server.database_url)
    assert "2 customers lack the identification of `identify_by: email`" in result.stdout
