"""The options of an address, as its query string has them."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import QueryParams
from starlette.requests import Request

from regulars.directory.text import did_you_mean
from regulars.http.errors import bad_request

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def options_of(request: Request, known: Collection[str], several: str = "") -> QueryParams:
    """The options given. Raises HTTPError (400) for one that there is not, and for one that comes
    twice unless it is `several`."""
    given = request.query_params
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            options = ", ".join(known)
            raise bad_request(f"There is no option {name!r}.{hint} The options are {options}.")
        if name != several and len(given.getlist(name)) > 1:
            raise bad_request(f"The option {name} is there twice. Give it once.")
    return given


def flag(given: QueryParams, name: str, default: bool) -> bool:
    """An option that is true or false. Raises HTTPError (400)."""
    if name not in given:
        return default
    found = _FLAGS.get(given[name].lower())
    if found is None:
        raise bad_request(f"{name} is true or false, not {given[name]!r}.")
    return found
