"""Several emails and phones of a customer: how they are set, found, and shown."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.store import parse_url
from regulars.store.migrate import run_in_transaction
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
)

pytestmark = pytest.mark.both_databases

SCOPES = ("customers", "orders:write", "settings", "admin")
LISTS = "email phone emails { id email label default } phones { id phone label default }"
CREATE = f"mutation($n: InputCustomer!) {{ createCustomer(node: $n) {{ {LISTS} }} }}"
UPDATE = f"""mutation($id: ID!, $n: InputUpdateCustomer!, $dry: Boolean) {{
  updateCustomer(id: $id, node: $n, dryRun: $dry) {{ version {LISTS} }} }}"""
ADD = f"""mutation($id: ID!, $e: [InputEmailAddress!]!, $v: Int, $dry: Boolean) {{
  addEmails(id: $id, emails: $e, ifVersion: $v, dryRun: $dry) {{ version {LISTS} }} }}"""
REMOVE = f"""mutation($id: ID!, $e: [String!]!) {{
  removeEmails(id: $id, emails: $e) {{ version {LISTS} }} }}"""
ADD_PHONES = f"""mutation($id: ID!, $p: [InputPhoneNumber!]!) {{
  addPhones(id: $id, phones: $p) {{ version {LISTS} }} }}"""
REMOVE_PHONES = f"""mutation($id: ID!, $p: [String!]!) {{
  removePhones(id: $id, phones: $p) {{ version {LISTS} }} }}"""
SET = """mutation($nodes: [InputSetCustomer!]!, $policy: ErrorPolicy) {
  setCustomers(nodes: $nodes, errorPolicy: $policy) {
    rows { outcome customer { _id email first_name } errors { key input_path } } } }"""
ORDER = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { email customer { _id } } }"
LEAD = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }"
SETTINGS = """mutation($v: IdentifyBy) {
  updateAccountSettings(node: {identify_by: $v}) { identify_by } }"""
BY = "query($by: CustomerIdentifier!) { customer(by: $by) { _id } }"
CHANGES = """{ customerChanges(first: 250) {
  edges { node { kind fields { name before after } } } } }"""


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client with a token for a new account."""
    with Client(server, create_token(server, scopes=SCOPES)) as made:
        yield made


def entries(*emails: str) -> list[dict[str, str]]:
    return [{"email": email} for email in emails]


def emails(client: Client, id_: str) -> list[str]:
    customer = client.node(id_, "... on Customer { email emails { email } }")
    found = [entry["email"] for entry in customer["emails"]]
    assert found[:1] == ([customer["email"]] if customer["email"] else [])
    return found


def phones(client: Client, id_: str) -> list[str]:
    customer = client.node(id_, "... on Customer { phone phones { phone } }")
    found = [entry["phone"] for entry in customer["phones"]]
    assert found[:1] == ([customer["phone"]] if customer["phone"] else [])
    return found


def changed_fields(client: Client) -> list[Any]:
    """Returns the fields of each update in the feed."""
    nodes = [edge["node"] for edge in client.data(CHANGES)["customerChanges"]["edges"]]
    return [
        {field["name"]: [field["before"], field["after"]] for field in node["fields"]}
        for node in nodes
        if node["kind"] == "updated"
    ]


def assert_consistent(server: Server) -> None:
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout


def id_of(kind: str, customer: int, n: int) -> str:
    return base64.b64encode(f"{kind}:{customer}-{n}".encode()).decode()


def test_a_customer_of_before_has_its_default(client: Client) -> None:
    client.create("a@x.test", phone="0612")
    customer = client.node("1", f"... on Customer {{ {LISTS} }}")
    assert customer["emails"] == [
        {"id": id_of("Email", 1, 1), "email": "a@x.test", "label": "", "default": True}
    ]
    assert customer["phones"] == [
        {"id": id_of("Phone", 1, 1), "phone": "0612", "label": "", "default": True}
    ]
    client.create("b@x.test")
    assert client.node("2", "... on Customer { phones { id } }") == {"phones": []}


