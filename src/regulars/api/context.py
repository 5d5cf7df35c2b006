"""The state that the fields of one request share."""

from __future__ import annotations

import copy
from typing import Any, Self

from regulars.core.commands import COMMAND_LINE, IdempotencyRecord, Origin
from regulars.core.dry_run import Draft
from regulars.core.errors import MissingScope, Rejected
from regulars.core.scopes import ADMIN, granted
from regulars.directory.directory import Directory
from regulars.directory.draft_directory import DraftDirectory

EVERYTHING = granted([ADMIN])


class IdempotencyContext:
    """The idempotency key of a request, with its token and its content, and whether a write of the
    request was executed before."""

    __slots__ = ("_fingerprint", "_part", "_token_id", "is_replayed", "key")

    def __init__(self, token_id: str, key: str, fingerprint: bytes) -> None:
        self.key = key
        self.is_replayed = False
        self._token_id = token_id
        self._fingerprint = fingerprint
        self._part = 0

    def idempotency_record(self, at: int) -> IdempotencyRecord:
        """Return the idempotency record of the next write of the request."""
        part = self._part
        self._part += 1
        return IdempotencyRecord(self._token_id, self.key, part, self._fingerprint, at)


class Context:
    """The context of a request: its account, scopes, token id, request id and origin. `asked` is
    the time of the request, and `now` the time of all parts of the response, in milliseconds since
    1970. For a repeated write, `now` is the time of the first response. `change` is the number of
    the account's last change, if it was read with the rows. `default_country` is the country of
    phones without a country code. `extensions` are those of the response,
    and `extension_bytes` the size of their texts in UTF-8. `draft` is what the field would write,
    in a dry run."""

    __slots__ = (
        "account_id",
        "change",
        "default_country",
        "directory",
        "draft",
        "extension_bytes",
        "extensions",
        "idempotency",
        "now",
        "origin",
        "received_at",
        "request_id",
        "scopes",
        "token_id",
    )

    def __init__(
        self,
        account_id: int,
        directory: Directory,
        request_id: str,
        now: int,
        scopes: frozenset[str] = EVERYTHING,
        idempotency: IdempotencyContext | None = None,
        origin: Origin = COMMAND_LINE,
        token_id: str = "",
        default_country: str = "",
    ) -> None:
        self.account_id = account_id
        self.directory = directory
        self.request_id = request_id
        self.received_at = now
        self.now = now
        self.scopes = scopes
        self.idempotency = idempotency
        self.origin = origin
        self.token_id = token_id
        self.default_country = default_country
        self.change: int | None = None
        self.extensions: dict[str, Any] = {}
        self.extension_bytes = 0
        self.draft: Draft | None = None

    def with_draft(self, draft: Draft) -> Self:
        """Return the context of the same request that reads what a draft would write."""
        context = copy.copy(self)
        context.draft = draft
        context.directory = DraftDirectory(self.directory, draft)
        return context


def require(env: Context, scope: str) -> None:
    """Raises Rejected with MissingScope for a token without the scope."""
    if scope not in env.scopes:
        raise Rejected(MissingScope(scope))
