"""Segments in the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context, require
from regulars.api.guards import WRITE_COST, needs, needs_to_write, price_of_page, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.values import global_id, timestamp_of
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, InvalidQuery, Rejected
from regulars.core.ids import encoder, number_of
from regulars.core.paging import encode, page_of, requested_size
from regulars.core.scopes import READ, WRITE
from regulars.customers.graphql.types import COUNT_COST, CUSTOMER_KEYSET
from regulars.customers.history import segment_of
from regulars.customers.listing import customer_page
from regulars.customers.search.parser import Order, Search, parse
from regulars.graphql import (
    Arguments,
    CostLimitError,
    Layout,
    Layouts,
    Load,
    Nested,
    PerRow,
    Related,
    Resolve,
    Root,
    TypeBinding,
    Value,
)
from regulars.segments import queries
from regulars.segments.commands import CreateSegment, DeleteSegments, UpdateSegment
from regulars.segments.definitions import TYPE, Definitions
from regulars.segments.expansion import Expansion, uses_segments
from regulars.segments.listing import ORDERS, SegmentCursors, parse_list
from regulars.segments.searching import run_with
from regulars.segments.settings import load as load_settings
from regulars.segments.table import segments as table
from regulars.segments.values import clean_segment
from regulars.store import Row

_ORDER_VALUE = "order_value"
_KEYSET = (_ORDER_VALUE, "segment_id")
_PATH = ("node",)
# What the response to a creation has of the input.
_WRITTEN = (
    *("segment_id", "name", "description", "query", "settings", "problem"),
    *("watched", "watched_since", "created_at", "updated_at"),
)


def segments(layouts: Layouts) -> Resolve:
    """Resolve a page of the segments."""
    connection = Connection(layouts.only, _KEYSET, encode)
    is_paged = layouts.only.selects("edges", "pageInfo")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limits = env.directory.limits
        search = parse_list(arguments.get("query") or "", limits.search_characters)
        page = page_of(arguments, SegmentCursors(search.order_by), "segments", limits.page_size)
        found = await _rows(env)
        texts = (row[name] for row in found for name in ("name", "description"))
        matches = await run_with(texts, lambda: search.matches(found))
        if not is_paged:
            return {"totalCount": len(matches)}
        cut = search.page(matches, page)
        column = ORDERS[search.order_by]
        rows = [{**row, _ORDER_VALUE: row[column]} for row in cut.rows]
        edges = await _tuples(env, rows, connection.columns, found)
        result = connection.row(cut._replace(rows=edges), ())
        result["edges"] = await connection.edges.load_related(edges, env)
        return {**result, "totalCount": len(matches)}

    return resolve


async def _prepare(env: Context, arguments: dict[str, Any]) -> Any:
    node = arguments["node"]
    if uses_segments(node.get("query") or ""):
        require(env, READ)  # an error can show the names of other segments
    announce = bool(arguments.get("announce"))
    return arguments.get("id"), announce, *clean_segment(node, _PATH)


def _create(env: Context, prepared: Any, record: IdempotencyRecord | None) -> CreateSegment:
    _, announce, values, problems = prepared
    return CreateSegment(values, env.now, problems, record, env.origin, announce)


def _update(env: Context, prepared: Any, record: IdempotencyRecord | None) -> UpdateSegment:
    id_text, announce, values, problems = prepared
    number = number_of(id_text, TYPE)
    return UpdateSegment(id_text, number, values, env.now, problems, record, env.origin, announce)


def _delete(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> DeleteSegments:
    items, max_count = arguments["items"], env.directory.limits.deletes
    if len(items) > max_count:
        message = f"`items` has {len(items):,} ids; the maximum is {max_count:,} in one request."
        raise Rejected(InvalidInput(message, ("items",)))
    numbers = tuple([(text, number_of(text, TYPE)) for text in items])
    return DeleteSegments(numbers, env.now, record, env.origin)


async def _written(env: Context, row: Row, layouts: Layouts) -> Any:
    return (await _filled(env, [row], layouts.only, None))[0]


async def _deleted(_env: Context, numbers: Sequence[int], _layouts: Layouts) -> list[str]:
    return encoder(TYPE)(numbers)


async def _load(env: Context, number: int, layout: Layout) -> Any:
    """Return the row of a segment in a layout, or None."""
    found = await _rows(env)
    rows = [row for row in found if row["segment_id"] == number]
    return (await _filled(env, rows, layout, found))[0] if rows else None


async def _segments_of_customers(
    env: Context, ids: list[int], layout: Layout
) -> Sequence[Sequence[Any]]:
    """Return the watched segments of each customer, by `_id`."""
    parameters = {"account_id": env.account_id, "ids": list(set(ids))}
    pairs = await env.directory.primary.fetch(queries.segments_of_customers(), parameters)
    if len(pairs) > env.directory.limits.list_rows:
        raise CostLimitError(len(pairs), env.directory.limits.list_rows)
    segment_ids = {segment_id for _, segment_id in pairs}
    stored = await _rows(env) if pairs else []
    rows = [row for row in stored if row["segment_id"] in segment_ids]
    filled = await _filled(env, rows, layout, stored)
    by_id = {row["segment_id"]: each for row, each in zip(rows, filled, strict=True)}
    found: dict[int, list[Any]] = {}
    for customer_id, segment_id in pairs:
        if segment_id in by_id:
            found.setdefault(customer_id, []).append(by_id[segment_id])
    return [found.get(number, []) for number in ids]


async def _segments_of_changes(
    env: Context, causes: list[str | None], layout: Layout
) -> Sequence[Any]:
    """Return the segment that each change is about, or None."""
    numbers = [segment_of(cause) for cause in causes]
    wanted = set(numbers) - {None}
    stored = await _rows(env) if wanted else []
    rows = [row for row in stored if row["segment_id"] in wanted]
    filled = await _filled(env, rows, layout, stored)
    by_id = {row["segment_id"]: each for row, each in zip(rows, filled, strict=True)}
    return [by_id.get(number) for number in numbers]


async def _rows(env: Context) -> list[Row]:
    """Return the segments of the account, as they would be after a dry run."""
    account = {"account_id": env.account_id}
    stored = await env.directory.primary.fetch(queries.all_segments(), account)
    rows: dict[int, Row | None] = {
        row["segment_id"]: row
        for row in (dict(zip(queries.COLUMNS, values, strict=True)) for values in stored)
    }
    if env.draft is not None:
        rows |= env.draft.rows.get(table, {})
    return [row for row in rows.values() if row is not None]


async def _filled(
    env: Context, rows: Sequence[Row], layout: Layout, found: Sequence[Row] | None
) -> Sequence[Any]:
    return await layout.load_related(await _tuples(env, rows, layout.columns, found), env)


async def _tuples(
    env: Context, rows: Sequence[Row], columns: tuple[str, ...], found: Sequence[Row] | None
) -> list[Any]:
    """Return the columns of segments, of which some are computed. `found` are all segments of the
    account, if they were read."""
    if "statistics" in columns or "problem" in columns:
        searches = await _searches(env, [row["segment_id"] for row in rows], found)
        rows = [
            {
                **row,
                "problem": search.problems[0].message if isinstance(search, Rejected) else None,
                "statistics": await _count(env, search) if "statistics" in columns else None,
            }
            for row, search in zip(rows, searches, strict=True)
        ]
    return [tuple([row[name] for name in columns]) for row in rows]


async def _searches(
    env: Context, ids: Sequence[int], found: Sequence[Row] | None = None
) -> list[Search | Rejected]:
    """Return the search of each segment, or why it cannot be evaluated."""
    rows = await _rows(env) if found is None else found

    def expand() -> list[Search | Rejected]:
        definitions = Definitions.of_rows(rows)
        expansion = Expansion(definitions)
        searches: list[Search | Rejected] = []
        for number in ids:
            definition = definitions.get(number)
            assert definition is not None
            try:
                searches.append(Search(Order(), expansion.condition(definition)))
            except Rejected as rejection:
                searches.append(rejection)
        return searches

    return await run_with((row["query"] for row in rows), expand)


async def _count(env: Context, search: Search | Rejected) -> int:
    selected = customer_page({}, _readable(search), env.now, env.directory.limits.page_size)
    return await env.directory.count(env.account_id, selected)


def _readable(search: Search | Rejected) -> Search:
    if isinstance(search, Rejected):
        raise search
    return search


def _customers(arguments: Arguments) -> Load:
    """Return the loader of a page of customers for each segment."""

    async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
        limits = env.directory.limits
        order = _order(arguments.get("order") or "", limits.search_characters)
        is_counted, is_paged = layout.selects("totalCount"), layout.selects("edges", "pageInfo")
        connection = Connection(layout, CUSTOMER_KEYSET, encode)
        pages, counts = [], []
        for search in await _searches(env, ids):
            ordered = Search(order, _readable(search).condition)
            selected = customer_page(arguments, ordered, env.now, limits.page_size)
            if is_counted:
                counts.append(await env.directory.count(env.account_id, selected))
            if is_paged:
                pages.append(
                    await env.directory.page(
                        env.account_id, selected, connection.columns, connection.beyond
                    )
                )
        rows = await connection.rows_of(pages, env) if is_paged else [{} for _ in ids]
        if not is_counted:
            return rows
        return [{**row, "totalCount": n} for row, n in zip(rows, counts, strict=True)]

    return load


def _order(text: str, max_length: int) -> Order:
    """Return the order in an argument `order`. Raises Rejected."""
    try:
        search = parse(text, max_length)
        if search.condition is not None:
            message = "`order` takes `order_by:` and `order_dir:` only. Search with `customers`."
            raise Rejected(InvalidQuery(message, 0, "an order"))
    except Rejected as rejection:
        problems = [p.at(("order",)) for p in rejection.problems if isinstance(p, InvalidQuery)]
        raise Rejected(*problems) from rejection
    return search.order


def _price_of_items(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Return a write for each segment."""
    return WRITE_COST * len(arguments["items"]) + fixed


