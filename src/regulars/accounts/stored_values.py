"""Rules for the stored values of accounts, tokens and sessions."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.accounts.sessions import LINK, SESSION
from regulars.core.roles import ROLES
from regulars.core.scopes import SCOPES
from regulars.core.stored_values import HASH, NOT_EMPTY, OBJECT, POSITIVE, TIME, Rule, one_of

_SCOPES = Rule(lambda value: set(value.split()) <= SCOPES.keys() and value, "not a list of scopes")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "accounts": {
        "account_id": POSITIVE,
        "name": NOT_EMPTY,
        "created_at": TIME,
        "disabled_at": TIME,
        "settings": OBJECT,
    },
    "tokens": {
        "hash": HASH,
        "scopes": _SCOPES,
        **dict.fromkeys(("created_at", "expires_at", "revoked_at", "last_used_at"), TIME),
    },
    "people": {
        "account_id": POSITIVE,
        "name": NOT_EMPTY,
        "email": NOT_EMPTY,
        "role": one_of(*ROLES),
        **dict.fromkeys(("created_at", "removed_at"), TIME),
    },
    "sessions": {
        "hash": HASH,
        "kind": one_of(SESSION, LINK),
        "created_at": TIME,
        "expires_at": TIME,
    },
}
