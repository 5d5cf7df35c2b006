"""Amounts of money: exact, in 1/10,000 of the unit of the currency."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from regulars.store.tables import MONEY_SCALE


def units(amount: Decimal) -> int:
    """An amount as it is stored, in 1/10,000. Raises ValueError for one that is not exact so."""
    scaled = amount * MONEY_SCALE
    if scaled != int(scaled):
        raise ValueError(f"{amount} has more than four decimal places")
    return int(scaled)


def amounts(stored: Sequence[int]) -> list[int | float]:
    """Stored amounts as JSON numbers: 35 for 35.0000, 12.5 for 12.5000. Exact below 5·10¹¹,
    where neighbouring doubles stand closer than 1/10,000."""
    return [one / MONEY_SCALE if one % MONEY_SCALE else one // MONEY_SCALE for one in stored]
