"""Scopes: what the holder of a token may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

READ = "customers:read"
WRITE = "customers:write"
BOTH = "customers"
ORDERS = "orders:write"
WEBHOOKS = "webhooks"
METRICS = "metrics"
ADMIN = "admin"

# What each scope is for, in the order in which they are shown.
SCOPES: Mapping[str, str] = {
    READ: "read customers, with their addresses, orders and leads",
    WRITE: "create, update and delete customers",
    BOTH: "both: what existing apps ask for",
    ORDERS: "record orders, messages and visits",
    WEBHOOKS: "keep webhooks, and see what was delivered to them",
    METRICS: "read /metrics from another machine",
    ADMIN: "everything, and what later versions add",
}
_ALSO: Mapping[str, tuple[str, ...]] = {BOTH: (READ, WRITE), ADMIN: tuple(SCOPES)}


def granted(scopes: Iterable[str]) -> frozenset[str]:
    """Everything that a token with these scopes may do."""
    return frozenset(also for scope in scopes for also in (scope, *_ALSO.get(scope, ())))
