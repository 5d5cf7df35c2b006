"""Objects that are related to the rows of a level: lists of a customer, the customer of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from regulars.api.context import Context
from regulars.core.errors import InvalidCursor, Problem, Rejected
from regulars.core.ids import number_of
from regulars.core.paging import check_size
from regulars.graphql import Arguments, CostLimitError, Layout, Load, Related
from regulars.store.relations import Relation


def list_of(relation: Relation, type_name: str, noun: str) -> Related:
    """Return the field of a list without cursors, such as the orders of a customer. `after` is the
    id of a row."""

    def prepare(arguments: Arguments) -> Load:
        first, after = arguments.get("first"), arguments.get("after")

        async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
            problems: list[Problem] = [
                *check_size("first", first, env.directory.limits.page_size, noun)
            ]
            cursor = None
            if after:
                number = number_of(after, type_name)
                cursor = await env.directory.cursor_of(relation, env.account_id, number)
                if cursor is None:
                    problems.append(_no_cursor(type_name))
            if problems:
                raise Rejected(*problems)
            rows = await env.directory.rows_of_each(
                relation, env.account_id, ids, layout.columns, first, cursor
            )
            # A customer can be there several times, as the customer of several orders.
            count, max_count = sum(map(len, rows)), env.directory.limits.list_rows
            if count > max_count:
                raise CostLimitError(count, max_count)
            return rows

        return load

    return Related("customer_id", prepare=prepare, size=lambda arguments: arguments.get("first"))


def _no_cursor(type_name: str) -> InvalidCursor:
    noun = type_name.lower()
    return InvalidCursor(
        "after", f"No {noun} has this id. Use the `id` of the last {noun} of the previous page."
    )


async def customers_of(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
    """Return the customer's row for each `_id`, or None."""
    return await env.directory.customers(env.account_id, ids, layout.columns)


def node_loader(read_row: Callable[..., Any]) -> Callable[[Context, int, Layout], Any]:
    """Returns the function by which `node` loads a row that `read_row` reads by its `_id`, with the
    number of the account's last change after its columns."""

    async def load(env: Context, number: int, layout: Layout) -> Any:
        row = await read_row(env.directory, env.account_id, number, layout.columns)
        if row is None:
            return None
        env.change = row[-1]
        (loaded,) = await layout.load_related([row], env)
        return loaded

    return load
