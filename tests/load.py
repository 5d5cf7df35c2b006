"""Write in the background, record which writes were acknowledged, and check that none is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.support import Client, Server, wait_until

CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { _id email version } }"
UPDATE = """mutation($id: ID!, $node: InputUpdateCustomer!) {
    updateCustomer(id: $id, node: $node) { _id phone version } }"""
DELETE = "mutation($id: ID!) { deleteCustomers(items: [$id]) }"
READ = 'query($after: String) { customers(first: 250, after: $after, query: "order_by:id order_dir:asc") { edges { node { _id email phone tags version } } pageInfo { endCursor hasNextPage } } }'


@dataclass(slots=True)
class Writer:
    """A client that writes its own customers. By email, `acknowledged` has the phone of a customer,
    or None once it is deleted, and `unacknowledged` the values of writes without a response: these
    may be stored or not."""

    name: str
    acknowledged: dict[str, str | None] = field(default_factory=dict)
    unacknowledged: dict[str, set[str | None]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    success_count: int = 0
    request_count: int = 0


@contextmanager
def background_writes(
    server: Server, token: str, client_count: int, writers: list[Writer] | None = None
) -> Iterator[list[Writer]]:
    """Writes with several clients until the block ends; with `writers`, continues with those."""
    stop = threading.Event()
    writers = writers or [Writer(f"w{n}x{time.monotonic_ns()}") for n in range(client_count)]
    threads = [
        threading.Thread(target=_write, args=(server, token, writer, stop)) for writer in writers
    ]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_for_writes(writers: Sequence[Writer], count: int) -> None:
    """Waits until `count` more writes have succeeded."""
    total = count + sum(writer.success_count for writer in writers)
    wait_until(lambda: sum(writer.success_count for writer in writers) >= total, 120)


def _write(server: Server, token: str, writer: Writer, stop: threading.Event) -> None:
    ids: dict[str, int] = {}
    with Client(server, token) as client:
        while not stop.is_set():
            writer.request_count += 1
            step = writer.request_count % 4
            old = f"{writer.name}.{writer.request_count - 2}@example.com"
            if step == 3 and old in ids:
                value, email = f"+1 555 {writer.request_count}", old
                operation = (UPDATE, {"id": str(ids[old]), "node": {"phone": value}})
            elif step == 0 and old in ids:
                value, email = None, old
                operation = (DELETE, {"id": str(ids[old])})
            else:
                email = f"{writer.name}.{writer.request_count}@example.com"
                value = "new"
                tags = [f"t{n}" for n in range(3)]
                operation = (CREATE, {"node": {"email": email, "phone": value, "tags": tags}})
            writer.unacknowledged.setdefault(email, set()).add(value)
            try:
                response = client.post(*operation)
                body = response.json()
            except (httpx.TransportError, ValueError):
                writer.statuses["no response"] += 1
                time.sleep(0.01)
                continue
            if "errors" in body:
                key = body["errors"][0]["key"]
                writer.statuses[f"{response.status_code} {key}"] += 1
                if response.status_code != 503 and key != "errors_timeout":
                    writer.unacknowledged[email].discard(value)
                time.sleep(0.01)
                continue
            writer.statuses[str(response.status_code)] += 1
            writer.success_count += 1
            writer.acknowledged[email] = value
            writer.unacknowledged[email] = set()
            if operation[0] == CREATE:
                ids[email] = body["data"]["createCustomer"]["_id"]


def audit(client: Client, writers: list[Writer]) -> int:
    """Asserts that every acknowledged write is stored in full, and returns how many there are."""
    nodes = {}
    after = None
    while True:
        page = client.data(READ, after=after)["customers"]
        for edge in page["edges"]:
            nodes[edge["node"]["email"]] = edge["node"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    for writer in writers:
        for email in {*writer.acknowledged, *writer.unacknowledged}:
            possible = {writer.acknowledged.get(email, None), *writer.unacknowledged.get(email, ())}
            node = nodes.get(email)
            stored = node["phone"] if node else None
            assert stored in possible, (email, stored, possible)
            if node:
                assert node["tags"] == ["t0", "t1", "t2"]
    return sum(writer.success_count for writer in writers)
