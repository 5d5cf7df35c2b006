"""Resolvers of mutations: execute a command once for each request, and load the written row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from regulars.api.conflicts import with_customers
from regulars.api.context import Context, require
from regulars.api.dry_run import ARGUMENT, draft
from regulars.core.commands import Command, IdempotencyRecord, Replay
from regulars.core.errors import Rejected
from regulars.core.scopes import READ
from regulars.graphql import Layout, Layouts, Resolve
from regulars.store import Row
from regulars.store.large_work import is_large, run_large

Arguments = dict[str, Any]
# Returns the command of a mutation, of what `prepare` returned.
BuildCommand = Callable[[Context, Any, IdempotencyRecord | None], Command]


async def write(env: Context, execute: Callable[[IdempotencyRecord | None], Awaitable[Any]]) -> Any:
    """Return the result of a write. For a repeated request, return the stored result, and set the
    time of the response to that of the first one."""
    env.now = env.received_at
    if env.idempotency is None:
        return await execute(None)
    try:
        result = await execute(env.idempotency.idempotency_record(env.received_at))
    except Rejected as rejection:
        env.idempotency.is_replayed |= rejection.replayed
        raise
    if isinstance(result, Replay):
        env.idempotency.is_replayed = True
        env.now = result.at
        return result.result
    return result


async def load_written_row(env: Context, row: Row, layout: Layout) -> Any:
    """Return a written row in a layout, with its related rows."""
    (loaded,) = await layout.load_related([tuple([row[name] for name in layout.columns])], env)
    return loaded


async def _arguments(_env: Context, arguments: Arguments) -> Any:
    return arguments


async def _load_row(env: Context, row: Row, layouts: Layouts) -> Any:
    return await load_written_row(env, row, layouts.only)


def mutation(
    build_command: BuildCommand,
    prepare: Callable[[Context, Arguments], Awaitable[Any]] = _arguments,
    render: Callable[[Context, Any, Layouts], Awaitable[Any]] = _load_row,
    shows: str = READ,
) -> Callable[[Layouts], Resolve]:
    """Return a field of Mutation. `prepare` is awaited once. `build_command` returns the command
    from its result, and `render` returns the response from the result of the command. With the
    argument `dryRun`, nothing is saved; that needs the scope `shows`, too."""

    def resolver(layouts: Layouts) -> Resolve:
        async def resolve(env: Context, arguments: Arguments) -> Any:
            is_dry_run = bool(arguments.get(ARGUMENT))
            if is_dry_run:
                require(env, shows)
            prepared = await prepare(env, arguments)

            async def build(idempotency_record: IdempotencyRecord | None) -> Command:
                if is_large(arguments):
                    return await run_large(lambda: build_command(env, prepared, idempotency_record))
                return build_command(env, prepared, idempotency_record)

            async def execute(idempotency_record: IdempotencyRecord | None) -> Any:
                return await env.directory.write(env.account_id, await build(idempotency_record))

            try:
                if is_dry_run:
                    env.now = env.received_at
                    context, result = await draft(env, await build(None), layouts.key)
                else:
                    context, result = env, await write(env, execute)
            except Rejected as rejection:
                raise await with_customers(env, rejection) from rejection
            return await render(context, result, layouts)

        return resolve

    return resolver
