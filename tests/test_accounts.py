"""Accounts and tokens: a token opens one account, and tells nothing of another."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

import httpx
import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.directory.entities import ENTITIES
from regulars.store import LookupKeys, Store, queries, tokens
from regulars.store.relations import LEADS, ORDERS, all_of_each
from tests.support import BOOTSTRAP_TOKEN, Client, Server, create_token, with_store

CUSTOMER = (
    "id email shipping_address { id } summary { orders { list { order { id } } } } leads { id }"
)


def test_an_account_cannot_see_data_of_another(client: Client, other: Client) -> None:
    """The same requests about another's objects and about none: the same answers."""
    other.create("theirs@example.com", shipping_address={"city": "Fès"})
    ids = {"theirs": "Q3VzdG9tZXI6MQ==", "nobody's": "Q3VzdG9tZXI6OTk="}
    answers: dict[str, list[Any]] = {}
    for whose, customer_id in ids.items():
        number = "1" if whose == "theirs" else "99"
        answers[whose] = [
            client.node(customer_id, CUSTOMER_FRAGMENT),
            client.node("QWRkcmVzczoy" if whose == "theirs" else "QWRkcmVzczo5OTg=", "id"),
            [
                without_ids(client.errors(document, id=given))
                for given in (customer_id, number)
                for document in (
                    'mutation($id: ID!) { updateCustomer(id: $id, node: {phone: "1"}) { id } }',
                    "mutation($id: ID!) { deleteCustomers(items: [$id]) }",
                )
            ],
            client.page(after=other.page()["pageInfo"]["endCursor"]),
        ]
    assert answers["theirs"] == answers["nobody's"]
    assert client.create("theirs@example.com") == {"id": ids["theirs"], "_id": 1}
    client.update("1", phone="1")
    client.delete("1")
    assert other.page("email phone")["edges"][0]["node"] == {
        "email": "theirs@example.com",
        "phone": "",
    }


CUSTOMER_FRAGMENT = f"... on Customer {{ {CUSTOMER} }}"


def without_ids(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Errors without the ids that they repeat from the request."""
    for error in errors:
        error["message"] = re.sub(r"id \S+\.$", "id.", error["message"])
        del error["extensions"]["ids"]
    return errors


def test_every_statement_names_the_account() -> None:
    """But for accounts and tokens themselves, which are read before an account is known, and the
    state of the migrations, which belongs to none."""
    columns = ("customer_id",)
    read = [
        queries.page(order, columns, ascending, True, True)
        for order in ("id", "email")
        for ascending in (True, False)
    ]
    read += [queries.any_at_or_beyond("email", True), queries.customers_by_id(columns)]
    read += [queries.one_customer(columns), queries.one_order(("name",))]
    read += [queries.one_lead(("subject",))]
    read += [all_of_each(ORDERS, ("name",)), all_of_each(LEADS, ("subject",))]
    keys = (LookupKeys(), LookupKeys(order_names=["1"]))
    read += [queries.lock_account(), *(ENTITIES.state_query(each) for each in keys)]
    read += [load.query() for entity in ENTITIES for load in entity.loads]
    of_no_account = queries.finished_version()
    assert of_no_account in read
    read.remove(of_no_account)
    for query in read:
        for dialect in ("sqlite", "postgresql"):
            text = query.compiled(dialect).text
            for part in text.split("UNION ALL"):
                assert "account_id = " in part, text


def status(server: Server, token: str) -> int:
    answer = httpx.post(
        f"{server.url}/api/v2",
        json={"query": "{ __typename }"},
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.status_code


def test_the_bootstrap_token_opens_the_first_account(server: Server) -> None:
    assert status(server, BOOTSTRAP_TOKEN) == 200


def test_a_token_has_256_random_bits_and_is_stored_as_a_hash(server: Server) -> None:
    token = create_token(server)
    assert re.fullmatch(r"rgl_[0-9a-f]{64}", token)

    async def look(store: Store) -> Any:
        digest = hashlib.sha256(token.encode()).digest()
        assert len(await store.fetch(tokens.token_by_hash(), {"hash": digest})) == 1
        return [tuple(row) for row in await store.fetch(tokens.all_tokens(), {})]

    assert token[4:20] not in str(with_store(server.database_url, look))


@pytest.mark.slow
def test_an_expired_token_opens_nothing(server: Server) -> None:
    token = create_token(server, expires_at=now_ms() + 1_500)
    assert status(server, token) == 200
    time.sleep(2.6)
    assert status(server, token) == 401


@pytest.mark.slow
def test_a_revoked_token_opens_nothing_within_a_second(server: Server) -> None:
    token = create_token(server)
    assert status(server, token) == 200

    async def revoke(store: Store) -> None:
        accounts = Accounts(store)
        await accounts.revoke((await accounts.tokens())[-1].token_id)

    with_store(server.database_url, revoke)
    time.sleep(1.1)
    assert status(server, token) == 401


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\u0000b", "a\nb"])
def test_an_invalid_account_name_is_refused(server: Server, name: str) -> None:
    from regulars.accounts.accounts import AccountError

    async def create(store: Store) -> None:
        with pytest.raises(AccountError, match="name"):
            await Accounts(store).create(name)

    with_store(server.database_url, create)
