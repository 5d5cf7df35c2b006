"""Whose turn it is: an account's flood is its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable

import pytest

from regulars.http.fair_queue import ContentionDetector, FairQueue
from tests.postgres import ACCOUNTS, held
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    busy,
    new_token,
    running,
    scratch_database,
)


async def work(turns: FairQueue, account: int, log: list[int], cost: int = 0) -> None:
    """A request that takes one look at the database."""
    turn: Awaitable[None] | None = turns.enter(account, cost)
    if turn is not None:
        await turn
    log.append(account)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.001)
    turns.leave(account, cost, began)


def in_order(places: int, *asked: tuple[int, int]) -> list[int]:
    """The accounts in the order in which their requests, which came at once, were begun."""

    async def run() -> list[int]:
        turns, log = FairQueue(places, ContentionDetector()), list[int]()
        await asyncio.gather(*(work(turns, account, log, cost) for account, cost in asked))
        assert turns.waiting == 0
        return log

    return asyncio.run(run())


def test_whoever_comes_late_does_not_wait_for_a_flood() -> None:
    order = in_order(4, *[(1, 0)] * 40, (2, 0), (3, 0))
    assert sorted(order) == [1] * 40 + [2, 3]
    assert order.index(2) < 10
    assert order.index(3) < 10


def test_who_has_taken_less_comes_next() -> None:
    order = in_order(2, *[(1, 0)] * 20, *[(2, 0)] * 20)
    for end in range(4, 36):
        assert abs(order[:end].count(1) - order[:end].count(2)) <= 4


def test_a_dear_request_takes_more_places() -> None:
    async def run() -> int:
        turns, most, log = FairQueue(8, ContentionDetector()), 0, list[int]()
        tasks = [asyncio.create_task(work(turns, 2, log))]
        tasks += [asyncio.create_task(work(turns, 1, log, 7_000)) for _ in range(10)]
        while not all(task.done() for task in tasks):
            most = max(most, turns._running.get(1, 0))
            await asyncio.sleep(0)
        return most

    assert asyncio.run(run()) == 8  # the places of one: its account has never two under way


def test_one_account_alone_never_waits() -> None:
    async def run() -> None:
        turns = FairQueue(2, ContentionDetector())
        turns.enter(1, 0)
        await asyncio.sleep(1.1)  # until it is known that nobody else asks
        assert [turns.enter(1, 0) for _ in range(20)] == [None] * 20

    asyncio.run(run())


def test_who_gives_up_leaves_no_gap() -> None:
    async def run() -> None:
        turns, log = FairQueue(1, ContentionDetector()), list[int]()
        first = asyncio.create_task(work(turns, 1, log))
        second = [asyncio.create_task(work(turns, account, log)) for account in (1, 1, 2, 2, 3)]
        await asyncio.sleep(0)
        for task in second[::2]:
            task.cancel()
        await asyncio.gather(first, *second, return_exceptions=True)
        await asyncio.wait_for(work(turns, 9, log), 1)
        assert turns.waiting == 0
        assert not turns._running

    asyncio.run(run())


def ask(client: Client) -> None:
    """A page of a flood."""
    client.post("{ customers(first: 100) { edges { node { id full_name } } } }")


@pytest.mark.slow
def test_all_are_answered_beside_a_flood(server: Server) -> None:
    """Reads and writes of another account, through a real server."""
    greedy, other = new_token(server), new_token(server)
    with Client(server, greedy) as client:
        for number in range(30):
            client.create(f"{number}@example.com")
    with busy(server, ask, greedy, 8), Client(server, other) as client:
        for number in range(30):
            client.create(f"{number}@example.com")
            assert len(client.emails(first=50)) == number + 1


@pytest.mark.slow
def test_one_account_does_not_take_all_places(postgresql: str) -> None:
    """A flood is refused before there is no place left: whoever else comes is answered."""
    with scratch_database(postgresql) as url, running(url, "--max-requests", "8") as server:
        other = new_token(server)
        statuses: list[int] = []
        create = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"

        def write(number: int) -> None:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                statuses.append(client.post(create, {"e": f"{number}@example.com"}).status_code)

        with held(url, ACCOUNTS):
            threads = [threading.Thread(target=write, args=(n,)) for n in range(10)]
            for thread in threads:
                thread.start()
            while len(statuses) < 6:
                threading.Event().wait(0.02)
            assert statuses == [503] * 6
            with Client(server, other) as client:
                assert client.emails() == []
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 4 + [503] * 6


def test_who_reads_makes_way_for_who_writes() -> None:
    """Reads and writes are begun by turns of their own, but it is the same accounts that ask."""

    async def ask() -> None:
        contention = ContentionDetector()
        reads, writes = FairQueue(8, contention), FairQueue(8, contention)
        assert writes.enter(1, 1) is None
        assert reads.enter(2, 1) is None
        waiting = reads.enter(2, 1)
        assert waiting is not None
        await waiting

    asyncio.run(ask())
