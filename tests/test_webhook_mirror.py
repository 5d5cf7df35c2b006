"""One Regulars mirrors another by webhooks alone: what A sends, B understands."""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections.abc import Iterator
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

# What an event tells of a customer. `_id` and the times are the mirror's own.
COLUMNS = (
    "email,phone,first_name,last_name,accepts_marketing,notes,tags,custom,shipping_address,"
    "billing_address"
)
WRITES = 1_000
WAIT_SECONDS = 120
# An event that is refused once comes again after a second.
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
    """A server, and the one that mirrors it."""
    with ExitStack() as stack, scratch_database(postgresql) as url:
        urls = [f"sqlite:///{tmp_path / 'r.db'}", url]
        if request.param.startswith("postgresql"):
            urls.reverse()
        first, second = (stack.enter_context(run_server(url, env=ENV)) for url in urls)
        yield first, second


def exported(server: Server, folder: Path) -> list[dict[str, Any]]:
    file = folder / "customers.jsonl"
    file.unlink(missing_ok=True)
    options = ("--columns", COLUMNS, "--account", "shop", "--database-url", server.database_url)
    done = run_regulars("export", str(file), *options)
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, file.read_text().splitlines())
    # An event says `{}` for custom fields that are null, too.
    same = [{**row, "custom": row["custom"] or None} for row in rows]
    return sorted(same, key=lambda row: str(row["email"]))


async def forget_late_attempts(store: Store) -> None:
    await store.execute([(blank_late_attempts(), {"since": 0})])


class Writer:
    """Writes at random, as several programs do."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.draw = random.Random(seed)

    def email(self) -> str:
        return f"u{self.draw.randrange(120)}@example.com"

    def node(self) -> dict[str, Any]:
        draw = self.draw
        address = {"line1": draw.choice(["1 Rue", None]), "city": draw.choice(["Fès", "Paris"])}
        every: dict[str, Any] = {
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
        return {name: every[name] for name in draw.sample(sorted(every), draw.randrange(5))}

    def write(self) -> None:
        draw, run = self.draw, self.client.run
        ids = [edge["node"]["id"] for edge in self.client.page("id", first=100)["edges"]]
        chosen = draw.choice(ids) if ids else ""
        kind = draw.random()
        if kind < 0.3 or not ids:
            node = {**self.node(), "email": self.email()}
            self.ignore("mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }", n=node)
        elif kind < 0.65:
            node = self.node() | ({"email": self.email()} if draw.random() < 0.3 else {})
            update = """mutation($i: ID!, $n: InputUpdateCustomer!) {
              updateCustomer(id: $i, node: $n) { id } }"""
            self.ignore(update, i=chosen, n=node)
        elif kind < 0.8:
            self.ignore("mutation($i: [ID!]!) { deleteCustomers(items: $i) }", i=[chosen])
        elif kind < 0.9:
            nodes = [{**self.node(), "email": self.email()} for _ in range(3)]
            many = """mutation($n: [InputSetCustomer!]!) {
              setCustomers(nodes: $n, errorPolicy: REJECT_ROW) { saved } }"""
            self.ignore(many, n=nodes)
        elif kind < 0.95:
            order = {"name": f"#{draw.random()}", "email": self.email(), "total": 5, "phone": "+9"}
            run("mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }", n=order)
        else:
            lead = {"email": self.email(), "first_name": "Lead", "message": "Hello"}
            run("mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }", n=lead)

    def ignore(self, document: str, **variables: Any) -> None:
        """Writes; another may have been faster, or have the email."""
        answer = self.client.run(document, **variables)
        keys = {error["key"] for error in answer.get("errors", ())}
        assert keys <= {"errors_dup_email", "errors_customer_not_found"}, answer


@pytest.mark.slow
def test_one_regulars_mirrors_another_by_webhooks(
    servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    for server in servers:
        made = run_regulars("account", "create", "shop", "--database-url", server.database_url)
        assert made.returncode == 0, made.stderr
    scopes = ("customers", "orders:write", "webhooks")
    tokens = [create_token(server, "shop", scopes=scopes) for server in servers]
    place = ("--account", "shop", "--database-url")
    secret = run_regulars("webhook-secret", "show", *place, first.database_url).stdout.strip()
    monkeypatch.setattr(sys, "stdin", io.StringIO(secret.splitlines()[0] + "\n"))
    done = run_regulars("inbox", "secret", *place, second.database_url)
    assert done.returncode == 0, done.stderr
    with Client(first, tokens[0]) as client:
        for type_ in ("contact/signup", "contact/updated", "contact/deleted"):
            node = {"type": type_, "url": f"{second.url}/in/shop/{type_}"}
            client.data("mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }", n=node)

        def write(seed: int) -> None:
            with Client(first, tokens[0]) as mine:
                writer = Writer(mine, seed)
                for _ in range(WRITES // 4):
                    writer.write()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        kept = ("inbox", "list", "--json", *place, second.database_url)
        wanted = exported(first, tmp_path)
        assert len(wanted) > 20
        waited = time.monotonic()
        while (found := exported(second, tmp_path)) != wanted:
            if time.monotonic() > waited + WAIT_SECONDS:
                break
            time.sleep(1)
        assert json.loads(run_regulars(*kept).stdout) == []
        assert [row for row in found if row not in wanted] == []
        assert [row for row in wanted if row not in found] == []
        assert found == wanted
    for server in servers:
        # The server does it every ten minutes.
        with_store(server.database_url, forget_late_attempts)
        assert run_regulars("verify", "--database-url", server.database_url).returncode == 0