def test_a_list_in_create(client: Client) -> None:
    node = {
        "email": "",
        "emails": [
            {"email": "a@x.test", "label": " home "},
            {"email": "B@X.test", "default": True, "verified_at": "2026-01-02"},
            {"email": "A@x.test", "label": "duplicate"},
        ],
        "phones": [{"phone": "0612"}, {"phone": "+212 6"}],
    }
    customer = client.data(CREATE, n=node)["createCustomer"]
    assert (customer["email"], customer["phone"]) == ("B@x.test", "0612")
    assert [(e["email"], e["label"], e["default"]) for e in customer["emails"]] == [
        ("B@x.test", "", True),
        ("a@x.test", "home", False),
    ]
    verified = client.node(
        id_of("Email", 1, 2), '... on EmailAddress { email verified_at(format: "ISO") }'
    )
    assert verified == {"email": "B@x.test", "verified_at": "2026-01-02T00:00:00.000Z"}
    added = client.data(CREATE, n={"email": "c@x.test", "emails": entries("d@x.test")})
    assert [e["email"] for e in added["createCustomer"]["emails"]] == ["c@x.test", "d@x.test"]
    assert_consistent(client.server)


def test_an_update_of_the_default_keeps_ids(client: Client) -> None:
    client.create("a@x.test", emails=[{"email": "a@x.test", "label": "home"}, *entries("b@x.test")])
    client.update("1", email="c@x.test")  # in place
    customer = client.node("1", f"... on Customer {{ {LISTS} }}")
    assert customer["emails"][0] == {
        "id": id_of("Email", 1, 1),
        "email": "c@x.test",
        "label": "home",
        "default": True,
    }
    client.update("1", email="B@x.test")  # the additional one becomes the default
    assert emails(client, "1") == ["B@x.test", "c@x.test"]
    client.update("1", email="")  # the next one becomes the default
    assert emails(client, "1") == ["c@x.test"]
    client.expect_error("errors_invalid_input", UPDATE, id="1", n={"email": ""})
    client.update("1", emails=entries("c@x.test", "d@x.test"))
    ids = [e["id"] for e in client.node("1", f"... on Customer {{ {LISTS} }}")["emails"]]
    assert ids == [id_of("Email", 1, 1), id_of("Email", 1, 3)]
    assert client.node(id_of("Email", 1, 2), "__typename") is None
    assert_consistent(client.server)


def test_numbers_are_never_reused(client: Client) -> None:
    client.data(SETTINGS, v="anything")
    client.create("a@x.test", first_name="Ana", phone="1")
    client.update("1", email="", phone="")
    client.update("1", email="b@x.test", phone="2")
    customer = client.node("1", "... on Customer { emails { id } phones { id } }")
    assert customer == {
        "emails": [{"id": id_of("Email", 1, 2)}],
        "phones": [{"id": id_of("Phone", 1, 2)}],
    }
    client.update("1", emails=[], phones=[])
    assert (emails(client, "1"), phones(client, "1")) == ([], [])
    assert_consistent(client.server)


def test_the_last_identification_stays(client: Client) -> None:
    client.data(SETTINGS, v="email_or_phone")
    client.create("a@x.test", emails=entries("b@x.test"))
    error = client.expect_error("errors_last_identifier", UPDATE, id="1", n={"emails": []})
    assert error["extensions"]["input_path"] == ["node", "emails"]
    error = client.expect_error(
        "errors_last_identifier", REMOVE, id="1", e=["a@x.test", "b@x.test"]
    )
    assert error["extensions"]["input_path"] == ["emails"]
    client.update("1", phones=[{"phone": "1"}], emails=[])
    client.expect_error("errors_last_identifier", REMOVE_PHONES, id="1", p=["1"])


