"""The fields of Query and Mutation: arguments in, a call on the directory, rows out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from regulars.api.access import (
    account,
    create_token,
    own_account,
    own_token,
    revoke_token,
    token_scopes,
    tokens,
    viewer,
)
from regulars.api.bulk import (
    WRITTEN,
    add_tags,
    customer_layout,
    price_of_items,
    price_of_nodes,
    remove_tags,
    set_customers,
    shows_outcomes,
)
from regulars.api.changes import customer_changes
from regulars.api.connections import Connection
from regulars.api.context import Context, require
from regulars.api.fields import BILLING, CUSTOMER_KEYSET, SHIPPING, address_row
from regulars.api.language import search_language
from regulars.api.recording import record_lead, record_order, record_visit
from regulars.api.statistics import price as price_of_statistics
from regulars.api.statistics import statistics
from regulars.api.webhooks import (
    create_webhook,
    delete_webhook,
    one_delivery,
    one_webhook,
    retry_delivery,
    test_webhook,
    update_webhook,
    webhook,
    webhook_types,
    webhooks,
)
from regulars.api.writing import filled, write
from regulars.directory import ids
from regulars.directory.commands import IdempotencyRecord
from regulars.directory.directory import Directory
from regulars.directory.listing import customer_page
from regulars.directory.paging import encode, requested_size
from regulars.directory.scopes import ADMIN, ORDERS, READ, WEBHOOKS, WRITE
from regulars.directory.search import parse
from regulars.directory.webhooks import DeliveryId
from regulars.graphql import Arguments, Guard, Layout, Layouts, Resolve, Root


def customers(layouts: Layouts) -> Resolve:
    """A page of customers."""
    paged, counted = layouts.only.selects("edges", "pageInfo"), layouts.only.selects("totalCount")
    connection = Connection(layouts.only, CUSTOMER_KEYSET, encode)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        limits = env.directory.limits
        search = parse(arguments.get("query") or "", limits.search_characters)
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


_READ_ONE = {"Customer": Directory.customer, "Order": Directory.order, "Lead": Directory.lead}


def node(layouts: Layouts) -> Resolve:
    """One object by its global id; null for every id that names none, without saying why. Each type
    needs the scope of its list."""
    kinds = {name: (read, layouts.of(name)) for name, read in _READ_ONE.items()}
    webhook_layout, delivery_layout = layouts.of("Webhook"), layouts.of("WebhookDelivery")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        given = arguments["id"]
        named = ids.decode(given)
        type_name, number = named or ("", 0)
        if type_name == "Account":
            return ("Account", await own_account(env)) if number == env.account_id else None
        if type_name == "Webhook":
            require(env, WEBHOOKS)
            row = await one_webhook(env, number, webhook_layout)
            return None if row is None else (type_name, row)
        delivery = DeliveryId.decode(given)
        if delivery is not None:
            require(env, WEBHOOKS)
            row = await one_delivery(env, delivery, delivery_layout)
            return None if row is None else ("WebhookDelivery", row)
        require(env, READ)
        if named is None:
            named = await env.directory.of_shop(env.account_id, given)
            if named is None:
                token = await own_token(env, given) if ADMIN in env.scopes else None
                return None if token is None else ("Token", token)
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
        (row,) = await layout.load_related([found], env)
        return type_name, row

    return resolve


async def _address(env: Context, number: int) -> Mapping[str, Any] | None:
    customer_id, is_billing = divmod(number, 2)
    kind = BILLING if is_billing else SHIPPING
    found = await env.directory.customer(env.account_id, customer_id, (kind,))
    return None if found is None else address_row(kind, customer_id, found[0])


def _version(env: Context, arguments: Arguments) -> int | None:
    """The version that a write expects. A conflict tells the current one, which changes with the
    values of the customer."""
    version: int | None = arguments.get("ifVersion")
    if version is not None:
        require(env, READ)
    return version


def create_customer(layouts: Layouts) -> Resolve:
    """Adds a customer."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        def create(idempotency_record: IdempotencyRecord | None) -> Awaitable[Any]:
            return env.directory.create(
                env.account_id, arguments["node"], env.now, idempotency_record, env.origin
            )

        return await filled(env, await write(env, create), layouts.only)

    return resolve


