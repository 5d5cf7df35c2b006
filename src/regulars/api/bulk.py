"""The fields of Mutation that write many customers at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from regulars.api.context import Context, require
from regulars.api.writing import write
from regulars.directory import ids
from regulars.directory.bulk import (
    ChangeTags,
    RowOutcome,
    SetCustomers,
    SetResult,
    SetRow,
    counted,
)
from regulars.directory.commands import IdempotencyRecord, Reference
from regulars.directory.customers import clean_tags, clean_values
from regulars.directory.errors import InvalidInput, Problem, Rejected, failed
from regulars.directory.scopes import READ
from regulars.graphql import Arguments, Layout, Layouts, Nested, Resolve, TypeBinding, Value
from regulars.store.large_work import is_large, run_large, text_size

REJECT_ALL = "REJECT_ALL"
# All rows of a call together: characters, and four for each value. Cleaning and indexing more would
# take the other requests' time.
MOST_TEXT = 1_000_000
_TOO_MUCH_TEXT = (
    f"The rows have more than {MOST_TEXT:,} characters together. Send fewer rows at once."
)
_TOO_MUCH_TAGS = (
    f"The tags, times the customers, have more than {MOST_TEXT:,} characters together. Send fewer "
    "tags, or fewer customers, at once."
)
# The columns that a response may have although its token cannot read customers: which customer was
# written. Not its version: that tells whether a value was what it was set to.
WRITTEN = ("customer_id",)
# What became of rows tells the same.
_OUTCOMES = ("created", "updated", "unchanged")


def set_customers(layouts: Layouts) -> Resolve:
    """Sets customers, row by row."""
    layout = customer_layout(layouts)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        nodes = arguments["nodes"]
        _require_few(len(nodes), env.directory.limits.bulk_rows, "nodes")
        if text_size(nodes, MOST_TEXT) > MOST_TEXT:
            raise Rejected(InvalidInput(_TOO_MUCH_TEXT, ("nodes",)))
        whole = (arguments.get("errorPolicy") or REJECT_ALL) == REJECT_ALL

        def clean() -> tuple[SetRow, ...]:
            return tuple([_row(env, node, index) for index, node in enumerate(nodes)])

        rows = await run_large(clean) if is_large(nodes) else clean()
        dry = bool(arguments.get("dryRun"))
        if dry:  # it compares values with the stored ones, and changes nothing
            require(env, READ)

        def make(idempotency_record: IdempotencyRecord | None) -> Awaitable[Any]:
            origin = env.origin._replace(silent=bool(arguments.get("silent")))
            command = SetCustomers(rows, env.now, whole, True, dry, idempotency_record, origin)
            return env.directory.write(env.account_id, command)

        result = await write(env, make)
        if not isinstance(result, SetResult):
            return await _answered_before(env, result, layout)
        chosen = [one.row and tuple([one.row[c] for c in layout.columns]) for one in result.rows]
        told = [_told(one) for one in result.rows]
        return _result(result.saved, told, await layout.load_related_grouped(chosen, env))

    return resolve


def shows_outcomes(layouts: Layouts) -> bool:
    """Whether a document selects what became of the rows."""
    return layouts.only.selects(*_OUTCOMES) or layouts.only.nested(
        "rows", has_dict_rows=True
    ).selects("outcome")


def customer_layout(layouts: Layouts) -> Layout:
    """The layout of the customers in the answer."""
    return layouts.only.nested("rows", has_dict_rows=True).nested("customer")


def _row(env: Context, node: Mapping[str, Any], index: int) -> SetRow:
    path = ("nodes", index)
    given = {name: value for name, value in node.items() if name not in ("id", "_id")}
    try:
        values, problems = clean_values(given, path)
        reference, wrong = _reference(node, path)
    except Exception as error:  # one row's fault is not the others'
        return SetRow({}, (failed(error, env.request_id, path),), path=path)
    return SetRow(values, (*problems, *wrong), reference, path=path)


def _reference(
    node: Mapping[str, Any], path: tuple[str | int, ...]
) -> tuple[Reference | None, list[Problem]]:
    """The customer whom a row names, if it names one by `id` or `_id`."""
    named = [ids.customer(str(node[name])) for name in ("id", "_id") if node.get(name) is not None]
    if len({reference.customer_id for reference in named}) > 1:
        message = "The id and the _id are those of two customers. Leave one out."
        return named[0], [InvalidInput(message, (*path, "_id"))]
    return (named[0] if named else None), []


def _told(one: RowOutcome) -> Mapping[str, Any]:
    return {"outcome": one.outcome, "errors": [problem.told() for problem in one.problems]}


def _result(saved: bool, told: Any, filled: Any) -> Mapping[str, Any]:
    counts = {name.lower(): count for name, count in counted(r["outcome"] for r in told).items()}
    rows = [{**row, "customer": c} for row, c in zip(told, filled, strict=True)]
    return {"saved": saved, **counts, "rows": rows}


async def _answered_before(env: Context, kept: Mapping[str, Any], layout: Layout) -> Any:
    """The answer to a request that came before: what became of its rows then, and the customers
    as they are now."""
    numbers = [row["customer_id"] for row in kept["rows"]]
    known = [number for number in numbers if number is not None]
    found = await env.directory.customers(env.account_id, known, layout.columns)
    rows = dict(zip(known, found, strict=True))
    told = [{"outcome": row["outcome"], "errors": row["problems"]} for row in kept["rows"]]
    return _result(
        kept["saved"], told, await layout.load_related_grouped([rows.get(n) for n in numbers], env)
    )


def _change_tags(add: bool) -> Callable[[Layouts], Resolve]:
    def prepare(layouts: Layouts) -> Resolve:
        layout = layouts.only

        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            _require_few(len(arguments["items"]), env.directory.limits.bulk_rows, "items")
            named = tuple(ids.customer(text) for text in arguments["items"])
            given = arguments["tags"]
            if text_size(given, MOST_TEXT) * len(named) > MOST_TEXT:
                raise Rejected(InvalidInput(_TOO_MUCH_TAGS, ("tags",)))

            def clean() -> tuple[list[str], list[Problem]]:
                return clean_tags(given, ("tags",))

            tags, problems = await run_large(clean) if is_large(given) else clean()
            added, removed = (tuple(tags), ()) if add else ((), tuple(tags))

            def make(idempotency_record: IdempotencyRecord | None) -> Awaitable[Any]:
                command = ChangeTags(
                    named, env.now, added, removed, problems, idempotency_record, env.origin
                )
                return env.directory.write(env.account_id, command)

            numbers = await write(env, make)
            found = await env.directory.customers(env.account_id, numbers, layout.columns)
            return await layout.load_related_grouped(found, env)

        return resolve

    return prepare


add_tags, remove_tags = _change_tags(True), _change_tags(False)


def _require_few(count: int, most: int, argument: str) -> None:
    if count > most:
        message = f"There are {count:,} {argument}; at most {most:,} are written at once."
        raise Rejected(InvalidInput(message, (argument,)))


def price_of_nodes(write_cost: int, arguments: Arguments, fixed: int, per_row: int) -> int:
    """A write for each row, and the row that is answered."""
    return len(arguments["nodes"]) * (write_cost + per_row) + fixed


def price_of_items(write_cost: int, arguments: Arguments, fixed: int, _per_row: int) -> int:
    """A write for each customer, and what is answered of it."""
    return len(arguments["items"]) * (write_cost + fixed)


_RESULT = TypeBinding(
    {
        **{name: Value((name,)) for name in ("saved", "created", "updated", "unchanged")},
        "rejected": Value(("rejected",)),
        "rows": Nested(("rows",), is_page=True),
    },
    has_dict_rows=True,
)
_ROW = TypeBinding(
    {
        "outcome": Value(("outcome",)),
        "customer": Nested(("customer",)),
        "errors": Nested(("errors",)),
    },
    has_dict_rows=True,
)
_ERROR = TypeBinding(
    {name: Value((name,)) for name in ("key", "message", "input_path")}, has_dict_rows=True
)

TYPES: Mapping[str, TypeBinding] = {
    "SetCustomersResult": _RESULT,
    "SetCustomersRow": _ROW,
    "SetCustomersError": _ERROR,
}
