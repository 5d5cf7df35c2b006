"""Accounts and their tokens."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from regulars.accounts.grants import Grant, TokenCache, grant_of, hash_token
from regulars.accounts.token_usage import USE_INTERVAL_MS, TokenUsage
from regulars.core.clock import now_ms
from regulars.core.errors import RegularsError
from regulars.core.scopes import BOTH, SCOPES
from regulars.core.text import clean, did_you_mean
from regulars.store import Conflict, Store
from regulars.store.auth_tables import accounts, tokens
from regulars.store.tables import counters
from regulars.store.tokens import (
    GRANT_COLUMNS,
    TOKEN_COLUMNS,
    account_by_id,
    account_by_name,
    all_accounts,
    all_tokens,
    disable_account,
    enable_account,
    first_accounts,
    last_account,
    rename_account,
    rename_token,
    revoke_token,
    token_by_hash,
    token_by_id,
    tokens_of,
)
from regulars.store.writes import insert_one

TOKEN_PREFIX = "rgl_"  # noqa: S105  # what secret scanners look for
NAME_LENGTH = 100

# What RFC 6750 allows in an Authorization header (section 2.1, b64token).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ID_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LENGTH = 10
_MAX_ATTEMPTS = 5
_MAX_LISTED = 20
# A name is a segment of the path /in/NAME/TYPE. These characters end a segment, or begin an escape
# sequence (RFC 3986, sections 2.1 and 3.3); browsers replace a backslash by a slash.
_NOT_IN_URLS = re.compile(r"[/\\?#%]")
# A client removes such segments (RFC 3986, section 5.2.4).
_DOT_SEGMENTS = (".", "..")


class AccountError(RegularsError):
    """An operation on accounts or tokens that is not possible. The message states the reason, and
    `about` the name of the invalid value, if there is one."""

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about


@dataclass(frozen=True, slots=True)
class Account:
    """A business. Every row of the database belongs to one. `created_at` and `disabled_at` are in
    milliseconds since 1970; `disabled_at` is None while the account is enabled."""

    account_id: int
    name: str
    created_at: int
    disabled_at: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored, without its text. Timestamps are in milliseconds since 1970."""

    token_id: str
    account: str
    name: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    scopes: str = BOTH
    last_used_at: int | None = None

    def state(self, now: int) -> str:
        """Return `revoked`, `expired` or `valid` at `now`, in milliseconds since 1970."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def _tokens(rows: Iterable[Any]) -> Sequence[Token]:
    token_rows = [dict(zip((*TOKEN_COLUMNS, "account"), row, strict=True)) for row in rows]
    return [Token(**{k: v for k, v in row.items() if k != "account_id"}) for row in token_rows]


def parse_scopes(names: Iterable[str]) -> str:
    """Return scopes as they are stored. Raises AccountError for unknown scopes, or for none."""
    requested = [part for name in names for part in name.replace(",", " ").split()]
    for name in requested:
        if name not in SCOPES:
            hint = did_you_mean(name, SCOPES)
            valid_names = ", ".join(SCOPES)
            raise AccountError(f"Unknown scope {name!r}.{hint} Supported: {valid_names}.", "scopes")
    if not requested:
        raise AccountError(
            f"A token needs at least one scope. Supported: {', '.join(SCOPES)}.", "scopes"
        )
    return " ".join(name for name in SCOPES if name in requested)


def check_account_name(name: str) -> str:
    """Return an account's name as it is stored. Raises AccountError for a name that is empty, too
    long, or cannot be a segment of a URL's path."""
    clean_name, error = clean(name, NAME_LENGTH)
    if not clean_name or error:
        raise AccountError(f"The account name {error or 'is empty. Enter a name.'}")
    if clean_name in _DOT_SEGMENTS:
        raise AccountError(
            f"The account's name cannot be {clean_name!r}, because it is part of URLs. Use a name "
            "with a letter or a digit."
        )
    if invalid := dict.fromkeys(_NOT_IN_URLS.findall(clean_name)):
        raise AccountError(
            f"The account's name {clean_name!r} contains {' '.join(invalid)}, which cannot be part "
            "of a URL. Use letters, digits, spaces, hyphens, underscores and dots."
        )
    return clean_name