def test_emails_are_added_and_removed_with_history(client: Client) -> None:
    client.create("a@x.test")
    added = client.data(
        ADD, id="1", e=[{"email": "b@x.test", "label": "work"}, *entries("c@x.test")]
    )["addEmails"]
    assert added["version"] == 2
    assert client.data(ADD, id="1", e=entries("B@x.test"), v=2)["addEmails"]["version"] == 2
    made = client.data(ADD, id="1", e=[{"email": "c@x.test", "default": True}])["addEmails"]
    assert [e["email"] for e in made["emails"]] == ["c@x.test", "a@x.test", "b@x.test"]
    removed = client.data(REMOVE, id="1", e=["C@x.test", "none", "z@x.test"])["removeEmails"]
    assert [e["email"] for e in removed["emails"]] == ["a@x.test", "b@x.test"]
    assert client.data(REMOVE, id="1", e=["c@x.test"])["removeEmails"]["version"] == 4
    client.expect_error("errors_version_conflict", ADD, id="1", e=entries("d@x.test"), v=1)
    client.expect_error("errors_customer_not_found", ADD, id="9", e=entries("d@x.test"))
    assert changed_fields(client) == [
        {"emails": [["a@x.test"], ["a@x.test", "work <b@x.test>", "c@x.test"]]},
        {
            "email": ["a@x.test", "c@x.test"],
            "emails": [
                ["a@x.test", "work <b@x.test>", "c@x.test"],
                ["c@x.test", "a@x.test", "work <b@x.test>"],
            ],
        },
        {
            "email": ["c@x.test", "a@x.test"],
            "emails": [
                ["c@x.test", "a@x.test", "work <b@x.test>"],
                ["a@x.test", "work <b@x.test>"],
            ],
        },
    ]
    assert_consistent(client.server)


def test_phones_are_compared_by_their_digits(client: Client) -> None:
    client.create("a@x.test", phone="+212 612 345678")
    changed = client.data(
        ADD_PHONES,
        id="1",
        p=[
            {"phone": "00212612345678", "label": "mobile"},
            {"phone": "front desk"},
            {"phone": "030 1234567 x1"},
            {"phone": "030 1234567 x2"},
        ],
    )["addPhones"]
    assert [(e["phone"], e["label"]) for e in changed["phones"]] == [
        ("+212 612 345678", "mobile"),
        ("front desk", ""),
        ("030 1234567 x1", ""),
        ("030 1234567 x2", ""),
    ]
    client.data(REMOVE_PHONES, id="1", p=["+212612345678", "Front Desk", "030 1234567 x1"])
    assert phones(client, "1") == ["030 1234567 x2"]
    client.create("b@x.test", phones=[{"phone": "030 1234567 x2"}])  # several can have it
    assert phones(client, "2") == ["030 1234567 x2"]


@pytest.mark.parametrize(
    ("phone", "e164", "country", "valid"),
    [
        ("+49 (0)30 90 18 20", "+4930901820", "DE", True),
        ("0049 30 901820", "+4930901820", "DE", True),
        ("+1 212 555 0123 x89", "+12125550123", "US", True),
        ("+49 1", None, None, False),
        ("030 901820", None, None, False),
        ("front desk", None, None, False),
        ("+999 12345678", None, None, False),
    ],
)
def test_what_is_known_of_a_number(
    client: Client, phone: str, e164: str | None, country: str | None, valid: bool
) -> None:
    client.create("a@x.test", phone=phone)
    (entry,) = client.node("1", "... on Customer { phones { phone e164 country valid } }")["phones"]
    assert entry == {"phone": phone, "e164": e164, "country": country, "valid": valid}


