"""The part of accounts and tokens in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regulars.accounts.accounts import AccountError, Accounts, Token
from regulars.api.context import Context
from regulars.api.guards import needs, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.values import timestamp_of
from regulars.core import ids
from regulars.core.dates import parse_timestamp
from regulars.core.errors import InvalidInput, Problem, Rejected
from regulars.core.scopes import ADMIN, SCOPES
from regulars.graphql import Layout, Layouts, Nested, Resolve, Root, TypeBinding, Value


class TokenNotFound(Problem):
    """An id that names no token of the account that could be revoked."""

    key = "tokens_not_found"

    def __init__(self, given: str) -> None:
        super().__init__(
            f"No valid token of this account has the id {given[:50]}. See the query `tokens`.",
            ("id",),
        )


async def own_account(env: Context) -> Mapping[str, Any]:
    """The account of the token, as the fields of `Account` read it."""
    found = asdict(await _accounts(env).one(env.account_id))
    return {
        **found,
        "id": ids.encoder("Account")([env.account_id])[0],
        "_id": env.account_id,
        "account_name": found["name"],
        "email": None,
        "timezone": "UTC",
        "stores": [],
    }


def account(_layouts: Layouts) -> Resolve:
    """The account of the token."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return await own_account(env)

    return resolve


async def own_token(env: Context, token_id: str) -> Mapping[str, Any] | None:
    """The account's token of an id, if there is one."""
    return next(iter(await _tokens(env, token_id)), None)


def viewer(_layouts: Layouts) -> Resolve:
    """Who asks."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        (token,) = await _tokens(env, env.token_id)
        scopes = [name for name in SCOPES if name in env.scopes]
        return {"account": await own_account(env), "token": token, "scopes": scopes}

    return resolve


def tokens(_layouts: Layouts) -> Resolve:
    """The account's tokens, oldest first."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return await _tokens(env)

    return resolve


def token_scopes(_layouts: Layouts) -> Resolve:
    """The scopes that there are."""
    shown = [{"name": name, "description": what} for name, what in SCOPES.items()]

    async def resolve(_env: Context, _arguments: dict[str, Any]) -> Any:
        return shown

    return resolve


def create_token(_layouts: Layouts) -> Resolve:
    """Makes a token for the account of who asks."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        node = arguments["node"]
        ends = _expiry(node.get("expires_at"), env.now)
        accounts = _accounts(env)
        account = await accounts.one(env.account_id)
        try:
            secret, token = await accounts.create_token(
                account, node["name"], ends, scopes=node["scopes"]
            )
        except AccountError as error:
            path = ("node", error.about) if error.about else ("node",)
            raise Rejected(InvalidInput(str(error), path)) from error
        return {"secret": secret, "token": _row(token, env.now)}

    return resolve


def revoke_token(_layouts: Layouts) -> Resolve:
    """Ends a token of the account."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        given = arguments["id"]
        if not await _tokens(env, given):
            raise Rejected(TokenNotFound(given))
        try:
            await _accounts(env).revoke(given)
        except AccountError as error:
            raise Rejected(TokenNotFound(given)) from error
        (token,) = await _tokens(env, given)
        return token

    return resolve


def _accounts(env: Context) -> Accounts:
    """The accounts, at the moment of the answer: what is done then is not yet to come."""
    return Accounts(env.directory.store, clock=lambda: env.now)


async def _tokens(env: Context, token_id: str | None = None) -> list[Mapping[str, Any]]:
    """The account's tokens, or the one of that id."""
    found = await _accounts(env).tokens_of(env.account_id)
    return [_row(one, env.now) for one in found if token_id in (None, one.token_id)]


def _row(token: Token, now: int) -> Mapping[str, Any]:
    return {**asdict(token), "scopes": token.scopes.split(), "state": token.state(now)}


def _expiry(given: str | None, now: int) -> int | None:
    """The moment that a token ends. Raises Rejected."""
    if given is None:
        return None
    ends = parse_timestamp(given)
    if ends is None or ends <= now:
        what = "is past" if ends else "is not a moment"
        message = f"The expires_at {what}: write one to come, as in 2030-12-31T00:00:00Z."
        raise Rejected(InvalidInput(message, ("node", "expires_at")))
    return ends


async def _account_node(env: Context, number: int, _layout: Layout) -> Mapping[str, Any] | None:
    return await own_account(env) if number == env.account_id else None


def _roots(_page_size: int) -> Mapping[str, Root]:
    return {
        "account": Root(account),
        "viewer": Root(viewer),
        "tokens": Root(tokens, needs(ADMIN)),
        "tokenScopes": Root(token_scopes),
        "createToken": Root(create_token, needs(ADMIN), price_of_write),
        "revokeToken": Root(revoke_token, needs(ADMIN), price_of_write),
    }


API = ApiPart(
    {
        "Viewer": TypeBinding(
            {
                "account": Nested(("account",)),
                "token": Nested(("token",)),
                "scopes": Value(("scopes",)),
            },
            has_dict_rows=True,
        ),
        "Account": TypeBinding(
            {
                **{
                    name: Value((name,))
                    for name in ("id", "_id", "name", "account_name", "email", "timezone")
                },
                "created_at": timestamp_of("created_at"),
                "stores": Nested(("stores",)),
            },
            has_dict_rows=True,
        ),
        "Store": TypeBinding(
            {name: Value((name,)) for name in ("id", "uid", "name", "slug", "defaultDomain")},
            has_dict_rows=True,
        ),
        "Token": TypeBinding(
            {
                "id": Value(("token_id",)),
                **{name: Value((name,)) for name in ("name", "scopes", "state")},
                **{
                    name: timestamp_of(name)
                    for name in ("created_at", "expires_at", "revoked_at", "last_used_at")
                },
            },
            has_dict_rows=True,
        ),
        "CreatedToken": TypeBinding(
            {"secret": Value(("secret",)), "token": Nested(("token",))}, has_dict_rows=True
        ),
        "TokenScope": TypeBinding(
            {name: Value((name,)) for name in ("name", "description")}, has_dict_rows=True
        ),
    },
    _roots,
    {"Account": Node(None, _account_node)},
)
