"""Signatures of events: HMAC-SHA256 (RFC 2104) with the account's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets as random_secrets
from collections.abc import Mapping
from typing import NamedTuple

from regulars.store import Conflict, Store
from regulars.store.tables import webhook_secrets
from regulars.store.writes import insert_one
from regulars.webhooks import secret_queries

# 32 bytes as base64 (RFC 4648).
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
SECRET_PREFIX = "whs_"  # noqa: S105  # secret scanners search for it
# How long the previous secret is valid after a rotation.
OVERLAP_MS = 24 * 3_600_000


class Secrets(NamedTuple):
    """The secrets of an account: the current one; for a day after a rotation, the previous one; and
    the one that the account's shop signs with, if it has its own."""

    current: str
    previous: str | None = None
    inbound: str | None = None

    @property
    def valid(self) -> tuple[str, ...]:
        """The secrets that sign outgoing events."""
        return (self.current, self.previous) if self.previous else (self.current,)


def new_secret() -> str:
    """Return a secret of 256 random bits."""
    return SECRET_PREFIX + random_secrets.token_hex(32)


def signature(secret: str, body: bytes) -> str:
    """Return the value of the header `lightfunnels-hmac`."""
    return base64.b64encode(_hmac(secret, body).digest()).decode()


def signature_headers(secrets: Secrets, body: bytes, at: int) -> Mapping[str, str]:
    """Return the headers that sign a body: the API's own, and one that also covers the time, in
    seconds since 1970, so that a receiver can refuse an old body."""
    seconds = at // 1000
    signed = b"%d." % seconds + body
    signatures = [f"v1={_hmac(secret, signed).hexdigest()}" for secret in secrets.valid]
    return {
        "lightfunnels-hmac": signature(secrets.current, body),
        "regulars-signature": ",".join([f"t={seconds}", *signatures]),
    }


def decode_signature(header: str) -> bytes | None:
    """Return the 32 bytes of a header `lightfunnels-hmac`; None if it is malformed."""
    return base64.b64decode(header) if _SIGNATURE.fullmatch(header) else None


def is_signed(secrets: Secrets | None, digest: bytes, body: bytes) -> bool:
    """Return whether `digest` signs a body with a secret that an account accepts. The work is the
    same without secrets, so that the response time does not reveal which accounts exist."""
    accepted = (secrets.current, secrets.previous, secrets.inbound) if secrets else (None,) * 3
    matches = [
        hmac.compare_digest(_hmac(secret or "", body).digest(), digest) and secret is not None
        for secret in accepted
    ]
    return any(matches)


def _hmac(secret: str, text: bytes) -> hmac.HMAC:
    return hmac.new(secret.encode(), text, hashlib.sha256)


async def accepted_secrets(store: Store, account_id: int, now: int) -> Secrets | None:
    """Return the secrets of an account; None if it has none, or does not exist."""
    rows = await store.fetch(secret_queries.secrets_of_account(), {"account_id": account_id})
    if not rows:
        return None
    current, previous, rotated_at, inbound = rows[0]
    return Secrets(current, previous if now < rotated_at + OVERLAP_MS else None, inbound)


async def secrets_of(store: Store, account_id: int, now: int) -> Secrets:
    """Return the secrets of an account; create one if it has none."""
    for _ in range(2):
        secrets = await accepted_secrets(store, account_id, now)
        if secrets:
            return secrets
        row = {"account_id": account_id, "secret": new_secret(), "previous": None, "inbound": None}
        try:
            await store.execute([(insert_one(webhook_secrets), {**row, "rotated_at": now})])
        except Conflict:  # another process was faster
            continue
    raise RuntimeError("the secret of an account was created, but is missing")


async def rotate(store: Store, account_id: int, now: int) -> Secrets:
    """Replace the secret of an account. The previous one stays valid for a day."""
    await secrets_of(store, account_id, now)
    parameters = {"account_id": account_id, "new_secret": new_secret(), "now": now}
    await store.execute([(secret_queries.rotate_secret(), parameters)])
    return await secrets_of(store, account_id, now)
