"""Mutations with an `Idempotency-Key`: each is made once, however often it is sent."""

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
    """Executes mutations with a key. A request that this process executes is not started again."""

    def __init__(self, engine: Engine, directory: Directory) -> None:
        self._engine = engine
        self._directory = directory
        self._running: set[tuple[str, bytes]] = set()

    async def execute(
        self, prepared: PreparedOperation, context: Context, key: bytes, request: GraphQLRequest
    ) -> ExecutionResult:
        """Executes a mutation. Writes of it that were made before are not made again, and their
        stored outcomes are rendered. Raises HTTPError."""
        if not _KEY.fullmatch(key):
            raise bad_key()
        running_key = (context.token_id, key)
        if running_key in self._running:
            raise still_running()
        text = key.decode()
        fingerprint = _fingerprint(request)
        self._running.add(running_key)
        try:
            stored = await self._directory.request_of(
                context.account_id, context.token_id, text, context.received_at
            )
            if stored is not None and stored != fingerprint:
                raise other_request()
            context.idempotency = IdempotencyContext(context.token_id, text, fingerprint)
            answer = await self._engine.execute(prepared, context)
            # Another process may have received the key in the meantime, with another request.
            if answer.data is None and any(e["key"] == IDEMPOTENCY_KEY for e in answer.errors):
                raise other_request()
            return answer
        finally:
            self._running.discard(running_key)


def _fingerprint(request: GraphQLRequest) -> bytes:
    """Returns a hash that identifies a request. Raises HTTPError (400)."""
    parts = [request.query, request.operation_name, request.variables]
    try:
        text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # orjson reads what is nested deeper than it writes
        raise bad_request(
            "The variables are nested too deep. At most 250 levels are allowed."
        ) from error
    return hashlib.sha256(text).digest()
