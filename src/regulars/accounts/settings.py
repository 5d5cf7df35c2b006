"""Reading and changing the settings of an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.core import account_settings
from regulars.core.account_settings import DEFAULT_COUNTRY, country_number
from regulars.core.errors import InvalidInput, Rejected
from regulars.store import Store
from regulars.store.queries import finished_version
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
    search terms; after one of the counted currency, they count the `expenses` of all customers
    again. None resets a setting to its default. Raises Rejected if other settings are changed at
    the same time."""
    if not values.keys().isdisjoint(account_settings.SPEND_SETTINGS):
        await _require_spend(store)
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
        changes_spend = _spend(settings) != _spend(account_settings.load(stored))
        statements = [
            (advance_revision(), account),
            (shorten(), days),
            (replace_account_settings(changes_spend), replace),
            (change_default_country(), change),
        ]
        if await store.execute(statements):
            return settings
    raise Rejected(InvalidInput("Other settings are being changed. Try again.", ("node",)))


def _spend(settings: Mapping[str, Any]) -> str | None:
    return account_settings.counted_currency(settings)


async def _require_spend(store: Store) -> None:
    """Raise Rejected while an older program may use the database: it adds all currencies."""
    ((finished,),) = await store.fetch(finished_version(), {})
    if finished < account_settings.SPEND_VERSION:
        message = (
            "The currency cannot be changed while an older version of Regulars may use the "
            "database. The operator must replace all servers, and run `regulars migrate "
            "--contract`."
        )
        raise Rejected(InvalidInput(message, ("node",)))


async def _stored(store: Store, account_id: int) -> str | None:
    rows = await store.fetch(account_settings_of(), {"account_id": account_id})
    text: str | None = rows[0][0]
    return text
