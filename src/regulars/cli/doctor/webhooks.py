"""Checks of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from regulars.accounts.accounts import Accounts
from regulars.cli.database import with_store
from regulars.cli.doctor.findings import WARN, Finding
from regulars.core.counts import count_of
from regulars.settings import Settings
from regulars.store import Store
from regulars.webhooks.filters import filter_names
from regulars.webhooks.log_queries import unfiltered_webhooks

_MAX_WEBHOOKS = 10_000
_MAX_LISTED = 20


def check_webhooks(settings: Settings) -> Iterator[Finding]:
    """Yields the finding about webhooks whose settings have the names of filters and do not apply,
    because they were stored before there were filters."""
    names = with_store(settings, _unapplied)
    if names:
        more = ", …" * (len(names) > _MAX_LISTED)
        message = (
            f"{count_of(len(names), 'webhook has', 'webhooks have')} settings from before the "
            f"upgrade with the names of filters, and still get all events (account, webhook, "
            f"settings): {'; '.join(names[:_MAX_LISTED])}{more}. To apply the filters, update "
            "`settings` with `updateWebhook`. To keep all events, remove these settings."
        )
        yield Finding(WARN, "webhooks", message)


async def _unapplied(store: Store) -> list[str]:
    rows = await store.fetch(unfiltered_webhooks(), {"limit": _MAX_WEBHOOKS}, is_long=True)
    accounts = {account.account_id: account.name for account in await Accounts(store).all()}
    return [
        f"{accounts[account_id]} {webhook_id} ({', '.join(names)})"
        for account_id, webhook_id, stored in rows
        if account_id in accounts and (names := filter_names(orjson.loads(stored)))
    ]
