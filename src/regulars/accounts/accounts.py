"""Accounts, and the tokens that open them."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from regulars.accounts.token_usage import USED_MS, TokenUsage
from regulars.core.errors import RegularsError
from regulars.core.scopes import BOTH, SCOPES, granted
from regulars.core.text import clean, did_you_mean
from regulars.store import Conflict, Store
from regulars.store.auth_tables import accounts, tokens
from regulars.store.tables import counters
from regulars.store.tokens import (
    TOKEN_COLUMNS,
    account_by_id,
    account_by_name,
    all_accounts,
    all_tokens,
    first_accounts,
    last_account,
    revoke_token,
    token_by_hash,
    tokens_of,
)
from regulars.store.writes import insert_one

TOKEN_PREFIX = "rgl_"  # noqa: S105  # what secret scanners look for
NAME_LENGTH = 100
# How long a process trusts what it knows of a token before it asks the database again.
TRUSTED_SECONDS = 1.0
MAX_TRUSTED = 10_000

# What RFC 6750 allows in an Authorization header (section 2.1, b64token).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ID_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LENGTH = 10
_TRIES = 5
_SHOWN = 20


class AccountError(RegularsError):
    """What was asked of accounts or tokens cannot be done; the message says why, and `about` names
    the value that is wrong, if it is one."""

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about


@dataclass(frozen=True, slots=True)
class Account:
    """A business: every row of the database belongs to one. `created_at` is in milliseconds
    since 1970."""

    account_id: int
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: not its text. Moments are milliseconds since 1970."""

    token_id: str
    account: str
    name: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    scopes: str = BOTH
    last_used_at: int | None = None

    def state(self, now: int) -> str:
        """`revoked`, `expired` or `valid`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class Grant(NamedTuple):
    """What a token of a name opens: its account, and there what its scopes allow."""

    account_id: int
    token_id: str
    name: str
    scopes: frozenset[str]


class TokenCache:
    """What secrets opened a moment ago, of a process: for a second the database is not asked again.

    Python compares the keys of a dict only where their hashes are equal, and those depend on a
    secret of the process: the time that it takes says nothing of a key.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Grant, float]] = {}

    def get(self, secret: str) -> Grant | None:
        """What it opens, if it did within the last second."""
        known = self._known.get(secret)
        return known[0] if known and time.monotonic() < known[1] else None

    def account_of(self, secret: str) -> int | None:
        """Whose it was when it was last asked for, if that is known: no other account's, ever."""
        known = self._known.get(secret)
        return known[0].account_id if known else None

    def keep(self, secret: str, grant: Grant) -> None:
        """Remembers what it opens."""
        now = time.monotonic()
        if len(self._known) >= MAX_TRUSTED:
            self._known = {one: known for one, known in self._known.items() if now < known[1]}
            if len(self._known) >= MAX_TRUSTED:
                self._known.clear()
        self._known[secret] = (grant, now + TRUSTED_SECONDS)

    def forget(self, secret: str) -> None:
        """It opens nothing any more."""
        self._known.pop(secret, None)


def grant_of(known: Mapping[str, Any], now: int) -> Grant | None:
    """What a token opens, of which `TOKEN_COLUMNS` are known; None when it is expired or
    revoked."""
    if known["revoked_at"] is not None:
        return None
    if known["expires_at"] is not None and known["expires_at"] <= now:
        return None
    may = granted(known["scopes"].split())
    return Grant(known["account_id"], known["token_id"], known["name"], may)


def _tokens(rows: Iterable[Any]) -> Sequence[Token]:
    found = [dict(zip((*TOKEN_COLUMNS, "account"), row, strict=True)) for row in rows]
    return [Token(**{k: v for k, v in row.items() if k != "account_id"}) for row in found]


def scopes_named(names: Iterable[str]) -> str:
    """Scopes as they are kept. Raises AccountError for one that there is not, or for none."""
    chosen = [part for name in names for part in name.replace(",", " ").split()]
    for name in chosen:
        if name not in SCOPES:
            hint = did_you_mean(name, SCOPES)
            known = ", ".join(SCOPES)
            raise AccountError(
                f"There is no scope {name!r}.{hint} The scopes are {known}.", "scopes"
            )
    if not chosen:
        raise AccountError(f"A token needs a scope: {', '.join(SCOPES)}.", "scopes")
    return " ".join(name for name in SCOPES if name in chosen)


