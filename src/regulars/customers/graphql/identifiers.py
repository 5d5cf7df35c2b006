"""The fields of Query that find one customer by any identifier, and that count customers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from regulars.api.context import Context
from regulars.api.guards import price_of_search
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.external_ids import SHOP, ExternalId, is_possible, parse
from regulars.core.ids import MAX_ID, number_of
from regulars.customers.emails import clean_email
from regulars.customers.external_ids import ambiguous_phone
from regulars.customers.graphql.types import COUNT_COST
from regulars.customers.listing import customer_page
from regulars.customers.search import phones
from regulars.graphql import Arguments, Layout, Layouts, Resolve, TypeBinding, Value
from regulars.segments.searching import parse_search

CUSTOMER = "Customer"

Load = Callable[[Context, int, Layout], Awaitable[Any]]


def customer(load: Load) -> Callable[[Layouts], Resolve]:
    """Returns the field of the customer with an identifier, or null. `load` reads a customer by its
    `_id`."""

    def prepare(layouts: Layouts) -> Resolve:
        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            fields = {name: value for name, value in arguments["by"].items() if value is not None}
            if len(fields) != 1:
                message = f"`by` has {len(fields)} identifiers. Set exactly one of its fields."
                raise Rejected(InvalidInput(message, ("by",)))
            ((name, value),) = fields.items()
            number = await _FINDERS[name](env, value)
            return None if number is None else await load(env, number, layouts.only)

        return resolve

    return prepare


async def _by_id(env: Context, text: str) -> int | None:
    number = number_of(text, CUSTOMER)
    external = parse(text) if number is None else None
    return number if external is None else await _by_external(env, external)


async def _by_number(_env: Context, number: int) -> int | None:
    return number if 0 < number <= MAX_ID else None


async def _by_email(env: Context, text: str) -> int | None:
    _, key, problem = clean_email(text)
    return None if problem else await env.directory.customer_with_email(env.account_id, key)


async def _by_phone(env: Context, text: str) -> int | None:
    forms = phones.forms(text)
    numbers = await env.directory.customers_with_phone(env.account_id, forms[0]) if forms else []
    if len(numbers) > 1:
        raise Rejected(ambiguous_phone(text, numbers, ("by", "phone")))
    return numbers[0] if numbers else None


async def _by_input(env: Context, external: Mapping[str, Any]) -> int | None:
    id_ = external["id"].strip()
    source = external.get("source") or SHOP
    return await _by_external(env, ExternalId(source, id_)) if is_possible(id_) else None


async def _by_external(env: Context, external: ExternalId) -> int | None:
    found = await env.directory.with_external_ids(env.account_id, [external])
    type_, number = found.get(external, ("", None))
    return number if type_ == CUSTOMER else None


_FINDERS: Mapping[str, Callable[[Context, Any], Awaitable[int | None]]] = {
    "id": _by_id,
    "_id": _by_number,
    "email": _by_email,
    "phone": _by_phone,
    "external_id": _by_input,
}


def customers_count(_layouts: Layouts) -> Resolve:
    """Resolves the number of customers that a query finds, counted up to a limit."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limit = arguments.get("limit")
        if limit is not None and limit < 0:
            message = f"`limit` is {limit}. Use a number from 0 on, or null to count all."
            raise Rejected(InvalidInput(message, ("limit",)))
        limits = env.directory.limits
        search = await parse_search(
            env.directory.primary,
            env.account_id,
            arguments.get("query") or "",
            limits.search_characters,
        )
        selected = customer_page({}, search, env.now, limits.page_size)
        count = await env.directory.count(env.account_id, selected, limit)
        if limit is not None and count > limit:
            return {"count": limit, "precision": "at_least"}
        return {"count": count, "precision": "exact"}

    return resolve


def price_of_count(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns the cost of counting, and of the length of the search."""
    return COUNT_COST + fixed + price_of_search(arguments)


TYPES: Mapping[str, TypeBinding] = {
    "CustomersCount": TypeBinding(
        {"count": Value(("count",)), "precision": Value(("precision",))}, has_dict_rows=True
    )
}
