"""A connection to PostgreSQL that knows the arrays Regulars sends and is answered.

asyncpg asks the server for the type of every array but text's, on each connection anew (its issue
1272): that is 12 ms of the first write on each to one PostgreSQL, and 1.3 s to Citus, whose catalog
has the types of all shards' tables. PostgreSQL's own types have the same numbers everywhere
(pg_type.dat).
"""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import asyncpg

# The types of the tables' columns: the array's number, its element's, and the element's name.
_ARRAYS = ((1000, 16, "bool"), (1001, 17, "bytea"), (1016, 20, "int8"))
# What the driver reads of a type.
_KNOWN: dict[int, dict[str, Any]] = {
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
# Stands for the statement that would have asked: one with a name has left the one to be run alone.
_NOT_ASKED = SimpleNamespace(name="not asked")


class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver is not typed
    """A connection that asks for no type it knows. If a later driver calls this by another name, it
    asks again, and nothing else changes."""

    # Of the server's log, if it takes writes and it was asked (`timelines.py`).
    timeline: int | None = None

    async def _introspect_types(
        self,
        typeoids: Collection[int],
        timeout: float,  # noqa: ASYNC109  # as the driver has it
    ) -> Any:
        if _KNOWN.keys() >= set(typeoids):
            return [_KNOWN[number] for number in typeoids], _NOT_ASKED
        return await super()._introspect_types(typeoids, timeout)
