"""Shared by the Python peers: SQL, relative times, ids and cursors."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

PAGE = (
    "SELECT id, email, first_name, last_name, expenses, orders_count, created_at, updated_at "
    "FROM customers WHERE id < $1 ORDER BY id DESC LIMIT $2"
)
ONE = (
    "SELECT id, email, first_name, last_name, expenses, orders_count, created_at, updated_at, "
    "shipping_address FROM customers WHERE id = $1"
)
CREATE = (
    "INSERT INTO customers (email, phone, first_name, last_name, accepts_marketing, tags, "
    "shipping_address) VALUES ($1, $2, $3, $4, $5, $6, $7) "
    "RETURNING id, email, first_name, last_name, expenses, orders_count, created_at, updated_at, "
    "shipping_address"
)

_UNITS = (
    (45 * 60, 60, "minutes"),
    (22 * 3_600, 3_600, "hours"),
    (26 * 86_400, 86_400, "days"),
    (320 * 86_400, 30.44 * 86_400, "months"),
)


def from_now(at: datetime) -> str:
    """Returns how long ago a timestamp is, in words."""
    seconds = (datetime.now(UTC) - at).total_seconds()
    for below, unit, name in _UNITS:
        if seconds < below:
            return f"{round(seconds / unit)} {name} ago"
    return f"{round(seconds / (365.25 * 86_400))} years ago"


def avatar(email: str) -> str:
    """Returns the URL of the avatar of an email."""
    digest = hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()
    return f"//www.gravatar.com/avatar/{digest}"


def encode_id(number: int) -> str:
    """Returns a global id."""
    return base64.b64encode(f"Customer:{number}".encode()).decode()


def decode_id(text: str) -> int:
    """Returns the number in a global id."""
    return int(base64.b64decode(text).decode().partition(":")[2])


def encode_cursor(number: int) -> str:
    """Returns a cursor."""
    return base64.b64encode(f"[{number},{number}]".encode()).decode()


def decode_cursor(text: str | None) -> int:
    """Returns the id in a cursor; without one, an id larger than any."""
    return int(json.loads(base64.b64decode(text))[1]) if text else 2**62


def address(stored: str | None) -> dict[str, Any] | None:
    """Parses an address from JSON."""
    return json.loads(stored) if stored else None
