"""The account, global ids and error codes in the API."""

from __future__ import annotations

import base64
import json

import pytest

import regulars.api.errors  # noqa: F401  # adds the codes of its keys
from regulars.graphql.errors import CODES
from tests.receiver import run_receiver
from tests.support import Client, Server, create_token, run_server, wait_until
from tests.test_docs import error_keys_in_code

WEBHOOK = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id _id } }"
NODE = """query($i: ID!) { node(id: $i) { __typename id
  ... on Webhook { type url } ... on WebhookDelivery { state sequence }
  ... on Token { name scopes } ... on Account { account_name } } }"""


def test_the_account_of_the_token(client: Client) -> None:
    node_data = client.data(
        """{ account { id _id account_name name email timezone created_at(format: "ISO")
          stores { id uid name slug defaultDomain } } viewer { account { id } } }"""
    )
    account = node_data["account"]
    assert account["id"] == base64.b64encode(f"Account:{account['_id']}".encode()).decode()
    assert account["id"] == node_data["viewer"]["account"]["id"]
    assert account["account_name"] == account["name"]
    assert (account["email"], account["timezone"], account["stores"]) == (None, "UTC", [])
    node = client.data(NODE, i=account["id"])["node"]
    assert (node["__typename"], node["account_name"]) == ("Account", account["name"])
    other_id = base64.b64encode(f"Account:{account['_id'] + 1}".encode()).decode()
    assert client.data(NODE, i=other_id)["node"] is None


@pytest.mark.parametrize("scopes", ["customers:read", "webhooks", "orders:write"])
def test_every_token_can_read_its_account(server: Server, scopes: str) -> None:
    with Client(server, create_token(server, scopes=[scopes])) as client:
        assert client.data("{ account { account_name } }")["account"]["account_name"]


@pytest.mark.slow
def test_webhooks_deliveries_and_tokens_are_nodes(tmp_path: object) -> None:
    env = {"REGULARS_WEBHOOK_PRIVATE_TARGETS": "true"}
    with run_receiver() as receiver, run_server(f"sqlite:///{tmp_path}/n.db", env=env) as server:
        with Client(server, create_token(server, scopes=["admin"])) as client:
            node = {"type": "contact/signup", "url": f"{receiver.url}/x"}
            webhook = client.data(WEBHOOK, n=node)["createWebhook"]
            client.create("a@example.com")
            wait_until(lambda: bool(receiver.requests))
            node_data = client.data(NODE, i=webhook["id"])["node"]
            assert (node_data["__typename"], node_data["url"]) == ("Webhook", node["url"])
            listed = client.data(
                "{ webhooks { deliveries { edges { node { id state } } } } tokens { id name } }"
            )
            delivery = listed["webhooks"][0]["deliveries"]["edges"][0]["node"]
            node_data = client.data(NODE, i=delivery["id"])["node"]
            assert (node_data["__typename"], node_data["id"]) == ("WebhookDelivery", delivery["id"])
            token = listed["tokens"][0]
            node_data = client.data(NODE, i=token["id"])["node"]
            assert (node_data["__typename"], node_data["name"]) == ("Token", token["name"])
            account = client.data("{ viewer { account { name } } }")["viewer"]["account"]["name"]
        for scope, missing in (("customers:read", "webhooks"), ("webhooks", "customers:read")):
            with Client(server, create_token(server, account, scopes=[scope])) as client:
                wrong = {"webhooks": webhook["id"], "customers:read": "Q3VzdG9tZXI6MQ=="}[missing]
                assert missing in client.expect_error("errors_scope", NODE, i=wrong)["message"]
        with Client(server, create_token(server, account, scopes=["customers:read"])) as client:
            assert client.data(NODE, i=token["id"])["node"] is None
        with Client(server, create_token(server, scopes=["webhooks"])) as client:
            assert client.data(NODE, i=webhook["id"])["node"] is None


def test_every_key_has_a_code() -> None:
    assert error_keys_in_code() <= CODES.keys()
    assert set(CODES.values()) == {
        *("UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "NOT_FOUND", "CONFLICT"),
        *("RATE_LIMITED", "INTERNAL_SERVER_ERROR", "PERSISTED_QUERY_NOT_SUPPORTED"),
    }


def test_errors_carry_codes(client: Client, server: Server) -> None:
    client.create("a@example.com")
    again = 'mutation { createCustomer(node: {email: "A@example.com"}) { id } }'
    assert client.errors(again)[0]["extensions"]["code"] == "CONFLICT"
    assert client.errors("{ nothing }")[0]["extensions"]["code"] == "BAD_USER_INPUT"
    missing = 'mutation { deleteCustomers(items: ["1073741823"]) }'
    assert client.errors(missing)[0]["extensions"]["code"] == "NOT_FOUND"
    with Client(server, create_token(server, scopes=["webhooks"])) as restricted:
        errors = restricted.errors("{ customers { edges { cursor } } }")
        assert errors[0]["extensions"]["code"] == "FORBIDDEN"
    with Client(server, "wrong") as stranger:
        answer = stranger.post("{ account { id } }")
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.slow
def test_a_response_has_a_limit(tmp_path: object) -> None:
    env = {"REGULARS_MAX_RESPONSE_BYTES": str(1024 * 1024)}
    with run_server(f"sqlite:///{tmp_path}/n.db", env=env) as server:
        with Client(server, create_token(server)) as client:
            rows = [
                {
                    "email": f"{n}@example.com",
                    "notes": "n" * 30_000,
                    "custom": {"k": ["x" * 9] * 900},
                }
                for n in range(25)
            ]
            for some in (rows[:13], rows[13:]):
                client.data(
                    "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { saved } }",
                    n=some,
                )
            assert client.page("notes")["edges"]
            for many in (
                " ".join(f"a{n}: notes" for n in range(20)),
                " ".join(f"a{n}: custom" for n in range(90)),
            ):
                error = client.expect_error(
                    "errors_document_limit", f"{{ customers {{ edges {{ node {{ {many} }} }} }} }}"
                )
                assert "REGULARS_MAX_RESPONSE_BYTES" in error["message"]
            roots = " ".join(
                f"r{n}: customers {{ edges {{ node {{ notes }} }} }}" for n in range(40)
            )
            errors = client.errors(f"{{ {roots} }}")
            assert {error["key"] for error in errors} == {"errors_document_limit"}
            changes = " ".join(f"a{n}: fields {{ name }}" for n in range(90))
            client.data('mutation { addTags(items: ["1"], tags: ["t"]) { id } }')
            answer = client.run(
                f"{{ customerChanges(first: 250) {{ edges {{ node {{ {changes} }} }} }} }}"
            )
            assert len(json.dumps(answer)) < 4 * 1024 * 1024
