"""The fields of Query and Mutation that read and write customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.api.connections import Connection
from regulars.api.context import Context
from regulars.api.guards import WRITE_COST
from regulars.api.writing import BuildCommand, mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.external_ids import clean_ids
from regulars.core.ids import encoder
from regulars.core.paging import encode
from regulars.customers import address_book
from regulars.customers.address_book import BILLING, BOOK, SHIPPING
from regulars.customers.commands import (
    ChangeExternalIds,
    CreateCustomer,
    DeleteCustomers,
    UpdateCustomer,
    reference_to,
)
from regulars.customers.contact_changes import ADD, REMOVE
from regulars.customers.contact_input import clean_change
from regulars.customers.contact_points import KINDS, ContactPointId, Kind, load
from regulars.customers.graphql.types import CUSTOMER_KEYSET, address_row, contact_row
from regulars.customers.graphql.versions import expected_version
from regulars.customers.listing import customer_page
from regulars.graphql import Arguments, Layout, Layouts, Resolve
from regulars.segments.searching import parse_search


def customers(layouts: Layouts) -> Resolve:
    """Resolves a page of customers."""
    paged, counted = layouts.only.selects("edges", "pageInfo"), layouts.only.selects("totalCount")
    connection = Connection(layouts.only, CUSTOMER_KEYSET, encode)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limits = env.directory.limits
        search = await parse_search(
            env.directory.primary,
            env.account_id,
            arguments.get("query") or "",
            limits.search_characters,
            arguments.get("segment"),
        )
        selected = customer_page(arguments, search, env.now, limits.page_size)
        total = await env.directory.count(env.account_id, selected) if counted else None
        if not paged:
            return {"totalCount": total}
        page = await env.directory.page(
            env.account_id, selected, connection.columns, connection.beyond
        )
        env.change = page.change
        edges = await connection.edges.load_related(page.rows, env)
        return {"totalCount": total, **connection.row(page, edges)}

    return resolve


async def address(env: Context, number: int, _layout: Layout) -> Mapping[str, Any] | None:
    """Returns the address with an `_id`, or None."""
    if number < 0:
        return await _further_address(env, number)
    customer_id, is_billing = divmod(number, 2)
    kind = BILLING if is_billing else SHIPPING
    row = await env.directory.customer(env.account_id, customer_id, (kind,))
    return None if row is None else address_row(kind, customer_id, row[0])


async def _further_address(env: Context, number: int) -> Mapping[str, Any] | None:
    for customer_id in await env.directory.customers_with_address(env.account_id, number):
        columns = (SHIPPING, BILLING, BOOK)
        row = await env.directory.customer(env.account_id, customer_id, columns)
        if row is not None:
            for entry in address_book.load(dict(zip(columns, row, strict=False))):
                if entry.id == number:
                    found: Mapping[str, Any] = address_book.api_row(customer_id, entry)["address"]
                    return found
    return None


def _create(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> CreateCustomer:
    return CreateCustomer.from_node(arguments["node"], env.now, record, env.origin)


def _update(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> UpdateCustomer:
    customer, version = reference_to(arguments["id"]), expected_version(env, arguments)
    return UpdateCustomer.from_node(
        customer, arguments["node"], env.now, version, record, env.origin
    )


def _delete(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> DeleteCustomers:
    items, version = arguments["items"], expected_version(env, arguments)
    count, max_count = len(items), env.directory.limits.deletes
    if count > max_count:
        message = f"`items` has {count:,} ids; the maximum is {max_count:,} in one request."
        raise Rejected(InvalidInput(message, ("items",)))
    customers = tuple([reference_to(text) for text in items])
    permanent = bool(arguments.get("permanent"))
    return DeleteCustomers(customers, env.now, version, record, env.origin, permanent)


def _change_external_ids(is_adding: bool) -> BuildCommand:
    def build(
        env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
    ) -> ChangeExternalIds:
        customer, version = reference_to(arguments["id"]), expected_version(env, arguments)
        ids, problems = clean_ids(arguments["externalIds"], ("externalIds",))
        add, remove = (ids, ()) if is_adding else ((), ids)
        return ChangeExternalIds(
            customer, env.now, add, remove, problems, version, record, env.origin
        )

    return build


def _change_list(kind: Kind, mode: str) -> BuildCommand:
    def build(
        env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
    ) -> UpdateCustomer:
        customer, version = reference_to(arguments["id"]), expected_version(env, arguments)
        change, problems = clean_change(kind, arguments[kind.name], (kind.name,), mode)
        return UpdateCustomer(
            customer, {kind.name: change}, env.now, problems, version, record, env.origin, ()
        )

    return build


async def contact_point(env: Context, target: ContactPointId) -> Mapping[str, Any] | None:
    """Returns the email or phone with an id, or None."""
    kind, customer_id, n = target
    row = await env.directory.customer(env.account_id, customer_id, (kind.default, kind.name))
    if row is None:
        return None
    points = load(row[1], row[0])
    entry = next((entry for entry in points.entries if entry.n == n), None)
    return entry and contact_row(kind, customer_id, points, entry)


async def _global_ids(_env: Context, numbers: Sequence[int], _layouts: Layouts) -> list[str]:
    return encoder("Customer")(numbers)


create_customer = mutation(_create)
update_customer = mutation(_update)
add_external_ids = mutation(_change_external_ids(is_adding=True))
remove_external_ids = mutation(_change_external_ids(is_adding=False))
contact_mutations = {
    f"{verb}{kind.name.title()}": mutation(_change_list(kind, mode))
    for kind in KINDS.values()
    for verb, mode in (("add", ADD), ("remove", REMOVE))
}
delete_customers = mutation(_delete, render=_global_ids)


def price_of_deletes(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns a write for each customer."""
    return WRITE_COST * len(arguments["items"]) + fixed
