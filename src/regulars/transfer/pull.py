"""Mirror the customers of another server in an account."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.counts import count_of
from regulars.core.errors import Rejected
from regulars.core.paging import KeysetPage
from regulars.customers.bulk import REJECTED, SetCustomers, Step
from regulars.customers.commands import DeleteCustomers, Reference
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order
from regulars.directory.directory import Directory
from regulars.store import Row, Store
from regulars.store.imports import RUNNING
from regulars.transfer.background_throttle import BackgroundThrottle, write_in_halves
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
from regulars.transfer.records import Record
from regulars.transfer.remote import RemoteError, RemoteFault
from regulars.transfer.remote_customers import Customers, Node, Page, row_of, timestamp_of
from regulars.trash.commands import RestoreCustomers

T = TypeVar("T")

LAST = "last"
_BY_ID = "order_by:id order_dir:asc"
_BY_UPDATE = "order_by:updated_at order_dir:desc"
_DUPLICATES = {"errors_dup_email", "errors_dup_external_id"}
# Customers that are written again at the end, because another customer had their email or id.
_MAX_RETRIES = 10_000
_LOCAL_PAGE = 1_000
_BATCH = 250


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a pull.

    - `since`: None reads the whole list. A timestamp (milliseconds since 1970) reads the customers
      that were changed since then; LAST those that were changed since the last complete pull.
    - `resume`: continue a pull that was stopped, with its own setting of `silent`.
    - `delete`: delete the customers that do not exist on the server.
    - `keep_ids`: store customers under the `_id` of the server; else match them by email.
    - `silent`: send no events to webhooks.
    """

    since: int | str | None = None
    resume: bool = False
    delete: bool = False
    keep_ids: bool = True
    dry_run: bool = False
    silent: bool = False


