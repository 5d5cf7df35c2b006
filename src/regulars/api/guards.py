"""The scopes that a root field needs, and its cost."""

from __future__ import annotations

from collections.abc import Callable

from regulars.api.context import Context, require
from regulars.core.paging import requested_size
from regulars.core.scopes import READ
from regulars.graphql import Arguments, Guard, Layout, Layouts


def needs(*scopes: str) -> Callable[[Layouts], Guard]:
    """Returns the guard of a field that needs all of these scopes."""

    def check(env: Context) -> None:
        for scope in scopes:
            require(env, scope)

    return lambda _layouts: check


def _only(layouts: Layouts) -> Layout:
    return layouts.only


def _selects_nothing(_layouts: Layouts) -> bool:
    return False


def needs_to_write(
    scope: str,
    *public_columns: str,
    response_layout: Callable[[Layouts], Layout] = _only,
    selects_outcome: Callable[[Layouts], bool] = _selects_nothing,
) -> Callable[[Layouts], Guard]:
    """Returns the guard of a write whose response has the written object.

    The response can have values that the client did not write. So the field also needs the scope to
    read customers, unless `response_layout` has only `public_columns` and the document selects no
    outcome, which would show whether a value was changed.
    """

    def prepare(layouts: Layouts) -> Guard:
        layout = response_layout(layouts)
        if layout.reads_only(*public_columns) and not selects_outcome(layouts):
            return needs(scope)(layouts)
        return needs(scope, READ)(layouts)

    return prepare


# The cost of a write, in points.
WRITE_COST = 10
# So many characters of a search cost a point.
_CHARACTERS_PER_POINT = 10
# Counting 100 orders takes about 0.1 ms, and counting 1,000 customers less. A response with three
# such figures, as the overview needs, stays below the maximum cost of a request.
_ORDERS_PER_POINT = 100
_CUSTOMERS_PER_POINT = 1_000
_MAX_COUNTING_COST = 5_000


def price_of_page(page_size: int, arguments: Arguments, fixed: int, per_row: int) -> int:
    """Returns the cost of a page: the rows that it can return, and the length of its search."""
    return fixed + price_of_search(arguments) + requested_size(arguments, page_size) * per_row


def price_of_search(arguments: Arguments) -> int:
    """Returns the cost of the length of a search."""
    return len(arguments.get("query") or "") // _CHARACTERS_PER_POINT


def price_of_counting(orders: int, customers: int = 0) -> int:
    """Returns the cost of figures that count so many orders and customers."""
    points = orders // _ORDERS_PER_POINT + customers // _CUSTOMERS_PER_POINT
    return min(points, _MAX_COUNTING_COST)


def price_of_write(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns the cost of one write."""
    return WRITE_COST + fixed
