"""Bulk edits and their undo, over the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support import Client, Server, create_token, find_account_name

pytestmark = pytest.mark.both_databases

JOB = """id kind state name dry_run silent total done changed unchanged rejected message undone_by
  undo_of can_undo actor { kind name } problems { message count examples }"""
ARGUMENTS = {
    "query": "String",
    "segment": "String",
    "items": "[ID!]",
    "node": "InputUpdateCustomer",
    "addTags": "[String!]",
    "removeTags": "[String!]",
    "removeCustom": "[String!]",
    "increments": "[InputIncrement!]",
    "expected": "Int",
    "silent": "Boolean",
    "dryRun": "Boolean",
}
ENDED = ("done", "failed", "cancelled")


def update_document(names: Any, selection: str = JOB) -> str:
    variables = ", ".join(f"${name}: {ARGUMENTS[name]}" for name in names)
    arguments = ", ".join(f"{name}: ${name}" for name in names)
    return f"mutation({variables}) {{ updateCustomers({arguments}) {{ {selection} }} }}"


def start(client: Client, **arguments: Any) -> dict[str, Any]:
    started: dict[str, Any] = client.data(update_document(arguments), **arguments)
    return dict(started["updateCustomers"])


def refused(client: Client, **arguments: Any) -> dict[str, Any]:
    (error,) = client.errors(update_document(arguments), **arguments)
    return error


def ended(client: Client, job: dict[str, Any], selection: str = JOB) -> dict[str, Any]:
    """The job, once it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        query = f"query($id: ID!) {{ job(id: $id) {{ {selection} }} }}"
        found: dict[str, Any] = client.data(query, id=job["id"])["job"]
        if found["state"] in ENDED:
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


def edit(client: Client, **arguments: Any) -> dict[str, Any]:
    return ended(client, start(client, **arguments))


def undo(client: Client, job: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    document = f"mutation($id: ID!, $d: Boolean) {{ undoJob(id: $id, dryRun: $d) {{ {JOB} }} }}"
    return ended(client, client.data(document, id=job["id"], d=dry_run)["undoJob"])


def cannot_undo(client: Client, job_id: str) -> dict[str, Any]:
    (error,) = client.errors("mutation($id: ID!) { undoJob(id: $id) { id } }", id=job_id)
    return error


def add(client: Client, *nodes: dict[str, Any]) -> list[str]:
    document = """mutation($nodes: [InputSetCustomer!]!) {
      setCustomers(nodes: $nodes) { rows { customer { id } } } }"""
    rows = client.data(document, nodes=list(nodes))["setCustomers"]["rows"]
    return [row["customer"]["id"] for row in rows]


def customers(client: Client, query: str = "order_by:id order_dir:asc") -> list[dict[str, Any]]:
    document = """query($q: String) { customers(query: $q, first: 250) { edges { node {
      id email phone first_name notes tags custom accepts_marketing version } } } }"""
    return [edge["node"] for edge in client.data(document, q=query)["customers"]["edges"]]


def values(client: Client) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.items() if k != "version"} for each in customers(client)]


def three(client: Client) -> list[str]:
    return add(
        client,
        {"email": "a@x.test", "tags": ["vip"], "custom": {"points": 5, "tier": "gold"}},
        {"email": "b@x.test", "phone": "+33 1 23", "custom": {"points": "many"}},
        {"email": "c@x.test", "tags": ["old"]},
    )


def test_all_customers_of_a_query_are_edited_in_the_background(client: Client) -> None:
    three(client)
    job = start(
        client,
        query="tag:vip OR tag:old",
        node={"phone": "+212 5", "custom": {"seen": True}},
        addTags=["new"],
        removeTags=["old"],
        removeCustom=["custom.tier"],
    )
    assert job["id"].startswith("job_")
    assert (job["kind"], job["can_undo"], job["undone_by"]) == ("bulk", False, None)
    done = ended(client, job)
    assert (done["state"], done["total"], done["done"], done["changed"]) == ("done", 2, 2, 2)
    assert done["name"] == "phone, custom.seen, custom.tier, tags"
    assert (done["can_undo"], done["actor"]) == (True, {"kind": "token", "name": "test"})
    first, second, third = customers(client)
    assert (first["phone"], first["tags"], first["custom"]) == (
        "+212 5",
        ["vip", "new"],
        {"points": 5, "seen": True},
    )
    assert (second["phone"], second["version"]) == ("+33 1 23", 1)
    assert (third["tags"], third["custom"]) == (["new"], {"seen": True})


