"""Incoming events: verified, parsed and applied, or stored in the inbox for an operator.

The response is sent after the commit. The same bytes within a day are the same write (idempotency
record). A later repetition changes nothing: orders are matched by name, customers by the shop's id
or by email.
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

from regulars.core import account_settings
from regulars.core.commands import INBOUND, IdempotencyRecord, Origin, one_id
from regulars.core.errors import EarlyEvent, Rejected
from regulars.orders.commands import (
    DeleteContact,
    DeletedMeanwhile,
    Delivery,
    RecordContact,
    RestoreContact,
)
from regulars.orders.inbox_keys import find_keys
from regulars.orders.shop_events import parse_event
from regulars.orders.shop_node import UnparseableEvent
from regulars.store import Row, Store, StoreError, imports, queries
from regulars.store.large_work import run_large
from regulars.store.tokens import account_settings_of
from regulars.trash import queries as trash_queries
from regulars.webhooks import inbox_queries
from regulars.webhooks.javascript import stringify
from regulars.webhooks.signatures import Secrets, decode_signature, is_signed

PROBLEM_LENGTH = 1_000
# A longer body is not verified in the form that JSON.stringify writes: rewriting this many bytes
# takes up to 20 ms, without authentication.
CANONICAL_BYTES = 32_768
LARGE_BODY = 32_768
_ID_LENGTH = 12
_EVENT_ID = re.compile(r"event-[0-9]{1,18}-([0-9]{1,18})")
_ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")
# Event types whose body may repeat that of an earlier event.
_REPEATABLE = (
    *("contact/updated", "contact/deleted", "contact/restored"),
    *("order/updated", "order/fulfilled", "order/cancelled", "order/uncancelled"),
)

_log = logging.getLogger("regulars.inbox")


class EarlierEventMissing(Exception):
    """An event of another Regulars depends on an earlier event that has not arrived. The sender
    must send it again."""


def delivery_of(headers: Mapping[str, str]) -> Delivery | None:
    """Return the delivery that the headers of another Regulars describe; None for other shops."""
    event = _EVENT_ID.fullmatch(headers.get("regulars-event-id", ""))
    attempt = _ATTEMPT.fullmatch(headers.get("regulars-attempt", ""))
    return Delivery(int(event[1]), int(attempt[0])) if event and attempt else None


class EventOutcome(NamedTuple):
    """The outcome of an event: applied, or stored in the inbox under an id because of a problem."""

    inbox_id: str | None = None
    problem: str | None = None


async def is_genuine(secrets: Secrets | None, header: str, body: bytes) -> bool:
    """Return whether a body is signed with a secret of the account: as received or, if it is small,
    as JSON.stringify writes it."""
    digest = decode_signature(header)
    if digest is None:
        return False
    if len(body) > CANONICAL_BYTES:
        return await asyncio.to_thread(is_signed, secrets, digest, body)
    if is_signed(secrets, digest, body):
        return True
    try:
        canonical = stringify(orjson.loads(body))
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return is_signed(secrets, digest, canonical)


class Inbox:
    """Applies the events of shops, and stores those that it cannot apply."""

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
    ) -> EventOutcome:
        """Apply a verified event, or store it; durable on return. Raises EarlierEventMissing."""
        digest = hashlib.sha256(type_.encode() + b"\n" + body).digest()
        idempotency_record = _idempotency_record(type_, digest, at, delivery)
        problem = await self._write(
            account_id, type_, body, at, idempotency_record, request_id, delivery
        )
        if problem is None:
            return EventOutcome()
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
        keys = await self._find_keys(account_id, body)
        inserts = [(inbox_queries.insert_key(), {**row, "key": key}) for key in keys]
        await self._store.execute(
            [(inbox_queries.update_event(), row), (inbox_queries.insert_event(), row), *inserts]
        )
        return EventOutcome(inbox_id, problem)

    async def _find_keys(self, account_id: int, body: bytes) -> list[str]:
        ((stored,),) = await self._store.fetch(account_settings_of(), {"account_id": account_id})
        settings = account_settings.load(stored)
        needs_email = settings[account_settings.IDENTIFY_BY.name] == account_settings.EMAIL
        if len(body) > LARGE_BODY:
            return await run_large(lambda: find_keys(body, needs_email))
        return find_keys(body, needs_email)

    async def retry(self, event: Row, at: int) -> str | None:
        """Apply a stored event and delete it, or return the problem."""
        problem = await self._write(
            event["account_id"],
            event["type"],
            bytes(event["body"]),
            event["received_at"],
            None,
            None,
        )
        if problem is None:
            await self.delete(event)
        else:
            values = {"problem": problem[:PROBLEM_LENGTH], "received_at": at}
            await self._store.execute([(inbox_queries.update_event(), {**_key(event), **values})])
        return problem

    async def delete(self, event: Row) -> None:
        """Delete a stored event."""
        await self._store.execute(
            [
                (inbox_queries.delete_event(), _key(event)),
                (inbox_queries.delete_keys(), _key(event)),
            ]
        )

    async def events(self, account_id: int) -> list[dict[str, Any]]:
        """Return the stored events of an account, oldest first."""
        query = inbox_queries.events_of_account()
        rows = await self._store.fetch(query, {"account_id": account_id})
        return [dict(zip(inbox_queries.COLUMNS, row, strict=True)) for row in rows]

    async def _write(
        self,
        account_id: int,
        type_: str,
        body: bytes,
        at: int,
        idempotency_record: IdempotencyRecord | None,
        request_id: str | None,
        delivery: Delivery | None = None,
    ) -> str | None:
        """Apply an event; return the problem if that fails."""
        origin = Origin(INBOUND, type_, request_id)
        try:
            command = parse_event(type_, body, at, idempotency_record, origin, delivery)
            if isinstance(command, RecordContact | DeleteContact) and command.sender_customer_id:
                mirrored_id = await self._find_mirrored(account_id, command.sender_customer_id)
                command = replace(command, mirrored_customer_id=mirrored_id)
            if isinstance(command, RecordContact) and _needs_trash(command):
                await self._write_searching_trash(account_id, command)
            elif command is not None:
                await self._store.write(account_id, command)
        except UnparseableEvent as error:
            return str(error)
        except Rejected as error:
            if error.replayed:
                return None  # the event was applied before, and its customer has been deleted
            if any(isinstance(problem, EarlyEvent) for problem in error.problems):
                raise EarlierEventMissing from error
            return " ".join(_message(problem) for problem in error.problems)
        except StoreError:
            raise  # the shop retries
        except Exception as error:
            # The inbox stores the event: a bug must not lose a verified event.
            _log.error("An event could not be applied.", exc_info=error)
            return f"Internal error ({type(error).__name__}). Request id: {request_id or 'none'}."
        return None

    async def _write_searching_trash(self, account_id: int, command: RecordContact) -> None:
        """Apply an event whose customer may be in the trash. If another event deletes the customer
        after the search, the trash is searched once more."""
        ids = await self._find_ids(account_id, command)
        try:
            await self._store.write(account_id, replace(command, restored_ids=ids))
        except DeletedMeanwhile:
            ids = await self._find_ids(account_id, command)
            found = replace(command, restored_ids=ids, is_certain=True)
            await self._store.write(account_id, found)

    async def _find_ids(self, account_id: int, command: RecordContact) -> frozenset[int]:
        """Return the customers that may have the shop id of an event in the trash. For a restore,
        they include those that another event may delete before this one is applied."""
        is_restore = isinstance(command, RestoreContact)
        parameters = {"account_id": account_id, "shop_id": command.shop_id or ""}
        rows = await self._store.fetch(trash_queries.with_shop_id(is_restore), parameters)
        mirrored_ids = one_id(command.mirrored_customer_id if is_restore else None)
        return frozenset(number for (number,) in rows) | mirrored_ids

    async def _find_mirrored(self, account_id: int, customer_id: int) -> int | None:
        """Return `customer_id` if `regulars pull` created that customer and keeps the `_id`s of the
        sender. Otherwise the same `_id` may mean another customer there: return None."""
        pulls = await self._store.fetch(imports.pulls_of_account(), {"account_id": account_id})
        servers = {name for name, cursor in pulls if cursor and orjson.loads(cursor)["keep_ids"]}
        if not servers:
            return None
        parameters = {"account_id": account_id, "number": customer_id}
        creators = [tuple(row) for row in await self._store.fetch(queries.creator(), parameters)]
        return customer_id if any(("import", name) in creators for name in servers) else None


def _idempotency_record(
    type_: str, digest: bytes, at: int, delivery: Delivery | None
) -> IdempotencyRecord | None:
    """Return the record that detects a repeated event. A change that is reverted and repeated has
    the same body: without an event id, an event of such a type has no record and is applied."""
    if delivery is None:
        if type_ in _REPEATABLE:
            return None
        return IdempotencyRecord("inbox", digest.hex(), 0, digest, at, of_refusals=False)
    key = f"{digest.hex()} {delivery.event}"
    return IdempotencyRecord("inbox", key, 0, digest, at, of_refusals=False)


def _needs_trash(command: RecordContact) -> bool:
    """Return whether the customer of an event may be in the trash: an event restores it, or another
    Regulars updates it."""
    is_update = command.delivery is not None and not command.should_fill_empty
    return is_update or isinstance(command, RestoreContact)


def _message(problem: Any) -> str:
    path = ".".join(str(step) for step in problem.input_path)
    return f"{path}: {problem.message}" if path else str(problem.message)


def _key(event: Row) -> Row:
    return {"account_id": event["account_id"], "inbox_id": event["inbox_id"]}
