"""External ids: ids of several systems in `shop_ids`, where the shop is the source `shop`, and the
ids of a customer and of an order in their own rows.

The key of `shop_ids` has the source and the type, so that an older program still inserts its rows.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
# An older program takes an id of any system for an id of the shop.
works_with = "0008"
# Older programs write facets without external ids.
rebuilds_search = True

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

BATCH = 5_000
KEY = ("account_id", "shop_id", "source", "type")


def upgrade() -> None:
    for table in ("customers", "orders"):
        op.add_column(table, sa.Column("external_ids", text, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("shop_ids", _source())
        op.drop_constraint("shop_ids_pkey", "shop_ids")
        op.create_primary_key("shop_ids_pkey", "shop_ids", list(KEY))
    else:
        _create_again()
    _fill_rows()


def contract() -> None:
    """Fills the rows of objects whose ids older programs have stored since."""
    _fill_rows()


def _source() -> sa.Column[str]:
    return sa.Column("source", text, nullable=False, server_default="shop")


def _create_again() -> None:
    """SQLite cannot change the key of a table."""
    names = ("account_id", "shop_id", "type", "number", "customer_id", "event")
    op.drop_index("shop_ids_of_customer", "shop_ids")
    op.rename_table("shop_ids", "former_shop_ids")
    table = op.create_table(
        "shop_ids",
        sa.Column("account_id", number, nullable=False),
        sa.Column("shop_id", text, nullable=False),
        _source(),
        sa.Column("type", text, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("customer_id", number, nullable=False),
        sa.Column("event", number, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint(*KEY),
        sqlite_strict=True,
    )
    former = sa.table("former_shop_ids", *map(sa.column, names))
    op.get_bind().execute(table.insert().from_select(names, sa.select(former)))
    op.drop_table("former_shop_ids")
    op.create_index("shop_ids_of_customer", "shop_ids", ["account_id", "customer_id"])


def _fill_rows() -> None:
    columns = ("account_id", "type", "number", "source", "shop_id")
    ids = sa.table("shop_ids", *map(sa.column, columns))
    accounts = op.get_bind().execute(sa.select(ids.c.account_id).distinct()).all()
    for (account_id,) in accounts:
        for type_, name, key in (
            ("Customer", "customers", "customer_id"),
            ("Order", "orders", "order_id"),
        ):
            statement = sa.select(ids.c.number, ids.c.source, ids.c.shop_id)
            statement = statement.where(ids.c.account_id == account_id, ids.c.type == type_)
            rows = sorted(map(tuple, op.get_bind().execute(statement).all()))
            objects = sa.table(name, *map(sa.column, ("account_id", key, "external_ids")))
            _fill(account_id, objects, key, rows)


def _fill(
    account_id: int, objects: sa.TableClause, key: str, rows: Sequence[tuple[int, str, str]]
) -> None:
    """Add the ids of an account's customers or orders (`_id`, source, id) to their rows."""
    connection = op.get_bind()
    of_account = objects.c.account_id == account_id
    of_object = objects.c[key] == sa.bindparam("of_number")
    update = objects.update().where(of_account, of_object).values(external_ids=sa.bindparam("ids"))
    has_ids = objects.c.external_ids.is_not(None)
    read = sa.select(objects.c[key], objects.c.external_ids).where(of_account, has_ids)
    stored = dict(map(tuple, connection.execute(read).all()))
    updates: list[dict[str, Any]] = []
    for number_, group in groupby(rows, key=itemgetter(0)):
        ids = json.loads(stored.get(number_, "[]"))
        known = {(external["source"], external["id"]) for external in ids}
        added = [(source, id_) for _, source, id_ in group if (source, id_) not in known]
        if added:
            ids += [{"source": source, "id": id_} for source, id_ in added]
            ids.sort(key=itemgetter("source"))
            told = json.dumps(ids, ensure_ascii=False, separators=(",", ":"))
            updates.append({"of_number": number_, "ids": told})
    for start in range(0, len(updates), BATCH):
        connection.execute(update, updates[start : start + BATCH])
