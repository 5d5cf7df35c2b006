"""The time of a customer's last order, the currency that `expenses` count, and the customers whose
`expenses` must be counted again.

Older programs add the amounts of all currencies, and leave the time of the last order unchanged. So
the currency of an account counts after the contract part (`orders/spend.py`), which also fills the
new column.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
# Older programs leave what is new at its defaults.
works_with = "0008"

# The time of the last order of a customer without orders.
NEVER = -(2**53) + 1

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    column = sa.Column("last_order_at", number, nullable=False, server_default=str(NEVER))
    op.add_column("customers", column)
    columns = ["account_id", "last_order_at", "customer_id"]
    op.create_index("customers_last_order_at", "customers", columns)
    op.create_index(
        "orders_counted",
        "orders",
        ["account_id", "created_at", "order_id"],
        sqlite_where=sa.text("test = 0 AND cancelled_at IS NULL"),
        postgresql_where=sa.text("NOT test AND cancelled_at IS NULL"),
    )
    op.add_column("accounts", sa.Column("recount_after", number, nullable=True))


def contract() -> None:
    """Fill the time of the last order, and set the currency of each account with orders. An account
    with orders in several currencies still adds them."""
    connection = op.get_bind()
    written_since = sa.text(
        "UPDATE customers SET last_order_at = :never WHERE last_order_at > :never"
    )
    connection.execute(written_since, {"never": NEVER})
    connection.execute(
        sa.text(
            "UPDATE customers SET last_order_at = last.created_at FROM ("
            "SELECT account_id, customer_id, max(created_at) AS created_at FROM orders "
            "WHERE NOT test AND cancelled_at IS NULL GROUP BY account_id, customer_id) AS last "
            "WHERE customers.account_id = last.account_id "
            "AND customers.customer_id = last.customer_id"
        )
    )
    counts: dict[int, list[tuple[int, str]]] = {}
    by_currency = (
        "SELECT account_id, currency, count(*) FROM orders WHERE NOT test AND cancelled_at IS NULL "
        "GROUP BY account_id, currency ORDER BY account_id, currency DESC"
    )
    for account_id, currency, count in connection.execute(sa.text(by_currency)):
        counts.setdefault(account_id, []).append((count, currency))
    rows = connection.execute(sa.text("SELECT account_id, settings FROM accounts"))
    stored: dict[int, str | None] = {row[0]: row[1] for row in rows}
    update = sa.text("UPDATE accounts SET settings = :settings WHERE account_id = :account_id")
    for account_id, currencies in counts.items():
        _, most_frequent = max(currencies, key=lambda pair: pair[0])
        settings = {
            "currency": most_frequent,
            "expenses_currency": "account" if len(currencies) == 1 else "all",
            **json.loads(stored.get(account_id) or "{}"),
        }
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        connection.execute(update, {"settings": text, "account_id": account_id})
