"""Counts the `expenses` of customers again, after a change of the currency that they count.

The command counts a few customers. The worker runs it for all customers with orders of an account,
page by page. What is to be done is stored in the account, so a killed worker loses nothing, and
orders that are recorded meanwhile count as usual.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regulars.core.account_worker import AccountWorker
from regulars.core.clock import now_ms
from regulars.core.commands import IdempotencyRecord, Origin, SmallCommand
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.spend import RECOUNTED, counted_currency, expenses_of, stored_settings
from regulars.store import LookupKeys
from regulars.store.query import Query
from regulars.store.spend import customers_with_orders
from regulars.store.tables import orders
from regulars.store.tokens import accounts_to_recount, advance_recount

# Its changes are sent to no webhook: no order has changed.
RECOUNTER = Origin("system", "currency", silent=True)


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


class RecountWorker(AccountWorker):
    """Counts the `expenses` of the accounts whose currency has changed. Several processes can do
    this at the same time: their results are the same."""

    poll_seconds = 1.0
    log = logging.getLogger("regulars.spend")
    failure = "Expenses could not be counted again."
    max_rows = 200

    def _accounts_with_work(self, of_accounts: bool) -> Query:
        return accounts_to_recount(of_accounts)

    async def _step(self, row: Sequence[Any], limit: int) -> int:
        account_id, after, settings = row
        parameters = {"account_id": account_id, "after": after, "limit": limit}
        rows = await self._store.fetch(customers_with_orders(), parameters, is_long=True)
        ids = [row[0] for row in rows]
        if ids:
            command = RecountExpenses(frozenset(ids), now_ms())
            if await self._store.write(account_id, command) != settings:
                return 0  # the settings have changed, which starts from the first customer
        advance = {
            "changed_account": account_id,
            "before": after,
            "after": ids[-1] if len(ids) == limit else None,
            "read": settings,
        }
        await self._store.execute([(advance_recount(), advance)])
        return len(ids)
