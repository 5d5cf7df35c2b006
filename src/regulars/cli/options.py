"""The options that commands share. Each setting has an option of the same name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.completion import complete_account, completes
from regulars.cli.errors import UsageError
from regulars.environment import ACCOUNT_VARIABLE, SettingsError, load_settings, read_secret
from regulars.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from regulars.store import DatabaseUrl


def examples(*commands: str) -> str:
    """Returns the end of a command's help with examples."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def _option(name: str) -> Any:
    """Returns the option of a setting. `load_settings` reads its text."""
    setting = SETTINGS[name]
    default = f"; default: {setting.default_text}" if setting.default_text else ""
    help_text = f"{setting.description} [env: {setting.variable}{default}]"
    flag = setting.option
    if setting.is_flag:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=help_text)]
    option = typer.Option(
        flag,
        metavar=setting.metavar,
        help=help_text,
        autocompletion=completes(*setting.choices) if setting.choices else None,
    )
    return Annotated[str | None, option]


DatabaseURL = _option("database_url")
ReadDatabaseURL = _option("read_database_url")
Host = _option("host")
Port = _option("port")
Workers = _option("workers")
BackupFolder = _option("backup_folder")
Tools = Annotated[
    Path | None,
    typer.Option(
        "--tools",
        metavar="FOLDER",
        help="The folder of pg_dump and pg_restore, if they are not on the PATH.",
    ),
]


def every_setting(command: Callable[..., None]) -> Callable[..., None]:
    """Adds an option for each setting to a command. It is called with those that are set."""
    return these_settings(*SETTINGS)(command)


def these_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds options for some settings to a command. It is called with those that are set."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, keyword, default=None, annotation=_option(name)) for name in names
    ]

    def add_options(command: Callable[..., None]) -> Callable[..., None]:
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
        return command

    return add_options


AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
# Of commands that print rows.
JsonOrTable = Annotated[
    bool | None,
    typer.Option(
        "--json/--table",
        help="Print JSON or a table. The default is a table on a terminal and JSON otherwise.",
        show_default=False,
    ),
]
AccountName = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        envvar=ACCOUNT_VARIABLE,
        show_envvar=False,
        autocompletion=complete_account,
        help="The account. It is required if there are several accounts. "
        f"[env: {ACCOUNT_VARIABLE}]",
    ),
]

Query = Annotated[
    str,
    typer.Option(
        "--query",
        metavar="QUERY",
        help="A query in the search language. By default, all customers are selected.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen, without saving anything.")
]
Silent = Annotated[
    bool,
    typer.Option(
        "--silent", help="Do not send events to webhooks. The feed still contains the changes."
    ),
]


def address(database_url: str | None) -> DatabaseUrl:
    """Returns the URL of the database: the option, the environment or the default. Raises
    UsageError and BadDatabaseURL."""
    from regulars.store import parse_url

    return parse_url(settings(database_url=database_url).database_url)


def settings(**values: Any) -> Settings:
    """Returns the settings: the options, then the environment, then the defaults.

    Raises UsageError with a sentence for each invalid value.
    """
    try:
        return load_settings(**values)
    except SettingsError as error:
        raise UsageError(str(error)) from None


def secret(option: str, value: str | None, variable: str) -> str:
    """Returns the secret of an option, of an environment variable, or of the file that the variable
    with the suffix _FILE names. Raises UsageError."""
    try:
        found = value or read_secret(variable, os.environ)[1]
    except SettingsError as error:
        raise UsageError(str(error)) from None
    if not found:
        raise UsageError(f"{option} is missing. Add the option, or set {variable}.")
    return found
