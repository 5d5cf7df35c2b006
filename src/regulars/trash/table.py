"""The tables of the trash."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import Text, key, number, table, text

# Deleted customers until `purge_at`. `body` has the rows of the customer (body.py), and `size` is
# the number of its bytes before the compression. The customer has no rows in other tables, apart
# from its history, whose values are in the body.
trash = table(
    "trash",
    key("account_id"),
    key("customer_id"),
    number("deleted_at"),
    number("purge_at"),
    text("email"),
    text("full_name"),
    number("orders_count"),
    text("actor_kind"),
    text("actor"),
    number("size"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("trash_deleted_at", "account_id", "deleted_at", "customer_id"),
    sa.Index("trash_purge_at", "purge_at"),
)

# The kinds of keys: an `email_key`, the shop id of a customer or an order, the name of an order.
KEY_KINDS = EMAIL, SHOP_ID, ORDER = "email", "external_id", "order"

# What a customer in the trash had for itself alone, and what a restore would give back to it.
# There is no foreign key: Citus accepts none while tables are added.
trash_keys = table(
    "trash_keys",
    key("account_id"),
    sa.Column("kind", Text, primary_key=True),
    sa.Column("value", Text, primary_key=True),
    key("customer_id"),
    sa.Index("trash_keys_of_customer", "account_id", "customer_id"),
)
