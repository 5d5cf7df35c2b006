"""Amounts of money: exact, in 1/10,000 of the unit of the currency."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from regulars.store.tables import MONEY_SCALE


def units(amount: Decimal) -> int:
    """Returns an amount in 1/10,000, as it is stored. Raises ValueError if it has more than four
    decimal places."""
    scaled = amount * MONEY_SCALE
    if scaled != int(scaled):
        raise ValueError(f"{amount} has more than four decimal places")
    return int(scaled)


def amounts(stored: Sequence[int]) -> list[int | float]:
    """Returns stored amounts as JSON numbers: 35 for 35.0000, 12.5 for 12.5000. Exact below
    5·10¹¹, where neighbouring doubles differ by less than 1/10,000."""
    return [
        amount / MONEY_SCALE if amount % MONEY_SCALE else amount // MONEY_SCALE for amount in stored
    ]
