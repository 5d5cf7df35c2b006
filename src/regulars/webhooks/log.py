"""The webhooks of an account, with their deliveries and attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from regulars.core.errors import InvalidInput, Rejected
from regulars.core.paging import KeysetPage, Page
from regulars.core.relations import page_of_each
from regulars.store import Conflict, Row, Store, queries
from regulars.store.relations import DELIVERIES
from regulars.webhooks import delivery_queries, log_queries
from regulars.webhooks.deliveries import event_id, example_delivery
from regulars.webhooks.values import SKIPPED, TYPES, DeliveryId, WebhookNotFound, is_disabled

MAX_MISSED = 10_000
MAX_MISSED_CHANGES = 250_000
# Their requests and responses are read together: those of 250 deliveries took 150 ms.
_DELIVERIES_PER_READ = 20


class DeliveryLog:
    """Reads the webhooks and deliveries of a store, and requests deliveries. The pending deliveries
    of `skipped_webhooks` are shown as if they were skipped at the time `skipped_at`."""

    def __init__(
        self, store: Store, skipped_webhooks: Collection[int] = (), skipped_at: int = 0
    ) -> None:
        self._store = store
        self._skipped_webhooks = skipped_webhooks
        self._skipped = {"state": SKIPPED, "due_at": None, "ended_at": skipped_at}

    async def webhooks(self, account_id: int) -> list[Row]:
        """Return the account's webhooks, oldest first."""
        rows = await self._store.fetch(log_queries.webhooks_of(), {"account_id": account_id})
        return [_webhook(row) for row in rows]

    async def webhook(self, account_id: int, webhook_id: int) -> Row | None:
        """Return a webhook of the account, or None."""
        key = {"account_id": account_id, "webhook_id": webhook_id}
        rows = await self._store.fetch(log_queries.webhook_by_id(), key)
        return _webhook(rows[0]) if rows else None

    async def delivery(self, account_id: int, delivery_id: DeliveryId) -> Row | None:
        """Return a delivery of the account, or None."""
        key = {"account_id": account_id, "webhook_id": delivery_id.webhook_id}
        rows = await self._store.fetch(
            log_queries.delivery_by_number(), {**key, "number": delivery_id.number}
        )
        return _delivery(account_id, rows[0]) if rows else None

    async def list_deliveries(
        self,
        account_id: int,
        webhook_ids: Sequence[int],
        page: KeysetPage,
        columns: tuple[str, ...],
    ) -> list[Page]:
        """Return for each webhook a page of its deliveries, newest first, with these columns."""
        pages = await page_of_each(
            self._store,
            DELIVERIES,
            account_id,
            webhook_ids,
            page,
            delivery_queries.DELIVERY_COLUMNS,
        )
        return [
            page._replace(rows=[self._columns(account_id, row, columns) for row in page.rows])
            for page in pages
        ]

    def _columns(self, account_id: int, row: Any, columns: tuple[str, ...]) -> tuple[Any, ...]:
        delivery = _delivery(account_id, row)
        if delivery["webhook_id"] in self._skipped_webhooks and delivery["due_at"] is not None:
            delivery = {**delivery, **self._skipped}
        return tuple([delivery[name] for name in columns])

    async def count_webhooks(self, account_id: int) -> dict[str, int]:
        """Return the number of webhooks of each type that are enabled or paused."""
        query = log_queries.count_webhooks()
        return dict(await self._store.fetch(query, {"account_id": account_id}))

    async def count_missed(self, webhook: Row) -> int:
        """Return how many events wait while a webhook is paused or disabled: at most `MAX_MISSED`,
        among the next `MAX_MISSED_CHANGES` changes of the account. 0 while it is enabled."""
        if webhook["disabled_since"] is None:
            return 0
        parameters = {
            "account_id": webhook["account_id"],
            "webhook_id": webhook["webhook_id"],
            "after": webhook["position"],
            "last": webhook["position"] + MAX_MISSED_CHANGES,
            "kinds": list(TYPES[webhook["type"]]),
            "limit": MAX_MISSED,
        }
        query = log_queries.count_missed()
        ((changes, pending),) = await self._store.fetch(query, parameters, is_long=True)
        if webhook["webhook_id"] in self._skipped_webhooks:
            pending = 0
        return min(MAX_MISSED, int(changes) + int(pending))

    async def attempts(self, account_id: int, keys: Sequence[tuple[int, int]]) -> list[list[Row]]:
        """Return the attempts of each delivery (webhook, number), oldest first."""
        attempts: dict[tuple[int, int], list[Row]] = {key: [] for key in keys}
        for start in range(0, len(keys), _DELIVERIES_PER_READ):
            part = set(keys[start : start + _DELIVERIES_PER_READ])
            parameters = {
                "account_id": account_id,
                "ids": list({webhook_id for webhook_id, _ in part}),
                "numbers": list({number for _, number in part}),
            }
            for row in await self._store.fetch(log_queries.attempts_of(), parameters):
                attempt = dict(zip(log_queries.ATTEMPT_COLUMNS, row, strict=True))
                key = (attempt["webhook_id"], attempt["number"])
                if key in part:
                    attempts[key].append(attempt)
            await asyncio.sleep(0)  # requests and responses can be large
        return [attempts[key] for key in keys]

    async def retry(self, account_id: int, id_: str, now: int) -> Row:
        """Request another attempt of a delivery in any state. Raises Rejected."""
        missing = WebhookNotFound(id_, "delivery")
        delivery_id = DeliveryId.decode(id_)
        if delivery_id is None:
            raise Rejected(missing)
        key = {"account_id": account_id, "webhook_id": delivery_id.webhook_id}
        await self._require_enabled(key, missing)
        parameters = {**key, "number": delivery_id.number, "now": now}
        rows, _ = await self._store.run(
            [(log_queries.retry_delivery(), parameters), (log_queries.wake(), {**key, "now": now})]
        )
        if not rows:
            raise Rejected(missing)
        return await self._read_delivery(key, delivery_id.number)

    async def send_example(
        self, account_id: int, id_: str, webhook_id: int | None, now: int
    ) -> Row:
        """Request the delivery of an example event to a webhook. Raises Rejected."""
        missing = WebhookNotFound(id_)
        if webhook_id is None:
            raise Rejected(missing)
        key = {"account_id": account_id, "webhook_id": webhook_id}
        await self._require_enabled(key, missing)
        timestamp = now
        while True:
            row = example_delivery(webhook_id, account_id, timestamp)
            rows = await self._store.fetch(
                log_queries.delivery_by_number(), {**key, "number": row["number"]}
            )
            if not rows:
                break
            timestamp += 1  # an example of this millisecond exists
        try:
            await self._store.execute(
                [
                    (delivery_queries.insert_delivery(), row),
                    (log_queries.wake(), {**key, "now": now}),
                ]
            )
        except Conflict as error:  # the webhook was deleted meanwhile
            raise Rejected(missing) from error
        return await self._read_delivery(key, row["number"])

    async def _require_enabled(self, key: dict[str, int], missing: WebhookNotFound) -> None:
        """Raise Rejected if a webhook does not exist, or is disabled after a failure."""
        rows = await self._store.fetch(log_queries.webhook_by_id(), key)
        if not rows:
            raise Rejected(missing)
        webhook = _webhook(rows[0])
        if webhook["disabled_since"] is not None and not webhook["is_paused"]:
            message = (
                "This webhook is disabled after a failure, so nothing is sent to it. Enable it "
                "with `updateWebhook(id: …, node: {disabled: false})` first."
            )
            raise Rejected(InvalidInput(message, ("id",)))

    async def _read_delivery(self, key: dict[str, int], number: int) -> Row:
        (row,) = await self._store.fetch(
            log_queries.delivery_by_number(), {**key, "number": number}
        )
        return _delivery(key["account_id"], row)


def _webhook(row: Any) -> Row:
    webhook = dict(zip(queries.WHOLE_WEBHOOK, row, strict=True))
    return with_status(webhook)


def with_status(webhook: Row) -> Row:
    """Return a webhook's row with the time and the reason of its disabling."""
    is_off = is_disabled(webhook["disabled_at"], webhook["enabled_at"])
    return {
        **webhook,
        "disabled_since": webhook["disabled_at"] if is_off else None,
        "disabled_why": webhook["disabled_reason"] if is_off else None,
        # A stored outcome may come from a version without pauses.
        "is_paused": is_off and bool(webhook.get("paused")),
    }


def _delivery(account_id: int, row: Any) -> Row:
    delivery = dict(zip(delivery_queries.DELIVERY_COLUMNS, row, strict=True))
    number = delivery["number"]
    return {
        **delivery,
        "id": DeliveryId(delivery["webhook_id"], number).encode(),
        "event_id": event_id(account_id, delivery, delivery),
        "sequence": number if number > 0 and delivery["job_id"] is None else None,
        "key": (delivery["webhook_id"], number),
    }
