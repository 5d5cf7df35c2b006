"""The statements of segments."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.segments.definitions import Definition
from regulars.segments.table import segments
from regulars.store.queries import of_account
from regulars.store.query import Query

COLUMNS = tuple(str(column.name) for column in segments.c)


@cache
def all_segments() -> Query:
    """Whole rows of the segments of an account, by `_id`."""
    rows = sa.select(*segments.c).where(of_account(segments))
    return Query(rows.order_by(segments.c.segment_id))


@cache
def definitions() -> Query:
    """The segments of an account: the columns of `Definition`."""
    columns = [segments.c[name] for name in Definition._fields]
    return Query(sa.select(*columns).where(of_account(segments)))
