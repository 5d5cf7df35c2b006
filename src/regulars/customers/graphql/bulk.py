"""The fields of Mutation that write many customers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from regulars.api.context import Context, require
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Problem, Rejected, failed
from regulars.core.scopes import READ
from regulars.customers.bulk import ChangeTags, RowOutcome, SetCustomers, SetResult, SetRow, counted
from regulars.customers.commands import Reference, reference_to
from regulars.customers.graphql.versions import expected_version
from regulars.customers.values import clean_tags, clean_values
from regulars.graphql import Arguments, Layout, Layouts, Nested, TypeBinding, Value
from regulars.store.large_work import is_large, run_large, text_size

REJECT_ALL = "REJECT_ALL"
# All rows of a call together: characters, and four for each value. Cleaning and indexing more would
# take the other requests' time.
MOST_TEXT = 1_000_000
_TOO_MUCH_TEXT = f"The rows have more than {MOST_TEXT:,} characters in total. Send fewer rows."
_TOO_MUCH_TAGS = (
    f"The tags of all customers have more than {MOST_TEXT:,} characters in total. Send fewer "
    "tags or fewer customers."
)
# The columns that a response may have although its token cannot read customers: which customer was
# written. Not its version: that tells whether a value was what it was set to.
WRITTEN = ("customer_id",)
# What became of rows tells the same.
_OUTCOMES = ("created", "updated", "unchanged")
# What a row has besides values: which customer it sets.
_NOT_VALUES = ("id", "_id", "if_version")


class _Rows(NamedTuple):
    """The arguments of `setCustomers`, with cleaned rows."""

    rows: tuple[SetRow, ...]
    is_whole: bool
    is_silent: bool
    does_phone_identify: bool


async def _prepare_rows(env: Context, arguments: dict[str, Any]) -> _Rows:
    nodes = arguments["nodes"]
    _require_few(len(nodes), env.directory.limits.bulk_rows, "nodes")
    if text_size(nodes, MOST_TEXT) > MOST_TEXT:
        raise Rejected(InvalidInput(_TOO_MUCH_TEXT, ("nodes",)))
    # It compares the row with the stored customer, and can change nothing.
    if any(node.get("if_version") is not None for node in nodes):
        require(env, READ)

    def clean() -> tuple[SetRow, ...]:
        return tuple([_row(env, node, index) for index, node in enumerate(nodes)])

    rows = await run_large(clean) if is_large(nodes) else clean()
    is_whole = (arguments.get("errorPolicy") or REJECT_ALL) == REJECT_ALL
    does_phone_identify = bool(arguments.get("phoneIdentifies"))
    return _Rows(rows, is_whole, bool(arguments.get("silent")), does_phone_identify)


def _set(env: Context, prepared: _Rows, record: IdempotencyRecord | None) -> SetCustomers:
    rows, is_whole, is_silent, does_phone_identify = prepared
    origin = env.origin._replace(silent=is_silent)
    return SetCustomers(
        rows,
        env.now,
        is_whole,
        True,
        record,
        origin,
        phone_identifies=does_phone_identify,
    )


async def _set_result(env: Context, result: Any, layouts: Layouts) -> Any:
    layout = customer_layout(layouts)
    if not isinstance(result, SetResult):
        return await _replayed(env, result, layout)
    customers = [row.row and tuple([row.row[c] for c in layout.columns]) for row in result.rows]
    outcomes = [_outcome(row) for row in result.rows]
    saved = result.saved and env.draft is None
    return _result(saved, outcomes, await layout.load_related_grouped(customers, env))


set_customers = mutation(_set, _prepare_rows, _set_result)


def selects_outcomes(layouts: Layouts) -> bool:
    """Whether a document selects what became of the rows."""
    return layouts.only.selects(*_OUTCOMES) or layouts.only.nested(
        "rows", has_dict_rows=True
    ).selects("outcome")


def customer_layout(layouts: Layouts) -> Layout:
    """The layout of the customers in the answer."""
    return layouts.only.nested("rows", has_dict_rows=True).nested("customer")


def _row(env: Context, node: Mapping[str, Any], index: int) -> SetRow:
    path = ("nodes", index)
    input_values = {name: value for name, value in node.items() if name not in _NOT_VALUES}
    try:
        values, problems = clean_values(input_values, path)
        reference, reference_problems = _reference(node, path)
    except Exception as error:  # one row's fault is not the others'
        return SetRow({}, (failed(error, env.request_id, path),), path=path)
    all_problems = (*problems, *reference_problems)
    return SetRow(values, all_problems, reference, path=path, version=node.get("if_version"))


def _reference(
    node: Mapping[str, Any], path: tuple[str | int, ...]
) -> tuple[Reference | None, list[Problem]]:
    """The customer whom a row names, if it names one by `id` or `_id`."""
    named = [reference_to(str(node[name])) for name in ("id", "_id") if node.get(name) is not None]
    if len({reference.customer_id for reference in named}) > 1:
        message = "`id` and `_id` identify two different customers. Send only one of them."
        return named[0], [InvalidInput(message, (*path, "_id"))]
    return (named[0] if named else None), []


def _outcome(row: RowOutcome) -> Mapping[str, Any]:
    return {"outcome": row.outcome, "errors": [problem.to_json() for problem in row.problems]}


def _result(saved: bool, outcomes: Any, customers: Any) -> Mapping[str, Any]:
    counts = {
        name.lower(): count for name, count in counted(r["outcome"] for r in outcomes).items()
    }
    rows = [{**row, "customer": c} for row, c in zip(outcomes, customers, strict=True)]
    return {
        "saved": saved,
        **{name.lower(): count for name, count in counts.items()},
        "rows": rows,
    }


async def _replayed(env: Context, record: Mapping[str, Any], layout: Layout) -> Any:
    """Returns the response to a repeated request: the stored outcomes, and the customers as they
    are now."""
    numbers = [row["customer_id"] for row in record["rows"]]
    existing = [number for number in numbers if number is not None]
    loaded = await env.directory.customers(env.account_id, existing, layout.columns)
    rows = dict(zip(existing, loaded, strict=True))
    customers = await layout.load_related_grouped([rows.get(number) for number in numbers], env)
    outcomes = [{"outcome": row["outcome"], "errors": row["problems"]} for row in record["rows"]]
    return _result(record["saved"], outcomes, customers)


async def _prepare_tags(env: Context, arguments: dict[str, Any]) -> Any:
    _require_few(len(arguments["items"]), env.directory.limits.bulk_rows, "items")
    customers = tuple(reference_to(text) for text in arguments["items"])
    tags = arguments["tags"]
    if text_size(tags, MOST_TEXT) * len(customers) > MOST_TEXT:
        raise Rejected(InvalidInput(_TOO_MUCH_TAGS, ("tags",)))

    def clean() -> tuple[list[str], list[Problem]]:
        return clean_tags(tags, ("tags",))

    version = expected_version(env, arguments)
    return customers, version, *(await run_large(clean) if is_large(tags) else clean())


def _add(env: Context, prepared: Any, record: IdempotencyRecord | None) -> ChangeTags:
    customers, version, tags, problems = prepared
    return ChangeTags(customers, env.now, tuple(tags), (), problems, version, record, env.origin)


def _remove(env: Context, prepared: Any, record: IdempotencyRecord | None) -> ChangeTags:
    customers, version, tags, problems = prepared
    return ChangeTags(customers, env.now, (), tuple(tags), problems, version, record, env.origin)


async def _customers(env: Context, numbers: Sequence[int], layouts: Layouts) -> Any:
    rows = await env.directory.customers(env.account_id, numbers, layouts.only.columns)
    return await layouts.only.load_related_grouped(rows, env)


add_tags = mutation(_add, _prepare_tags, _customers)
remove_tags = mutation(_remove, _prepare_tags, _customers)


def _require_few(count: int, max_count: int, argument: str) -> None:
    if count > max_count:
        message = f"`{argument}` has {count:,} values; the maximum is {max_count:,} in one request."
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
