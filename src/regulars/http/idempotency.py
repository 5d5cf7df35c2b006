"""Executes mutations with an `Idempotency-Key`: a repeated request writes nothing again."""

from __future__ import annotations

import hashlib
import re

import orjson

from regulars.api.context import Context, IdempotencyContext
from regulars.directory.directory import Directory
from regulars.graphql import Engine, ExecutionResult, PreparedOperation
from regulars.http.errors import IDEMPOTENCY_KEY, bad_key, bad_request, other_request, still_running
from regulars.http.messages import GraphQLRequest

_KEY = re.compile(rb"[\x20-\x7e]{1,255}")


class IdempotentExecutor:
    """Executes mutations with a key. Refuses a request whose key is in use by a request in
    progress."""

    def __init__(self, engine: Engine, directory: Directory) -> None:
        self._engine = engine
        self._directory = directory
        self._running: set[tuple[str, bytes]] = set()

    async def execute(
        self, prepared: PreparedOperation, context: Context, key: bytes, request: GraphQLRequest
    ) -> ExecutionResult:
        """Executes a mutation. Does not repeat writes that an earlier request with the key made,
        and renders their stored outcomes. Raises HTTPError: 400 for an invalid key, 409 while a
        request with the key is in progress, 422 if the key belongs to another request."""
        if not _KEY.fullmatch(key):
            raise bad_key()
        token_key = (context.token_id, key)
        if token_key in self._running:
            raise still_running()
        key_text = key.decode()
        fingerprint = _hash_request(request)
        self._running.add(token_key)
        try:
            stored_fingerprint = await self._directory.request_of(
                context.account_id, context.token_id, key_text, context.received_at
            )
            if stored_fingerprint is not None and stored_fingerprint != fingerprint:
                raise other_request()
            context.idempotency = IdempotencyContext(context.token_id, key_text, fingerprint)
            answer = await self._engine.execute(prepared, context)
            # Another process may have received another request with the key in the meantime.
            if answer.data is None and any(
                error["key"] == IDEMPOTENCY_KEY for error in answer.errors
            ):
                raise other_request()
            return answer
        finally:
            self._running.discard(token_key)


def _hash_request(request: GraphQLRequest) -> bytes:
    """Returns a hash that identifies a request. Raises HTTPError (400) for variables that cannot be
    serialized."""
    parts = [request.query, request.operation_name, request.variables]
    try:
        text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # orjson reads deeper nesting than it writes
        raise bad_request(
            "The variables are nested too deeply. The maximum is 250 levels."
        ) from error
    return hashlib.sha256(text).digest()
