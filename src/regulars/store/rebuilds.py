"""The queries for rebuilding search terms in the background."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.store.auth_tables import accounts
from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import counters, customers


@cache
def accounts_to_rebuild(of_accounts: bool = False) -> Query:
    """The accounts whose terms are to be rebuilt, at most `limit`, and the position of each. With
    `of_accounts`, only of the accounts `ids`."""
    columns = (counters.c.account_id, counters.c.rebuild_from)
    statement = sa.select(*columns).where(counters.c.rebuild_from > sa.literal_column("0"))
    if of_accounts:
        statement = statement.where(any_of(counters.c.account_id, "ids"))
    return Query(statement.order_by(counters.c.account_id).limit(number("limit")))


@cache
def customers_from() -> Query:
    """At most `limit` customers from the `_id` `start` on, in their order."""
    statement = sa.select(customers.c.customer_id).where(
        of_account(customers), customers.c.customer_id >= number("start")
    )
    return Query(statement.order_by(customers.c.customer_id).limit(number("limit")))


@cache
def change_default_country() -> Query:
    """Set the country of phones without a country code, and begin a rebuild if it is another one.
    Nothing changes unless the account has the settings `new_settings`."""
    new_settings = sa.bindparam("new_settings", type_=accounts.c.settings.type)
    has_settings = sa.exists(
        sa.select(sa.literal_column("1"))
        .select_from(accounts)
        .where(accounts.c.account_id == number("account_id"))
        .where(accounts.c.settings.is_not_distinct_from(new_settings))
    )
    country = number("default_country")
    is_other = counters.c.default_country != country
    statement = counters.update().where(of_account(counters), has_settings)
    return Query(
        statement.values(
            default_country=country,
            rebuild_from=sa.case((is_other, sa.literal_column("1")), else_=counters.c.rebuild_from),
        )
    )