def update_customer(layouts: Layouts) -> Resolve:
    """Merges fields into a customer."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        customer, version = ids.customer(arguments["id"]), _version(env, arguments)

        def update(idempotency_record: IdempotencyRecord | None) -> Awaitable[Any]:
            return env.directory.update(
                env.account_id,
                customer,
                arguments["node"],
                env.now,
                version,
                idempotency_record,
                env.origin,
            )

        return await filled(env, await write(env, update), layouts.only)

    return resolve


def delete_customers(_layouts: Layouts) -> Resolve:
    """Deletes all the customers named, or none."""
    global_ids = ids.encoder("Customer")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        named = [ids.customer(text) for text in arguments["items"]]
        version = _version(env, arguments)

        def delete(idempotency_record: IdempotencyRecord | None) -> Awaitable[Any]:
            return env.directory.delete(
                env.account_id, named, env.now, version, idempotency_record, env.origin
            )

        return global_ids(await write(env, delete))

    return resolve


def needs(*scopes: str) -> Callable[[Layouts], Guard]:
    """The guard of a field for which a token must have scopes."""

    def check(env: Context) -> None:
        for scope in scopes:
            require(env, scope)

    return lambda _layouts: check


def _only(layouts: Layouts) -> Layout:
    return layouts.only


def _never(_layouts: Layouts) -> bool:
    return False


def _reads_what_it_writes(
    scope: str,
    *written: str,
    shown: Callable[[Layouts], Layout] = _only,
    tells: Callable[[Layouts], bool] = _never,
) -> Callable[[Layouts], Guard]:
    """The guard of a write that shows the object as it is then (in the layout `shown`), and so what
    its writer did not write. Who may not read is told no more than the columns that are `written`
    in any case, and nothing of what `tells` says is selected besides."""

    def prepare(layouts: Layouts) -> Guard:
        blind = shown(layouts).reads_only(*written) and not tells(layouts)
        may_write, may_read = needs(scope)(layouts), needs(READ)(layouts)

        def check(env: Context) -> None:
            may_write(env)
            if not blind:
                may_read(env)

        return check

    return prepare


# What a write costs, in points.
WRITE_COST = 10
# How many characters of a search cost a point.
_SEARCH_COST = 10


def _price_of_page(page_size: int, arguments: Arguments, fixed: int, per_row: int) -> int:
    """A page costs what it can return, and its search by its length."""
    search = len(arguments.get("query") or "") // _SEARCH_COST
    return fixed + search + requested_size(arguments, page_size) * per_row


def _price_of_write(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    return WRITE_COST + fixed


def _price_of_deletes(arguments: Arguments, fixed: int, _per_row: int) -> int:
    return WRITE_COST * len(arguments["items"]) + fixed


def roots(page_size: int) -> Mapping[str, Root]:
    """The fields, where a page holds at most so many customers."""
    return {
        # What the history numbers may be read from a replica that has come far enough.
        "node": Root(node, is_replica_safe=True),
        "account": Root(account),
        "customers": Root(
            customers, needs(READ), partial(_price_of_page, page_size), is_replica_safe=True
        ),
        "customerChanges": Root(
            customer_changes, needs(READ), partial(_price_of_page, page_size), is_replica_safe=True
        ),
        "statistics": Root(statistics, needs(READ), price_of_statistics, is_replica_safe=True),
        "searchLanguage": Root(search_language, is_replica_safe=True),
        "viewer": Root(viewer),
        "tokens": Root(tokens, needs(ADMIN)),
        "tokenScopes": Root(token_scopes),
        "createToken": Root(create_token, needs(ADMIN), _price_of_write),
        "revokeToken": Root(revoke_token, needs(ADMIN), _price_of_write),
        "webhookTypes": Root(webhook_types),
        "webhooks": Root(webhooks, needs(WEBHOOKS)),
        "webhook": Root(webhook, needs(WEBHOOKS)),
        "createWebhook": Root(create_webhook, needs(WEBHOOKS), _price_of_write),
        # What these send is customers, and where to is the webhook's: so the token reads them.
        "updateWebhook": Root(update_webhook, needs(WEBHOOKS, READ), _price_of_write),
        "deleteWebhook": Root(delete_webhook, needs(WEBHOOKS), _price_of_write),
        "retryWebhookDelivery": Root(retry_delivery, needs(WEBHOOKS, READ), _price_of_write),
        "testWebhook": Root(test_webhook, needs(WEBHOOKS, READ), _price_of_write),
        "createCustomer": Root(create_customer, needs(WRITE), _price_of_write),
        "updateCustomer": Root(
            update_customer,
            _reads_what_it_writes(WRITE, *WRITTEN),
            _price_of_write,
        ),
        "deleteCustomers": Root(delete_customers, needs(WRITE), _price_of_deletes),
        "setCustomers": Root(
            set_customers,
            _reads_what_it_writes(WRITE, *WRITTEN, shown=customer_layout, tells=shows_outcomes),
            partial(price_of_nodes, WRITE_COST),
        ),
        **{
            name: Root(
                change,
                _reads_what_it_writes(WRITE, *WRITTEN),
                partial(price_of_items, WRITE_COST),
            )
            for name, change in (("addTags", add_tags), ("removeTags", remove_tags))
        },
        "recordOrder": Root(
            record_order, _reads_what_it_writes(ORDERS, "order_id", "name"), _price_of_write
        ),
        "recordLead": Root(record_lead, needs(ORDERS), _price_of_write),
        "recordVisit": Root(
            record_visit,
            _reads_what_it_writes(ORDERS, *WRITTEN, "visits"),
            _price_of_write,
        ),
    }
