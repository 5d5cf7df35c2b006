"""Roles: what people may do. The rights of a person are the scopes of the role, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from regulars.core.scopes import ADMIN, BOTH, ORDERS, READ

OWNER = "owner"


class Role(NamedTuple):
    """A role: the scopes of its people, as a token has them, and what they may do."""

    scopes: tuple[str, ...]
    description: str


# The roles, from the most to the least permissions.
ROLES: Mapping[str, Role] = {
    OWNER: Role((ADMIN,), "Everything, including people, tokens and settings."),
    "support": Role(
        (BOTH, ORDERS), "Read and edit customers, and record orders, messages and visits."
    ),
    "marketing": Role(
        (BOTH,), "Read and edit customers and segments, import and export. No new orders."
    ),
    "read_only": Role((READ,), "Read and export customers and segments. No changes."),
}


def scopes_of(role: str) -> str:
    """Return the scopes of a role, as a token stores them."""
    return " ".join(ROLES[role].scopes)
