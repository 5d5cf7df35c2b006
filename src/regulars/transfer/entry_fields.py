"""The names of the fields of further addresses: `addresses.home.city`, `addresses.2.label`."""

from __future__ import annotations

from regulars.customers.address_book import BOOK, MAX_LABEL
from regulars.customers.addresses import PARTS
from regulars.transfer.composed_fields import NAME, PARTS_OF_STREETS, ZIP_CITY

LABEL = "label"
# The parts of an address that are put together with others.
COMPOSED_PARTS = (NAME, *PARTS_OF_STREETS, ZIP_CITY)
_PARTS = frozenset((*PARTS, *COMPOSED_PARTS, LABEL))
# The name of an address whose headings say nothing of it.
_PLAIN = "plain"


def entry_field(group: str, part: str = "") -> str:
    """Return the field of a part of the address that headings name `group`, or of all of it."""
    return ".".join(filter(None, (BOOK, group.strip() or _PLAIN, part)))


def is_entry_field(field: str) -> bool:
    """Return whether a field is a part of a further address, or a label of an address."""
    group, _, part = field.rpartition(".")
    name = group.removeprefix(f"{BOOK}.")
    return name != group and 0 < len(name) <= MAX_LABEL and part in _PARTS
