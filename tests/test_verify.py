"""`regulars verify` on a database in use, and on one that is damaged in each of its tables."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.directory.stored_values import RULES
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.tables import metadata
from regulars.webhooks.signatures import secrets_of, signature
from tests.conftest import DATABASES
from tests.receiver import Receiver, run_receiver
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
    with_store,
)

pytestmark = pytest.mark.both_databases

ENV = {
    "REGULARS_WEBHOOK_PRIVATE_TARGETS": "true",
    "REGULARS_RATE_LIMIT": "100000",
    "REGULARS_WEBHOOK_RETRY_SECONDS": "0.1",
}


def use(url: str, receiver: Receiver) -> None:
    """Use every feature that writes rows."""
    with run_server(url, env=ENV) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        webhook_node = {"type": "contact/updated", "url": f"{receiver.url}/hook"}
        client.data(
            "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }", n=webhook_node
        )
        customers = [client.create(f"user{n}@example.com", tags=["a"]) for n in range(5)]
        client.update(customers[0]["id"], first_name="Ana", custom={"size": 1})
        client.update(customers[1]["id"], addresses=[{"address": {"city": "Fès"}, "label": "Old"}])
        client.update(customers[4]["id"], first_name="Gone")
        client.update(
            customers[1]["id"],
            emails=[{"email": e} for e in ("user1@example.com", "x@example.com")],
        )
        client.post(
            'mutation { createCustomer(node: {email: "once@example.com"}) { id } }',
            headers={"Idempotency-Key": "once"},
        )
        order = {"name": "#1", "email": "user0@example.com", "total": 10, "tags": ["x"]}
        client.data("mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }", n=order)
        lead = {"email": "user1@example.com", "message": "Hello"}
        client.data("mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }", n=lead)
        client.data('mutation { addComment(customer: "1", node: {text: "Hello"}) { id } }')
        client.data('mutation { invitePerson(node: {name: "Ana", role: "support"}) { path } }')
        segment = 'name: "Tags", settings: {include: {tags: ["a"]}}, watched: true'
        client.data(f"mutation {{ createSegment(node: {{{segment}}}) {{ id }} }}")
        members = 'query: "watched:true") { edges { node { watched_since(format: "x") } } }'
        wait_until(
            lambda: client.data(f"{{ segments({members} }}")["segments"]["edges"][0]["node"][
                "watched_since"
            ]
        )
        name = client.data("{ viewer { account { name } } }")["viewer"]["account"]["name"]
        secret = with_store(url, lambda store: _secret(store, name))
        event = {"node": {"id": "cus_abc", "email": "shop@example.com"}}
        gone = {"node": {"id": "cus_gone"}}
        for type_, body in (
            ("contact/signup", json.dumps(event).encode()),
            ("contact/signup", b'{"node": {"strange": 1, "id": "cus_x"}}'),
            ("contact/deleted", json.dumps(gone).encode()),
        ):
            headers = {"lightfunnels-hmac": signature(secret, body)}
            answer = client.http.post(f"/in/{name}/{type_}", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
        file = b"email\nimported@example.com\nnot an email\n"
        started = client.http.post("/import", content=file, headers={"content-type": "text/csv"})
        location = started.headers["location"]
        wait_until(lambda: client.http.get(location).json()["data"]["state"] == "done")
        signed_in = client.http.post(
            "/session", json={"token": BOOTSTRAP_TOKEN}, headers={"origin": server.url}
        )
        assert signed_in.status_code == 200
        wait_until(lambda: len(receiver.requests) >= 2)
        client.delete(customers[4]["id"])
        time.sleep(1)  # what the worker and the uses of tokens note


async def _secret(store: Store, name: str) -> str:
    account = await Accounts(store).find(name)
    assert account
    return (await secrets_of(store, account.account_id, now_ms())).current


@pytest.fixture(scope="module")
def templates(
    postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    path = tmp_path_factory.mktemp("verify") / "template.db"
    with run_receiver() as receiver:
        use(f"sqlite:///{path}", receiver)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with scratch_database(postgresql) as url:
        with run_receiver() as receiver:
            use(url, receiver)
        yield path, url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(params=DATABASES)
def used_database(
    request: pytest.FixtureRequest, templates: tuple[Path, str], postgresql: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of a database with rows in every table."""
    file, name = templates
    if request.param == "sqlite":
        shutil.copyfile(file, tmp_path / "used.db")
        yield f"sqlite:///{tmp_path / 'used.db'}"
        return
    with scratch_database(postgresql, template=name) as url:
        yield url


