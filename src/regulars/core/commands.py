"""Commands: what the writer of an account can be asked to change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from regulars.store import LookupKeys


class Origin(NamedTuple):
    """Where a write comes from, as the history keeps it: the kind of its actor (`token`,
    `command_line`, `inbound`, `import`), the actor's name, and the id of the request; and whether
    it is silent: its changes are sent to no webhook."""

    kind: str
    name: str
    request_id: str | None = None
    silent: bool = False


COMMAND_LINE = Origin("command_line", "regulars")


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What makes a write recognisable when its request is sent again: whose it is (`token_id`),
    the request's key, the number of the write in the request, a hash of the request, and the
    moment it came (milliseconds since 1970); and whether it is to be refused again, if it was."""

    token_id: str
    key: str
    part: int
    fingerprint: bytes
    at: int
    of_refusals: bool = True


def record_keys(idempotency_record: IdempotencyRecord | None) -> frozenset[str]:
    """The key of an idempotency record, if there is one."""
    return frozenset([idempotency_record.key]) if idempotency_record else frozenset()


@dataclass(frozen=True, slots=True)
class Replay:
    """What a write came to when its request was first answered, and the moment of that."""

    result: Any
    at: int


Values = Mapping[str, Any]


class Command(Protocol):
    """A change that somebody asks for: when (milliseconds since 1970), from where, and the record
    that makes it recognisable when it is sent again."""

    @property
    def at(self) -> int: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def idempotency_record(self) -> IdempotencyRecord | None: ...

    @property
    def is_large(self) -> bool: ...

    def lookup_keys(self) -> LookupKeys: ...


class SmallCommand:
    """A command that is decided in the event loop, unless it says otherwise."""

    __slots__ = ()

    @property
    def is_large(self) -> bool:
        """Whether it brings so much text that the event loop must not wait for its decision."""
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
