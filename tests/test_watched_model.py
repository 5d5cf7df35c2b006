"""Entries and exits of watched segments, compared with a naive evaluation after random writes and
with a moving clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.customers.commands import (
    CreateCustomer,
    DeleteCustomers,
    Reference,
    UpdateCustomer,
)
from regulars.directory.verify import verify
from regulars.segments import worker as worker_module
from regulars.segments.commands import CreateSegment, DeleteSegments, UpdateSegment
from regulars.segments.values import clean_segment
from regulars.segments.worker import SegmentWorker
from regulars.store import StatementTimeout, Store, parse_url
from regulars.store.query import Query
from regulars.trash.commands import RestoreCustomers
from tests.support import with_store

pytestmark = pytest.mark.both_databases

DAY_MS = 86_400_000
START = 1_700_000_000_000
TAGS = ("a", "b", "c")
FEED = "SELECT kind, customer_id, cause FROM history WHERE account_id = {} ORDER BY sequence"

# A customer: its tags, and when it was created and updated.
Customer = tuple[frozenset[str], int, int]
Meets = Callable[[Customer, int], bool]
# Queries with their meaning.
QUERIES: Mapping[str, Meets] = {
    "": lambda _customer, _now: True,
    "tag:a": lambda customer, _now: "a" in customer[0],
    "-tag:a": lambda customer, _now: "a" not in customer[0],
    "tag:a tag:b": lambda customer, _now: {"a", "b"} <= customer[0],
    "(tag:b OR tag:c) -tag:a": lambda customer, _now: (
        bool({"b", "c"} & customer[0] - {"a"}) and "a" not in customer[0]
    ),
    "updated_at:<-2d": lambda customer, now: customer[2] < now - 2 * DAY_MS,
    "created_at:>-3d tag:b": lambda customer, now: (
        customer[1] > now - 3 * DAY_MS and "b" in customer[0]
    ),
}


class Model:
    """An account with random customers and segments, and what they should be."""

    def __init__(self, store: Store, account_id: int, seed: int) -> None:
        self.store = store
        self.account_id = account_id
        self.choose = random.Random(seed)  # no secret
        self.now = START
        self.customers: dict[int, Customer] = {}
        # Deleted customers, and when they were deleted.
        self.trash: dict[int, tuple[Customer, int]] = {}
        self.created = 0
        self.queries: dict[int, str] = {}
        self.watched: set[int] = set()
        # The members that follow from the entries.
        self.replayed: dict[int, set[int]] = {}
        # The segments whose next evaluation records nothing, and those never evaluated.
        self.silent: set[int] = set()
        self.new: set[int] = set()
        self.read = 0

    def meaning(self, segment_id: int) -> Meets:
        query = self.queries[segment_id]
        if query.startswith("segment:"):
            used, _, rest = query.removeprefix("segment:").partition(" ")
            inner, outer = self.meaning(int(used)), QUERIES[rest]
            return lambda customer, now: inner(customer, now) and outer(customer, now)
        return QUERIES[query]

    def members(self, segment_id: int) -> set[int]:
        meets = self.meaning(segment_id)
        return {number for number, each in self.customers.items() if meets(each, self.now)}

    def users(self, segment_id: int) -> set[int]:
        """Return a segment and those that use it."""
        direct = {n for n, q in self.queries.items() if q.startswith(f"segment:{segment_id} ")}
        return {segment_id}.union(*map(self.users, direct))

    async def write(self, command: Any) -> Any:
        return await self.store.write(self.account_id, command)

    async def change(self) -> None:
        """Make a random change."""
        self.now += self.choose.choice((1, 1_000, DAY_MS // 4, DAY_MS))
        changes = (
            *(self.create, self.create, self.update, self.update, self.update),
            *(self.delete, self.restore, self.save_segment, self.update_segment),
            *(self.delete_segment, self.delete_and_restore),
        )
        await self.choose.choice(changes)()

    def tags(self) -> list[str]:
        return sorted(self.choose.sample(TAGS, self.choose.randint(0, 3)))

    async def create(self) -> None:
        tags = self.tags()
        node = {"email": f"u{self.created}@example.com", "tags": tags}
        row = await self.write(CreateCustomer.from_node(node, self.now))
        self.created += 1
        self.customers[row["customer_id"]] = (frozenset(tags), self.now, self.now)

    async def update(self) -> None:
        if not self.customers:
            return
        number = self.choose.choice(list(self.customers))
        tags = self.tags()
        old_tags, created_at, updated_at = self.customers[number]
        node = {"tags": tags}
        row = await self.write(
            UpdateCustomer.from_node(Reference(str(number), number), node, self.now)
        )
        assert row["updated_at"] == (updated_at if set(tags) == old_tags else self.now)
        self.customers[number] = (frozenset(tags), created_at, row["updated_at"])

    async def delete(self) -> None:
        if not self.customers:
            return
        number = self.choose.choice(list(self.customers))
        await self.write(DeleteCustomers((Reference(str(number), number),), self.now))
        self.trash[number] = (self.customers.pop(number), self.now)

    async def restore(self) -> None:
        kept = [n for n, (_, at) in self.trash.items() if at > self.now - 30 * DAY_MS]
        if not kept:
            return
        number = self.choose.choice(kept)
        await self.write(RestoreCustomers((Reference(str(number), number),), self.now))
        (tags, created_at, _), _ = self.trash.pop(number)
        self.customers[number] = (tags, created_at, self.now)

    async def delete_and_restore(self) -> None:
        await self.delete()
        await self.restore()

    def query(self) -> str:
        query = self.choose.choice(list(QUERIES))
        unnested = [n for n, q in self.queries.items() if not q.startswith("segment:")]
        if unnested and self.choose.random() < 0.3:
            return f"segment:{self.choose.choice(unnested)} {query}"
        return query

    async def save_segment(self) -> None:
        if len(self.queries) >= 6:
            return
        query, is_watched = self.query(), self.choose.random() < 0.8
        announce = self.choose.random() < 0.5
        name = f"s{self.now}"
        values, _ = clean_segment({"name": name, "query": query, "watched": is_watched}, ())
        row = await self.write(CreateSegment(values, self.now, announce=announce))
        number = row["segment_id"]
        self.queries[number] = query
        if is_watched:
            self.watch(number, announce)

    def watch(self, number: int, announce: bool) -> None:
        self.watched.add(number)
        self.new.add(number)
        self.replayed[number] = set()
        self.silent.discard(number)
        if not announce:
            self.silent.add(number)

    def unwatch(self, number: int) -> None:
        for numbers in (self.watched, self.silent, self.new):
            numbers.discard(number)

    async def update_segment(self) -> None:
        if not self.queries:
            return
        number = self.choose.choice(list(self.queries))
        node: dict[str, Any] = {"watched": self.choose.random() < 0.7}
        announce = self.choose.random() < 0.5
        query = self.choose.choice(list(QUERIES))
        if self.choose.random() < 0.5:
            node["query"] = query
        values, _ = clean_segment(node, ())
        id_text = str(number)
        await self.write(UpdateSegment(id_text, number, values, self.now, announce=announce))
        if "query" in node and query != self.queries[number]:
            self.queries[number] = query
            for user in self.users(number) & self.watched:
                if announce:
                    self.silent.discard(user)
                # A first evaluation that is to be announced stays so.
                elif user not in self.new:
                    self.silent.add(user)
        if node["watched"] and number not in self.watched:
            self.watch(number, announce)
        elif not node["watched"]:
            self.unwatch(number)

    async def delete_segment(self) -> None:
        if not self.queries or self.choose.random() < 0.5:
            return
        number = self.choose.choice(list(self.queries))
        if self.users(number) != {number}:
            return
        await self.write(DeleteSegments(((str(number), number),), self.now))
        del self.queries[number]
        self.unwatch(number)

    async def compare(self) -> None:
        """Compare the members that follow from the entries with the naive evaluation."""
        query = Query(sa.text(FEED.format(self.account_id)))
        rows = list(await self.store.fetch(query, {}))
        for kind, number, cause in rows[self.read :]:
            if kind == "deleted":
                for members in self.replayed.values():
                    members.discard(number)
            if cause is None:
                continue
            segment_id = int(cause.removeprefix("seg_"))
            members = self.replayed.setdefault(segment_id, set())
            if kind == "segment_entered":
                assert number not in members
                members.add(number)
            else:
                members.remove(number)
        self.read = len(rows)
        for segment_id in self.watched:
            expected = self.members(segment_id)
            if segment_id in self.silent:
                self.replayed[segment_id] = expected
            assert self.replayed[segment_id] == expected, self.queries[segment_id]
        self.silent.clear()
        self.new.clear()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_replayed_entries_are_the_members_at_every_evaluation(new_database: str, seed: int) -> None:
    async def work(store: Store) -> None:
        account = await Accounts(store).create("north")
        other = await Accounts(store).create("south")
        model = Model(store, account.account_id, seed)
        unrelated = Model(store, other.account_id, seed + 100)
        # Every pass evaluates what depends on the time.
        worker = SegmentWorker(store, 0.001, True, lambda: model.now)
        other_worker = SegmentWorker(store, 0.001, True, lambda: unrelated.now)
        for _ in range(40):
            for _ in range(model.choose.randint(1, 8)):
                await model.change()
                await unrelated.change()
            model.now += 2
            unrelated.now += 2
            await worker.evaluate_account(model.account_id)
            await model.compare()
            await other_worker.evaluate_account(unrelated.account_id)
            await unrelated.compare()

    with_store(new_database, work)
    assert verify(parse_url(new_database)).problems == []


@pytest.mark.slow
def test_workers_that_evaluate_at_the_same_time_record_nothing_twice(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLAIM_MS", 0)  # a claim does not keep others away

    async def work(store: Store) -> None:
        account = await Accounts(store).create("north")
        model = Model(store, account.account_id, 7)
        workers = [SegmentWorker(store, 0.001, False, lambda: model.now) for _ in range(3)]
        for _ in range(40):
            for _ in range(model.choose.randint(1, 8)):
                await model.change()
            model.now += 2
            await asyncio.gather(*(each.evaluate_account(model.account_id) for each in workers))
            await workers[0].evaluate_account(model.account_id)
            await model.compare()

    with_store(new_database, work)
    assert verify(parse_url(new_database)).problems == []


class SlowStore:
    """A store in which reading the list of customers takes too long, while it is slow."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_slow = False

    async def fetch(self, query: Query, parameters: Any, is_long: bool = False) -> Any:
        if self.is_slow and "after_id" in parameters:
            raise StatementTimeout("A statement exceeded its time limit.")
        return await self._store.fetch(query, parameters, is_long)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_slow_query_delays_only_the_evaluation_of_all_customers(new_database: str) -> None:
    async def work(store: Store) -> None:
        account = await Accounts(store).create("north")
        model = Model(store, account.account_id, 1)
        slow = SlowStore(store)
        worker = SegmentWorker(cast("Store", slow), 900, True, lambda: model.now)
        query = "SELECT kind, cause FROM history WHERE cause IS NOT NULL ORDER BY sequence"

        async def save(name: str, query: str) -> None:
            values, _ = clean_segment({"name": name, "query": query, "watched": True}, ())
            await model.write(CreateSegment(values, model.now, announce=True))

        async def evaluate() -> list[tuple[str, str]]:
            await worker.evaluate_account(account.account_id)
            return [(kind, cause) for kind, cause in await store.fetch(Query(sa.text(query)), {})]

        await model.create()
        await save("Recent", "created_at:>-2d")
        expected = [("segment_entered", "seg_1")]
        assert await evaluate() == expected
        slow.is_slow = True
        # The sweep is postponed, and changes are evaluated.
        model.now += 3 * DAY_MS
        await model.create()
        expected += [("segment_entered", "seg_1")]
        assert await evaluate() == expected
        # A new segment is tried again later.
        await save("All", "")
        assert await evaluate() == expected
        slow.is_slow = False
        assert await evaluate() == expected
        model.now += worker_module.SLOW_RETRY_MS
        expected += [("segment_entered", "seg_2")] * 2
        assert await evaluate() == expected
        model.now += 900_000
        expected += [("segment_left", "seg_1")]
        assert await evaluate() == expected

    with_store(new_database, work)
