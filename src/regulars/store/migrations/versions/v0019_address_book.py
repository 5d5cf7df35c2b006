"""The address book of a customer, and the counter of its addresses. Facets have the companies of
addresses, and those of the book.

Older programs know the default addresses only: they would lose the book with a deletion. So it is
accepted after the contract part (`CustomerUnitOfWork.accepts_lists`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
# Older programs read and write the default addresses, which stay in their columns.
works_with = "0008"
# Older programs write facets without companies and the addresses of the book.
rebuilds_search = True

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("customers", sa.Column("addresses", text, nullable=True))
    op.add_column("counters", sa.Column("addresses", number, nullable=False, server_default="0"))
