"""The base of routes other than GraphQL. Their errors have the form of a GraphQL response, too."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from regulars.api.errors import TIMEOUT, UNAVAILABLE, describe, too_slow
from regulars.core.errors import Rejected
from regulars.graphql import Fault, error_entry
from regulars.http.errors import RETRY, Headers, HTTPError
from regulars.http.in_flight import RequestTimedOut
from regulars.http.messages import (
    JSON,
    Reply,
    build_json_reply,
    choose_request_id,
    index_headers,
    send_reply,
)
from regulars.http.request_observer import RequestObserver, RequestRecord


class RouteHandler(ABC):
    """A route as an ASGI application. Turns exceptions into the errors of a GraphQL response."""

    def __init__(self, observer: RequestObserver) -> None:
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = index_headers(scope["headers"])
        record = RequestRecord(
            scope["method"], choose_request_id(headers), JSON, headers.get(b"traceparent")
        )
        sender = ResponseSender(send)
        try:
            try:
                reply = await self.handle(record, Request(scope, receive), sender)
            except Exception as error:
                if sender.has_started:
                    raise  # ends the connection, so that the client detects the incomplete response
                reply = _reply_to_exception(record, error)
            if reply is not None:
                record.status = reply.status
                await send_reply(sender, reply)
        finally:
            self._observer.record_response(record, record.status, time.perf_counter() - began)

    @abstractmethod
    async def handle(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        """Returns the response, or None if the handler has sent it. May raise any exception:
        HTTPError has its own status, and `describe` returns the faults of others."""


class ResponseSender:
    """Sends ASGI messages, and knows whether the response has started."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.has_started = True
        await self._send(message)


def _reply_to_exception(record: RequestRecord, error: Exception) -> Reply:
    if isinstance(error, HTTPError):
        return build_error_reply(record, error.status, [error.fault], error.headers)
    request_id = record.request_id.decode()
    if isinstance(error, RequestTimedOut):
        return build_error_reply(record, 503, [too_slow(request_id)], [RETRY])
    faults = describe(error, request_id)
    if isinstance(error, Rejected):
        return build_error_reply(record, 400, faults)
    if faults[0].key in (UNAVAILABLE, TIMEOUT):
        return build_error_reply(record, 503, faults, [RETRY])
    return build_error_reply(record, 500, faults)


def build_error_reply(
    record: RequestRecord, status: int, faults: Sequence[Fault], headers: Headers = ()
) -> Reply:
    """Returns a response with errors and no data. Stores their keys in the record."""
    record.error_keys = [fault.key for fault in faults]
    errors = [error_entry(fault) for fault in faults]
    return build_json_reply(
        status, {"errors": errors}, record.media_type, record.request_id, headers
    )


def build_error_response(error: HTTPError, request_id: bytes) -> Response:
    """Returns an error as a Starlette response, for requests that are not recorded."""
    body = {"errors": [error_entry(error.fault)]}
    reply = build_json_reply(error.status, body, JSON, request_id, error.headers)
    response = Response(reply.content, reply.status)
    response.raw_headers = reply.headers
    return response
