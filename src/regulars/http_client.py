"""The HTTP client of commands that use another server of Regulars."""

from __future__ import annotations

import ssl

import httpx

from regulars import __version__


def open_http(url: str, token: str, timeout_seconds: float) -> httpx.AsyncClient:
    """Returns a client that sends a token to the server at `url`."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "User-Agent": f"Regulars/{__version__}",
    }
    return httpx.AsyncClient(headers=headers, timeout=timeout_seconds, verify=tls_for(url))


def tls_for(url: str) -> ssl.SSLContext | bool:
    """Returns what httpx verifies certificates with. Without TLS, it loads none, which takes
    28 ms."""
    return url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
