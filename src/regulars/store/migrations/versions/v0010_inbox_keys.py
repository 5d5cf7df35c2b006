"""Whom the events of the inbox name, which ids of a shop were a deleted customer's, and which event
of another Regulars was the last about a customer."""

import contextlib
import itertools
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

_BEFORE = re.compile(r"[^\s\"<>(),:;\\\[\]@]{1,64}\Z")
_DELIMITER = re.compile(r"[^\w.+-]")
_AFTER = re.compile(r"[^\s\"'<>(),:;\\\[\]@/?&=!|#%{}`]{1,253}")
_MOST = 200
_MOST_SIGNS = 10_000
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
    _add_keys(keys)


def contract() -> None:
    """Adds the keys of events that older programs have kept since."""
    _add_keys(sa.table("inbox_keys", *map(sa.column, ("account_id", "key", "inbox_id"))))


def _add_keys(keys: sa.TableClause) -> None:
    connection = op.get_bind()
    stored = sa.text(
        "SELECT account_id, inbox_id, body FROM inbox WHERE NOT EXISTS (SELECT 1 FROM inbox_keys "
        "WHERE inbox_keys.account_id = inbox.account_id AND inbox_keys.inbox_id = inbox.inbox_id)"
    )
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
    parts = told.split("@", _MOST_SIGNS + 1)
    if len(parts) > _MOST_SIGNS:
        return [""]
    found = set(ids)
    for before, after in itertools.pairwise(parts):
        local, domain = _BEFORE.search(before[-64:]), _AFTER.match(after[:253])
        if local and domain:
            end = domain[0].rstrip(".").casefold()
            found |= {f"{name}@{end}" for name in _names(local[0].casefold())}
    return sorted(key.replace("\0", "") for key in found) if len(found) <= _MOST else [""]


def _names(local: str) -> set[str]:
    """What may be the name of an email: all of it, or what follows a delimiter."""
    ends = [0, *(match.end() for match in _DELIMITER.finditer(local))]
    return {local[end:] for end in ends} - {""}
