"""One request to a receiver, and what it answered."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple, Self

import httpcore

from regulars.webhooks.targets import TIMEOUT_SECONDS, ForbiddenTarget, require_public, resolve

# What is read of an answer at most, so that the connection can be used again.
_READ_BYTES = 64 * 1024


class Network(httpcore.AsyncNetworkBackend):
    """Connects to the very addresses that were looked at."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"The name {host} cannot be resolved.") from error
        if not self._private:
            require_public(host, addresses)
        failed: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failed = error
        raise failed or httpcore.ConnectError(f"The name {host} has no address.")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@cache
def tls() -> ssl.SSLContext:
    """What a receiver's certificate is verified with: the system's authorities. To read them takes
    longer than the first request."""
    return ssl.create_default_context()


class Outcome(NamedTuple):
    """What became of a request: the answer's status and the beginning of its body, or why there
    was none; and how long it took."""

    status: int | None
    error: str | None
    headers: Mapping[str, str]
    body: bytes
    milliseconds: int

    @property
    def success(self) -> bool:
        """Only 2xx is success: a redirect is not followed."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to one receiver: one request at a time, on one connection as long as that lasts."""

    def __init__(self, tls: ssl.SSLContext, private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, network_backend=Network(private)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Posts a body. Whatever goes wrong is an outcome."""
        began = time.monotonic()
        status, error, answered, content = None, None, {}, b""
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                async with self._pool.stream("POST", url, headers=given, content=body) as response:
                    answered = {
                        name.decode("latin-1").lower(): value.decode("latin-1")
                        for name, value in response.headers
                    }
                    async for chunk in response.aiter_stream():
                        content += chunk
                        if len(content) > _READ_BYTES:
                            break
                    status = response.status
        except TimeoutError:
            error = f"No answer within {TIMEOUT_SECONDS:g} s."
        except ForbiddenTarget as forbidden:
            error = str(forbidden)
        except (httpcore.ConnectError, ssl.SSLError) as failed:
            error = f"No connection: {_shown(failed)}"
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as failed:
            error = f"The connection broke: {_shown(failed)}"
        except httpcore.UnsupportedProtocol as failed:
            error = _shown(failed)
        took = round((time.monotonic() - began) * 1000)
        return Outcome(status, error, answered, content, took)


def _shown(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:500]
