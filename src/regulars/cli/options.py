"""The options that commands share: one for each setting, of the setting's name."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from regulars.cli.errors import Usage
from regulars.settings import Settings


def _help(name: str) -> str:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f"; default: {field.default}"
    return f"{field.description} [env: REGULARS_{name.upper()}{default}]"


DatabaseURL = Annotated[
    str | None, typer.Option("--database-url", metavar="URL", help=_help("database_url"))
]
Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help=_help("host"))]
Port = Annotated[int | None, typer.Option("--port", metavar="NUMBER", help=_help("port"))]
Workers = Annotated[int | None, typer.Option("--workers", metavar="NUMBER", help=_help("workers"))]
BootstrapToken = Annotated[
    str | None, typer.Option("--bootstrap-token", metavar="TOKEN", help=_help("bootstrap_token"))
]
MaxBodyBytes = Annotated[
    int | None, typer.Option("--max-body-bytes", metavar="NUMBER", help=_help("max_body_bytes"))
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
AccountName = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="The account; needed when there are several."),
]


def settings(**given: Any) -> Settings:
    """The settings: the options given, then the environment, then the defaults.

    Raises Usage with a sentence for each value that is refused.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = []
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            name = str(one["loc"][0])
            option = name.replace("_", "-")
            lines.append(f"--{option} (REGULARS_{name.upper()}): {one['msg']}.")
        raise Usage(" ".join(lines)) from None
