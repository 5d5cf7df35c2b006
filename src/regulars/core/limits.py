"""The limits of requests to the directory."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """The maximum numbers of customers on a page, customers deleted together, characters of a
    search, and customers written together; and whether webhooks may be sent to private addresses.
    """

    page_size: int = 250
    deletes: int = 250
    search_characters: int = 2_000
    private_targets: bool = False
    bulk_rows: int = 250
    # Rows in the lists of all customers of a page together, where a list has no `first`.
    list_rows: int = 20_000
    # In the extensions of a response.
    response_bytes: int = 16 * 1024**2


DEFAULTS = Limits()
