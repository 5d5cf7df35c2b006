"""Statements that write: inserts and updates of rows of any table, and the further statements of
entities."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from regulars.store.columns import Text
from regulars.store.entity import (
    DELETED_AT,
    BatchStatement,
    Change,
    Where,
    batch_account,
    of_deleted_customers,
)
from regulars.store.query import Query, among, any_of, number
from regulars.store.tables import (
    additional_emails,
    attempts,
    counters,
    customers,
    deleted_shop_ids,
    deliveries,
    idempotency_records,
    inbox_keys,
    shop_ids,
    terms,
)


@cache
def insert_one(table: sa.Table) -> Query:
    """Insert a row. Each column has a parameter of its name."""
    return Query(
        table.insert().values({c.name: sa.bindparam(c.name, type_=c.type) for c in table.c})
    )


@cache
def insert_many(table: sa.Table, count: int) -> Query:
    """Insert rows in one statement. Its parameters are the columns of the rows, row by row."""
    rows = [
        {c.name: sa.bindparam(f"{c.name}_{index}", type_=c.type) for c in table.c}
        for index in range(count)
    ]
    return Query(table.insert().values(rows))


@lru_cache(maxsize=1_000)
def update_row(table: sa.Table, columns: tuple[str, ...]) -> Query:
    """Update columns of a row. Each of them, and each column of the key, has a parameter of its
    name."""
    keys = [c == sa.bindparam(c.name, type_=c.type) for c in table.primary_key]
    values = {n: sa.bindparam(n, type_=table.c[n].type) for n in columns}
    return Query(table.update().where(*keys).values(values))


SKIPPED = "skipped"


def _skip_deliveries(where: Where) -> Change:
    of_webhooks = (
        deliveries.c.account_id == batch_account(),
        any_of(deliveries.c.webhook_id, "skipped_webhooks"),
    )
    statement = deliveries.update().where(where(*of_webhooks, deliveries.c.due_at.is_not(None)))
    return statement.values(state=SKIPPED, due_at=sa.null(), ended_at=number("skipped_at"))


# Ends the pending deliveries of the webhooks `skipped_webhooks`, at the time `skipped_at`.
SKIP_DELIVERIES = BatchStatement("skipped", _skip_deliveries, needs_snapshot=True)


@cache
def blank_late_attempts() -> Query:
    """Set `exchange` to null in the attempts of deleted customers of all accounts, from the time
    `since` on. The statement that deletes a customer does not see an attempt that is being recorded
    at the same time (PostgreSQL, section 13.2.1)."""
    same_customer = (
        customers.c.account_id == attempts.c.account_id,
        customers.c.customer_id == attempts.c.customer_id,
    )
    customer: sa.Select[Any] = sa.select(sa.literal_column("1")).where(*same_customer)
    statement = attempts.update().where(
        attempts.c.at >= number("since"),
        attempts.c.exchange.is_not(None),
        attempts.c.customer_id.is_not(None),
        ~customer.correlate(attempts).exists(),
    )
    return Query(statement.values(exchange=sa.null()))


_IS_OF_SHOP = shop_ids.c.source == sa.literal_column("'shop'")


def _record_deleted_shop_ids(where: Where) -> Change:
    """Insert a row into `deleted_shop_ids` for each id of a deleted customer, unless it exists."""
    at = number(DELETED_AT)
    existing: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        deleted_shop_ids.c.account_id == batch_account(),
        deleted_shop_ids.c.shop_id == shop_ids.c.shop_id,
        deleted_shop_ids.c.deleted_at == at,
    )
    is_new = ~existing.correlate(shop_ids).exists()
    # A customer and an order can have the same id.
    no_event: sa.ColumnElement[int] = sa.literal_column("0")
    rows = sa.select(shop_ids.c.account_id, shop_ids.c.shop_id, at, no_event).distinct()
    rows = rows.where(where(*of_deleted_customers(shop_ids), _IS_OF_SHOP, is_new))
    return deleted_shop_ids.insert().from_select([c.name for c in deleted_shop_ids.c], rows)


RECORD_DELETED_SHOP_IDS = BatchStatement("noted_shop_ids", _record_deleted_shop_ids)


def _remove_external_ids(where: Where) -> Change:
    is_lost = any_of(
        shop_ids.c.source + sa.literal_column("':'") + shop_ids.c.shop_id, "lost_external_ids"
    )
    of_customers = (
        shop_ids.c.account_id == batch_account(),
        any_of(shop_ids.c.customer_id, "losing_customers"),
        shop_ids.c.type == sa.literal_column("'Customer'"),
    )
    return shop_ids.delete().where(where(*of_customers, is_lost))


# Deletes the external ids `lost_external_ids` (`SOURCE:ID`) of the customers `losing_customers`.
REMOVE_EXTERNAL_IDS = BatchStatement("lost_external_ids", _remove_external_ids)


def delete_from_inbox(table: sa.Table) -> BatchStatement:
    """Delete the rows of `inbox` or `inbox_keys` whose event names a deleted customer. It reads the
    customers with their emails and shop ids, and `inbox_keys`, so it runs before those are
    deleted."""

    def build(where: Where) -> Change:
        # The key of a customer without an email could be the shop id of another.
        emails = sa.select(customers.c.email_key).where(
            *of_deleted_customers(customers), customers.c.email != sa.literal_column("''")
        )
        others = sa.select(additional_emails.c.email_key)
        others = others.where(*of_deleted_customers(additional_emails))
        ids = sa.select(shop_ids.c.shop_id).where(*of_deleted_customers(shop_ids), _IS_OF_SHOP)
        keys = inbox_keys.alias("keys")
        # An event with the empty key names every customer.
        named = sa.union_all(emails, others, ids, sa.select(sa.literal_column("''", Text)))
        events = sa.select(keys.c.inbox_id).where(
            keys.c.account_id == batch_account(), among(keys.c.key, named)
        )
        return table.delete().where(
            where(table.c.account_id == batch_account(), among(table.c.inbox_id, events))
        )

    return BatchStatement(f"deleted_from_{table.name}", build)


def _replace_idempotency_records(where: Where) -> Change:
    return idempotency_records.delete().where(
        where(
            idempotency_records.c.account_id == batch_account(),
            any_of(idempotency_records.c.token_id, "replaced_tokens"),
            any_of(idempotency_records.c.key, "replaced_keys"),
            idempotency_records.c.created_at <= number("replaced_before"),
        )
    )


# Deletes the records that new ones replace: those of the tokens `replaced_tokens` with the keys
# `replaced_keys` that were created at `replaced_before` or earlier.
REPLACE_IDEMPOTENCY_RECORDS = BatchStatement("replaced", _replace_idempotency_records)


@cache
def forget_idempotency_records() -> Query:
    """Delete, for all accounts, the records that were created at `idempotency_records_before` or
    earlier."""
    return Query(
        idempotency_records.delete().where(
            idempotency_records.c.created_at <= number("idempotency_records_before")
        )
    )


@cache
def forget_deleted_shop_ids() -> Query:
    """Delete, for all accounts, the shop ids of customers that were deleted at `before` or
    earlier."""
    old = deleted_shop_ids.c.deleted_at <= number("before")
    return Query(deleted_shop_ids.delete().where(old))


@cache
def advance_revision() -> Query:
    """Increment the revision of an account, so that writes which are being decided are decided
    again. It holds the lock of the account until the transaction ends."""
    of_account = counters.c.account_id == number("account_id")
    return Query(counters.update().where(of_account).values(revision=counters.c.revision + 1))


@cache
def remove_term() -> Query:
    """Delete a row of `terms`. Each column has a parameter, in the order of the columns."""
    is_row = [column == sa.bindparam(column.name, type_=column.type) for column in terms.c]
    return Query(terms.delete().where(*is_row))
