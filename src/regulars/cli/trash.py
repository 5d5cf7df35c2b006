"""`regulars trash`: list, restore and remove deleted customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.confirming import confirm
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import DRY_RUN, print_dry_run
from regulars.cli.customers import Limit
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_AT_ONCE = 250
_LIST = """query($email: String, $first: Int!, $after: String) {
  trash(email: $email, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node {
      id _id email full_name orders_count deleted_at(format: "ISO") purge_at(format: "ISO")
      deleted_by { kind name } } } } }"""
_RESTORE = """mutation($items: [ID!]!, $policy: ConflictPolicy!) {
  restoreCustomers(items: $items, conflictPolicy: $policy%s) {
    customers { id _id email } skipped { customer_id field value taken_by } } }"""
_EMPTY = "mutation($items: [ID!]) { emptyTrash(items: $items%s) }"


@app.command(
    "trash list",
    epilog=examples("regulars trash list", "regulars trash list --email ada@example.com"),
)
@with_connection
def trash_list(
    email: Annotated[
        str | None, typer.Option("--email", metavar="EMAIL", help="Only customers with this email.")
    ] = None,
    limit: Limit = 25,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """List deleted customers.

    The latest deletion comes first. `purge_at` is when the customer is removed for good.
    """
    from regulars.cli.client import fetch_nodes

    customers, total, _ = connection.run(
        lambda client: fetch_nodes(client, _LIST, limit, email=email)
    )
    if wants_json(as_json):
        print_json(customers)
        return
    columns = ("_id", "email", "full_name", "orders_count", "deleted_at", "purge_at")
    print_rows(customers, columns, False, "The trash is empty.")
    if customers:
        print(f"{len(customers):,} of {count_of(total, 'customer')}.")


@app.command(
    "trash restore",
    epilog=examples("regulars trash restore 1042", "regulars trash restore 7 8 --skip-conflicts"),
)
@with_connection
def trash_restore(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID", help="The `_id`s or ids of deleted customers.")
    ],
    skip_conflicts: Annotated[
        bool,
        typer.Option(
            "--skip-conflicts",
            help="Restore without orders and external ids that another customer has now.",
        ),
    ] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Restore deleted customers.

    They return with everything that they had, and with the same ids. All of them are restored, or
    none.
    """
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        policy = "skip" if skip_conflicts else "refuse"
        document = _RESTORE % (DRY_RUN * dry_run)
        data = await fetch_data(client, document, items=ids, policy=policy)
        result: dict[str, Any] = data["restoreCustomers"]
        return result

    result = connection.run(work)
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(result)
        return
    verb = "Would restore" if dry_run else "Restored"
    print(f"{verb} {count_of(len(result['customers']), 'customer')}.")
    if result["skipped"]:
        print("These values were left out, because another customer has them:")
        print_rows(result["skipped"], ("customer_id", "field", "value", "taken_by"), False)


@app.command(
    "trash empty", epilog=examples("regulars trash empty --yes", "regulars trash empty 1042 --yes")
)
@with_connection
def trash_empty(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids of deleted customers. Default: all."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Remove deleted customers for good.

    This cannot be undone. Without IDs, a server removes all of them within ten minutes, and until
    then they are hidden. On a terminal the command asks first; a script passes --yes.
    """
    from regulars.cli.client import fetch_data

    subject = count_of(len(ids), "deleted customer") if ids else "all deleted customers"
    confirm(f"Remove {subject} for good?", yes or dry_run)

    document = _EMPTY % (DRY_RUN * dry_run)

    async def work(client: Client) -> int:
        parts = [ids[n : n + _AT_ONCE] for n in range(0, len(ids), _AT_ONCE)] if ids else [None]
        removed = [(await fetch_data(client, document, items=part))["emptyTrash"] for part in parts]
        return sum(removed)

    removed = connection.run(work)
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json({"removed": removed})
    else:
        verb = "Would remove" if dry_run else "Removed"
        print(f"{verb} {count_of(removed, 'customer')}.")
