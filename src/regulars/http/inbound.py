"""The address at which a shop tells what happens: `POST /in/<account>/<type>`."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from regulars.api.errors import UNAVAILABLE, describe
from regulars.directory.accounts import Accounts, now_ms
from regulars.directory.shop_events import TYPES
from regulars.graphql import error_entry
from regulars.http.errors import RETRY, HTTPError, bad_signature, method_not_allowed
from regulars.http.in_flight import InFlight, Late
from regulars.http.messages import (
    JSON,
    Reply,
    first_of_each,
    read_body,
    reply,
    request_id,
    send_reply,
)
from regulars.http.observe import Call, Observer
from regulars.store import Store
from regulars.webhooks.inbox import Inbox, is_genuine
from regulars.webhooks.signatures import secrets_of


class Inbound:
    """Takes events, as an ASGI application. What is wrong is told as elsewhere: as errors of a
    GraphQL response."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        in_flight: InFlight,
        observer: Observer,
        max_body_bytes: int,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._inbox = Inbox(store)
        self._in_flight = in_flight
        self._observer = observer
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = first_of_each(scope["headers"])
        call = Call(scope["method"], request_id(headers), JSON)
        answer = await self._answer(call, Request(scope, receive))
        self._observer.answered(call, answer.status, time.perf_counter() - began)
        await send_reply(send, answer)

    async def _answer(self, call: Call, request: Request) -> Reply:
        identity = call.identity.decode()
        try:
            if call.method != "POST":
                message = "A shop's events come by POST."
                raise method_not_allowed(call.method, "POST", message)
            body = await read_body(request.receive, self._most)
            task = self._in_flight.enter()
            try:
                return await self._take(call, request, body)
            finally:
                self._in_flight.leave(task)
        except HTTPError as error:
            return _refusal(call, error.status, [error.fault], error.headers)
        except Late:
            return _refusal(call, 503, describe(TimeoutError(), identity), [RETRY])
        except Exception as error:
            faults = describe(error, identity)
            away = faults[0].key == UNAVAILABLE
            return _refusal(call, 503 if away else 500, faults, [RETRY] if away else [])

    async def _take(self, call: Call, request: Request, body: bytes) -> Reply:
        name, type_ = request.path_params["account"], request.path_params["type"]
        call.kind, call.operation = "event", type_.replace("/", "_") if type_ in TYPES else ""
        proof = request.headers.get("lightfunnels-hmac", "")
        known = [one for one in await self._accounts.all() if one.name == name]
        # An account that there is not is answered as a wrong proof is.
        if not known or not proof:
            raise bad_signature()
        account_id, now = known[0].account_id, now_ms()
        if not is_genuine(await secrets_of(self._store, account_id, now), proof, body):
            raise bad_signature()
        found = await self._inbox.take(account_id, type_, body, now, call.identity.decode())
        told: dict[str, Any] = {"understood": found.inbox_id is None}
        if found.inbox_id is not None:
            told |= {"inbox_id": found.inbox_id, "problem": found.problem}
        return reply(200, {"data": told}, JSON, call.identity)


def _refusal(call: Call, status: int, faults: Any, headers: Any) -> Reply:
    call.keys = [fault.key for fault in faults]
    errors = [error_entry(fault) for fault in faults]
    return reply(status, {"errors": errors}, JSON, call.identity, headers)
