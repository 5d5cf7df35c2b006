"""Counts the `expenses` of customers again, after a change of the currency that they count.

The command counts a few customers. The worker runs it for all customers with orders of an account,
page by page. What is to be done is stored in the account, so a killed worker loses nothing, and
orders that are recorded meanwhile count as usual.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

from regulars.core.clock import now_ms
from regulars.core.commands import IdempotencyRecord, Origin, SmallCommand
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.spend import RECOUNTED, counted_currency, expenses_of, stored_settings
from regulars.store import LookupKeys, Store
from regulars.store.spend import customers_with_orders
from regulars.store.tables import orders
from regulars.store.tokens import accounts_to_recount, advance_recount

POLL_SECONDS = 1.0
# Customers of a write: the writes of clients wait for it.
PAGE = 200
# After each page the worker waits as long as the page took: the requests of clients come first.
_MAX_PAUSE_SECONDS = 1.0
_MAX_ACCOUNTS = 100
# Its changes are sent to no webhook: no order has changed.
RECOUNTER = Origin("system", "currency", silent=True)

_log = logging.getLogger("regulars.spend")


@dataclass(frozen=True, slots=True)
class RecountExpenses(SmallCommand):
    """Counts the `expenses` of customers by their orders, at a time in milliseconds since 1970.
    Returns the stored settings of the account by which they are counted."""

    customer_ids: frozenset[int]
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = RECOUNTER

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=self.customer_ids,
            recounted_ids=self.customer_ids,
            spend_settings=(True,),
        )


def recount(unit: CustomerUnitOfWork, command: RecountExpenses) -> str | None:
    """Decide a RecountExpenses."""
    currency = counted_currency(unit)
    expenses = dict.fromkeys(command.customer_ids, 0)
    for row in unit.state.rows.get(RECOUNTED, ()):
        if row["customer_id"] in expenses and currency in (None, row["currency"]):
            expenses[row["customer_id"]] += row["amount"]
    # The orders that the batch has changed before.
    for _, before, after in unit.rows[orders].differences():
        number = (after or before or {}).get("customer_id")
        if number in expenses:
            expenses[number] += expenses_of(after, currency) - expenses_of(before, currency)
    for customer_id, amount in expenses.items():
        customer = unit.customer(customer_id)
        if customer is not None:
            unit.save(customer, {**customer, "expenses": amount}, command)
    return stored_settings(unit)


class RecountWorker:
    """Counts the `expenses` of the accounts whose currency has changed. Several processes can do
    this at the same time: their results are the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.recount_accounts()
            except Exception as error:  # the next pass tries again
                fields = {"fields": {"error": type(error).__name__}}
                _log.warning("Expenses could not be counted again.", extra=fields)
            await self._pause(POLL_SECONDS)

    def stop(self) -> None:
        """End `run` after the page in progress."""
        self._stopping.set()

    async def recount_accounts(self) -> None:
        """Count a page of each account that needs it, until none does."""
        while not self._stopping.is_set():
            rows = await self._store.fetch(accounts_to_recount(), {"limit": _MAX_ACCOUNTS})
            if not rows:
                return
            for account_id, after, settings in rows:
                began = time.perf_counter()
                await self._recount_page(account_id, after, settings)
                await self._pause(min(time.perf_counter() - began, _MAX_PAUSE_SECONDS))

    async def _recount_page(self, account_id: int, after: int, settings: str | None) -> None:
        parameters = {"account_id": account_id, "after": after, "limit": PAGE}
        rows = await self._store.fetch(customers_with_orders(), parameters, is_long=True)
        ids = [row[0] for row in rows]
        if ids:
            command = RecountExpenses(frozenset(ids), now_ms())
            if await self._store.write(account_id, command) != settings:
                return  # the settings have changed, which starts from the first customer
        advance = {
            "changed_account": account_id,
            "before": after,
            "after": ids[-1] if len(ids) == PAGE else None,
            "read": settings,
        }
        await self._store.execute([(advance_recount(), advance)])

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