def test_an_email_belongs_to_one_customer(client: Client) -> None:
    client.create("a@x.test", emails=entries("b@x.test"))
    holder = client.create("c@x.test")["id"]
    first = client.data(BY, by={"email": "B@X.test"})["customer"]
    assert first == {"_id": 1}
    for document, variables, path in (
        (CREATE, {"n": {"email": "b@x.test"}}, ["node", "email"]),
        (UPDATE, {"id": "2", "n": {"email": "b@x.test"}}, ["node", "email"]),
        (
            UPDATE,
            {"id": "2", "n": {"emails": entries("z@x.test", "a@x.test")}},
            ["node", "emails", 1, "email"],
        ),
        (ADD, {"id": "2", "e": entries("b@x.test")}, ["emails", 0, "email"]),
    ):
        error = client.expect_error("errors_dup_email", document, **variables)
        assert error["extensions"]["customer_id"] == base64.b64encode(b"Customer:1").decode()
        assert error["extensions"]["input_path"] == path
    assert client.node(holder, f"... on Customer {{ {LISTS} }}")["email"] == "c@x.test"
    client.data(REMOVE, id="1", e=["b@x.test"])
    client.update("2", emails=entries("c@x.test", "b@x.test"))
    client.delete("2", permanent=True)
    client.update("1", email="b@x.test")
    assert_consistent(client.server)


def test_emails_change_hands_in_one_request(client: Client) -> None:
    client.create("a@x.test", emails=entries("b@x.test"))
    client.create("c@x.test")
    rows = client.data(
        SET,
        nodes=[
            {"_id": 1, "emails": entries("a@x.test")},
            {"_id": 2, "emails": entries("b@x.test", "c@x.test")},
        ],
    )["setCustomers"]["rows"]
    assert [row["outcome"] for row in rows] == ["UPDATED", "UPDATED"]
    assert (emails(client, "1"), emails(client, "2")) == (["a@x.test"], ["c@x.test", "b@x.test"])
    client.update("2", email="b@x.test")
    client.update("2", email="")
    assert emails(client, "2") == ["c@x.test"]
    assert_consistent(client.server)


def test_a_token_that_cannot_read_does_not_learn_the_holder(server: Server, client: Client) -> None:
    client.create("a@x.test")
    account = find_account_name(server, client.token)
    result = run_regulars(
        "token", "create", "--account", account, "--name", "w", "--scope", "customers:write",
        "--database-url", server.database_url,
    )  # fmt: skip
    with Client(server, result.stdout.strip()) as writer:
        document = "mutation($n: InputCustomer!) { createCustomer(node: $n) { _id } }"
        error = writer.expect_error("errors_dup_email", document, n={"email": "a@x.test"})
    assert "customer_id" not in error["extensions"]


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ({"emails": [{"email": "no"}]}, ["emails", 0, "email"]),
        ({"emails": [{"email": ""}]}, ["emails", 0, "email"]),
        ({"emails": [{"email": "a@x.test", "label": "x" * 65}]}, ["emails", 0, "label"]),
        ({"emails": [{"email": "a@x.test", "label": "<x>"}]}, ["emails", 0, "label"]),
        ({"emails": [{"email": "a@x.test", "verified_at": "soon"}]}, ["emails", 0, "verified_at"]),
        ({"emails": [{"email": f"{n}@x.test", "default": True} for n in "ab"]}, ["emails"]),
        ({"emails": entries(*(f"{n}@x.test" for n in range(21)))}, ["emails"]),
        ({"emails": entries(*(f"{n}@x.test" for n in range(41)))}, ["emails"]),
        ({"emails": None}, ["emails"]),
        ({"email": "a@x.test", "emails": [{"email": "b@x.test", "default": True}]}, ["emails"]),
        ({"phones": [{"phone": " "}]}, ["phones", 0, "phone"]),
        ({"phones": [{"phone": "1" * 65}]}, ["phones", 0, "phone"]),
        ({"phones": [{"phone": str(n)} for n in range(21)]}, ["phones"]),
        ({"phones": None}, ["phones"]),
    ],
)
def test_invalid_lists_are_refused(client: Client, node: dict[str, Any], path: list[Any]) -> None:
    client.create("z@x.test")
    error = client.expect_error("errors_invalid_input", UPDATE, id="1", n=node)
    assert error["extensions"]["input_path"] == ["node", *path]
    (row,) = client.data(SET, nodes=[{"_id": 1, **node}], policy="REJECT_ROW")["setCustomers"][
        "rows"
    ]
    assert row["errors"] == [{"key": "errors_invalid_input", "input_path": ["nodes", 0, *path]}]
    assert emails(client, "1") == ["z@x.test"]