def test_entries_of_the_history_name_the_job(client: Client) -> None:
    three(client)
    job = edit(client, query="", addTags=["x"])
    query = "{ customerChanges { edges { node { kind cause actor { kind name } } } } }"
    nodes = [edge["node"] for edge in client.data(query)["customerChanges"]["edges"]]
    actor = {"kind": "token", "name": "test"}
    assert nodes[3:] == 3 * [{"kind": "updated", "cause": job["id"], "actor": actor}]


def test_amounts_are_added_and_other_values_rejected(client: Client) -> None:
    ids = three(client)
    job = edit(client, items=ids, increments=[{"field": "custom.points", "amount": 2}])
    assert (job["changed"], job["rejected"], job["total"]) == (2, 1, 3)
    (problem,) = job["problems"]
    assert problem["count"] == 1
    assert problem["examples"] == [ids[1]]
    assert "custom.points" in problem["message"]
    assert [each["custom"] for each in customers(client)] == [
        {"points": 7, "tier": "gold"},
        {"points": "many"},
        {"points": 2},
    ]
    halves = edit(
        client, query="email:a@x.test", increments=[{"field": "custom.points", "amount": -0.5}]
    )
    assert halves["changed"] == 1
    assert customers(client)[0]["custom"]["points"] == 6.5


def test_customers_with_too_many_tags_are_rejected(client: Client) -> None:
    add(client, {"email": "a@x.test", "tags": [f"t{n}" for n in range(250)]}, {"email": "b@x.test"})
    job = edit(client, query="", addTags=["x"])
    assert (job["changed"], job["rejected"]) == (1, 1)
    assert job["problems"][0]["message"] == "The customer would have more than 250 tags."


def test_a_dry_run_counts_and_shows_the_first_customers(client: Client) -> None:
    three(client)
    before = customers(client)
    preview = "preview { customer_id fields { name before after } }"
    job = start(client, query="", node={"notes": "x"}, addTags=["vip"], dryRun=True)
    job = ended(client, job, f"{JOB} {preview}")
    assert (job["state"], job["total"], job["changed"], job["can_undo"]) == ("done", 3, 3, False)
    assert [len(each["fields"]) for each in job["preview"]] == [2, 2, 1]
    assert {"name": "notes", "before": None, "after": "x"} in job["preview"][2]["fields"]
    assert customers(client) == before
    assert cannot_undo(client, job["id"])["message"].endswith("It has changed nothing.")


@pytest.mark.parametrize(("count", "is_accepted"), [(110, True), (111, False)])
def test_more_customers_than_expected_are_refused(
    client: Client, count: int, is_accepted: bool
) -> None:
    add(client, *({"email": f"c{n}@x.test"} for n in range(count)))
    if is_accepted:
        assert edit(client, query="", addTags=["x"], expected=100)["changed"] == 110
    else:
        error = refused(client, query="", addTags=["x"], expected=100)
        assert (error["key"], error["extensions"]["count"]) == ("errors_found_more", 111)
        assert customers(client, "tag:x") == []


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"addTags": ["x"]}, ["query"]),
        ({"query": "", "items": ["1"], "addTags": ["x"]}, ["items"]),
        ({"query": ""}, ["node"]),
        ({"query": "", "node": {}}, ["node"]),
        ({"query": "", "node": {"email": "a@x.test"}}, ["node", "email"]),
        ({"query": "", "node": {"emails": []}}, ["node", "emails"]),
        ({"query": "", "node": {"external_ids": []}}, ["node", "external_ids"]),
        ({"query": "", "node": {"notes": "x" * 100_001}}, ["node"]),
        ({"query": "", "node": {"custom": {"a": 1}}, "removeCustom": ["a"]}, ["node", "custom"]),
        (
            {"query": "", "increments": [{"field": "spent", "amount": 1}]},
            ["increments", 0, "field"],
        ),
        ({"query": "", "addTags": ["x" * 300]}, ["addTags", 0]),
        ({"query": "", "removeCustom": [f"c{n}" for n in range(101)]}, ["removeCustom"]),
        ({"items": [], "addTags": ["x"]}, ["items"]),
        ({"items": ["1"] * 1_001, "addTags": ["x"]}, ["items"]),
        ({"query": "", "addTags": ["x"], "expected": -1}, ["expected"]),
    ],
)
def test_invalid_edits_are_refused(
    client: Client, arguments: dict[str, Any], path: list[Any]
) -> None:
    error = refused(client, **arguments)
    assert (error["key"], error["extensions"]["input_path"]) == ("errors_invalid_input", path)


