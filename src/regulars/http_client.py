"""The HTTP client of commands that use another server of Regulars."""

from __future__ import annotations

import ssl

import httpx

from regulars import __version__


def open_http(
    url: str, token: str, timeout_seconds: float, connect_seconds: float | None = None
) -> httpx.AsyncClient:
    """Returns a client that sends a token to the server at `url`. It waits at most
    `timeout_seconds` for each part of a response, and `connect_seconds` (by default the same) for a
    connection."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "User-Agent": f"Regulars/{__version__}",
    }
    timeout = httpx.Timeout(timeout_seconds, connect=connect_seconds or timeout_seconds)
    return httpx.AsyncClient(headers=headers, timeout=timeout, verify=tls_for(url))


def tls_for(url: str) -> ssl.SSLContext | bool:
    """Returns what httpx verifies certificates with. Without TLS, it loads none, which takes
    28 ms."""
    return url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