class Pull:
    """A mirror of the server at `address`. `notify` gets messages for the user."""

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
        self._retries: dict[int, Node] = {}
        self._should_stop = False
        self._can_resume = False
        self._response: asyncio.Future[Any] | None = None
        self._in_order = True
        self.tally = Tally()
        self.gone = self.deleted = 0
        self.by = LIST

    def stop(self) -> None:
        """Stop the pull: at once while it waits for the other server, else after the current
        page."""
        self._should_stop = True
        if self._response is not None:
            self._response.cancel()

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Pull, and call `progress` after each page. Raises BadOption, RemoteError, Interrupted
        after `stop`, and Rejected with Stopped if another pull of the same server has begun."""
        checkpoint = await self._begin()
        self.by = checkpoint.by
        if checkpoint.by == FEED:
            try:
                await self._read(checkpoint, progress)
            except RemoteFault as error:
                if error.key != "errors_invalid_cursor":
                    raise
                self._notify(
                    "The feed of the other server does not reach back to the last pull. "
                    "Reading the list instead."
                )
                checkpoint.by = self.by = LIST
                checkpoint.after, checkpoint.last = None, 0
                await self._mark(checkpoint)
                await self._read(checkpoint, progress)
        else:
            await self._read(checkpoint, progress)
        await self._write_retries()
        if not self._options.dry_run:
            if leaves_no_gap(checkpoint):
                checkpoint.feed, checkpoint.updated = checkpoint.next_feed, checkpoint.next_updated
            await self._write([], checkpoint.dump())
            problems = orjson.dumps(self.tally.problems).decode()
            await self._runs.end(self._id, DONE, now_ms(), problems=problems)

    async def _begin(self) -> PullCheckpoint:
        before = await self._runs.find(self._id)
        previous = (
            PullCheckpoint(**orjson.loads(before["cursor"]))
            if before and before["cursor"]
            else None
        )
        if self._options.resume:
            return await self._resume(before, previous)
        if previous is None and self._options.keep_ids:
            await self._require_empty()
        self._require_same(previous)
        if self._options.since == LAST:
            checkpoint = since_last(previous)
        else:
            assert not isinstance(self._options.since, str)
            since = self._options.since
            checkpoint = PullCheckpoint(
                LIST if since is None else UPDATED_SINCE, self._options.keep_ids, since
            )
            if previous:
                checkpoint.feed, checkpoint.updated = previous.feed, previous.updated
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
            self._can_resume = checkpoint.by != UPDATED_SINCE
        return checkpoint

    async def _resume(self, before: Row | None, previous: PullCheckpoint | None) -> PullCheckpoint:
        if before is None or previous is None or before["state"] != RUNNING:
            raise BadOption("No stopped pull from this server exists. Remove --resume.")
        if previous.by == UPDATED_SINCE:
            raise BadOption("A pull with --since cannot be resumed. Run it again without --resume.")
        self._require_same(previous)
        self._can_resume = True
        silent = is_silent(before, self._options.silent, "pull")
        self._origin = self._origin._replace(silent=silent)
        self.tally.rows = before["position"]
        self.tally.counts = {name: before[name] for name in self.tally.counts}
        self.tally.problems = orjson.loads(before["problems"])
        return previous

    def _require_same(self, previous: PullCheckpoint | None) -> None:
        """Raise BadOption if `keep_ids` changed. After a merge by email, an `_id` may belong to
        different customers here and on the server."""
        if previous and previous.keep_ids != self._options.keep_ids:
            how = "without" if previous.keep_ids else "with"
            raise BadOption(
                f"The previous pull from this server ran {how} --match email. Use the same option "
                "again, or create another account with `regulars account create`."
            )

    async def _require_empty(self) -> None:
        page = await self._local(0)
        if page:
            raise BadOption(
                "The account already has other customers, and their _ids may conflict with those "
                "of the other server. Create an account for the mirror with `regulars account "
                "create`. Or add --match email: it updates the customers with the same emails, "
                "and keeps an _id if it is free."
            )

    async def _mark(self, checkpoint: PullCheckpoint) -> None:
        """Set what the mirror will be up to date with at the end of the run. Raises Interrupted
        after `stop`."""
        if checkpoint.by == FEED:
            checkpoint.next_updated = checkpoint.updated
            return
        # Before the first page: the next pull reads changes made during this one again.
        checkpoint.next_feed = await self._until_stop(self._remote_customers.feed_cursor())
        checkpoint.next_updated = await self._until_stop(self._remote_customers.newest())

    async def _read(self, checkpoint: PullCheckpoint, progress: Callable[[Tally], None]) -> None:
        upcoming = asyncio.ensure_future(self._fetch(checkpoint, checkpoint.after))
        try:
            while True:
                page = await self._until_stop(upcoming)
                more = page.more
                if checkpoint.by == UPDATED_SINCE:
                    page, more = _recent(page, checkpoint.since or 0)
                if more:
                    if page.after == checkpoint.after:
                        raise RemoteError(
                            f"{self._address} returned the same page twice, so its list cannot be "
                            "read. Report this to its operator."
                        )
                    upcoming = asyncio.ensure_future(self._fetch(checkpoint, page.after))
                await self._take(checkpoint, page, more)
                progress(self.tally)
                if not more:
                    return
        finally:
            upcoming.cancel()

    async def _until_stop(self, request: Awaitable[T]) -> T:
        """Return a response of the other server. Raises Interrupted after `stop`."""
        response = asyncio.ensure_future(request)
        self._response = response
        try:
            if not self._should_stop:
                return await response
        except asyncio.CancelledError:
            if not self._should_stop:
                raise
        finally:
            self._response = None
        response.cancel()
        hint = "Continue with the same command" + " and --resume" * self._can_resume
        raise Interrupted(
            f"Stopped after {count_of(self.tally.rows, 'customer')}."
            + f" {hint}." * (not self._options.dry_run)
        )

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
        # Delete first: another customer may have the email of a deleted one by now.
        await self._handle_gone(gone)
        if self._options.keep_ids and not self._options.dry_run:
            await self._restore(page)
        checkpoint.after = page.after
        if checkpoint.by == FEED:
            checkpoint.feed = checkpoint.next_feed = page.after
        await self._write(page.nodes, checkpoint.dump(), before)

    async def _write(
        self, nodes: Sequence[Node], cursor: str | None, before: str | None = None
    ) -> None:
        """Write customers as a step of the run that ends at `cursor`, or apart from the run without
        a cursor. If they are written in parts, the first parts leave the run at the cursor
        `before`, so that a resumed run reads all of them again."""

        async def write(part: Sequence[Node], is_last: bool) -> None:
            await self._write_part(part, cursor if is_last else before)

        await write_in_halves(nodes, write)

    async def _write_part(self, nodes: Sequence[Node], cursor: str | None) -> None:
        rows = tuple(row_of(node, self._options.keep_ids) for node in nodes)
        dry_run, step = self._options.dry_run, None
        if cursor and not dry_run:
            position, to = self.tally.rows, self.tally.rows + len(rows)
            problems = orjson.dumps(self.tally.problems).decode()
            step = Step(self._id, position, to, 0, 0, problems, cursor)
        does_contact_identify = not self._options.keep_ids
        command = SetCustomers(
            rows,
            now_ms(),
            origin=self._origin,
            step=step,
            contact_identifies=does_contact_identify,
        )
        result = await self._throttle.write(self._account_id, command, len(rows), dry_run)
        for node, row, outcome in zip(nodes, rows, result.rows, strict=True):
            if cursor is None:
                self.tally.counts[REJECTED.lower()] -= 1
            else:
                self.tally.rows += 1
            self.tally.counts[outcome.outcome.lower()] += 1
            if outcome.outcome != REJECTED:
                self.tally.warn(row, Record(node["_id"]), ".".join)
                continue
            keys = {problem.key for problem in outcome.problems}
            if cursor and keys <= _DUPLICATES and len(self._retries) < _MAX_RETRIES:
                self._retries[node["_id"]] = node
                continue
            for problem in outcome.problems:
                field = ".".join(str(step) for step in problem.input_path)
                self.tally.note(
                    f"{problem.key} {field}".strip(), Record(node["_id"]), problem.message
                )

    async def _write_retries(self) -> None:
        """Write the customers again whose email another customer had during the run."""
        nodes = list(self._retries.values())
        for start in range(0, len(nodes), _BATCH):
            await self._write(nodes[start : start + _BATCH], None)

    async def _gone_between(self, checkpoint: PullCheckpoint, page: Page, more: bool) -> list[int]:
        """Return the local `_id`s within the range of a page that the server does not have."""
        numbers = [node["_id"] for node in page.nodes]
        self._in_order &= (
            numbers == sorted(set(numbers)) and min(numbers, default=2**31) > checkpoint.last
        )
        if not self._options.keep_ids or not self._in_order:
            return []
        if not numbers and not checkpoint.last:
            self._notify("The other server has no customers. No customer is treated as deleted.")
            return []
        last = numbers[-1] if more else None
        remote_ids, low = set(numbers), checkpoint.last
        missing: list[int] = []
        while local_ids := await self._local(low):
            missing += [n for n in local_ids if n not in remote_ids and (last is None or n <= last)]
            low = local_ids[-1]
            if last is not None and low >= last:
                break
        if not missing:
            return []
        # A list may omit customers that exist, so each is looked up. If even an existing customer
        # is not found, the server does not support the lookup.
        existing = numbers[0] if numbers else checkpoint.last
        nodes = await self._remote_customers.among([existing, *missing])
        if nodes.pop(existing) is None:
            self._notify(
                "The other server does not resolve ids of this form. "
                "No customer is treated as deleted."
            )
            return []
        return [number for number, node in nodes.items() if node is None]

    async def _local(self, after: int) -> list[int]:
        """Return a page of the `_id`s of the account that follow `after`."""
        cursor = (after, after) if after else None
        following = KeysetPage(_LOCAL_PAGE, after=cursor)
        selected = CustomerPage(Order("id", ascending=True), following)
        page = await Listing(self._store).page(self._account_id, selected, ("customer_id",))
        return [row[0] for row in page.rows]

    async def _handle_gone(self, numbers: Sequence[int]) -> None:
        """Count the customers that were deleted on the server, and delete them if requested."""
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start : start + _BATCH]
            # The feed also lists deleted customers that were never mirrored.
            rows = await self._directory.customers(self._account_id, batch, ("customer_id",))
            local_ids = [n for n, row in zip(batch, rows, strict=True) if row is not None]
            self.gone += len(local_ids)
            if local_ids and self._options.delete and not self._options.dry_run:
                await write_in_halves(local_ids, self._delete)

    async def _restore(self, page: Page) -> None:
        """Restore the customers in the trash that returned from the trash of the server. What
        remains different is written with the page."""
        for node in page.nodes:
            if node["_id"] not in page.restored:
                continue
            command = RestoreCustomers(
                (Reference(node["id"], node["_id"]),),
                now_ms(),
                skips_conflicts=True,
                origin=self._origin,
                updated_at=timestamp_of(node.get("updated_at")),
                event=page.restored[node["_id"]],
                new_email=node["email"] if node.get("emails") is not None else None,
            )
            # It is not in the trash here, a later event of the server has deleted it, or another
            # customer has its email.
            with suppress(Rejected):
                await self._throttle.write(self._account_id, command, 1)

    async def _delete(self, numbers: Sequence[int], _is_last: bool) -> None:
        references = tuple(Reference(str(number), number) for number in numbers)
        command = DeleteCustomers(references, now_ms(), origin=self._origin)
        await self._throttle.write(self._account_id, command, len(numbers))
        self.deleted += len(numbers)


def _recent(page: Page, since: int) -> tuple[Page, bool]:
    """Cut a page of the latest changes at a timestamp (milliseconds since 1970). Return it, and
    whether more may follow. Raises RemoteError if the server has no timestamps."""
    timestamps = [timestamp_of(node.get("updated_at")) for node in page.nodes]
    if any(at is None for at in timestamps):
        raise RemoteError(
            "The other server returns relative times instead of timestamps. Remove --since."
        )
    recent = [
        n for n, at in zip(page.nodes, timestamps, strict=True) if at is not None and at >= since
    ]
    return page._replace(nodes=recent), page.more and len(recent) == len(page.nodes)
