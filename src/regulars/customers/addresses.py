"""Postal addresses: values of a customer, at most one for shipping and one for billing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import iso3166
import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.text import clean

PARTS = (
    "line1",
    "line2",
    "city",
    "area",
    "country",
    "first_name",
    "last_name",
    "zip",
    "state",
    "email",
    "phone",
)
# The parts that are the place, in the order in which they are written on one line.
PLACE = ("line1", "line2", "city", "area", "state", "zip", "country")

_LENGTHS = {"phone": 64, "email": 254}
_LENGTH = 255

Address = Mapping[str, str]


def clean_patch(
    patch: Mapping[str, str | None], path: InputPath
) -> tuple[dict[str, str | None], list[Problem]]:
    """The parts of an address that somebody sends, as they are kept; None removes a part."""
    cleaned: dict[str, str | None] = {}
    problems: list[Problem] = []
    for name, value in patch.items():
        text, error = clean(value or "", _LENGTHS.get(name, _LENGTH))
        if error:
            problems.append(InvalidInput(f"The address's {name} {error}", (*path, name)))
        elif name == "country" and text:
            text = text.upper()
            if text not in iso3166.countries_by_alpha2:
                message = (
                    "`country` must be an ISO 3166-1 alpha-2 code: two letters, such as MA for "
                    "Morocco or FR for France."
                )
                problems.append(InvalidInput(message, (*path, name)))
        cleaned[name] = text or None
    return cleaned, problems


def merge(current: Address | None, patch: Mapping[str, str | None] | None) -> Address | None:
    """An address with a patch applied as RFC 7396 has it. None for a patch that is null, and
    when no part is left."""
    if patch is None:
        return None
    merged = {**(current or {}), **patch}
    return {name: value for name in PARTS if (value := merged.get(name))} or None


def dump(address: Address | None) -> str | None:
    """An address as it is stored."""
    return orjson.dumps(address).decode() if address else None


def load(text: str | None) -> dict[str, Any] | None:
    """An address as it was stored; parts that are empty are not in it."""
    return orjson.loads(text) if text else None


def on_one_line(address: Address) -> str:
    """The place on one line: its non-empty parts, joined by `, `."""
    return ", ".join(address[name] for name in PLACE if address.get(name))


def location(shipping: Address | None, billing: Address | None) -> str:
    """`country, city` of the shipping address, else of the billing address; whichever parts are
    known; else empty."""
    for address in (shipping, billing):
        names = (
            [address[name] for name in ("country", "city") if address.get(name)] if address else []
        )
        if names:
            return ", ".join(names)
    return ""
