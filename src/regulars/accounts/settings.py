"""Reading and changing the settings of an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.core import account_settings
from regulars.core.account_settings import DEFAULT_COUNTRY, country_number
from regulars.core.errors import InvalidInput, Rejected
from regulars.store import Store
from regulars.store.rebuilds import change_default_country
from regulars.store.tokens import account_settings_of, replace_account_settings
from regulars.store.writes import advance_revision
from regulars.trash.queries import shorten

_MAX_ATTEMPTS = 5
_DAY_MS = 86_400_000


async def load_settings(store: Store, account_id: int) -> dict[str, Any]:
    """Return the value of each setting of an account."""
    return account_settings.load(await _stored(store, account_id))


async def change_settings(
    store: Store, account_id: int, values: Mapping[str, Any], is_dry_run: bool = False
) -> dict[str, Any]:
    """Change settings of an account to valid values; return all of them. A smaller `trash_days`
    applies to customers in the trash, too. After a change of `default_country`, servers rebuild the
    search terms. None resets a setting to its default. Raises Rejected if other settings are
    changed at the same time."""
    for _ in range(_MAX_ATTEMPTS):
        stored = await _stored(store, account_id)
        merged = account_settings.merge(stored, values)
        settings = account_settings.load(merged)
        if is_dry_run:
            return settings
        account = {"account_id": account_id}
        days = {**account, "milliseconds": settings["trash_days"] * _DAY_MS}
        replace = {"changed_account": account_id, "read": stored, "new_settings": merged}
        country = country_number(settings[DEFAULT_COUNTRY.name])
        change = {**account, "new_settings": merged, "default_country": country}
        # A batch that was decided with the old settings is decided again.
        statements = [
            (advance_revision(), account),
            (shorten(), days),
            (replace_account_settings(), replace),
            (change_default_country(), change),
        ]
        if await store.execute(statements):
            return settings
    raise Rejected(InvalidInput("Other settings are being changed. Try again.", ("node",)))


async def _stored(store: Store, account_id: int) -> str | None:
    rows = await store.fetch(account_settings_of(), {"account_id": account_id})
    text: str | None = rows[0][0]
    return text
