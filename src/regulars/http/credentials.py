"""Authenticates requests, by a token or by a session.

A token is sent in a header, which pages of other sites cannot set. A session is sent in a cookie,
which the browser adds by itself, so a session is accepted only from pages of this server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from regulars.accounts.accounts import Accounts
from regulars.accounts.grants import AccountDisabled, Grant
from regulars.accounts.sessions import Sessions
from regulars.http.errors import account_disabled, cross_site
from regulars.http.messages import RequestHeaders, parse_bearer_token


class Authenticator(Protocol):
    """Authenticates requests."""

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant | None:
        """Returns the grant of a request, or None if it is not cached. Raises HTTPError (403) for a
        session cookie in a request from another site."""

    def account_of(self, headers: RequestHeaders) -> int | None:
        """Returns the account of a request's token as of its last check, or None if it is unknown.
        Use it to count requests, not to authenticate."""

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant | None:
        """Returns the grant of a request, or None if its token or session is invalid. Raises
        HTTPError (403) for a session cookie in a request from another site, and for a disabled
        account."""


class CredentialsAuthenticator:
    """Authenticates by the Authorization header, or else by the session cookie."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant | None:
        token = parse_bearer_token(headers)
        if token:
            return self._accounts.cached_grant(token)
        secret = session_secret(headers)
        if not secret:
            return None
        require_same_site(headers, method)
        return self._sessions.cached_grant(secret)

    def account_of(self, headers: RequestHeaders) -> int | None:
        token = parse_bearer_token(headers)
        if token:
            return self._accounts.account_of(token)
        grant = self._sessions.cached_grant(session_secret(headers))
        return grant.account_id if grant else None

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant | None:
        token = parse_bearer_token(headers)
        secret = "" if token else session_secret(headers)
        with refuse_disabled_accounts():
            if not secret:
                return await self._accounts.authenticate(token)
            require_same_site(headers, method)
            return await self._sessions.authenticate(secret)


@contextmanager
def refuse_disabled_accounts() -> Iterator[None]:
    """Raises HTTPError (403) for AccountDisabled."""
    try:
        yield
    except AccountDisabled:
        raise account_disabled() from None


def cookie_name(headers: RequestHeaders) -> str:
    """Returns the name of the session cookie. It contains the port, because browsers send the
    cookies of a host to all of its ports, and one machine may run several servers."""
    port = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").netloc.rpartition(":")[2]
    return f"regulars_{port}" if port.isdigit() else "regulars"


def session_secret(headers: RequestHeaders) -> str:
    """Returns the secret in the session cookie, or an empty string."""
    cookie = headers.get(b"cookie", b"").decode("latin-1")
    return cookie_parser(cookie).get(cookie_name(headers), "") if cookie else ""


def require_same_site(headers: RequestHeaders, method: str) -> None:
    """Raises HTTPError (403) for a request that may come from a page of another origin (OWASP,
    Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata" and "Verifying Origin").
    Reads may also come from the address bar."""
    is_read = method in ("GET", "HEAD")
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        if site != b"same-origin" and not (is_read and site == b"none"):
            raise cross_site()
        return
    # Over plain HTTP, browsers send this header only to this machine.
    origin = headers.get(b"origin", b"")
    is_same_host = urlsplit(origin).netloc == headers.get(b"host")
    if not is_same_host and (origin or not is_read):
        raise cross_site()


def is_over_tls(headers: RequestHeaders) -> bool:
    """Returns whether the browser uses TLS, according to its Origin or to X-Forwarded-Proto."""
    origin = headers.get(b"origin", b"")
    return origin.startswith(b"https:") or headers.get(b"x-forwarded-proto") == b"https"
