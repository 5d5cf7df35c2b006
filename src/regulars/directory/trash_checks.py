"""Checks of the trash for `verify`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Set

from regulars.customers.contact_points import additional_keys
from regulars.directory.entities import ENTITIES
from regulars.directory.row_checks import check_customer, check_order
from regulars.directory.spend_checks import check_totals_in_trash
from regulars.store import Row
from regulars.store.tables import orders, shop_ids
from regulars.trash import body as bodies
from regulars.trash.table import EMAIL, ORDER, SHOP_ID

Keys = Set[tuple[str, str]]


def check_trashed(
    account: str, row: Row, keys: Keys, customer_ids: Collection[int], last_order: int
) -> Iterator[str]:
    """Yield the problems of a customer in the trash. `keys` are the kinds and values of its keys,
    `customer_ids` are the customers outside of the trash, and `last_order` is the last `_id` of an
    order that the account gave."""
    label = f"{account}, customer {row['customer_id']} in the trash"
    if row["customer_id"] in customer_ids:
        yield f"{label}: the customer is outside of the trash, too"
    try:
        body = bodies.unpack(bytes(row["body"]))
    except ValueError:
        yield f"{label}: the body cannot be decoded"
        return
    key = (row["account_id"], row["customer_id"])
    customer = bodies.customer_row(body, *key)
    row_problems = list(check_customer(customer))
    yield from (f"{label}: {problem}" for problem in row_problems)
    if row_problems:
        return
    expected_keys = {(EMAIL, key) for key in (customer["email_key"], *additional_keys(customer))}
    order_rows: list[Row] = []
    for entity, moved in bodies.rows_of(ENTITIES, body, *key):
        if entity.table is shop_ids:
            expected_keys.add((SHOP_ID, moved["shop_id"]))
        if entity.table is orders:
            expected_keys.add((ORDER, moved["name"]))
            yield from check_order(label, moved, last_order)
            order_rows.append(moved)
    yield from check_totals_in_trash(label, customer, order_rows)
    if keys != expected_keys:
        yield f"{label}: the keys do not match the values"
