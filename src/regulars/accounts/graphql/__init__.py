"""Accounts and tokens in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regulars.accounts.accounts import AccountError, Accounts, Token
from regulars.accounts.graphql.people import PEOPLE_ROOTS, PEOPLE_TYPES, person_of_token
from regulars.accounts.sessions import count_sessions
from regulars.accounts.settings import change_settings, load_settings
from regulars.api.context import Context
from regulars.api.dry_run import ARGUMENT, report
from regulars.api.guards import needs, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.values import timestamp_of
from regulars.core import account_settings, ids
from regulars.core.dates import parse_timestamp
from regulars.core.errors import InvalidInput, Problem, Rejected
from regulars.core.scopes import ADMIN, SCOPES, SETTINGS
from regulars.graphql import Layout, Layouts, Nested, Resolve, Root, TypeBinding, Value


class TokenNotFound(Problem):
    """An id of no valid token of the account."""

    key = "tokens_not_found"

    def __init__(self, token_id: str) -> None:
        super().__init__(
            f"No valid token of this account has the id `{token_id[:50]}`. List the tokens with "
            "the query `tokens`.",
            ("id",),
        )


async def load_account(env: Context) -> Mapping[str, Any]:
    """Return the account of the request, with the fields of the type `Account`."""
    stored = asdict(await _accounts(env).load(env.account_id))
    return {
        **stored,
        "id": ids.encoder("Account")([env.account_id])[0],
        "_id": env.account_id,
        "account_name": stored["name"],
        "email": None,
        "timezone": "UTC",
        "stores": [],
    }


def account(_layouts: Layouts) -> Resolve:
    """Resolve the account of the request."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return await load_account(env)

    return resolve


async def load_token(env: Context, token_id: str) -> Mapping[str, Any] | None:
    """Return a token of the account by id, or None."""
    return next(iter(await _load_tokens(env, token_id)), None)


def viewer(layouts: Layouts) -> Resolve:
    """Resolve the account, token, person and scopes of the request. The pages read the scopes at
    each start, so only what is selected is loaded."""
    loaders = {"account": load_account, "token": _own_token, "person": person_of_token}
    selected = [name for name in loaders if layouts.only.selects(name)]

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        if not env.token_id:
            message = (
                "`viewer` describes the token of a request, and a command that uses the database "
                "has none. Select `account`, or use --url with a token."
            )
            raise Rejected(InvalidInput(message, ("viewer",)))
        scopes = [name for name in SCOPES if name in env.scopes]
        return {"scopes": scopes, **{name: await loaders[name](env) for name in selected}}

    return resolve


def tokens(_layouts: Layouts) -> Resolve:
    """Resolve the account's tokens, oldest first."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return await _load_tokens(env)

    return resolve


def token_scopes(_layouts: Layouts) -> Resolve:
    """Resolve all scopes."""
    scopes = [{"name": name, "description": description} for name, description in SCOPES.items()]

    async def resolve(_env: Context, _arguments: dict[str, Any]) -> Any:
        return scopes

    return resolve


def create_token(layouts: Layouts) -> Resolve:
    """Create a token for the account of the request."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        node, is_dry_run = arguments["node"], bool(arguments.get(ARGUMENT))
        expires_at = _parse_expiry(node.get("expires_at"), env.now)
        accounts = _accounts(env)
        account = await accounts.load(env.account_id)
        try:
            secret, token = await accounts.create_token(
                account, node["name"], expires_at, scopes=node["scopes"], is_dry_run=is_dry_run
            )
        except AccountError as error:
            path = ("node", error.about) if error.about else ("node",)
            raise Rejected(InvalidInput(str(error), path)) from error
        if is_dry_run:
            await report(env, layouts.key)
        return {"secret": secret, "token": _row(token, env.now)}

    return resolve


