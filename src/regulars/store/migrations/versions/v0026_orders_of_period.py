"""The index of the orders that count has what their figures read: their customers, currencies and
amounts. Older programs use it as they used the former one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
# Older programs leave what is new at its default.
works_with = "0008"


def upgrade() -> None:
    op.create_index(
        "orders_of_period",
        "orders",
        ["account_id", "created_at", "customer_id", "currency", "net_payment"],
        sqlite_where=sa.text("test = 0 AND cancelled_at IS NULL"),
        postgresql_where=sa.text("NOT test AND cancelled_at IS NULL"),
    )
    op.drop_index("orders_counted", "orders")
