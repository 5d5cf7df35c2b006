"""The webhook `job/ended`: one event for the end of each job."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.cli.client import DatabaseClient, fetch_data
from regulars.core.clock import now_ms
from regulars.directory.verify import verify
from regulars.jobs.ending import FIRST_NUMBER
from regulars.jobs.starting import cancel, find_job
from regulars.settings import Settings
from regulars.store import Row, Store, parse_url
from regulars.store.imports import RUNNING
from regulars.store.migrate import run_in_transaction
from regulars.store.query import Query
from regulars.transfer.import_repository import CANCELLED, DONE, FAILED, ImportRepository
from tests.receiver import ReceivedRequest, Receiver
from tests.support import Client, Server, create_token, run_regulars, run_server, with_store
from tests.test_import_http import ended as import_ended
from tests.test_import_http import send
from tests.test_jobs import cannot_undo, edit, undo
from tests.test_pausing import UPDATE
from tests.test_webhook_filters import settle
from tests.test_webhooks import CREATE, create_webhook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.both_databases

TYPE = "job/ended"
RETRY = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { state } }"
TEST = "mutation($id: ID!) { testWebhook(id: $id) { id } }"
DELIVERIES = """{ webhooks { missed_count deliveries(first: 10) { edges { node {
  id event_id sequence customer_id job_id state } } } } }"""
KEYS = [
    *("id", "kind", "state", "name", "dry_run", "silent", "total", "done", "changed", "unchanged"),
    *("rejected", "message", "undo_of", "can_undo", "actor", "created_at", "ended_at"),
    "__typename",
]


def account_of(event_id: str) -> str:
    return event_id.split("-")[1]


def deliveries(client: Client) -> list[dict[str, Any]]:
    """The deliveries of the only webhook, oldest first."""
    (webhook,) = client.data(DELIVERIES)["webhooks"]
    return [edge["node"] for edge in reversed(webhook["deliveries"]["edges"])]


def node_of(request: ReceivedRequest) -> dict[str, Any]:
    node: dict[str, Any] = request.json["node"]
    return node


def test_each_kind_of_job_has_one_event(client: Client, receiver: Receiver) -> None:
    create_webhook(client, TYPE, receiver.url)
    customer = client.create("ana@example.com")["id"]
    import_ended(client, send(client, "email\nbo@example.com\nno email\n"))
    bulk = edit(client, query="", addTags=["x"], silent=True)
    preview = edit(client, query="", addTags=["y"], dryRun=True)
    undone = undo(client, bulk)
    client.update(customer, notes="no job")
    requests = receiver.wait(4)
    nodes = [node_of(request) for request in requests]
    assert [(node["kind"], node["state"], node["id"]) for node in nodes[1:]] == [
        ("bulk", "done", bulk["id"]),
        ("bulk", "done", preview["id"]),
        ("undo", "done", undone["id"]),
    ]
    assert nodes[0] == {
        "id": nodes[0]["id"],
        "kind": "import",
        "state": "done",
        "name": nodes[0]["name"],
        "dry_run": False,
        "silent": False,
        "total": 2,
        "done": 2,
        "changed": 1,
        "unchanged": 0,
        "rejected": 1,
        "message": None,
        "undo_of": None,
        "can_undo": True,
        "actor": nodes[0]["actor"],
        "created_at": nodes[0]["created_at"],
        "ended_at": nodes[0]["ended_at"],
        "__typename": "Job",
    }
    assert list(nodes[0]) == KEYS
    assert [node["dry_run"] for node in nodes[1:]] == [False, True, False]
    assert [node["silent"] for node in nodes[1:]] == [True, False, True]
    assert [node["can_undo"] for node in nodes[1:]] == [True, False, True]
    assert nodes[3]["undo_of"] == bulk["id"]
    assert nodes[1]["actor"] == {"kind": "token", "name": bulk["actor"]["name"]}
    assert (nodes[1]["changed"], nodes[1]["total"]) == (2, 2)
    listed = deliveries(client)
    assert [each["job_id"] for each in listed] == [node["id"] for node in nodes]
    ids = [request.event_id for request in requests]
    assert [each["event_id"] for each in listed] == ids
    assert ids[1] == f"event-{account_of(ids[0])}-{bulk['id']}"
    assert {(each["sequence"], each["customer_id"]) for each in listed} == {(None, None)}
    assert {request.headers["lightfunnels-topic"] for request in requests} == {TYPE}


def test_a_failed_import_has_an_event_with_the_reason(client: Client, receiver: Receiver) -> None:
    create_webhook(client, TYPE, receiver.url)
    sent = send(client, gzip.compress(b"email\n" + b"bad\n" * 30_000)[:-20])
    failed = import_ended(client, sent)
    node = node_of(receiver.wait(1)[0])
    assert (node["id"], node["state"], node["can_undo"]) == (failed["id"], "failed", False)
    assert node["message"] == failed["message"] != ""


def test_an_event_waits_while_the_webhook_is_paused(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, TYPE, receiver.url)
    client.create("ana@example.com")
    client.data(UPDATE, id=webhook["id"], node={"disabled": True})
    jobs = [edit(client, query="", addTags=[tag])["id"] for tag in ("a", "b")]
    assert client.data(DELIVERIES)["webhooks"][0]["missed_count"] == 2
    assert {each["state"] for each in deliveries(client)} == {"pending"}
    client.data(UPDATE, id=webhook["id"], node={"disabled": False})
    assert [node_of(request)["id"] for request in receiver.wait(2)] == jobs
    client.data(UPDATE, id=webhook["id"], node={"disabled": True})
    edit(client, query="", addTags=["c"])
    client.data(UPDATE, id=webhook["id"], node={"disabled": False, "skip_missed": True})
    last = edit(client, query="", addTags=["d"])["id"]
    assert node_of(receiver.wait(3)[2])["id"] == last
    settle(client)
    assert [each["state"] for each in deliveries(client)] == [
        *("delivered", "delivered", "skipped", "delivered")
    ]


def test_a_repeated_event_has_the_same_bytes(client: Client, receiver: Receiver) -> None:
    create_webhook(client, TYPE, receiver.url)
    client.create("ana@example.com")
    job = edit(client, query="", addTags=["a"])
    first = receiver.wait(1)[0]
    undo(client, job)
    receiver.wait(2)
    assert cannot_undo(client, job["id"])["key"] == "jobs_cannot_undo"
    settle(client)
    (delivery, _) = deliveries(client)
    client.data(RETRY, id=delivery["id"])
    again = receiver.wait(3)[2]
    assert (again.body, again.event_id) == (first.body, first.event_id)
    client.http.delete(f"/jobs/{job['id']}")
    forgotten = edit(client, query="", addTags=["b"], dryRun=True)
    receiver.wait(4)
    settle(client)  # a delivery that has not ended is not retried
    assert client.http.delete(f"/jobs/{forgotten['id']}").status_code == 200
    client.data(RETRY, id=deliveries(client)[-1]["id"])
    assert node_of(receiver.wait(5)[4]) == {"id": forgotten["id"], "__typename": "Job"}


def test_a_webhook_of_jobs_has_the_filter_of_bodies_only(
    client: Client, receiver: Receiver
) -> None:
    settings = {"include": ["id", "state", "changed"], "changes": True}
    webhook = create_webhook(client, TYPE, receiver.url, settings=settings)
    client.create("ana@example.com")
    job = edit(client, query="", addTags=["a"])
    assert receiver.wait(1)[0].json == {"node": {"id": job["id"], "state": "done", "changed": 1}}
    client.data(TEST, id=webhook["id"])
    example = node_of(receiver.wait(2)[1])
    assert example == {"id": "job_0123456789abcdef", "state": "done", "changed": 2}
    for name, value in (("query", "tag:a"), ("fields", ["phone"]), ("segments_uids", ["1"])):
        node = {"type": TYPE, "url": receiver.url + "/b", "settings": {name: value}}
        message = client.expect_error("errors_invalid_input", CREATE, node=node)["message"]
        assert f"`{name}` cannot filter events of the type `job/ended`" in message
    node = {"type": TYPE, "url": receiver.url + "/b", "settings": {"include": ["email"]}}
    message = client.expect_error("errors_invalid_input", CREATE, node=node)["message"]
    assert "Supported: id, kind, state" in message


def test_the_example_has_the_keys_of_an_event(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, TYPE, receiver.url)
    client.data(TEST, id=webhook["id"])
    assert list(node_of(receiver.wait(1)[0])) == KEYS


def test_only_webhooks_of_the_account_and_of_the_type_get_it(
    client: Client, receiver: Receiver, open_server: Server
) -> None:
    create_webhook(client, TYPE, receiver.url + "/one")
    create_webhook(client, TYPE, receiver.url + "/two")
    turned = create_webhook(client, TYPE, receiver.url + "/turned")
    create_webhook(client, "contact/updated", receiver.url + "/updated")
    with Client(open_server, create_token(open_server, scopes=("customers", "webhooks"))) as other:
        create_webhook(other, TYPE, receiver.url + "/other")
    client.create("ana@example.com")
    client.data(UPDATE, id=turned["id"], node={"type": "contact/deleted"})
    edit(client, query="", addTags=["a"])
    for path in ("/one", "/two", "/updated"):
        receiver.wait(1, path)
    events = [receiver.requests_to(path)[0].event_id for path in ("/one", "/two")]
    assert events[0] == events[1]
    assert not receiver.requests_to("/other") + receiver.requests_to("/turned")
    assert len(receiver.requests) == 3


def test_a_token_that_cannot_read_jobs_cannot_subscribe(open_server: Server) -> None:
    node = {"type": TYPE, "url": "http://127.0.0.1:1/"}
    for scopes, missing in (
        (("customers:read", "webhooks"), "customers:write"),
        (("customers:write", "webhooks"), "customers:read"),
    ):
        with Client(open_server, create_token(open_server, scopes=scopes)) as client:
            error = client.expect_error("webhooks_errors_permission", CREATE, node=node)
            assert f"contain jobs, and the token lacks the scope `{missing}`" in error["message"]


def test_an_account_has_up_to_100_webhooks_of_jobs(client: Client) -> None:
    def named(numbers: range) -> str:
        mutations = (
            f'w{n}: createWebhook(node: {{type: "{TYPE}", url: "http://127.0.0.1:1/{n}"}}) {{ id }}'
            for n in numbers
        )
        return f"mutation {{ {' '.join(mutations)} }}"

    for start in range(0, 100, 20):
        last = client.data(named(range(start, start + 20)))[f"w{start + 19}"]
    error = client.expect_error("errors_limit", named(range(100, 101)))
    assert "100 webhooks of the type `job/ended`, the maximum" in error["message"]
    other = create_webhook(client, "contact/signup", "http://127.0.0.1:1/")
    client.expect_error("errors_limit", UPDATE, id=other["id"], node={"type": TYPE})
    settings = {"include": ["id"]}
    client.data(UPDATE, id=last["id"], node={"type": TYPE, "settings": settings})
    client.data(UPDATE, id=last["id"], node={"type": "contact/deleted"})
    client.data(UPDATE, id=other["id"], node={"type": TYPE})


def test_events_of_jobs_need_the_contract_part(new_database: str) -> None:
    """A program of an older version would end its imports without an event."""
    statement = sa.text("UPDATE compatibility SET finished = '0019'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    with run_server(new_database, "--webhook-private-targets") as server:
        scopes = ("customers", "webhooks")
        with Client(server, create_token(server, scopes=scopes)) as client:
            node = {"type": TYPE, "url": "http://127.0.0.1:1/"}
            error = client.expect_error("errors_invalid_input", CREATE, node=node)
            assert "regulars migrate --contract" in error["message"]
            run_regulars("migrate", "--database-url", new_database)
            client.data(CREATE, node=node)


async def subscribed(store: Store) -> tuple[int, DatabaseClient]:
    """A new account with a webhook of jobs."""
    account = await Accounts(store).create("shop")
    client = DatabaseClient(store, account.account_id, Settings(webhook_private_targets=True))
    await fetch_data(client, CREATE, node={"type": TYPE, "url": "http://127.0.0.1:1/"})
    return account.account_id, client


async def stored_events(store: Store) -> list[tuple[int, str, str]]:
    query = Query(sa.text("SELECT number, job_id, state FROM deliveries ORDER BY number"))
    return [(row[0], row[1], row[2]) for row in await store.fetch(query, {})]


def run(database: str, work: Callable[[Store], Awaitable[None]]) -> None:
    with_store(database, work)
    assert verify(parse_url(database)).problems == []


async def begin(store: Store, account_id: int, **values: Any) -> Row:
    repository = ImportRepository(store, account_id)
    return await repository.begin(RUNNING, "a.csv", "", {}, 1, now_ms(), **values)


def test_a_job_ends_once_also_if_it_is_cancelled_meanwhile(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, _ = await subscribed(store)
        repository = ImportRepository(store, account_id)
        expected = []
        for _ in range(10):
            row = await begin(store, account_id)
            job_id = row["import_id"]
            await asyncio.gather(
                cancel(store, account_id, row, now_ms()),
                repository.end(job_id, DONE, now_ms()),
                repository.end(job_id, FAILED, now_ms(), "Failed."),
                repository.end(job_id, CANCELLED, now_ms()),
            )
            assert not await repository.end(job_id, DONE, now_ms())
            expected.append((job_id, "pending"))
        events = await stored_events(store)
        assert [event[1:] for event in events] == expected
        assert all(number >= FIRST_NUMBER for number, *_ in events)

    run(new_database, work)


def test_jobs_that_end_at_the_same_time_have_events_of_their_own(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, _ = await subscribed(store)
        repository, at = ImportRepository(store, account_id), now_ms()
        ids = [(await begin(store, account_id))["import_id"] for _ in range(5)]
        for job_id in ids:
            assert await repository.end(job_id, DONE, at)
        # The clock was set back.
        last = (await begin(store, account_id))["import_id"]
        assert await repository.end(last, DONE, at - 60_000)
        events = await stored_events(store)
        assert [event[1] for event in events] == [*ids, last]
        assert [event[0] for event in events] == [FIRST_NUMBER + at + n for n in range(6)]

    run(new_database, work)


def test_a_pull_is_no_event(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, _ = await subscribed(store)
        await begin(store, account_id, pull_id="pull")
        assert await ImportRepository(store, account_id).end("pull", DONE, now_ms())
        assert await find_job(store, account_id, "pull") is None
        assert await stored_events(store) == []

    run(new_database, work)


def test_verify_finds_a_delivery_whose_number_contradicts_its_job(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, _ = await subscribed(store)
        job_id = (await begin(store, account_id))["import_id"]
        await ImportRepository(store, account_id).end(job_id, DONE, now_ms())
        await store.execute([(Query(sa.text("UPDATE deliveries SET job_id = NULL")), {})])

    with_store(new_database, work)
    (problem,) = verify(parse_url(new_database)).problems
    assert "the number contradicts the job None" in problem
