"""Whom an event names that could not be understood: it is deleted with a customer of those."""

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

# Around each `@`: what is before it and after it, as far as an email may go. A single pattern would
# try each character of a text without any as a beginning.
_MOST_SIGNS = 10_000
_BEFORE = re.compile(r"[^\s\"<>(),:;\\\[\]@]{1,64}\Z")
# An email may hold most of these, and most often one begins after them: `?email=a@example.com`.
_DELIMITER = re.compile(r"[^\w.+-]")
_AFTER = re.compile(r"[^\s\"'<>(),:;\\\[\]@/?&=!|#%{}`]{1,253}")


def keys_of(body: bytes) -> list[str]:
    """The emails in a body, each as `email_key` and as it stands there, and the ids that the shop
    gives its customer, or its order."""
    text = body.decode("utf-8", "replace")
    ids: set[str] = set()
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    else:
        # Decoded, because JSON can write an email in many ways.
        text = "\n".join(_texts(event))
        node = event.get("node") if isinstance(event, dict) else None
        if isinstance(node, dict):
            customer = node.get("customer")
            ids = {*_id(node), *_id(customer if isinstance(customer, dict) else {})}
    parts = text.split("@", _MOST_SIGNS + 1)
    if len(parts) > _MOST_SIGNS:
        return [EVERYBODY]
    emails: set[str] = set()
    for before, after in itertools.pairwise(parts):
        local, domain = _BEFORE.search(before[-64:]), _AFTER.match(after[:253])
        if not local or not domain:
            continue
        for name in _names(local[0]):
            email = f"{name}@{domain[0].rstrip('.')}"
            if email.casefold() not in emails:
                emails |= {email.casefold(), clean_email(email)[1]} - {""}
        if len(emails) > MAX_KEYS:
            return [EVERYBODY]
    return sorted(key.replace("\0", "") for key in emails | ids)


def _names(local: str) -> set[str]:
    """What may be the name of an email: all of it, or what follows a delimiter."""
    ends = [0, *(match.end() for match in _DELIMITER.finditer(local))]
    return {local[end:] for end in ends} - {""}


def _id(node: dict[str, Any]) -> set[str]:
    found = node.get("id")
    return {found} if isinstance(found, str) and 0 < len(found) <= SHOP_ID_LENGTH else set()


def _texts(event: Any) -> list[str]:
    """Every text in a JSON value, keys of objects too."""
    texts: list[str] = []
    waiting = [event]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            texts.append(here)
        elif isinstance(here, dict):
            texts += here
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here
    return texts
