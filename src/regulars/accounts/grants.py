"""What a token permits, and the cache of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.core.account_settings import DEFAULT_COUNTRY, load
from regulars.core.errors import RegularsError
from regulars.core.scopes import granted

# How long a process uses a cached grant before it reads the token again.
CACHE_SECONDS = 1.0
MAX_CACHED = 10_000


class AccountDisabled(RegularsError):
    """The token is valid, but its account is disabled."""


class Grant(NamedTuple):
    """The permissions of a token: an account and scopes. `default_country` is the country of phones
    without a country code in the account. `is_person` says whether a person uses the token, and
    `name` is then the person's."""

    account_id: int
    token_id: str
    name: str
    scopes: frozenset[str]
    default_country: str = ""
    is_person: bool = False

    @property
    def actor_kind(self) -> str:
        """Return the kind of the actor in the history, one of `ACTOR_KINDS`."""
        return "person" if self.is_person else "token"


class TokenCache:
    """The grants of secrets that this process has checked within `CACHE_SECONDS`.

    A dict is safe against timing attacks: Python compares keys only if their hashes are equal, and
    hashes depend on a secret of the process.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Grant, float]] = {}

    def get(self, secret: str) -> Grant | None:
        """Return the cached grant of a secret, or None."""
        entry = self._entries.get(secret)
        return entry[0] if entry and time.monotonic() < entry[1] else None

    def account_of(self, secret: str) -> int | None:
        """Return the account of a secret, even if its grant has expired in the cache; None if
        unknown. The account of a secret never changes."""
        entry = self._entries.get(secret)
        return entry[0].account_id if entry else None

    def keep(self, secret: str, grant: Grant) -> None:
        """Store the grant of a secret."""
        now = time.monotonic()
        if len(self._entries) >= MAX_CACHED:
            self._entries = {
                cached_secret: entry
                for cached_secret, entry in self._entries.items()
                if now < entry[1]
            }
            if len(self._entries) >= MAX_CACHED:
                self._entries.clear()
        self._entries[secret] = (grant, now + CACHE_SECONDS)

    def forget(self, secret: str) -> None:
        """Remove a secret."""
        self._entries.pop(secret, None)


def grant_of(row: Mapping[str, Any], now: int) -> Grant | None:
    """Return the grant of a token from its `GRANT_COLUMNS`; None if it is expired or revoked.
    Raises AccountDisabled for a token that is neither, if its account is disabled."""
    if row["revoked_at"] is not None:
        return None
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return None
    if row["disabled_at"] is not None:
        raise AccountDisabled("The account is disabled.")
    scopes = granted(row["scopes"].split())
    country = load(row["settings"])[DEFAULT_COUNTRY.name] if row["settings"] else None
    is_person = row.get("person_id") is not None
    token = (row["account_id"], row["token_id"], row["name"])
    return Grant(*token, scopes, country or "", is_person)


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
