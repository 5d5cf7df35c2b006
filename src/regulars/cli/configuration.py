"""`regulars config`: the settings, and where each value comes from."""

from __future__ import annotations

import os
from typing import Any

import typer

from regulars.cli.errors import UsageError
from regulars.cli.options import JsonOrTable, examples
from regulars.cli.output import print_rows
from regulars.cli.values import display, wants_json

app = typer.Typer()

_MASK = "********"


@app.command("config", epilog=examples("regulars config", "regulars config --json"))
def config(as_json: JsonOrTable = None) -> None:
    """List the settings, their values and where the values come from.

    Passwords and tokens are masked. The source is an environment variable or `default`. An option
    of a command takes precedence over both.
    """
    from regulars.environment import SettingsError, load_with_sources
    from regulars.settings import SETTINGS

    try:
        settings, sources = load_with_sources({}, os.environ)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    rows = [
        {
            "setting": name,
            "variable": setting.variable,
            "value": shown_value(settings, name),
            "source": sources[name],
        }
        for name, setting in SETTINGS.items()
    ]
    if wants_json(as_json):
        print_rows(rows, ("setting", "variable", "value", "source"), as_json=True)
    else:
        rows = [{**row, "value": _describe(row["value"])} for row in rows]
        print_rows(rows, ("variable", "value", "source"), as_json=False)


def _describe(value: Any) -> str:
    return "(none)" if value in (None, []) else display(value)


def shown_value(settings: Any, name: str) -> Any:
    """Return a setting as a JSON value. Secrets are masked, and database URLs have no user and no
    password."""
    from regulars.settings import SETTINGS
    from regulars.store import parse_url

    value = getattr(settings, name)
    if value is None:
        return None
    if name == "database_url":
        return parse_url(value).redacted
    if name == "read_database_url":
        return " ".join(parse_url(url).redacted for url in settings.replica_urls)
    if SETTINGS[name].is_secret:
        return _MASK
    return list(value) if isinstance(value, tuple) else value
