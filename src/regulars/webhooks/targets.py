"""Which addresses events may be sent to: none of this machine's, nor of the networks around it.

Whoever may create a webhook could otherwise have the server ask what only the server can reach
(OWASP, "Server-Side Request Forgery Prevention"). What counts is the address that is connected to,
whatever name or notation led there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 6052: an IPv4 address within one of IPv6, for a translator.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# How long a request to a receiver may take, with its name and its connection.
TIMEOUT_SECONDS = 5.0

# Names are resolved in threads of their own: a slow name server keeps nobody else waiting.
_RESOLVERS = ThreadPoolExecutor(64, thread_name_prefix="regulars-names")


class ForbiddenTarget(Exception):
    """An address that events are not sent to; the message says which and why."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is anybody's on the internet: not loopback, private, link-local, reserved
    or multicast (IANA's special-purpose registries), nor one of IPv6 that stands for such a one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = (address.sixtofour, *(address.teredo or ()))
        if any(one is not None and not is_public(one) for one in inner):
            return False
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host's name, in the system's order. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def require_public(host: str, addresses: Iterable[str]) -> None:
    """Raises ForbiddenTarget for a host that has an address which is not public."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not is_public(address):
            raise ForbiddenTarget(
                f"{host} is at {address}, which is not a public address of the internet. Events "
                "are sent there only where REGULARS_WEBHOOK_PRIVATE_TARGETS allows it."
            )


async def check(url: str, private: bool) -> None:
    """Looks at an address before it is kept. A name that cannot be resolved now may be later.
    Raises ForbiddenTarget."""
    if private:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise ForbiddenTarget(
            "Events tell of customers, and http would show them to whoever is on the way. Use "
            "https; http is for where REGULARS_WEBHOOK_PRIVATE_TARGETS allows it."
        )
    try:
        addresses = await asyncio.wait_for(resolve(host, parts.port or 443), TIMEOUT_SECONDS)
    except (OSError, TimeoutError, UnicodeError):
        return
    require_public(host, addresses)
