"""Statistics of an account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from regulars.store import Store
from regulars.store import statistics as statements
from regulars.store.query import Query
from regulars.store.statistics import DAY_MS, WEEK_MS

WEEKS = 26
MONTHS = 12
# 1970 began on a Thursday.
_MONDAY_MS = 4 * DAY_MS
_COUNTRY = "country:"


class Week(NamedTuple):
    """The number of customers that were created in the week from `start`, in milliseconds since
    1970."""

    start: int
    customers: int


class Country(NamedTuple):
    """The number of customers with an address in a country (ISO 3166-1 alpha-2)."""

    country: str
    customers: int


class Month(NamedTuple):
    """The paid amount and the number of orders of a month (`2024-03`) in a currency. The amount is
    in 1/10,000 of the currency's unit."""

    month: str
    currency: str
    amount: int
    orders: int


class Statistics:
    """Computes the statistics of an account at a time in milliseconds since 1970. If others write
    meanwhile, the figures may be from different states."""

    def __init__(self, store: Store, account_id: int, now: int) -> None:
        self._store = store
        self._account = {"account_id": account_id}
        self._now = now

    async def consent(self) -> tuple[int, int]:
        """Return the number of customers, and the number of those who accept marketing."""
        rows = await self._store.fetch(statements.count_by_consent(), self._account, is_long=True)
        counts = {bool(accepts): count for accepts, count in rows}
        return sum(counts.values()), counts.get(True, 0)

    async def ordered(self) -> int:
        """Return the number of customers with an order."""
        return await self._number(statements.count_with_orders())

    async def expenses(self) -> int:
        """Return the paid amounts of all customers minus refunds, in 1/10,000 of the unit."""
        return await self._number(statements.sum_expenses())

    async def new_by_week(self) -> list[Week]:
        """Return the new customers of the last 26 weeks, oldest week first. The last week is the
        current one."""
        monday = self._now - (self._now - _MONDAY_MS) % WEEK_MS
        since = monday - (WEEKS - 1) * WEEK_MS
        parameters = {**self._account, "since": since}
        rows = await self._store.fetch(statements.count_new_by_week(), parameters, is_long=True)
        counts = dict(rows)
        return [Week(since + n * WEEK_MS, counts.get(n, 0)) for n in range(WEEKS)]

    async def countries(self) -> list[Country]:
        """Return the countries of addresses, most customers first. A customer with addresses in two
        countries counts in both."""
        parameters = {**self._account, "low": _COUNTRY, "high": f"{_COUNTRY[:-1]};"}
        rows = await self._store.fetch(statements.count_terms(), parameters, is_long=True)
        return [Country(term.removeprefix(_COUNTRY).upper(), count) for term, count in rows]

    async def spend_by_month(self) -> list[Month]:
        """Return the last 12 months, oldest first, for each currency of the orders. The last month
        is the current one."""
        months = _last_months(self._now)
        first = datetime.strptime(months[0], "%Y-%m").replace(tzinfo=UTC)
        parameters = {**self._account, "since": round(first.timestamp() * 1000)}
        rows = await self._store.fetch(statements.spend_by_day(), parameters, is_long=True)
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for day, currency, amount, orders in rows:
            key = (_month(day), currency)
            total = sums.get(key, (0, 0))
            sums[key] = (total[0] + amount, total[1] + orders)
        currencies = sorted({currency for _, currency in sums})
        return [Month(m, c, *sums.get((m, c), (0, 0))) for m in months for c in currencies]

    async def _number(self, query: Query) -> int:
        ((number,),) = await self._store.fetch(query, self._account, is_long=True)
        return int(number)


def _month(day: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m}"


def _last_months(now: int) -> Sequence[str]:
    at = datetime.fromtimestamp(now / 1000, tz=UTC)
    last = at.year * 12 + at.month - 1
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(last - MONTHS + 1, last + 1)]
