"""The search for words of comments: its results after every write, its index, and its limits."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from regulars.comments.problems import MAX_CHARACTERS
from regulars.directory.verify import verify
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.query import Query
from regulars.trash.body import unpack
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
    wait_until,
    with_store,
)
from tests.test_comments import ADD, DELETE, UPDATE, add

pytestmark = pytest.mark.both_databases

FIND = "query($q: String!) { customers(query: $q) { totalCount edges { node { email } } } }"
RESTORE = "mutation($ids: [ID!]!) { restoreCustomers(items: $ids) { customers { id } } }"


def found(client: Client, query: str) -> list[str]:
    """Return the names of the customers that a search finds, oldest first, in every way."""
    page = client.data(FIND, q=f"{query} order_dir:asc")["customers"]
    names = [edge["node"]["email"].partition("@")[0] for edge in page["edges"]]
    assert page["totalCount"] == len(names)
    by_email = client.data(FIND, q=f"{query} order_by:email")["customers"]
    assert sorted(e["node"]["email"].partition("@")[0] for e in by_email["edges"]) == sorted(names)
    return names


def problems(server: Server) -> list[str]:
    return verify(parse_url(server.database_url)).problems


@pytest.fixture
def customers(client: Client) -> dict[str, str]:
    """Three customers: two with comments, one with the same words in the notes."""
    ids = {
        name: str(client.create(f"{name}@x.test", notes=notes)["id"])
        for name, notes in (("ana", None), ("bo", None), ("cy", "Called about the déjà vu."))
    }
    add(client, ids["ana"], "Called about the Déjà vu.\nCalls back on Monday.")
    add(client, ids["ana"], "Called again: everything is fine, 东京都.")
    add(client, ids["bo"], "Wrote about the invoice. Back on Tuesday!", private=True)
    return ids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("comment:called", ["ana"]),
        ("comment:CALLED", ["ana"]),
        ("comment:deja", ["ana"]),
        ("comment:'deja vu calls back'", ["ana"]),
        ("comment:'called monday'", []),
        # The words of two comments do not follow each other.
        ("comment:'monday called'", []),
        ("comment:call", []),
        ("comment:call*", ["ana"]),
        ("comment:'back on t*'", []),
        ('comment:"back on t"*', ["bo"]),
        ("comment:back", ["ana", "bo"]),
        ("comment:东京", ["ana"]),
        ("comment:京都", ["ana"]),
        ("comment:东都", []),
        ("-comment:back", ["cy"]),
        ("comment:called comment:again", ["ana"]),
        ("comment:called OR comment:invoice", ["ana", "bo"]),
        ("comment:back -comment:called", ["bo"]),
        ("comment:back email:bo@x.test", ["bo"]),
        ("has:comment", ["ana", "bo"]),
        ("-has:comment", ["cy"]),
        ("notes:called", ["cy"]),
        # Words without a key do not search comments.
        ("invoice", []),
    ],
)
def test_words_phrases_and_prefixes_are_found(
    client: Client, customers: dict[str, str], query: str, names: list[str]
) -> None:
    assert found(client, query) == names


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("comment:!!!", "has no letters and no digits"),
        ("comment:>5", "does not support `>`"),
        ('comment:""', "needs a value. To find customers without one, use `-has:comment`"),
    ],
)
def test_errors(client: Client, query: str, message: str) -> None:
    problem = client.expect_error("errors_invalid_query", FIND, q=query)
    assert message in problem["message"]


def test_every_write_keeps_the_index(
    client: Client, server: Server, customers: dict[str, str]
) -> None:
    ana = customers["ana"]
    client.data(UPDATE, id="1", node={"text": "Moved to Fès"})
    assert found(client, "comment:fes") == ["ana"]
    assert found(client, "comment:monday") == []
    # The other comment still has the word.
    assert found(client, "comment:called") == ["ana"]
    client.data(UPDATE, id="2", node={"pinned": True})
    assert found(client, "comment:called") == ["ana"]
    client.data(DELETE, ids=["2"])
    assert found(client, "comment:called") == []
    # A change of the customer leaves them as they are.
    client.update(ana, notes="called", first_name="Ana")
    assert found(client, "comment:fes") == ["ana"]
    assert problems(server) == []
    client.data("mutation($ids: [ID!]!) { deleteCustomers(items: $ids) }", ids=[ana])
    assert found(client, "comment:fes") == []
    assert found(client, "has:comment") == ["bo"]
    assert problems(server) == []
    client.data(RESTORE, ids=[ana])
    assert found(client, "comment:fes") == ["ana"]
    assert found(client, "has:comment") == ["ana", "bo"]
    assert problems(server) == []
    # Writes of one document, which save the last text only.
    both = 'mutation($id: ID!) { a: updateComment(id: $id, node: {text: "One"}) { id } b: updateComment(id: $id, node: {text: "Two"}) { id } c: addComment(customer: "1", node: {text: "Three"}) { id } }'
    client.data(both, id="1")
    assert [found(client, f"comment:{word}") for word in ("one", "two", "three")] == [
        [],
        ["ana"],
        ["ana"],
    ]
    delete = "mutation($ids: [ID!]!) { deleteCustomers(items: $ids, permanent: true) }"
    client.data(delete, ids=[ana, customers["bo"]])
    assert problems(server) == []
    assert count_rows(server, "comment_terms") == count_rows(server, "comments")


def count_rows(server: Server, table: str) -> int:
    """Return how many rows of a table belong to the customers with the texts of these tests."""
    text = (
        f"SELECT count(*) FROM {table} WHERE account_id = (SELECT max(account_id) FROM customers)"
    )

    async def count(store: Store) -> int:
        ((number,),) = await store.fetch(Query(sa.text(text)), {})
        return int(number)

    return int(with_store(server.database_url, count))


def test_a_dry_run_indexes_nothing(client: Client, customers: dict[str, str]) -> None:
    document = ADD.replace("node: $node)", "node: $node, dryRun: true)")
    client.data(document, id=customers["cy"], node={"text": "Planned"})
    assert found(client, "comment:planned") == []


def test_the_comments_of_a_customer_have_a_maximum_of_characters(
    client: Client, customers: dict[str, str]
) -> None:
    ana = customers["ana"]
    length = 62_500
    for _ in range(MAX_CHARACTERS // length - 1):
        add(client, ana, "x" * length)
    problem = client.expect_error("errors_limit", ADD, id=ana, node={"text": "x" * length})
    assert problem["message"].endswith(
        "characters; the maximum is 1,000,000. Shorten the text, or delete a comment first."
    )
    assert problem["extensions"]["input_path"] == ["node", "text"]
    last = add(client, ana, "x" * (length - 200))["id"]
    client.expect_error("errors_limit", UPDATE, id=last, node={"text": "x" * length})
    client.data(UPDATE, id=last, node={"text": "Short"})
    client.data(UPDATE, id=last, node={"text": "y" * (length - 200)})
    assert found(client, f"comment:{'y' * 64}") == ["ana"]
    # Several writes of a batch count together.
    client.data(UPDATE, id=last, node={"text": "Short"})
    twice = "mutation($id: ID!, $n: InputComment!) { a: addComment(customer: $id, node: $n) { id } b: addComment(customer: $id, node: $n) { id } }"
    response = client.run(twice, id=ana, n={"text": "z" * 40_000})
    assert [error["key"] for error in response["errors"]] == ["errors_limit"]


@pytest.mark.parametrize("permanent", [True, False])
def test_customers_with_many_comments_are_not_deleted_at_once(
    client: Client, customers: dict[str, str], permanent: bool
) -> None:
    delete = """mutation($ids: [ID!]!, $permanent: Boolean) {
      deleteCustomers(items: $ids, permanent: $permanent) }"""
    ids = [customers["ana"], customers["bo"]]
    for customer_id in ids:
        for _ in range(9):
            add(client, customer_id, "x" * 60_000)
    problem = client.expect_error("errors_invalid_input", delete, ids=ids, permanent=permanent)
    assert "Send fewer customers." in problem["message"]
    assert found(client, "has:comment") == ["ana", "bo"]
    for customer_id in ids:
        client.data(delete, ids=[customer_id], permanent=permanent)
    assert found(client, "has:comment") == []


def test_comments_of_other_accounts_are_not_found(
    client: Client, server: Server, customers: dict[str, str]
) -> None:
    assert run_regulars("account", "create", "elsewhere", "--database-url", server.database_url)
    with Client(server, create_token(server, "elsewhere")) as other:
        other.create("x@x.test")
        assert found(other, "comment:called") == []
        assert found(other, "has:comment") == []


def test_the_search_needs_the_scope_of_comments(
    client: Client, server: Server, customers: dict[str, str]
) -> None:
    account = find_account_name(server, client.token)
    with Client(server, create_token(server, account, scopes=("customers:write",))) as writer:
        writer.expect_error("errors_scope", FIND, q="comment:called")


def test_watched_segments_follow_comments(
    client: Client, server: Server, customers: dict[str, str]
) -> None:
    create = 'mutation { createSegment(node: {name: "Callers", query: "comment:called", watched: true}) { id } }'
    id_ = client.data(create)["createSegment"]["id"]
    since = '... on Segment { watched_since(format: "x") }'
    wait_until(lambda: client.node(id_, since)["watched_since"] is not None)

    def events() -> list[tuple[str, str]]:
        feed = "{ customerChanges(first: 250) { edges { node { kind customer_id } } } }"
        nodes = [edge["node"] for edge in client.data(feed)["customerChanges"]["edges"]]
        return [(n["kind"], n["customer_id"]) for n in nodes if "segment" in n["kind"]]

    assert events() == []
    comment = add(client, customers["bo"], "Called in the evening")["id"]
    wait_until(lambda: events() == [("segment_entered", customers["bo"])])
    client.data(UPDATE, id=comment, node={"text": "Wrote in the evening"})
    wait_until(lambda: events()[1:] == [("segment_left", customers["bo"])])
    client.data(DELETE, ids=["1", "2"])
    wait_until(lambda: events()[2:] == [("segment_left", customers["ana"])])
    assert problems(server) == []


def test_comments_of_programs_without_the_index_are_found_after_the_migration(
    new_database: str,
) -> None:
    """Programs of earlier versions of the tables write comments without words."""
    with run_server(new_database) as server, Client(server, create_token(server)) as client:
        token = client.token
        for name, text in (("ana", "Called back"), ("bo", "Called once"), ("cy", "Wrote")):
            add(client, client.create(f"{name}@x.test")["id"], text)
    url = parse_url(new_database)
    for statement in (
        "UPDATE comments SET words = '', text = 'Called twice' WHERE comment_id = 2",
        "UPDATE comments SET words = ''",
        "DELETE FROM comment_terms WHERE comment_id = 1",
        "UPDATE compatibility SET finished = '0025'",
    ):
        run_in_transaction(url, lambda c, text=statement: c.execute(sa.text(text)))  # type: ignore[misc]  # mypy infers no lambda with defaults
    # Before the contract part, this is no problem.
    assert verify(url).problems == []
    with run_server(new_database) as server, Client(server, token) as client:
        run_regulars("migrate", "--database-url", new_database)
        assert found(client, "comment:called") == ["ana", "bo"]
        assert found(client, "comment:'called twice'") == ["bo"]
        assert found(client, "comment:once") == []
        assert problems(server) == []


def test_a_restored_body_without_words_is_indexed(
    client: Client, server: Server, customers: dict[str, str]
) -> None:
    """The trash has no words: they follow from the text."""
    client.data("mutation($ids: [ID!]!) { deleteCustomers(items: $ids) }", ids=[customers["bo"]])

    async def body(store: Store) -> Any:
        text = sa.text("SELECT body FROM trash ORDER BY deleted_at DESC, account_id DESC LIMIT 1")
        ((packed,),) = await store.fetch(Query(text), {})
        return packed

    (comment,) = unpack(bytes(with_store(server.database_url, body))).rows["comments"]
    assert "words" not in comment
    assert comment["text"].startswith("Wrote")
    client.data(RESTORE, ids=[customers["bo"]])
    assert found(client, "comment:invoice") == ["bo"]
