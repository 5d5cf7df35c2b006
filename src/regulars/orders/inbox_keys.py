"""Find the customers in an event that could not be parsed. It is deleted with any of them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import orjson

from regulars.customers.emails import clean_email
from regulars.orders.commands import SHOP_ID_LENGTH

# An event that names more customers is deleted with any customer (the key EVERYBODY).
MAX_KEYS = 200
EVERYBODY = ""

# The text before and after each `@`, up to the length of an email. A single pattern would try each
# character of the text as a start.
_MAX_AT_SIGNS = 10_000
_BEFORE = re.compile(r"[^\s\"<>(),:;\\\[\]@]{1,64}\Z")
# An email can contain most of these characters, but usually starts after them:
# `?email=a@example.com`.
_DELIMITER = re.compile(r"[^\w.+-]")
_PERSON = ("phone", "first_name", "last_name", "full_name")
_AFTER = re.compile(r"[^\s\"'<>(),:;\\\[\]@/?&=!|#%{}`]{1,253}")


def find_keys(body: bytes, needs_email: bool = True) -> list[str]:
    """Return the emails in a body, each as an `email_key` and as it is written there, and the shop
    ids of its customer and its order. Unless each customer `needs_email`, a person without these
    may be any customer."""
    text = body.decode("utf-8", "replace")
    ids: set[str] = set()
    node: Any = None
    customer: Any = None
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    else:
        # Decoded, because JSON can write an email in many ways.
        text = "\n".join(_find_texts(event))
        node = event.get("node") if isinstance(event, dict) else None
        if isinstance(node, dict):
            customer = node.get("customer")
            ids = {*_shop_id(node), *_shop_id(customer if isinstance(customer, dict) else {})}
    parts = text.split("@", _MAX_AT_SIGNS + 1)
    if len(parts) > _MAX_AT_SIGNS:
        return [EVERYBODY]
    emails: set[str] = set()
    for before, after in itertools.pairwise(parts):
        local, domain = _BEFORE.search(before[-64:]), _AFTER.match(after[:253])
        if not local or not domain:
            continue
        for name in _email_names(local[0]):
            email = f"{name}@{domain[0].rstrip('.')}"
            if email.lower() not in emails:
                emails |= {email.lower(), clean_email(email)[1]} - {""}
        if len(emails) > MAX_KEYS:
            return [EVERYBODY]
    if not (needs_email or emails or ids) and any(map(_has_person, (node, customer))):
        return [EVERYBODY]
    return sorted(key.replace("\0", "") for key in emails | ids)


def _has_person(node: Any) -> bool:
    """Return whether a part of an event has a phone or a name."""
    return isinstance(node, dict) and any(node.get(name) for name in _PERSON)


def _email_names(local: str) -> set[str]:
    """Return the possible local parts of an email: the whole text, and each part that follows a
    delimiter."""
    starts = [0, *(match.end() for match in _DELIMITER.finditer(local))]
    return {local[start:] for start in starts} - {""}


def _shop_id(node: dict[str, Any]) -> set[str]:
    shop_id = node.get("id")
    return {shop_id} if isinstance(shop_id, str) and 0 < len(shop_id) <= SHOP_ID_LENGTH else set()


def _find_texts(event: Any) -> list[str]:
    """Return all texts in a JSON value, including the keys of objects."""
    texts: list[str] = []
    pending = [event]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            texts += value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return texts
