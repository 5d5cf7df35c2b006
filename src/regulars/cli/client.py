"""Clients of the GraphQL API for commands: over HTTP, and in this process against a database.

Both return the response that a server would send, so that a command works the same with either.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urljoin

from regulars.cli.errors import APIError, ServerUnreachable

if TYPE_CHECKING:
    import httpx

    from regulars.settings import Settings
    from regulars.store import Store

# Longer than a server works on a request by default (10 s).
READ_SECONDS = 15.0
CONNECT_SECONDS = 10.0
# A rate limit is waited for, at most this often and this long.
_MAX_WAITS = 10
_MAX_WAIT_SECONDS = 60.0
_LIST_LIMIT = 50
_PAGE_SIZE = 100

# What httpx and OpenSSL report, and what it means.
_REASONS = {
    "All connection attempts failed": "no server accepts connections there",
    "WRONG_VERSION_NUMBER": "the server does not use TLS there",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not valid, or is not trusted by this machine",
}

Response = dict[str, Any]


class Client(Protocol):
    """Executes GraphQL documents for one account."""

    async def execute(
        self, document: str, variables: Mapping[str, Any], operation: str | None = None
    ) -> Response:
        """Return the response: a map with `data`, `errors` or both. Raises ServerUnreachable, and
        APIError if the response is not one of the API."""

    async def list_imports(self) -> list[dict[str, Any]]:
        """Return the account's 50 newest imports, newest first, as `GET /import` does. Raises
        APIError."""

    async def run_job(self, job_id: str) -> None:
        """Run a job that was started, if this process and no server runs it. Raises StoreError."""


async def fetch_data(client: Client, document: str, **variables: Any) -> dict[str, Any]:
    """Return the data of a document. Raises APIError if the response has errors."""
    response = await client.execute(document, variables)
    if response.get("errors"):
        raise APIError.of_response(response["errors"])
    data: dict[str, Any] = response["data"]
    return data


async def mutate(client: Client, document: str, arguments: str, **variables: Any) -> Any:
    """Return the result of a mutation. `arguments` are more arguments, in the place of `%s`. Raises
    APIError."""
    (result,) = (await fetch_data(client, document % arguments, **variables)).values()
    return result


class Nodes(NamedTuple):
    """Nodes of a list, its `totalCount` if the document selects it, and the cursor of the next
    page or None."""

    nodes: list[Any]
    total: int
    next: str | None


async def fetch_nodes(
    client: Client,
    document: str,
    limit: int = sys.maxsize,
    after: str | None = None,
    **variables: Any,
) -> Nodes:
    """Return at most `limit` nodes of the only field of a document, page by page. The document
    passes `$first` and `$after`. Raises APIError."""
    nodes: list[Any] = []
    while True:
        sizes = {"first": min(_PAGE_SIZE, limit - len(nodes)), "after": after}
        (page,) = (await fetch_data(client, document, **variables, **sizes)).values()
        nodes += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        if after is None or len(nodes) >= limit:
            return Nodes(nodes, page.get("totalCount", len(nodes)), after)


class DatabaseClient:
    """Executes documents in this process, with every scope."""

    def __init__(self, store: Store, account_id: int, settings: Settings) -> None:
        from regulars.configuration import build_engine, directory_limits
        from regulars.directory.directory import Directory

        self._store = store
        self._account_id = account_id
        self._max_cost = settings.max_cost
        self._engine = build_engine(settings)
        self._directory = Directory(store, directory_limits(settings))

    async def execute(
        self, document: str, variables: Mapping[str, Any], operation: str | None = None
    ) -> Response:
        import secrets

        from regulars.accounts.settings import load_settings
        from regulars.api.context import Context
        from regulars.core.clock import now_ms
        from regulars.graphql import ExecutionResult, InvalidDocument
        from regulars.http.errors import cost_limit

        try:
            prepared = self._engine.prepare(
                self._engine.get_operation(document, operation), variables
            )
            if prepared.cost > self._max_cost:
                raise cost_limit(prepared.cost, self._max_cost)
        except InvalidDocument as error:
            return ExecutionResult(None, error.errors, is_executed=False).to_response()
        settings = await load_settings(self._store, self._account_id)
        context = Context(
            self._account_id,
            self._directory,
            secrets.token_hex(8),
            now_ms(),
            default_country=settings["default_country"] or "",
        )
        result = await self._engine.execute(prepared, context)
        return result.to_response(context.extensions)

    async def list_imports(self) -> list[dict[str, Any]]:
        from regulars.transfer.import_repository import ImportRepository
        from regulars.transfer.uploads import import_to_json

        rows = await ImportRepository(self._store, self._account_id).newest(_LIST_LIMIT)
        return [import_to_json(row) for row in rows]

    async def run_job(self, job_id: str) -> None:
        """Run a job in this process, unless a server does. Raises StoreError."""
        from regulars.transfer.job import Job

        await Job(self._store, self._account_id, job_id).run()


class ServerClient:
    """Sends documents to a server. `address` is the URL of its API."""

    def __init__(self, http: httpx.AsyncClient, address: str) -> None:
        self._http = http
        self._address = address

    async def execute(
        self, document: str, variables: Mapping[str, Any], operation: str | None = None
    ) -> Response:
        body: dict[str, Any] = {"query": document, "variables": dict(variables)}
        if operation is not None:
            body["operationName"] = operation
        return await self._request("POST", self._address, body)

    async def list_imports(self) -> list[dict[str, Any]]:
        from regulars.transfer.remote import PATH

        base = self._address.removesuffix(PATH)
        url = f"{base}/import" if base != self._address else urljoin(self._address, "/import")
        response = await self._request("GET", url)
        if response.get("errors"):
            raise APIError.of_response(response["errors"])
        imports: list[dict[str, Any]] = response["data"]
        return imports

    async def run_job(self, job_id: str) -> None:
        """Do nothing: the server runs its jobs."""

    async def _request(self, method: str, url: str, body: Any = None) -> Response:
        response = await self._send(method, url, body)
        for _ in range(_MAX_WAITS):
            seconds = response.headers.get("retry-after", "")
            if response.status_code != 429 or not seconds.isdigit():
                break
            if int(seconds) > _MAX_WAIT_SECONDS:
                break
            print(f"The rate limit is reached. Waiting {seconds} s.", file=sys.stderr)
            await asyncio.sleep(int(seconds))
            response = await self._send(method, url, body)
        if response.is_redirect:
            target = response.headers.get("location", "")[:200]
            raise APIError(f"{url} redirects to {target!r}. Pass that URL with --url.")
        try:
            payload = response.json()
        except ValueError:
            payload = None
        if not isinstance(payload, dict) or not ("data" in payload or payload.get("errors")):
            raise APIError(
                f"{url} answered with status {response.status_code} and without a GraphQL "
                "response. Check --url: the API of a server is at /api/v2."
            )
        return payload

    async def _send(self, method: str, url: str, body: Any) -> httpx.Response:
        import httpx

        try:
            return await self._http.request(method, url, json=body)
        except httpx.ConnectTimeout:
            raise ServerUnreachable(
                f"{url} cannot be reached: nothing answered within {CONNECT_SECONDS:g} s. Check "
                "--url, and that the server runs."
            ) from None
        except httpx.TimeoutException:
            raise ServerUnreachable(
                f"{url} accepted the connection, but did not answer within {READ_SECONDS:g} s. "
                "Check that the server is not overloaded. A change may have been made: check "
                "before you repeat it."
            ) from None
        except httpx.TransportError as error:
            raise ServerUnreachable(
                f"{url} cannot be reached: {_describe(error)}. Check --url, and that the server "
                "runs."
            ) from None


def _describe(error: httpx.TransportError) -> str:
    """Return why a request failed, without the terms of Python's libraries."""
    reason = str(error).rstrip(".")
    for text, description in _REASONS.items():
        if text in reason:
            return description
    return re.sub(r"^\[Errno -?\d+\] ", "", reason) or "the server closed the connection"
