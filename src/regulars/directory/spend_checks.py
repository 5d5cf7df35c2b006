"""Checks of what customers have spent, for `verify`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from regulars.core import account_settings
from regulars.core.account_settings import SPEND_VERSION
from regulars.core.fields import NEVER
from regulars.orders.spend import expenses_of
from regulars.orders.values import is_counted
from regulars.store import Row


class SpendCheck:
    """Compares the totals of an account's customers with its orders. `finished` is the last version
    of the tables whose contract part is finished."""

    def __init__(self, account_row: Row, finished: str) -> None:
        settings = account_settings.load(account_row["settings"])
        self._is_filled = finished >= SPEND_VERSION
        self._currency = account_settings.counted_currency(settings) if self._is_filled else None
        # While customers are counted again, some have the expenses of the former settings.
        self._is_counting = account_row["recount_after"] is not None
        self._orders: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, NEVER])

    def read(self, order: Row) -> None:
        """Add an order."""
        totals = self._orders[order["customer_id"]]
        if is_counted(order):
            totals[0] += 1
            totals[1] += expenses_of(order, self._currency)
            totals[2] = max(totals[2], order["created_at"])

    @property
    def owners(self) -> set[int]:
        """The customers of the orders."""
        return set(self._orders)

    def of_customer(self, label: str, customer: Row) -> Iterator[str]:
        """Yield the problems of a customer's totals."""
        count, expenses, last = self._orders.get(customer["customer_id"], (0, 0, NEVER))
        is_equal = self._is_counting or customer["expenses"] == expenses
        if customer["orders_count"] != count or not is_equal:
            yield f"{label}: `orders_count` or `expenses` do not match the orders"
        if self._is_filled and customer["last_order_at"] != last:
            yield f"{label}: `last_order_at` does not match the orders"


def check_totals_in_trash(label: str, customer: Row, orders: Iterable[Row]) -> Iterator[str]:
    """Yield the problems of the totals of a customer in the trash. Its expenses count the currency
    that the account had when it was deleted, which is not known."""
    counted = [order for order in orders if is_counted(order)]
    currencies = [None, *{order["currency"] for order in counted}]
    expenses = {sum(expenses_of(order, c) for order in counted) for c in currencies} | {0}
    if customer["orders_count"] != len(counted) or customer["expenses"] not in expenses:
        yield f"{label}: `orders_count` or `expenses` do not match the orders"
