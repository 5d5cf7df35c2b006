"""The values that a shell completes: choices, columns, and names and ids of the database."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regulars.store import Store

Completer = Callable[[str], list[str]]

# A shell waits for its completions.
_MAX_SECONDS = 2
_MAX_VALUES = 200


def completes(*choices: str) -> Completer:
    """Return a function that completes one of some words."""

    def complete(incomplete: str) -> list[str]:
        return _matching(choices, incomplete)

    return complete


def complete_columns(incomplete: str) -> list[str]:
    """Complete the last one of several names of columns, which commas separate."""
    from regulars.transfer.export_columns import DEFAULT_COLUMNS

    earlier, comma, last = incomplete.rpartition(",")
    names = dict.fromkeys(name for columns in DEFAULT_COLUMNS.values() for name in columns)
    return [f"{earlier}{comma}{name}" for name in _matching(names, last)]


def complete_account(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of an account."""

    async def read(store: Store) -> Iterable[str]:
        from regulars.accounts.accounts import Accounts

        return [account.name for account in await Accounts(store).all()]

    return _read(ctx, incomplete, read)


def complete_token(ctx: Any, incomplete: str) -> list[str]:
    """Complete the id of a token that is valid."""

    async def read(store: Store) -> Iterable[str]:
        from regulars.accounts.accounts import Accounts
        from regulars.core.clock import now_ms

        tokens = await Accounts(store).tokens()
        return [token.token_id for token in tokens if token.state(now_ms()) == "valid"]

    return _read(ctx, incomplete, read)


def complete_webhook(ctx: Any, incomplete: str) -> list[str]:
    """Complete the `_id` of a webhook of the account."""

    async def read(store: Store) -> Iterable[str]:
        from regulars.store.tables import webhooks
        from regulars.webhooks.log_queries import webhooks_of

        rows = await store.fetch(webhooks_of(), {"account_id": await _account_id(ctx, store)})
        index = list(webhooks.columns).index(webhooks.c.webhook_id)
        return [str(row[index]) for row in rows]

    return _read(ctx, incomplete, read)


def complete_segment(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of a segment of the account."""

    async def read(store: Store) -> Iterable[str]:
        from regulars.segments.searching import load_definitions

        return [each.name for each in await load_definitions(store, await _account_id(ctx, store))]

    return _read(ctx, incomplete, read)


async def _account_id(ctx: Any, store: Store) -> int:
    """Return the account that the command line or the environment names."""
    from regulars.accounts.accounts import Accounts
    from regulars.environment import ACCOUNT_VARIABLE

    name = ctx.params.get("account") or os.environ.get(ACCOUNT_VARIABLE) or None
    return (await Accounts(store).resolve(name)).account_id


def _read(
    ctx: Any, incomplete: str, read: Callable[[Store], Awaitable[Iterable[str]]]
) -> list[str]:
    """Return the values in the database that begin with a text: none if a server is used instead,
    or if the database cannot be read within two seconds."""
    from regulars.cli import options
    from regulars.cli.database import with_store

    database_url = ctx.params.get("database_url")
    url = ctx.params.get("url") or (None if database_url else os.environ.get("REGULARS_URL"))
    if url and "url" in ctx.params:
        return []

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(_MAX_SECONDS)
    try:
        settings = options.settings(database_url=database_url)
        return _matching(with_store(settings, read), incomplete)
    except Exception:
        return []  # a message would appear in the line that the user types
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)][:_MAX_VALUES]
