"""Sessions: a browser signs in with a token and does not store it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from regulars.accounts.accounts import Accounts
from regulars.accounts.grants import Grant, TokenCache, grant_of, hash_token
from regulars.core.clock import now_ms
from regulars.store import Store
from regulars.store.auth_tables import sessions
from regulars.store.query import Statement
from regulars.store.tokens import (
    SESSION_COLUMNS,
    delete_expired_sessions,
    end_session,
    extend_session,
    session_by_hash,
    session_counts,
    touch_tokens,
)
from regulars.store.writes import insert_one

SESSION, LINK = "session", "link"
LINK_MS = 60 * 60_000
# A session in use is extended at most this often.
_EXTEND_INTERVAL_MS = 60_000


class Sessions:
    """The sessions of a database. A session ends `hours` after its last use, with its token, or by
    `end`."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        hours: float,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._duration_ms = round(hours * 3_600_000)
        self._clock = clock
        self._cache = TokenCache()

    async def begin(self, token: str) -> tuple[str, Grant] | None:
        """Begin a session with a token. Return its secret and grant; None if the token is unknown,
        expired or revoked. Raises AccountDisabled."""
        grant = await self._accounts.authenticate(token)
        return None if grant is None else (await self._begin(grant), grant)

    async def begin_by_link(self, code: str) -> tuple[str, Grant] | None:
        """Begin a session with the code of a sign-in link, which works once. Return None if the
        code is unknown, used or expired. Raises AccountDisabled."""
        link = await self._load(code, LINK)
        if link is None:
            return None
        # A person is active from the first sign-in, so its use is recorded at once.
        now = self._clock()
        use = {"used_ids": [link[1].token_id], "used_before": now, "used_at": now}
        # Of two concurrent requests, only one deletes the link.
        statements: list[Statement] = [(touch_tokens(), use), (end_session(), _hash_of(code))]
        if not await self._store.execute(statements):
            return None
        return await self._begin(link[1]), link[1]

    async def link(self, token_id: str, duration_ms: int = LINK_MS) -> str:
        """Create the code of a sign-in link for a token, valid for one session, and for one hour by
        default."""
        return await self._create(LINK, token_id, duration_ms)

    def cached_grant(self, secret: str) -> Grant | None:
        """Return the cached grant of a session, or None."""
        return self._cache.get(secret)

    async def authenticate(self, secret: str) -> Grant | None:
        """Return the grant of a session; None if it is unknown or has ended. Raises
        AccountDisabled."""
        session = await self._load(secret, SESSION)
        if session is None:
            self._cache.forget(secret)
            return None
        expires_at, grant = session
        self._cache.keep(secret, grant)
        new_expires_at = self._clock() + self._duration_ms
        if expires_at < new_expires_at - _EXTEND_INTERVAL_MS:
            parameters = {"extended": hash_token(secret), "until": new_expires_at}
            self._accounts.uses.execute_in_background([(extend_session(), parameters)])
            self._accounts.uses.record(grant.token_id)
        return grant

    async def end(self, secret: str) -> None:
        """End a session: immediately in this process, within one second in others."""
        self._cache.forget(secret)
        await self._store.execute([(end_session(), _hash_of(secret))])

    async def _begin(self, grant: Grant) -> str:
        return await self._create(SESSION, grant.token_id, self._duration_ms)

    async def _create(self, kind: str, token_id: str, duration_ms: int) -> str:
        secret, now = secrets.token_urlsafe(32), self._clock()
        row = {
            "hash": hash_token(secret),
            "kind": kind,
            "token_id": token_id,
            "created_at": now,
            "expires_at": now + duration_ms,
        }
        await self._store.execute([(insert_one(sessions), row)])
        return secret

    async def _load(self, secret: str, kind: str) -> tuple[int, Grant] | None:
        now = self._clock()
        parameters = {**_hash_of(secret), "kind": kind, "now": now}
        rows = await self._store.fetch(session_by_hash(), parameters)
        if not rows:
            return None
        expires_at, *token = rows[0]
        grant = grant_of(dict(zip(SESSION_COLUMNS, token, strict=True)), now)
        return None if grant is None else (expires_at, grant)


def _hash_of(secret: str) -> dict[str, bytes]:
    return {"hash": hash_token(secret)}


async def count_sessions(store: Store, account_id: int, now: int) -> dict[str, int]:
    """Return the number of sessions of each token of an account at `now`, in milliseconds since
    1970. Tokens without sessions are left out."""
    parameters = {"account_id": account_id, "kind": SESSION, "now": now}
    return {row[0]: row[1] for row in await store.fetch(session_counts(), parameters)}


async def delete_expired(store: Store, now: int) -> None:
    """Delete the sessions and links that have expired by `now`, in milliseconds since 1970."""
    await store.execute([(delete_expired_sessions(), {"now": now})])
