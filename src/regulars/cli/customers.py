"""`regulars customers`: search, read and change customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.confirming import confirm
from regulars.cli.connection import Connection, with_connection
from regulars.cli.contact_lists import (
    RemoveEmails,
    RemovePhones,
    change_lists,
    lists_of,
    with_retries,
)
from regulars.cli.customer_fields import (
    DRY_RUN,
    input_node,
    print_customer,
    print_dry_run,
    select_customer,
    with_field_options,
)
from regulars.cli.customer_list import print_customers, search_customers
from regulars.cli.errors import APIError, UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import display, wants_json
from regulars.core.account_settings import EMAIL
from regulars.core.counts import count_of
from regulars.core.external_ids import EXTERNAL
from regulars.core.ids import encoder, number_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_PAGE_SIZE = 100
_MAX_ROWS = 10_000
_SELECTION = select_customer()
_GET = f"query($id: ID!) {{ node(id: $id) {{ ... on Customer {{ {_SELECTION} }} }} }}"
_BY_EMAIL = (
    "query($query: String!) { customers(query: $query, first: 2) { edges { node { id email } } } }"
)
_CREATE = f"""mutation($node: InputCustomer!) {{
  createCustomer(node: $node%s) {{ {_SELECTION} }} }}"""
_UPDATE = f"""mutation($id: ID!, $node: InputUpdateCustomer!, $version: Int) {{
  updateCustomer(id: $id, node: $node, ifVersion: $version%s) {{ {_SELECTION} }} }}"""
_IDENTIFY_BY = "{ accountSettings { identify_by } }"
_DELETE = "mutation($items: [ID!]!) { deleteCustomers(items: $items%s) }"
# An older server lacks these arguments, so other writes do not send them.
_PERMANENT = ", permanent: true"
_HISTORY = """query($id: ID!, $first: Int!, $after: String) { node(id: $id) { ... on Customer {
  changes(first: $first, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
    sequence kind at(format: "ISO") actor { kind name } request_id silent
    fields { name before after } } } } } } }"""

CustomerName = Annotated[
    str,
    typer.Argument(
        metavar="CUSTOMER",
        help="The `_id`, the id or the email of a customer, or external:SOURCE:ID.",
    ),
]
Limit = Annotated[
    int,
    typer.Option("--limit", metavar="N", min=1, max=_MAX_ROWS, help="The greatest number of rows."),
]


@app.command(
    "customers search",
    epilog=examples(
        "regulars customers search 'accepts_marketing:true order_by:expenses' --limit 50"
    ),
)
@with_connection
def search(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY", help="A search, such as 'tag:vip country:FR'. Default: all."
        ),
    ] = "",
    limit: Limit = 25,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="Continue after this cursor of a page."),
    ] = None,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Search customers.

    The newest come first, unless the search says otherwise. The language of searches is described
    in docs/reference/search.md.
    """
    result = connection.run(lambda client: search_customers(client, query, limit, after))
    print_customers(result, as_json, "No customers match this search.")


