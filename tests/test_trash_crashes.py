"""Killed servers, and several at once, leave each customer in the trash or outside of it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
import sqlalchemy as sa

from regulars.store import Store
from regulars.store.query import Query
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
    with_store,
)
from tests.test_crashes import assert_consistent
from tests.test_restore import EMPTY, RECORD, RESTORE, TRASH
from tests.test_trash import DELETE

pytestmark = pytest.mark.both_databases

COUNT = 12
# Copies of a customer in the trash, with other ids.
COPIES = 10_000
COPY = """INSERT INTO {table} ({columns})
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
    SELECT {values} FROM {table}, numbers"""


def change_at_random(server: Server, seed: int) -> None:
    """Delete, restore and purge customers until the server is gone."""
    choose = random.Random(seed)  # no secret
    with suppress(httpx.TransportError), Client(server, BOOTSTRAP_TOKEN) as client:
        while True:
            ids = choose.sample(range(1, COUNT + 1), 3)
            client.run(choose.choice([DELETE, RESTORE, RESTORE]), i=ids)


@pytest.mark.slow
def test_a_kill_leaves_each_customer_in_one_place(new_database: str) -> None:
    with run_server(new_database) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        for n in range(COUNT):
            email = f"u{n}@example.com"
            client.data(RECORD, n={"name": f"#{n}", "email": email, "total": 1})
    for seed in range(4):
        with run_server(new_database, status=-signal.SIGKILL) as server:
            threads = [
                threading.Thread(target=change_at_random, args=(server, 10 * seed + n))
                for n in range(3)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            os.kill(server.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
        assert_consistent(new_database)
    with run_server(new_database) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        page = client.page("_id expenses")
        trash = client.data(TRASH)["trash"]
        present = [edge["node"]["_id"] for edge in page["edges"]]
        deleted = [edge["node"]["_id"] for edge in trash["edges"]]
        assert sorted(present + deleted) == list(range(1, COUNT + 1))
        assert {edge["node"]["expenses"] for edge in page["edges"]} <= {1}


@pytest.mark.slow
def test_a_purge_continues_after_a_kill(new_database: str) -> None:
    columns = "deleted_at, purge_at, email, full_name, orders_count, actor_kind, actor, size, body"

    async def fill(store: Store) -> None:
        rows = {"table": "trash", "columns": f"account_id, customer_id, {columns}"}
        keys = {"table": "trash_keys", "columns": "account_id, kind, value, customer_id"}
        for part, values in (
            (rows, f"account_id, customer_id + n, {columns}"),
            (keys, "account_id, kind, value, customer_id + n"),
        ):
            text = COPY.format(**part, values=values, count=COPIES)
            await store.execute([(Query(sa.text(text)), {})])

    async def count(store: Store) -> int:
        ((number,),) = await store.fetch(Query(sa.text("SELECT count(*) FROM trash")), {})
        return int(number)

    with (
        run_server(new_database, status=-signal.SIGKILL) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):
        client.delete(client.create("a@example.com")["id"])
        with_store(new_database, fill)
        assert client.data(EMPTY) == {"emptyTrash": COPIES + 1}
        assert client.data(TRASH)["trash"]["totalCount"] == 0
        wait_until(lambda: with_store(new_database, count) <= COPIES * 0.9)
        os.kill(server.pid, signal.SIGKILL)
    assert with_store(new_database, count) > 0
    assert_consistent(new_database)
    with run_server(new_database) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        wait_until(lambda: with_store(new_database, count) == 0)
        assert client.page()["edges"] == []
    assert_consistent(new_database)


@pytest.mark.slow
@pytest.mark.one_server
def test_of_two_servers_that_restore_one_email_one_succeeds(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        with (
            run_server(url) as first,
            run_server(url) as second,
            Client(first, BOOTSTRAP_TOKEN) as one,
            Client(second, BOOTSTRAP_TOKEN) as two,
            ThreadPoolExecutor(2) as threads,
        ):
            for n in range(20):
                ids = []
                for _ in range(2):
                    ids.append(one.create(f"same{n}@example.com")["_id"])
                    one.delete(str(ids[-1]))
                requests = [
                    threads.submit(client.run, RESTORE, i=[customer_id])
                    for client, customer_id in zip((one, two), ids, strict=True)
                ]
                keys = [
                    (request.result().get("errors") or [{"key": None}])[0]["key"]
                    for request in requests
                ]
                assert sorted(keys, key=str) == [None, "errors_restore_conflict"]
            assert len(one.page(first=250)["edges"]) == 20
        assert_consistent(url)
