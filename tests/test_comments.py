"""Tests of comments in the API: who may change them, their order, and the deletion of customers."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from regulars.comments.problems import MAX_COMMENTS
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.query import Query
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
    with_store,
)

pytestmark = pytest.mark.both_databases

FIELDS = "id _id text pinned private edited author { kind name }"
ADD = f"mutation($id: ID!, $node: InputComment!) {{ addComment(customer: $id, node: $node) {{ {FIELDS} }} }}"
UPDATE = f"mutation($id: ID!, $node: InputComment!) {{ updateComment(id: $id, node: $node) {{ {FIELDS} }} }}"
DELETE = "mutation($ids: [ID!]!) { deleteComments(items: $ids) }"
COMMENTS = """... on Customer { version updated_at(format: "ISO") notes
  comments(first: %d, after: "%s") { totalCount pageInfo { hasNextPage endCursor }
    edges { cursor node { text pinned } } } }"""


@pytest.fixture
def ana(client: Client) -> str:
    customer: str = client.create("ana@example.com", notes="First")["id"]
    return customer


def add(client: Client, customer: str, text: str, **values: Any) -> dict[str, Any]:
    comment: dict[str, Any] = client.data(ADD, id=customer, node={"text": text, **values})[
        "addComment"
    ]
    return comment


def texts(client: Client, customer: str) -> list[str]:
    page = client.node(customer, COMMENTS % (250, ""))["comments"]
    return [edge["node"]["text"] for edge in page["edges"]]


def kinds(client: Client) -> list[str]:
    changes = client.data(
        "{ customerChanges(first: 250) { edges { node { kind fields { name } } } } }"
    )
    edges = changes["customerChanges"]["edges"]
    assert all(not edge["node"]["fields"] for edge in edges if "comment" in edge["node"]["kind"])
    return [edge["node"]["kind"] for edge in edges]


def colleague(client: Client, server: Server, *scopes: str) -> Client:
    account = find_account_name(server, client.token)
    return Client(server, create_token(server, account, scopes=scopes))


def test_a_comment_leaves_the_customer_as_it_is(client: Client, ana: str) -> None:
    before = client.node(ana, COMMENTS % (0, ""))
    comment = add(client, ana, "  She called.\nBack on Monday.  ")
    assert comment == {
        "id": comment["id"],
        "_id": 1,
        "text": "She called.\nBack on Monday.",
        "pinned": False,
        "private": False,
        "edited": False,
        "author": {"kind": "token", "name": "test"},
    }
    after = client.node(ana, COMMENTS % (25, ""))
    assert (after["version"], after["updated_at"]) == (before["version"], before["updated_at"])
    assert after["comments"]["totalCount"] == 1
    # An existing client overwrites the notes, with the version that it has read.
    client.update(ana, notes="Overwritten")
    assert texts(client, ana) == ["She called.\nBack on Monday."]
    assert kinds(client) == ["created", "commented", "updated"]
    assert client.node(comment["id"], "... on Comment { text }") == {"text": comment["text"]}


def test_pinned_comments_come_first_and_pages_follow(client: Client, ana: str) -> None:
    ids = [add(client, ana, f"{n}", pinned=n == 1)["id"] for n in range(5)]
    assert texts(client, ana) == ["1", "4", "3", "2", "0"]
    client.data(UPDATE, id=ids[3], node={"pinned": True})
    assert texts(client, ana) == ["3", "1", "4", "2", "0"]
    found, after = [], ""
    while True:
        page = client.node(ana, COMMENTS % (2, after))["comments"]
        found += [edge["node"]["text"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 5
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == ["3", "1", "4", "2", "0"]
    query = "query($id: ID!, $after: String) { node(id: $id) { ... on Customer { comments(after: $after) { totalCount } } } }"
    client.expect_error("errors_invalid_cursor", query, id=ana, after="x")


def test_only_the_author_and_an_admin_change_a_comment(
    client: Client, server: Server, ana: str
) -> None:
    comment = add(client, ana, "Mine")
    with colleague(client, server, "customers:read", "customers:write") as other:
        for variables in ({"text": "Theirs"}, {"private": True}):
            problem = other.expect_error(
                "errors_not_author", UPDATE, id=comment["id"], node=variables
            )
            assert problem["message"].startswith('Only its author ("test") or an admin')
        other.expect_error("errors_not_author", DELETE, ids=[comment["id"]])
        # Everyone pins.
        pinned = other.data(UPDATE, id=comment["id"], node={"pinned": True, "text": "Mine"})
        assert pinned["updateComment"]["pinned"] is True
        assert pinned["updateComment"]["edited"] is False
        theirs = add(other, ana, "Theirs")
    changed = client.data(UPDATE, id="1", node={"text": "Mine, corrected"})["updateComment"]
    assert (changed["text"], changed["edited"]) == ("Mine, corrected", True)
    with colleague(client, server, "admin") as admin:
        admin.data(UPDATE, id=theirs["id"], node={"text": "By an admin"})
        assert admin.data(DELETE, ids=[theirs["id"], comment["id"], comment["id"]]) == {
            "deleteComments": [theirs["id"], comment["id"], comment["id"]]
        }
    assert texts(client, ana) == []
    assert kinds(client)[-4:] == [*["comment_updated"] * 2, *["comment_deleted"] * 2]


@pytest.mark.parametrize(
    ("document", "variables", "key", "path"),
    [
        (ADD, {"node": {}}, "errors_invalid_input", ["node", "text"]),
        (ADD, {"node": {"text": " "}}, "errors_invalid_input", ["node", "text"]),
        (ADD, {"node": {"text": None}}, "errors_invalid_input", ["node", "text"]),
        (ADD, {"node": {"text": "x" * 65_536}}, "errors_invalid_input", ["node", "text"]),
        (ADD, {"node": {"text": "a\0"}}, "errors_invalid_input", ["node", "text"]),
        (ADD, {"id": "99", "node": {"text": "x"}}, "errors_customer_not_found", ["customer"]),
        (UPDATE, {"id": "99", "node": {"text": "x"}}, "comments_not_found", ["id"]),
        (UPDATE, {"id": "none", "node": {}}, "comments_not_found", ["id"]),
        (DELETE, {"ids": ["99"]}, "comments_not_found", ["items"]),
        (DELETE, {"ids": []}, "errors_invalid_input", ["items"]),
        (DELETE, {"ids": ["1"] * 251}, "errors_invalid_input", ["items"]),
    ],
)
def test_errors(
    client: Client, ana: str, document: str, variables: Any, key: str, path: list[str]
) -> None:
    if document == ADD:
        variables = {"id": ana, **variables}
    problem = client.expect_error(key, document, **variables)
    assert problem["extensions"]["input_path"] == path
    assert texts(client, ana) == []
    assert kinds(client) == ["created"]


def test_writers_without_the_right_to_read_see_no_comment(
    client: Client, server: Server, ana: str
) -> None:
    with colleague(client, server, "customers:write") as writer:
        assert add(writer, ana, "Written")["text"] == "Written"
        writer.expect_error("errors_scope", UPDATE, id="1", node={"pinned": True})
    with colleague(client, server, "customers:read") as reader:
        reader.expect_error("errors_scope", ADD, id=ana, node={"text": "x"})


def test_a_dry_run_saves_nothing(client: Client, ana: str) -> None:
    document = ADD.replace("node: $node)", "node: $node, dryRun: true)")
    response = client.run(document, id=ana, node={"text": "Not yet", "pinned": True})
    assert response["data"]["addComment"]["text"] == "Not yet"
    assert response["extensions"]["dry_run"]["changes"][0]["kind"] == "commented"
    assert texts(client, ana) == []


def test_a_customer_has_at_most_10_000_comments(client: Client, server: Server, ana: str) -> None:
    add(client, ana, "First")
    copies = sa.text(
        """INSERT INTO comments (account_id, comment_id, customer_id, text, words, token_id,
          actor_kind, actor, created_at, updated_at)
        WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
        SELECT c.account_id, n, customer_id, text, words, token_id, actor_kind, actor, created_at,
          updated_at FROM numbers, comments c
        WHERE c.account_id = (SELECT max(account_id) FROM comments)"""
    )
    terms = sa.text(
        """INSERT INTO comment_terms (account_id, comment_id, term, customer_id)
        SELECT account_id, comment_id, 'first', customer_id FROM comments
        WHERE comment_id > 1 AND account_id = (SELECT max(account_id) FROM comments)"""
    )
    counter = sa.text(
        """UPDATE counters SET comments = 10000
        WHERE account_id = (SELECT max(account_id) FROM comments)"""
    )

    async def fill(store: Store) -> None:
        await store.execute([(Query(each), {}) for each in (copies, terms, counter)])

    with_store(server.database_url, fill)
    problem = client.expect_error("errors_limit", ADD, id=ana, node={"text": "One too many"})
    assert problem["message"] == (
        "This customer has 10,000 comments, the maximum. Delete one first."
    )
    client.data(DELETE, ids=["7"])
    assert add(client, ana, "Room for one")["_id"] == MAX_COMMENTS + 1


def test_a_deleted_customer_keeps_its_comments_in_the_trash(client: Client, ana: str) -> None:
    add(client, ana, "Pinned", pinned=True, private=True)
    add(client, ana, "Other")
    client.data("mutation($id: ID!) { deleteCustomers(items: [$id]) }", id=ana)
    client.expect_error("comments_not_found", UPDATE, id="1", node={"text": "x"})
    restore = "mutation($id: ID!) { restoreCustomers(items: [$id]) { customers { id } } }"
    client.data(restore, id=ana)
    assert texts(client, ana) == ["Pinned", "Other"]
    assert client.node("Q29tbWVudDox", f"... on Comment {{ {FIELDS} }}")["private"] is True
    # Their authors can still change them.
    client.data(UPDATE, id="2", node={"text": "Corrected"})
    assert texts(client, ana) == ["Pinned", "Corrected"]


def test_comments_need_the_contract_part(new_database: str) -> None:
    """A program of an older version would lose the comments of a customer that it deletes."""
    statement = sa.text("UPDATE compatibility SET finished = '0019'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    with run_server(new_database) as server, Client(server, create_token(server)) as client:
        customer = client.create("ana@example.com")["id"]
        problem = client.expect_error("errors_invalid_input", ADD, id=customer, node={"text": "x"})
        assert "regulars migrate --contract" in problem["message"]
        assert texts(client, customer) == []
        run_regulars("migrate", "--database-url", new_database)
        add(client, customer, "Now")
        assert texts(client, customer) == ["Now"]
