"""The GraphQL endpoint: GraphQL over HTTP, for the holder of a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.api.context import Context
from regulars.api.errors import internal
from regulars.directory.accounts import Accounts, now_ms
from regulars.directory.directory import Directory
from regulars.graphql import Answer, Engine, Fault, InvalidDocument, error_entry
from regulars.http.errors import HTTPError, body_limit, method_not_allowed, unauthenticated
from regulars.http.messages import (
    GRAPHQL_RESPONSE,
    Receive,
    Reply,
    RequestHeaders,
    Scope,
    Send,
    answer_type,
    check_content_type,
    first_of_each,
    from_body,
    from_query_string,
    read_body,
    reply,
    request_id,
    send_reply,
)


def error_answer(fault: Fault) -> dict[str, Any]:
    """A GraphQL response for a request that never became one."""
    return {"errors": [error_entry(fault)]}


class GraphQLEndpoint:
    """Answers POST and GET: as an ASGI application, and of a request that is there whole."""

    def __init__(
        self,
        engine: Engine,
        accounts: Accounts,
        directory: Directory,
        max_body_bytes: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._directory = directory
        self._max_body_bytes = max_body_bytes
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = first_of_each(scope["headers"])
        answer = await self.answer(scope["method"], headers, receive, scope["query_string"])
        await send_reply(send, answer)

    async def answer(
        self,
        method: str,
        headers: RequestHeaders,
        body: bytes | Receive,
        query_string: bytes = b"",
    ) -> Reply:
        """The answer to a request. Its body is there, or is received once its sender is known."""
        identity = request_id(headers)
        media = answer_type(headers)
        try:
            if method not in ("GET", "POST"):
                raise method_not_allowed(method, "GET, POST")
            token = _bearer(headers)
            account_id = self._accounts.trusted(token) or await self._accounts.authenticate(token)
            if account_id is None:
                raise unauthenticated()
            if method == "POST":
                check_content_type(headers)
                if not isinstance(body, bytes):
                    body = await read_body(body, self._max_body_bytes)
                elif len(body) > self._max_body_bytes:
                    raise body_limit(self._max_body_bytes)
                request = from_body(body)
            else:
                request = from_query_string(query_string)
            operation = self._engine.operation(request.query, request.operation_name)
            if method == "GET" and operation.kind != "query":
                message = (
                    f"A {operation.kind} changes what is stored, and GET never does. Use POST."
                )
                raise method_not_allowed(method, "POST", message)
            context = Context(account_id, self._directory, identity.decode(), self._clock())
            answer = await self._engine.run(operation, request.variables, context)
            return _reply(answer, media, identity)
        except InvalidDocument as invalid:
            return _reply(Answer(None, invalid.errors, executed=False), media, identity)
        except HTTPError as error:
            refusal = error_answer(error.fault)
            return reply(error.status, refusal, media, identity, error.headers)
        except Exception as error:
            return reply(500, error_answer(internal(error, identity.decode())), media, identity)


def _reply(answer: Answer, media: bytes, identity: bytes) -> Reply:
    # With application/json a client cannot tell our errors from a proxy's by the status: GraphQL
    # over HTTP (section 6.4.1) answers 200 whatever became of a well-formed request.
    refused = not answer.executed and media == GRAPHQL_RESPONSE
    return reply(400 if refused else 200, answer.response(), media, identity)


def _bearer(headers: RequestHeaders) -> str:
    """The token in the Authorization header; empty where there is none."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
