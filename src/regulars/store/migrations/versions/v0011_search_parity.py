"""Search terms by other rules (letters with a stroke, invisible characters, phone numbers, names in
Chinese, Japanese and Korean), and keys of emails by IDNA 2008: `ß` and `ss` are different, and so
are final and other sigmas.

No two keys become equal: a key is replaced only by one whose case folding is the former key, and
former keys are unique in an account.
"""

import contextlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
# An older program finds customers by the former rules, and stores them by those.
works_with = "0008"
# Older programs leave terms by the former rules.
rebuilds_search = True

BATCH = 20_000
# The letters that case folding replaces and IDNA 2008 keeps.
KEPT = "ßς"

_BEFORE = re.compile(r"[^\s\"<>(),:;\\\[\]@]{1,64}\Z")
_DELIMITER = re.compile(r"[^\w.+-]")
_AFTER = re.compile(r"[^\s\"'<>(),:;\\\[\]@/?&=!|#%{}`]{1,253}")
_MAX_KEYS = 200
_MAX_AT_SIGNS = 10_000


def upgrade() -> None:
    _replace_keys()
    _add_inbox_keys()


def contract() -> None:
    """Replaces the keys that older programs have stored since. If the newer program has stored the
    same email meanwhile, the former key stays, and `regulars verify` names the customer."""
    _replace_keys()
    _add_inbox_keys()


def _replace_keys() -> None:
    """Only keys of emails with characters outside ASCII can change, as they are or in Punycode."""
    names = ("account_id", "customer_id", "email", "email_key")
    customers = sa.table("customers", *map(sa.column, names))
    connection = op.get_bind()
    of_row = sa.tuple_(customers.c.account_id, customers.c.customer_id)
    statement = sa.select(customers).where(_can_change(customers.c.email, connection.dialect.name))
    statement = statement.order_by(customers.c.account_id, customers.c.customer_id).limit(BATCH)
    after = (0, 0)
    while rows := connection.execute(statement.where(of_row > after)).all():
        after = (rows[-1].account_id, rows[-1].customer_id)
        for row in rows:
            key = _new_key(row.email)
            if key == row.email_key or key.casefold() != row.email_key:
                continue
            of_account = customers.c.account_id == row.account_id
            holder = sa.select(customers.c.customer_id).where(
                of_account, customers.c.email_key == key
            )
            if connection.execute(holder).first():
                continue
            of_customer = customers.c.customer_id == row.customer_id
            update = customers.update().where(of_account, of_customer)
            connection.execute(update.values(email_key=key))


def _can_change(email: sa.ColumnClause[str], dialect: str) -> sa.ColumnElement[bool]:
    is_outside_ascii = (
        email.op("~")("[^ -~]") if dialect == "postgresql" else email.op("GLOB")("*[^ -~]*")
    )
    return sa.or_(is_outside_ascii, sa.func.lower(email).contains("xn--", autoescape=True))


def _new_key(email: str) -> str:
    local, _, domain = email.rpartition("@")
    domain = domain.replace("Σ", "σ").lower()
    domain = "".join(
        c if c in KEPT else unicodedata.normalize("NFKC", c).casefold() for c in domain
    )
    labels = unicodedata.normalize("NFC", domain).split(".")
    return f"{unicodedata.normalize('NFC', local).lower()}@{'.'.join(map(_decode, labels))}"


def _decode(label: str) -> str:
    try:
        return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label


def _add_inbox_keys() -> None:
    """Adds the new keys of emails to stored events, which are deleted with their customers. An
    event without keys has none to add: it names no customer."""
    names = ("account_id", "key", "inbox_id")
    keys = sa.table("inbox_keys", *map(sa.column, names))
    events = sa.table("inbox", *map(sa.column, ("account_id", "inbox_id", "body")))
    connection = op.get_bind()
    of_event = sa.tuple_(events.c.account_id, events.c.inbox_id)
    statement = sa.select(events).order_by(events.c.account_id, events.c.inbox_id).limit(1_000)
    after = (0, "")
    while rows := connection.execute(statement.where(of_event > after)).all():
        after = (rows[-1].account_id, rows[-1].inbox_id)
        for account_id, inbox_id, body in rows:
            added = _inbox_keys(bytes(body))
            if not added:
                continue
            stored = sa.select(keys.c.key).where(
                keys.c.account_id == account_id, keys.c.inbox_id == inbox_id
            )
            new = added - set(connection.execute(stored).scalars())
            if new:
                values = [{"account_id": account_id, "key": k, "inbox_id": inbox_id} for k in new]
                connection.execute(keys.insert(), values)


def _inbox_keys(body: bytes) -> set[str]:
    """Return the new keys that differ from the former ones; the key of everybody if there are
    too many."""
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        # Decoded, because JSON can write an email in many ways.
        text = "\n".join(_texts(json.loads(text)))
    parts = text.split("@", _MAX_AT_SIGNS + 1)
    if len(parts) > _MAX_AT_SIGNS:
        return set()  # has the key of everybody
    added: set[str] = set()
    for before, after in itertools.pairwise(parts):
        local, domain = _BEFORE.search(before[-64:]), _AFTER.match(after[:253])
        if not local or not domain:
            continue
        end = domain[0].rstrip(".")
        starts = [0, *(match.end() for match in _DELIMITER.finditer(local[0]))]
        for email in {f"{local[0][start:]}@{end}" for start in starts if local[0][start:]}:
            for key in (email.lower(), _new_key(email)):
                if key != email.casefold():
                    added.add(key.replace("\0", ""))
    return added if len(added) <= _MAX_KEYS else {""}


def _texts(event: Any) -> Iterator[str]:
    """Yield all texts in a JSON value, including the keys of objects."""
    pending = [event]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
