"""One request to a receiver, and what it answered."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import NamedTuple, Self

import httpcore

from regulars.webhooks.targets import ForbiddenTarget, Network

TIMEOUT_SECONDS = 5.0
# What is read of an answer at most, so that the connection can be used again.
_READ_BYTES = 64 * 1024


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
