"""What every field of Mutation does that writes: once for each request, and the row it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from regulars.api.context import Context
from regulars.core.commands import Command, IdempotencyRecord, Replay
from regulars.core.errors import Rejected
from regulars.graphql import Layout, Layouts, Resolve
from regulars.store import Row
from regulars.store.large_work import is_large, run_large

Arguments = dict[str, Any]
# Returns the command of a mutation, of what `prepare` returned.
Make = Callable[[Context, Any, IdempotencyRecord | None], Command]


async def write(env: Context, make: Callable[[IdempotencyRecord | None], Awaitable[Any]]) -> Any:
    """What a write comes to; of one whose request was sent before, what it came to then, in the
    present of that answer."""
    env.now = env.received_at
    if env.idempotency is None:
        return await make(None)
    try:
        result = await make(env.idempotency.idempotency_record(env.received_at))
    except Rejected as refused:
        env.idempotency.is_replayed |= refused.replayed
        raise
    if isinstance(result, Replay):
        env.idempotency.is_replayed = True
        env.now = result.at
        return result.result
    return result


async def filled(env: Context, row: Row, layout: Layout) -> Any:
    """A written row in a layout, with what is related to it."""
    (filled,) = await layout.load_related([tuple([row[name] for name in layout.columns])], env)
    return filled


async def _arguments(_env: Context, arguments: Arguments) -> Any:
    return arguments


async def _row(env: Context, row: Row, layouts: Layouts) -> Any:
    return await filled(env, row, layouts.only)


def mutation(
    make: Make,
    prepare: Callable[[Context, Arguments], Awaitable[Any]] = _arguments,
    render: Callable[[Context, Any, Layouts], Awaitable[Any]] = _row,
) -> Callable[[Layouts], Resolve]:
    """A field of Mutation: `prepare` is awaited once and its result passed to `make`, which returns
    the command to write; `render` makes the answer of the command's result."""

    def resolver(layouts: Layouts) -> Resolve:
        async def resolve(env: Context, arguments: Arguments) -> Any:
            prepared = await prepare(env, arguments)

            async def execute(idempotency_record: IdempotencyRecord | None) -> Any:
                def command() -> Command:
                    return make(env, prepared, idempotency_record)

                made = await run_large(command) if is_large(arguments) else command()
                return await env.directory.write(env.account_id, made)

            return await render(env, await write(env, execute), layouts)

        return resolve

    return resolver