# A statement for each table, and what is said of the damage that it does.
DAMAGE = {
    "accounts": [("UPDATE accounts SET name = ''", "name is empty")],
    "tokens": [
        ("UPDATE tokens SET scopes = 'everything'", "scopes is not a list of scopes"),
        ("UPDATE tokens SET created_at = -99999999999999999", "created_at is not a time"),
    ],
    "people": [
        ("UPDATE people SET role = 'boss'", "role is not one of"),
        ("UPDATE people SET removed_at = created_at", "is removed, but the token is valid"),
    ],
    "sessions": [
        ("UPDATE sessions SET kind = 'other'", "kind is not one of"),
        ("UPDATE sessions SET expires_at = created_at - 1", "it ends before it starts"),
    ],
    "compatibility": [
        ("UPDATE compatibility SET finished = 'x'", "finished is not a version"),
        ("DELETE FROM compatibility", "it has 0 rows"),
    ],
    "counters": [
        ("UPDATE counters SET webhooks = 0", "the id was never assigned"),
        ("UPDATE counters SET addresses = 0", "address -1: the id was never assigned"),
        ("UPDATE counters SET changes = changes + 1", "the history ends with"),
        ("DELETE FROM counters", "the counters are missing"),
    ],
    "customers": [
        ("UPDATE customers SET words = ''", "derived values are wrong"),
        ("UPDATE customers SET addresses = '[1]'", "addresses is not in its stored form"),
        ("UPDATE customers SET addresses = '{}'", "addresses is not a JSON"),
        ("UPDATE customers SET custom = '[]'", "custom is not a JSON object"),
        ("UPDATE customers SET visits = -1", "visits is negative"),
        ("UPDATE customers SET emails = '[]'", "emails is not a JSON object"),
        ("UPDATE customers SET emails = '{}'", "emails is not in its stored form"),
        (
            """UPDATE customers SET phones = '{"next":3,"entries":[[2,"1",""]]}' WHERE customer_id = 1""",
            "phones has duplicates, too many entries, or no default",
        ),
        (
            """UPDATE customers SET emails = '{"next":2,"entries":[[2,null,""]]}' WHERE customer_id = 1""",
            "emails has a number that was never assigned",
        ),
        (
            "UPDATE customers SET emails = NULL WHERE emails IS NOT NULL",
            "it is not in the list",
        ),
    ],
    "additional_emails": [
        ("DELETE FROM additional_emails", "identifies nothing, or another customer"),
        ("UPDATE additional_emails SET customer_id = 77", "it is not in the list"),
        (
            "UPDATE additional_emails SET email_key = 'user2@example.com'",
            "the email is an additional email of a customer, too",
        ),
    ],
    "terms": [("DELETE FROM terms", "search index")],
    "history": [
        ("UPDATE history SET kind = 'other' WHERE sequence = 1", "kind is not one of"),
        ("UPDATE history SET actor_kind = 'x' WHERE sequence = 1", "actor_kind is not one of"),
        ("DELETE FROM history WHERE sequence = 2", "the previous one is missing"),
    ],
    "receipts": [("UPDATE receipts SET outcome = '{'", "outcome is not a JSON object")],
    "buckets": [("UPDATE buckets SET level = -1", "the level is negative")],
    "orders": [
        ("UPDATE orders SET financial_status = 'x'", "financial_status is not one of"),
        ("UPDATE orders SET currency = 'euro'", "currency is not a currency"),
        ("UPDATE orders SET net_payment = 1", "net_payment"),
    ],
    "leads": [
        ("UPDATE leads SET lead_id = 77", "the id was never assigned"),
        ("UPDATE leads SET custom = '3'", "custom is not a JSON object"),
    ],
    "comments": [
        ("UPDATE comments SET comment_id = 77", "the id was never assigned"),
        ("UPDATE comments SET text = ''", "text is empty"),
        ("UPDATE comments SET pinned = 2", "pinned is neither 0 nor 1"),
        ("UPDATE comments SET updated_at = 0", "it was updated before it was created"),
        ("UPDATE comments SET words = ' x '", "the words do not match the text"),
    ],
    "comment_terms": [
        ("DELETE FROM comment_terms", "the search index does not match the words"),
        ("UPDATE comment_terms SET customer_id = 77", "has it for customer 77"),
        ("UPDATE comment_terms SET comment_id = 77", "has comments that are missing"),
    ],
    "webhooks": [
        ("UPDATE webhooks SET type = 'x/y'", "type is not one of"),
        ("UPDATE webhooks SET url = 'ftp://x'", "url is not a URL"),
        ("UPDATE webhooks SET position = 9999", "after the end of the history"),
        ("UPDATE webhooks SET settings = 'x'", "settings is not a JSON object"),
        ("UPDATE webhooks SET paused = true", "it is paused but was never disabled"),
    ],
    "deliveries": [
        ("UPDATE deliveries SET state = 'lost'", "state is not one of"),
        ("UPDATE deliveries SET due_at = 5", "contradicts the times"),
        (
            "UPDATE deliveries SET number = 9999 WHERE number = "
            "(SELECT max(number) FROM deliveries)",
            "the change is not in the history",
        ),
    ],
    "attempts": [
        ("UPDATE attempts SET status = 7", "status is not an HTTP status"),
        ("UPDATE attempts SET exchange = '{}' WHERE exchange IS NULL", "the customer is deleted"),
    ],
    "webhook_secrets": [("UPDATE webhook_secrets SET secret = ''", "secret is empty")],
    "shop_ids": [
        ("UPDATE shop_ids SET number = 9999", "it is missing"),
        ("UPDATE shop_ids SET type = 'Thing'", "type is not one of"),
    ],
    "deleted_shop_ids": [("UPDATE deleted_shop_ids SET shop_id = ''", "shop_id is empty")],
    "inbox": [
        ("UPDATE inbox SET times = 0", "times is not positive"),
        ("DELETE FROM inbox", "the event is missing"),
    ],
    "inbox_keys": [("UPDATE inbox_keys SET inbox_id = ''", "inbox_id is empty")],
    "imports": [
        ("UPDATE imports SET state = 'lost'", "state is not one of"),
        ("UPDATE imports SET created = created + 1", "the counts do not match"),
        ("UPDATE imports SET ended_at = NULL", "contradicts the end time"),
    ],
    "import_parts": [("UPDATE import_parts SET part = 4", "the previous one is missing")],
    "trash": [
        ("UPDATE trash SET size = 0", "size is not positive"),
        ("UPDATE trash SET body = substr(body, 2)", "the body cannot be decoded"),
        ("UPDATE trash SET customer_id = 1", "is outside of the trash, too"),
    ],
    "trash_keys": [
        ("UPDATE trash_keys SET kind = 'x'", "kind is not one of"),
        ("DELETE FROM trash_keys", "the keys do not match the values"),
        ("UPDATE trash_keys SET customer_id = 77", "customer 77, who is not in it"),
    ],
    "segments": [
        ("UPDATE segments SET language = 0", "language is not positive"),
        ("UPDATE segments SET segment_id = 9", "the id was never assigned"),
        ("UPDATE segments SET name = 'Other'", "`name_key` does not match the name"),
        ("UPDATE segments SET query = 'tag:b'", "the query does not match the settings"),
        ("UPDATE segments SET updated_at = 0", "it was updated before it was created"),
        ("UPDATE segments SET position = NULL", "the position contradicts `watched`"),
        ("UPDATE segments SET position = 999", "the position is after the end of the history"),
    ],
    "memberships": [
        ("DELETE FROM memberships", "the members are not the customers of the query"),
        ("UPDATE memberships SET removed_at = since", "the members are not the customers"),
        ("UPDATE memberships SET segment_id = 9", "the members are not the customers"),
    ],
}
# SQLite keeps its buckets in the process.
WITHOUT_ROWS = {"sqlite": {"buckets"}, "postgresql": set[str]()}


