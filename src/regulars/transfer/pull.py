"""Pulling: an account becomes, and stays, a mirror of the customers of another server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from regulars.accounts.accounts import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected, is_too_much
from regulars.core.paging import KeysetPage
from regulars.customers.bulk import REJECTED, SetCustomers, Step
from regulars.customers.commands import DeleteCustomers, Reference
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order
from regulars.directory.directory import Directory
from regulars.store import Row, Store
from regulars.store.imports import RUNNING
from regulars.transfer.background_throttle import BackgroundThrottle
from regulars.transfer.errors import BadOption, Interrupted
from regulars.transfer.import_repository import DONE, FOREVER, ImportRepository, is_silent
from regulars.transfer.importer import Tally
from regulars.transfer.pull_checkpoint import (
    FEED,
    LIST,
    UPDATED_SINCE,
    PullCheckpoint,
    leaves_no_gap,
    since_last,
)
from regulars.transfer.remote import RemoteError, RemoteFault
from regulars.transfer.remote_customers import Customers, Node, Page, row_of, timestamp_of

LAST = "last"
_BY_ID = "order_by:id order_dir:asc"
_BY_UPDATE = "order_by:updated_at order_dir:desc"
_DUPLICATE = "errors_dup_email"
_MOST_AGAIN = 10_000
_LOOKED_AT = 1_000
_DELETED_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is mirrored. `since` is None for the whole list, a moment in milliseconds since
    1970, or LAST, the last run that came to its end; `resume` goes on with a run that was stopped;
    `delete` deletes who is gone there; without `keep_ids` customers are matched by email; webhooks
    get no events of a `silent` one, and one that is resumed keeps its setting."""

    since: int | str | None = None
    resume: bool = False
    delete: bool = False
    keep_ids: bool = True
    dry_run: bool = False
    silent: bool = False


