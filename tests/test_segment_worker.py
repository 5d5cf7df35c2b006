"""How the worker that evaluates watched segments shares the process with clients."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any, cast

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.customers.bulk import SetCustomers, SetRow
from regulars.segments import worker as worker_module
from regulars.segments.commands import CreateSegment, UpdateSegment
from regulars.segments.evaluator import Evaluator
from regulars.segments.queries import segments_of_customers
from regulars.segments.values import clean_segment
from regulars.segments.worker import SegmentWorker, delete_old
from regulars.store import Conflict, Store
from regulars.store.query import Query
from tests.support import with_store

pytestmark = pytest.mark.both_databases

STEPS = 5


def test_a_worker_uses_at_most_half_of_the_time(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[float, float]] = []

    async def step(_evaluator: Evaluator) -> bool:
        began = time.perf_counter()
        await asyncio.sleep(0.05)
        steps.append((began, time.perf_counter()))
        return len(steps) < STEPS

    monkeypatch.setattr(Evaluator, "step", step)

    async def work(store: Store) -> None:
        account = await Accounts(store).create("north")
        values, _ = clean_segment({"name": "All", "query": "", "watched": True}, ())
        await store.write(account.account_id, CreateSegment(values, now_ms()))
        await SegmentWorker(store, 900, True).evaluate_account(account.account_id)

    with_store(new_database, work)
    shares = [
        (end - began) / (following - began) for (began, end), (following, _) in pairwise(steps)
    ]
    assert len(steps) == STEPS
    # The clock of the event loop is coarser than the one that measures.
    assert max(shares) < 0.55


def test_segments_whose_evaluation_fails_are_soon_tried_again(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def step(_evaluator: Evaluator) -> bool:
        raise Conflict("a unique value")

    monkeypatch.setattr(Evaluator, "step", step)

    async def work(store: Store) -> None:
        account = await Accounts(store).create("north")
        values, _ = clean_segment({"name": "All", "query": "", "watched": True}, ())
        await store.write(account.account_id, CreateSegment(values, now_ms()))
        with pytest.raises(Conflict):
            await SegmentWorker(store, 900, True).evaluate_account(account.account_id)
        query = Query(sa.text("SELECT claimed_by, claimed_until FROM segments"))
        ((claimed_by, claimed_until),) = await store.fetch(query, {})
        assert claimed_by is None
        assert claimed_until <= now_ms() + worker_module.RETRY_MS

    with_store(new_database, work)


def test_a_stopped_worker_does_not_wait(new_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 30)

    async def work(store: Store) -> float:
        worker = SegmentWorker(store, 900, True)
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        worker.stop()
        await task
        return time.perf_counter() - began

    assert with_store(new_database, work) < 5


def test_old_memberships_are_deleted_without_a_write_that_reads_all(new_database: str) -> None:
    insert = (
        "INSERT INTO memberships (account_id, segment_id, customer_id, since, removed_at) VALUES "
        "({0}, 1, 1, 1, NULL), ({0}, 1, 2, 1, 5), ({0}, 1, 3, 1, 6), ({0}, 2, 1, 1, NULL)"
    )
    written = []

    class Recorder:
        """A store that records which statements are writes."""

        def __init__(self, store: Store) -> None:
            self.fetch = store.fetch
            self._execute = store.execute

        async def execute(self, statements: Any) -> int:
            written.extend([dict(parameters) for _, parameters in statements])
            return await self._execute(statements)

    async def work(store: Store) -> list[tuple[Any, ...]]:
        account = await Accounts(store).create("north")
        values, _ = clean_segment({"name": "All", "query": "", "watched": True}, ())
        await store.write(account.account_id, CreateSegment(values, now_ms()))
        sql = Query(sa.text(insert.format(account.account_id)))
        await store.execute([(sql, {})])
        recorder = cast("Store", Recorder(store))
        await delete_old(recorder, worker_module.RETENTION_MS + 5)
        orphans = {"account_id": account.account_id, "segment_id": 2, "limit": 1_000}
        assert written == [{"before": 5}, orphans]
        await delete_old(recorder, worker_module.RETENTION_MS + 5)
        assert written[2:] == [{"before": 5}]
        left = "SELECT segment_id, customer_id FROM memberships ORDER BY 1, 2"
        return [tuple(row) for row in await store.fetch(Query(sa.text(left)), {})]

    assert with_store(new_database, work) == [(1, 1), (1, 3)]


def test_unwatching_deletes_memberships_a_few_at_a_time(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that deletes all of them would delay those of clients."""
    monkeypatch.setattr(worker_module, "DELETED_AT_ONCE", 2)

    async def work(store: Store) -> None:
        account_id = (await Accounts(store).create("north")).account_id
        everyone, _ = clean_segment({"name": "All", "query": "", "watched": True}, ())
        await store.write(account_id, CreateSegment(everyone, now_ms()))
        persons = [{"email": f"{n}@x.test", "email_key": f"{n}@x.test"} for n in range(5)]
        await store.write(account_id, SetCustomers(tuple(map(SetRow, persons)), now_ms()))
        worker = SegmentWorker(store, 900, True)
        await worker.evaluate_account(account_id)

        async def counts() -> tuple[int, int]:
            account = {"account_id": account_id}
            ids = {**account, "ids": [1, 2, 3, 4, 5]}
            stored = Query(sa.text("SELECT 1 FROM memberships"))
            shown = await store.fetch(segments_of_customers(), ids)
            return len(await store.fetch(stored, {})), len(shown)

        assert await counts() == (5, 5)
        for watched, announce, expected in ((False, False, (5, 0)), (True, True, (0, 0))):
            values, _ = clean_segment({"watched": watched}, ())
            change = UpdateSegment("1", 1, values, now_ms(), announce=announce)
            await store.write(account_id, change)
            assert await counts() == expected
        # The members of before are announced again.
        await worker.evaluate_account(account_id)
        assert await counts() == (5, 5)
        entries = Query(sa.text("SELECT 1 FROM history WHERE kind = 'segment_entered'"))
        assert len(await store.fetch(entries, {})) == 5
        values, _ = clean_segment({"watched": False}, ())
        await store.write(account_id, UpdateSegment("1", 1, values, now_ms()))
        await delete_old(store, now_ms())
        assert await counts() == (0, 0)

    with_store(new_database, work)
