"""What a customer has spent: the totals in its row, which follow from its orders, and the account's
currency.

While an older program may use the database, the account's currency does not count: that program
adds the amounts of all currencies. See `migrations/versions/v0021_spend.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from regulars.core import account_settings
from regulars.core.account_settings import CURRENCY, SPEND_VERSION
from regulars.core.fields import NEVER
from regulars.orders.values import is_counted
from regulars.store import LoadedRows, Row, UnitOfWork
from regulars.store.auth_tables import accounts
from regulars.store.entity import BatchStatement, Change, Load, Where, batch_account
from regulars.store.query import number
from regulars.store.spend import last_orders_of_customers, spend_of_each
from regulars.store.tables import customers, orders
from regulars.store.tokens import spend_settings_of

# The lookups of commands that change totals: the settings; the names of orders that may stop to
# count, with the time of the last other order of their customers; and customers whose expenses are
# counted again, with what they have spent.
SPEND_SETTINGS = "spend_settings"
CHANGED_ORDERS = "changed_orders"
RECOUNTED = "recounted_ids"

DEFAULT_CURRENCY = "USD"


def _adopt_currency(where: Where) -> Change:
    type_ = accounts.c.settings.type
    is_unchanged = accounts.c.settings.is_not_distinct_from(sa.bindparam("adopted_over", type_))
    is_account = accounts.c.account_id == batch_account()
    values = {
        "settings": sa.bindparam("adopted_settings", type_=type_),
        "recount_after": number("adopted_recount"),
    }
    return accounts.update().where(where(is_account, is_unchanged)).values(values)


# Stores the settings with the currency of the account's first order. `adopted_recount` is 0 if
# there were other orders, whose currencies may differ.
ADOPT_CURRENCY = BatchStatement("adopted_currency", _adopt_currency)


def _named(name: str, *columns: str) -> Any:
    def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
        return {name: [dict(zip(columns, row, strict=True)) for row in rows]}

    return split


LOADS = (
    Load((SPEND_SETTINGS,), spend_settings_of, _named(SPEND_SETTINGS, "settings", "finished")),
    Load(
        (CHANGED_ORDERS,),
        last_orders_of_customers,
        _named(CHANGED_ORDERS, "customer_id", "created_at"),
        (CHANGED_ORDERS,),
    ),
    Load(
        (RECOUNTED,),
        spend_of_each,
        _named(RECOUNTED, "customer_id", "currency", "amount", "orders", "first", "last"),
        (RECOUNTED,),
    ),
)


def stored_settings(unit: UnitOfWork) -> str | None:
    """Return the settings of the account as they are stored, with the changes of the batch."""
    adopted = unit.statements.get(ADOPT_CURRENCY)
    if adopted is not None:
        return str(adopted["adopted_settings"])
    rows = unit.state.rows.get(SPEND_SETTINGS)
    return rows[0]["settings"] if rows else None


def _has_currency(unit: UnitOfWork) -> bool:
    """Whether no older program may use the database. The batch must look up the settings."""
    rows = unit.state.rows.get(SPEND_SETTINGS)
    return bool(rows and rows[0]["finished"] >= SPEND_VERSION)


def default_currency(unit: UnitOfWork) -> str:
    """Return the currency of an order without one."""
    currency = account_settings.load(stored_settings(unit))[CURRENCY.name]
    return currency or DEFAULT_CURRENCY


def counted_currency(unit: UnitOfWork) -> str | None:
    """Return the currency whose orders `expenses` count; None if they count all orders."""
    if not _has_currency(unit):
        return None
    return account_settings.counted_currency(account_settings.load(stored_settings(unit)))


def adopt_currency(unit: UnitOfWork, order: Row) -> None:
    """Make the currency of an order that counts that of the account, if it has none."""
    stored = stored_settings(unit)
    if (
        not _has_currency(unit)
        or not is_counted(order)
        or account_settings.load(stored)[CURRENCY.name] is not None
    ):
        return
    unit.run(
        ADOPT_CURRENCY,
        adopted_over=stored,
        adopted_settings=account_settings.merge(stored, {CURRENCY.name: order["currency"]}),
        adopted_recount=0 if order["order_id"] > 1 else None,
    )


def expenses_of(order: Row | None, currency: str | None) -> int:
    """Return what an order adds to `expenses` (1/10,000) that count a currency, or all of them."""
    if order is None or not is_counted(order) or currency not in (None, order["currency"]):
        return 0
    return int(order["net_payment"])


def totals_of(rows: Iterable[Row], currency: str | None) -> dict[str, int]:
    """Return the totals of a customer with orders, by column."""
    counted = [row for row in rows if is_counted(row)]
    return {
        "expenses": sum(expenses_of(row, currency) for row in counted),
        "orders_count": len(counted),
        "last_order_at": max((row["created_at"] for row in counted), default=NEVER),
    }


def with_order(
    unit: UnitOfWork,
    customer: Row,
    order: Row,
    before: Row | None = None,
    names_currency: bool = True,
) -> Row:
    """Return a customer's row with the totals of an order, which the unit of work has, instead of
    those of its earlier row `before`. The account takes the currency of the first order that
    names one, and not the default."""
    earlier_currency = counted_currency(unit)
    if names_currency:
        adopt_currency(unit, order)
    currency = counted_currency(unit)
    had_order = before is not None and is_counted(before)
    return {
        **customer,
        "expenses": (
            customer["expenses"]
            + expenses_of(order, currency)
            - expenses_of(before, earlier_currency)
        ),
        "orders_count": customer["orders_count"] + is_counted(order) - had_order,
        "last_order_at": _last_order_at(unit, customer, order, before if had_order else None),
    }


def _last_order_at(unit: UnitOfWork, customer: Row, order: Row, before: Row | None) -> int:
    """Return the time of the last order of a customer. `before` is the earlier row of the order, if
    it counted."""
    last: int = customer["last_order_at"]
    after: int = order["created_at"] if is_counted(order) else NEVER
    if before is None or after >= before["created_at"] or before["created_at"] < last:
        return max(last, after)
    # The last order ends to count, or was earlier.
    number = customer["customer_id"]
    stored = unit.rows[customers].loaded(number)
    others: int = NEVER if stored is None else stored["last_order_at"]
    for row in unit.state.rows.get(CHANGED_ORDERS, ()):
        if row["customer_id"] == number:
            others = NEVER if row["created_at"] is None else row["created_at"]
    of_batch = (r["created_at"] for r in unit.rows[orders].of_customer(number) if is_counted(r))
    latest: int = max([others, *of_batch])
    return latest
