"""The currencies of accounts after a migration, and between its two parts."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.accounts.settings import change_settings, load_settings
from regulars.core.errors import Rejected
from regulars.core.fields import NEVER
from regulars.directory.database import upgrade
from regulars.directory.verify import verify
from regulars.orders.commands import RecordOrder
from regulars.orders.recount import RecountWorker
from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.schema_version import newest_version
from regulars.store.tables import customers
from regulars.store.tokens import account_settings_of, accounts_to_recount
from tests.support import with_store

pytestmark = pytest.mark.both_databases

# For each account the currencies of its orders.
ACCOUNTS = {"one": ["EUR", "EUR"], "several": ["JPY", "EUR", "JPY"], "none": [], "tests": ["EUR"]}
OF_ACCOUNT = {"currency": None, "expenses_currency": "account"}


def order(
    name: str, currency: str, at: int, email: str = "ana@example.com", **values: Any
) -> RecordOrder:
    person = {"email": email, "email_key": email}
    columns = {"name": name, "email": email, "currency": currency, "total": 10_000}
    return RecordOrder({**columns, "created_at": at, **values}, person, at)


async def fill(store: Store) -> None:
    for account_name, currencies in ACCOUNTS.items():
        account = await Accounts(store).create(account_name)
        for number, currency in enumerate(currencies, 1):
            new = order(str(number), currency, number, test=account_name == "tests")
            await store.write(account.account_id, new)


async def chosen(store: Store) -> dict[str, Any]:
    names = ("currency", "expenses_currency")
    result = {}
    for account in await Accounts(store).all():
        settings = await load_settings(store, account.account_id)
        result[account.name] = {name: settings[name] for name in names}
    return result


def rows(database_url: str) -> list[dict[str, Any]]:
    statement = sa.select(customers).order_by(customers.c.account_id)

    def read(connection: sa.Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(statement).mappings()]

    return run_in_transaction(parse_url(database_url), read)


def test_accounts_get_the_currency_of_their_orders(empty_database: str) -> None:
    address = parse_url(empty_database)
    upgrade(address, expand_only=True)
    with_store(empty_database, fill)
    assert set(map(str, with_store(empty_database, chosen).values())) == {str(OF_ACCOUNT)}
    before = rows(empty_database)
    assert [row["expenses"] for row in before] == [20_000, 30_000, 0]
    assert verify(address).problems == []

    async def change(store: Store) -> None:
        with pytest.raises(Rejected) as raised:
            await change_settings(store, 1, {"currency": "EUR"})
        assert "migrate --contract" in raised.value.problems[0].message
        await change_settings(store, 1, {"trash_days": 7})

    with_store(empty_database, change)

    def write_as_older_program(connection: sa.Connection) -> None:
        values = {"last_order_at": sa.case((customers.c.account_id == 1, NEVER), else_=77)}
        connection.execute(customers.update().values(values))

    run_in_transaction(address, write_as_older_program)
    assert upgrade(address) == newest_version()
    assert with_store(empty_database, chosen) == {
        "one": {"currency": "EUR", "expenses_currency": "account"},
        "several": {"currency": "JPY", "expenses_currency": "all"},
        "none": OF_ACCOUNT,
        "tests": OF_ACCOUNT,
    }
    last = [2, 3, NEVER]
    assert rows(empty_database) == [
        {**row, "last_order_at": at} for row, at in zip(before, last, strict=True)
    ]
    assert verify(address).problems == []

    async def use(store: Store) -> None:
        assert (await load_settings(store, 1))["trash_days"] == 7
        await store.write(1, order("new", "JPY", 9))
        await store.write(2, order("new", "EUR", 9))
        await store.write(3, order("new", "MAD", 9))
        await RecountWorker(store).do_all()

    with_store(empty_database, use)
    assert [row["expenses"] for row in rows(empty_database)] == [20_000, 40_000, 10_000, 0]
    assert with_store(empty_database, chosen)["none"]["currency"] == "MAD"
    assert verify(address).problems == []


def test_a_recount_continues_after_a_crash_and_starts_again_after_a_change(
    new_database: str,
) -> None:
    """Each page is stored, and a change of the settings during a page starts from the first."""

    async def work(store: Store) -> None:
        account = await Accounts(store).create("one")
        key = account.account_id
        for number in range(5):
            currency = "EUR" if number % 2 else "JPY"
            new = order(str(number), currency, number, f"{number}@example.com")
            await store.write(key, new)
        await change_settings(store, key, {"expenses_currency": "all"})
        worker = RecountWorker(store)
        ((settings,),) = await store.fetch(account_settings_of(), {"account_id": key})
        await worker._step((key, 0, "{}"), 200)  # of settings that have changed meanwhile
        assert await _after(store, key) == 0
        await worker._step((key, 0, settings), 200)
        assert await _after(store, key) is None

    async def _after(store: Store, account_id: int) -> Any:
        found = await store.fetch(accounts_to_recount(), {"limit": 10})
        return next((row[1] for row in found if row[0] == account_id), None)

    with_store(new_database, work)
    assert [row["expenses"] for row in rows(new_database)] == [10_000] * 5
    assert verify(parse_url(new_database)).problems == []
