"""Whom the events of the inbox name, which ids of a shop were a deleted customer's, and which event
of another Regulars was the last about a customer."""

import contextlib
import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
# An older program keeps events without keys: they are deleted after REGULARS_INBOX_DAYS alone.
works_with = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_EMAIL = re.compile(r"[^\s\"'<>(),:;\\\[\]@]{1,64}@[^\s\"'<>(),:;\\\[\]@]{1,253}")
_MOST = 200
_ID_LENGTH = 255


def upgrade() -> None:
    keys = op.create_table(
        "inbox_keys",
        sa.Column("account_id", number, nullable=False),
        sa.Column("key", text, nullable=False),
        sa.Column("inbox_id", text, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", "inbox_id"),
        sqlite_strict=True,
    )
    op.create_index("inbox_keys_of_event", "inbox_keys", ["account_id", "inbox_id"])
    op.create_table(
        "deleted_shop_ids",
        sa.Column("account_id", number, nullable=False),
        sa.Column("shop_id", text, nullable=False),
        sa.Column("deleted_at", number, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "shop_id", "deleted_at"),
        sqlite_strict=True,
    )
    op.create_index("deleted_shop_ids_deleted_at", "deleted_shop_ids", ["deleted_at"])
    op.add_column("shop_ids", sa.Column("event", number, nullable=False, server_default="0"))
    connection = op.get_bind()
    stored = sa.text("SELECT account_id, inbox_id, body FROM inbox")
    for account_id, inbox_id, body in connection.execute(stored).all():
        found = _keys(bytes(body))
        rows = [{"account_id": account_id, "key": k, "inbox_id": inbox_id} for k in found]
        if rows:
            connection.execute(keys.insert(), rows)


def _keys(body: bytes) -> list[str]:
    """The emails and ids that a body names; the empty key, for all customers, if there are many."""
    told = body.decode("utf-8", "replace")
    ids: list[str] = []
    with contextlib.suppress(ValueError, RecursionError):
        event = json.loads(told)
        told = json.dumps(event, ensure_ascii=False)
        node = event.get("node") if isinstance(event, dict) else None
        named = (node, node.get("customer")) if isinstance(node, dict) else ()
        given = [one.get("id") for one in named if isinstance(one, dict)]
        ids = [one for one in given if isinstance(one, str) and 0 < len(one) <= _ID_LENGTH]
    found = {email.casefold() for email in _EMAIL.findall(told)} | set(ids)
    return sorted(key.replace("\0", "") for key in found) if len(found) <= _MOST else [""]