def test_a_list_that_is_full(client: Client) -> None:
    client.create("a@x.test", emails=entries(*(f"{n}@x.test" for n in range(19))))
    error = client.expect_error("errors_invalid_input", ADD, id="1", e=entries("y@x.test"))
    assert "20 emails; this one would have 21" in error["message"]
    client.update("1", email="c@x.test")
    assert len(emails(client, "1")) == 20


def test_an_email_that_is_refused_is_not_missing(client: Client) -> None:
    client.data(SETTINGS, v="anything")
    for email in ("a\x07@x.test", "a" * 255 + "@x.test"):
        for node in ({"email": email, "first_name": "Ana"}, {"email": email, "emails": []}):
            client.expect_error("errors_invalid_input", CREATE, n=node)


def test_a_dry_run_changes_nothing(client: Client) -> None:
    client.create("a@x.test")
    body = client.run(ADD, id="1", e=[{"email": "b@x.test", "default": True}], dry=True)
    assert body["data"]["addEmails"]["email"] == "b@x.test"
    (entry,) = body["extensions"]["dry_run"]["changes"]
    assert {field["name"] for field in entry["fields"]} == {"email", "emails"}
    assert emails(client, "1") == ["a@x.test"]
    client.create("b@x.test")


def test_rows_of_two_customers_with_one_email_are_no_duplicates(client: Client) -> None:
    ids = [client.create(email)["id"] for email in ("a@x.test", "b@x.test")]
    both = [{"id": id_, "email": "n@x.test"} for id_ in ids]
    further = [
        {"email": f"{name}@x.test", "emails": entries(f"{name}@x.test", "m@x.test")}
        for name in ("n", "b")
    ]
    for nodes, place in ((both, ["email"]), (further, ["emails", 1, "email"])):
        rows = client.data(SET, nodes=nodes, policy="REJECT_ROW")["setCustomers"]["rows"]
        assert [row["outcome"] for row in rows] == ["UPDATED", "REJECTED"]
        ((error),) = rows[1]["errors"]
        assert error["key"] == "errors_dup_email"
        assert error["input_path"] == ["nodes", 1, *place]
    assert emails(client, "1") == ["n@x.test", "m@x.test"]
    assert emails(client, "2") == ["b@x.test"]


def test_rows_find_customers_by_any_email(client: Client) -> None:
    client.create("a@x.test", emails=entries("b@x.test"))
    rows = client.data(
        SET,
        nodes=[{"email": "B@x.test", "first_name": "Ana"}],
    )["setCustomers"]["rows"]
    assert rows[0]["customer"] == {"_id": 1, "email": "a@x.test", "first_name": "Ana"}
    rows = client.data(
        SET,
        nodes=[{"email": "a@x.test"}, {"email": "b@x.test"}, {"emails": entries("n@x.test")}],
        policy="REJECT_ROW",
    )["setCustomers"]["rows"]
    assert [row["outcome"] for row in rows] == ["UNCHANGED", "REJECTED", "CREATED"]
    assert rows[1]["errors"][0]["key"] == "errors_dup_row"
    rows = client.data(SET, nodes=[{"emails": entries("c@x.test", "b@x.test")}])["setCustomers"]
    assert rows["rows"][0]["customer"]["_id"] == 1
    assert emails(client, "1") == ["c@x.test", "b@x.test"]
    client.data(SET, nodes=[{"email": "b@x.test", "emails": entries("c@x.test")}])
    assert emails(client, "1") == ["b@x.test", "c@x.test"]
    assert_consistent(client.server)


