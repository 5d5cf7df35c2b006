"""What may be asked of the directory at once."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """At most: customers on a page, customers deleted together, characters of a search."""

    page_size: int = 250
    deletes: int = 250
    search_characters: int = 2_000


DEFAULTS = Limits()