@app.command("customers get", epilog=examples("regulars customers get ada@example.com"))
@with_connection
def get(
    customer: CustomerName,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Print a customer."""

    print_customer(connection.run(lambda client: _read_customer(client, customer)), as_json)


@app.command(
    "customers create",
    epilog=examples("regulars customers create --email ada@example.com --first-name Ada --tag vip"),
)
@with_connection
@with_field_options
def create(
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
    **values: Any,
) -> None:
    """Create a customer.

    The command prints the customer.
    """
    from regulars.cli.client import mutate

    node = change_lists(input_node(values, values["source"]), {}, lists_of(values, "add"), {})

    async def work(client: Client) -> Any:
        if node.get("emails"):
            node.setdefault("email", "")
        if "email" not in node:
            if not await _needs_no_email(client):
                raise UsageError("A customer needs an email. Pass --email, or `email` in --input.")
            node["email"] = ""
        return await mutate(client, _CREATE, DRY_RUN * dry_run, node=node)

    print_customer(connection.run(work), as_json, dry_run)


@app.command(
    "customers update",
    epilog=examples(
        "regulars customers update ada@example.com --phone '+44 20 7946 0018'",
        "regulars customers update ada@example.com --add-email 'work <ada@work.example>'",
    ),
)
@with_connection
@with_field_options
def update(
    customer: CustomerName,
    if_version: Annotated[
        int | None,
        typer.Option(
            "--if-version",
            metavar="N",
            help="Change nothing if the customer's `version` is not this number.",
        ),
    ] = None,
    remove_emails: RemoveEmails = None,
    remove_phones: RemovePhones = None,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
    **values: Any,
) -> None:
    """Update a customer.

    Fields without an option keep their values. --email and --phone change the default, or make
    another one of the customer the default. The command prints the customer.
    """
    from regulars.cli.client import mutate

    node = input_node(values, values["source"])
    added = lists_of(values, "add")
    removed = {"emails": remove_emails or (), "phones": remove_phones or ()}
    changes_lists = any((*added.values(), *removed.values()))
    if not node and not changes_lists:
        raise UsageError("Nothing to update. Pass an option such as --phone, or --input.")

    async def write(client: Client) -> Any:
        version, changed = if_version, node
        if changes_lists:
            current = await _read_customer(client, customer)
            changed = change_lists(node, current, added, removed)
            version = current["version"] if version is None else version
        variables = {"id": await resolve(client, customer), "node": changed, "version": version}
        return await mutate(client, _UPDATE, DRY_RUN * dry_run, **variables)

    is_retried = changes_lists and if_version is None
    run = with_retries(write) if is_retried else write
    print_customer(connection.run(run), as_json, dry_run)


@app.command("customers delete", epilog=examples("regulars customers delete ada@example.com --yes"))
@with_connection
def delete(
    customers: Annotated[
        list[str],
        typer.Argument(
            metavar="CUSTOMER", help="The `_id`s, ids, emails or external ids of customers."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Delete for good, without the trash.")
    ] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Delete customers.

    Their orders, leads and personal data are deleted, too. All of the customers are deleted, or
    none. They stay in the trash for the trash_days of the account (`regulars trash list`). On a
    terminal the command asks first; a script passes --yes.
    """
    from regulars.cli.client import mutate

    ending = " for good" if permanent else ""
    confirm(f"Delete {count_of(len(customers), 'customer')}{ending}?", yes or dry_run)
    arguments = DRY_RUN * dry_run + _PERMANENT * permanent

    async def work(client: Client) -> Any:
        ids = [await resolve(client, customer) for customer in customers]
        return await mutate(client, _DELETE, arguments, items=ids)

    deleted = connection.run(work)
    if wants_json(as_json):
        print_json(deleted)
    else:
        verb = "Would delete" if dry_run else "Deleted"
        print(f"{verb} {count_of(len(deleted), 'customer')}.")
    print_dry_run(dry_run)


@app.command(
    "customers history", epilog=examples("regulars customers history ada@example.com --limit 100")
)
@with_connection
def history(
    customer: CustomerName,
    limit: Limit = 25,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """List the changes of a customer.

    The newest come first, with the time, the actor, and the values before and after.
    """
    changes = connection.run(lambda client: _history(client, customer, limit))
    if wants_json(as_json):
        print_json(changes)
        return
    rows = [
        {
            "at": change["at"],
            "change": change["kind"],
            "by": f"{change['actor']['kind']} {change['actor']['name']}",
            "fields": ", ".join(map(_describe_field, change["fields"])),
        }
        for change in changes
    ]
    print_rows(rows, ("at", "change", "by", "fields"), False)


async def _read_customer(client: Client, name: str) -> dict[str, Any]:
    from regulars.cli.client import fetch_data

    data = await fetch_data(client, _GET, id=await resolve(client, name))
    if not data["node"]:
        raise customer_not_found(name)
    customer: dict[str, Any] = data["node"]
    return customer


async def _history(client: Client, customer: str, limit: int) -> list[dict[str, Any]]:
    from regulars.cli.client import fetch_data

    customer_id, after = await resolve(client, customer), None
    changes: list[dict[str, Any]] = []
    while len(changes) < limit:
        first = min(_PAGE_SIZE, limit - len(changes))
        data = await fetch_data(client, _HISTORY, id=customer_id, first=first, after=after)
        if not data["node"]:
            raise customer_not_found(customer)
        page = data["node"]["changes"]
        changes += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    return changes


def _describe_field(field: Mapping[str, Any]) -> str:
    before, after = display(field["before"]), display(field["after"])
    return f"{field['name']}: {before or '(empty)'} → {after or '(empty)'}"


async def _needs_no_email(client: Client) -> bool:
    """Return whether the account permits customers without an email. An older server does not."""
    from regulars.cli.client import fetch_data

    try:
        data = await fetch_data(client, _IDENTIFY_BY)
    except APIError:
        return False
    return bool(data["accountSettings"]["identify_by"] != EMAIL)


async def resolve(client: Client, customer: str) -> str:
    """Return the id of a customer who is named by any form of id, or by email. Raises APIError if
    no customer has the email."""
    from regulars.cli.client import fetch_data

    text = customer.strip()
    if "@" not in text or text.startswith(EXTERNAL):
        number = number_of(text, "Customer")
        return encoder("Customer")([number])[0] if number is not None else text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    data = await fetch_data(client, _BY_EMAIL, query=f'email:"{quoted}"')
    matches: Sequence[Any] = data["customers"]["edges"]
    if len(matches) != 1:
        raise customer_not_found(customer)
    customer_id: str = matches[0]["node"]["id"]
    return customer_id


def customer_not_found(customer: str) -> APIError:
    """Return the error that no customer has an id or email."""
    kind = "email" if "@" in customer else "id"
    return APIError(
        f"No customer has the {kind} {customer!r}. Search with `regulars customers search`."
    )
