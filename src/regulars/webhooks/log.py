"""What an account sees of its webhooks: which there are, what was delivered, and how that went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.directory.errors import InvalidInput, Refused
from regulars.directory.paging import KeysetPage, Page
from regulars.directory.relations import page_of_each
from regulars.directory.webhooks import TYPES, DeliveryId, WebhookNotFound, is_disabled
from regulars.store import Conflict, Row, Store, queries
from regulars.store.relations import DELIVERIES
from regulars.webhooks import delivery_queries, log_queries
from regulars.webhooks.deliveries import event_id, example_delivery

MOST_MISSED = 10_000
MISSED_AMONG = 250_000


class Deliveries:
    """The webhooks of the accounts of a store, and what was delivered to them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def webhooks(self, account_id: int) -> list[Row]:
        """The account's webhooks, oldest first."""
        rows = await self._store.fetch(log_queries.webhooks_of(), {"account_id": account_id})
        return [_webhook(row) for row in rows]

    async def webhook(self, account_id: int, webhook_id: int) -> Row | None:
        """A webhook of the account, or None."""
        of_one = {"account_id": account_id, "webhook_id": webhook_id}
        rows = await self._store.fetch(log_queries.webhook_by_id(), of_one)
        return _webhook(rows[0]) if rows else None

    async def delivery(self, account_id: int, named: DeliveryId) -> Row | None:
        """A delivery of the account, or None."""
        of_one = {"account_id": account_id, "webhook_id": named.webhook_id}
        rows = await self._store.fetch(
            log_queries.delivery_by_number(), {**of_one, "number": named.number}
        )
        return _delivery(account_id, rows[0]) if rows else None

    async def of(
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
            one._replace(rows=[_columns(_delivery(account_id, row), columns) for row in one.rows])
            for one in pages
        ]

    async def missed(self, webhook: Row) -> int:
        """How many events wait while a webhook is paused or disabled: at most `MOST_MISSED`, of the
        next `MISSED_AMONG` changes of the account. 0 while it is enabled."""
        if webhook["disabled_since"] is None:
            return 0
        given = {
            "account_id": webhook["account_id"],
            "webhook_id": webhook["webhook_id"],
            "after": webhook["position"],
            "last": webhook["position"] + MISSED_AMONG,
            "kinds": list(TYPES[webhook["type"]]),
            "limit": MOST_MISSED,
        }
        ((changes, waiting),) = await self._store.fetch(
            log_queries.count_missed(), given, is_long=True
        )
        return min(MOST_MISSED, int(changes) + int(waiting))

    async def attempts(self, account_id: int, keys: Sequence[tuple[int, int]]) -> list[list[Row]]:
        """For each delivery, by its webhook and number, its attempts, oldest first."""
        given = {
            "account_id": account_id,
            "ids": list({webhook_id for webhook_id, _ in keys}),
            "numbers": list({number for _, number in keys}),
        }
        found: dict[tuple[int, int], list[Row]] = {key: [] for key in keys}
        for row in await self._store.fetch(log_queries.attempts_of(), given):
            attempt = dict(zip(log_queries.ATTEMPT_COLUMNS, row, strict=True))
            key = (attempt["webhook_id"], attempt["number"])
            if key in found:
                found[key].append(attempt)
        return [found[key] for key in keys]

    async def retry(self, account_id: int, given: str, now: int) -> Row:
        """Has a delivery attempted again, whatever became of it. Raises Refused."""
        named = DeliveryId.decode(given)
        if named is None:
            raise Refused(WebhookNotFound(given, "delivery"))
        of_one = {"account_id": account_id, "webhook_id": named.webhook_id}
        await self._enabled(of_one, WebhookNotFound(given, "delivery"))
        again = {**of_one, "number": named.number, "now": now}
        rows, _ = await self._store.run(
            [(log_queries.retry_delivery(), again), (log_queries.wake(), {**of_one, "now": now})]
        )
        if not rows:
            raise Refused(WebhookNotFound(given, "delivery"))
        return await self._one(of_one, named.number)

    async def test(self, account_id: int, given: str, webhook_id: int | None, now: int) -> Row:
        """Has an example sent to a webhook. Raises Refused."""
        missing = WebhookNotFound(given)
        if webhook_id is None:
            raise Refused(missing)
        of_one = {"account_id": account_id, "webhook_id": webhook_id}
        await self._enabled(of_one, missing)
        moment = now
        while True:
            row = example_delivery(webhook_id, account_id, moment)
            rows = await self._store.fetch(
                log_queries.delivery_by_number(), {**of_one, "number": row["number"]}
            )
            if not rows:
                break
            moment += 1  # another of this millisecond
        call = {**of_one, "now": now}
        try:
            await self._store.execute(
                [(delivery_queries.insert_delivery(), row), (log_queries.wake(), call)]
            )
        except Conflict as error:  # it was deleted just now
            raise Refused(missing) from error
        return await self._one(of_one, row["number"])

    async def _enabled(self, of_one: dict[str, int], missing: WebhookNotFound) -> None:
        rows = await self._store.fetch(log_queries.webhook_by_id(), of_one)
        if not rows:
            raise Refused(missing)
        webhook = _webhook(rows[0])
        if webhook["disabled_since"] is not None and not webhook["is_paused"]:
            message = (
                "This webhook is disabled after a failure, and nothing is sent to it. Enable it "
                "first: updateWebhook(id: …, node: {disabled: false})."
            )
            raise Refused(InvalidInput(message, ("id",)))

    async def _one(self, of_one: dict[str, int], number: int) -> Row:
        (row,) = await self._store.fetch(
            log_queries.delivery_by_number(), {**of_one, "number": number}
        )
        return _delivery(of_one["account_id"], row)


def _webhook(row: Any) -> Row:
    webhook = dict(zip(queries.WHOLE_WEBHOOK, row, strict=True))
    return shown(webhook)


def shown(webhook: Row) -> Row:
    """A webhook's row with since when it is disabled, and why."""
    disabled = is_disabled(webhook["disabled_at"], webhook["enabled_at"])
    return {
        **webhook,
        "disabled_since": webhook["disabled_at"] if disabled else None,
        "disabled_why": webhook["disabled_reason"] if disabled else None,
        # The answer to an earlier request may come from a version that knew no pause.
        "is_paused": disabled and bool(webhook.get("paused")),
    }


def _delivery(account_id: int, row: Any) -> Row:
    delivery = dict(zip(delivery_queries.DELIVERY_COLUMNS, row, strict=True))
    number = delivery["number"]
    return {
        **delivery,
        "id": DeliveryId(delivery["webhook_id"], number).encode(),
        "event_id": event_id(account_id, delivery, delivery),
        "sequence": number if number > 0 else None,
        "key": (delivery["webhook_id"], number),
    }


def _columns(row: Row, columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple([row[name] for name in columns])