def test_unknown_customers_queries_and_segments_are_refused(client: Client) -> None:
    assert refused(client, items=["99"], addTags=["x"])["key"] == "errors_customer_not_found"
    assert refused(client, query="(", addTags=["x"])["key"] == "errors_invalid_query"
    assert refused(client, segment="none", addTags=["x"])["key"] == "segments_not_found"
    for field in ("undoJob", "cancelJob"):
        (error,) = client.errors(f'mutation {{ {field}(id: "job_0") {{ id }} }}')
        assert error["key"] == "jobs_not_found"
    assert client.data('{ job(id: "job_0") { id } }') == {"job": None}


def test_an_undo_restores_what_did_not_change_since(client: Client) -> None:
    ids = three(client)
    before = values(client)
    job = edit(
        client, query="", node={"phone": "9", "notes": "n"}, addTags=["new"], removeTags=["old"]
    )
    update = (
        "mutation($id: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $id, node: $n) { id } }"
    )
    client.data(update, id=ids[1], n={"phone": "+33 9", "tags": ["new", "mine"]})
    preview = undo(client, job, dry_run=True)
    assert (preview["changed"], preview["unchanged"], preview["can_undo"]) == (3, 0, False)
    undone = undo(client, job)
    assert (undone["kind"], undone["undo_of"], undone["state"]) == ("undo", job["id"], "done")
    assert (undone["total"], undone["done"], undone["changed"]) == (3, 3, 3)
    assert (
        undone["problems"]
        == preview["problems"]
        == [{"message": "phone: changed since", "count": 1, "examples": [ids[1]]}]
    )
    expected = [before[0], {**before[1], "phone": "+33 9", "tags": ["mine"]}, before[2]]
    assert values(client) == expected
    assert ended(client, job)["undone_by"] == undone["id"]
    error = cannot_undo(client, job["id"])
    assert (error["key"], error["extensions"]["undone_by"]) == ("jobs_cannot_undo", undone["id"])
    again = undo(client, undone)
    assert again["changed"] == 3
    assert [each["notes"] for each in customers(client)] == ["n", "n", "n"]
    assert [each["phone"] for each in customers(client)] == ["9", "+33 9", "9"]


def test_an_undo_never_subscribes_a_customer_again(client: Client) -> None:
    add(client, {"email": "a@x.test", "accepts_marketing": True}, {"email": "b@x.test"})
    off = edit(client, query="", node={"accepts_marketing": False})
    assert off["changed"] == 1
    undone = undo(client, off)
    assert (undone["changed"], undone["unchanged"]) == (0, 1)
    assert undone["problems"][0]["message"] == "accepts_marketing: unsubscribed"
    on = edit(client, query="", node={"accepts_marketing": True})
    assert undo(client, on)["changed"] == 2
    assert [each["accepts_marketing"] for each in customers(client)] == [False, False]


def run_import(client: Client, content: str, **options: str) -> dict[str, Any]:
    sent = client.http.post("/import", content=content.encode(), params=options)
    assert sent.status_code == 202, sent.text
    return ended(client, sent.json()["data"])


def test_an_import_is_undone(client: Client) -> None:
    ids = add(
        client,
        {"email": "a@x.test", "phone": "1", "tags": ["own"], "custom": {"k": "v"}},
        {"email": "b@x.test", "first_name": "Bo"},
    )
    before = values(client)
    job = run_import(
        client,
        "email,phone,first_name,tags,size\n"
        "a@x.test,2,Ana,imported,XL\n"
        "b@x.test,3,Bob,,M\n"
        "new@x.test,4,New,,\n"
        "sold@x.test,5,Sold,,\n"
        "new@x.test,6,Newer,,S\n"
        "touched@x.test,7,Tim,,\n",
    )
    assert (job["kind"], job["changed"], job["can_undo"]) == ("import", 6, True)
    by_email = {each["email"]: each["id"] for each in customers(client)}
    update = (
        "mutation($id: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $id, node: $n) { id } }"
    )
    client.data(update, id=ids[1], n={"first_name": "Robert"})
    client.data(update, id=by_email["touched@x.test"], n={"notes": "called"})
    undone = undo(client, job)
    assert (undone["state"], undone["total"], undone["done"]) == ("done", 5, 5)
    assert (undone["changed"], undone["unchanged"]) == (4, 1)
    messages = {each["message"]: each["examples"] for each in undone["problems"]}
    assert messages == {
        "first_name: changed since": [ids[1]],
        "changed since": [by_email["touched@x.test"]],
    }
    after = values(client)
    assert after[:2] == [before[0], {**before[1], "first_name": "Robert"}]
    assert [each["email"] for each in after[2:]] == ["touched@x.test"]
    again = undo(client, undone)
    assert again["changed"] == 4
    found = {each["email"]: each for each in customers(client)}
    assert found["new@x.test"]["first_name"] == "Newer"
    assert found["a@x.test"]["custom"] == {"k": "v", "size": "XL"}


