"""Many customers at once: set, and tagged."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.commands import Origin
from regulars.customers.bulk import SetCustomers, SetResult, SetRow
from regulars.customers.values import clean_values
from regulars.store import Store, queries
from tests.support import Client, Server, new_token, regulars, with_store

SET = """mutation ($nodes: [InputSetCustomer!]!, $policy: ErrorPolicy, $dry: Boolean) {
  setCustomers(nodes: $nodes, errorPolicy: $policy, dryRun: $dry) {
    saved created updated unchanged rejected
    rows { outcome customer { _id email first_name tags version } errors { key message input_path } }
  }
}"""
CHANGES = """{ customerChanges(first: 250) { edges { node {
  kind customer_id fields { name before after } } } } }"""
PEOPLE = (
    '{ customers(query: "order_by:id order_dir:asc", first: 250) { edges { node { _id email } } } }'
)


def set_customers(client: Client, nodes: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = client.data(SET, nodes=nodes, **options)["setCustomers"]
    return result


def emails(client: Client) -> list[str]:
    return [edge["node"]["email"] for edge in client.data(PEOPLE)["customers"]["edges"]]


def kinds(client: Client) -> list[str]:
    return [e["node"]["kind"] for e in client.data(CHANGES)["customerChanges"]["edges"]]


def outcomes(result: dict[str, Any]) -> list[str]:
    return [row["outcome"] for row in result["rows"]]


def errors(result: dict[str, Any]) -> list[list[tuple[str, list[Any]]]]:
    return [[(e["key"], e["input_path"]) for e in row["errors"]] for row in result["rows"]]


def test_who_is_there_is_updated_and_who_is_not_is_created(client: Client) -> None:
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
    assert outcomes(second) == ["UPDATED", "CREATED"]  # the email is shown as it was given
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


def test_a_row_names_its_customer_by_id_and_may_give_another_email(client: Client) -> None:
    made = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    by_number = set_customers(client, [{"_id": made, "email": "new@shop.test"}])
    assert outcomes(by_number) == ["UPDATED"]
    global_id = client.data("{ customers { edges { node { id } } } }")["customers"]["edges"][0]
    by_id = set_customers(client, [{"id": global_id["node"]["id"], "first_name": "Ana"}])
    assert by_id["rows"][0]["customer"]["email"] == "new@shop.test"
    assert by_id["rows"][0]["customer"]["first_name"] == "Ana"


def test_an_id_that_names_nobody_is_rejected(client: Client) -> None:
    result = set_customers(client, [{"_id": 77, "email": "ana@shop.test"}, {"id": "nonsense"}])
    assert errors(result) == [
        [("errors_customer_not_found", ["nodes", 0, "id"])],
        [("errors_customer_not_found", ["nodes", 1, "id"])],
    ]
    two = set_customers(client, [{"email": "a@shop.test"}, {"email": "b@shop.test"}])
    a, b = (row["customer"]["_id"] for row in two["rows"])
    result = set_customers(client, [{"id": str(a), "_id": b, "phone": "1"}])
    assert errors(result) == [[("errors_invalid_input", ["nodes", 0, "_id"])]]


def test_all_is_rejected_or_only_the_bad_rows(client: Client) -> None:
    nodes: list[dict[str, Any]] = [
        {"email": "ana@shop.test"},
        {"email": "no email", "shipping_address": {"country": "XX"}},
        {"first_name": "Nobody"},
    ]
    told = [
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
    assert errors(result) == told
    assert "errorPolicy: REJECT_ROW" in result["rows"][0]["errors"][0]["message"]
    assert emails(client) == kinds(client) == []
    result = set_customers(client, nodes, policy="REJECT_ROW")
    assert outcomes(result) == ["CREATED", "REJECTED", "REJECTED"]
    assert errors(result) == [[], *told[1:]]
    assert result["rows"][1]["customer"] is None
    assert emails(client) == ["ana@shop.test"]


def test_what_is_rejected_as_a_whole_leaves_no_trace(client: Client) -> None:
    made = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]
    nodes = [{"_id": made["_id"], "email": "new@shop.test"}, {"email": "ben@shop.test"}, {}]
    result = set_customers(client, nodes)
    assert result["rows"][0]["customer"] == made
    assert result["rows"][1]["customer"] is None
    assert emails(client) == ["ana@shop.test"]
    # The number that was not given is given to the next, and the email was not taken.
    again = set_customers(client, [{"email": "new@shop.test"}])
    assert again["rows"][0]["customer"]["_id"] == made["_id"] + 1
    assert kinds(client) == ["created", "created"]


def test_a_dry_run_answers_the_same_and_saves_nothing(client: Client) -> None:
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
    wet = set_customers(client, nodes, policy="REJECT_ROW")
    assert {**dry, "saved": True} == wet
    assert outcomes(wet) == ["UPDATED", "REJECTED", "CREATED", "REJECTED"]


def test_a_second_row_for_a_customer_is_an_error(client: Client) -> None:
    made = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    result = set_customers(
        client,
        [
            {"email": "Ana@Shop.test", "first_name": "A"},
            {"_id": made, "first_name": "B"},
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
    assert "row 0" in result["rows"][1]["errors"][0]["message"]
    assert emails(client) == ["Ana@shop.test"]


def test_a_row_sees_what_the_rows_before_it_have_done(client: Client) -> None:
    made = set_customers(client, [{"email": "ana@shop.test"}])["rows"][0]["customer"]["_id"]
    result = set_customers(
        client,
        [{"_id": made, "email": "other@shop.test"}, {"email": "ana@shop.test", "first_name": "2"}],
    )
    assert outcomes(result) == ["UPDATED", "CREATED"]
    taken = set_customers(client, [{"_id": made, "email": "ANA@shop.test"}])
    assert errors(taken) == [[("errors_dup_email", ["nodes", 0, "email"])]]


def test_at_most_250_are_set_at_once(client: Client) -> None:
    nodes = [{"email": f"a{n}@shop.test"} for n in range(251)]
    answer = client.run(SET, nodes=nodes)
    assert answer["errors"][0]["extensions"]["input_path"] == ["nodes"]
    assert "at most 250" in answer["errors"][0]["message"]
    result = set_customers(client, nodes[:250])
    assert result["created"] == 250
    assert set_customers(client, nodes[:250])["unchanged"] == 250
    assert set_customers(client, [])["rows"] == []


def test_a_call_that_is_sent_again_is_made_once(client: Client) -> None:
    nodes = [{"email": "ana@shop.test"}, {"email": "x"}]
    variables = {"nodes": nodes, "policy": "REJECT_ROW"}
    headers = {"Idempotency-Key": "bulk-1"}
    first = client.post(SET, variables, headers)
    again = client.post(SET, variables, headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert kinds(client) == ["created"]
    made = first.json()["data"]["setCustomers"]["rows"][0]["customer"]["_id"]
    client.delete(str(made))
    gone = client.post(SET, variables, headers).json()
    assert gone["data"]["setCustomers"]["rows"][0] == {
        "outcome": "CREATED",
        "customer": None,
        "errors": [],
    }


def test_tags_are_added_to_many_and_removed_from_many(client: Client) -> None:
    nodes = [{"email": f"{n}@shop.test", "tags": ["old", n]} for n in "abc"]
    made = [r["customer"]["_id"] for r in set_customers(client, nodes)["rows"]]
    change = "mutation ($i: [ID!]!, $t: [String!]!) { %s(items: $i, tags: $t) { _id tags } }"
    added = client.data(change % "addTags", i=made[:2], t=[" new ", "old", "new", ""])
    assert added["addTags"] == [
        {"_id": made[0], "tags": ["old", "a", "new"]},
        {"_id": made[1], "tags": ["old", "b", "new"]},
    ]
    removed = client.data(change % "removeTags", i=made, t=["old", "new"])
    assert [row["tags"] for row in removed["removeTags"]] == [["a"], ["b"], ["c"]]
    assert kinds(client) == ["created"] * 3 + ["updated"] * 5
    same = client.data(change % "removeTags", i=[*made, made[0]], t=["old"])
    assert len(same["removeTags"]) == 4
    assert len(kinds(client)) == 8
    found = client.data('{ customers(query: "tag:b") { edges { node { _id } } } }')
    assert found["customers"]["edges"] == [{"node": {"_id": made[1]}}]


@pytest.mark.parametrize("field", ["addTags", "removeTags"])
def test_tags_of_nobody_are_an_error_and_nothing_is_changed(client: Client, field: str) -> None:
    made = set_customers(client, [{"email": "a@shop.test", "tags": ["x"]}])["rows"][0]["customer"]
    change = f"mutation ($i: [ID!]!, $t: [String!]!) {{ {field}(items: $i, tags: $t) {{ tags }} }}"
    answer = client.run(change, i=[made["_id"], 99], t=["x", "y"])
    assert answer["errors"][0]["key"] == "errors_customer_not_found"
    assert answer["errors"][0]["extensions"]["ids"] == ["99"]
    long = client.run(change, i=[made["_id"]], t=["y" * 256])
    assert long["errors"][0]["extensions"]["input_path"] == ["tags", 0]
    many = client.run(change, i=[1] * 251, t=[])
    assert many["errors"][0]["extensions"]["input_path"] == ["items"]
    assert len(kinds(client)) == 1


def test_no_customer_gets_more_tags_than_one_may_have(client: Client) -> None:
    tags = [f"t{n}" for n in range(249)]
    node = {"email": "a@shop.test", "tags": tags}
    made = set_customers(client, [node])["rows"][0]["customer"]["_id"]
    change = "mutation ($i: [ID!]!, $t: [String!]!) { addTags(items: $i, tags: $t) { tags } }"
    answer = client.run(change, i=[made], t=["one", "two"])
    assert answer["errors"][0]["key"] == "errors_invalid_input"
    assert "251 tags" in answer["errors"][0]["message"]
    assert len(client.data(change, i=[made], t=["one"])["addTags"][0]["tags"]) == 250


def test_without_customers_read_the_rows_errors_and_ids_are_shown_and_no_more(
    server: Server,
) -> None:
    with Client(server, new_token(server, scopes=("customers:write",))) as writer:
        call = 'setCustomers(nodes: [{email: "a@shop.test"}]) { saved rows { errors { key } customer { %s } } }'
        made = writer.data(f"mutation {{ {call % '_id'} }}")["setCustomers"]
        assert made == {"saved": True, "rows": [{"errors": [], "customer": {"_id": 1}}]}
        writer.refused("errors_scope", f"mutation {{ {call % 'phone'} }}")
        tag = 'addTags(items: [1], tags: ["x"]) { %s }'
        assert writer.data(f"mutation {{ {tag % '_id'} }}")["addTags"] == [{"_id": 1}]
        writer.refused("errors_scope", f"mutation {{ {tag % 'tags'} }}")
    with Client(server, new_token(server, scopes=("customers:read",))) as reader:
        reader.refused("errors_scope", f"mutation {{ {call % '_id'} }}")


FAULTY = "faulty@shop.test"


def fails_for(function: Any, argument: int) -> Any:
    """A function that raises for the customer with the email `FAULTY`."""

    def wrapped(*arguments: Any) -> Any:
        if arguments[argument].get("email") == FAULTY:
            raise RuntimeError("a fault of ours")
        return function(*arguments)

    return wrapped


@pytest.mark.parametrize(
    "target",
    [
        ("regulars.customers.upsert.with_values", 1),
        ("regulars.customers.search.search_document.terms_of", 0),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_a_fault_of_ours_rejects_one_row(
    new_database: str,
    whole: bool,
    target: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The exception is real, and raised in this process, which writes to the database itself."""
    env = {"REGULARS_DATABASE_URL": new_database}
    assert regulars("account", "create", "shop", env=env).returncode == 0
    name, argument = target
    module, _, function = name.rpartition(".")
    real = getattr(import_module(module), function)
    monkeypatch.setattr(name, fails_for(real, argument))
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
    done = regulars("verify", env=env)
    assert done.returncode == 0, done.stdout


def test_the_rows_of_a_call_have_a_limit_of_characters(client: Client) -> None:
    rows = [{"email": f"{n}@example.com", "notes": "n" * 20_000} for n in range(60)]
    error = client.refused("errors_invalid_input", SET, nodes=rows)
    assert "1,000,000 characters" in error["message"]
    assert set_customers(client, rows[:40])["created"] == 40
