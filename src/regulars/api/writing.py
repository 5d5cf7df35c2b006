"""What every field of Mutation does that writes: once for each request, and the row it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from regulars.api.context import Context
from regulars.directory.commands import Receipt, Replay
from regulars.directory.errors import Refused
from regulars.graphql import Layout
from regulars.store import Row


async def write(env: Context, make: Callable[[Receipt | None], Awaitable[Any]]) -> Any:
    """What a write comes to; of one whose request was sent before, what it came to then, in the
    present of that answer."""
    env.now = env.received_at
    if env.idempotency is None:
        return await make(None)
    try:
        result = await make(env.idempotency.receipt(env.received_at))
    except Refused as refused:
        env.idempotency.is_replayed |= refused.replayed
        raise
    if isinstance(result, Replay):
        env.idempotency.is_replayed = True
        env.now = result.at
        return result.result
    return result


async def filled(env: Context, row: Row, layout: Layout) -> Any:
    """A written row in a layout, with what is related to it."""
    (filled,) = await layout.fill([tuple([row[name] for name in layout.columns])], env)
    return filled
