"""The filters of webhooks: which settings are accepted, and which events and bodies are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.segments.table import segments
from regulars.store import Store
from regulars.store.query import Query
from regulars.store.tables import counters, deliveries, webhooks
from regulars.webhooks.filters import FILTERS
from regulars.webhooks.values import TYPES
from tests.receiver import Receiver
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    CommandResult,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
    with_store,
)
from tests.test_segments import create as create_segment
from tests.test_webhook_failures import OPEN, worker
from tests.test_webhooks import CREATE, SCOPES, create_webhook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

UPDATE = """mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) {
    type settings disabled_at disabled_reason paused } }"""
STATES = "{ webhooks { id url settings disabled_at disabled_reason paused missed_count } }"
RECORD = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
LEAD = "mutation($node: InputRecordLead!) { recordLead(node: $node) { id } }"
RESTORE = "mutation($ids: [ID!]!) { restoreCustomers(items: $ids) { customers { id } } }"

CONTACTS = [name for name in TYPES if name.startswith("contact/")]
ORDERS = [name for name in TYPES if name.startswith("order/")]
SEGMENTS = [name for name in TYPES if name.startswith("segment/")]
# The types that accept each filter (segments.md, "Webhook filters").
ACCEPTED = {
    "fields": ["contact/updated", "order/updated"],
    "query": [name for name in (*CONTACTS, *ORDERS, *SEGMENTS) if name != "contact/deleted"],
    "segments_uids": [*CONTACTS, *ORDERS, *SEGMENTS],
    "include": list(TYPES),
}
# For each type: its number of events in `cause_every_event`, and those that pass `fields`.
EVENTS = {
    "contact/signup": 1,
    "contact/updated": 3,
    "contact/deleted": 1,
    "contact/restored": 1,
    "contact-form/created": 1,
    "order/created": 1,
    "order/confirmed": 1,
    "order/fulfilled": 1,
    "order/refunded": 1,
    "order/cancelled": 1,
    "order/uncancelled": 1,
    "order/updated": 6,
    # Of the segments "MA" and "Unnoted".
    "segment/entered": 3,
    "segment/left": 1,
}
# The events that are not of the segment "MA".
OUTSIDE = {"segment/entered": 1, "segment/left": 1}
FIELDS: dict[str, tuple[list[str], int]] = {
    "contact/updated": (["phone", "leads"], 2),
    "order/updated": (["order.tags"], 1),
}
VALUES = {
    "fields": ["phone"],
    "query": "country:MA",
    "segments_uids": ["1"],
    "include": ["id"],
}


def is_settled(server: Server) -> bool:
    """Return whether no enabled webhook of the database has entries to read or events to send, and
    no watched segment is to be evaluated."""
    behind: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        counters.c.account_id == webhooks.c.account_id,
        webhooks.c.position < counters.c.changes,
        webhooks.c.disabled_at.is_(None),
    )
    pending: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        deliveries.c.due_at.is_not(None)
    )
    evaluated: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        counters.c.account_id == segments.c.account_id,
        segments.c.watched.is_(sa.true()),
        sa.or_(segments.c.position < counters.c.changes, segments.c.watched_since.is_(None)),
    )
    query = Query(sa.select(sa.exists(behind), sa.exists(pending), sa.exists(evaluated)))

    async def work(store: Store) -> bool:
        (row,) = await store.fetch(query, {})
        return not any(row)

    return with_store(server.database_url, work)


def settle(client: Client) -> None:
    wait_until(lambda: is_settled(client.server))


def store_settings(client: Client, settings: str, filtered: bool) -> None:
    """Store the settings of all webhooks as another version of Regulars would."""
    url = sa.bindparam("url", type_=sa.Text())
    statement = webhooks.update().where(webhooks.c.url == url)
    query = Query(statement.values(settings=sa.literal(settings), filtered=sa.literal(filtered)))
    urls = [webhook["url"] for webhook in client.data(STATES)["webhooks"]]
    with_store(
        client.server.database_url,
        lambda store: store.execute([(query, {"url": url}) for url in urls]),
    )


def cause_every_event(client: Client, settle: Callable[[], None]) -> None:
    """Cause events of every type, about one customer in Morocco."""
    address = {"line1": "1 Rue", "city": "Rabat", "country": "MA"}
    customer_id = client.create("ana@example.com", shipping_address=address)["id"]
    settle()
    client.update(customer_id, phone="+212600000000")
    client.update(customer_id, notes="a note")
    client.data(LEAD, node={"email": "ana@example.com", "message": "Hello"})
    order = {"name": "#1", "email": "ana@example.com", "total": 10}
    for changed in (
        {"financial_status": "pending"},
        {"financial_status": "paid"},
        {"tags": ["gift"]},
        {"fulfillment_status": "fulfilled"},
        {"refunded_amount": 5},
        {"cancelled_at": "2024-03-19T00:00:00Z"},
        {"cancelled_at": None},
    ):
        order |= changed
        client.data(RECORD, node=order)
    settle()
    client.delete(customer_id)
    settle()
    client.data(RESTORE, ids=[customer_id])
    settle()


def test_every_type_accepts_or_refuses_every_filter(client: Client) -> None:
    assert ACCEPTED.keys() == FILTERS.keys()
    create_segment(client, "Morocco", query="country:MA")
    for type_ in TYPES:
        for name in FILTERS:
            value = ["order.tags"] if (type_, name) == ("order/updated", "fields") else VALUES[name]
            url = f"http://127.0.0.1:1/{type_}/{name}"
            node = {"type": type_, "url": url, "settings": {name: value}}
            if type_ in ACCEPTED[name]:
                assert client.data(CREATE, node=node)["createWebhook"]["settings"] == {name: value}
                continue
            error = client.expect_error("errors_invalid_input", CREATE, node=node)
            assert error["extensions"]["input_path"] == ["node", "settings", name]
            assert f"`{name}` cannot filter events of the type `{type_}`" in error["message"]


@pytest.mark.slow
def test_each_filter_limits_the_events_of_each_type(client: Client, receiver: Receiver) -> None:
    morocco, france = (
        create_segment(client, name, query=f"country:{name}")["id"] for name in ("MA", "FR")
    )
    create_segment(client, "Unnoted", query="country:MA -has:notes", watched=True)
    for type_ in EVENTS:
        path = f"{receiver.url}/{type_}"
        create_webhook(client, type_, f"{path}/none")
        create_webhook(client, type_, f"{path}/include", settings={"include": ["_id"]})
        if type_ in ACCEPTED["query"]:
            create_webhook(client, type_, f"{path}/met", settings={"query": "country:MA"})
            create_webhook(client, type_, f"{path}/unmet", settings={"query": "country:FR"})
            create_webhook(client, type_, f"{path}/named", settings={"query": "segment:MA"})
        if type_ in ACCEPTED["segments_uids"]:
            for name, ids in (("inside", [france, morocco]), ("outside", [france])):
                create_webhook(client, type_, f"{path}/{name}", settings={"segments_uids": ids})
    for type_, (names, _) in FIELDS.items():
        create_webhook(client, type_, f"{receiver.url}/{type_}/fields", settings={"fields": names})
        create_webhook(
            client,
            type_,
            f"{receiver.url}/{type_}/all",
            settings={"fields": names, "query": "country:FR", "segments_uids": [morocco]},
        )
    settle(client)
    cause_every_event(client, lambda: settle(client))
    counts = {
        (type_, name): len(receiver.requests_to(f"/{type_}/{name}"))
        for type_ in EVENTS
        for name in (
            *("none", "include", "met", "unmet", "named", "inside", "outside", "fields", "all"),
        )
    }
    for type_, count in EVENTS.items():
        expected = {
            **dict.fromkeys(("unmet", "outside", "all"), 0),
            **dict.fromkeys(("none", "include"), count),
            **dict.fromkeys(("met", "named"), count if type_ in ACCEPTED["query"] else 0),
            "inside": count - OUTSIDE.get(type_, 0) if type_ in ACCEPTED["segments_uids"] else 0,
            "fields": FIELDS[type_][1] if type_ in FIELDS else 0,
        }
        assert {name: counts[type_, name] for name in expected} == expected, type_
        for request in receiver.requests_to(f"/{type_}/include"):
            assert request.json["node"] == {"_id": 1}
            assert request.json.keys() <= {"node", "segment"}


@pytest.mark.parametrize(
    ("type_", "settings", "path", "message"),
    [
        ("contact/updated", {"fields": ["phnoe"]}, ["fields", 0], "Did you mean `phone`?"),
        ("contact/updated", {"fields": []}, ["fields"], "a list of one or more names"),
        ("contact/updated", {"fields": "phone"}, ["fields"], "a list of one or more names"),
        ("contact/updated", {"fields": ["email", 1]}, ["fields"], "a list of one or more names"),
        ("contact/updated", {"fields": ["custom."]}, ["fields", 0], "`custom.` needs a key"),
        ("order/updated", {"fields": ["total"]}, ["fields", 0], "Did you mean `order.total`?"),
        ("order/updated", {"fields": ["leads"]}, ["fields", 0], "does not support `leads`"),
        ("contact/signup", {"include": ["emial"]}, ["include", 0], "Did you mean `email`?"),
        ("order/created", {"include": ["nmae"]}, ["include", 0], "Did you mean `name`?"),
        ("contact/signup", {"include": ["custom.a"]}, ["include", 0], "does not support"),
        ("contact/signup", {"query": " "}, ["query"], "must be a search"),
        ("contact/signup", {"query": None}, ["query"], "must be a search"),
        ("contact/signup", {"query": "a order_by:id"}, ["query"], "cannot have `order_by:`"),
        ("contact/updated", {"field": ["phone"]}, ["field"], "Did you mean `fields`?"),
        ("contact/updated", {"includes": ["id"]}, ["includes"], "Did you mean `include`?"),
        ("contact/updated", {"Query": "a"}, ["Query"], "Did you mean `query`?"),
        ("contact/updated", {"change": True}, ["change"], "Did you mean `changes`?"),
        ("contact/signup", {"segment_uids": ["1"]}, ["segment_uids"], "mean `segments_uids`?"),
        ("contact/signup", {"segments_uids": "1"}, ["segments_uids"], "a list of ids of segments"),
        (
            "contact/signup",
            {"segments_uids": ["9"]},
            ["segments_uids", 0],
            "has the id `9`. Create",
        ),
        ("contact/signup", {"segments_uids": [None]}, ["segments_uids", 0], "has the id `None`"),
        (
            "contact/signup",
            {"segments_uids": ["1"] * 21},
            ["segments_uids"],
            "has 21 ids; the maximum is 20",
        ),
    ],
)
def test_invalid_filters_are_refused(
    client: Client, type_: str, settings: Any, path: list[Any], message: str
) -> None:
    node = {"type": type_, "url": "http://127.0.0.1:1/", "settings": settings}
    error = client.expect_error("errors_invalid_input", CREATE, node=node)
    assert error["extensions"]["input_path"] == ["node", "settings", *path]
    assert message in error["message"]
    webhook = create_webhook(client, type_, "http://127.0.0.1:1/", settings={"mine": {"a": [1]}})
    client.expect_error(
        "errors_invalid_input", UPDATE, id=webhook["id"], node={"settings": settings}
    )
    assert client.data(STATES)["webhooks"][0]["settings"] == {"mine": {"a": [1]}}


def test_an_invalid_query_has_its_position(client: Client) -> None:
    settings = {"query": "country:MA has:x"}
    node = {"type": "contact/signup", "url": "http://127.0.0.1:1/", "settings": settings}
    error = client.expect_error("errors_invalid_query", CREATE, node=node)
    assert error["extensions"]["input_path"] == ["node", "settings", "query"]
    assert error["extensions"]["position"] == 15


def test_a_type_that_does_not_accept_the_stored_filters_is_refused(client: Client) -> None:
    settings = {"fields": ["phone"]}
    webhook = create_webhook(client, "contact/updated", "http://127.0.0.1:1/", settings=settings)
    node: dict[str, Any] = {"type": "contact/signup"}
    client.expect_error("errors_invalid_input", UPDATE, id=webhook["id"], node=node)
    assert client.data(UPDATE, id=webhook["id"], node={**node, "settings": {}})[
        "updateWebhook"
    ] == {
        "type": "contact/signup",
        "settings": {},
        "disabled_at": None,
        "disabled_reason": None,
        "paused": False,
    }


def test_fields_read_single_keys_of_custom(client: Client, receiver: Receiver) -> None:
    settings = {"fields": ["custom.loyalty", "custom.a.b"]}
    create_webhook(client, "contact/updated", receiver.url, settings=settings)
    customer_id = client.create("ana@example.com", custom={"loyalty": 1})["id"]
    updates: list[dict[str, Any]] = [
        {"other": 2},
        {"loyalty": 2},
        {"loyalty": None},
        {"a.b": {"points": 1}},
        {"other": 3},
    ]
    for custom in updates:
        client.update(customer_id, custom=custom)
    settle(client)
    passed = [request.json["node"]["custom"] for request in receiver.requests]
    nested = {"points": 1}
    assert passed == [{"loyalty": 2, "other": 2}, {"other": 2}, {"a.b": nested, "other": 2}]


def test_include_limits_the_changes_and_test_events(client: Client, receiver: Receiver) -> None:
    node: dict[str, Any] = {"changes": True, "include": ["id", "email"]}
    webhook = create_webhook(client, "contact/updated", receiver.url + "/c", settings=node)
    settings = {"changes": True, "include": ["name", "total"]}
    create_webhook(client, "order/updated", receiver.url + "/o", settings=settings)
    customer_id = client.create("ana@example.com")["id"]
    client.update(customer_id, email="bea@example.com", phone="+212600000000")
    order = {"name": "#1", "email": "bea@example.com", "total": 10}
    client.data(RECORD, node=order)
    client.data(RECORD, node={**order, "total": 20, "tags": ["gift"]})
    settle(client)
    client.data("mutation($id: ID!) { testWebhook(id: $id) { id } }", id=webhook["id"])
    settle(client)
    bodies = [request.json for request in receiver.requests_to("/c")]
    node = {"id": customer_id, "email": "bea@example.com"}
    assert bodies[0] == {"node": node, "changes": {"email": "ana@example.com"}}
    assert bodies[1]["node"].keys() == {"id", "email"}
    (updated,) = [r.json for r in receiver.requests_to("/o") if r.json["changes"]]
    assert updated == {"node": {"name": "#1", "total": 20}, "changes": {"order.total": 10}}


def test_a_query_is_evaluated_when_the_event_is_created(client: Client, receiver: Receiver) -> None:
    webhook = create_webhook(
        client, "contact/updated", receiver.url, settings={"query": "tag:vip notes:second"}
    )
    client.data(UPDATE, id=webhook["id"], node={"disabled": True})
    ids = [
        client.create(f"a{i}@example.com", tags=["vip"] if i < 3 else [])["id"] for i in range(5)
    ]
    for number, customer_id in enumerate(ids):
        client.update(customer_id, notes="first")
        client.update(customer_id, notes="second" if number != 1 else "third")
    client.delete(ids[2])
    client.data(UPDATE, id=webhook["id"], node={"disabled": False})
    settle_resumed(client)
    # Both entries of the only customer that meets the query now and exists.
    assert [request.json["node"]["id"] for request in receiver.requests] == [ids[0], ids[0]]


def settle_resumed(client: Client) -> None:
    """Wait until the only webhook has read all entries, after it was resumed."""
    query = Query(
        sa.select(webhooks.c.position, counters.c.changes)
        .join(counters, counters.c.account_id == webhooks.c.account_id)
        .where(webhooks.c.url == sa.bindparam("url", type_=sa.Text()))
    )
    url = client.data(STATES)["webhooks"][0]["url"]

    async def work(store: Store) -> bool:
        ((position, last),) = await store.fetch(query, {"url": url})
        return bool(position == last)

    wait_until(lambda: with_store(client.server.database_url, work))
    settle(client)


def test_an_invalid_stored_filter_disables_the_webhook_and_its_events_wait(
    client: Client, receiver: Receiver
) -> None:
    webhook = create_webhook(
        client, "contact/signup", receiver.url, settings={"query": "country:MA"}
    )
    store_settings(client, '{"query":"gone:1"}', filtered=True)
    client.create("ana@example.com", shipping_address={"country": "MA"})
    client.create("bea@example.com")
    wait_until(lambda: client.data(STATES)["webhooks"][0]["disabled_at"] is not None)
    (state,) = client.data(STATES)["webhooks"]
    assert "A filter is invalid" in state["disabled_reason"]
    assert "gone" in state["disabled_reason"]
    assert (state["paused"], state["missed_count"]) == (False, 2)
    node = {"disabled": False, "settings": {"query": "country:MA"}}
    client.data(UPDATE, id=webhook["id"], node=node)
    settle_resumed(client)
    assert [request.json["node"]["email"] for request in receiver.requests] == ["ana@example.com"]


def test_settings_from_before_the_upgrade_apply_when_they_are_updated(
    client: Client, receiver: Receiver
) -> None:
    webhook = create_webhook(client, "contact/signup", receiver.url)
    url = ("--database-url", client.server.database_url)
    name = find_account_name(client.server, client.token)
    for settings in ('{"fields":3,"query":"gone:1"}', '{"query":"a"}'):
        store_settings(client, settings, filtered=False)
        found = f"{name} {webhook['_id']} ("
        assert found in run_regulars("doctor", *url).stdout
        count = len(receiver.requests)
        client.create(f"b{count}@example.com")
        receiver.wait(count + 1)
        # Neither a pause nor another URL makes them filters.
        client.data(UPDATE, id=webhook["id"], node={"disabled": True})
        client.data(UPDATE, id=webhook["id"], node={"disabled": False, "type": "contact/signup"})
        client.create(f"c{count}@example.com")
        receiver.wait(count + 2)
    client.data(UPDATE, id=webhook["id"], node={"settings": {"query": "a"}})
    assert found not in run_regulars("doctor", *url).stdout
    client.create("c@example.com")
    client.create("a@example.com")
    settle_resumed(client)
    emails = [request.json["node"]["email"] for request in receiver.requests]
    assert emails[4:] == ["a@example.com"]


def test_the_command_line_sets_and_removes_filters(client: Client) -> None:
    settings = {"mine": 1, "query": "tag:vip"}
    webhook = create_webhook(client, "contact/updated", "http://127.0.0.1:1/", settings=settings)
    options, env = ("--url", client.server.url), {"REGULARS_TOKEN": client.token}

    def run(*arguments: str) -> CommandResult:
        return run_regulars("webhook", "filter", str(webhook["_id"]), *arguments, *options, env=env)

    assert (
        run("--fields", "phone, custom.a", "--include", "id,email", "--query", "").returncode == 0
    )
    filters = {"fields": ["phone", "custom.a"], "include": ["id", "email"]}
    assert client.data(STATES)["webhooks"][0]["settings"] == {"mine": 1, **filters}
    refused = run("--query", "gone:1")
    assert "gone" in refused.stderr
    assert run("--include", "").returncode == 0
    stored = client.data(STATES)["webhooks"][0]["settings"]
    assert stored == {"mine": 1, "fields": filters["fields"]}
    ids = [create_segment(client, name)["id"] for name in ("VIP", "At risk")]
    assert run("--segment", "at risk", "--segment", "1").returncode == 0
    stored = client.data(STATES)["webhooks"][0]["settings"]
    assert stored["segments_uids"] == [ids[1], ids[0]]
    assert "No segment has the name or id 'none'" in run("--segment", "none").stderr
    assert run("--segment", "").returncode == 0
    assert client.data(STATES)["webhooks"][0]["settings"].keys() == {"mine", "fields"}
    assert "--query" in run().stderr


def test_filters_read_the_customers_of_their_account_alone(
    open_server: Server, client: Client, receiver: Receiver
) -> None:
    with Client(open_server, create_token(open_server, scopes=SCOPES)) as other:
        for number, person in enumerate((client, other)):
            create_webhook(
                person, "contact/signup", f"{receiver.url}/{number}", settings={"query": "tag:vip"}
            )
        # Both customers have the `_id` 1.
        client.create("ana@example.com", tags=["vip"])
        other.create("bea@example.com")
        settle(client)
    assert [request.path for request in receiver.requests] == ["/0"]


def test_a_dry_run_counts_webhooks_without_their_filters(client: Client) -> None:
    create_webhook(client, "contact/signup", "http://127.0.0.1:1/", settings={"query": "tag:no"})
    body = client.run(
        'mutation { createCustomer(node: {email: "a@example.com"}, dryRun: true) { id } }'
    )
    (event,) = body["extensions"]["dry_run"]["events"]
    assert (event["type"], event["webhooks"]) == ("contact/signup", 1)


@pytest.mark.slow
def test_several_batches_of_entries_are_filtered(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact/signup", receiver.url, settings={"query": "tag:vip a0*"})
    rows = [
        {"email": f"a{i:03}@example.com", "tags": ["vip"] if i % 5 == 0 else []} for i in range(250)
    ]
    mutation = "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { created } }"
    client.data(mutation, n=rows)
    settle(client)
    emails = [request.json["node"]["email"] for request in receiver.requests]
    assert emails == [f"a{i:03}@example.com" for i in range(0, 100, 5)]


def kill_worker(url: str, receiver: Receiver, count: int) -> None:
    """Run a worker, and kill it after the receiver has got so many requests."""
    with worker(url) as process:
        receiver.wait(count)
        process.kill()


@pytest.mark.slow
def test_a_killed_worker_loses_and_repeats_no_filtered_event(
    postgresql: str, receiver: Receiver
) -> None:
    with scratch_database(postgresql) as url:
        with run_server(url, "--no-webhook-worker", *OPEN) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                create_webhook(
                    client, "contact/signup", receiver.url, settings={"query": "tag:vip"}
                )
                mutation = (
                    "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { saved } }"
                )
                for start in range(0, 1_000, 250):
                    rows = [
                        {"email": f"a{i}@example.com", "tags": ["vip"] * (i % 4 == 0)}
                        for i in range(start, start + 250)
                    ]
                    client.data(mutation, n=rows)
                for count in (1, 60, 140):
                    with pytest.raises(AssertionError, match="-9"):
                        kill_worker(url, receiver, count)
                with worker(url):
                    wait_until(lambda: is_settled(server), 120)
                listed = """{ webhooks { deliveries(first: 250) { edges { node { state } } } } }"""
                (webhook,) = client.data(listed)["webhooks"]
                assert len(webhook["deliveries"]["edges"]) == 250
        emails = {request.json["node"]["email"] for request in receiver.requests}
        assert emails == {f"a{i}@example.com" for i in range(0, 1_000, 4)}
