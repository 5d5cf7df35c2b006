"""The fields of Query and Mutation: arguments in, a call on the directory, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api import ids
from regulars.api.context import Context
from regulars.api.fields import BILLING, SHIPPING, address_row
from regulars.directory.directory import ORDER_VALUE
from regulars.directory.paging import encode as cursor
from regulars.directory.paging import window
from regulars.directory.search import parse_order
from regulars.graphql import Layout, Layouts, Root
from regulars.store import Row

# What a page's rows must hold beside what is selected, for the page's own cursors.
_CURSOR = (ORDER_VALUE, "customer_id")
_BEYOND = {"hasNextPage": "next", "hasPreviousPage": "previous"}


async def customers(env: Context, arguments: dict[str, Any], layouts: Layouts) -> Any:
    """A page of customers."""
    order = parse_order(arguments.get("query") or "")
    wanted = window(
        order,
        first=arguments.get("first"),
        after=arguments.get("after"),
        last=arguments.get("last"),
        before=arguments.get("before"),
    )
    edges = layouts.only.part("edges")
    columns = tuple(dict.fromkeys((*edges.columns, *_CURSOR)))
    info = layouts.only.part("pageInfo", keyed=True).columns
    beyond = frozenset(_BEYOND[name] for name in info if name in _BEYOND)
    page = await env.directory.page(env.account_id, wanted, columns, beyond)
    value, number = (columns.index(name) for name in _CURSOR)
    start, end = None, None
    if page.rows:
        start, end = (cursor(row[value], row[number]) for row in (page.rows[0], page.rows[-1]))
    return {
        "edges": await edges.fill(page.rows, env),
        "pageInfo": {
            "hasNextPage": page.has_next,
            "hasPreviousPage": page.has_previous,
            "startCursor": start,
            "endCursor": end,
        },
    }


async def node(env: Context, arguments: dict[str, Any], layouts: Layouts) -> Any:
    """One object by its global id; null for every id that names none, without saying why."""
    named = ids.decode(arguments["id"])
    if named is None:
        return None
    type_name, number = named
    if type_name == "Address":
        row = await _address(env, number)
        return None if row is None else (type_name, row)
    read = {
        "Customer": env.directory.customers,
        "Order": env.directory.orders,
        "Lead": env.directory.leads,
    }.get(type_name)
    if read is None:
        return None
    layout = layouts.of(type_name)
    (found,) = await read(env.account_id, [number], layout.columns)
    if found is None:
        return None
    (row,) = await layout.fill([found], env)
    return type_name, row


async def _address(env: Context, number: int) -> Mapping[str, Any] | None:
    customer_id, is_billing = divmod(number, 2)
    kind = BILLING if is_billing else SHIPPING
    (found,) = await env.directory.customers(env.account_id, [customer_id], (kind,))
    return None if found is None else address_row(kind, customer_id, found[0])


async def create_customer(env: Context, arguments: dict[str, Any], layouts: Layouts) -> Any:
    """Adds a customer."""
    row = await env.directory.create(env.account_id, arguments["node"], env.now)
    return await _written(env, row, layouts.only)


async def update_customer(env: Context, arguments: dict[str, Any], layouts: Layouts) -> Any:
    """Merges fields into a customer."""
    customer = ids.customer(arguments["id"])
    row = await env.directory.update(env.account_id, customer, arguments["node"], env.now)
    return await _written(env, row, layouts.only)


async def _written(env: Context, row: Row, layout: Layout) -> Any:
    """A written row in a layout, with what is related to it."""
    (filled,) = await layout.fill([tuple(row[name] for name in layout.columns)], env)
    return filled


async def delete_customers(env: Context, arguments: dict[str, Any], _layouts: Layouts) -> Any:
    """Deletes all the customers named, or none."""
    named = [ids.customer(text) for text in arguments["items"]]
    deleted = await env.directory.delete(env.account_id, named)
    return [ids.encode("Customer", number) for number in deleted]


ROOTS: Mapping[str, Root] = {
    "node": Root(node),
    "customers": Root(customers),
    "createCustomer": Root(create_customer),
    "updateCustomer": Root(update_customer),
    "deleteCustomers": Root(delete_customers),
}
