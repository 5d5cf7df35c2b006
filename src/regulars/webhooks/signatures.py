"""How a receiver knows that an event is ours: HMAC-SHA256 (RFC 2104) with the account's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from regulars.store import Conflict, Store, outbox
from regulars.store.tables import webhook_secrets
from regulars.store.writes import insert_one

# 32 bytes as base64 (RFC 4648).
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
SECRET_PREFIX = "whs_"  # noqa: S105  # what secret scanners look for
# How long after a rotation the secret before it is still good.
OVERLAP_MS = 24 * 3_600_000


class Secrets(NamedTuple):
    """With what an account's events are signed: the present secret first, and for a day after a
    rotation the one before it; and what its shop signs with, if that is another."""

    present: str
    previous: str | None = None
    inbound: str | None = None

    @property
    def valid(self) -> tuple[str, ...]:
        return (self.present, self.previous) if self.previous else (self.present,)


def new_secret() -> str:
    """256 random bits."""
    return SECRET_PREFIX + secrets.token_hex(32)


def signature(secret: str, body: bytes) -> str:
    """The value of the header `lightfunnels-hmac`."""
    return base64.b64encode(_hmac(secret, body).digest()).decode()


def signature_headers(kept: Secrets, body: bytes, at: int) -> Mapping[str, str]:
    """The headers that prove a body: that of the API; and one that covers the moment as well, in
    seconds since 1970, so that a receiver can refuse what is old."""
    seconds = at // 1000
    signed = b"%d." % seconds + body
    proofs = [f"v1={_hmac(secret, signed).hexdigest()}" for secret in kept.valid]
    return {
        "lightfunnels-hmac": signature(kept.present, body),
        "regulars-signature": ",".join([f"t={seconds}", *proofs]),
    }


def decode_signature(header: str) -> bytes | None:
    """The 32 bytes of a header `lightfunnels-hmac`; None for a header of another form."""
    return base64.b64decode(header) if _SIGNATURE.fullmatch(header) else None


def is_signed(secrets_: Secrets | None, digest: bytes, body: bytes) -> bool:
    """Whether `digest` signs a body with a secret that an account accepts. It does the same work
    for each account, and without one: its time does not say which accounts exist."""
    accepted = (
        (secrets_.present, secrets_.previous, secrets_.inbound) if secrets_ else (None, None, None)
    )
    matches = [
        hmac.compare_digest(_hmac(secret or "", body).digest(), digest) and secret is not None
        for secret in accepted
    ]
    return any(matches)


def _hmac(secret: str, text: bytes) -> hmac.HMAC:
    return hmac.new(secret.encode(), text, hashlib.sha256)


async def accepted_secrets(store: Store, account_id: int, now: int) -> Secrets | None:
    """The secrets of an account; None without any, and for an account that does not exist."""
    rows = await store.fetch(outbox.secret_of(), {"account_id": account_id})
    if not rows:
        return None
    present, previous, rotated_at, inbound = rows[0]
    return Secrets(present, previous if now < rotated_at + OVERLAP_MS else None, inbound)


async def secrets_of(store: Store, account_id: int, now: int) -> Secrets:
    """The secrets of an account, which gets one when it has none yet."""
    for _ in range(2):
        known = await accepted_secrets(store, account_id, now)
        if known:
            return known
        row = {"account_id": account_id, "secret": new_secret(), "previous": None, "inbound": None}
        try:
            await store.execute([(insert_one(webhook_secrets), {**row, "rotated_at": now})])
        except Conflict:  # somebody else was faster
            continue
    raise RuntimeError("an account's secret was made and is not there")


async def rotate(store: Store, account_id: int, now: int) -> Secrets:
    """Gives an account another secret; the one before it is good for another day."""
    await secrets_of(store, account_id, now)
    given = {"account_id": account_id, "new_secret": new_secret(), "now": now}
    await store.execute([(outbox.rotate(), given)])
    return await secrets_of(store, account_id, now)
