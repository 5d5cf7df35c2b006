"""The addresses that events may be sent to: only those of the public internet.

Otherwise a webhook could make the server send requests into its own network (OWASP, "Server-Side
Request Forgery Prevention"). The check applies to the IP address of the connection, whatever name
or notation leads to it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from regulars.core.errors import RegularsError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 6052: an IPv4 address embedded in an IPv6 address, for a translator.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# For a request to a receiver, with the DNS lookup and the connection.
TIMEOUT_SECONDS = 5.0

# DNS lookups have their own threads: a slow name server does not delay other work.
_RESOLVERS = ThreadPoolExecutor(64, thread_name_prefix="regulars-names")


class ForbiddenTarget(RegularsError):
    """An address that events are not sent to; the message gives the address and the reason."""


def is_public(address: IPAddress) -> bool:
    """Return whether an address is public: not loopback, private, link-local, reserved or multicast
    (IANA's special-purpose registries), nor an IPv6 address that embeds such an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        embedded = (address.sixtofour, *(address.teredo or ()))
        if any(ipv4 is not None and not is_public(ipv4) for ipv4 in embedded):
            return False
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host name, in the system's order. Raises OSError."""
    loop = asyncio.get_running_loop()
    results = await loop.run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


def require_public(host: str, addresses: Iterable[str]) -> None:
    """Raise ForbiddenTarget if an address of the host is not public."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not is_public(address):
            raise ForbiddenTarget(
                f"The host {host} has the address {address}, which is not public. Use a public "
                "host, or ask the operator to set `REGULARS_WEBHOOK_PRIVATE_TARGETS`."
            )


async def require_allowed(url: str, allows_private: bool) -> None:
    """Check the URL of a new webhook. A name that cannot be resolved now may be later, and is
    accepted. Raises ForbiddenTarget."""
    if allows_private:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise ForbiddenTarget(
            "The URL must use `https`, because customer data must not travel unencrypted. To "
            "allow `http`, the operator can set `REGULARS_WEBHOOK_PRIVATE_TARGETS`."
        )
    try:
        addresses = await asyncio.wait_for(resolve(host, parts.port or 443), TIMEOUT_SECONDS)
    except (OSError, TimeoutError, UnicodeError):
        return
    require_public(host, addresses)
