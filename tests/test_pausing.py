"""Webhooks that are paused and resumed, and writes of which webhooks get no events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import Receiver, run_receiver
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    build_environment,
    create_token,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
)
from tests.test_import_http import ended, send
from tests.test_webhook_failures import OPEN, worker
from tests.test_webhooks import SCOPES, create_webhook, list_deliveries, wait_until_settled
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

STATE = "id type disabled_at disabled_reason paused missed_count"
UPDATE = f"mutation($id: ID!, $node: WebhookUpdateInput!) {{ updateWebhook(id: $id, node: $node) {{ {STATE} }} }}"
SET = """mutation($nodes: [InputSetCustomer!]!, $silent: Boolean, $dry: Boolean) {
  setCustomers(nodes: $nodes, silent: $silent, dryRun: $dry) { saved created updated } }"""
FEED = """query($after: String) { customerChanges(first: 250, after: $after) {
  edges { node { kind silent customer { email } } } pageInfo { hasNextPage endCursor } } }"""


def update_webhook(client: Client, webhook: dict[str, Any], **node: Any) -> dict[str, Any]:
    """Updates a webhook. Returns its state."""
    changed: dict[str, Any] = client.data(UPDATE, id=webhook["id"], node=node)["updateWebhook"]
    return changed


def feed(client: Client) -> list[dict[str, Any]]:
    """Returns all entries of the account's history."""
    entries: list[dict[str, Any]] = []
    after = None
    while True:
        page = client.data(FEED, after=after)["customerChanges"]
        entries += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return entries


def expect_no_more(receiver: Receiver, number: int, seconds: float = 0.7) -> None:
    """Checks after a while that the receiver has got exactly so many requests."""
    time.sleep(seconds)
    assert len(receiver.requests) == number


def run_import(client: Client, content: str, **options: Any) -> dict[str, Any]:
    """Runs an import over HTTP until it ends. Returns it."""
    return ended(client, send(client, content, **options))


def count_customers(client: Client) -> int:
    """Returns the number of customers of the account."""
    number: int = client.data("{ customers(first: 1) { totalCount } }")["customers"]["totalCount"]
    return number


@pytest.mark.slow
def test_a_resumed_webhook_sends_its_missed_events(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("1@example.com")
    receiver.wait(1)
    wait_until_settled(client, 1)
    paused = update_webhook(client, webhook, disabled=True)
    assert paused["paused"] is True
    assert paused["missed_count"] == 0
    assert paused["disabled_at"] is not None
    name = client.data("{ viewer { token { name } } }")["viewer"]["token"]["name"]
    assert paused["disabled_reason"] == f"Paused by {name}."
    for number in (2, 3, 4):
        client.create(f"{number}@example.com")
    client.data('mutation { addTags(items: ["1"], tags: ["x"]) { id } }')  # of another type
    expect_no_more(receiver, 1)
    assert len(list_deliveries(client)) == 1
    assert update_webhook(client, webhook, url=f"{receiver.url}/y")["missed_count"] == 3
    resumed = update_webhook(client, webhook, disabled=False)
    assert (resumed["paused"], resumed["missed_count"]) == (False, 0)
    assert (resumed["disabled_at"], resumed["disabled_reason"]) == (None, None)
    received = receiver.wait(4)[1:]
    assert [delivery.json["node"]["email"][0] for delivery in received] == ["2", "3", "4"]
    assert {delivery.path for delivery in received} == {"/y"}


def test_pausing_again_changes_nothing(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, "contact/signup", receiver.url)
    query = 'query { webhooks { disabled_at(format: "x") updated_at(format: "x") } }'
    update_webhook(client, webhook, disabled=True)
    before = client.data(query)
    update_webhook(client, webhook, disabled=True)
    assert client.data(query) == before
    update_webhook(client, webhook, disabled=False)
    before = client.data(query)
    update_webhook(client, webhook, disabled=False)
    assert client.data(query) == before


def test_missed_events_can_be_skipped(client: Client, receiver: Receiver) -> None:
    receiver.respond = lambda _: (500, {}, b"")
    webhook = create_webhook(client, "contact/signup", receiver.url)
    client.create("1@example.com")
    receiver.wait(1)
    update_webhook(client, webhook, disabled=True)
    client.create("2@example.com")
    client.create("3@example.com")
    example = client.data("mutation($i: ID!) { testWebhook(id: $i) { state } }", i=webhook["id"])
    assert example["testWebhook"]["state"] == "pending"
    missed = client.data("{ webhooks { missed_count } }")["webhooks"][0]["missed_count"]
    assert missed == 4  # one on its way, two changes, an example
    receiver.respond = lambda _: (200, {}, b"")
    before = len(receiver.requests)
    assert update_webhook(client, webhook, disabled=False, skip_missed=True)["missed_count"] == 0
    client.create("4@example.com")
    (received,) = receiver.wait(before + 1)[before:]
    assert received.json["node"]["email"] == "4@example.com"
    settled_deliveries = wait_until_settled(client, 3)
    assert [delivery["state"] for delivery in settled_deliveries] == [
        "skipped",
        "skipped",
        "delivered",
    ]
    assert all(
        delivery["next_attempt_at"] is None and delivery["ended_at"]
        for delivery in settled_deliveries
    )
    retry = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { state } }"
    again = client.data(retry, id=settled_deliveries[0]["id"])["retryWebhookDelivery"]
    assert again["state"] == "pending"
    assert receiver.wait(before + 2)[-1].json["node"]["email"] == "1@example.com"


