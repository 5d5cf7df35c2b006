"""Where the server is, as a person's browser has it."""

from __future__ import annotations

# What listens everywhere is reached from this machine at one of these.
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens on a host's port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable_at(host: str, port: int) -> str:
    """A URL by which this machine reaches a server that listens there."""
    return url_of(_HERE.get(host, host), port)


def sign_in_url(server: str, code: str) -> str:
    """The address that signs in, once. The code stands where browsers keep it to themselves: no
    log of a server or a proxy has it (RFC 3986, section 3.5)."""
    return f"{server.rstrip('/')}/sign-in#{code}"
