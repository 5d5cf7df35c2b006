"""Whose a request is: the holder's of a token, or a person's whose browser has a session.

A token comes in a header that no other site can have a browser send. A cookie is sent by the
browser itself, so that a session counts only for requests of this server's own pages.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from regulars.directory.accounts import Accounts, Grant
from regulars.directory.sessions import Sessions
from regulars.http.errors import cross_site
from regulars.http.messages import RequestHeaders, bearer_token


class Authenticator(Protocol):
    """Finds whose a request is."""

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant | None: ...

    def account_of(self, headers: RequestHeaders) -> int | None: ...

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant | None: ...


class Credentials:
    """Finds whose a request is."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant | None:
        """What a request's token or session opens, if it did within the last second. Raises
        HTTPError (403) for a session that another site would use."""
        token = bearer_token(headers)
        if token:
            return self._accounts.cached_grant(token)
        secret = session_of(headers)
        if not secret:
            return None
        require_same_site(headers, method)
        return self._sessions.cached_grant(secret)

    def account_of(self, headers: RequestHeaders) -> int | None:
        """Whose a request's token was when it was last asked for, if that is known: to count whose
        requests there are, not to let anybody in."""
        token = bearer_token(headers)
        if token:
            return self._accounts.account_of(token)
        grant = self._sessions.cached_grant(session_of(headers))
        return grant.account_id if grant else None

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant | None:
        """What a request's token, or else its session, opens; None for one that opens nothing.
        Raises HTTPError (403) for a session that another site would use."""
        token = bearer_token(headers)
        secret = "" if token else session_of(headers)
        if not secret:
            return await self._accounts.authenticate(token)
        require_same_site(headers, method)
        return await self._sessions.authenticate(secret)


def cookie_name(headers: RequestHeaders) -> str:
    """The name of the session's cookie: with the port, because browsers give the cookies of a host
    to all of its ports, and a laptop may have several servers."""
    port = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").netloc.rpartition(":")[2]
    return f"regulars_{port}" if port.isdigit() else "regulars"


def session_of(headers: RequestHeaders) -> str:
    """The secret of the session; empty where there is none."""
    given = headers.get(b"cookie", b"").decode("latin-1")
    return cookie_parser(given).get(cookie_name(headers), "") if given else ""


def require_same_site(headers: RequestHeaders, method: str) -> None:
    """Raises HTTPError (403) for what a page of another origin had a browser send, or may have
    (OWASP's Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata" and "Verifying
    Origin"). What only reads may also be asked for by hand."""
    reads = method in ("GET", "HEAD")
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        if site != b"same-origin" and not (reads and site == b"none"):
            raise cross_site()
        return
    # Over plain HTTP, and but for this machine, browsers do not say it.
    origin = headers.get(b"origin", b"")
    here = urlsplit(origin).netloc == headers.get(b"host")
    if not here and (origin or not reads):
        raise cross_site()


def over_tls(headers: RequestHeaders) -> bool:
    """Whether the browser came over TLS: by what its page's origin is, or what a proxy says."""
    origin = headers.get(b"origin", b"")
    return origin.startswith(b"https:") or headers.get(b"x-forwarded-proto") == b"https"
