"""Tokens over the API: creating, listing and revoking them, separately for each account."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from regulars.core.scopes import SCOPES
from tests.support import Client, Server, create_token

CREATE = """mutation($node: InputToken!) { createToken(node: $node) {
    secret token { id name scopes state expires_at(format: "ISO") revoked_at last_used_at } } }"""
REVOKE = "mutation($id: ID!) { revokeToken(id: $id) { id state revoked_at } }"


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("admin",))) as client:
        yield client


def create_token_as(admin: Client, **node: Any) -> dict[str, Any]:
    payload: dict[str, Any] = admin.data(CREATE, node=node)["createToken"]
    return payload


def list_tokens(admin: Client) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = admin.data("{ tokens { id name state scopes } }")["tokens"]
    return tokens


@pytest.mark.slow
def test_a_token_is_created_used_listed_and_revoked(server: Server, admin: Client) -> None:
    created = create_token_as(admin, name="an app", expires_at="2999-12-31")
    token = created["token"]
    assert (token["name"], token["scopes"], token["state"]) == ("an app", ["customers"], "valid")
    assert token["expires_at"] == "2999-12-31T00:00:00.000Z"
    with Client(server, created["secret"]) as app:
        app.create("ana@example.com")
        assert app.data("{ viewer { token { name } scopes } }")["viewer"] == {
            "token": {"name": "an app"},
            "scopes": ["customers:read", "customers:write", "customers"],
        }
        assert [token["name"] for token in list_tokens(admin)] == ["test", "an app"]
        revoked = admin.data(REVOKE, id=token["id"])["revokeToken"]
        assert (revoked["id"], revoked["state"]) == (token["id"], "revoked")
        assert revoked["revoked_at"] == "a few seconds ago"
        time.sleep(1.05)
        assert app.post("{ __typename }").status_code == 401
    assert [token["state"] for token in list_tokens(admin)] == ["valid", "revoked"]
    admin.expect_error("tokens_not_found", REVOKE, id=token["id"])
    admin.expect_error("tokens_not_found", REVOKE, id="nothing")


def test_tokens_of_other_accounts_are_not_found(server: Server, admin: Client) -> None:
    with Client(server, create_token(server, scopes=("admin",))) as other:
        foreign = create_token_as(other, name="foreign")
        assert "foreign" not in str(list_tokens(admin))
        admin.expect_error("tokens_not_found", REVOKE, id=foreign["token"]["id"])
        assert [token["state"] for token in list_tokens(other)] == ["valid", "valid"]


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ({"name": ""}, ["node", "name"]),
        ({"name": "x" * 101}, ["node", "name"]),
        ({"name": "a", "scopes": []}, ["node", "scopes"]),
        ({"name": "a", "scopes": ["custmers"]}, ["node", "scopes"]),
        ({"name": "a", "expires_at": "soon"}, ["node", "expires_at"]),
        ({"name": "a", "expires_at": "2001-01-01"}, ["node", "expires_at"]),
    ],
)
def test_an_invalid_token_input_is_refused(
    admin: Client, node: dict[str, Any], path: list[str]
) -> None:
    error = admin.expect_error("errors_invalid_input", CREATE, node=node)
    assert error["extensions"]["input_path"] == path
    assert len(list_tokens(admin)) == 1


def test_scopes_are_listed_with_their_descriptions(client: Client) -> None:
    scopes = client.data("{ tokenScopes { name description } }")["tokenScopes"]
    assert {scope["name"]: scope["description"] for scope in scopes} == SCOPES
