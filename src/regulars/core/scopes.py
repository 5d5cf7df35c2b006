"""Scopes: the permissions of a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

READ = "customers:read"
WRITE = "customers:write"
BOTH = "customers"
ORDERS = "orders:write"
WEBHOOKS = "webhooks"
METRICS = "metrics"
SETTINGS = "settings"
ADMIN = "admin"

# What each scope is for, in the order in which they are shown.
SCOPES: Mapping[str, str] = {
    READ: "Read customers with their addresses, orders and messages.",
    WRITE: "Create, update and delete customers.",
    BOTH: "Read and edit customers.",
    ORDERS: "Record orders, messages and visits.",
    WEBHOOKS: "Manage webhooks and see their deliveries.",
    METRICS: "Read `/metrics` from another machine.",
    SETTINGS: "Change the settings of the account.",
    ADMIN: "Full access, including future features.",
}
_ALSO: Mapping[str, tuple[str, ...]] = {BOTH: (READ, WRITE), ADMIN: tuple(SCOPES)}


def granted(scopes: Iterable[str]) -> frozenset[str]:
    """Return all scopes that a token with these scopes has, including implied ones."""
    return frozenset(also for scope in scopes for also in (scope, *_ALSO.get(scope, ())))