@pytest.mark.slow
def test_a_backlog_is_skipped_without_a_pause(client: Client, receiver: Receiver) -> None:
    receiver.respond = lambda _: (500, {}, b"")
    webhook = create_webhook(client, "contact/signup", receiver.url)
    client.create("1@example.com")
    receiver.wait(1)
    update_webhook(client, webhook, disabled=False, skip_missed=True)
    receiver.respond = lambda _: (200, {}, b"")
    before = len(receiver.requests)
    client.create("2@example.com")
    receiver.wait(before + 1)
    expect_no_more(receiver, before + 1)
    assert [delivery["state"] for delivery in wait_until_settled(client, 2)] == [
        "skipped",
        "delivered",
    ]


def test_changing_the_type_of_a_webhook_skips_its_pending_events(
    client: Client, receiver: Receiver
) -> None:
    receiver.respond = lambda _: (500, {}, b"")
    webhook = create_webhook(client, "contact/signup", receiver.url)
    client.create("1@example.com")
    receiver.wait(1)
    update_webhook(client, webhook, type="contact/deleted")
    receiver.respond = lambda _: (200, {}, b"")
    before = len(receiver.requests)
    client.data('mutation { deleteCustomers(items: ["1"]) }')
    assert receiver.wait(before + 1)[-1].headers["lightfunnels-topic"] == "contact/deleted"
    assert [delivery["state"] for delivery in wait_until_settled(client, 2)] == [
        "skipped",
        "delivered",
    ]


@pytest.mark.slow
def test_a_webhook_that_failed_can_be_paused_and_skipped(
    client: Client, receiver: Receiver
) -> None:
    receiver.respond = lambda _: (500, {}, b"")
    webhook = create_webhook(client, "contact/signup", receiver.url)
    client.create("1@example.com")

    def disabled() -> bool:
        return bool(client.data("{ webhooks { disabled_at } }")["webhooks"][0]["disabled_at"])

    wait_until(disabled, 60)
    state = client.data(f"{{ webhooks {{ {STATE} }} }}")["webhooks"][0]
    assert (state["paused"], state["missed_count"]) == (False, 0)
    client.create("2@example.com")
    test = "mutation($i: ID!) { testWebhook(id: $i) { state } }"
    expect_error = client.expect_error("errors_invalid_input", test, i=webhook["id"])
    assert "disabled: false" in expect_error["message"]
    paused = update_webhook(client, webhook, disabled=True)
    assert paused["paused"] is True
    assert paused["disabled_reason"].startswith("Paused by")
    assert paused["missed_count"] == 1
    update_webhook(client, webhook, disabled=False, skip_missed=True)
    assert [delivery["state"] for delivery in list_deliveries(client)] == ["failed"]


