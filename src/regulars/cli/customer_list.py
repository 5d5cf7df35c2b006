"""Lists of customers in the commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regulars.cli.customer_fields import select_customer
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import display, wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

_SELECTION = select_customer()
_SEARCH = f"""query($query: String!, $first: Int!, $after: String) {{
  customers(query: $query, first: $first, after: $after) {{
    totalCount pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_SELECTION} }} }} }} }}"""


async def search_customers(
    client: Client, query: str, limit: int, after: str | None
) -> dict[str, Any]:
    """Return at most `limit` customers after a cursor, how many the query finds, and the cursor of
    the next page."""
    from regulars.cli.client import fetch_nodes

    page = await fetch_nodes(client, _SEARCH, limit, after, query=query)
    return {"total": page.total, "customers": page.nodes, "next": page.next}


def print_customers(result: Mapping[str, Any], as_json: bool | None, if_empty: str) -> None:
    """Print the customers that `search_customers` returned."""
    if wants_json(as_json):
        print_json(result)
        return
    customers = result["customers"]
    if not customers:
        print(if_empty)
        return
    rows = [
        {
            "_id": row["_id"],
            "email": row["email"],
            "phone": row["phone"],
            "name": row["full_name"],
            "orders": row["orders_count"],
            "spent": display(row["expenses"]),
        }
        for row in customers
    ]
    # The phone of those without an email.
    contact = ("email",) if all(row["email"] for row in rows) else ("email", "phone")
    print_rows(rows, ("_id", *contact, "name", "orders", "spent"), False)
    print(f"{len(customers):,} of {count_of(result['total'], 'customer')}.", end="")
    print(f" Next page: --after {result['next']}" if result["next"] else "")
