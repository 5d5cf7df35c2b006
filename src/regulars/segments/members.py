"""The stored members of watched segments, for the filters of webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.segments import queries
from regulars.store import QueryExecutor


async def customers_known_in(
    store: QueryExecutor, account_id: int, segment_ids: Sequence[int], customer_ids: Sequence[int]
) -> set[int]:
    """Return which of the customers are in one of the watched segments, or were in one when they
    were deleted (for 30 days)."""
    parameters = {
        "account_id": account_id,
        "segment_ids": list(segment_ids),
        "ids": list(customer_ids),
    }
    return {row[0] for row in await store.fetch(queries.customers_known_in(), parameters)}
