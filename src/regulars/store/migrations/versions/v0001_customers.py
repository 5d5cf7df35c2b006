"""Accounts, tokens, customers, and the orders and leads that a customer has."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def required(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def optional(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=True) for name in names]


def of_customer() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", "customer_id"],
        ["customers.account_id", "customers.customer_id"],
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.create_table(
        "accounts",
        *required(number, "account_id"),
        *required(text, "name"),
        *required(number, "created_at"),
        sa.PrimaryKeyConstraint("account_id"),
        sa.UniqueConstraint("name", name="accounts_name"),
        sqlite_strict=True,
    )
    op.create_table(
        "tokens",
        *required(text, "token_id"),
        *required(sa.LargeBinary(), "hash"),
        *required(number, "account_id"),
        *required(text, "name"),
        *required(number, "created_at"),
        *optional(number, "expires_at", "revoked_at"),
        sa.PrimaryKeyConstraint("token_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"]),
        sa.UniqueConstraint("hash", name="tokens_hash"),
        sqlite_strict=True,
    )
    op.create_table(
        "counters",
        *required(number, "account_id", "customers", "orders", "leads"),
        sa.PrimaryKeyConstraint("account_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "customers",
        *required(number, "account_id", "customer_id", "created_at", "updated_at"),
        *required(text, "email", "email_key", "email_folded", "phone"),
        *required(text, "first_name", "last_name"),
        *required(text, "first_name_folded", "last_name_folded", "full_name_folded"),
        *required(flag, "accepts_marketing"),
        *required(number, "expenses", "orders_count", "visits"),
        *required(text, "tags"),
        *optional(text, "notes", "custom", "shipping_address", "billing_address"),
        sa.PrimaryKeyConstraint("account_id", "customer_id"),
        sqlite_strict=True,
    )
    op.create_index("customers_email_key", "customers", ["account_id", "email_key"], unique=True)
    for column in (
        "created_at",
        "updated_at",
        "email_folded",
        "first_name_folded",
        "last_name_folded",
        "full_name_folded",
        "expenses",
        "orders_count",
    ):
        op.create_index(f"customers_{column}", "customers", ["account_id", column, "customer_id"])
    op.create_table(
        "orders",
        *required(number, "account_id", "order_id", "customer_id"),
        *required(text, "name", "email"),
        *required(number, "total", "refunded_amount", "net_payment"),
        *required(text, "currency", "financial_status", "fulfillment_status", "tags"),
        *required(flag, "test"),
        *optional(text, "referrer"),
        *optional(number, "cancelled_at"),
        *required(number, "created_at", "updated_at"),
        sa.PrimaryKeyConstraint("account_id", "order_id"),
        of_customer(),
        sqlite_strict=True,
    )
    op.create_index("orders_name", "orders", ["account_id", "name"], unique=True)
    op.create_index(
        "orders_of_customer", "orders", ["account_id", "customer_id", "created_at", "order_id"]
    )
    op.create_table(
        "leads",
        *required(number, "account_id", "lead_id", "customer_id"),
        *required(text, "subject", "message"),
        *optional(text, "custom"),
        *required(number, "created_at"),
        sa.PrimaryKeyConstraint("account_id", "lead_id"),
        of_customer(),
        sqlite_strict=True,
    )
    op.create_index(
        "leads_of_customer", "leads", ["account_id", "customer_id", "created_at", "lead_id"]
    )
