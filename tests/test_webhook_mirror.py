"""A server mirrors the customers of another by webhooks alone."""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from regulars.store import Store
from regulars.store.writes import blank_late_attempts
from tests.support import (
    Client,
    Server,
    create_token,
    run_regulars,
    run_server,
    scratch_database,
    with_store,
)

# The columns in an event. The mirror has its own `_id` and timestamps.
COLUMNS = (
    "email,phone,first_name,last_name,accepts_marketing,notes,tags,custom,shipping_address,"
    "billing_address,emails,phones,addresses"
)
CONFLICTS = {"errors_dup_email", "errors_customer_not_found", "errors_restore_conflict"}
RESTORE = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }"
UPDATE = """mutation($i: ID!, $n: InputUpdateCustomer!) {
  updateCustomer(id: $i, node: $n) { id } }"""
ACCOUNT = ("--account", "shop", "--database-url")
WRITES = 1_000
WAIT_SECONDS = 120
# The retry time makes the first retry after a second.
ENV = {
    "REGULARS_WEBHOOK_PRIVATE_TARGETS": "true",
    "REGULARS_WEBHOOK_RETRY_SECONDS": "3000",
    "REGULARS_RATE_LIMIT": "1000000",
    "REGULARS_RATE_BURST": "1000000",
}


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
def servers(
    request: pytest.FixtureRequest, postgresql: str, tmp_path: Path
) -> Iterator[tuple[Server, Server]]:
    """Run a server, and a second one that mirrors it."""
    with ExitStack() as stack, scratch_database(postgresql) as url:
        urls = [f"sqlite:///{tmp_path / 'r.db'}", url]
        if request.param.startswith("postgresql"):
            urls.reverse()
        first, second = (stack.enter_context(run_server(url, env=ENV)) for url in urls)
        yield first, second


def export_rows(server: Server, folder: Path) -> list[dict[str, Any]]:
    file = folder / "customers.jsonl"
    file.unlink(missing_ok=True)
    options = ("--columns", COLUMNS, "--account", "shop", "--database-url", server.database_url)
    done = run_regulars("export", str(file), *options)
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, file.read_text().splitlines())
    # An event says `{}` for custom fields that are null, too.
    comparable_rows = [{**row, "custom": row["custom"] or None} for row in rows]
    return sorted(comparable_rows, key=lambda row: str(row["email"]))


def numbers_by_email(client: Client) -> dict[str, int]:
    edges = client.page("_id email", first=250)["edges"]
    return {edge["node"]["email"]: edge["node"]["_id"] for edge in edges}


async def erase_late_attempts(store: Store) -> None:
    await store.execute([(blank_late_attempts(), {"since": 0})])


