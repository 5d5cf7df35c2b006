"""Figures of the orders of a period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regulars.core import account_settings
from regulars.core.account_settings import CURRENCY
from regulars.store import Store
from regulars.store import spend as statements
from regulars.store.query import Query
from regulars.store.tokens import account_settings_of

TOP_CUSTOMERS = 10


@dataclass(frozen=True, slots=True)
class Period:
    """The figures of an account from the time `since` to before `until`, both in milliseconds since
    1970. Orders that are cancelled and tests do not count. If others write meanwhile, the figures
    may be from different states."""

    store: Store
    account_id: int
    since: int
    until: int

    async def spend(self) -> list[dict[str, Any]]:
        """Return what customers have spent in each currency: the account's first, then that with
        most orders."""
        home = await self._currency()
        rows = await self._fetch(statements.spend_of_period())
        names = ("currency", "amount", "orders_count")
        spent = [dict(zip(names, row, strict=True)) for row in rows]
        return sorted(spent, key=lambda row: row["currency"] != home)

    async def buyers(self) -> tuple[int, int, int]:
        """Return the number of customers with orders in the period, the number of those who had
        more than one order before its end, and the number of the orders."""
        ((customers, returning, orders),) = await self._fetch(statements.customers_of_period())
        return customers, returning, orders

    async def new_customers(self) -> int:
        """Return the number of customers that were created in the period."""
        ((count,),) = await self._fetch(statements.new_customers_of_period())
        return int(count)

    async def top_customers(self, currency: str) -> list[tuple[int, int, int]]:
        """Return the customers that spent most in a currency: `_id`, amount, number of orders."""
        query = statements.top_customers_of_period()
        rows = await self._fetch(query, currency=currency, limit=TOP_CUSTOMERS)
        return [(number, amount, count) for number, amount, count in rows]

    async def _currency(self) -> str | None:
        ((stored,),) = await self.store.fetch(
            account_settings_of(), {"account_id": self.account_id}
        )
        currency: str | None = account_settings.load(stored)[CURRENCY.name]
        return currency

    async def _fetch(self, query: Query, **parameters: Any) -> Any:
        period = {"account_id": self.account_id, "since": self.since, "until": self.until}
        return await self.store.fetch(query, {**period, **parameters}, is_long=True)
