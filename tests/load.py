"""Clients that write, remember what they were answered, and look whether it is there."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support import Client, Server

CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { _id email version } }"
UPDATE = """mutation($id: ID!, $node: InputUpdateCustomer!) {
    updateCustomer(id: $id, node: $node) { _id phone version } }"""
DELETE = "mutation($id: ID!) { deleteCustomers(items: [$id]) }"
READ = 'query($after: String) { customers(first: 250, after: $after, query: "order_by:id order_dir:asc") { edges { node { _id email phone tags version } } pageInfo { endCursor hasNextPage } } }'

# What a customer is, as far as its writer was told: the phone that it has, or None once deleted.
Known = dict[str, Any]


@dataclass(slots=True)
class Writer:
    """One client, with customers of its own. `certain` is what was answered; `asked` what was sent
    and not answered: it may be done, or not."""

    name: str
    certain: Known = field(default_factory=dict)
    asked: dict[str, set[Any]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    number: int = 0


@contextmanager
def writing(
    server: Server, token: str, clients: int, writers: list[Writer] | None = None
) -> Iterator[list[Writer]]:
    """Writes with so many clients until the block ends."""
    stop = threading.Event()
    made = writers or [Writer(f"w{n}x{time.monotonic_ns()}") for n in range(clients)]
    threads = [
        threading.Thread(target=_write, args=(server, token, writer, stop)) for writer in made
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _write(server: Server, token: str, writer: Writer, stop: threading.Event) -> None:
    ids: dict[str, int] = {}
    with Client(server, token) as client:
        while not stop.is_set():
            writer.number += 1
            turn = writer.number % 4
            old = f"{writer.name}.{writer.number - 2}@example.com"
            if turn == 3 and old in ids:
                value, email = f"+1 555 {writer.number}", old
                sent = (UPDATE, {"id": str(ids[old]), "node": {"phone": value}})
            elif turn == 0 and old in ids:
                value, email = None, old
                sent = (DELETE, {"id": str(ids[old])})
            else:
                email = f"{writer.name}.{writer.number}@example.com"
                value = "new"
                tags = [f"t{n}" for n in range(3)]
                sent = (CREATE, {"node": {"email": email, "phone": value, "tags": tags}})
            writer.asked.setdefault(email, set()).add(value)
            try:
                answer = client.post(*sent)
                response = answer.json()
            except (httpx.TransportError, ValueError):
                writer.statuses["nothing"] += 1
                time.sleep(0.01)
                continue
            if "errors" in response:
                key = response["errors"][0]["key"]
                writer.statuses[f"{answer.status_code} {key}"] += 1
                if answer.status_code != 503 and key != "errors_timeout":
                    writer.asked[email].discard(value)
                time.sleep(0.01)
                continue
            writer.statuses[str(answer.status_code)] += 1
            writer.answered += 1
            writer.certain[email] = value
            writer.asked[email] = set()
            if sent[0] == CREATE:
                ids[email] = response["data"]["createCustomer"]["_id"]


def audit(client: Client, writers: list[Writer]) -> int:
    """Asserts that every answered write is there, whole, and answers how many there are."""
    found = {}
    after = None
    while True:
        page = client.data(READ, after=after)["customers"]
        for edge in page["edges"]:
            found[edge["node"]["email"]] = edge["node"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    for writer in writers:
        for email in {*writer.certain, *writer.asked}:
            possible = {writer.certain.get(email, None), *writer.asked.get(email, ())}
            node = found.get(email)
            now = node["phone"] if node else None
            assert now in possible, (email, now, possible)
            if node:
                assert node["tags"] == ["t0", "t1", "t2"]
    return sum(writer.answered for writer in writers)
