"""The field of Mutation that restores values of the history."""

from __future__ import annotations

from typing import Any

from regulars.api.context import Context
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Rejected
from regulars.customers import history
from regulars.customers.graphql.versions import expected_version
from regulars.jobs.queries import entry
from regulars.jobs.reverts import ChangeNotFound, RevertFields, pairs_of

MAX_FIELDS = 100


async def _prepare(env: Context, arguments: dict[str, Any]) -> Any:
    fields = arguments.get("fields")
    if fields is not None and not 0 < len(fields) <= MAX_FIELDS:
        message = f"`fields` has {len(fields):,} names; send 1 to {MAX_FIELDS}."
        raise Rejected(InvalidInput(message, ("fields",)))
    sequence = int(arguments["sequence"])
    parameters = {"account_id": env.account_id, "sequence": min(max(sequence, 0), 2**62)}
    rows = await env.directory.primary.fetch(entry(), parameters)
    if not rows or rows[0][1] != history.UPDATED:
        raise Rejected(ChangeNotFound(sequence))
    customer_id, _, text = rows[0]
    pairs = pairs_of(sequence, text, fields)
    return customer_id, pairs, bool(arguments.get("force")), expected_version(env, arguments)


def _revert(env: Context, prepared: Any, record: IdempotencyRecord | None) -> RevertFields:
    customer_id, pairs, force, version = prepared
    return RevertFields(customer_id, pairs, env.now, force, version, record, env.origin)


revert_change = mutation(_revert, _prepare)
