"""Single rows by their ids: reads that begin together share a statement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.ids import encoder
from regulars.customers.commands import CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.directory import Directory
from regulars.store import Store, Unreachable, queries
from regulars.store.query import Query
from regulars.store.row_batches import RowBatches
from regulars.store.statement_times import statement_times
from tests.support import Client, with_store

QUERY = queries.customers_by_id(("email",))
NODE = "query($id: ID!) { node(id: $id) { ... on Customer { _id email } } }"


class Recorder:
    """Executes every query with the same rows, or raises an error. Records the parameters."""

    def __init__(self, rows: Sequence[Any] | Exception) -> None:
        self.rows = rows
        self.executed: list[Mapping[str, Any]] = []

    async def fetch(
        self,
        query: Query,  # noqa: ARG002  # as of a store
        parameters: Mapping[str, Any],
        is_long: bool = False,  # noqa: ARG002  # as in Store
    ) -> Sequence[Any]:
        self.executed.append(parameters)
        await asyncio.sleep(0)
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows


@pytest.mark.both_databases
def test_requests_at_the_same_time_read_their_own_customers(client: Client) -> None:
    for number in range(1, 6):
        client.create(f"{number}@example.com")

    def email_of(number: int) -> str | None:
        answer = client.post(NODE, {"id": encoder("Customer")([number])[0]})
        assert answer.headers["Regulars-Change"] == "5"
        node = answer.json()["data"]["node"]
        if node is None:
            return None
        assert node["_id"] == number
        return str(node["email"])

    numbers = [*range(1, 8), *range(1, 6)] * 5
    with ThreadPoolExecutor(12) as threads:
        emails = list(threads.map(email_of, numbers))
    assert emails == [f"{number}@example.com" if number < 6 else None for number in numbers]


def test_reads_that_begin_together_share_a_statement() -> None:
    recorder = Recorder([(1, "a"), (2, "b")])

    async def read() -> list[Any]:
        batches = RowBatches(recorder)
        reads = [asyncio.create_task(batches.read(QUERY, 7, number)) for number in (1, 2, 1, 3)]
        await asyncio.sleep(0)
        reads[0].cancel()
        other_account = batches.read(QUERY, 8, 2)
        return [*await asyncio.gather(*reads, return_exceptions=True), await other_account]

    cancelled, *rows = asyncio.run(read())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert rows == [("b",), ("a",), None, ("b",)]
    assert recorder.executed == [
        {"account_id": 7, "ids": [1, 2, 3]},
        {"account_id": 8, "ids": [2]},
    ]


def test_many_reads_take_several_statements() -> None:
    recorder = Recorder([(number, number) for number in range(250)])

    async def read() -> list[Any]:
        batches = RowBatches(recorder)
        return await asyncio.gather(*(batches.read(QUERY, 7, number) for number in range(250)))

    assert asyncio.run(read()) == [(number,) for number in range(250)]
    assert [len(parameters["ids"]) for parameters in recorder.executed] == [100, 100, 50]


def test_all_reads_of_a_statement_have_its_error() -> None:
    async def read() -> list[Any]:
        batches = RowBatches(Recorder(Unreachable("The database is not reachable.")))
        reads = [batches.read(QUERY, 7, number) for number in (1, 2)]
        return await asyncio.gather(*reads, return_exceptions=True)

    assert [type(error) for error in asyncio.run(read())] == [Unreachable, Unreachable]


@pytest.mark.both_databases
def test_a_busy_server_reads_many_customers_with_one_statement(new_database: str) -> None:
    numbers = range(1, 13)

    async def read(store: Store) -> tuple[list[Any], list[int]]:
        account_id = (await Accounts(store).create("account")).account_id
        directory = Directory(store)
        values = [clean_values({"email": f"{number}@example.com"}, ())[0] for number in numbers]
        await directory.create_many(account_id, [CreateCustomer(each, 0) for each in values])
        rows: list[Any] = []
        counts = []
        for _ in range(2):
            statement_times.take()
            rows += await asyncio.gather(
                *(directory.customer(account_id, number, ("email",)) for number in numbers)
            )
            counts.append(sum(statement_times.take()[0]))
        for number in numbers:
            rows.append(await directory.customer(account_id, number, ("email",)))
            await asyncio.sleep(0.001)
        return rows, counts

    rows, counts = with_store(new_database, read)
    assert [tuple(row) for row in rows] == [(f"{number}@example.com", 12) for number in numbers] * 3
    first_count = 4 if new_database.startswith("sqlite") else 1
    assert counts == [first_count, 1]