def test_two_undos_at_the_same_time_create_one_job(client: Client) -> None:
    three(client)
    job = edit(client, query="", addTags=["x"])
    document = f'mutation {{ a: undoJob(id: "{job["id"]}") {{ id }} b: undoJob(id: "{job["id"]}") {{ id }} }}'
    body = client.run(document)
    keys = [error["key"] for error in body["errors"]]
    assert keys == ["jobs_cannot_undo"]
    query = "{ jobs { totalCount edges { node { kind } } } }"
    found = client.data(query)["jobs"]
    assert (found["totalCount"], [e["node"]["kind"] for e in found["edges"]]) == (
        2,
        ["undo", "bulk"],
    )


def test_a_repeated_request_starts_one_job(client: Client) -> None:
    three(client)
    headers = {"Idempotency-Key": "k1"}
    document = f'mutation {{ updateCustomers(query: "", addTags: ["x"]) {{ {JOB} }} }}'
    answers = [
        client.http.post("/graphql", json={"query": document}, headers=headers).json()["data"]
        for _ in range(2)
    ]
    first, second = (answer["updateCustomers"]["id"] for answer in answers)
    assert first == second
    assert client.data("{ jobs { totalCount } }")["jobs"]["totalCount"] == 1


def test_a_cancelled_job_changes_nothing_more(client: Client) -> None:
    three(client)
    document = """mutation { a: updateCustomers(query: "", addTags: ["x"]) { id }
      b: updateCustomers(query: "", addTags: ["y"]) { id } }"""
    second = client.data(document)["b"]["id"]
    cancelled = client.data(f'mutation {{ cancelJob(id: "{second}") {{ {JOB} }} }}')["cancelJob"]
    if cancelled["state"] == "cancelled":
        assert cancelled["message"] == "Cancelled."
        assert customers(client, "tag:y") == []
    again = client.data(f'mutation {{ cancelJob(id: "{second}") {{ {JOB} }} }}')["cancelJob"]
    assert again["state"] == cancelled["state"]


def test_jobs_are_paged_newest_first(client: Client) -> None:
    three(client)
    started = [start(client, query="", addTags=[f"t{n}"])["id"] for n in range(3)]
    query = "query($a: String) { jobs(first: 2, after: $a) { pageInfo { hasNextPage endCursor } edges { node { id } } } }"
    first = client.data(query, a=None)["jobs"]
    rest = client.data(query, a=first["pageInfo"]["endCursor"])["jobs"]
    ids = [edge["node"]["id"] for edge in (*first["edges"], *rest["edges"])]
    assert sorted(ids) == sorted(started)
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    (error,) = client.errors(query, a="bad")
    assert error["key"] == "errors_invalid_cursor"


def test_jobs_need_the_scopes_to_read_and_write(server: Server, client: Client) -> None:
    three(client)
    job = edit(client, query="", addTags=["x"])
    name = find_account_name(server, client.token)
    for scope in ("customers:read", "customers:write"):
        with Client(server, create_token(server, name, scopes=(scope,))) as other:
            for document in (
                f'{{ job(id: "{job["id"]}") {{ id }} }}',
                "{ jobs { totalCount } }",
                f'mutation {{ undoJob(id: "{job["id"]}") {{ id }} }}',
                f'mutation {{ cancelJob(id: "{job["id"]}") {{ id }} }}',
                'mutation { updateCustomers(query: "", addTags: ["y"]) { id } }',
            ):
                (error,) = other.errors(document)
                assert error["key"] == "errors_scope"


