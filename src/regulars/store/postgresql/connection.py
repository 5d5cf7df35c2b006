"""A PostgreSQL connection that knows the array types Regulars uses, and sends arrays fast.

asyncpg queries the server for every array type but text's, on each connection (its issue 1272).
This takes 12 ms of the first write on a connection, and 1.3 s on Citus, whose catalog has the types
of all shards' tables. PostgreSQL's own types have the same OIDs everywhere (pg_type.dat).
"""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import asyncpg
from asyncpg.protocol import protocol

# The driver tests with two abstract classes whether each element of an array is an array. Measured,
# this takes 8 of the 14 µs in which it sends the 45 values of a new customer. Regulars sends lists
# and tuples. If a later driver renames the classes, arrays are sent as before.
for _abstract_class in ("IterableABC", "SizedABC"):
    if hasattr(protocol, _abstract_class):
        setattr(protocol, _abstract_class, (list, tuple))

# The array types of the tables' columns: the array's OID, the element's OID, the element's name.
_ARRAYS = ((1000, 16, "bool"), (1001, 17, "bytea"), (1016, 20, "int8"))
# The columns that the driver reads of a type.
_TYPES: dict[int, dict[str, Any]] = {
    array: {
        "oid": array,
        "ns": "pg_catalog",
        "name": f"_{name}",
        "kind": b"b",
        "basetype": None,
        "basetype_name": None,
        "elemtype": element,
        "elemtype_name": name,
        "elemdelim": ",",
        "range_subtype": None,
        "range_subtype_name": None,
        "attrtypoids": None,
        "attrnames": None,
    }
    for array, element, name in _ARRAYS
}
# Stands for the driver's introspection statement. It needs a name: an unnamed one would replace the
# statement that is about to run.
_NO_STATEMENT = SimpleNamespace(name="not asked")


class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver is not typed
    """A connection that does not query known types. If a later driver renames the method, the
    connection queries again, and nothing else changes."""

    # The timeline of the server's WAL; None for a replica, and before `TimelineFence.check`.
    timeline: int | None = None
    # Why the pool closed it, for its user; None if the pool did not.
    close_reason: str | None = None

    async def _introspect_types(
        self,
        typeoids: Collection[int],
        timeout: float,  # noqa: ASYNC109  # the driver's signature
    ) -> Any:
        if _TYPES.keys() >= set(typeoids):
            return [_TYPES[oid] for oid in typeoids], _NO_STATEMENT
        return await super()._introspect_types(typeoids, timeout)
