"""Global ids: base64 of `Type:_id`."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence

from regulars.core.lenient_base64 import from_base64

# The greatest `_id`.
MAX_ID = 2**30 - 1
# The greatest `_id` that a new customer may bring along, from a file or another server: above it
# are 73 million for those that are created afterwards.
MAX_BROUGHT_ID = 1_000_000_000
_NAMED = re.compile(rb"([A-Z][A-Za-z]*):([1-9][0-9]{0,9})")
# An address that is no default address has an `_id` below 0.
_FURTHER_ADDRESS = re.compile(rb"(Address):(-[1-9][0-9]{0,9})")
_BARE_ADDRESS = re.compile(r"-?[1-9][0-9]{0,9}")
_BARE = re.compile(r"[1-9][0-9]{0,9}")


def encoder(type_name: str) -> Callable[[Sequence[int]], list[str]]:
    """Return the function that makes global ids of a type: `Q3VzdG9tZXI6MTkxMzUw` for Customer
    191350."""
    form = f"{type_name}:%d".encode()
    base64_of = binascii.b2a_base64

    def encode(numbers: Sequence[int]) -> list[str]:
        return [base64_of(form % number, newline=False).decode() for number in numbers]

    return encode


def decode(text: str) -> tuple[str, int] | None:
    """Return the type and the `_id` of a global id, or None if it is invalid. Unpadded and URL-safe
    forms are accepted."""
    raw = from_base64(text.strip())
    if raw is None:
        return None
    match = _NAMED.fullmatch(raw) or _FURTHER_ADDRESS.fullmatch(raw)
    if not match or int(match[2]) > MAX_ADDRESS_ID:
        return None
    return match[1].decode(), int(match[2])


# An address's `_id` is twice its customer's, or one more.
MAX_ADDRESS_ID = 2 * MAX_ID + 1


def number_of(text: str, type_name: str) -> int | None:
    """Return the `_id` in an id where an object of this type is meant: a global id, or a bare
    `_id`."""
    if _BARE.fullmatch(text.strip()):
        number = int(text)
        return number if number <= MAX_ID else None
    decoded = decode(text)
    return decoded[1] if decoded and decoded[0] == type_name else None


def number_of_address(text: str) -> int | None:
    """Return the `_id` in an id where an address is meant: a global id, or a bare `_id`."""
    if _BARE_ADDRESS.fullmatch(text.strip()):
        number = int(text)
        return number if -MAX_ID <= number <= MAX_ADDRESS_ID else None
    decoded = decode(text)
    return decoded[1] if decoded and decoded[0] == "Address" else None