def test_another_account_sees_no_job(client: Client, other: Client) -> None:
    three(client)
    job = edit(client, query="", addTags=["x"])
    assert other.data(f'{{ job(id: "{job["id"]}") {{ id }} jobs {{ totalCount }} }}') == {
        "job": None,
        "jobs": {"totalCount": 0},
    }
    assert cannot_undo(other, job["id"])["key"] == "jobs_not_found"


def test_customers_with_orders_and_leads_stay_after_an_undo(server: Server, client: Client) -> None:
    job = run_import(
        client, "email\nsold@x.test\nasked@x.test\nnoted@x.test\ngone@x.test\nnew@x.test\n"
    )
    by_email = {each["email"]: each["id"] for each in customers(client)}
    order = """mutation($e: String!) { recordOrder(node: {name: "1", email: $e, total: 5, currency: "EUR",
      financial_status: paid, fulfillment_status: fulfilled}) { id } }"""
    name = find_account_name(server, client.token)
    shop = Client(server, create_token(server, name, scopes=("orders:write",)))
    shop.data(order, e="sold@x.test")
    lead = """mutation($e: String!) { recordLead(node: {email: $e, subject: "s", message: "m"}) { id } }"""
    shop.data(lead, e="asked@x.test")
    shop.http.close()
    delete = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
    client.data(delete, i=[by_email["gone@x.test"]])
    comment = 'mutation($c: ID!) { addComment(customer: $c, node: {text: "x"}) { id } }'
    client.data(comment, c=by_email["noted@x.test"])
    undone = undo(client, job)
    assert (undone["changed"], undone["unchanged"]) == (1, 4)
    assert {each["message"]: each["examples"] for each in undone["problems"]} == {
        "has orders": [by_email["sold@x.test"]],
        "has leads": [by_email["asked@x.test"]],
        "has comments": [by_email["noted@x.test"]],
    }
    assert {each["email"] for each in customers(client)} == {
        "sold@x.test",
        "asked@x.test",
        "noted@x.test",
    }
    # The undo is undone, but for a customer that was purged and one whose email is taken.
    trash = "{ trash { edges { node { id email } } } }"
    emails = [edge["node"]["email"] for edge in client.data(trash)["trash"]["edges"]]
    assert sorted(emails) == ["gone@x.test", "new@x.test"]
    client.create("new@x.test")
    again = undo(client, undone)
    assert (again["changed"], again["unchanged"]) == (0, 1)
    assert "belongs to another customer now" in again["problems"][0]["message"]


def test_a_purged_customer_is_not_restored(client: Client) -> None:
    job = run_import(client, "email\na@x.test\nb@x.test\n")
    first, _ = customers(client)
    undone = undo(client, job)
    assert undone["changed"] == 2
    client.data("mutation($i: [ID!]) { emptyTrash(items: $i) }", i=[first["id"]])
    again = undo(client, undone)
    assert (again["changed"], again["unchanged"]) == (1, 1)
    assert again["problems"] == [{"message": "purged", "count": 1, "examples": [first["id"]]}]
    assert [each["email"] for each in customers(client)] == ["b@x.test"]


def test_a_customer_that_was_restored_before_is_no_problem(client: Client) -> None:
    job = run_import(client, "email\na@x.test\nb@x.test\n")
    first, _ = customers(client)
    undone = undo(client, job)
    client.data(
        "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }", i=[first["id"]]
    )
    again = undo(client, undone)
    assert (again["changed"], again["unchanged"], again["problems"]) == (1, 1, [])


def test_a_value_that_another_customer_has_now_is_kept(client: Client) -> None:
    ids = add(client, {"email": "a@x.test"})
    number = client.node(ids[0], "... on Customer { _id }")["_id"]
    job = run_import(client, f"_id,email\n{number},b@x.test\n", match="_id")
    assert job["changed"] == 1
    client.create("a@x.test")
    undone = undo(client, job)
    assert undone["problems"][0]["message"] == "email: another customer has it"
    assert [each["email"] for each in customers(client)] == ["b@x.test", "a@x.test"]


def test_a_silent_edit_is_undone_silently(client: Client) -> None:
    three(client)
    job = edit(client, query="", addTags=["x"], silent=True)
    assert undo(client, job)["silent"]
    query = "{ customerChanges { edges { node { silent kind } } } }"
    nodes = [edge["node"] for edge in client.data(query)["customerChanges"]["edges"]]
    assert [each["silent"] for each in nodes] == 3 * [False] + 6 * [True]