class Writer:
    """Makes random writes."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.draw = random.Random(seed)
        self.deleted: list[str] = []

    def email(self) -> str:
        return f"u{self.draw.randrange(120)}@example.com"

    def lists(self, email: str) -> dict[str, Any]:
        """Return lists of emails, phones or addresses, or the default addresses."""
        draw = self.draw
        streets = [{"line1": "1 Rue", "city": "Fès"}, {"city": "Paris"}, {"country": "MA"}]
        books: list[list[dict[str, Any]]] = [
            [{"address": street, "label": draw.choice(["", "old"])} for street in chosen]
            for chosen in (streets[:1], streets, [])
        ]
        for book in books[: draw.randrange(3)]:
            book[-1]["default_shipping"] = True
        values: dict[str, Any] = {
            "emails": [{"email": email, "default": True}, {"email": self.email(), "label": "b"}],
            "phones": [
                {"phone": "+1 555", "label": draw.choice(["", "desk"])},
                {"phone": "+3 777"},
            ],
            "addresses": draw.choice(books),
        }
        return {name: values[name] for name in draw.sample(sorted(values), draw.randrange(3))}

    def node(self) -> dict[str, Any]:
        draw = self.draw
        address = {"line1": draw.choice(["1 Rue", None]), "city": draw.choice(["Fès", "Paris"])}
        values: dict[str, Any] = {
            "phone": draw.choice(["", "+1 555", "+2 666"]),
            "first_name": draw.choice(["", "Ana", "Éva", "Ана"]),
            "last_name": draw.choice(["", "Sá Nunes"]),
            "notes": draw.choice([None, "a\nnote", "another"]),
            "tags": draw.sample(["a", "b", "c"], draw.randrange(3)),
            "accepts_marketing": draw.choice([True, False]),
            "custom": draw.choice(
                [
                    {"k": 1},
                    {"k": None},
                    {"k": {"x": draw.randrange(3)}},
                    {"k": {"x": None, "y": [1]}},
                ]
            ),
            "shipping_address": draw.choice([None, address, {"country": "MA"}]),
            "billing_address": draw.choice([None, address]),
        }
        return {name: values[name] for name in draw.sample(sorted(values), draw.randrange(5))}

    def write(self) -> None:
        draw, run = self.draw, self.client.run
        ids = [edge["node"]["id"] for edge in self.client.page("id", first=100)["edges"]]
        chosen = draw.choice(ids) if ids else ""
        kind = draw.random()
        if kind < 0.3 or not ids:
            node = {**self.node(), "email": self.email()}
            self.write_ignoring_conflicts(
                "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }", n=node
            )
        elif kind < 0.4:
            email = self.email()
            self.write_ignoring_conflicts(UPDATE, i=chosen, n={"email": email} | self.lists(email))
        elif kind < 0.65:
            node = self.node() | ({"email": self.email()} if draw.random() < 0.3 else {})
            self.write_ignoring_conflicts(UPDATE, i=chosen, n=node)
        elif kind < 0.75:
            self.write_ignoring_conflicts(
                "mutation($i: [ID!]!) { deleteCustomers(items: $i) }", i=[chosen]
            )
            self.deleted.append(chosen)
        elif kind < 0.8:
            restored = self.deleted[-1:] if draw.random() < 0.5 else self.deleted[:1]
            self.write_ignoring_conflicts(RESTORE, i=restored)
        elif kind < 0.9:
            nodes = [{**self.node(), "email": self.email()} for _ in range(3)]
            many = """mutation($n: [InputSetCustomer!]!) {
              setCustomers(nodes: $n, errorPolicy: REJECT_ROW) { saved } }"""
            self.write_ignoring_conflicts(many, n=nodes)
        elif kind < 0.95:
            order = {"name": f"#{draw.random()}", "email": self.email(), "total": 5, "phone": "+9"}
            run("mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }", n=order)
        else:
            lead = {"email": self.email(), "first_name": "Lead", "message": "Hello"}
            run("mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }", n=lead)

    def write_ignoring_conflicts(self, document: str, **variables: Any) -> None:
        """Write, and ignore conflicts with other writes: a deleted customer, a used email."""
        response = self.client.run(document, **variables)
        keys = {error["key"] for error in response.get("errors", ())}
        assert keys <= CONFLICTS, response


def connect(first: Server, second: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the second server mirror an account of the first one. Return a token of each."""
    for server in (first, second):
        created = run_regulars("account", "create", "shop", "--database-url", server.database_url)
        assert created.returncode == 0, created.stderr
    scopes = ("customers", "orders:write", "webhooks")
    tokens = [create_token(server, "shop", scopes=scopes) for server in (first, second)]
    secret = run_regulars("webhook-secret", "show", *ACCOUNT, first.database_url).stdout.strip()
    monkeypatch.setattr(sys, "stdin", io.StringIO(secret.splitlines()[0] + "\n"))
    result = run_regulars("inbox", "secret", *ACCOUNT, second.database_url)
    assert result.returncode == 0, result.stderr
    with Client(first, tokens[0]) as client:
        for type_ in ("signup", "updated", "deleted", "restored"):
            url = f"{second.url}/in/shop/contact/{type_}"
            node = {"type": f"contact/{type_}", "url": url}
            client.data("mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }", n=node)
    return tokens


def wait_for(check: Callable[[], bool]) -> None:
    """Wait until a check is true."""
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline, "the mirror is not the same after 60 s"
        time.sleep(0.1)


BY_EMAIL = """query($e: String!) { customer(by: {email: $e}) { email phone shipping_address { line1 } emails { email label default
  verified_at(format: "ISO") } phones { phone label default } addresses { label default_shipping default_billing
  address { line1 city company } } } }"""


