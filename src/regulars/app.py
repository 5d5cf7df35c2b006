"""Puts the parts together into one ASGI application."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from regulars.api import schema
from regulars.directory.accounts import Accounts
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.http.endpoint import GraphQLEndpoint, error_answer
from regulars.http.errors import not_found
from regulars.http.messages import (
    JSON,
    Receive,
    Scope,
    Send,
    first_of_each,
    reply,
    request_id,
    send_reply,
)
from regulars.settings import Settings

GRAPHQL_PATHS = ("/api/v2", "/graphql")


class Application:
    """Regulars as an ASGI application. The GraphQL addresses (`graphql_at`) are answered before any
    routing: it would cost more than the rest of a small request."""

    def __init__(self, settings: Settings) -> None:
        self._store = store_for(settings.database_url)
        graphql = GraphQLEndpoint(
            schema.engine(),
            Accounts(self._store),
            Directory(self._store),
            settings.max_body_bytes,
        )
        self.graphql_at: Mapping[str, GraphQLEndpoint] = dict.fromkeys(GRAPHQL_PATHS, graphql)
        self._rest = Starlette(lifespan=self._lifespan)
        self._rest.router.default = _nothing_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        graphql = self.graphql_at.get(scope["path"]) if scope["type"] == "http" else None
        await (graphql or self._rest)(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        await self._store.open()
        # What is there by now stays: the garbage collector need not look at it again.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            await self._store.close()


async def _nothing_here(scope: Scope, _receive: Receive, send: Send) -> None:
    error = not_found()
    identity = request_id(first_of_each(scope["headers"]))
    await send_reply(send, reply(error.status, error_answer(error.fault), JSON, identity))


def create() -> Application:
    """The application with the settings of the environment: what a server process imports."""
    return Application(Settings())
