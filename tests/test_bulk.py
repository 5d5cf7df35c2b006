"""Set and tag many customers in one request."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.commands import Origin
from regulars.customers.bulk import SetCustomers, SetResult, SetRow
from regulars.customers.values import clean_values
from regulars.store import Store, queries
from tests.support import Client, Server, create_token, run_regulars, with_store

pytestmark = pytest.mark.both_databases

SET = """mutation ($nodes: [InputSetCustomer!]!, $policy: ErrorPolicy, $dry: Boolean) {
  setCustomers(nodes: $nodes, errorPolicy: $policy, dryRun: $dry) {
    saved created updated unchanged rejected
    rows { outcome customer { _id email first_name tags version } errors { key message input_path } }
  }
}"""
CHANGES = """{ customerChanges(first: 250) { edges { node {
  kind customer_id fields { name before after } } } } }"""
ALL_CUSTOMERS = (
    '{ customers(query: "order_by:id order_dir:asc", first: 250) { edges { node { _id email } } } }'
)


def set_customers(client: Client, nodes: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = client.data(SET, nodes=nodes, **options)["setCustomers"]
    return result


def emails(client: Client) -> list[str]:
    return [edge["node"]["email"] for edge in client.data(ALL_CUSTOMERS)["customers"]["edges"]]


def kinds(client: Client) -> list[str]:
    return [e["node"]["kind"] for e in client.data(CHANGES)["customerChanges"]["edges"]]


def outcomes(result: dict[str, Any]) -> list[str]:
    return [row["outcome"] for row in result["rows"]]


def errors(result: dict[str, Any]) -> list[list[tuple[str, list[Any]]]]:
    return [[(e["key"], e["input_path"]) for e in row["errors"]] for row in result["rows"]]


def test_existing_customers_are_updated_and_others_created(client: Client) -> None:
    first = set_customers(client, [{"email": "Ana@shop.test", "first_name": "Ana"}])
    assert (first["saved"], first["created"], outcomes(first)) == (True, 1, ["CREATED"])
    number = first["rows"][0]["customer"]["_id"]
    second = set_customers(
        client,
        [
            {"email": "ana@SHOP.test", "first_name": "Ana"},
            {"email": "ben@shop.test", "tags": ["vip"]},
        ],
    )
    assert outcomes(second) == ["UPDATED", "CREATED"]  # the email changes its case
    assert second["rows"][0]["customer"] == {
        "_id": number,
        "email": "ana@shop.test",
        "first_name": "Ana",
        "tags": [],
        "version": 2,
    }
    third = set_customers(client, [{"_id": number, "email": "ana@shop.test"}])
    assert outcomes(third) == ["UNCHANGED"]
    assert third["rows"][0]["customer"]["version"] == 2
    assert kinds(client) == ["created", "updated", "created"]


def test_a_row_with_an_id_can_change_the_email(client: Client) -> None:
    customer_id = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    by_integer_id = set_customers(client, [{"_id": customer_id, "email": "new@shop.test"}])
    assert outcomes(by_integer_id) == ["UPDATED"]
    global_id = client.data("{ customers { edges { node { id } } } }")["customers"]["edges"][0]
    by_id = set_customers(client, [{"id": global_id["node"]["id"], "first_name": "Ana"}])
    assert by_id["rows"][0]["customer"]["email"] == "new@shop.test"
    assert by_id["rows"][0]["customer"]["first_name"] == "Ana"


def test_an_unknown_id_is_rejected(client: Client) -> None:
    result = set_customers(client, [{"_id": 77, "email": "ana@shop.test"}, {"id": "nonsense"}])
    assert errors(result) == [
        [("errors_customer_not_found", ["nodes", 0, "id"])],
        [("errors_customer_not_found", ["nodes", 1, "id"])],
    ]
    created = set_customers(client, [{"email": "a@shop.test"}, {"email": "b@shop.test"}])
    a, b = (row["customer"]["_id"] for row in created["rows"])
    result = set_customers(client, [{"id": str(a), "_id": b, "phone": "1"}])
    assert errors(result) == [[("errors_invalid_input", ["nodes", 0, "_id"])]]


def test_the_error_policy_rejects_all_or_only_invalid_rows(client: Client) -> None:
    nodes: list[dict[str, Any]] = [
        {"email": "ana@shop.test"},
        {"email": "No email", "shipping_address": {"country": "XX"}},
        {"first_name": "Nobody"},
    ]
    row_errors = [
        [("errors_other_rows", ["nodes", 0])],
        [
            ("errors_invalid_input", ["nodes", 1, "email"]),
            ("errors_invalid_input", ["nodes", 1, "shipping_address", "country"]),
        ],
        [("errors_invalid_input", ["nodes", 2, "email"])],
    ]
    result = set_customers(client, nodes)
    assert not result["saved"]
    assert result["rejected"] == 3
    assert errors(result) == row_errors
    assert "errorPolicy: REJECT_ROW" in result["rows"][0]["errors"][0]["message"]
    assert emails(client) == kinds(client) == []
    result = set_customers(client, nodes, policy="REJECT_ROW")
    assert outcomes(result) == ["CREATED", "REJECTED", "REJECTED"]
    assert errors(result) == [[], *row_errors[1:]]
    assert result["rows"][1]["customer"] is None
    assert emails(client) == ["ana@shop.test"]


def test_a_rejected_request_changes_nothing(client: Client) -> None:
    customer = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]
    nodes = [{"_id": customer["_id"], "email": "new@shop.test"}, {"email": "ben@shop.test"}, {}]
    result = set_customers(client, nodes)
    assert result["rows"][0]["customer"] == customer
    assert result["rows"][1]["customer"] is None
    assert emails(client) == ["ana@shop.test"]
    # The id and the email of the rejected row are still free.
    again = set_customers(client, [{"email": "new@shop.test"}])
    assert again["rows"][0]["customer"]["_id"] == customer["_id"] + 1
    assert kinds(client) == ["created", "created"]


def test_a_dry_run_returns_the_result_without_saving(client: Client) -> None:
    set_customers(client, [{"email": "ana@shop.test", "first_name": "Ana"}])
    nodes = [
        {"email": "ana@shop.test", "first_name": "Anna"},
        {"email": "ANA@shop.test"},
        {"email": "ben@shop.test"},
        {"email": "ben@"},
    ]
    dry = set_customers(client, nodes, policy="REJECT_ROW", dry=True)
    assert not dry["saved"]
    assert emails(client) == ["ana@shop.test"]
    assert kinds(client) == ["created"]
    result = set_customers(client, nodes, policy="REJECT_ROW")
    assert {**dry, "saved": True} == result
    assert outcomes(result) == ["UPDATED", "REJECTED", "CREATED", "REJECTED"]


def test_two_rows_for_one_customer_are_an_error(client: Client) -> None:
    customer_id = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    result = set_customers(
        client,
        [
            {"email": "Ana@Shop.test", "first_name": "A"},
            {"_id": customer_id, "first_name": "B"},
            {"email": "new@shop.test", "phone": "1" * 65},
            {"email": "NEW@shop.test"},
        ],
        policy="REJECT_ROW",
    )
    assert errors(result) == [
        [],
        [("errors_dup_row", ["nodes", 1])],
        [("errors_invalid_input", ["nodes", 2, "phone"])],
        [("errors_dup_row", ["nodes", 3])],
    ]
    assert "Row 0" in result["rows"][1]["errors"][0]["message"]
    assert emails(client) == ["Ana@shop.test"]


@pytest.mark.parametrize("dry", [False, True])
def test_a_rejected_request_returns_only_stored_customers(client: Client, dry: bool) -> None:
    """Earlier rows for the same customers, which were not saved, have no effect on the response."""
    set_customers(client, [{"email": "ana@shop.test", "first_name": "Ana"}])
    nodes = [
        {"email": "ana@shop.test", "first_name": "Changed"},
        {"email": "new@shop.test"},
        {"email": "new@shop.test"},
        {"email": "ana@shop.test"},
    ]
    result = set_customers(client, nodes, dry=dry)
    assert not result["saved"]
    customers = [row["customer"] for row in result["rows"]]
    assert [each and each["first_name"] for each in customers] == ["Ana", None, None, "Ana"]
    assert {each["version"] for each in customers if each} == {1}


def test_a_row_sees_the_changes_of_earlier_rows(client: Client) -> None:
    customer_id = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    result = set_customers(
        client,
        [
            {"_id": customer_id, "email": "other@shop.test"},
            {"email": "ana@shop.test", "first_name": "2"},
        ],
    )
    assert outcomes(result) == ["UPDATED", "CREATED"]
    taken = set_customers(client, [{"_id": customer_id, "email": "ANA@shop.test"}])
    assert errors(taken) == [[("errors_dup_email", ["nodes", 0, "email"])]]


def test_emails_move_between_customers_in_the_order_of_the_rows(client: Client) -> None:
    """A row takes an email that an earlier row has freed. The database checks the unique index row
    by row, in an order of its own."""
    choose = random.Random(5)
    pool = [f"e{n}@shop.test" for n in range(8)]
    model = {client.create(email)["_id"]: email for email in pool[:5]}
    moves = 0
    for _ in range(40):
        numbers = choose.sample(sorted(model), k=choose.randint(2, 5))
        nodes = [
            {"_id": number, "email": email, "first_name": choose.choice("ab")}
            for number, email in zip(numbers, choose.sample(pool, k=len(numbers)), strict=True)
        ]
        result = set_customers(client, nodes, policy="REJECT_ROW")
        before = set(model.values())
        for node, row in zip(nodes, result["rows"], strict=True):
            number, email = node["_id"], node["email"]
            if email in model.values() and email != model[number]:
                assert [error["key"] for error in row["errors"]] == ["errors_dup_email"]
            else:
                assert row["outcome"] in ("UPDATED", "UNCHANGED")
                moves += email != model[number] and email in before
                model[number] = email
        assert emails(client) == [model[number] for number in sorted(model)]
    assert moves > 10


def test_a_request_takes_at_most_250_rows(client: Client) -> None:
    nodes = [{"email": f"a{n}@shop.test"} for n in range(251)]
    response = client.run(SET, nodes=nodes)
    assert response["errors"][0]["extensions"]["input_path"] == ["nodes"]
    assert "the maximum is 250" in response["errors"][0]["message"]
    result = set_customers(client, nodes[:250])
    assert result["created"] == 250
    assert set_customers(client, nodes[:250])["unchanged"] == 250
    assert set_customers(client, [])["rows"] == []


def test_a_repeated_request_runs_once(client: Client) -> None:
    nodes = [{"email": "ana@shop.test"}, {"email": "x"}]
    variables = {"nodes": nodes, "policy": "REJECT_ROW"}
    headers = {"Idempotency-Key": "bulk-1"}
    first = client.post(SET, variables, headers)
    again = client.post(SET, variables, headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert kinds(client) == ["created"]
    customer_id = first.json()["data"]["setCustomers"]["rows"][0]["customer"]["_id"]
    client.delete(str(customer_id))
    replayed = client.post(SET, variables, headers).json()
    assert replayed["data"]["setCustomers"]["rows"][0] == {
        "outcome": "CREATED",
        "customer": None,
        "errors": [],
    }


def test_tags_are_added_and_removed_in_bulk(client: Client) -> None:
    nodes = [{"email": f"{n}@shop.test", "tags": ["old", n]} for n in "abc"]
    ids = [r["customer"]["_id"] for r in set_customers(client, nodes)["rows"]]
    change = "mutation ($i: [ID!]!, $t: [String!]!) { %s(items: $i, tags: $t) { _id tags } }"
    added = client.data(change % "addTags", i=ids[:2], t=[" new ", "old", "new", ""])
    assert added["addTags"] == [
        {"_id": ids[0], "tags": ["old", "a", "new"]},
        {"_id": ids[1], "tags": ["old", "b", "new"]},
    ]
    removed = client.data(change % "removeTags", i=ids, t=["old", "new"])
    assert [row["tags"] for row in removed["removeTags"]] == [["a"], ["b"], ["c"]]
    assert kinds(client) == ["created"] * 3 + ["updated"] * 5
    same = client.data(change % "removeTags", i=[*ids, ids[0]], t=["old"])
    assert len(same["removeTags"]) == 4
    assert len(kinds(client)) == 8
    matches = client.data('{ customers(query: "tag:b") { edges { node { _id } } } }')
    assert matches["customers"]["edges"] == [{"node": {"_id": ids[1]}}]


@pytest.mark.parametrize("field", ["addTags", "removeTags"])
def test_tagging_an_unknown_customer_changes_nothing(client: Client, field: str) -> None:
    customer = set_customers(client, [{"email": "a@shop.test", "tags": ["x"]}])["rows"][0][
        "customer"
    ]
    change = f"mutation ($i: [ID!]!, $t: [String!]!) {{ {field}(items: $i, tags: $t) {{ tags }} }}"
    response = client.run(change, i=[customer["_id"], 99], t=["x", "y"])
    assert response["errors"][0]["key"] == "errors_customer_not_found"
    assert response["errors"][0]["extensions"]["ids"] == ["99"]
    long = client.run(change, i=[customer["_id"]], t=["y" * 256])
    assert long["errors"][0]["extensions"]["input_path"] == ["tags", 0]
    many = client.run(change, i=[1] * 251, t=[])
    assert many["errors"][0]["extensions"]["input_path"] == ["items"]
    assert len(kinds(client)) == 1


def test_bulk_tagging_respects_the_tag_limit(client: Client) -> None:
    tags = [f"t{n}" for n in range(249)]
    node = {"email": "a@shop.test", "tags": tags}
    customer_id = set_customers(client, [node])["rows"][0]["customer"]["_id"]
    change = "mutation ($i: [ID!]!, $t: [String!]!) { addTags(items: $i, tags: $t) { tags } }"
    response = client.run(change, i=[customer_id], t=["one", "two"])
    assert response["errors"][0]["key"] == "errors_invalid_input"
    assert "251 tags" in response["errors"][0]["message"]
    assert len(client.data(change, i=[customer_id], t=["one"])["addTags"][0]["tags"]) == 250


def test_without_customers_read_only_errors_and_ids_are_returned(
    server: Server,
) -> None:
    with Client(server, create_token(server, scopes=("customers:write",))) as writer:
        call = 'setCustomers(nodes: [{email: "a@shop.test"}]) { saved rows { errors { key } customer { %s } } }'
        created = writer.data(f"mutation {{ {call % '_id'} }}")["setCustomers"]
        assert created == {"saved": True, "rows": [{"errors": [], "customer": {"_id": 1}}]}
        writer.expect_error("errors_scope", f"mutation {{ {call % 'phone'} }}")
        tag = 'addTags(items: [1], tags: ["x"]) { %s }'
        assert writer.data(f"mutation {{ {tag % '_id'} }}")["addTags"] == [{"_id": 1}]
        writer.expect_error("errors_scope", f"mutation {{ {tag % 'tags'} }}")
    with Client(server, create_token(server, scopes=("customers:read",))) as reader:
        reader.expect_error("errors_scope", f"mutation {{ {call % '_id'} }}")


FAULTY = "faulty@shop.test"


def fail_for_faulty(function: Any, argument: int) -> Any:
    """Returns a wrapper that raises for the customer with the email `FAULTY`."""

    def wrapped(*arguments: Any) -> Any:
        if arguments[argument].get("email") == FAULTY:
            raise RuntimeError("an internal error")
        return function(*arguments)

    return wrapped


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        ("regulars.customers.upsert.with_values", 1),
        ("regulars.customers.search.index_terms.terms_of", 0),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_an_internal_error_rejects_one_row(
    new_database: str,
    whole: bool,
    target: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The exception is raised in this process, which writes to the database directly."""
    env = {"REGULARS_DATABASE_URL": new_database}
    assert run_regulars("account", "create", "shop", env=env).returncode == 0
    name, argument = target
    module, _, function = name.rpartition(".")
    original = getattr(import_module(module), function)
    monkeypatch.setattr(name, fail_for_faulty(original, argument))
    emails_sent = ["ana@shop.test", FAULTY, "ben@shop.test"]
    rows = tuple(
        SetRow(clean_values({"email": email, "first_name": "X"}, ())[0], path=("nodes", index))
        for index, email in enumerate(emails_sent)
    )
    command = SetCustomers(
        rows, 1_700_000_000_000, whole=whole, origin=Origin("token", "test", "request-7")
    )

    async def write(store: Store) -> tuple[SetResult, list[Any]]:
        account = await Accounts(store).find("shop")
        assert account
        result: SetResult = await store.write(account.account_id, command)
        stored = await store.fetch(
            queries.customers_by_id(("email",)),
            {"account_id": account.account_id, "ids": [1, 2, 3]},
        )
        return result, [row[1] for row in stored]

    result, stored = with_store(new_database, write)
    assert result.saved is not whole
    assert stored == ([] if whole else ["ana@shop.test", "ben@shop.test"])
    failure = result.rows[1].problems[0].to_json()
    assert failure["key"] == "errors_internal"
    assert failure["input_path"] == ["nodes", 1]
    assert failure["extensions"] == {"request_id": "request-7"}
    assert [row.problems[0].key for row in result.rows if row.problems] == (
        ["errors_other_rows", "errors_internal", "errors_other_rows"]
        if whole
        else ["errors_internal"]
    )
    assert "row_failed" in caplog.text
    verification = run_regulars("verify", env=env)
    assert verification.returncode == 0, verification.stdout


def test_a_request_has_a_character_limit(client: Client) -> None:
    rows = [{"email": f"{n}@example.com", "notes": "n" * 20_000} for n in range(60)]
    error = client.expect_error("errors_invalid_input", SET, nodes=rows)
    assert "1,000,000 characters" in error["message"]
    assert set_customers(client, rows[:40])["created"] == 40
