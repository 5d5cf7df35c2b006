"""The GraphQL endpoint: GraphQL over HTTP, for the holder of a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from regulars.api.context import Context
from regulars.api.errors import internal
from regulars.directory.accounts import Accounts, now_ms
from regulars.directory.directory import Directory
from regulars.graphql import Answer, Engine, Fault, InvalidDocument, Operation, error_entry
from regulars.http.errors import Headers, HTTPError, method_not_allowed, unauthenticated
from regulars.http.messages import (
    GRAPHQL_RESPONSE,
    GraphQLRequest,
    Receive,
    RequestHeaders,
    Scope,
    Send,
    answer_type,
    check_content_type,
    from_body,
    from_query_string,
    headers_of,
    read_body,
    request_id,
    send_json,
)


def error_answer(fault: Fault) -> dict[str, Any]:
    """A GraphQL response for a request that never became one."""
    return {"errors": [error_entry(fault)]}


class GraphQLEndpoint:
    """Answers POST and GET, as an ASGI application."""

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
        given = headers_of(scope)
        identity = request_id(given)
        media = answer_type(given)
        headers: Headers = ()
        try:
            status, body = await self._answer(scope, given, receive, identity, media)
        except HTTPError as error:
            status, body, headers = error.status, error_answer(error.fault), error.headers
        except Exception as error:
            status, body = 500, error_answer(internal(error, identity.decode()))
        await send_json(send, status, body, media, identity, headers)

    async def _answer(
        self,
        scope: Scope,
        headers: RequestHeaders,
        receive: Receive,
        identity: bytes,
        media: bytes,
    ) -> tuple[int, dict[str, Any]]:
        method = scope["method"]
        if method not in ("GET", "POST"):
            raise method_not_allowed(method, "GET, POST")
        account_id = await self._account(headers)
        if method == "POST":
            check_content_type(headers)
            request = from_body(await read_body(receive, self._max_body_bytes))
        else:
            request = from_query_string(scope)
        answer = await self._run(request, method, account_id, identity)
        # With application/json a client cannot tell our errors from a proxy's by the status:
        # GraphQL over HTTP (section 6.4.1) answers 200 whatever became of a well-formed request.
        refused = not answer.executed and media == GRAPHQL_RESPONSE
        return (400 if refused else 200), answer.response()

    async def _account(self, headers: RequestHeaders) -> int:
        given = headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, token = given.partition(" ")
        account_id = await self._accounts.authenticate(token.strip())
        if account_id is None or scheme.lower() != "bearer":
            raise unauthenticated()
        return account_id

    async def _run(
        self, request: GraphQLRequest, method: str, account_id: int, identity: bytes
    ) -> Answer:
        try:
            operation: Operation = self._engine.operation(request.query, request.operation_name)
        except InvalidDocument as invalid:
            errors: Sequence[dict[str, Any]] = invalid.errors
            return Answer(None, errors, executed=False)
        if method == "GET" and operation.kind != "query":
            message = f"A {operation.kind} changes what is stored, and GET never does. Use POST."
            raise method_not_allowed(method, "POST", message)
        context = Context(account_id, self._directory, identity.decode(), self._clock())
        return await self._engine.run(operation, request.variables, context)
