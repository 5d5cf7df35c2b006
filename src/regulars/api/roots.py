"""The fields of Query and Mutation: arguments in, a call on the directory, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api.context import Context
from regulars.api.fields import BILLING, SHIPPING, address_row
from regulars.directory import ids
from regulars.directory.directory import Directory
from regulars.directory.paging import cursors, window
from regulars.directory.search import parse
from regulars.graphql import Layout, Layouts, Resolve, Root
from regulars.store import Row
from regulars.store.queries import ORDER_VALUE

# What a page's rows must hold beside what is selected, for the page's own cursors.
_CURSOR = (ORDER_VALUE, "customer_id")
_BEYOND = {"hasNextPage": "next", "hasPreviousPage": "previous"}


def customers(layouts: Layouts) -> Resolve:
    """A page of customers."""
    paged, counted = layouts.only.selects("edges", "pageInfo"), layouts.only.selects("totalCount")
    edges = layouts.only.part("edges")
    columns = tuple(dict.fromkeys((*edges.columns, *_CURSOR)))
    value, number = (columns.index(name) for name in _CURSOR)
    info = layouts.only.part("pageInfo", keyed=True).columns
    bounded = "startCursor" in info or "endCursor" in info
    beyond = frozenset(_BEYOND[name] for name in info if name in _BEYOND)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        wanted = window(
            parse(arguments.get("query") or ""),
            env.now,
            first=arguments.get("first"),
            after=arguments.get("after"),
            last=arguments.get("last"),
            before=arguments.get("before"),
        )
        total = await env.directory.count(env.account_id, wanted) if counted else None
        if not paged:
            return {"totalCount": total}
        page = await env.directory.page(env.account_id, wanted, columns, beyond)
        start, end = None, None
        if page.rows and bounded:
            first, last = page.rows[0], page.rows[-1]
            start, end = cursors((first[value], last[value]), (first[number], last[number]))
        return {
            "totalCount": total,
            "edges": await edges.fill(page.rows, env),
            "pageInfo": {
                "hasNextPage": page.has_next,
                "hasPreviousPage": page.has_previous,
                "startCursor": start,
                "endCursor": end,
            },
        }

    return resolve


_READ_ONE = {"Customer": Directory.customer, "Order": Directory.order, "Lead": Directory.lead}


def node(layouts: Layouts) -> Resolve:
    """One object by its global id; null for every id that names none, without saying why."""
    kinds = {name: (read, layouts.of(name)) for name, read in _READ_ONE.items()}

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        named = ids.decode(arguments["id"])
        if named is None:
            return None
        type_name, number = named
        if type_name == "Address":
            row = await _address(env, number)
            return None if row is None else (type_name, row)
        if type_name not in kinds:
            return None
        read, layout = kinds[type_name]
        found = await read(env.directory, env.account_id, number, layout.columns)
        if found is None:
            return None
        (row,) = await layout.fill([found], env)
        return type_name, row

    return resolve


async def _address(env: Context, number: int) -> Mapping[str, Any] | None:
    customer_id, is_billing = divmod(number, 2)
    kind = BILLING if is_billing else SHIPPING
    found = await env.directory.customer(env.account_id, customer_id, (kind,))
    return None if found is None else address_row(kind, customer_id, found[0])


def create_customer(layouts: Layouts) -> Resolve:
    """Adds a customer."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        row = await env.directory.create(env.account_id, arguments["node"], env.now)
        return await _written(env, row, layouts.only)

    return resolve


def update_customer(layouts: Layouts) -> Resolve:
    """Merges fields into a customer."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        customer = ids.customer(arguments["id"])
        row = await env.directory.update(env.account_id, customer, arguments["node"], env.now)
        return await _written(env, row, layouts.only)

    return resolve


async def _written(env: Context, row: Row, layout: Layout) -> Any:
    """A written row in a layout, with what is related to it."""
    (filled,) = await layout.fill([tuple([row[name] for name in layout.columns])], env)
    return filled


def delete_customers(_layouts: Layouts) -> Resolve:
    """Deletes all the customers named, or none."""
    global_ids = ids.encoder("Customer")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        named = [ids.customer(text) for text in arguments["items"]]
        deleted = await env.directory.delete(env.account_id, named)
        return global_ids(deleted)

    return resolve


ROOTS: Mapping[str, Root] = {
    "node": Root(node),
    "customers": Root(customers),
    "createCustomer": Root(create_customer),
    "updateCustomer": Root(update_customer),
    "deleteCustomers": Root(delete_customers),
}
