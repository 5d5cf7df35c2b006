"""The kinds of an order's changes depend only on the states before and after each write."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.directory.decide import decide
from regulars.directory.entities import ENTITIES
from regulars.orders.commands import RecordOrder
from regulars.orders.shop_input import clean_order, clean_order_details
from regulars.store import State
from regulars.webhooks.values import TYPES
from tests.receiver import Receiver
from tests.support import Client, example_count
from tests.test_history import read_feed
from tests.test_webhooks import client as client
from tests.test_webhooks import create_webhook
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

NONE = dict.fromkeys(ENTITIES.counters, 0)
ORDER = {"name": "#1", "email": "ana@example.com", "total": 10}
STATUS: dict[str, list[Any]] = {
    "financial_status": ["pending", "paid", "refunded", "partially_refunded"],
    "fulfillment_status": ["unfulfilled", "fulfilled", "partial"],
    "refunded_amount": [0, 2.5, 5, 10],
    "cancelled_at": [None, "2024-03-19T00:00:00Z", "2024-03-20T00:00:00Z"],
    "tags": [[], ["x"]],
}
Node = dict[str, Any]
STEPS = st.lists(
    st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in STATUS.items()}),
    min_size=1,
    max_size=12,
)


def expected_kinds(before: Node | None, after: Node) -> list[str]:
    """Return the kinds of the changes of a write from the states before and after it."""
    if before == after:
        return []
    previous = before or {
        "financial_status": "pending",
        "fulfillment_status": "unfulfilled",
        "refunded_amount": 0,
        "cancelled_at": None,
    }
    conditions = {
        "order_created": before is None,
        "order_confirmed": previous["financial_status"] == "pending" != after["financial_status"],
        "order_fulfilled": previous["fulfillment_status"] != after["fulfillment_status"],
        "order_refunded": previous["refunded_amount"] < after["refunded_amount"],
        "order_cancelled": previous["cancelled_at"] is None is not after["cancelled_at"],
        "order_uncancelled": previous["cancelled_at"] is not None and after["cancelled_at"] is None,
    }
    return [kind for kind, is_met in conditions.items() if is_met] or ["order_updated"]


def states_after(steps: list[Node]) -> list[Node]:
    """Return the state of an order after each step."""
    state: Node = {
        "financial_status": "paid",
        "fulfillment_status": "unfulfilled",
        "refunded_amount": 0,
        "cancelled_at": None,
        "tags": [],
    }
    states = []
    for step in steps:
        state = {**state, **step}
        states.append(state)
    return states


@settings(max_examples=example_count(300), deadline=None)
@given(STEPS)
def test_kinds_depend_only_on_the_two_states(steps: list[Node]) -> None:
    commands = []
    for at, step in enumerate(steps, 1):
        values, person, problems = clean_order({**ORDER, **step}, ())
        assert not problems
        commands.append(RecordOrder(values, person, at, details=clean_order_details(step)))
    _, changes = decide(1, commands, State(NONE))
    entries = [e for e in changes.of("history").inserted if e["kind"].startswith("order_")]
    before: Node | None = None
    for at, after in enumerate(states_after(steps), 1):
        of_step = [entry for entry in entries if entry["at"] == at]
        assert [entry["kind"] for entry in of_step] == expected_kinds(before, after)
        # The first entry has all fields that changed, and the others have none.
        assert [entry["fields"] for entry in of_step[1:]] == [None] * len(of_step[1:])
        assert bool(of_step and of_step[0]["fields"]) == (
            before is not None and before != after
        ) or (before is None)
        before = after
    updated = [entry["kind"] for entry in entries if entry["kind"] in TYPES["order/updated"]]
    assert updated == [entry["kind"] for entry in entries if entry["kind"] != "order_created"]


@pytest.mark.slow
def test_an_order_updated_webhook_receives_all_changes_but_the_first(
    client: Client, receiver: Receiver
) -> None:
    """As above, with the events that a server sends."""
    create_webhook(client, "order/updated", receiver.url + "/updated")
    draw = random.Random(8)
    steps: list[Node] = [{}]
    for _ in range(25):
        names = draw.sample(sorted(STATUS), 2)
        steps.append({name: draw.choice(STATUS[name]) for name in names})
    record = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
    for step in steps:
        client.data(record, n={**ORDER, **step})
    page = [edge["node"] for edge in read_feed(client, first=100)["edges"]]
    entries = [entry for entry in page if entry["kind"].startswith("order_")]
    kinds: list[str] = []
    before = None
    for after in states_after(steps):
        kinds += expected_kinds(before, after)
        before = after
    assert [entry["kind"] for entry in entries] == kinds
    sequences = [entry["sequence"] for entry in entries if entry["kind"] != "order_created"]
    receiver.wait(len(sequences), "/updated")
    time.sleep(0.3)
    sent = [
        int(request.event_id.rpartition("-")[2]) for request in receiver.requests_to("/updated")
    ]
    assert sent == sequences
