"""`regulars comments`: list, add, update and delete the comments of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.confirming import confirm
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import DRY_RUN, print_dry_run
from regulars.cli.customers import CustomerName, Limit, customer_not_found, resolve
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import STDIN, print_record, read_text, wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_PAGE_SIZE = 100
_COMMENT = """id _id text pinned private edited author { kind name }
  created_at(format: "ISO") updated_at(format: "ISO")"""
_LIST = f"""query($id: ID!, $first: Int!, $after: String) {{ node(id: $id) {{ ... on Customer {{
  comments(first: $first, after: $after) {{ totalCount pageInfo {{ hasNextPage endCursor }}
    edges {{ node {{ {_COMMENT} }} }} }} }} }} }}"""
_ADD = f"""mutation($id: ID!, $node: InputComment!) {{
  addComment(customer: $id, node: $node%s) {{ {_COMMENT} }} }}"""
_UPDATE = f"""mutation($id: ID!, $node: InputComment!) {{
  updateComment(id: $id, node: $node%s) {{ {_COMMENT} }} }}"""
_DELETE = "mutation($items: [ID!]!) { deleteComments(items: $items%s) }"

Pinned = Annotated[
    bool | None, typer.Option("--pinned/--no-pinned", help="Whether it stays at the top.")
]
Private = Annotated[
    bool | None,
    typer.Option(
        "--private/--no-private",
        help="Whether it is left out when the customer asks for the stored data.",
    ),
]


@app.command("comments list", epilog=examples("regulars comments list ada@example.com"))
@with_connection
def comments_list(
    customer: CustomerName,
    limit: Limit = 25,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """List the comments of a customer.

    Pinned comments come first, then the newest. `regulars customers search 'comment:invoice'` finds
    customers by the words of their comments.
    """
    comments, total = connection.run(lambda client: _comments(client, customer, limit))
    if wants_json(as_json):
        print_json(comments)
        return
    rows = [{**each, "author": each["author"]["name"]} for each in comments]
    columns = ("_id", "text", "author", "created_at", "pinned", "private", "edited")
    print_rows(rows, columns, False, "The customer has no comments.")
    if comments:
        print(f"{len(comments):,} of {count_of(total, 'comment')}.")


@app.command(
    "comments add",
    epilog=examples(
        "regulars comments add ada@example.com 'Called back: wants the blue one.'",
        "regulars comments add 1042 - --pinned < note.txt",
    ),
)
@with_connection
def add(
    customer: CustomerName,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text, or - for standard input.")],
    pinned: Pinned = None,
    private: Private = None,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Add a comment to a customer.

    The customer does not change. The command prints the comment.
    """
    from regulars.cli.client import mutate

    node = _node(text, pinned, private, "TEXT")

    async def work(client: Client) -> Any:
        values = {"id": await resolve(client, customer), "node": node}
        return await mutate(client, _ADD, DRY_RUN * dry_run, **values)

    _print(connection.run(work), as_json, dry_run)


@app.command(
    "comments update",
    epilog=examples(
        "regulars comments update 7 --text 'Wants the green one.'",
        "regulars comments update 7 --pinned",
    ),
)
@with_connection
def update(
    comment: Annotated[
        str, typer.Argument(metavar="COMMENT", help="The `_id` or the id of a comment.")
    ],
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="The new text, or - for standard input."),
    ] = None,
    pinned: Pinned = None,
    private: Private = None,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Correct or pin a comment.

    What has no option keeps its value. Only the author and an admin can change the text. The
    command prints the comment.
    """
    from regulars.cli.client import mutate

    node = _node(text, pinned, private, "--text")
    if not node:
        raise UsageError("Nothing to update. Pass an option such as --text or --pinned.")
    values = {"id": comment, "node": node}
    changed = connection.run(lambda client: mutate(client, _UPDATE, DRY_RUN * dry_run, **values))
    _print(changed, as_json, dry_run)


@app.command("comments delete", epilog=examples("regulars comments delete 7 8 --yes"))
@with_connection
def delete(
    comments: Annotated[
        list[str], typer.Argument(metavar="COMMENT", help="The `_id`s or ids of comments.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Delete comments.

    They are not in the trash. All of the comments are deleted, or none. On a terminal the command
    asks first; a script passes --yes.
    """
    from regulars.cli.client import mutate

    confirm(f"Delete {count_of(len(comments), 'comment')}?", yes or dry_run, "comments")
    deleted = connection.run(
        lambda client: mutate(client, _DELETE, DRY_RUN * dry_run, items=comments)
    )
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(deleted)
    else:
        verb = "Would delete" if dry_run else "Deleted"
        print(f"{verb} {count_of(len(deleted), 'comment')}.")


async def _comments(client: Client, customer: str, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return comments of a customer, and the number of all. Raises APIError."""
    from regulars.cli.client import fetch_data

    customer_id, after = await resolve(client, customer), None
    comments: list[dict[str, Any]] = []
    while True:
        first = min(_PAGE_SIZE, limit - len(comments))
        data = await fetch_data(client, _LIST, id=customer_id, first=first, after=after)
        if not data["node"]:
            raise customer_not_found(customer)
        page = data["node"]["comments"]
        comments += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"] or len(comments) >= limit:
            return comments, page["totalCount"]


def _node(
    text: str | None, pinned: bool | None, private: bool | None, option: str
) -> dict[str, Any]:
    """Return the input of a comment. Raises UsageError."""
    content = read_text(STDIN, option) if text == STDIN else text
    values = {"text": content, "pinned": pinned, "private": private}
    return {name: value for name, value in values.items() if value is not None}


def _print(comment: dict[str, Any], as_json: bool | None, dry_run: bool) -> None:
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(comment)
        return
    record = {**comment, "author": comment["author"]["name"], "id": None}
    print_record({"_id": record.pop("_id"), **record, "global_id": comment["id"]})
