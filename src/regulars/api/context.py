"""What the fields of one request share."""

from __future__ import annotations

from regulars.core.commands import COMMAND_LINE, IdempotencyRecord, Origin
from regulars.core.errors import MissingScope, Rejected
from regulars.core.scopes import ADMIN, granted
from regulars.directory.directory import Directory

EVERYTHING = granted([ADMIN])


class IdempotencyContext:
    """A request that may have come before: its key, whose it is and what it holds; and whether a
    write of it was found to be made already."""

    __slots__ = ("_fingerprint", "_part", "_token_id", "is_replayed", "key")

    def __init__(self, token_id: str, key: str, fingerprint: bytes) -> None:
        self.key = key
        self.is_replayed = False
        self._token_id = token_id
        self._fingerprint = fingerprint
        self._part = 0

    def idempotency_record(self, at: int) -> IdempotencyRecord:
        """The idempotency record of the next write of the request."""
        part = self._part
        self._part += 1
        return IdempotencyRecord(self._token_id, self.key, part, self._fingerprint, at)


class Context:
    """The account that the token opens and what it may do there, the token's id, the request's id,
    where its writes come from, the moment it came (`asked`), and its present (`now`): one moment
    for the whole of an answer, in milliseconds since 1970. That of a write that was answered before
    is the moment of that answer. `change` is the number of the account's last change, where it came
    with what was read."""

    __slots__ = (
        "account_id",
        "change",
        "directory",
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
        self.change: int | None = None


def require(env: Context, scope: str) -> None:
    """Raises Rejected with MissingScope for a token without the scope."""
    if scope not in env.scopes:
        raise Rejected(MissingScope(scope))
