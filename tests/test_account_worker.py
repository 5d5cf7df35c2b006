"""The workers that do the stored work of accounts: an account that fails does not stop the others."""

from __future__ import annotations

from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.accounts.settings import change_settings
from regulars.core.account_worker import AccountWorker
from regulars.customers.rebuild_worker import RebuildWorker
from regulars.orders.recount import RecountWorker
from regulars.store import Store, Unreachable
from regulars.store.query import Query
from regulars.store.rebuilds import accounts_to_rebuild
from regulars.store.tokens import accounts_to_recount
from tests.support import run_server, wait_until, with_store
from tests.test_spend_migration import order

pytestmark = pytest.mark.both_databases

LIMIT = {"limit": 10, "ids": None}


async def with_work(store: Store, query: Query) -> list[int]:
    return [row[0] for row in await store.fetch(query, LIMIT)]


@pytest.mark.parametrize(
    ("worker_type", "query", "settings"),
    [
        (RebuildWorker, accounts_to_rebuild(), {"default_country": "FR"}),
        (RecountWorker, accounts_to_recount(), {"currency": "USD"}),
    ],
)
def test_an_account_that_fails_does_not_stop_the_others(
    new_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    worker_type: type[AccountWorker],
    query: Query,
    settings: dict[str, Any],
) -> None:
    async def work(store: Store) -> None:
        ids = []
        for name in ("first", "second", "third"):
            account_id = (await Accounts(store).create(name)).account_id
            await store.write(account_id, order("1", "EUR", 1))
            await change_settings(store, account_id, settings)
            ids.append(account_id)
        assert await with_work(store, query) == ids
        write = store.write

        async def write_or_fail(account_id: int, *arguments: Any) -> Any:
            if account_id == ids[0]:
                raise Unreachable("The node of the account is down.")
            return await write(account_id, *arguments)

        monkeypatch.setattr(store, "write", write_or_fail)
        worker = worker_type(store)
        await worker.do_all()
        assert await with_work(store, query) == ids[:1]
        (record,) = caplog.records
        assert record.__dict__["fields"] == {"error": "Unreachable", "account": ids[0]}
        monkeypatch.undo()
        await worker.do_all()
        assert await with_work(store, query) == []

    with_store(new_database, work)


def test_a_server_without_webhooks_counts_expenses_again(new_database: str) -> None:
    async def prepare(store: Store) -> None:
        account_id = (await Accounts(store).create("first")).account_id
        await store.write(account_id, order("1", "EUR", 1))
        await change_settings(store, account_id, {"currency": "USD"})
        assert await with_work(store, accounts_to_recount()) == [account_id]

    async def is_done(store: Store) -> bool:
        return not await with_work(store, accounts_to_recount())

    with_store(new_database, prepare)
    with run_server(new_database, "--no-webhook-worker"):
        wait_until(lambda: with_store(new_database, is_done))