def test_lists_are_mirrored_by_webhooks(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = connect(*servers, monkeypatch)
    with Client(servers[0], tokens[0]) as client, Client(servers[1], tokens[1]) as mirror:

        def expect_equal(*emails: str) -> None:
            def same() -> bool:
                there = [
                    each.run(BY_EMAIL, e=email) for email in emails for each in (client, mirror)
                ]
                return all(
                    a == b and a["data"]["customer"]
                    for a, b in zip(there[::2], there[1::2], strict=True)
                )

            wait_for(same)

        first = client.create(
            "ana@x.test",
            emails=[
                {"email": "ana@x.test", "label": "work", "default": True},
                {"email": "home@x.test", "verified_at": "2026-01-02T03:04:05.000Z"},
            ],
            phones=[{"phone": "+351912345678", "label": "mobile"}, {"phone": "225550123"}],
            addresses=[
                {
                    "address": {"line1": "Rua 8", "company": "Acme"},
                    "default_shipping": True,
                    "label": "Old",
                },
                {"address": {"line1": "Calle 1"}, "default_billing": True},
                {"address": {"city": "Paris"}, "label": "Boat"},
            ],
        )["id"]
        expect_equal("ana@x.test")
        # Replaced, with another default, and then without anything more than defaults.
        lists = {
            "emails": [{"email": "home@x.test", "default": True}, {"email": "ana@x.test"}],
            "phones": [{"phone": "225550123"}],
            "addresses": [
                {"address": {"city": "Paris"}},
                {"address": {"line1": "Rua 9"}, "default_billing": True},
            ],
        }
        client.data(UPDATE, i=first, n=lists)
        expect_equal("home@x.test")
        # An email moves to another customer, who is created before the first one is changed there.
        client.data(UPDATE, i=first, n={"emails": [{"email": "home@x.test"}], "addresses": []})
        client.create("ben@x.test", emails=[{"email": "ana@x.test", "label": "taken over"}])
        expect_equal("home@x.test", "ben@x.test")
        # Only a default: an event changes it, and leaves a list of the mirror as the sender has it.
        client.data(UPDATE, i=first, n={"shipping_address": {"line1": "Weg 5"}, "phone": "1"})
        expect_equal("home@x.test")
    assert (
        json.loads(
            run_regulars("inbox", "list", "--json", *ACCOUNT, servers[1].database_url).stdout
        )
        == []
    )
    for server in servers:
        assert run_regulars("verify", "--database-url", server.database_url).returncode == 0


@pytest.mark.slow
def test_a_server_mirrors_another_by_webhooks(
    servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    tokens = connect(first, second, monkeypatch)
    with Client(first, tokens[0]) as client:

        def write(seed: int) -> None:
            with Client(first, tokens[0]) as client:
                writer = Writer(client, seed)
                for _ in range(WRITES // 4):
                    writer.write()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        inbox_command = ("inbox", "list", "--json", *ACCOUNT, second.database_url)

        def expect_equal_customers() -> None:
            source_rows = export_rows(first, tmp_path)
            assert len(source_rows) > 20
            start_seconds = time.monotonic()
            while (mirrored_rows := export_rows(second, tmp_path)) != source_rows:
                if time.monotonic() > start_seconds + WAIT_SECONDS:
                    break
                time.sleep(1)
            assert json.loads(run_regulars(*inbox_command).stdout) == []
            assert [row for row in mirrored_rows if row not in source_rows] == []
            assert [row for row in source_rows if row not in mirrored_rows] == []
            assert mirrored_rows == source_rows

        expect_equal_customers()
        # Most events of a restore came before those of its deletion, which were then late.
        ids = [edge["node"]["id"] for edge in client.page("id", first=5)["edges"]]
        with Client(second, tokens[1]) as mirror:
            before = numbers_by_email(mirror)
            client.delete(*ids)
            expect_equal_customers()
            assert len(numbers_by_email(mirror)) == len(before) - len(ids)
            client.data(RESTORE, i=ids)
            expect_equal_customers()
            assert numbers_by_email(mirror) == before
    for server in servers:
        # The server does this every ten minutes.
        with_store(server.database_url, erase_late_attempts)
        assert run_regulars("verify", "--database-url", server.database_url).returncode == 0