def test_a_type_that_another_webhook_has_is_refused(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact/signup", receiver.url)
    other = create_webhook(client, "contact/updated", receiver.url)
    for node in ({"type": "contact/signup"}, {"type": "contact/signup", "disabled": True}):
        client.expect_error("webhooks_duplicated", UPDATE, id=other["id"], node=node)
    states = client.data("{ webhooks { type paused } }")["webhooks"]
    assert states == [
        {"type": "contact/signup", "paused": False},
        {"type": "contact/updated", "paused": False},
    ]


@pytest.mark.slow
def test_skipping_starts_no_concurrent_attempt(client: Client, receiver: Receiver) -> None:
    """The next event waits until the attempt in progress has ended."""
    concurrent, max_concurrent = [0], [0]

    def answer(_: Any) -> tuple[int, dict[str, str], bytes]:
        concurrent[0] += 1
        max_concurrent[0] = max(max_concurrent[0], concurrent[0])
        time.sleep(1)
        concurrent[0] -= 1
        return 200, {}, b""

    receiver.respond = answer
    webhook = create_webhook(client, "contact/signup", receiver.url)
    for number in range(3):
        client.create(f"{number}@example.com")
        receiver.wait(number + 1)
        update_webhook(client, webhook, disabled=False, skip_missed=True)
    time.sleep(1.2)
    assert max_concurrent == [1]
    assert [delivery["state"] for delivery in wait_until_settled(client, 3)] == ["delivered"] * 3


def test_skips_and_deletes_can_share_a_batch(client: Client, receiver: Receiver) -> None:
    """Both can be in one batch, which PostgreSQL saves in steps."""
    webhook = create_webhook(client, "contact/deleted", receiver.url)
    ids = [client.create(f"{number}@example.com")["id"] for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        deleted = [pool.submit(client.delete, customer_id) for customer_id in ids]
        skipped = [
            pool.submit(update_webhook, client, webhook, disabled=False, skip_missed=True)
            for _ in range(20)
        ]
        assert [future.result() for future in deleted] == [[customer_id] for customer_id in ids]
        assert not any(future.result()["paused"] for future in skipped)
    assert count_customers(client) == 0


def test_skip_missed_needs_a_resume(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, "contact/signup", receiver.url)
    for node in ({"skip_missed": True}, {"skip_missed": True, "disabled": True}):
        expect_error = client.expect_error(
            "errors_invalid_input", UPDATE, id=webhook["id"], node=node
        )
        assert expect_error["message"] == "`skip_missed` needs `disabled: false`."
        assert expect_error["extensions"]["input_path"] == ["node", "skip_missed"]
    assert update_webhook(client, webhook, skip_missed=False, disabled=None)["paused"] is False


def test_a_repeated_pause_request_is_idempotent(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(client, "contact/signup", receiver.url)
    key = {"idempotency-key": "p"}
    variables = {"id": webhook["id"], "node": {"disabled": True}}
    first = client.post(UPDATE, variables, headers=key).json()
    update_webhook(client, webhook, disabled=False)
    assert client.post(UPDATE, variables, headers=key).json() == first
    assert client.data("{ webhooks { paused } }")["webhooks"] == [{"paused": False}]


@pytest.mark.slow
def test_silent_writes_are_in_the_feed_and_sent_to_no_webhook(
    client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/new")
    create_webhook(client, "contact/updated", f"{receiver.url}/changed")
    variables = {"nodes": [{"email": "a@example.com"}]}
    assert client.data(SET, **variables, silent=True, dry=True)["setCustomers"]["saved"] is False
    assert client.data(SET, **variables, silent=True)["setCustomers"]["created"] == 1
    tagged = [{"email": "a@example.com", "tags": ["quiet"]}]
    assert client.data(SET, nodes=tagged, silent=True)["setCustomers"]["updated"] == 1
    loud = [{"email": "a@example.com", "notes": "n"}, {"email": "b@example.com"}]
    assert client.data(SET, nodes=loud)["setCustomers"]["saved"] is True
    received = {request.path: request.json["node"] for request in receiver.wait(2)}
    assert received["/new"]["email"] == "b@example.com"
    # A later event shows all changes, silent or not.
    assert (received["/changed"]["tags"], received["/changed"]["notes"]) == (["quiet"], "n")
    expect_no_more(receiver, 2)
    kinds = [(entry["kind"], entry["silent"]) for entry in feed(client)]
    assert kinds[:2] == [("created", True), ("updated", True)]
    assert sorted(kinds[2:]) == [("created", False), ("updated", False)]
    own = "{ customers { edges { node { changes { edges { node { silent } } } } } } }"
    edges = client.data(own)["customers"]["edges"]
    flags = [[e["node"]["silent"] for e in c["node"]["changes"]["edges"]] for c in edges]
    assert sorted(flags) == [[False], [False, True, True]]


def test_silent_is_part_of_the_fingerprint(client: Client) -> None:
    variables: dict[str, Any] = {"nodes": [{"email": "k@example.com"}]}
    key = {"idempotency-key": "s"}
    client.post(SET, {**variables, "silent": True}, headers=key)
    again = client.post(SET, {**variables, "silent": False}, headers=key).json()
    assert again["errors"][0]["key"] == "errors_idempotency_key"


@pytest.mark.slow
def test_ten_thousand_silent_rows_and_a_hundred_updates(client: Client, receiver: Receiver) -> None:
    """Acceptance of the design: skipped, the receiver gets nothing; sent, exactly the updates."""
    webhook = create_webhook(client, "contact/updated", receiver.url)
    update_webhook(client, webhook, disabled=True)
    rows = "".join(f"p{n}@example.com,P{n}\n" for n in range(10_000))
    run = run_import(client, f"email,first_name\n{rows}", silent=True, name="list.csv")
    assert (run["created"], run["silent"]) == (10_000, True)
    nodes = [{"email": f"p{n}@example.com", "notes": "changed"} for n in range(100)]
    assert client.data(SET, nodes=nodes)["setCustomers"]["updated"] == 100
    again = run_import(client, f"email,last_name\n{rows}", silent=True, name="list.csv")
    assert again["updated"] == 10_000
    state = client.data("{ webhooks { missed_count } }")["webhooks"][0]
    assert state["missed_count"] == 100
    entries = feed(client)
    assert len(entries) == 20_100
    assert sum(entry["silent"] for entry in entries) == 20_000
    update_webhook(client, webhook, disabled=False)
    received = receiver.wait(100, seconds=120)
    assert [request.json["node"]["email"] for request in received] == [
        node["email"] for node in nodes
    ]
    expect_no_more(receiver, 100)
    update_webhook(client, webhook, disabled=True)
    assert client.data(SET, nodes=[{**n, "notes": "again"} for n in nodes])["setCustomers"]["saved"]
    assert update_webhook(client, webhook, disabled=False, skip_missed=True)["missed_count"] == 0
    expect_no_more(receiver, 100)
    started = time.monotonic()
    client.data('mutation { addTags(items: ["7"], tags: ["next"]) { id } }')
    receiver.wait(101)
    assert time.monotonic() - started < 10  # typically 0.2 s


@pytest.mark.slow
def test_a_resumed_import_of_the_command_line_stays_silent(
    open_server: Server, tmp_path: Path
) -> None:
    """A resumed import does not need the option again."""
    token = create_token(open_server, scopes=SCOPES)
    listed = run_regulars("account", "list", "--json", "--database-url", open_server.database_url)
    account = json.loads(listed.stdout)[-1]["name"]
    url = ("--account", account, "--database-url", open_server.database_url)
    with run_receiver() as receiver, Client(open_server, token) as client:
        create_webhook(client, "contact/signup", receiver.url)
        file = tmp_path / "many.csv"
        file.write_text("email\n" + "".join(f"p{n}@example.com\n" for n in range(20_000)))
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", "import", str(file), "--silent", *url],
            env=build_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: count_customers(client) > 0, 120)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert 0 < count_customers(client) < 20_000
        resumed = run_regulars("import", str(file), "--resume", *url)
        assert resumed.returncode == 0, resumed.stderr
        assert count_customers(client) == 20_000
        loud = tmp_path / "few.csv"
        loud.write_text("email\nloud@example.com\n")
        assert run_regulars("import", str(loud), *url).returncode == 0
        (received,) = receiver.wait(1)
        assert received.json["node"]["email"] == "loud@example.com"
        expect_no_more(receiver, 1)


@pytest.mark.slow
def test_a_pause_stops_deliveries_and_loses_none(postgresql: str) -> None:
    """A webhook is paused while two workers deliver, and one of them is killed."""
    with scratch_database(postgresql) as url, run_receiver() as receiver:
        receiver.respond = lambda _: (time.sleep(0.05) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
        with run_server(url, "--no-webhook-worker", *OPEN) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                hooks = [
                    create_webhook(client, "contact/signup", f"{receiver.url}/{n}")
                    for n in range(4)
                ]
                with worker(url, -signal.SIGKILL) as killed, worker(url):
                    nodes = [{"email": f"p{n}@example.com"} for n in range(200)]
                    assert client.data(SET, nodes=nodes)["setCustomers"]["created"] == 200
                    receiver.wait(40, seconds=120)
                    for webhook in hooks:
                        update_webhook(client, webhook, disabled=True)
                    killed.kill()
                    time.sleep(0.3)  # what was in progress
                    sent_count = len(receiver.requests)
                    expect_no_more(receiver, sent_count, 2)
                    assert sent_count < 800
                    for webhook in hooks:
                        assert update_webhook(client, webhook, disabled=False)["paused"] is False
                    expected = {(f"/{h}", f"event-1-{n}") for h in range(4) for n in range(1, 201)}

                    def complete() -> bool:
                        received = {
                            (request.path, request.event_id) for request in receiver.requests
                        }
                        return received == expected

                    wait_until(complete, 120)


@pytest.mark.slow
def test_another_worker_sends_the_deliveries_of_a_killed_worker(postgresql: str) -> None:
    """Deliveries are sent by the next worker without further changes in the account."""
    with scratch_database(postgresql) as url, run_receiver() as receiver:
        with run_server(url, "--no-webhook-worker", *OPEN) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                create_webhook(client, "contact/signup", receiver.url)
                for turn in range(6):
                    with worker(url, -signal.SIGKILL) as process:
                        nodes = [{"email": f"{turn}-{n}@example.com"} for n in range(50)]
                        client.data(SET, nodes=nodes)
                        time.sleep(0.1 + 0.05 * turn)
                        os.kill(process.pid, signal.SIGKILL)
                with worker(url):
                    expected = {f"event-1-{n}" for n in range(1, 301)}
                    wait_until(
                        lambda: {request.event_id for request in receiver.requests} == expected, 60
                    )
