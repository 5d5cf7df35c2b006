"""`regulars people`: invite people to the pages, and change their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.completion import completes
from regulars.cli.confirming import confirm
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import DRY_RUN, print_dry_run
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import wants_json
from regulars.core.roles import ROLES

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_COLUMNS = ("id", "name", "email", "role", "state", "created_at", "last_seen_at", "removed_at")
_TIMES = " ".join(f'{name}(format: "ISO")' for name in _COLUMNS if name.endswith("_at"))
_PERSON = f"id name email role state {_TIMES}"
_LIST = f"{{ people {{ {_PERSON} }} }}"
_LINK = f'path expires_at(format: "ISO") person {{ {_PERSON} }}'
_INVITE = f"mutation($node: InputPerson!) {{ invitePerson(node: $node%s) {{ {_LINK} }} }}"
_NEW_LINK = f"mutation($id: ID!) {{ createSignInLink(id: $id) {{ {_LINK} }} }}"
_UPDATE = f"""mutation($id: ID!, $node: InputPersonChanges!) {{
  updatePerson(id: $id, node: $node%s) {{ {_PERSON} }} }}"""
_REMOVE = f"mutation($id: ID!) {{ removePerson(id: $id%s) {{ {_PERSON} }} }}"

_ROLES = " ".join(f"{name}: {role.description}" for name, role in ROLES.items())
PersonName = Annotated[
    str, typer.Argument(metavar="NAME", help="The name or the id of the person.")
]
Pages = Annotated[
    str | None,
    typer.Option(
        "--pages",
        metavar="URL",
        help="The URL of the pages in the link, such as https://customers.example.com. The default "
        "is --url, or the address that `regulars serve` listens on.",
    ),
]


@app.command("people list", epilog=examples("regulars people list"))
@with_connection
def people_list(*, connection: Connection, as_json: bool | None) -> None:
    """List the people of an account.

    With --url, the token needs the scope admin, as for all commands of this group.
    """
    people = connection.run(_load)
    print_rows(people, _COLUMNS, as_json, "No people. Invite one with: regulars people invite NAME")


@app.command(
    "people invite",
    epilog=examples(
        'regulars people invite "Ana Ruiz" --role support',
        'regulars people invite "Ana Ruiz" --role owner --pages https://customers.example.com',
    ),
)
@with_connection
def people_invite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the person.")],
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            autocompletion=completes(*ROLES),
            help=f"What the person may do. {_ROLES}",
        ),
    ] = "read_only",
    email: Annotated[
        str | None,
        typer.Option("--email", metavar="EMAIL", help="Email of the person. It gets no message."),
    ] = None,
    pages: Pages = None,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Invite a person, and print a sign-in link.

    The link works once, for three days. It is not stored.
    """
    node = {"name": name, "role": role, "email": email}
    link = _run(connection, _INVITE % (DRY_RUN * dry_run), node=node)
    print_dry_run(dry_run)
    if dry_run and not wants_json(as_json):
        print(f"Would invite {link['person']['name']} ({link['person']['role']}).")
        return
    _print_link(link, connection, pages, as_json)


@app.command("people link", epilog=examples('regulars people link "Ana Ruiz"'))
@with_connection
def people_link(
    name: PersonName, pages: Pages = None, *, connection: Connection, as_json: bool | None
) -> None:
    """Print a new sign-in link for a person.

    Earlier links that were not used end. The person stays signed in where they are.
    """
    _print_link(_run(connection, _NEW_LINK, name), connection, pages, as_json)


@app.command("people role", epilog=examples('regulars people role "Ana Ruiz" marketing'))
@with_connection
def people_role(
    name: PersonName,
    role: Annotated[
        str,
        typer.Argument(metavar="ROLE", autocompletion=completes(*ROLES), help="The new role."),
    ],
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Change the role of a person.

    It takes effect within a second. The last owner who has signed in must stay an owner.
    """
    person = _run(connection, _UPDATE % (DRY_RUN * dry_run), name, node={"role": role})
    verb = "Would change" if dry_run else "Changed"
    _print(person, f"{verb} the role of {person['name']} to {person['role']}.", dry_run, as_json)


@app.command("people remove", epilog=examples('regulars people remove "Ana Ruiz" --yes'))
@with_connection
def people_remove(
    name: PersonName,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Remove a person.

    The person is signed out within a second. The name stays in the history. On a terminal the
    command asks first; a script passes --yes.
    """
    confirm(f"Remove {name}?", yes or dry_run, "a person")
    person = _run(connection, _REMOVE % (DRY_RUN * dry_run), name)
    verb = "Would remove" if dry_run else "Removed"
    _print(person, f"{verb} {person['name']}.", dry_run, as_json)


async def _load(client: Client) -> list[dict[str, Any]]:
    from regulars.cli.client import fetch_data

    return list((await fetch_data(client, _LIST))["people"])


def _run(
    connection: Connection, document: str, name: str | None = None, **variables: Any
) -> dict[str, Any]:
    """Run a mutation, for the person with a name or an id if one is passed; return its result.
    Raises UsageError."""
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        if name is not None:
            present = [person for person in await _load(client) if person["state"] != "removed"]
            match = next((p for p in present if name in (p["id"], p["name"])), None)
            if match is None:
                raise UsageError(
                    f"No person is named {name!r}. List the people with `regulars people list`."
                )
            variables["id"] = match["id"]
        (result,) = (await fetch_data(client, document, **variables)).values()
        return dict(result)

    return connection.run(work)


def _print(person: dict[str, Any], line: str, dry_run: bool, as_json: bool | None) -> None:
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(person)
    else:
        print(line)


def _print_link(
    link: dict[str, Any], connection: Connection, pages: str | None, as_json: bool | None
) -> None:
    from regulars.cli.urls import reachable_at

    settings = options.settings(database_url=connection.database_url)
    server = pages or connection.server_url or reachable_at(settings.host, settings.port)
    url = f"{server.rstrip('/')}{link['path']}" if link["path"] else ""
    if wants_json(as_json):
        print_json({"link": url, "expires_at": link["expires_at"], "person": link["person"]})
    else:
        print(f"{link['person']['name']} signs in with this link, once until {link['expires_at']}:")
        print(url)
