"""Sending a request to a receiver."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple, Self

import httpcore

from regulars.webhooks.targets import TIMEOUT_SECONDS, ForbiddenTarget, require_public, resolve

# The rest of a longer response is not read; its connection is closed.
_MAX_RESPONSE_BYTES = 64 * 1024


class Network(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were checked, without a second DNS lookup."""

    def __init__(self, allows_private: bool) -> None:
        self._allows_private = allows_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"The host {host} cannot be resolved.") from error
        if not self._allows_private:
            require_public(host, addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError(f"The host {host} has no address.")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@cache
def tls() -> ssl.SSLContext:
    """Return a TLS context with the system's certificate authorities. It is shared: to load them
    takes longer than a request."""
    return ssl.create_default_context()


class Outcome(NamedTuple):
    """The outcome of a request: the response's status and the beginning of its body, or an error
    message; and the time it took."""

    status: int | None
    error: str | None
    headers: Mapping[str, str]
    body: bytes
    milliseconds: int

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx. A redirect is not followed."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to one receiver: one request at a time, on one kept-alive connection."""

    def __init__(self, tls: ssl.SSLContext, allows_private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, network_backend=Network(allows_private)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Post a body; return the outcome. A failure raises nothing."""
        started = time.monotonic()
        status, error, response_headers, content = None, None, {}, b""
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                async with self._pool.stream(
                    "POST", url, headers=encoded, content=body
                ) as response:
                    response_headers = {
                        name.decode("latin-1").lower(): value.decode("latin-1")
                        for name, value in response.headers
                    }
                    async for chunk in response.aiter_stream():
                        content += chunk
                        if len(content) > _MAX_RESPONSE_BYTES:
                            break
                    status = response.status
        except TimeoutError:
            error = f"No answer within {TIMEOUT_SECONDS:g} s."
        except ForbiddenTarget as forbidden:
            error = str(forbidden)
        except (httpcore.ConnectError, ssl.SSLError) as failed:
            error = f"No connection: {_describe(failed)}"
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as failed:
            error = f"The connection broke: {_describe(failed)}"
        except httpcore.UnsupportedProtocol as failed:
            error = _describe(failed)
        milliseconds = round((time.monotonic() - started) * 1000)
        return Outcome(status, error, response_headers, content, milliseconds)


def _describe(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:500]
