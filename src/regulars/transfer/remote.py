"""A client of another server with this API. It obeys rate limits and retries transient errors."""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from regulars.http_client import open_http
from regulars.loopback import is_loopback
from regulars.transfer.errors import BadOption, RemoteUnreachable, TransferError

PATH = "/api/v2"
_TIMEOUT_SECONDS = 60.0
# The time for retries of a request, and the limits of the pauses between them.
PATIENCE_SECONDS = 900.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0

RATE_LIMIT = "rate_limit_reached"
# What a server says of itself, and not of the request.
_TRANSIENT_KEYS = (
    "errors_internal",
    "errors_unavailable",
    "errors_timeout",
    "errors_idempotency_running",
)
_TOO_LARGE_KEYS = ("errors_page_size", "errors_document_limit")

Ask = Mapping[str, Any]
Check = Callable[[Any], bool]


class RemoteError(TransferError):
    """The other server refuses a request, or its answer is invalid."""


class RequestTooLarge(RemoteError):
    """The request is too large for the other server."""


class RemoteFault(RemoteError):
    """An error of a GraphQL response, with its `key`, if it has one."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class _TransientError(Exception):
    """A transient error: its reason, and the seconds to wait, if the server requires a time."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


def address_of(url: str, insecure: bool) -> str:
    """Return the URL of a server's API. Raises BadOption for an invalid URL, and for one that sends
    the token without encryption."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadOption(
            f"{url!r} is not the URL of a server. Use a URL such as https://shop.example.com{PATH}."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadOption(
            "The URL must not contain a user, a password, a query or a fragment. Set the token in "
            "REGULARS_REMOTE_TOKEN."
        )
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname):
        raise BadOption(
            "With http, the token crosses the network unencrypted. Use https, or add --insecure in "
            "a network that you trust."
        )
    path = parts.path if parts.path.strip("/") else PATH
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))


class Remote:
    """A client of a server. It calls `notify` before each pause with the reason and the seconds."""

    def __init__(
        self,
        address: str,
        token: str,
        notify: Callable[[str, float], None] = lambda _why, _seconds: None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.address = address
        self._notify = notify
        self._patience = patience
        self._http = open_http(address, token, _TIMEOUT_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(
        self,
        document: str,
        variables: Ask,
        is_complete: Check,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the data of an operation, once `is_complete` accepts it.

        Transient failures are retried: 429 and `rate_limit_reached` (after `Retry-After`, if the
        server sends it), 5xx, lost connections and truncated responses. Raises RemoteFault if the
        server refuses the request, RequestTooLarge, and RemoteUnreachable when `patience` is
        over.
        """
        pause, deadline = _FIRST_PAUSE, time.monotonic() + self._patience
        while True:
            try:
                return await self._request(document, variables, is_complete, headers)
            except _TransientError as transient:
                remaining_seconds = deadline - time.monotonic()
                if remaining_seconds <= 0:
                    raise RemoteUnreachable(
                        f"{self.address} has not answered for {self._patience / 60:.0f} min: "
                        f"{transient}."
                    ) from None
                # A jitter keeps several who wait from coming back at once.
                own = pause * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
                seconds = min(
                    own if transient.seconds is None else transient.seconds, remaining_seconds
                )
                self._notify(str(transient), seconds)
                await asyncio.sleep(seconds)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _request(
        self, document: str, variables: Ask, is_complete: Check, headers: Mapping[str, str] | None
    ) -> Any:
        body = {"query": document, "variables": variables}
        try:
            response = await self._http.post(self.address, json=body, headers=headers)
        except httpx.TransportError as error:
            raise _TransientError(f"no answer ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise _TransientError(f"incomplete answer ({type(error).__name__})") from error
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise _TransientError("rate limit reached (429)", _retry_after(response))
        if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
            raise _TransientError(f"status {status}", _retry_after(response))
        if response.is_redirect:
            where = response.headers.get("location", "elsewhere")
            raise RemoteError(f"{self.address} redirects to {where[:200]}. Pass that URL.")
        try:
            payload = response.json()
        except ValueError:
            if status == httpx.codes.OK:
                raise _TransientError("incomplete answer (not JSON)") from None
            raise RemoteError(
                f"{self.address} answers with status {status} and without JSON. {_HINT}"
            ) from None
        return self._data(response, payload, is_complete)

    def _data(self, response: httpx.Response, payload: Any, is_complete: Check) -> Any:
        errors = payload.get("errors") if isinstance(payload, dict) else None
        if errors and isinstance(errors, list):
            self._refuse(response, errors)
        data = payload.get("data") if isinstance(payload, dict) else None
        if response.status_code != httpx.codes.OK:
            raise RemoteError(f"{self.address} answers with status {response.status_code}. {_HINT}")
        try:
            complete = data is not None and is_complete(data)
        except (TypeError, KeyError, AttributeError, IndexError):
            complete = False
        if not complete:
            raise _TransientError("incomplete answer")
        return data

    def _refuse(self, response: httpx.Response, errors: list[Any]) -> None:
        """Raise the exception for the errors of a response."""
        error = errors[0] if isinstance(errors[0], dict) else {}
        extensions = error.get("extensions")
        extension_key = extensions.get("key", "") if isinstance(extensions, dict) else ""
        key = str(error.get("key") or extension_key)
        if key == RATE_LIMIT:
            raise _TransientError(f"rate limit reached ({key})", _retry_after(response))
        if key in _TRANSIENT_KEYS:
            raise _TransientError(f"error {key}", _retry_after(response))
        reason = str(error.get("message", "It gives no reason."))[:500]
        message = f"{self.address} refused the request: {reason}"
        raise (RequestTooLarge(message) if key in _TOO_LARGE_KEYS else RemoteFault(message, key))


_HINT = f"The API is usually at {PATH} of a server."


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After`, a number or a date (RFC 9110, section 10.2.3)."""
    header = response.headers.get("retry-after", "").strip()
    if header.isdigit():
        return min(float(header), PATIENCE_SECONDS)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return min(max(at.timestamp() - time.time(), 0.0), PATIENCE_SECONDS)
