"""The statements of comments."""

from __future__ import annotations

from functools import cache, lru_cache

import sqlalchemy as sa

from regulars.comments.table import comments
from regulars.store.columns import Number
from regulars.store.moving import DELETED
from regulars.store.queries import columns_named, of_account
from regulars.store.query import Query, among, any_of, number
from regulars.store.tables import customers, shop_ids

# The lookups of customers whose comments are counted: by `_id`, and by their ids in other systems.
BY_ID, BY_SHOP_ID = "commented_customers", "commented_shop_ids"
# The comments whose customers' comments are counted.
BY_COMMENT = "edited_comments"


def _customers_named(ids: str, shop_ids_: str) -> tuple[sa.Select[int], sa.Select[int]]:
    """Return statements of the `_id`s of the customers that two lookups name: by `_id`, and by
    their ids in other systems."""
    by_id = sa.select(customers.c.customer_id).where(
        of_account(customers), any_of(customers.c.customer_id, ids)
    )
    by_shop_id = sa.select(shop_ids.c.number).where(
        of_account(shop_ids),
        any_of(shop_ids.c.shop_id, shop_ids_),
        shop_ids.c.type == sa.literal_column("'Customer'"),
    )
    return by_id, by_shop_id


def _characters() -> sa.ColumnElement[int]:
    return sa.func.sum(sa.func.length(comments.c.text), type_=Number)


@cache
def counts_of_named() -> Query:
    """The number of comments of each customer that a command names, and of their characters."""
    edited = comments.alias("edited")
    by_comment = sa.select(edited.c.customer_id).where(
        of_account(edited), any_of(edited.c.comment_id, BY_COMMENT)
    )
    named: sa.CompoundSelect[int] = sa.union_all(*_customers_named(BY_ID, BY_SHOP_ID), by_comment)
    statement = _counts().add_columns(_characters())
    return Query(statement.where(among(comments.c.customer_id, named)))


@cache
def characters_of_deleted() -> Query:
    """The number of characters of the comments of the customers that a command deletes."""
    named = sa.union_all(*_customers_named(*DELETED))
    statement = sa.select(comments.c.customer_id, _characters()).where(of_account(comments))
    statement = statement.where(among(comments.c.customer_id, named))
    return Query(statement.group_by(comments.c.customer_id))


@cache
def counts() -> Query:
    """The number of comments of each of the customers `ids`."""
    return Query(_counts().where(any_of(comments.c.customer_id, "ids")))


@cache
def characters() -> Query:
    """The customers among `ids` with comments, and the number of characters of these."""
    statement = sa.select(comments.c.customer_id, _characters()).where(of_account(comments))
    statement = statement.where(any_of(comments.c.customer_id, "ids"))
    return Query(statement.group_by(comments.c.customer_id))


_EXPORTED = ("customer_id", "text", "pinned", "private", "edited", "actor_kind", "actor")


@cache
def exported(is_public: bool) -> Query:
    """The comments of the customers `ids`, oldest first. With `is_public`, without private ones."""
    columns = columns_named(comments, (*_EXPORTED, "created_at", "updated_at"))
    statement = sa.select(*columns).where(of_account(comments))
    statement = statement.where(any_of(comments.c.customer_id, "ids"))
    if is_public:
        statement = statement.where(comments.c.private == sa.false())
    order = (comments.c.customer_id, comments.c.created_at, comments.c.comment_id)
    return Query(statement.order_by(*order))


def _counts() -> sa.Select[tuple[int, int]]:
    statement = sa.select(comments.c.customer_id, sa.func.count()).where(of_account(comments))
    return statement.group_by(comments.c.customer_id)


@lru_cache(maxsize=200)
def one_comment(columns: tuple[str, ...]) -> Query:
    """The columns of the comment `number`."""
    statement = sa.select(*columns_named(comments, columns)).where(of_account(comments))
    return Query(statement.where(comments.c.comment_id == number("number")))
