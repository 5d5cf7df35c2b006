"""A database whose writer follows the directory's rules."""

from __future__ import annotations

from regulars.directory.decide import decide
from regulars.store import Store, parse_url, store_at


def store_for(database_url: str) -> Store:
    """The store at a database URL, not yet open. Raises BadDatabaseURL."""
    return store_at(parse_url(database_url), decide)
