"""The options of an import that follow from its account and its database."""

from __future__ import annotations

from dataclasses import replace

from regulars.accounts.settings import load_settings
from regulars.core.account_settings import EMAIL, IDENTIFY_BY
from regulars.customers.unit_of_work import CONTACT_POINTS_VERSION
from regulars.store import Store
from regulars.store.queries import finished_version
from regulars.transfer.import_options import Options


async def with_account(store: Store, account_id: int, options: Options) -> Options:
    """Return options with the settings of the account, and whether customers can have lists."""
    settings = await load_settings(store, account_id)
    rows = await store.fetch(finished_version(), {})
    identify_by = EMAIL if options.no_email == "reject" else settings[IDENTIFY_BY.name]
    has_lists = bool(rows) and rows[0][0] >= CONTACT_POINTS_VERSION
    return replace(options, identify_by=identify_by, has_lists=has_lists)
