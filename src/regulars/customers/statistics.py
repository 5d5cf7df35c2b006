"""What there is in an account, counted."""

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
    """How many customers were created in the week that begins at `start`, in milliseconds since
    1970."""

    start: int
    customers: int


class Country(NamedTuple):
    """How many customers have an address in a country, by its code of ISO 3166-1 alpha-2."""

    country: str
    customers: int


class Month(NamedTuple):
    """What the orders of a month, as `2024-03`, brought in a currency: the amount in the money's
    scale."""

    month: str
    currency: str
    amount: int
    orders: int


class Statistics:
    """Counts what an account has at a moment, in milliseconds since 1970. Each figure is of its own
    moment, when others write meanwhile."""

    def __init__(self, store: Store, account_id: int, now: int) -> None:
        self._store = store
        self._account = {"account_id": account_id}
        self._now = now

    async def consent(self) -> tuple[int, int]:
        """How many customers there are, and how many accept marketing."""
        rows = await self._store.fetch(statements.count_by_consent(), self._account, is_long=True)
        counts = {bool(accepts): count for accepts, count in rows}
        return sum(counts.values()), counts.get(True, 0)

    async def ordered(self) -> int:
        """How many customers have ordered."""
        return await self._number(statements.count_with_orders())

    async def expenses(self) -> int:
        """What all have paid, less refunds, in the money's scale."""
        return await self._number(statements.sum_expenses())

    async def new_by_week(self) -> list[Week]:
        """The last weeks, oldest first; the last is the present one."""
        monday = self._now - (self._now - _MONDAY_MS) % WEEK_MS
        since = monday - (WEEKS - 1) * WEEK_MS
        parameters = {**self._account, "since": since}
        rows = await self._store.fetch(statements.count_new_by_week(), parameters, is_long=True)
        counts = dict(rows)
        return [Week(since + n * WEEK_MS, counts.get(n, 0)) for n in range(WEEKS)]

    async def countries(self) -> list[Country]:
        """The countries of addresses, those of most customers first. Who has two in different
        countries counts in both."""
        parameters = {**self._account, "low": _COUNTRY, "high": f"{_COUNTRY[:-1]};"}
        rows = await self._store.fetch(statements.count_terms(), parameters, is_long=True)
        return [Country(term.removeprefix(_COUNTRY).upper(), count) for term, count in rows]

    async def spend_by_month(self) -> list[Month]:
        """The last months, oldest first, for each currency that is paid in; the last month is the
        present one."""
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