def revoke_token(layouts: Layouts) -> Resolve:
    """Revoke a token of the account."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        token_id = arguments["id"]
        stored = await load_token(env, token_id)
        if stored is None or stored["revoked_at"] is not None:
            raise Rejected(TokenNotFound(token_id))
        if arguments.get(ARGUMENT):
            await report(env, layouts.key)
            return {**stored, "revoked_at": env.now, "state": "revoked"}
        try:
            await _accounts(env).revoke(token_id)
        except AccountError as error:
            raise Rejected(TokenNotFound(token_id)) from error
        (token,) = await _load_tokens(env, token_id)
        return token

    return resolve


def settings(_layouts: Layouts) -> Resolve:
    """Resolve the settings of the account."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return await load_settings(env.directory.store, env.account_id)

    return resolve


def update_settings(layouts: Layouts) -> Resolve:
    """Change settings of the account."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        values = arguments["node"]
        problems = account_settings.problems_of(values)
        if problems:
            raise Rejected(*problems)
        is_dry_run = bool(arguments.get(ARGUMENT))
        if is_dry_run:
            await report(env, layouts.key)
        return await change_settings(env.directory.store, env.account_id, values, is_dry_run)

    return resolve


def _accounts(env: Context) -> Accounts:
    """Return the accounts with the time of the response as their clock: no timestamp in a response
    is later than the response."""
    return Accounts(env.directory.store, clock=lambda: env.now)


async def _load_tokens(env: Context, token_id: str | None = None) -> list[Mapping[str, Any]]:
    """Return the account's tokens, or the one with an id."""
    stored = await _accounts(env).tokens_of(env.account_id)
    counts = await count_sessions(env.directory.store, env.account_id, env.now)
    return [
        _row(token, env.now, counts.get(token.token_id, 0))
        for token in stored
        if token_id in (None, token.token_id)
    ]


async def _own_token(env: Context) -> Mapping[str, Any]:
    """Return the token of the request, also that of a person."""
    token = await _accounts(env).token(env.account_id, env.token_id)
    counts = await count_sessions(env.directory.store, env.account_id, env.now)
    return _row(token, env.now, counts.get(env.token_id, 0))


def _row(token: Token, now: int, session_count: int = 0) -> Mapping[str, Any]:
    return {
        **asdict(token),
        "scopes": token.scopes.split(),
        "state": token.state(now),
        "session_count": session_count,
    }


def _parse_expiry(text: str | None, now: int) -> int | None:
    """Return when a token expires, in milliseconds since 1970. Raises Rejected."""
    if text is None:
        return None
    expires_at = parse_timestamp(text)
    if expires_at is None or expires_at <= now:
        error = "is in the past" if expires_at else "is not a timestamp"
        message = f"`expires_at` {error}. Use a future time, such as `2030-12-31T00:00:00Z`."
        raise Rejected(InvalidInput(message, ("node", "expires_at")))
    return expires_at


async def _account_node(env: Context, number: int, _layout: Layout) -> Mapping[str, Any] | None:
    return await load_account(env) if number == env.account_id else None


def _roots(_page_size: int) -> Mapping[str, Root]:
    return {
        "account": Root(account),
        "viewer": Root(viewer),
        "tokens": Root(tokens, needs(ADMIN)),
        "tokenScopes": Root(token_scopes),
        "accountSettings": Root(settings),
        "updateAccountSettings": Root(update_settings, needs(SETTINGS), price_of_write),
        "createToken": Root(create_token, needs(ADMIN), price_of_write),
        "revokeToken": Root(revoke_token, needs(ADMIN), price_of_write),
        **PEOPLE_ROOTS,
    }


API = ApiPart(
    {
        "Viewer": TypeBinding(
            {
                "account": Nested(("account",)),
                "token": Nested(("token",)),
                "person": Nested(("person",)),
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
        "AccountSettings": TypeBinding(
            {name: Value((name,)) for name in account_settings.SETTINGS}, has_dict_rows=True
        ),
        "Store": TypeBinding(
            {name: Value((name,)) for name in ("id", "uid", "name", "slug", "defaultDomain")},
            has_dict_rows=True,
        ),
        "Token": TypeBinding(
            {
                "id": Value(("token_id",)),
                **{name: Value((name,)) for name in ("name", "scopes", "state", "session_count")},
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
        **PEOPLE_TYPES,
        "TokenScope": TypeBinding(
            {name: Value((name,)) for name in ("name", "description")}, has_dict_rows=True
        ),
    },
    _roots,
    {"Account": Node(None, _account_node)},
)
