"""Tokens over the API: made, listed and revoked, each account its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from regulars.core.scopes import SCOPES
from tests.support import Client, Server, new_token

CREATE = """mutation($node: InputToken!) { createToken(node: $node) {
    secret token { id name scopes state expires_at(format: "ISO") revoked_at last_used_at } } }"""
REVOKE = "mutation($id: ID!) { revokeToken(id: $id) { id state revoked_at } }"


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(server, new_token(server, scopes=("admin",))) as made:
        yield made


def made(admin: Client, **node: Any) -> dict[str, Any]:
    found: dict[str, Any] = admin.data(CREATE, node=node)["createToken"]
    return found


def listed(admin: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.data("{ tokens { id name state scopes } }")["tokens"]
    return found


def test_a_token_is_made_used_listed_and_revoked(server: Server, admin: Client) -> None:
    created = made(admin, name="an app", expires_at="2999-12-31")
    token = created["token"]
    assert (token["name"], token["scopes"], token["state"]) == ("an app", ["customers"], "valid")
    assert token["expires_at"] == "2999-12-31T00:00:00.000Z"
    with Client(server, created["secret"]) as app:
        app.create("ana@example.com")
        assert app.data("{ viewer { token { name } scopes } }")["viewer"] == {
            "token": {"name": "an app"},
            "scopes": ["customers:read", "customers:write", "customers"],
        }
        assert [one["name"] for one in listed(admin)] == ["test", "an app"]
        revoked = admin.data(REVOKE, id=token["id"])["revokeToken"]
        assert (revoked["id"], revoked["state"]) == (token["id"], "revoked")
        assert revoked["revoked_at"] == "a few seconds ago"
        time.sleep(1.05)
        assert app.post("{ __typename }").status_code == 401
    assert [one["state"] for one in listed(admin)] == ["valid", "revoked"]
    admin.refused("tokens_not_found", REVOKE, id=token["id"])
    admin.refused("tokens_not_found", REVOKE, id="nothing")


def test_another_accounts_token_is_as_if_it_were_not(server: Server, admin: Client) -> None:
    with Client(server, new_token(server, scopes=("admin",))) as other:
        theirs = made(other, name="theirs")
        assert "theirs" not in str(listed(admin))
        admin.refused("tokens_not_found", REVOKE, id=theirs["token"]["id"])
        assert [one["state"] for one in listed(other)] == ["valid", "valid"]


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
def test_a_token_that_cannot_be_is_refused(
    admin: Client, node: dict[str, Any], path: list[str]
) -> None:
    error = admin.refused("errors_invalid_input", CREATE, node=node)
    assert error["extensions"]["input_path"] == path
    assert len(listed(admin)) == 1


def test_the_scopes_are_told_with_what_they_are_for(client: Client) -> None:
    told = client.data("{ tokenScopes { name description } }")["tokenScopes"]
    assert {one["name"]: one["description"] for one in told} == SCOPES
