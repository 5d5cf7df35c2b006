"""The worker: looks what has happened, and sends it, until it is told to stop.

A webhook is claimed before anything is sent to it, so that several workers on PostgreSQL never
deliver to one at the same time. Its events are sent one after another, in the order of the history;
one that fails is tried again later, and the others go on. What is due follows from the history and
from notes in the database: a worker that is killed has lost nothing, and its claims end by
themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from regulars import __version__
from regulars.directory.accounts import now_ms
from regulars.directory.webhooks import (
    DELIVERED,
    FAILED,
    PENDING,
    TYPES,
    DeliveryId,
    wants_changes,
)
from regulars.store import Conflict, Row, Store, outbox, queries
from regulars.store.query import Query
from regulars.webhooks import payloads
from regulars.webhooks.javascript import stringify
from regulars.webhooks.ledger import Ledger
from regulars.webhooks.signatures import secrets_of, signature_headers
from regulars.webhooks.targets import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from regulars.webhooks.sending import Outcome, Sender

POLL_SECONDS = 0.2
CLAIM_MS = 15_000
# What is sent at once. A receiver that takes longer than SLOW_SECONDS makes room for another one.
MAX_QUICK = 200
MAX_OPEN = 4_000
SLOW_SECONDS = 0.5
BATCH = 100
# So many changes are looked at in one step: all of them may be silent.
LOOKED_AT = 2_000
KEPT_MS = 30 * 86_400_000
KEPT_BYTES = 4_096

# How long after each attempt the next one is made, as parts of the whole time: at first soon, then
# ever later. There are 8 attempts.
_SHARES = (30, 120, 600, 3_600, 10_800, 25_200, 46_050)
ATTEMPTS = len(_SHARES) + 1
_JITTER = 0.1

_log = logging.getLogger("regulars.webhooks")

Key = tuple[int, int]
Statement = tuple[Query, Mapping[str, Any]]


class Worker:
    """Delivers the events of all accounts.

    `private` allows receivers that are not on the public internet; `retry_seconds` is how long an
    event is tried; `alone` says that nobody else delivers from the database. `attempted` is told of
    each attempt whether it was a success.
    """

    def __init__(
        self,
        store: Store,
        private: bool,
        retry_seconds: float,
        alone: bool,
        attempted: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._private = private
        self._delays = [share * retry_seconds / sum(_SHARES) for share in _SHARES]
        self._alone = alone
        self._attempted = attempted
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._ledger = Ledger(store)
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._slow = 0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop`; then what is being sent is finished and noted."""
        if self._alone:
            await self._patiently(self._store.execute([(outbox.forget_claims(), {})]))
        writing = asyncio.create_task(self._ledger.run())
        try:
            while not self._stopping.is_set():
                await self._patiently(self._claim())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)
            if self._running:
                await asyncio.wait(self._running.values(), timeout=TIMEOUT_SECONDS + 2)
        finally:
            for task in self._running.values():
                task.cancel()
            await self._ledger.close()
            await writing

    @property
    def busy(self) -> int:
        """How many webhooks are being served."""
        return len(self._running)

    def stop(self) -> None:
        """Has the worker end."""
        self._stopping.set()

    async def _patiently(self, work: Any) -> None:
        """Does what may fail while the database is away: the next time, then."""
        try:
            await work
        except Exception as error:
            fields = {"fields": {"error": type(error).__name__}}
            _log.warning("The worker could not use the database.", extra=fields)
            await asyncio.sleep(1)

    async def _claim(self) -> None:
        """Claims what has something to be sent, as much as there is room for."""
        room = min(MAX_QUICK - (len(self._running) - self._slow), MAX_OPEN - len(self._running))
        if room <= 0:
            return
        now = self._clock()
        ids = await self._store.reachable_accounts()
        work, given = outbox.with_work(ids is not None), {"now": now, "limit": room, "ids": ids}
        found = await self._store.fetch(work, given, is_long=True)
        until = now + CLAIM_MS
        # In one order, so that workers wait for each other and never in a circle.
        keys = sorted(
            key for account, webhook in found if (key := (account, webhook)) not in self._running
        )
        if not keys:
            return
        mine = {"me": self._me, "now": now, "until": until}
        claims = [(outbox.claim(), {**_of(key), **mine}) for key in keys]
        for rows in await self._store.run(claims):
            for row in rows:
                webhook = dict(zip(queries.WHOLE_WEBHOOK, row, strict=True))
                self._start(webhook)

    def _start(self, webhook: dict[str, Any]) -> None:
        key = (webhook["account_id"], webhook["webhook_id"])
        task = asyncio.create_task(self._serve(key, webhook))
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _serve(self, key: Key, webhook: Row) -> None:
        """Sends what a claimed webhook is to be told, and leaves it to the next."""
        # Read when there is something to send: it would take a tenth of the server's start.
        from regulars.webhooks.sending import Sender, tls

        try:
            async with Sender(tls(), self._private) as sender:
                current: Row | None = webhook
                while current is not None and not self._stopping.is_set():
                    more = await self._look(key, current)
                    more |= await self._send_due(key, sender)
                    current = await self._kept(key) if more else None
            given = {**_of(key), "me": self._me, "now": self._clock()}
            await self._ledger.write(outbox.released(given))
        except Conflict:
            return  # the webhook has been deleted, or another worker has it
        except Exception as error:
            # The claim ends by itself.
            fields = {"fields": {"error": type(error).__name__, "webhook": key[1]}}
            _log.warning("A webhook could not be served.", extra=fields, exc_info=error)
            await asyncio.sleep(1)

    async def _look(self, key: Key, webhook: Row) -> bool:
        """Makes a delivery of each change that the webhook is told of; whether there are more to
        look at."""
        of_account = {"account_id": key[0]}
        ((last,),) = await self._store.fetch(queries.last_change(), of_account)
        if last <= webhook["position"]:
            return False
        upto = min(last, webhook["position"] + LOOKED_AT)
        kinds = list(TYPES[webhook["type"]])
        given = {**of_account, "after": webhook["position"], "last": upto, "kinds": kinds}
        rows = await self._store.fetch(outbox.new_changes(), {**given, "limit": BATCH})
        position = rows[-1][0] if len(rows) == BATCH else upto
        now = self._clock()
        looked_at = {"type": webhook["type"], "after": webhook["position"]}
        claimed = {**_of(key), **looked_at, "me": self._me, "now": now}
        fresh = [_delivery(key, number, customer_id, now) for number, customer_id in rows]
        moved = await self._ledger.write(
            [
                (outbox.lock(), claimed),
                *((outbox.add_delivery(claimed=True), {**row, **claimed}) for row in fresh),
                (outbox.move(), {**claimed, "position": position}),
            ]
        )
        return bool(moved) and position < last

    async def _send_due(self, key: Key, sender: Sender) -> bool:
        """Sends the deliveries that are due; whether there may be more."""
        given = {**_of(key), "now": self._clock(), "limit": BATCH}
        rows = await self._store.fetch(outbox.due(), given)
        for row in rows:
            delivery = dict(zip(outbox.DELIVERY_COLUMNS, row, strict=True))
            if self._stopping.is_set() or (webhook := await self._kept(key, delivery)) is None:
                return False
            await self._attempt(key, webhook, delivery, sender)
        return len(rows) == BATCH

    async def _kept(self, key: Key, delivery: Row | None = None) -> Row | None:
        """Claims the webhook for as long as an attempt may take; the row as it is now, or None if
        it may not be served any more: it is paused or disabled, or the delivery was skipped."""
        given = {**_of(key), "me": self._me, "until": self._clock() + CLAIM_MS}
        if delivery is not None:
            given["number"] = delivery["number"]
        claim = outbox.keep_claim(delivery is not None)
        # The lock first: a statement that waits for it would not see what was skipped meanwhile.
        rows = await self._ledger.write([(outbox.lock(), given), (claim, given)])
        return dict(zip(queries.WHOLE_WEBHOOK, rows[0], strict=True)) if rows else None

    async def _attempt(self, key: Key, webhook: Row, delivery: Row, sender: Sender) -> None:
        body = stringify(await self._body(key[0], webhook, delivery))
        at = self._clock()
        headers = {
            "content-type": "application/json",
            "user-agent": f"Regulars/{__version__}",
            "lightfunnels-topic": webhook["type"],
            "regulars-event-id": event_id(key[0], webhook, delivery),
            "regulars-delivery-id": DeliveryId(key[1], delivery["number"]).encode(),
            "regulars-attempt": str(delivery["attempts"] + 1),
            **signature_headers(await secrets_of(self._store, key[0], at), body, at),
        }
        with self._timed():
            outcome = await sender.send(webhook["url"], headers, body)
        self._attempted(outcome.success)
        await self._note(key, delivery, at, outcome, headers, body)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts what takes long as slow, as long as it takes."""
        slow = False

        def mark() -> None:
            nonlocal slow
            slow = True
            self._slow += 1

        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, mark)
        try:
            yield
        finally:
            timer.cancel()
            self._slow -= slow

    async def _body(self, account_id: int, webhook: Row, delivery: Row) -> payloads.Body:
        if delivery["number"] < 0:
            return payloads.example(webhook["type"])
        number, customer_id = delivery["number"], delivery["customer_id"]
        changes = wants_changes(webhook)
        form = webhook["type"] == payloads.FORM
        return await payloads.event(self._store, account_id, number, customer_id, changes, form)

    async def _note(
        self,
        key: Key,
        delivery: Row,
        at: int,
        outcome: Outcome,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Keeps what was sent and answered, and when it is sent again."""
        now, attempts, tries = self._clock(), delivery["attempts"] + 1, delivery["tries"] + 1
        last = tries >= ATTEMPTS
        wait = 0 if last else self._delays[tries - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
        state = DELIVERED if outcome.success else FAILED if last else PENDING
        due_at = now + round(wait * 1000) if state == PENDING else None
        of_one = {**_of(key), "number": delivery["number"]}
        noted = {"state": state, "attempts": attempts, "tries": tries, "due_at": due_at}
        attempt = {
            **of_one,
            "attempt": attempts,
            "customer_id": delivery["customer_id"],
            "at": at,
            "milliseconds": outcome.milliseconds,
            "status": outcome.status,
            "error": outcome.error,
            "exchange": _exchange(headers, body, outcome),
        }
        statements: list[Statement] = [
            (outbox.note_attempt(), attempt),
            (outbox.note_delivery(), {**of_one, **noted, "ended_at": None if due_at else now}),
        ]
        if state == FAILED:
            reason = (
                f"An event could not be delivered in {ATTEMPTS} attempts; the last: "
                f"{outcome.error or f'status {outcome.status}'}"
            )
            given = {**_of(key), "me": self._me, "now": now, "reason": reason}
            statements.append((outbox.disable(), given))
        await self._ledger.write(statements)


def _of(key: Key) -> dict[str, Any]:
    return {"account_id": key[0], "webhook_id": key[1]}


def _delivery(key: Key, number: int, customer_id: int | None, now: int) -> Row:
    return {
        **_of(key),
        "number": number,
        "customer_id": customer_id,
        "state": PENDING,
        "attempts": 0,
        "tries": 0,
        "due_at": now,
        "created_at": now,
        "ended_at": None,
    }


def example_delivery(webhook_id: int, account_id: int, now: int) -> Row:
    """A delivery of an example."""
    return _delivery((account_id, webhook_id), -now, None, now)


def event_id(account_id: int, webhook: Row, delivery: Row) -> str:
    """The id of an event: the same for every webhook that is told of it."""
    if delivery["number"] < 0:
        return f"test-{account_id}-{webhook['webhook_id']}-{-delivery['number']}"
    return f"event-{account_id}-{delivery['number']}"


def _exchange(headers: Mapping[str, str], body: bytes, outcome: Outcome) -> str:
    told = {
        "request_headers": dict(headers),
        "request": body[:KEPT_BYTES].decode(errors="replace"),
        "response_headers": dict(outcome.headers),
        "response": outcome.body[:KEPT_BYTES].decode(errors="replace").replace("\0", "\ufffd"),
    }
    return orjson.dumps(told).decode()


async def forget_old(store: Store, now: int) -> None:
    """Forgets what was sent more than 30 days ago."""
    before = {"before": now - KEPT_MS}
    statements: Sequence[Statement] = [
        (outbox.forget_attempts(), before),
        (outbox.forget_deliveries(), before),
    ]
    await store.execute(statements)
