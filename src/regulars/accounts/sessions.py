"""Sessions: how a person's browser comes in with a token without keeping it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from regulars.accounts.accounts import Accounts, Grant, TokenCache, grant_of, hashed, now_ms
from regulars.store import Store
from regulars.store.auth_tables import sessions
from regulars.store.tokens import (
    TOKEN_COLUMNS,
    delete_expired_sessions,
    end_session,
    extend_session,
    session_by_hash,
)
from regulars.store.writes import insert_one

SESSION, LINK = "session", "link"
LINK_MS = 60 * 60_000
# How often it is noted that a session is used.
_NOTED_MS = 60_000


class Sessions:
    """The sessions of a database, with the tokens of `accounts`. One ends `hours` after its last
    use, with its token, or when it is ended."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        hours: float,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._lasts = round(hours * 3_600_000)
        self._clock = clock
        self._trusted = TokenCache()

    async def begin(self, token: str) -> tuple[str, Grant] | None:
        """A new session with a token: its secret, and what it opens. None for a token that is
        unknown, expired or revoked."""
        grant = await self._accounts.authenticate(token)
        return None if grant is None else (await self._begin(grant), grant)

    async def begin_by_link(self, code: str) -> tuple[str, Grant] | None:
        """A new session by the code of a link, which is used up by it. None for a code that is
        unknown, used or too old."""
        found = await self._find(code, LINK)
        # Of two who come at once, one finds it there to be ended.
        if found is None or not await self._store.execute([(end_session(), _by(code))]):
            return None
        return await self._begin(found[1]), found[1]

    async def link(self, token_id: str) -> str:
        """The code of a new link for a token, good for an hour and for one session."""
        return await self._keep(LINK, token_id, LINK_MS)

    def cached_grant(self, secret: str) -> Grant | None:
        """What a session opens, if it did within the last second."""
        return self._trusted.get(secret)

    async def authenticate(self, secret: str) -> Grant | None:
        """What a session opens; None for one that is unknown, or has ended."""
        found = await self._find(secret, SESSION)
        if found is None:
            self._trusted.forget(secret)
            return None
        until, grant = found
        self._trusted.keep(secret, grant)
        later = self._clock() + self._lasts
        if until < later - _NOTED_MS:
            extended = {"extended": hashed(secret), "until": later}
            self._accounts.uses.in_passing([(extend_session(), extended)])
            self._accounts.uses.note(grant.token_id)
        return grant

    async def end(self, secret: str) -> None:
        """Ends a session: at once in this process, within a second in others."""
        self._trusted.forget(secret)
        await self._store.execute([(end_session(), _by(secret))])

    async def _begin(self, grant: Grant) -> str:
        return await self._keep(SESSION, grant.token_id, self._lasts)

    async def _keep(self, kind: str, token_id: str, lasts: int) -> str:
        secret, now = secrets.token_urlsafe(32), self._clock()
        row = {
            "hash": hashed(secret),
            "kind": kind,
            "token_id": token_id,
            "created_at": now,
            "expires_at": now + lasts,
        }
        await self._store.execute([(insert_one(sessions), row)])
        return secret

    async def _find(self, secret: str, kind: str) -> tuple[int, Grant] | None:
        now = self._clock()
        given = {**_by(secret), "kind": kind, "now": now}
        rows = await self._store.fetch(session_by_hash(), given)
        if not rows:
            return None
        until, *token = rows[0]
        grant = grant_of(dict(zip(TOKEN_COLUMNS, token, strict=True)), now)
        return None if grant is None else (until, grant)


def _by(secret: str) -> dict[str, bytes]:
    return {"hash": hashed(secret)}


async def forget_old(store: Store, now: int) -> None:
    """Forgets the sessions and links that have ended."""
    await store.execute([(delete_expired_sessions(), {"now": now})])
