"""Commands: the changes that the writer of an account can execute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from regulars.store import LookupKeys


class Origin(NamedTuple):
    """The origin of a write, as the history stores it: the kind of the actor, one of `ACTOR_KINDS`,
    its name, and the id of the request. The changes of a silent write are sent to no webhook.
    `cause` is the id of the job that writes."""

    kind: str
    name: str
    request_id: str | None = None
    silent: bool = False
    cause: str | None = None


ACTOR_KINDS = ("token", "person", "command_line", "inbound", "import", "system", "segment")
# The kind of an event of a shop.
INBOUND = "inbound"
COMMAND_LINE = Origin("command_line", "regulars")


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """Identifies a write of a request that may be sent again: the token, the idempotency key, the
    index of the write in the request, a hash of the request, and the time of the request
    (milliseconds since 1970). It also says whether the first attempt was refused."""

    token_id: str
    key: str
    part: int
    fingerprint: bytes
    at: int
    of_refusals: bool = True


def record_lookups(record: IdempotencyRecord | None) -> dict[str, frozenset[str]]:
    """Return the lookups of an idempotency record, or nothing if there is none."""
    if record is None:
        return {}
    return {
        "idempotency_tokens": frozenset([record.token_id]),
        "idempotency_keys": frozenset([record.key]),
    }


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored outcome of the first attempt of a write, and its time (ms since 1970)."""

    result: Any
    at: int


Values = Mapping[str, Any]


class Command(Protocol):
    """A requested change: its time (milliseconds since 1970), its origin, and the idempotency
    record of its request, if it has one."""

    @property
    def at(self) -> int: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def idempotency_record(self) -> IdempotencyRecord | None: ...

    @property
    def is_large(self) -> bool: ...

    @property
    def expects_no_rows(self) -> bool: ...

    @property
    def is_step(self) -> bool: ...

    def lookup_keys(self) -> LookupKeys: ...


class SmallCommand:
    """A command that is decided in the event loop, unless `is_large` is true."""

    __slots__ = ()

    @property
    def is_large(self) -> bool:
        """Whether it brings so much text that the event loop must not wait for its decision."""
        return False

    @property
    def expects_no_rows(self) -> bool:
        """Whether the rows that it looks up usually do not exist."""
        return False

    @property
    def is_step(self) -> bool:
        """Whether it is a step of work that repeats it if it was answered but not saved."""
        return False


class SummarizedResult(ABC):
    """A result of which an idempotency record stores less than the response needs."""

    __slots__ = ()

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns what is stored: no values of a customer."""


def one_id(number: int | None) -> frozenset[int]:
    """Returns the `_id` as the keys to look up, if there is one."""
    return frozenset() if number is None else frozenset([number])
