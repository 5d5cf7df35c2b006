"""Delivering the events of a claimed webhook."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from regulars import __version__
from regulars.core.errors import Rejected
from regulars.store import Conflict, Row, Store, queries
from regulars.store.query import Statement
from regulars.webhooks import delivery_queries, job_events, payloads
from regulars.webhooks.deliveries import WebhookKey, event_id, new_delivery
from regulars.webhooks.filtering import event_filters, limit_body
from regulars.webhooks.filters import Change
from regulars.webhooks.javascript import stringify
from regulars.webhooks.ledger import Ledger
from regulars.webhooks.signatures import secrets_of, signature_headers
from regulars.webhooks.values import DELIVERED, FAILED, PENDING, TYPES, DeliveryId, wants_changes

if TYPE_CHECKING:
    from regulars.webhooks.sending import Outcome, Sender

CLAIM_MS = 15_000
# A receiver that takes longer is slow: it does not count against the limit of quick ones.
SLOW_SECONDS = 0.5
# Deliveries that are created or sent at a time.
BATCH = 100
# Changes that are read at a time; all of them may be silent.
MAX_CHANGES = 2_000
STORED_BODY_BYTES = 4_096

# The pauses between the attempts, as shares of the whole retry time: short at first, then longer.
_PAUSE_SHARES = (30, 120, 600, 3_600, 10_800, 25_200, 46_050)
MAX_ATTEMPTS = len(_PAUSE_SHARES) + 1
_JITTER = 0.1

_log = logging.getLogger("regulars.webhooks")


class Deliverer:
    """Delivers the events of the webhooks that the worker `worker_id` has claimed.

    `allows_private` permits receivers outside the public internet. An event is tried for
    `retry_seconds`. `on_attempt` is called with the success of each attempt. No new attempt begins
    once `is_stopping` returns True.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        worker_id: str,
        allows_private: bool,
        retry_seconds: float,
        on_attempt: Callable[[bool], None],
        clock: Callable[[], int],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._worker_id = worker_id
        self._allows_private = allows_private
        self._pauses_seconds = [
            share * retry_seconds / sum(_PAUSE_SHARES) for share in _PAUSE_SHARES
        ]
        self._on_attempt = on_attempt
        self._clock = clock
        self._is_stopping = is_stopping
        self.slow_count = 0

    async def serve(self, key: WebhookKey, webhook: Row) -> None:
        """Send the pending events of a claimed webhook, and release it."""
        # Imported late: it would take a tenth of the server's start.
        from regulars.webhooks.sending import Sender, tls

        try:
            async with Sender(tls(), self._allows_private) as sender:
                current: Row | None = webhook
                while current is not None and not self._is_stopping():
                    has_more = await self._create_deliveries(key, current)
                    has_more |= await self._send_due(key, sender)
                    current = await self._extend_claim(key) if has_more else None
            release = {**self._claim_parameters(key), "now": self._clock()}
            await self._ledger.write(delivery_queries.release_statements(release))
        except Conflict:
            return  # the webhook is deleted, or claimed by another worker
        except Exception as error:
            # The claim expires.
            fields = {"fields": {"error": type(error).__name__, "webhook": key[1]}}
            _log.warning("Delivery to a webhook failed.", extra=fields, exc_info=error)
            await asyncio.sleep(1)

    def _claim_parameters(self, key: WebhookKey) -> dict[str, Any]:
        return {**_key_parameters(key), "worker_id": self._worker_id}

    async def _create_deliveries(self, key: WebhookKey, webhook: Row) -> bool:
        """Create a delivery for each new change of the webhook's type that passes its filters;
        return whether there are more changes."""
        account = {"account_id": key[0]}
        ((last_sequence,),) = await self._store.fetch(queries.last_change(), account)
        if last_sequence <= webhook["position"]:
            return False
        end_sequence = min(last_sequence, webhook["position"] + MAX_CHANGES)
        parameters = {
            **account,
            "after": webhook["position"],
            "last": end_sequence,
            "kinds": list(TYPES[webhook["type"]]),
            "limit": BATCH,
        }
        is_filtered = webhook["filtered"]
        rows = await self._store.fetch(delivery_queries.new_changes(is_filtered), parameters)
        position = rows[-1][0] if len(rows) == BATCH else end_sequence
        now = self._clock()
        if is_filtered and rows:
            try:
                filters = await event_filters(self._store, webhook)
            except Rejected as rejected:
                await self._disable(key, rejected)
                return False
            changes = [Change(*row) for row in rows]
            rows = [
                change[:2] for change in await filters.passing(self._store, key[0], changes, now)
            ]
        # The deliveries and the position are committed together, unless the filters have changed.
        expected_values = {"after": webhook["position"], **_named(webhook, "type", "settings")}
        claim = {**self._claim_parameters(key), **expected_values, "now": now}
        deliveries = [new_delivery(key, number, customer_id, now) for number, customer_id in rows]
        insert = delivery_queries.insert_delivery(if_unchanged=True)
        moved_rows = await self._ledger.write(
            [
                (delivery_queries.lock_claimed(), claim),
                *((insert, {**delivery, **claim}) for delivery in deliveries),
                (delivery_queries.move_position(), {**claim, "position": position}),
            ]
        )
        return bool(moved_rows) and position < last_sequence

    async def _disable(self, key: WebhookKey, rejected: Rejected) -> None:
        """Disable a webhook that has an invalid filter: its events wait."""
        reason = f"A filter is invalid, so no events are sent. {rejected.problems[0].message}"
        parameters = {**self._claim_parameters(key), "now": self._clock(), "reason": reason}
        await self._ledger.write([(delivery_queries.disable_webhook(), parameters)])

    async def _send_due(self, key: WebhookKey, sender: Sender) -> bool:
        """Send the deliveries that are due; return whether there may be more."""
        parameters = {**_key_parameters(key), "now": self._clock(), "limit": BATCH}
        rows = await self._store.fetch(delivery_queries.due_deliveries(), parameters)
        for row in rows:
            delivery = dict(zip(delivery_queries.DELIVERY_COLUMNS, row, strict=True))
            if self._is_stopping():
                return False
            webhook = await self._extend_claim(key, delivery)
            if webhook is None:
                return False
            try:
                body = limit_body(webhook, await self._read_body(key[0], webhook, delivery))
            except Rejected as rejected:
                await self._disable(key, rejected)
                return False
            await self._attempt(key, webhook, stringify(body), delivery, sender)
        return len(rows) == BATCH

    async def _extend_claim(self, key: WebhookKey, delivery: Row | None = None) -> Row | None:
        """Extend the claim for an attempt; return the webhook's current row. None if the webhook
        was paused or disabled, or the delivery was skipped."""
        claim = {**self._claim_parameters(key), "until": self._clock() + CLAIM_MS}
        if delivery is not None:
            claim["number"] = delivery["number"]
        extend = delivery_queries.extend_claim(delivery is not None)
        # The lock comes first: a statement that waits for it would not see skipped deliveries.
        rows = await self._ledger.write([(delivery_queries.lock_claimed(), claim), (extend, claim)])
        return dict(zip(queries.WHOLE_WEBHOOK, rows[0], strict=True)) if rows else None

    async def _attempt(
        self,
        key: WebhookKey,
        webhook: Row,
        body: bytes,
        delivery: Row,
        sender: Sender,
    ) -> None:
        """Send a delivery once, and record the attempt."""
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
        with self._count_slow():
            outcome = await sender.send(webhook["url"], headers, body)
        self._on_attempt(outcome.is_success)
        await self._record(key, delivery, at, outcome, headers, body)

    @contextlib.contextmanager
    def _count_slow(self) -> Iterator[None]:
        """Count the block in `slow_count` while it takes longer than SLOW_SECONDS."""
        is_slow = False

        def mark() -> None:
            nonlocal is_slow
            is_slow = True
            self.slow_count += 1

        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, mark)
        try:
            yield
        finally:
            timer.cancel()
            self.slow_count -= is_slow

    async def _read_body(self, account_id: int, webhook: Row, delivery: Row) -> payloads.Body:
        if delivery["number"] < 0:
            return payloads.example_body(webhook["type"])
        if delivery["job_id"] is not None:
            return await job_events.event_body(self._store, account_id, delivery["job_id"])
        number, customer_id = delivery["number"], delivery["customer_id"]
        with_changes = wants_changes(webhook)
        is_form = webhook["type"] == payloads.FORM
        return await payloads.event_body(
            self._store, account_id, number, customer_id, with_changes, is_form
        )

    async def _record(
        self,
        key: WebhookKey,
        delivery: Row,
        at: int,
        outcome: Outcome,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Record an attempt, and when the next one is due; after the last one, disable the
        webhook."""
        now, attempts, tries = self._clock(), delivery["attempts"] + 1, delivery["tries"] + 1
        is_last = tries >= MAX_ATTEMPTS
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
        pause_seconds = 0 if is_last else self._pauses_seconds[tries - 1] * jitter
        state = DELIVERED if outcome.is_success else FAILED if is_last else PENDING
        due_at = now + round(pause_seconds * 1000) if state == PENDING else None
        delivery_key = {**_key_parameters(key), "number": delivery["number"]}
        columns = {"state": state, "attempts": attempts, "tries": tries, "due_at": due_at}
        attempt = {
            **delivery_key,
            "attempt": attempts,
            "customer_id": delivery["customer_id"],
            "at": at,
            "milliseconds": outcome.milliseconds,
            "status": outcome.status,
            "error": outcome.error,
            "exchange": _exchange(headers, body, outcome),
        }
        ended_at = None if due_at else now
        statements: list[Statement] = [
            (delivery_queries.insert_attempt(), attempt),
            (delivery_queries.update_delivery(), {**delivery_key, **columns, "ended_at": ended_at}),
        ]
        if state == FAILED:
            reason = (
                f"An event could not be delivered in {MAX_ATTEMPTS} attempts. Last error: "
                f"{outcome.error or f'status {outcome.status}'}"
            )
            parameters = {**self._claim_parameters(key), "now": now, "reason": reason}
            statements.append((delivery_queries.disable_webhook(), parameters))
        await self._ledger.write(statements)


def _named(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _key_parameters(key: WebhookKey) -> dict[str, Any]:
    return {"account_id": key[0], "webhook_id": key[1]}


def _exchange(headers: Mapping[str, str], body: bytes, outcome: Outcome) -> str:
    """Return the request and the response as JSON, their bodies cut to STORED_BODY_BYTES."""
    response = outcome.body[:STORED_BODY_BYTES].decode(errors="replace")
    exchange = {
        "request_headers": dict(headers),
        "request": body[:STORED_BODY_BYTES].decode(errors="replace"),
        "response_headers": dict(outcome.headers),
        "response": response.replace("\0", "\ufffd"),
    }
    return orjson.dumps(exchange).decode()
