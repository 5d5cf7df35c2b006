"""Search terms by other rules (letters with a stroke, invisible characters, phone numbers, names in
Chinese, Japanese and Korean), and keys of emails by IDNA 2008: `ß` and `ss` are different.

No two keys become equal: a key is replaced only by one whose case folding is the former key, and
former keys are unique in an account.
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
# An older program finds customers by the former rules, and stores them by those.
works_with = "0008"
# Older programs leave terms by the former rules.
rebuilds_search = True

BATCH = 20_000


def upgrade() -> None:
    _replace_keys()


def contract() -> None:
    """Replaces the keys that older programs have stored since. Where the newer program has stored
    the same email meanwhile, the former key stays."""
    _replace_keys()


def _replace_keys() -> None:
    columns = ("account_id", "customer_id", "email", "email_key")
    customers = sa.table("customers", *map(sa.column, columns))
    events = sa.table("inbox_keys", *map(sa.column, ("account_id", "key", "inbox_id")))
    connection = op.get_bind()
    of_row = sa.tuple_(customers.c.account_id, customers.c.customer_id)
    statement = sa.select(customers).order_by(customers.c.account_id, customers.c.customer_id)
    after = (0, 0)
    while rows := connection.execute(statement.where(of_row > after).limit(BATCH)).all():
        after = (rows[-1].account_id, rows[-1].customer_id)
        for row in rows:
            key = row.email_key if row.email.isascii() else _new_key(row.email)
            if key == row.email_key or key.casefold() != row.email_key:
                continue
            of_account = customers.c.account_id == row.account_id
            holder = sa.select(customers.c.customer_id).where(
                of_account, customers.c.email_key == key
            )
            if connection.execute(holder).first():
                continue
            connection.execute(
                customers.update()
                .where(of_account, customers.c.customer_id == row.customer_id)
                .values(email_key=key)
            )
            # Events that name the email are deleted with the customer.
            known = sa.select(events.c.inbox_id).where(
                events.c.account_id == row.account_id, events.c.key == key
            )
            named = sa.select(events).where(
                events.c.account_id == row.account_id,
                events.c.key == row.email_key,
                events.c.inbox_id.not_in(known),
            )
            for event in connection.execute(named).all():
                values = {**event._mapping, "key": key}
                connection.execute(events.insert().values(values))


def _new_key(email: str) -> str:
    local, _, domain = email.rpartition("@")
    labels = unicodedata.normalize("NFKC", domain).lower().split(".")
    return f"{unicodedata.normalize('NFC', local).lower()}@{'.'.join(map(_decode, labels))}"


def _decode(label: str) -> str:
    try:
        return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
