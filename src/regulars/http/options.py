"""Reads the options of a route from the query string."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import QueryParams
from starlette.requests import Request

from regulars.core.text import did_you_mean
from regulars.http.errors import bad_request

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse_options(request: Request, allowed: Collection[str], repeatable: str = "") -> QueryParams:
    """Returns the options of a request. Raises HTTPError (400) for an option that is not `allowed`,
    and for one that is repeated without being `repeatable`."""
    options = request.query_params
    for name in options:
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            names = ", ".join(allowed)
            raise bad_request(f"Unknown option {name!r}.{hint} Supported: {names}.")
        if name != repeatable and len(options.getlist(name)) > 1:
            raise bad_request(f"The option `{name}` occurs more than once. Send it once.")
    return options


def parse_flag(options: QueryParams, name: str, default: bool) -> bool:
    """Returns the value of a Boolean option. Raises HTTPError (400) for another value."""
    if name not in options:
        return default
    value = _FLAGS.get(options[name].lower())
    if value is None:
        raise bad_request(f"`{name}` must be true or false, not {options[name]!r}.")
    return value
