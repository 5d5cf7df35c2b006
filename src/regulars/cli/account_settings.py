"""`regulars account settings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.connection import Connection, with_connection
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.cli.values import print_record, wants_json
from regulars.core.account_settings import SETTINGS
from regulars.core.text import did_you_mean

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_SELECTION = " ".join(SETTINGS)
_READ = f"{{ accountSettings {{ {_SELECTION} }} }}"
_CHANGE = f"""mutation($node: InputAccountSettings!) {{
  updateAccountSettings(node: $node) {{ {_SELECTION} }} }}"""


@app.command(
    "account settings",
    epilog=examples(
        "regulars account settings",
        "regulars account settings --account north --set trash_days=90",
        "regulars account settings --set identify_by=email_or_phone",
        "regulars account settings --set default_country=FR",
        "regulars account settings --unset trash_days",
    ),
)
@with_connection
def settings(
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a setting. Repeatable."),
    ] = None,
    resets: Annotated[
        list[str] | None,
        typer.Option("--unset", metavar="KEY", help="Reset a setting to its default. Repeatable."),
    ] = None,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Show or change settings of an account.

    The command prints all settings. With --url, a change needs a token with the scope settings.
    """
    from regulars.cli.client import fetch_data

    node = {**_values(changes or ()), **{_known(name): None for name in resets or ()}}

    async def work(client: Client) -> dict[str, Any]:
        if not node:
            data = await fetch_data(client, _READ)
        else:
            data = await fetch_data(client, _CHANGE, node=node)
        (result,) = data.values()
        return dict(result)

    result = connection.run(work)
    if wants_json(as_json):
        print_json(result)
    else:
        print_record(result)


def _values(changes: Sequence[str]) -> dict[str, int | str]:
    """Return the settings of arguments `KEY=VALUE`. Raises UsageError."""
    values: dict[str, int | str] = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r} has no value. Pass KEY=VALUE.")
        try:
            values[name] = SETTINGS[_known(name)].parse(value)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return values


def _known(name: str) -> str:
    if name not in SETTINGS:
        hint = did_you_mean(name, SETTINGS)
        raise UsageError(f"Unknown setting {name!r}.{hint} Supported: {', '.join(SETTINGS)}.")
    return name