class Pull:
    """Mirrors the customers of a server at an address. `said` is told what a person should know."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        customers: Customers,
        address: str,
        options: Options,
        notify: Callable[[str], None],
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._directory = Directory(store)
        self._throttle = BackgroundThrottle(store)
        self._runs = ImportRepository(store, account_id)
        self._remote_customers = customers
        self._address = address
        self._options = options
        self._notify = notify
        self._id = f"pull_{hashlib.sha256(address.encode()).hexdigest()[:16]}"
        self._origin = Origin("import", address, silent=options.silent)
        self._again: dict[int, Node] = {}
        self._stop = False
        self._in_order = True
        self.tally = Tally()
        self.gone = self.deleted = 0
        self.by = LIST

    def stop(self) -> None:
        """Asks to stop after the page that is being written."""
        self._stop = True

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Mirrors. Raises BadOption, RemoteError, Interrupted, and Rejected with Stopped when
        another pull of the same server has begun."""
        checkpoint = await self._begin()
        self.by = checkpoint.by
        if checkpoint.by == FEED:
            try:
                await self._read(checkpoint, progress)
            except RemoteFault as error:
                if error.key != "errors_invalid_cursor":
                    raise
                self._notify("The feed there does not go back to the last run: reading the list.")
                checkpoint.by = self.by = LIST
                checkpoint.after, checkpoint.last = None, 0
                await self._mark(checkpoint)
                await self._read(checkpoint, progress)
        else:
            await self._read(checkpoint, progress)
        await self._once_more()
        if not self._options.dry_run:
            if leaves_no_gap(checkpoint):
                checkpoint.feed, checkpoint.updated = checkpoint.next_feed, checkpoint.next_updated
            await self._note(checkpoint)
            problems = orjson.dumps(self.tally.problems).decode()
            await self._runs.end(self._id, DONE, now_ms(), problems=problems)

    async def _begin(self) -> PullCheckpoint:
        before = await self._runs.find(self._id)
        known = (
            PullCheckpoint(**orjson.loads(before["cursor"]))
            if before and before["cursor"]
            else None
        )
        if self._options.resume:
            return await self._go_on(before, known)
        if known is None and self._options.keep_ids:
            await self._require_empty()
        self._require_same(known)
        if self._options.since == LAST:
            checkpoint = since_last(known)
        else:
            assert not isinstance(self._options.since, str)
            since = self._options.since
            checkpoint = PullCheckpoint(
                LIST if since is None else UPDATED_SINCE, self._options.keep_ids, since
            )
            if known:
                checkpoint.feed, checkpoint.updated = known.feed, known.updated
        await self._mark(checkpoint)
        if not self._options.dry_run:
            await self._runs.begin(
                RUNNING,
                self._address,
                "",
                {"silent": self._options.silent},
                None,
                now_ms(),
                claimed_until=FOREVER,
                pull_id=self._id,
                cursor=checkpoint.dump(),
            )
        return checkpoint

    async def _go_on(self, before: Row | None, known: PullCheckpoint | None) -> PullCheckpoint:
        if before is None or known is None or before["state"] != RUNNING:
            raise BadOption("No pull from this server was stopped: leave out --resume.")
        if known.by == UPDATED_SINCE:
            raise BadOption("A pull with --since is short: begin it anew, without --resume.")
        self._require_same(known)
        silent = is_silent(before, self._options.silent, "pull")
        self._origin = self._origin._replace(silent=silent)
        self.tally.rows = before["position"]
        self.tally.counts = {name: before[name] for name in self.tally.counts}
        self.tally.problems = orjson.loads(before["problems"])
        return known

    def _require_same(self, known: PullCheckpoint | None) -> None:
        """An account that was merged is no mirror: its `_id`s are others' there."""
        if known and known.keep_ids != self._options.keep_ids:
            how = "without" if known.keep_ids else "with"
            raise BadOption(
                f"The pull before this one, from the same server, was {how} --match email. Say the "
                "same again, or make another account (regulars account create)."
            )

    async def _require_empty(self) -> None:
        page = await self._local(0)
        if page:
            raise BadOption(
                "The account has customers of its own, whose _ids may be others' there. Make an "
                "account for the mirror (regulars account create), or say --match email: then who "
                "has the same email is the same customer, and _ids are kept where they are free."
            )

    async def _mark(self, checkpoint: PullCheckpoint) -> None:
        """Notes what the mirror will be up to date with at the end of the run."""
        if checkpoint.by == FEED:
            checkpoint.next_updated = checkpoint.updated
            return
        # Before anything is read: what changes meanwhile is read again the next time.
        checkpoint.next_feed = await self._remote_customers.feed_cursor()
        checkpoint.next_updated = await self._remote_customers.newest()

    async def _read(self, checkpoint: PullCheckpoint, progress: Callable[[Tally], None]) -> None:
        upcoming = asyncio.ensure_future(self._fetch(checkpoint, checkpoint.after))
        try:
            while True:
                page = await upcoming
                more = page.more
                if checkpoint.by == UPDATED_SINCE:
                    page, more = _recent(page, checkpoint.since or 0)
                if more:
                    if page.after == checkpoint.after:
                        raise RemoteError(f"{self._address} answers the same page again and again.")
                    upcoming = asyncio.ensure_future(self._fetch(checkpoint, page.after))
                await self._take(checkpoint, page, more)
                progress(self.tally)
                if not more:
                    return
                if self._stop:
                    raise Interrupted(f"Stopped after {self.tally.rows:,} customers.")
        finally:
            upcoming.cancel()

    def _fetch(self, checkpoint: PullCheckpoint, after: str | None) -> Awaitable[Page]:
        if checkpoint.by == FEED:
            return self._remote_customers.changes(after)
        return self._remote_customers.page(_BY_ID if checkpoint.by == LIST else _BY_UPDATE, after)

    async def _take(self, checkpoint: PullCheckpoint, page: Page, more: bool) -> None:
        gone = page.gone if self._options.keep_ids else []
        before = checkpoint.dump()
        if checkpoint.by == LIST:
            gone = await self._gone_between(checkpoint, page, more)
            checkpoint.last = max([checkpoint.last, *(node["_id"] for node in page.nodes)])
        # Who is gone has an email that may be another's now.
        await self._forget(gone)
        checkpoint.after = page.after
        if checkpoint.by == FEED:
            checkpoint.feed = checkpoint.next_feed = page.after
        await self._write(page.nodes, checkpoint.dump(), before)

    async def _write(
        self, nodes: Sequence[Node], cursor: str | None, before: str | None = None
    ) -> None:
        """Sets customers, as a step of the run or, without a cursor, apart from it. If they are
        written in parts, the first parts leave the run at the cursor `before`: a run that is
        resumed reads all of them again."""
        rows = tuple(row_of(node, self._options.keep_ids) for node in nodes)
        dry, step = self._options.dry_run, None
        if cursor and not dry:
            position, to = self.tally.rows, self.tally.rows + len(rows)
            problems = orjson.dumps(self.tally.problems).decode()
            step = Step(self._id, position, to, 0, 0, problems, cursor)
        command = SetCustomers(rows, now_ms(), dry_run=dry, origin=self._origin, step=step)
        try:
            result = await self._throttle.write(self._account_id, command)
        except Rejected as refused:
            if not is_too_much(refused):
                raise
            half = len(nodes) // 2
            await self._write(nodes[:half], before, before)
            await self._write(nodes[half:], cursor, before)
            return
        for node, row, outcome in zip(nodes, rows, result.rows, strict=True):
            if cursor is None:
                self.tally.counts[REJECTED.lower()] -= 1
            else:
                self.tally.rows += 1
            self.tally.counts[outcome.outcome.lower()] += 1
            if outcome.outcome != REJECTED:
                self.tally.warn(row, node["_id"], ".".join)
                continue
            keys = {problem.key for problem in outcome.problems}
            if cursor and keys == {_DUPLICATE} and len(self._again) < _MOST_AGAIN:
                self._again[node["_id"]] = node
                continue
            for problem in outcome.problems:
                field = ".".join(str(step) for step in problem.input_path)
                self.tally.note(f"{problem.key} {field}".strip(), node["_id"], problem.message)

    async def _once_more(self) -> None:
        """Sets those again whose emails were others' when their turn came."""
        nodes = list(self._again.values())
        for start in range(0, len(nodes), _DELETED_AT_ONCE):
            await self._write(nodes[start : start + _DELETED_AT_ONCE], None)

    async def _note(self, checkpoint: PullCheckpoint) -> None:
        """Keeps the checkpoint."""
        await self._write([], checkpoint.dump())

    async def _gone_between(self, checkpoint: PullCheckpoint, page: Page, more: bool) -> list[int]:
        """Who is here and not there, of those whose `_id`s lie in a page of the list."""
        numbers = [node["_id"] for node in page.nodes]
        self._in_order &= (
            numbers == sorted(set(numbers)) and min(numbers, default=2**31) > checkpoint.last
        )
        if not self._options.keep_ids or not self._in_order:
            return []
        if not numbers and not checkpoint.last:
            self._notify("There are no customers there: nobody here is taken to be gone.")
            return []
        last = numbers[-1] if more else None
        there, low = set(numbers), checkpoint.last
        missing: list[int] = []
        while here := await self._local(low):
            missing += [n for n in here if n not in there and (last is None or n <= last)]
            low = here[-1]
            if last is not None and low >= last:
                break
        if not missing:
            return []
        # A list that leaves somebody out does not make them gone; nor does a server that knows
        # nobody by such an id.
        known = numbers[0] if numbers else checkpoint.last
        asked = await self._remote_customers.among([known, *missing])
        if asked.pop(known) is None:
            self._notify(
                "The server finds nobody by an id made of the _id: nobody is taken as gone."
            )
            return []
        return [number for number, node in asked.items() if node is None]

    async def _local(self, after: int) -> list[int]:
        cursor = (after, after) if after else None
        following = KeysetPage(_LOOKED_AT, after=cursor)
        selected = CustomerPage(Order("id", ascending=True), following)
        page = await Listing(self._store).page(self._account_id, selected, ("customer_id",))
        return [row[0] for row in page.rows]

    async def _forget(self, numbers: Sequence[int]) -> None:
        """Deletes who is gone there, if that is asked for."""
        for start in range(0, len(numbers), _DELETED_AT_ONCE):
            some = numbers[start : start + _DELETED_AT_ONCE]
            # The feed tells of deleted customers who may never have been here.
            here = await self._directory.customers(self._account_id, some, ("customer_id",))
            known = [n for n, row in zip(some, here, strict=True) if row is not None]
            self.gone += len(known)
            if known and self._options.delete and not self._options.dry_run:
                await self._delete(known)

    async def _delete(self, numbers: Sequence[int]) -> None:
        references = tuple(Reference(str(number), number) for number in numbers)
        command = DeleteCustomers(references, now_ms(), origin=self._origin)
        try:
            await self._throttle.write(self._account_id, command)
        except Rejected as refused:
            if not is_too_much(refused):
                raise
            half = len(numbers) // 2
            await self._delete(numbers[:half])
            await self._delete(numbers[half:])
            return
        self.deleted += len(numbers)


def _recent(page: Page, since: int) -> tuple[Page, bool]:
    """What was changed at a moment or later, of a page whose latest changes come first, and whether
    more may follow. Raises RemoteError where no moments are told."""
    timestamps = [timestamp_of(node.get("updated_at")) for node in page.nodes]
    if any(at is None for at in timestamps):
        raise RemoteError(
            "The server tells how long ago a change was, not when: --since cannot be used there."
        )
    recent = [
        n for n, at in zip(page.nodes, timestamps, strict=True) if at is not None and at >= since
    ]
    return page._replace(nodes=recent), page.more and len(recent) == len(page.nodes)