def check_token_name(name: str) -> str:
    """Return a token's name as it is stored. Raises AccountError for an invalid name."""
    clean_name, error = clean(name, NAME_LENGTH)
    if not clean_name or error:
        raise AccountError(f"The token name {error or 'is empty. Enter a name.'}", "name")
    return clean_name


def new_id() -> str:
    """Return a new id of a token or a person, at random."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


class Accounts:
    """The accounts and tokens of a database."""

    def __init__(self, store: Store, clock: Callable[[], int] = now_ms) -> None:
        self._store = store
        self._clock = clock
        self._cache = TokenCache()
        self.uses = TokenUsage(store, clock)

    async def all(self) -> list[Account]:
        """Return all accounts, oldest first."""
        rows = await self._store.fetch(all_accounts(), {})
        return [Account(*row) for row in rows]

    async def load(self, account_id: int) -> Account:
        """Return the account with an id, which must exist."""
        ((*row,),) = await self._store.fetch(account_by_id(), {"account_id": account_id})
        return Account(*row)

    async def has_any(self) -> bool:
        """Whether there is an account."""
        return bool(await self._store.fetch(first_accounts(), {"limit": 1}))

    async def find(self, name: str) -> Account | None:
        """Return the account with a name, or None."""
        rows = await self._store.fetch(account_by_name(), {"name": name})
        return Account(*rows[0]) if rows else None

    async def resolve(self, name: str | None) -> Account:
        """Return the account with a name, or without a name the only account. Raises
        AccountError."""
        if name is not None:
            account = await self.find(name)
            if account is None:
                raise AccountError(
                    f"No account is named {name!r}. List the accounts with `regulars account list`."
                )
            return account
        rows = await self._store.fetch(first_accounts(), {"limit": _MAX_LISTED})
        candidates = [Account(*row) for row in rows]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            raise AccountError("No account exists. Create one with `regulars account create NAME`.")
        names = ", ".join(account.name for account in candidates)
        raise AccountError(
            f"Several accounts exist: {names}. Select one with `--account`, or set "
            "`REGULARS_ACCOUNT`."
        )

    async def create(self, name: str) -> Account:
        """Create an account. Raises AccountError for a name that is invalid or in use."""
        clean_name = check_account_name(name)
        for _ in range(_MAX_ATTEMPTS):
            if await self.find(clean_name):
                raise AccountError(
                    f"An account named {clean_name!r} already exists. Choose another name."
                )
            ((last_id,),) = await self._store.fetch(last_account(), {})
            account_id = (last_id or 0) + 1
            account = Account(account_id, clean_name, self._clock())
            row = {**asdict(account), "settings": None, "recount_after": None}
            zeros = {**dict.fromkeys(counters.c.keys(), 0), "account_id": account_id}
            try:
                await self._store.execute(
                    [(insert_one(accounts), row), (insert_one(counters), zeros)]
                )
            except Conflict:  # another process has just used the id or the name
                continue
            return account
        raise AccountError("Other accounts are being created at the same time. Try again.")

    async def rename(self, account: Account, name: str) -> str:
        """Rename an account; return its new name. Raises AccountError for a name that is invalid or
        in use."""
        new_name = check_account_name(name)
        parameters = {"changed_account": account.account_id, "new_name": new_name}
        try:
            await self._store.execute([(rename_account(), parameters)])
        except Conflict:
            raise AccountError(f"An account named {new_name!r} already exists.") from None
        return new_name

    async def disable(self, account: Account) -> bool:
        """Disable an account: its tokens are refused within `CACHE_SECONDS`, and its webhooks and
        imports wait. Return whether it was enabled."""
        parameters = {"changed_account": account.account_id, "now": self._clock()}
        return bool(await self._store.execute([(disable_account(), parameters)]))

    async def enable(self, account: Account) -> bool:
        """Enable a disabled account. Return whether it was disabled."""
        parameters = {"changed_account": account.account_id}
        return bool(await self._store.execute([(enable_account(), parameters)]))

    async def create_token(
        self,
        account: Account,
        name: str,
        expires_at: int | None = None,
        text: str | None = None,
        scopes: Iterable[str] = (BOTH,),
        is_dry_run: bool = False,
    ) -> tuple[str, Token]:
        """Create a token. Return its text, which is not stored, and the stored token. A dry run
        stores nothing, and returns an empty text and a token without id.

        `expires_at` is in milliseconds since 1970. `text` replaces the 256 random bits. Raises
        AccountError, also for a disabled account.
        """
        if account.disabled_at is not None:
            raise AccountError(
                f"The account {account.name!r} is disabled, so a new token would be refused. "
                "Enable it first with `regulars account enable`."
            )
        token = TOKEN_PREFIX + secrets.token_hex(32) if text is None else text
        if not _TOKEN.fullmatch(token):
            message = "A token can only contain letters, digits and `-._~+/`, with `=` at its end."
            raise AccountError(message)
        clean_name = check_token_name(name)
        token_id = new_id()
        stored_scopes = parse_scopes(scopes)
        stored = Token(
            token_id, account.name, clean_name, self._clock(), expires_at, None, stored_scopes
        )
        if is_dry_run:
            return "", replace(stored, token_id="")
        row = {
            "token_id": token_id,
            "hash": hash_token(token),
            "account_id": account.account_id,
            "name": clean_name,
            "created_at": stored.created_at,
            "expires_at": expires_at,
            "revoked_at": None,
            "scopes": stored_scopes,
            "last_used_at": None,
        }
        try:
            await self._store.execute([(insert_one(tokens), row)])
        except Conflict:
            raise AccountError("This token already exists. Choose another one.") from None
        return token, stored

    async def tokens(self) -> Sequence[Token]:
        """Return all tokens, oldest first."""
        return _tokens(await self._store.fetch(all_tokens(), {}))

    async def tokens_of(self, account_id: int) -> Sequence[Token]:
        """Return the tokens of an account, oldest first."""
        return _tokens(await self._store.fetch(tokens_of(), {"account_id": account_id}))

    async def token(self, account_id: int, token_id: str) -> Token:
        """Return a token of an account, also that of a person. It must exist."""
        parameters = {"account_id": account_id, "token_id": token_id}
        (token,) = _tokens(await self._store.fetch(token_by_id(), parameters))
        return token

    async def revoke(self, token_id: str) -> None:
        """Revoke a token. Raises AccountError if it does not exist or is revoked already."""
        parameters = {"revoked_id": token_id, "revoked_at": self._clock()}
        if not await self._store.execute([(revoke_token(), parameters)]):
            message = (
                f"No valid token has the id {token_id!r}. List the tokens with `regulars token "
                "list`."
            )
            raise AccountError(message)

    async def rename_token(self, token_id: str, name: str) -> str:
        """Rename a token; return its new name. Raises AccountError if it does not exist, or for an
        invalid name."""
        new_name = check_token_name(name)
        parameters = {"renamed_id": token_id, "new_name": new_name}
        if not await self._store.execute([(rename_token(), parameters)]):
            raise AccountError(
                f"No token has the id {token_id!r}. List the tokens with `regulars token list`."
            )
        return new_name

    def cached_grant(self, token: str) -> Grant | None:
        """Return the cached grant of a token, or None."""
        return self._cache.get(token)

    def account_of(self, token: str) -> int | None:
        """Return the account of a cached token, or None."""
        return self._cache.account_of(token)

    async def authenticate(self, token: str) -> Grant | None:
        """Return the grant of a token; None if it is unknown, expired or revoked.

        The lookup by hash takes the same time in all three cases. Raises AccountDisabled.
        """
        rows = await self._store.fetch(token_by_hash(), {"hash": hash_token(token)})
        row = dict(zip(GRANT_COLUMNS, rows[0], strict=True)) if rows else None
        now = self._clock()
        grant = grant_of(row, now) if row else None
        if row is None or grant is None:
            self._cache.forget(token)
            return None
        self._cache.keep(token, grant)
        last_used_at = row["last_used_at"]
        if last_used_at is None or last_used_at < now - USE_INTERVAL_MS:
            self.uses.record(grant.token_id)
        return grant
