"""What callers say: the words of addresses, the country of phones without a country code, and the
progress of rebuilding the search terms after it has changed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
# Older programs leave what is new at its defaults.
works_with = "0008"
# Older programs write no words of addresses and no endings of phones, and do not complete phones by
# the country of the account.
rebuilds_search = True

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    words = sa.Column("address_words", text, nullable=False, server_default="")
    op.add_column("customers", words)
    for name in ("default_country", "rebuild_from"):
        column = sa.Column(name, number, nullable=False, server_default="0")
        op.add_column("counters", column)
