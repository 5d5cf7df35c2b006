"""Events that come in: verified, understood, written; or kept until somebody looks.

An event is answered when what it tells is committed. One that is sent again, byte for byte, within
a day is the same write (`receipts`); later, what it tells is there already: an order is known by
its name, a customer by the shop's id or by email.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from regulars.directory.commands import DeleteContact, Delivery, Origin, Receipt, RecordContact
from regulars.directory.errors import HeldEmail, Refused
from regulars.directory.inbox_keys import keys_of
from regulars.directory.shop_events import Misunderstood, command_of
from regulars.store import Row, Store, StoreError, imports, inbox, queries
from regulars.store.large_work import run_large
from regulars.webhooks.javascript import stringify
from regulars.webhooks.signatures import Secrets, decode_signature, is_signed

PROBLEM_LENGTH = 1_000
# Bytes of a body that is also verified as JSON.stringify writes it. Rewriting takes up to 20 ms
# for so many, and anybody can ask for it.
CANONICAL_BYTES = 32_768
LARGE_BODY = 32_768
_ID_LENGTH = 12
_EVENT_ID = re.compile(r"event-[0-9]{1,18}-([0-9]{1,18})")
_ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")
# Events whose body may be that of an earlier one.
_REPEATABLE = (
    *("contact/updated", "contact/deleted"),
    *("order/updated", "order/fulfilled", "order/cancelled", "order/uncancelled"),
)

_log = logging.getLogger("regulars.inbox")


class EarlierEventMissing(Exception):
    """An event of another Regulars that needs one before it, which is under way: it must be sent
    again."""


def delivery_of(headers: Mapping[str, str]) -> Delivery | None:
    """How another Regulars sent an event, by its headers; None for any other shop."""
    event = _EVENT_ID.fullmatch(headers.get("regulars-event-id", ""))
    attempt = _ATTEMPT.fullmatch(headers.get("regulars-attempt", ""))
    return Delivery(int(event[1]), int(attempt[0])) if event and attempt else None


class Understood(NamedTuple):
    """What became of an event: written, or kept in the inbox under an id, and why."""

    inbox_id: str | None = None
    problem: str | None = None


async def is_genuine(known: Secrets | None, header: str, body: bytes) -> bool:
    """Whether a body is signed with a secret of the account: as it came; or, if it is small, as
    JSON.stringify writes it again."""
    digest = decode_signature(header)
    if digest is None:
        return False
    if len(body) > CANONICAL_BYTES:
        return await asyncio.to_thread(is_signed, known, digest, body)
    if is_signed(known, digest, body):
        return True
    try:
        canonical = stringify(orjson.loads(body))
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return is_signed(known, digest, canonical)


class Inbox:
    """Takes the events of the shops of all accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(
        self,
        account_id: int,
        type_: str,
        body: bytes,
        at: int,
        request_id: str,
        delivery: Delivery | None = None,
    ) -> Understood:
        """Writes what a genuine event tells, or keeps the event; durable when it is answered.
        Raises EarlierEventMissing."""
        digest = hashlib.sha256(type_.encode() + b"\n" + body).digest()
        receipt = _receipt(type_, digest, at, delivery)
        problem = await self._write(account_id, type_, body, at, receipt, request_id, delivery)
        if problem is None:
            return Understood()
        inbox_id = digest.hex()[:_ID_LENGTH]
        row = {
            "account_id": account_id,
            "inbox_id": inbox_id,
            "type": type_,
            "body": body,
            "problem": problem[:PROBLEM_LENGTH],
            "received_at": at,
            "times": 1,
        }
        keys = await run_large(lambda: keys_of(body)) if len(body) > LARGE_BODY else keys_of(body)
        of_event = [(inbox.keep_key(), {**row, "key": key}) for key in keys]
        await self._store.execute([(inbox.note_again(), row), (inbox.keep_event(), row), *of_event])
        return Understood(inbox_id, problem)

    async def retry(self, event: Row, at: int) -> str | None:
        """Writes what a kept event tells, and forgets the event; or answers why not."""
        problem = await self._write(
            event["account_id"],
            event["type"],
            bytes(event["body"]),
            event["received_at"],
            None,
            None,
        )
        if problem is None:
            await self.forget(event)
        else:
            one = {"account_id": event["account_id"], "inbox_id": event["inbox_id"]}
            noted = {**one, "problem": problem[:PROBLEM_LENGTH], "received_at": at}
            await self._store.execute([(inbox.note_again(), noted)])
        return problem

    async def forget(self, event: Row) -> None:
        """Gives a kept event up."""
        one = {"account_id": event["account_id"], "inbox_id": event["inbox_id"]}
        await self._store.execute([(inbox.forget_event(), one), (inbox.forget_keys(), one)])

    async def kept(self, account_id: int) -> list[dict[str, Any]]:
        """The events that are kept, oldest first."""
        rows = await self._store.fetch(inbox.kept_events(), {"account_id": account_id})
        return [dict(zip(inbox.COLUMNS, row, strict=True)) for row in rows]

    async def _write(
        self,
        account_id: int,
        type_: str,
        body: bytes,
        at: int,
        receipt: Receipt | None,
        request_id: str | None,
        delivery: Delivery | None = None,
    ) -> str | None:
        """Writes what an event tells; answers why it cannot."""
        origin = Origin("inbound", type_, request_id)
        try:
            command = command_of(type_, body, at, receipt, origin, delivery)
            if isinstance(command, RecordContact | DeleteContact) and command.told_id is not None:
                mirrored = await self._mirrored(account_id, command.told_id)
                command = replace(command, mirrored=mirrored)
            if command is not None:
                await self._store.write(account_id, command)
        except Misunderstood as wrong:
            return str(wrong)
        except Refused as refused:
            if refused.replayed:
                return None  # it was understood before, and its customer is deleted since
            if any(isinstance(problem, HeldEmail) for problem in refused.problems):
                raise EarlierEventMissing from refused
            return " ".join(_where(problem) for problem in refused.problems)
        except StoreError:
            raise  # the shop sends it again
        except Exception as error:
            # Signed and received: it stays in the inbox, whatever is wrong with it or with us.
            _log.error("An event could not be applied.", exc_info=error)
            return f"Internal error ({type(error).__name__}). Request id: {request_id or 'none'}."
        return None

    async def _mirrored(self, account_id: int, number: int) -> int | None:
        """The customer of an `_id`, if `regulars pull` has created it with that `_id`, in an
        account that it matches by `_id`. Any other customer with the number may be somebody else
        there."""
        pulls = await self._store.fetch(imports.pulls(), {"account_id": account_id})
        servers = {name for name, cursor in pulls if cursor and orjson.loads(cursor)["keep_ids"]}
        if not servers:
            return None
        given = {"account_id": account_id, "number": number}
        creators = [tuple(row) for row in await self._store.fetch(queries.creator(), given)]
        return number if any(("import", name) in creators for name in servers) else None


def _receipt(type_: str, digest: bytes, at: int, delivery: Delivery | None) -> Receipt | None:
    """By what an event is known that is sent again. A change that is withdrawn and made again has
    the same body as the first time: without the id of the event, the last one to come counts."""
    if delivery is None:
        if type_ in _REPEATABLE:
            return None
        return Receipt("inbox", digest.hex(), 0, digest, at, of_refusals=False)
    key = f"{digest.hex()} {delivery.event}"
    return Receipt("inbox", key, 0, digest, at, of_refusals=False)


def _where(problem: Any) -> str:
    place = ".".join(str(step) for step in problem.input_path)
    return f"{place}: {problem.message}" if place else str(problem.message)
