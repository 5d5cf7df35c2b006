"""The permanent deletion of a customer removes its values from every table."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.core.clock import now_ms
from regulars.orders.inbox_keys import EVERYBODY, MAX_KEYS, find_keys
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_snapshot
from regulars.store.query import Query
from regulars.store.tables import metadata
from regulars.store.writes import blank_late_attempts, forget_deleted_shop_ids
from regulars.transfer.uploads import RETENTION_MS, forget_old
from regulars.trash.table import trash
from regulars.webhooks import inbox_queries
from tests.receiver import Receiver
from tests.support import (
    Client,
    create_token,
    find_account_name,
    run_regulars,
    wait_until,
    with_store,
)
from tests.test_inbound import Shop, order
from tests.test_webhooks import client as client
from tests.test_webhooks import create_webhook
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

_marks = itertools.count(1)
# Not read: rejected rows of imports stay for 30 days, and ids of the shop as long as the inbox.
KEPT = {"imports", "import_parts", "deleted_shop_ids"}


def tables_with(url: str, mark: str) -> dict[str, list[str]]:
    """Return the rows that contain a text, by table."""

    def scan(connection: sa.Connection) -> dict[str, list[str]]:
        matches: dict[str, list[str]] = {}
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                shown = " ".join(
                    readable(table, bytes(v)) if isinstance(v, bytes) else str(v) for v in row
                )
                if mark in shown.lower().replace("\\u0040", "@"):
                    matches.setdefault(table.name, []).append(shown)
        return matches

    return run_in_snapshot(parse_url(url), scan)


def readable(table: sa.Table, content: bytes) -> str:
    """Return the text of a binary value. A body in the trash is compressed."""
    if table is trash:
        content = zlib.decompress(content)
    return content.decode("utf-8", "replace")


def without_trash(shop: Shop) -> None:
    """Have the account of a shop delete customers at once."""
    options = ("--account", shop.name, "--set", "trash_days=0")
    assert run_regulars("account", "settings", *options, *shop.database).returncode == 0


@pytest.fixture
def mark() -> str:
    """A text that no other test stores."""
    return f"zqx{next(_marks)}mark"


@pytest.fixture
def shop(open_server: Any) -> Iterator[Shop]:
    shop_client = Shop(open_server)
    yield shop_client
    shop_client.close()


def fill(shop: Shop, receiver: Receiver, mark: str) -> str:
    """Write rows about one customer into every table; return its global id."""
    email = f"{mark}.now@example.com"
    address = {"line1": f"1 {mark} Street", "city": f"{mark} City", "country": "MA"}
    token = create_token(
        shop.client.server, shop.name, scopes=("customers", "orders:write", "webhooks")
    )
    with Client(shop.client.server, token) as client:
        receiver.respond = lambda received: (200, {"x-echo": mark}, received.body)
        create_webhook(client, "contact/updated", f"{receiver.url}/updated")
        create_webhook(client, "order/created", f"{receiver.url}/order")
        node: dict[str, Any] = {
            "id": "cus_1",
            "email": f"{mark}.first@example.com",
            "first_name": mark,
            "phone": "+1 555",
            "notes": mark,
            "custom": {mark: mark},
            "shipping_address": address,
        }
        shop.expect_understood("contact/updated", node)
        number = shop.customer("id")["id"]
        update = "mutation($i: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $i, node: $n) { id } }"
        for key, changed in ((f"one-{number}", {"email": email}), ("two", {"tags": [mark]})):
            headers = {"Idempotency-Key": key}
            answer = client.post(update, {"i": number, "n": changed}, headers)
            assert "errors" not in answer.json(), answer.text
        record = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
        # The currency of the shop's event: a new one is counted in the background.
        recorded = {"name": f"#{mark}", "email": email, "total": 5, "referrer": mark}
        recorded["currency"] = "MAD"
        for more in ({}, {"tags": [mark]}, {"shipping_address": address, "phone": mark}):
            client.post(record, {"n": recorded | more}, {"Idempotency-Key": f"order {len(more)}"})
        shop.expect_understood(
            "order/created", order(id="order_1", customer={"id": "cus_1", "full_name": mark})
        )
        lead = {"email": email, "subject": mark, "message": mark}
        client.data("mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }", n=lead)
        client.data("mutation($i: ID!) { recordVisit(id: $i) { id } }", i=number)
        comment = (
            "mutation($i: ID!, $n: InputComment!) { addComment(customer: $i, node: $n) { id } }"
        )
        client.post(comment, {"i": number, "n": {"text": mark}}, {"Idempotency-Key": "comment"})
        receiver.wait(3, "/updated")
        receiver.wait(2, "/order")
    keep(shop, email, mark)
    file = f'email,first_name,_id\n"not {mark}",{mark},{mark}\n'.encode()
    response = shop.client.http.post("/import", content=file, headers={"content-type": "text/csv"})
    assert response.status_code == 202, response.text
    location = response.headers["location"]
    wait_until(lambda: shop.client.http.get(location).json()["data"]["state"] == "done")
    return str(number)


def keep(shop: Shop, email: str, mark: str) -> None:
    """Store events in the inbox: some about the customer, and one about another."""
    bodies = (
        {"node": {"email": email.upper(), "tags": 5}},
        {"node": {"name": 5, "customer": {"id": "cus_1", "full_name": mark}}},
        {"node": {"name": 5, "deep": [{"inner": f"write to {email}."}]}},
    )
    for body in bodies:
        text = json.dumps(body).replace("@", "\\u0040").encode()
        assert not shop.post("order/created", text).json()["data"]["understood"]
    broken = f'{{"node": {{"email": "{email}", '.encode()
    assert not shop.post("order/created", broken).json()["data"]["understood"]
    shop.send("order/created", {"name": 5, "email": "other@example.com"})
    assert len(shop.list_inbox()) == 5


def assert_gone(shop: Shop, mark: str) -> None:
    def remaining() -> dict[str, list[str]]:
        matches = tables_with(shop.client.server.database_url, mark)
        return {name: rows for name, rows in matches.items() if name not in KEPT}

    assert remaining() == {}
    assert len(shop.list_inbox()) == 1
    assert run_regulars("verify", *shop.database).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", ["deleteCustomers", "contact/deleted"])
def test_nothing_of_a_deleted_customer_remains(
    shop: Shop, receiver: Receiver, mark: str, path: str
) -> None:
    number = fill(shop, receiver, mark)
    before = tables_with(shop.client.server.database_url, mark)
    assert {
        *("customers", "orders", "leads", "history", "receipts", "attempts", "terms"),
        *("inbox", "inbox_keys", "import_parts", "comments"),
    } <= before.keys()
    if path == "deleteCustomers":
        shop.client.delete(number, permanent=True)
    else:
        without_trash(shop)
        shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert shop.client.page()["edges"] == []
    assert_gone(shop, mark)

    async def a_month_later(store: Store) -> None:
        later = now_ms() + RETENTION_MS + 1
        await forget_old(store, later)
        before = {"before": later}
        await store.execute(
            [
                (inbox_queries.delete_old_events(), before),
                (inbox_queries.delete_orphaned_keys(), {}),
            ]
        )
        await store.execute([(forget_deleted_shop_ids(), before)])

    with_store(shop.client.server.database_url, a_month_later)
    assert tables_with(shop.client.server.database_url, mark) == {}
    assert shop.list_inbox() == []
    assert not tables_with(shop.client.server.database_url, "cus_1").keys() - {"shop_ids"}


def test_pull_deletes_inbox_events_of_a_deleted_customer(shop: Shop, mark: str) -> None:
    email = f"{mark}@example.com"
    server = shop.client.server
    with Client(server, create_token(server)) as remote:
        number = remote.create(email, first_name=mark)["id"]
        remote.create("other@example.com")
        without_trash(shop)
        options = ("--account", shop.name, "--delete", "--json")
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": remote.token}
        assert run_regulars("pull", server.url, *options, env=env).returncode == 0
        shop.expect_understood("contact/updated", {"id": "cus_1", "email": email, "notes": mark})
        keep(shop, email, mark)
        remote.delete(number, permanent=True)
        result = run_regulars("pull", server.url, *options, env=env)
        assert json.loads(result.stdout)["deleted"] == 1, result.stdout
    assert_gone(shop, mark)


def test_messages_about_rows_rejected_by_old_pulls_are_deleted(shop: Shop, mark: str) -> None:
    """The messages may quote customers. The cursor of the pull is kept."""
    server = shop.client.server
    name = find_account_name(server, shop.client.token)
    with Client(server, create_token(server)) as remote:
        remote.create("a@example.com")
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": remote.token}
        run_regulars("pull", server.url, "--account", name, env=env)

        async def age(store: Store, later: int = RETENTION_MS + 1) -> None:
            quote = sa.text(f"UPDATE imports SET problems = '{{\"{mark}\": 1}}'")
            await store.execute([(Query(quote), {})])
            await forget_old(store, now_ms() + later)

        with_store(server.database_url, lambda store: age(store, 0))
        assert "imports" in tables_with(server.database_url, mark)
        with_store(server.database_url, age)
        assert "imports" not in tables_with(server.database_url, mark)
        again = run_regulars("pull", server.url, "--account", name, "--since", "last", env=env)
        assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_attempt_recorded_during_a_deletion_is_blanked(
    shop: Shop, receiver: Receiver, mark: str
) -> None:
    """The statement that deletes the customer does not see such an attempt. The test writes it after
    the deletion."""
    number = fill(shop, receiver, mark)
    shop.client.delete(number, permanent=True)
    remaining = sa.text(f'UPDATE attempts SET exchange = \'{{"request": "{mark}"}}\'')
    url = shop.client.server.database_url

    async def forget(store: Store) -> None:
        await store.execute([(Query(remaining), {})])
        await store.execute([(blank_late_attempts(), {"since": now_ms() + 1_000})])

    with_store(url, forget)
    assert "attempts" in tables_with(url, mark)

    async def forget_lately(store: Store) -> None:
        await store.execute([(blank_late_attempts(), {"since": now_ms() - 600_000})])

    with_store(url, forget_lately)
    assert "attempts" not in tables_with(url, mark)


def test_keys_of_an_event_are_its_emails_and_ids() -> None:
    event = {
        "node": {
            "id": "order_1",
            "email": "Ana@EXÄMPLE.com",
            "customer": {"id": "cus_1"},
            "notes": ["mailto:<ben@example.com>, ana@xn--exmple-cua.com."],
        }
    }
    escaped = json.dumps(event).encode()
    assert set(find_keys(escaped)) >= {"order_1", "cus_1", "ana@exämple.com", "ben@example.com"}
    assert set(find_keys(b"{broken ana@example.com")) == {"ana@example.com"}
    assert find_keys(b"[]") == find_keys(b'{"node": 5}') == []
    many = json.dumps([f"u{n}@example.com" for n in range(MAX_KEYS + 1)]).encode()
    assert find_keys(many) == [EVERYBODY]


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("o'neil@x.com", "o'neil@x.com"),
        ("'quoted@x.com'", "quoted@x.com"),
        ("write to a@x.com! now", "a@x.com"),
        ("https://shop.example/?email=a@x.com&utm=1", "a@x.com"),
        ("a@b.com/other@x.com", "other@x.com"),
        ("a@b.com/other@x.com", "a@b.com"),
        ("a+b@x.com.", "a+b@x.com"),
    ],
)
def test_an_email_within_a_text_is_a_key(text: str, email: str) -> None:
    assert email in find_keys(json.dumps({"node": {"notes": text}}).encode())
    assert email in _migration_keys(json.dumps({"node": {"notes": text}}).encode())


def _migration_keys(body: bytes) -> list[str]:
    name = "regulars.store.migrations.versions.v0010_inbox_keys"
    matches: list[str] = import_module(name)._keys(body)
    return matches