def test_orders_and_leads_belong_to_the_customer_with_any_email(client: Client) -> None:
    client.create(
        "a@x.test", emails=entries("b@x.test"), phones=[{"phone": "0612"}, {"phone": "5"}]
    )
    order = client.data(ORDER, n={"name": "#1", "total": 5, "email": "b@x.test"})["recordOrder"]
    assert order == {"email": "b@x.test", "customer": {"_id": 1}}
    client.data(LEAD, n={"email": "B@x.test", "message": "Hi"})
    leads = client.node("1", "... on Customer { leads { message } }")
    assert leads == {"leads": [{"message": "Hi"}]}
    client.data(SETTINGS, v="email_or_phone")
    by_phone = {"name": "#2", "total": 5, "customer": {"phone": "5"}}
    assert client.data(ORDER, n=by_phone)["recordOrder"]["customer"] == {"_id": 1}
    assert emails(client, "1") == ["a@x.test", "b@x.test"]


def test_searches_find_every_contact_point(client: Client) -> None:
    client.create(
        "a@x.test",
        emails=entries("straße.ÄRA@Bücher.example", "second@shop.test"),
        phones=[{"phone": "+212 612 345678"}, {"phone": "030 999"}],
    )
    client.create("b@x.test", phone="1")
    client.data(SETTINGS, v="anything")
    client.data(CREATE, n={"email": "", "first_name": "Ben"})
    for query, found in (
        ("email:second@SHOP.test", [1]),
        ("email:sec*", [1]),
        ("email:straße.ära@bücher.example", [1]),
        ("email:strasse*", [1]),
        ("second", [1]),
        ("shop.test", [1]),
        ("bucher", [1]),
        ('"second@shop.test"', [1]),
        ("phone:030999", [1]),
        ("phone:+212612345678", [1]),
        ("phone:612*", [1]),
        ("030999", [1]),
        ("phone:999", []),
        ("emails_count:>1", [1]),
        ("emails_count:3", [1]),
        ("emails_count:>=4", []),
        ("emails_count:1", [2]),
        ("emails_count:0", [3]),
        ("emails_count:<3", [2, 3]),
        ("emails_count:<=3", [1, 2, 3]),
        ("emails_count:<999", [1, 2, 3]),
        ("emails_count:>=1", [1, 2]),
        ("has:emails_count", [1, 2]),
        ("-has:phones_count", [3]),
        ("phones_count:>=0", [1, 2, 3]),
        ("phones_count:2", [1]),
        ("phones_count:>0", [1, 2]),
        ("has:email", [1, 2]),
    ):
        page = client.page(query=f"{query} order_by:id order_dir:asc")
        assert [edge["node"]["_id"] for edge in page["edges"]] == found, query
    client.update("1", emails=entries("a@x.test"), phones=[])
    for query in ("second", "email:sec*", "emails_count:>1", "phone:030999", "has:phones_count"):
        page = client.page(query=query)
        assert 1 not in [edge["node"]["_id"] for edge in page["edges"]], query
    assert_consistent(client.server)


def test_the_trash_keeps_all_contact_points(client: Client) -> None:
    client.create("a@x.test", emails=[{"email": "b@x.test", "label": "work"}])
    before = client.node("1", f"... on Customer {{ {LISTS} }}")
    client.delete("1")
    restore = 'mutation { restoreCustomers(items: ["1"]) { skipped { value } } }'
    other = client.create("b@x.test")["id"]
    error = client.expect_error("errors_restore_conflict", restore)
    assert error["extensions"]["conflicts"] == [
        {
            "customer_id": base64.b64encode(b"Customer:1").decode(),
            "field": "email",
            "value": "b@x.test",
            "taken_by": other,
        }
    ]
    assert_consistent(client.server)
    client.update(other, emails=entries("c@x.test", "a@x.test"))
    error = client.expect_error("errors_restore_conflict", restore)
    assert error["extensions"]["conflicts"][0]["value"] == "a@x.test"
    client.delete(other, permanent=True)
    client.data(restore)
    assert client.node("1", f"... on Customer {{ {LISTS} }}") == before
    assert client.data(BY, by={"email": "b@x.test"})["customer"] == {"_id": 1}
    client.expect_error("errors_dup_email", CREATE, n={"email": "b@x.test"})
    assert_consistent(client.server)


