"""Webhooks that use segments: which events they get, and how they follow the segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.segments.table import segments
from regulars.store.query import Query
from tests.receiver import Receiver
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    wait_until,
    with_store,
)
from tests.test_segments import DELETE, create, update
from tests.test_segments import UPDATE as UPDATE_SEGMENT
from tests.test_webhook_filters import STATES, UPDATE, settle, settle_resumed, store_settings
from tests.test_webhooks import CREATE, SCOPES, create_webhook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.both_databases

URL = "http://127.0.0.1:1/"


@pytest.fixture
def other(open_server: Server) -> Iterator[Client]:
    """A client of another account."""
    with Client(open_server, create_token(open_server, scopes=SCOPES)) as each:
        yield each


def emails(receiver: Receiver, path: str = "/") -> list[str]:
    return [request.json["node"]["email"] for request in receiver.requests_to(path)]


def break_segments(client: Client, query: str) -> None:
    """Make the segments of the database with a query unreadable, as another version would."""
    broken = segments.update().where(segments.c.query == sa.literal(query))
    statement = Query(broken.values(query=sa.literal("gone:1")))
    with_store(client.server.database_url, lambda store: store.execute([(statement, {})]))


def settings_of(client: Client) -> list[Any]:
    return [webhook["settings"] for webhook in client.data(STATES)["webhooks"]]


def test_a_receiver_gets_exactly_the_events_of_its_segments(
    client: Client, receiver: Receiver
) -> None:
    vip = create(client, "VIP", query="tag:vip")
    french = create(client, "French", settings={"include": {"tags": ["fr"]}})
    create(client, "Both", query="segment:VIP segment:French")
    for path, ids in (
        ("/vip", [vip["id"]]),
        ("/either", [vip["uid"].rstrip("="), str(french["_id"])]),
        ("/both", [3]),
        ("/all", []),
    ):
        create_webhook(
            client, "contact/signup", receiver.url + path, settings={"segments_uids": ids}
        )
    for name, tags in (("v", ["vip"]), ("f", ["fr"]), ("n", []), ("b", ["vip", "fr"])):
        client.create(f"{name}@x.test", tags=tags)
    settle(client)
    assert {path: emails(receiver, path) for path in ("/vip", "/either", "/both", "/all")} == {
        "/vip": ["v@x.test", "b@x.test"],
        "/either": ["v@x.test", "f@x.test", "b@x.test"],
        "/both": ["b@x.test"],
        "/all": ["v@x.test", "f@x.test", "n@x.test", "b@x.test"],
    }


def test_a_changed_segment_applies_to_the_next_event(client: Client, receiver: Receiver) -> None:
    vip = create(client, "VIP", query="tag:vip")
    create(client, "Outer", query="segment:VIP has:notes")
    for path, settings in (
        ("/q", {"query": "segment:outer"}),
        ("/s", {"segments_uids": [vip["id"]]}),
    ):
        create_webhook(client, "contact/signup", receiver.url + path, settings=settings)
    for number, query in enumerate(("tag:vip", "tag:new", "tag:old OR tag:vip", "")):
        update(client, vip, query=query)
        for tag in ("vip", "new"):
            client.create(f"{tag}{number}@x.test", tags=[tag], notes="a note")
        settle(client)
    expected = [f"{name}@x.test" for name in ("vip0", "new1", "vip2", "vip3", "new3")]
    assert emails(receiver, "/q") == emails(receiver, "/s") == expected


def test_membership_counts_when_the_event_is_created(client: Client, receiver: Receiver) -> None:
    vip = create(client, "VIP", query="tag:vip")
    webhook = create_webhook(
        client, "contact/updated", receiver.url, settings={"segments_uids": [vip["id"]]}
    )
    first, second = (client.create(f"{name}@x.test", tags=["vip"])["id"] for name in "ab")
    client.data(UPDATE, id=webhook["id"], node={"disabled": True})
    client.update(first, tags=[])
    client.update(second, notes="a note")
    client.data(UPDATE, id=webhook["id"], node={"disabled": False})
    settle_resumed(client)
    assert emails(receiver) == ["b@x.test"]


def test_a_wrong_segment_is_refused_with_a_suggestion(client: Client) -> None:
    vip = create(client, "Very important", query="tag:vip")
    webhook = create_webhook(client, "contact/signup", URL)
    for text in ("Very important", "very importnt"):
        node: dict[str, Any] = {"settings": {"segments_uids": [vip["id"], text]}}
        error = client.expect_error("errors_invalid_input", UPDATE, id=webhook["id"], node=node)
        assert error["extensions"]["input_path"] == ["node", "settings", "segments_uids", 1]
        assert error["message"] == (
            f'No segment has the id `{text}`. Did you mean `{vip["id"]}` ("Very important")? '
            f'Segments: `{vip["id"]}` ("Very important").'
        )
    node = {"settings": {"query": "tag:a -segment:vary"}}
    error = client.expect_error("errors_invalid_query", UPDATE, id=webhook["id"], node=node)
    assert error["extensions"]["input_path"] == ["node", "settings", "query"]
    assert error["extensions"]["position"] == 15
    node = {"settings": {"query": 'segment:"very import"'}}
    error = client.expect_error("errors_invalid_query", UPDATE, id=webhook["id"], node=node)
    assert "Did you mean `Very important`?" in error["message"]
    assert settings_of(client) == [{}]


def test_segments_of_other_accounts_are_unknown(client: Client, other: Client) -> None:
    create(other, "Theirs", query="tag:a")
    unknown: list[dict[str, Any]] = [
        {"segments_uids": ["1"]},
        {"query": "segment:1"},
        {"query": "segment:theirs"},
    ]
    for settings in unknown:
        node = {"type": "contact/signup", "url": URL, "settings": settings}
        body = client.run(CREATE, node=node)
        assert "Theirs" not in str(body)
        assert "No segment has the" in body["errors"][0]["message"]


def test_equal_names_in_two_accounts(client: Client, other: Client, receiver: Receiver) -> None:
    for number, each in enumerate((client, other)):
        segment = create(each, "VIP", query="tag:a" if number == 0 else "tag:b")
        for name, settings in (
            ("q", {"query": "segment:vip"}),
            ("s", {"segments_uids": [segment["id"]]}),
        ):
            create_webhook(
                each, "contact/signup", f"{receiver.url}/{number}{name}", settings=settings
            )
        for tag in "ab":
            each.create(f"{tag}{number}@x.test", tags=[tag])
    settle(client)
    update(other, "1", name="Renamed")
    assert settings_of(client) == [{"query": "segment:vip"}, {"segments_uids": ["U2VnbWVudDox"]}]
    assert settings_of(other)[0] == {"query": "segment:Renamed"}
    sent = {path: emails(receiver, path) for path in ("/0q", "/0s", "/1q", "/1s")}
    assert sent["/0q"] == sent["/0s"] == ["a0@x.test"]
    assert sent["/1q"] == sent["/1s"] == ["b1@x.test"]


def test_a_new_name_is_written_to_the_queries_of_webhooks(
    client: Client, receiver: Receiver
) -> None:
    vip = create(client, "VIP", query="tag:vip")
    create(client, "Other", query="tag:other")
    queries = (
        "segment:vip",
        'country:MA OR (segment:"vip" -s\\egment:V\\IP)',
        "segment:1 segment:other",
        "segment:other",
        '"segment:vip"',
    )
    for number, query in enumerate(queries):
        settings = {"query": query, "mine": [number]}
        create_webhook(client, "contact/signup", f"{receiver.url}/{number}", settings=settings)
    dry = 'mutation { updateSegment(id: 1, node: {name: "Dry"}, dryRun: true) { name } }'
    client.data(dry)
    assert [each["query"] for each in settings_of(client)] == list(queries)
    update(client, vip, name='Very "important"')
    name = '"Very \\"important\\""'
    assert [each["query"] for each in settings_of(client)] == [
        f"segment:{name}",
        f"country:MA OR (segment:{name} -s\\egment:{name})",
        *queries[2:],
    ]
    assert [each["mine"] for each in settings_of(client)] == [[n] for n in range(5)]
    # A name that another query means as an id leaves that query its meaning.
    update(client, "2", name="1")
    assert settings_of(client)[2]["query"] == f"segment:{name} segment:1"
    assert settings_of(client)[3]["query"] == "segment:1"
    client.create("v@x.test", tags=["vip"])
    client.create("o@x.test", tags=["other"])
    client.create("b@x.test", tags=["vip", "other"])
    settle(client)
    sent = {
        path: [email[0] for email in emails(receiver, path)] for path in ("/0", "/1", "/2", "/3")
    }
    assert sent == {"/0": ["v", "b"], "/1": [], "/2": ["b"], "/3": ["o", "b"]}


def test_a_segment_that_a_webhook_uses_cannot_be_deleted(client: Client) -> None:
    vip = create(client, "VIP", query="tag:vip")
    create(client, "Outer", query="segment:VIP")
    create(client, "Free", query="tag:free")
    first = create_webhook(client, "contact/signup", URL, settings={"query": "-segment:vip"})
    second = create_webhook(client, "order/created", URL, settings={"segments_uids": ["2", "1"]})
    items = ["1", "2", "3"]
    body = client.run(DELETE, items=items)
    of_vip, of_outer = body["errors"]
    assert {of_vip["extensions"]["key"], of_outer["extensions"]["key"]} == {"errors_in_use"}
    assert of_vip["message"] == (
        'The segment "VIP" is used by the webhook 1 (`contact/signup`) and 1 more. Change or '
        "delete that one first."
    )
    users = [
        {"id": webhook["id"], "type": "Webhook", "name": webhook["type"]}
        for webhook in (first, second)
    ]
    assert of_vip["extensions"]["used_by"] == users
    assert of_outer["extensions"]["used_by"] == users[1:]
    client.expect_error("errors_in_use", "mutation { deleteSegments(items: [1], dryRun: true) }")
    error = client.expect_error("errors_in_use", DELETE, items=["1"])
    names = [user["name"] for user in error["extensions"]["used_by"]]
    assert names == ["Outer", "contact/signup", "order/created"]
    client.data("mutation { deleteWebhook(id: 1) }")
    client.data(UPDATE, id=second["id"], node={"settings": {"segments_uids": []}})
    assert client.data(DELETE, items=["3", "2", "1"])["deleteSegments"][2] == vip["id"]


def test_a_segment_cannot_make_a_filter_unreadable(client: Client) -> None:
    terms = " ".join(f"tag:t{n}" for n in range(49))
    for number in range(10):
        create(client, f"s{number}", query=terms)
    create(client, "Wide", query=" ".join(f"segment:s{n}" for n in range(10)))
    create(client, "Small", query="tag:a")
    create_webhook(client, "contact/signup", URL, settings={"query": "segment:wide segment:small"})
    create_webhook(client, "contact/updated", URL, settings={"segments_uids": ["11", "12"]})
    node = {"query": " ".join(f"tag:t{n}" for n in range(11))}
    error = client.expect_error("errors_invalid_query", UPDATE_SEGMENT, node=node, id="12")
    assert error["message"] == (
        "The webhook 1 (`contact/signup`) uses this one. The query and its segments have more than "
        "500 terms. Remove some."
    )
    client.data("mutation { deleteWebhook(id: 1) }")
    error = client.expect_error("errors_invalid_query", UPDATE_SEGMENT, node=node, id="12")
    assert error["message"] == (
        "The webhook 2 (`contact/updated`) uses this one. The segments have more than 500 terms. "
        "Use fewer segments."
    )
    settings = {"segments_uids": ["11", "1"]}
    wide = {"type": "contact/signup", "url": URL, "settings": settings}
    error = client.expect_error("errors_invalid_input", CREATE, node=wide)
    assert error["message"] == "The segments have more than 500 terms. Use fewer segments."


def test_a_segment_with_a_problem_disables_the_webhook_and_its_events_wait(
    client: Client, receiver: Receiver
) -> None:
    create(client, "VIP", query="tag:vip -tag:broken")
    of_path: dict[str, dict[str, Any]] = {
        "/q": {"query": "segment:VIP"},
        "/s": {"segments_uids": ["1"]},
        "/none": {},
    }
    for path, settings in of_path.items():
        create_webhook(client, "contact/signup", receiver.url + path, settings=settings)
    break_segments(client, "tag:vip -tag:broken")
    client.create("a@x.test", tags=["vip"])
    client.create("n@x.test")
    wait_until(
        lambda: sum(w["disabled_at"] is not None for w in client.data(STATES)["webhooks"]) == 2
    )
    for state in client.data(STATES)["webhooks"][:2]:
        assert state["disabled_reason"].startswith(
            'A filter is invalid, so no events are sent. The segment "VIP" cannot be read: '
            "No filter is named 'gone'."
        )
        assert (state["paused"], state["missed_count"]) == (False, 2)
    # A filter cannot be saved either, and a repaired segment lets the events pass.
    node: dict[str, Any] = {"settings": {"segments_uids": ["1"]}}
    error = client.expect_error("errors_invalid_input", UPDATE, id="3", node=node)
    assert 'The segment "VIP" cannot be read' in error["message"]
    update(client, "1", query="tag:vip")
    for number in ("1", "2"):
        client.data(UPDATE, id=number, node={"disabled": False})
    receiver.wait(4)
    settle(client)
    assert emails(receiver, "/q") == emails(receiver, "/s") == ["a@x.test"]


def test_dry_runs_check_the_segments(client: Client) -> None:
    create(client, "VIP", query="tag:vip")
    document = CREATE.replace("node: $node", "node: $node, dryRun: true")
    node: dict[str, Any] = {"type": "contact/signup", "url": URL}
    valid: list[dict[str, Any]] = [{"segments_uids": ["1"]}, {"query": "segment:vip"}]
    for settings in valid:
        data = client.data(document, node={**node, "settings": settings})
        assert data["createWebhook"]["settings"] == settings
    wrong = {"segments_uids": ["2"]}
    client.expect_error("errors_invalid_input", document, node={**node, "settings": wrong})
    assert client.data(STATES)["webhooks"] == []
    assert client.data(DELETE, items=["1"])


def test_stored_segments_apply_when_the_settings_are_updated(
    client: Client, receiver: Receiver
) -> None:
    create(client, "VIP", query="tag:vip")
    webhook = create_webhook(client, "contact/signup", receiver.url)
    settings = '{"segments_uids":["U2VnbWVudDo5"]}'
    store_settings(client, settings, filtered=False)
    client.create("a@x.test")
    receiver.wait(1)
    url = ("--database-url", client.server.database_url)
    listed = f"{find_account_name(client.server, client.token)} {webhook['_id']} (segments_uids)"
    assert listed in run_regulars("doctor", *url).stdout
    # It uses no segment, so the segment can be deleted.
    store_settings(client, '{"segments_uids":["1"]}', filtered=False)
    client.data(DELETE.replace("$items)", "$items, dryRun: true)"), items=["1"])
    client.data(UPDATE, id=webhook["id"], node={"settings": {"segments_uids": ["1"]}})
    assert listed not in run_regulars("doctor", *url).stdout
    client.expect_error("errors_in_use", DELETE, items=["1"])
    client.create("b@x.test")
    client.create("v@x.test", tags=["vip"])
    settle_resumed(client)
    assert emails(receiver) == ["a@x.test", "v@x.test"]


def test_another_type_reads_the_stored_segments(client: Client) -> None:
    create(client, "VIP", query="tag:vip")
    webhook = create_webhook(client, "contact/signup", URL, settings={"segments_uids": ["1"]})
    changed = client.data(UPDATE, id=webhook["id"], node={"type": "contact/updated"})
    assert changed["updateWebhook"]["type"] == "contact/updated"
    error = client.expect_error(
        "errors_invalid_input", UPDATE, id=webhook["id"], node={"type": "contact-form/created"}
    )
    assert "`segments_uids` cannot filter events of the type" in error["message"]


@pytest.mark.slow
def test_at_most_500_webhooks_use_segments(client: Client) -> None:
    create(client, "VIP", query="tag:vip")
    node: dict[str, Any] = {"type": "contact/signup", "settings": {"segments_uids": ["1"]}}
    for number in range(500):
        client.data(CREATE, node={**node, "url": f"{URL}{number}"})
    error = client.expect_error("errors_limit", CREATE, node={**node, "url": URL})
    assert error["message"].startswith("This account has 500 webhooks with filters that use")
    client.data(UPDATE, id="1", node={"settings": {"query": "segment:vip"}})
    client.data(CREATE, node={**node, "url": URL, "settings": {}})
    error = client.expect_error(
        "errors_limit", UPDATE, id="501", node={"settings": node["settings"]}
    )
    assert error["extensions"]["input_path"] == ["node", "settings"]
    update(client, "1", name="Renamed")
    assert settings_of(client)[0] == {"query": "segment:Renamed"}


def watched(client: Client) -> list[bool]:
    """Return whether each segment is watched, by `_id`."""
    document = '{ segments(query: "order_dir:asc", first: 100) { edges { node { watched } } } }'
    return [edge["node"]["watched"] for edge in client.data(document)["segments"]["edges"]]


def test_segments_of_webhooks_become_watched(client: Client) -> None:
    for name in ("One", "Two", "Three", "Four"):
        create(client, name, query="tag:a")
    document = CREATE.replace("node: $node", "node: $node, dryRun: true")
    node: dict[str, Any] = {"type": "contact/signup", "url": URL}
    client.data(document, node={**node, "settings": {"segments_uids": ["1"]}})
    create_webhook(client, "contact/updated", URL, settings={"query": "segment:four"})
    assert watched(client) == [False] * 4
    webhook = create_webhook(client, "contact/signup", URL, settings={"segments_uids": ["1"]})
    assert watched(client) == [True, False, False, False]
    settings = {"segments_uids": ["2", "1", "2"]}
    client.data(UPDATE, id=webhook["id"], node={"settings": settings})
    assert watched(client) == [True, True, False, False]
    # They stay watched while the webhook needs it, and afterwards until somebody says otherwise.
    unwatch = {"node": {"watched": False}, "id": "2"}
    error = client.expect_error("errors_in_use", UPDATE_SEGMENT, **unwatch)
    assert error["message"] == (
        'The segment "Two" is used by the webhook 2 (`contact/signup`). Change or delete that one '
        "first."
    )
    assert error["extensions"]["input_path"] == ["node", "watched"]
    client.data("mutation { deleteWebhook(id: 2) }")
    assert watched(client) == [True, True, False, False]
    client.data(UPDATE_SEGMENT, **unwatch)
    assert watched(client) == [True, False, False, False]


def test_at_most_50_segments_become_watched(client: Client) -> None:
    for number in range(51):
        create(client, f"s{number}", watched=number < 49)
    node: dict[str, Any] = {"type": "contact/signup", "url": URL}
    settings = {"segments_uids": ["50", "51"]}
    error = client.expect_error("errors_limit", CREATE, node={**node, "settings": settings})
    assert error["message"] == "50 segments are watched, the maximum. Stop watching one first."
    assert error["extensions"]["input_path"] == ["node", "settings", "segments_uids"]
    assert client.data(STATES)["webhooks"] == []
    assert not any(watched(client)[49:])
    webhook = create_webhook(client, "contact/signup", URL, settings={"segments_uids": ["1", "50"]})
    assert sum(watched(client)) == 50
    client.expect_error("errors_limit", UPDATE, id=webhook["id"], node={"settings": settings})
    client.data(UPDATE, id=webhook["id"], node={"settings": {"segments_uids": ["2", "50"]}})


def test_deletions_of_the_last_known_members_are_sent(client: Client, receiver: Receiver) -> None:
    vip = create(client, "VIP", query="tag:vip -tag:known")
    ids = [client.create(f"{name}@x.test", tags=["vip"] * (name < "e"))["id"] for name in "abcdef"]
    create_webhook(client, "contact/deleted", receiver.url, settings={"segments_uids": [vip["id"]]})
    settle(client)
    client.update(ids[1], tags=[])  # leaves
    client.update(ids[4], tags=["vip"])  # enters
    settle(client)
    client.delete(ids[0])
    for number in (1, 4, 5):
        client.delete(ids[number])
    document = "mutation($i: [ID!]!) { deleteCustomers(items: $i, permanent: true) }"
    client.data(document, i=[ids[2]])
    settle(client)
    assert [request.json["node"]["id"] for request in receiver.requests] == [ids[0], ids[4], ids[2]]
    # A problem of the segment changes nothing: its members are known.
    break_segments(client, "tag:vip -tag:known")
    client.delete(ids[3])
    receiver.wait(4)
    update(client, vip, query="tag:vip")
    assert receiver.requests[-1].json["node"]["id"] == ids[3]


def test_a_webhook_of_entries_and_exits_names_its_segments(
    client: Client, receiver: Receiver
) -> None:
    vip = create(client, "VIP", query="tag:vip")
    create(client, "Other", query="tag:other", watched=True)
    for path, type_, settings in (
        ("/in", "segment/entered", {"segments_uids": [vip["id"]]}),
        ("/out", "segment/left", {"segments_uids": [vip["id"]]}),
        ("/all", "segment/left", {}),
    ):
        create_webhook(client, type_, receiver.url + path, settings=settings)
    settle(client)
    customer_id = client.create("a@x.test", tags=["vip", "other"])["id"]
    settle(client)
    client.update(customer_id, tags=[])
    settle(client)
    sent = {
        path: sorted(request.json["segment"]["name"] for request in receiver.requests_to(path))
        for path in ("/in", "/out", "/all")
    }
    # The events of several segments have no order.
    assert sent == {"/in": ["VIP"], "/out": ["VIP"], "/all": ["Other", "VIP"]}
