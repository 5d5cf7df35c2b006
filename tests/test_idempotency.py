"""Idempotency keys: a repeated mutation is made once, and returns the stored response."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.commands import IdempotencyRecord, Replay
from regulars.core.idempotency_records import RETENTION_MS
from regulars.customers.commands import CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.decide import decide
from regulars.directory.entities import ENTITIES
from regulars.store import Changes, LookupKeys, Row, State, Store
from regulars.store.query import Query
from regulars.store.tables import idempotency_records
from regulars.store.writes import REPLACE_IDEMPOTENCY_RECORDS
from tests.postgres import ACCOUNTS, hold_lock
from tests.support import Client, Server, create_token, run_server, scratch_database, with_store

pytestmark = pytest.mark.both_databases

CREATE = "mutation($e: String!) { createCustomer(node: {email: $e}) { _id created_at version } }"
TWO_CREATES = """mutation { a: createCustomer(node: {email: "a@example.com"}) { _id }
    b: createCustomer(node: {email: "%s"}) { _id } }"""


def send_with_key(client: Client, key: str, query: str, **variables: object) -> httpx.Response:
    return client.post(query, variables, {"Idempotency-Key": key})


def test_a_repeated_request_returns_the_stored_response(client: Client) -> None:
    first = send_with_key(client, "k", CREATE, e="a@example.com")
    assert "idempotent-replayed" not in first.headers
    client.update("1", phone="1")
    time.sleep(0.01)
    again = send_with_key(client, "k", CREATE, e="a@example.com")
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (200, first.content)
    assert client.page()["edges"] == client.page(first=1)["edges"]


def test_repeated_updates_deletes_and_errors_return_the_stored_response(client: Client) -> None:
    client.create("a@example.com")
    client.create("b@example.com")
    requests: list[tuple[str, dict[str, object]]] = [
        ('mutation { updateCustomer(id: 1, node: {phone: "1"}) { phone version } }', {}),
        ('mutation { updateCustomer(id: 1, node: {email: "b@example.com"}) { id } }', {}),
        ("mutation { updateCustomer(id: 9, node: {}) { id } }", {}),
        ("mutation { deleteCustomers(items: [2]) }", {}),
        ("mutation { deleteCustomers(items: [2, 7]) }", {}),
    ]
    for index, (query, variables) in enumerate(requests):
        first, again = (send_with_key(client, f"k{index}", query, **variables) for _ in range(2))
        assert first.content == again.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"


def test_a_key_of_another_request_is_refused(client: Client) -> None:
    send_with_key(client, "k", CREATE, e="a@example.com")
    for query, email in ((CREATE, "b@example.com"), (CREATE + " ", "a@example.com")):
        answer = send_with_key(client, "k", query, e=email)
        assert answer.status_code == 422
        assert [e["key"] for e in answer.json()["errors"]] == ["errors_idempotency_key"]
    assert client.emails() == ["a@example.com"]


def test_a_key_belongs_to_a_token(server: Server, client: Client, other: Client) -> None:
    assert "errors" not in send_with_key(client, "k", CREATE, e="a@example.com").json()
    answer = send_with_key(other, "k", CREATE, e="other@example.com")
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_invalid_key_is_refused(client: Client, key: str) -> None:
    answer = send_with_key(client, key, CREATE, e="a@example.com")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["key"] == "errors_bad_request"
    assert client.emails() == []


def test_the_key_of_a_query_is_ignored(client: Client) -> None:
    for _ in range(2):
        answer = send_with_key(client, "k", "{ customers { totalCount } }")
        assert answer.json() == {"data": {"customers": {"totalCount": 0}}}
        assert "idempotent-replayed" not in answer.headers


def test_each_write_of_a_request_is_made_once(client: Client) -> None:
    """The second write of a request is refused, and is refused again when the request is repeated."""
    client.create("taken@example.com")
    query = TWO_CREATES % "taken@example.com"
    first = send_with_key(client, "k", query)
    assert first.json()["errors"][0]["path"] == ["b"]
    client.delete("1")
    again = send_with_key(client, "k", query)
    assert again.content == first.content
    assert client.emails() == ["a@example.com"]


def test_idempotency_records_of_a_deleted_customer_contain_no_personal_data(client: Client) -> None:
    send_with_key(client, "k", CREATE, e="secret@example.com")
    client.delete("1")

    async def stored(store: Store) -> str:
        account = max(a.account_id for a in await Accounts(store).all())
        of_account = idempotency_records.c.account_id == account
        query = Query(sa.select(*idempotency_records.c).where(of_account))
        ((*row,),) = await store.fetch(query, {})
        return str(row)

    assert "secret@example.com" not in with_store(client.server.database_url, stored)
    answer = send_with_key(client, "k", CREATE, e="secret@example.com")
    assert answer.json()["errors"][0]["key"] == "errors_customer_not_found"
    assert client.emails() == []


@pytest.mark.slow
def test_a_repeated_request_is_refused_while_the_first_is_in_progress(postgresql: str) -> None:
    with scratch_database(postgresql) as url, run_server(url) as server:
        with Client(server, create_token(server)) as client, ThreadPoolExecutor(1) as pool:
            with hold_lock(url, ACCOUNTS):
                first = pool.submit(send_with_key, client, "k", CREATE, e="a@example.com")
                time.sleep(0.5)
                second = send_with_key(client, "k", CREATE, e="a@example.com")
                assert second.status_code == 409
                assert second.headers["retry-after"] == "1"
                (error,) = second.json()["errors"]
                assert error["key"] == "errors_idempotency_running"
            assert "errors" not in first.result().json()
            assert send_with_key(client, "k", CREATE, e="a@example.com").headers[
                "idempotent-replayed"
            ]


def test_of_concurrent_requests_only_one_writes(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: send_with_key(client, "k", CREATE, e="a@example.com"), range(16))
        )
    completed = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in completed}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in completed) == 1
    assert client.emails() == ["a@example.com"]


@pytest.mark.slow
def test_only_one_of_several_processes_writes(postgresql: str) -> None:
    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        token = create_token(server)

        def send(_: int) -> httpx.Response:
            with Client(server, token) as client:
                return send_with_key(client, "k", CREATE, e="a@example.com")

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(24)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
        with Client(server, token) as client:
            assert client.emails() == ["a@example.com"]


def command(at: int, fingerprint: bytes = b"1") -> CreateCustomer:
    values, problems = clean_values({"email": "a@example.com"}, ())
    return CreateCustomer(
        values, at, problems, idempotency_record=IdempotencyRecord("t", "k", 0, fingerprint, at)
    )


def decide_one(
    create_customer: CreateCustomer, idempotency_records: list[Row]
) -> tuple[object, Changes]:
    counters = dict.fromkeys(ENTITIES.counters, 0)
    outcomes, changes = decide(
        1, [create_customer], State(counters, {"receipts": idempotency_records})
    )
    return outcomes[0], changes


def test_a_key_is_stored_for_a_day() -> None:
    assert command(5).lookup_keys() == LookupKeys(
        email_keys=frozenset(["a@example.com"]),
        idempotency_keys=frozenset("k"),
        idempotency_tokens=frozenset("t"),
    )
    _, first = decide_one(command(5), [])
    (idempotency_record,) = first.of("receipts").inserted
    replayed, changes = decide_one(command(5 + RETENTION_MS - 1), [idempotency_record])
    assert isinstance(replayed, Replay)
    assert replayed.at == 5
    assert not changes
    fresh, changes = decide_one(command(5 + RETENTION_MS, b"2"), [idempotency_record])
    assert not isinstance(fresh, Replay)
    assert changes.statements[REPLACE_IDEMPOTENCY_RECORDS] == {
        "replaced_tokens": ["t"],
        "replaced_keys": ["k"],
        "replaced_before": 5,
    }
    assert len(changes.of("receipts").inserted) == 1


def test_a_key_older_than_a_day_is_replaced(client: Client) -> None:
    """The store still has the old record."""

    async def write(store: Store, at: int, fingerprint: bytes) -> object:
        account = max(a.account_id for a in await Accounts(store).all())
        values, problems = clean_values({"email": f"{at}@example.com"}, ())
        idempotency_record = IdempotencyRecord("t", "k", 0, fingerprint, at)
        return await store.write(
            account, CreateCustomer(values, at, problems, idempotency_record=idempotency_record)
        )

    url = client.server.database_url
    assert with_store(url, lambda store: write(store, 5, b"1"))
    assert with_store(url, lambda store: write(store, 6 + RETENTION_MS, b"2"))
    assert isinstance(with_store(url, lambda store: write(store, 7 + RETENTION_MS, b"2")), Replay)
    assert len(client.emails()) == 2
