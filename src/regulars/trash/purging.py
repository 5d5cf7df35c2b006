"""The background task that purges customers whose time has come."""

from __future__ import annotations

import asyncio

from regulars.customers.commands import Reference
from regulars.store import Store
from regulars.trash.commands import PURGER, PurgeCustomers
from regulars.trash.queries import due

# A batch takes a few milliseconds, in which other writes wait. They come first after each.
_BATCH = 1_000
_PAUSE_SECONDS = 0.05


async def purge_due(store: Store, now: int) -> int:
    """Purge the customers of all accounts whose time has come at `now` (milliseconds since 1970);
    return how many. Several processes can do this at the same time: a customer that another one has
    purged is ignored."""
    total = 0
    while True:
        rows = await store.fetch(due(), {"now": now, "limit": _BATCH}, is_long=True)
        by_account: dict[int, list[Reference]] = {}
        for account_id, customer_id in rows:
            by_account.setdefault(account_id, []).append(Reference(str(customer_id), customer_id))
        for account_id, customers in sorted(by_account.items()):
            command = PurgeCustomers(tuple(customers), now, due=True, origin=PURGER)
            total += await store.write(account_id, command)
            await asyncio.sleep(_PAUSE_SECONDS)
        if len(rows) < _BATCH:
            return total