def test_lists_need_the_contract_part(new_database: str) -> None:
    """A program of an older version would give an additional email to another customer."""
    statement = sa.text("UPDATE compatibility SET finished = '0018'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    with run_server(new_database) as server, Client(server, create_token(server)) as client:
        client.create("a@x.test", emails=entries("a@x.test"))  # it has the default alone
        for document, variables in (
            (CREATE, {"n": {"email": "c@x.test", "emails": entries("b@x.test")}}),
            (UPDATE, {"id": "1", "n": {"emails": entries("a@x.test", "b@x.test")}}),
            (UPDATE, {"id": "1", "n": {"phones": [{"phone": "1", "label": "x"}]}}),
            (ADD, {"id": "1", "e": entries("b@x.test")}),
        ):
            error = client.expect_error("errors_invalid_input", document, **variables)
            assert "regulars migrate --contract" in error["message"]
        client.update("1", email="b@x.test")
        assert emails(client, "1") == ["b@x.test"]
        run_regulars("migrate", "--database-url", new_database)
        client.data(ADD, id="1", e=entries("c@x.test"))
        assert emails(client, "1") == ["b@x.test", "c@x.test"]


def test_one_of_two_processes_gets_an_email(new_database: str) -> None:
    race(new_database, 20)


@pytest.mark.slow
def test_one_of_two_processes_gets_an_email_a_thousand_times(new_database: str) -> None:
    race(new_database, 1_000)


def race(database: str, count: int) -> None:
    """Two processes give the same emails to two customers: one as the default, one as another."""
    results: list[list[str]] = [[], []]
    barrier = threading.Barrier(2, timeout=120)
    with run_server(database) as first, run_server(database) as second:
        token = create_token(first)
        with Client(first, token) as client:
            client.create("a@x.test")
            client.create("b@x.test")

        def write(index: int, server: Server) -> None:
            with Client(server, token) as client:
                for n in range(count):
                    barrier.wait()
                    if index:
                        body = client.run(UPDATE, id="2", n={"email": f"race{n}@x.test"})
                    else:
                        body = client.run(ADD, id="1", e=entries(f"race{n}@x.test"))
                    results[index].append(body["errors"][0]["key"] if "errors" in body else "")
                    barrier.wait()
                    if index:
                        client.update("2", email="b@x.test")
                    else:
                        client.data(REMOVE, id="1", e=[f"race{n}@x.test"])

        threads = [threading.Thread(target=write, args=each) for each in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_consistent(first)
    pairs = [sorted(pair) for pair in zip(*results, strict=True)]
    assert pairs == [["", "errors_dup_email"]] * count


def test_an_export_that_is_imported_keeps_lists(
    client: Client, server: Server, tmp_path: Any
) -> None:
    client.create(
        "a@x.test",
        emails=[{"email": "b@x.test", "label": "work", "verified_at": "2026-01-02"}],
        phones=[{"phone": "1", "label": "x"}, {"phone": "=2"}],
    )
    client.create("c@x.test", phone="3")
    account = find_account_name(server, client.token)
    database = ("--database-url", server.database_url)
    for form in ("csv", "jsonl"):
        path = tmp_path / f"export.{form}"
        exported = run_regulars("export", str(path), "--account", account, *database)
        assert exported.returncode == 0, exported.stderr
        with Client(server, create_token(server)) as other:
            name = find_account_name(server, other.token)
            imported = run_regulars("import", str(path), "--account", name, *database)
            assert imported.returncode == 0, imported.stderr + imported.stdout
            lists = """... on Customer { emails { email label default verified_at(format: "ISO") }
              phones { phone label default } }"""
            for id_ in ("1", "2"):
                assert other.node(id_, lists) == client.node(id_, lists)
            again = tmp_path / f"again.{form}"
            run_regulars("export", str(again), "--account", name, *database)
            assert json.dumps(again.read_text()) == json.dumps(path.read_text())
