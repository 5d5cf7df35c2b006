"""The worker that rebuilds search terms in the background, after a setting has changed.

Two workers that rebuild the same account do not disturb each other, because a batch is refused if
the position has moved.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from regulars.core.account_worker import AccountWorker
from regulars.customers.rebuild import RebuildTerms
from regulars.store import rebuilds
from regulars.store.query import Query


class RebuildWorker(AccountWorker):
    """Rebuilds the search terms of all accounts whose settings have changed."""

    poll_seconds = 5.0
    log = logging.getLogger("regulars.search")
    failure = "Search terms could not be rebuilt."
    max_rows = 200

    def _accounts_with_work(self, of_accounts: bool) -> Query:
        return rebuilds.accounts_to_rebuild(of_accounts)

    async def _step(self, row: Sequence[Any], limit: int) -> int:
        """Rebuild a batch from the position of an account on, unless another worker does."""
        account_id, position = row
        parameters = {"account_id": account_id, "start": position, "limit": limit}
        rows = await self._store.fetch(rebuilds.customers_from(), parameters)
        numbers = tuple(row[0] for row in rows)
        command = RebuildTerms(position, numbers, is_last=len(numbers) < limit)
        await self._store.write(account_id, command)
        return len(numbers)
