"""The trash in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context, require
from regulars.api.dry_run import ARGUMENT, report
from regulars.api.guards import WRITE_COST, needs, price_of_page
from regulars.api.part import ApiPart
from regulars.api.values import global_id, timestamp_of
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.paging import TaggedCursors, page_of
from regulars.core.scopes import READ, WRITE
from regulars.customers.commands import Reference, reference_to
from regulars.customers.emails import clean_email
from regulars.graphql import (
    Arguments,
    Layouts,
    Nested,
    Resolve,
    Root,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.store.writes import advance_revision
from regulars.trash import queries
from regulars.trash.commands import PurgeCustomers, RestoreCustomers, RestoreResult
from regulars.trash.problems import skipped_value

_KEYSET = ("deleted_at", "customer_id")
_CURSORS = TaggedCursors(
    "trash",
    2,
    "This is not a cursor of the trash. Use `cursor` of an edge, or `endCursor`, from `trash`.",
)


def trash(layouts: Layouts) -> Resolve:
    """Resolve a page of the trash."""
    connection = Connection(layouts.only, _KEYSET, _CURSORS.encode)
    is_paged = layouts.only.selects("edges", "pageInfo")
    is_counted = layouts.only.selects("totalCount")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        page = page_of(arguments, _CURSORS, "customers", env.directory.limits.page_size)
        store, email = env.directory.store, arguments.get("email")
        parameters: dict[str, Any] = {"account_id": env.account_id, "now": env.now}
        if email is not None:
            # An invalid email has an empty key, which no customer has.
            parameters["email_key"] = clean_email(email)[1]
        result: dict[str, Any] = {}
        if is_counted:
            ((result["totalCount"],),) = await store.fetch(
                queries.count(email is not None), parameters
            )
        if is_paged:
            parameters["limit"] = page.limit
            if page.after is not None:
                parameters["after_time"], parameters["after_id"] = page.after
            query = queries.page(connection.columns, email is not None, page.after is not None)
            rows = await store.fetch(query, parameters)
            cut = page.cut(rows, is_behind=page.after is not None)
            edges = await connection.edges.load_related(cut.rows, env)
            result |= connection.row(cut, edges)
        return result

    return resolve


def _customers(env: Context, arguments: dict[str, Any]) -> tuple[Reference, ...]:
    items, max_count = arguments["items"], env.directory.limits.deletes
    if len(items) > max_count:
        message = f"`items` has {len(items):,} ids; the maximum is {max_count:,} in one request."
        raise Rejected(InvalidInput(message, ("items",)))
    return tuple([reference_to(text) for text in items])


def _restore(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> RestoreCustomers:
    skips = arguments.get("conflictPolicy") == "skip"
    return RestoreCustomers(_customers(env, arguments), env.now, skips, record, env.origin)


async def _restored(env: Context, result: Any, layouts: Layouts) -> Any:
    if not isinstance(result, RestoreResult):
        result = RestoreResult.from_json(result)
    layout = layouts.only.nested("customers")
    rows = await env.directory.customers(env.account_id, result.customer_ids, layout.columns)
    customers = await layout.load_related_grouped(rows, env)
    return {"customers": customers, "skipped": [skipped_value(each) for each in result.skipped]}


def _purge(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> PurgeCustomers:
    return PurgeCustomers(_customers(env, arguments), env.now, False, record, env.origin)


async def _count(_env: Context, count: int, _layouts: Layouts) -> int:
    return count


def empty_trash(layouts: Layouts) -> Resolve:
    """Purge customers: those of `items` now, or all in the background."""
    purge = mutation(_purge, render=_count)(layouts)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        if arguments.get("items") is not None:
            return await purge(env, arguments)
        store, account = env.directory.store, {"account_id": env.account_id}
        now = {**account, "now": env.now}
        if arguments.get(ARGUMENT):
            require(env, READ)
            await report(env, layouts.key)
            ((count,),) = await store.fetch(queries.count(with_email=False), now)
            return count
        return await store.execute([(advance_revision(), account), (queries.mark_due(), now)])

    return resolve


def _price_of_items(arguments: Arguments, fixed: int, per_row: int) -> int:
    """Return a write for each customer, and what is answered of it."""
    return len(arguments.get("items") or (None,)) * (WRITE_COST + per_row) + fixed


def _roots(page_size: int) -> Mapping[str, Root]:
    def price(arguments: Arguments, fixed: int, per_row: int) -> int:
        return price_of_page(page_size, arguments, fixed, per_row)

    return {
        "trash": Root(trash, needs(READ), price),
        # A conflict shows a value of the customer.
        "restoreCustomers": Root(
            mutation(_restore, render=_restored), needs(WRITE, READ), _price_of_items
        ),
        "emptyTrash": Root(empty_trash, needs(WRITE), _price_of_items),
    }


API = ApiPart(
    {
        **connection_types(
            "Trash", _KEYSET, _CURSORS.encode, {"totalCount": Value(("totalCount",))}
        ),
        "TrashedCustomer": TypeBinding(
            {
                "id": global_id("Customer", "customer_id"),
                "_id": Value(("customer_id",)),
                **{name: Value((name,)) for name in ("full_name", "email", "orders_count")},
                "deleted_at": timestamp_of("deleted_at"),
                "purge_at": timestamp_of("purge_at"),
                "deleted_by": SameRow(),
            }
        ),
        "RestoreResult": TypeBinding(
            {
                "customers": Nested(("customers",), is_page=True),
                "skipped": Nested(("skipped",)),
            },
            has_dict_rows=True,
        ),
        "SkippedValue": TypeBinding(
            {name: Value((name,)) for name in ("customer_id", "field", "value", "taken_by")},
            has_dict_rows=True,
        ),
    },
    _roots,
)