def now_ms() -> int:
    """The present moment, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def hashed(token: str) -> bytes:
    """A token has 256 random bits: a plain hash of it can be neither guessed nor reversed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Accounts:
    """The accounts and tokens of a database."""

    def __init__(self, store: Store, clock: Callable[[], int] = now_ms) -> None:
        self._store = store
        self._clock = clock
        self._trusted = TokenCache()
        self.uses = TokenUsage(store, clock)

    async def all(self) -> list[Account]:
        """Every account, oldest first."""
        rows = await self._store.fetch(all_accounts(), {})
        return [Account(*row) for row in rows]

    async def one(self, account_id: int) -> Account:
        """The account of that id, which there is."""
        ((*row,),) = await self._store.fetch(account_by_id(), {"account_id": account_id})
        return Account(*row)

    async def any(self) -> bool:
        """Whether there is one."""
        return bool(await self._store.fetch(first_accounts(), {"limit": 1}))

    async def find(self, name: str) -> Account | None:
        """The account of that name, if there is one."""
        rows = await self._store.fetch(account_by_name(), {"name": name})
        return Account(*rows[0]) if rows else None

    async def named(self, name: str | None) -> Account:
        """The account of that name, or the only one there is. Raises AccountError."""
        if name is not None:
            account = await self.find(name)
            if account is None:
                raise AccountError(
                    f"There is no account named {name!r}. See: regulars account list"
                )
            return account
        rows = await self._store.fetch(first_accounts(), {"limit": _SHOWN})
        found = [Account(*row) for row in rows]
        if len(found) == 1:
            return found[0]
        if not found:
            raise AccountError("There is no account yet. Create one: regulars account create NAME")
        names = ", ".join(account.name for account in found)
        raise AccountError(f"There are several accounts. Say which with --account: {names}.")

    async def create(self, name: str) -> Account:
        """A new account. Raises AccountError for a name that is taken or cannot be one."""
        kept, wrong = clean(name, NAME_LENGTH)
        if not kept or wrong:
            raise AccountError(f"The account's name {wrong or 'is empty. Give it one.'}")
        for _ in range(_TRIES):
            if await self.find(kept):
                raise AccountError(f"There is already an account named {kept!r}.")
            ((last,),) = await self._store.fetch(last_account(), {})
            account_id = (last or 0) + 1
            account = Account(account_id, kept, self._clock())
            row = {"account_id": account_id, "name": kept, "created_at": account.created_at}
            zeros = {**dict.fromkeys(counters.c.keys(), 0), "account_id": account_id}
            try:
                await self._store.execute(
                    [(insert_one(accounts), row), (insert_one(counters), zeros)]
                )
            except Conflict:  # somebody else took the id, or the name, just now
                continue
            return account
        raise AccountError("Others are creating accounts at this moment. Try again.")

    async def create_token(
        self,
        account: Account,
        name: str,
        expires_at: int | None = None,
        text: str | None = None,
        scopes: Iterable[str] = (BOTH,),
    ) -> tuple[str, Token]:
        """A new token: its text, which is kept nowhere, and what is kept of it.

        `text` gives the token instead of 256 random bits. Raises AccountError.
        """
        token = TOKEN_PREFIX + secrets.token_hex(32) if text is None else text
        if not _TOKEN.fullmatch(token):
            message = "A token consists of letters, digits and - . _ ~ + /, without spaces."
            raise AccountError(message)
        kept, wrong = clean(name, NAME_LENGTH)
        if not kept or wrong:
            raise AccountError(f"The token's name {wrong or 'is empty. Give it one.'}", "name")
        token_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
        may = scopes_named(scopes)
        made = Token(token_id, account.name, kept, self._clock(), expires_at, None, may)
        row = {
            "token_id": token_id,
            "hash": hashed(token),
            "account_id": account.account_id,
            "name": kept,
            "created_at": made.created_at,
            "expires_at": expires_at,
            "revoked_at": None,
            "scopes": may,
            "last_used_at": None,
        }
        try:
            await self._store.execute([(insert_one(tokens), row)])
        except Conflict:
            raise AccountError("This token exists already.") from None
        return token, made

    async def tokens(self) -> Sequence[Token]:
        """What is kept of every token, oldest first."""
        return _tokens(await self._store.fetch(all_tokens(), {}))

    async def tokens_of(self, account_id: int) -> Sequence[Token]:
        """What is kept of the tokens of an account, oldest first."""
        return _tokens(await self._store.fetch(tokens_of(), {"account_id": account_id}))

    async def revoke(self, token_id: str) -> None:
        """Ends a token. Raises AccountError for one that there is not, or that has ended."""
        parameters = {"revoked_id": token_id, "revoked_at": self._clock()}
        if not await self._store.execute([(revoke_token(), parameters)]):
            message = (
                f"There is no token {token_id!r} that could be revoked. See: regulars token list"
            )
            raise AccountError(message)

    def cached_grant(self, token: str) -> Grant | None:
        """What a token opens, if it did within the last second."""
        return self._trusted.get(token)

    def account_of(self, token: str) -> int | None:
        """Whose a token was when it was last asked for, if that is known."""
        return self._trusted.account_of(token)

    async def authenticate(self, token: str) -> Grant | None:
        """What a token opens; None for one that is unknown, expired or revoked.

        It is looked up by its hash: an answer of None takes the same time for each reason.
        """
        rows = await self._store.fetch(token_by_hash(), {"hash": hashed(token)})
        known = dict(zip(TOKEN_COLUMNS, rows[0], strict=True)) if rows else None
        now = self._clock()
        grant = grant_of(known, now) if known else None
        if known is None or grant is None:
            self._trusted.forget(token)
            return None
        self._trusted.keep(token, grant)
        used = known["last_used_at"]
        if used is None or used < now - USED_MS:
            self.uses.note(grant.token_id)
        return grant