def _roots(page_size: int) -> Mapping[str, Root]:
    create = mutation(_create, _prepare, _written)
    update = mutation(_update, _prepare, _written)
    return {
        "segments": Root(segments, needs(READ), partial(price_of_page, page_size)),
        "createSegment": Root(create, needs_to_write(WRITE, *_WRITTEN), price_of_write),
        "updateSegment": Root(update, needs_to_write(WRITE, "segment_id"), price_of_write),
        "deleteSegments": Root(mutation(_delete, render=_deleted), needs(WRITE), _price_of_items),
    }


API = ApiPart(
    {
        "Segment": TypeBinding(
            {
                **{name: global_id(TYPE, "segment_id") for name in ("id", "uid")},
                "_id": Value(("segment_id",)),
                **{name: Value((name,)) for name in ("name", "description", "problem")},
                "query": Value(("query",), can_be_large=True),
                "settings": Nested(("settings",), PerRow(load_settings), can_be_large=True),
                "statistics": Value(("statistics",), cost=COUNT_COST),
                "watched": Value(("watched",), PerRow(bool)),
                "watched_since": timestamp_of("watched_since"),
                "customers": Related("segment_id", prepare=_customers, size=requested_size),
                "created_at": timestamp_of("created_at"),
                "updated_at": timestamp_of("updated_at"),
            }
        ),
        "SegmentConfig": TypeBinding(
            {name: Nested((name,)) for name in ("include", "exclude")}, has_dict_rows=True
        ),
        "SegmentCondition": TypeBinding(
            {name: Value((name,)) for name in ("operator", "tags")}, has_dict_rows=True
        ),
        "Customer": TypeBinding({"segments": Related("customer_id", _segments_of_customers)}),
        "CustomerChange": TypeBinding({"segment": Related("cause", _segments_of_changes)}),
        **connection_types("Segment", _KEYSET, encode, {"totalCount": Value(("totalCount",))}),
    },
    _roots,
    {TYPE: Node(READ, _load)},
)
