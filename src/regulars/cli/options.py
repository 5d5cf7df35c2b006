"""The options that commands share. Each setting has an option of the same name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from regulars.cli.errors import UsageError
from regulars.settings import Settings
from regulars.store import DatabaseUrl, parse_url


def _option(name: str) -> Any:
    """The option of a setting: its name, its help, and the type of its value."""
    field = Settings.model_fields[name]
    default = shown_default(name)
    help_text = (
        f"{field.description} [env: REGULARS_{name.upper()}{default and f'; default: {default}'}]"
    )
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=help_text)]
    kind: type = str
    if field.annotation is float:
        kind = float
    elif field.annotation in (int, int | None):
        kind = int
    metavar = _METAVARS.get(name, "TEXT" if kind is str else "NUMBER")
    return Annotated[kind | None, typer.Option(flag, metavar=metavar, help=help_text)]


_METAVARS = {
    "database_url": "URL",
    "read_database_url": "URLS",
    "host": "ADDRESS",
    "bootstrap_token": "TOKEN",
    "cors_origins": "ORIGINS",
}


def shown_default(name: str) -> str:
    """Return the default of a setting as text; empty without a default."""
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        return str(default).lower()
    if default in (None, ()):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


DatabaseURL = _option("database_url")
ReadDatabaseURL = _option("read_database_url")
Host = _option("host")
Workers = _option("workers")
Tools = Annotated[
    Path | None,
    typer.Option(
        "--tools",
        metavar="FOLDER",
        help="Where pg_dump and pg_restore are, if they are not on the PATH.",
    ),
]


def every_setting(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each setting to a command. It is called with those that are set."""
    return these_settings(*Settings.model_fields)(command)


def these_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add options for some settings to a command. It is called with those that are set."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, keyword, default=None, annotation=_option(name)) for name in names
    ]

    def give(command: Callable[..., None]) -> Callable[..., None]:
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
        return command

    return give


AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
AccountName = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="The account; needed when there are several."),
]


def address(database_url: str | None) -> DatabaseUrl:
    """Where the database is: by the option, the environment or the default. Raises UsageError, and
    BadDatabaseURL."""
    return parse_url(settings(database_url=database_url).database_url)


def settings(**values: Any) -> Settings:
    """The settings: the options given, then the environment, then the defaults.

    Raises UsageError with a sentence for each value that is refused.
    """
    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            message = detail["msg"].removeprefix("Value error, ")
            if not detail["loc"]:  # settings that do not go together
                lines.append(f"{message[0].upper()}{message[1:]}.")
                continue
            name = str(detail["loc"][0])
            option = name.replace("_", "-")
            lines.append(f"--{option} (REGULARS_{name.upper()}): {message}.")
        raise UsageError(" ".join(lines)) from None