def test_every_table_is_damaged_and_has_rules() -> None:
    names = {table.name for table in metadata.sorted_tables}
    assert names == DAMAGE.keys()
    assert names == RULES.keys()
    for table in metadata.sorted_tables:
        assert RULES[table.name].keys() <= {str(column.name) for column in table.c}


@pytest.mark.slow
def test_a_database_in_use_is_consistent(used_database: str) -> None:
    result = run_regulars("verify", "--json", "--database-url", used_database)
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["problems"] == []
    assert result.returncode == 0
    empty = {name for name, count in report["read"].items() if not count}
    assert empty <= WITHOUT_ROWS[parse_url(used_database).dialect]
    assert report["read"].keys() == DAMAGE.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "number"), [(table, n) for table, each in DAMAGE.items() for n in range(len(each))]
)
def test_damage_of_each_table_is_found(used_database: str, table: str, number: int) -> None:
    if table in WITHOUT_ROWS[parse_url(used_database).dialect]:
        return
    statement, said = DAMAGE[table][number]

    def damage(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text(statement.replace('":', '"\\:')))

    run_in_transaction(parse_url(used_database), damage)
    result = run_regulars("verify", "--database-url", used_database)
    assert result.returncode == 1, result.stdout
    assert said in result.stdout, result.stdout
    assert "example.com" not in result.stdout
