"""The URLs of a server."""

from __future__ import annotations

# This machine reaches a server that listens on all addresses at these.
_LOCAL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound


def url_of(host: str, port: int) -> str:
    """Returns the URL of a server that listens on a host and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable_at(host: str, port: int) -> str:
    """Returns a URL at which this machine reaches the server."""
    return url_of(_LOCAL_ADDRESSES.get(host, host), port)


def sign_in_url(server: str, code: str) -> str:
    """Returns the sign-in link for a one-time code. The code is in the fragment, which browsers do
    not send: no log of a server or a proxy has it (RFC 3986, section 3.5)."""
    return f"{server.rstrip('/')}/sign-in#{code}"
