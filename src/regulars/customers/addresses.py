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
    "company",
)
# The parts that are the place, in the order in which they are written on one line.
PLACE = ("line1", "line2", "city", "area", "state", "zip", "country")

_LENGTHS = {"phone": 64, "email": 254}
_LENGTH = 255

Address = Mapping[str, str]


def clean_patch(
    patch: Mapping[str, str | None], path: InputPath
) -> tuple[dict[str, str | None], list[Problem]]:
    """Return the cleaned parts of an address patch, and their problems. None removes a part."""
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
    """Return an address with a patch applied (RFC 7396). Return None if the patch is None or no
    part is left."""
    if patch is None:
        return None
    merged = {**(current or {}), **patch}
    return {name: value for name in PARTS if (value := merged.get(name))} or None


def dump(address: Address | None) -> str | None:
    """Return an address as the JSON text that is stored, or None for an empty address."""
    return orjson.dumps(address).decode() if address else None


def load(text: str | None) -> dict[str, Any] | None:
    """Return an address from its stored JSON text, without empty parts."""
    return orjson.loads(text) if text else None


def on_one_line(address: Address) -> str:
    """Return the non-empty parts of the place on one line, joined by `, `."""
    return ", ".join(address[name] for name in PLACE if address.get(name))


def location(shipping: Address | None, billing: Address | None) -> str:
    """Return `country, city` of the shipping address, or of the billing address if the shipping
    address has neither. Unknown parts are omitted, so the text may be empty."""
    for address in (shipping, billing):
        names = (
            [address[name] for name in ("country", "city") if address.get(name)] if address else []
        )
        if names:
            return ", ".join(names)
    return ""
