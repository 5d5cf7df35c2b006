"""Which scopes a root field needs, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

from regulars.api.context import Context, require
from regulars.core.paging import requested_size
from regulars.core.scopes import READ
from regulars.graphql import Arguments, Guard, Layout, Layouts


def needs(*scopes: str) -> Callable[[Layouts], Guard]:
    """The guard of a field for which a token must have scopes."""

    def check(env: Context) -> None:
        for scope in scopes:
            require(env, scope)

    return lambda _layouts: check


def _only(layouts: Layouts) -> Layout:
    return layouts.only


def _never(_layouts: Layouts) -> bool:
    return False


def reads_what_it_writes(
    scope: str,
    *written: str,
    shown: Callable[[Layouts], Layout] = _only,
    tells: Callable[[Layouts], bool] = _never,
) -> Callable[[Layouts], Guard]:
    """The guard of a write that shows the object as it is then (in the layout `shown`), and so what
    its writer did not write. Who may not read is told no more than the columns that are `written`
    in any case, and nothing of what `tells` says is selected besides."""

    def prepare(layouts: Layouts) -> Guard:
        blind = shown(layouts).reads_only(*written) and not tells(layouts)
        may_write, may_read = needs(scope)(layouts), needs(READ)(layouts)

        def check(env: Context) -> None:
            may_write(env)
            if not blind:
                may_read(env)

        return check

    return prepare


# What a write costs, in points.
WRITE_COST = 10
# How many characters of a search cost a point.
_SEARCH_COST = 10


def price_of_page(page_size: int, arguments: Arguments, fixed: int, per_row: int) -> int:
    """A page costs what it can return, and its search by its length."""
    search = len(arguments.get("query") or "") // _SEARCH_COST
    return fixed + search + requested_size(arguments, page_size) * per_row


def price_of_write(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    return WRITE_COST + fixed
