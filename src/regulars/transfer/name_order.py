"""Decide whether the last names of a column of whole names stand first."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.transfer.heading_dictionary import comparable
from regulars.transfer.headings import match_heading, names_in
from regulars.transfer.person_names import first_name_order, name_words

# Readings of a column of whole names; see `columns.Column`.
FAMILY_FIRST, TWO_LAST_NAMES = "family_first", "two_last_names"
# A part of an address that is also the customer's, and how it is read.
AND_CUSTOMER = "and_customer"
AND_CUSTOMER_READERS = {
    AND_CUSTOMER: None,
    f"{AND_CUSTOMER} {FAMILY_FIRST}": FAMILY_FIRST,
    f"{AND_CUSTOMER} {TWO_LAST_NAMES}": TWO_LAST_NAMES,
}
# Names that must say so if the heading does not, and their share of all that say something.
_MIN_NAMES = 2
_MIN_SHARE = 0.8
# Of a heading that says so, how many names must say the opposite.
_MIN_AGAINST = 2


def order_of_names(heading: str, names: Sequence[str]) -> str | None:
    """Return FAMILY_FIRST if the last names of a column stand first, TWO_LAST_NAMES if they stand
    last and are two, or None. The heading says so, or frequent first names in the column."""
    votes = [first_name_order(name) for name in names]
    first, last = votes.count(True), votes.count(False)
    key = comparable(heading)
    listed = [match.field for match in map(match_heading, names_in(heading)) if match]
    if key in _keys("family_first") or listed == ["last_name", "first_name"]:
        return None if first >= _MIN_AGAINST and first > last else FAMILY_FIRST
    if last >= _MIN_NAMES and last >= _MIN_SHARE * (first + last):
        return FAMILY_FIRST
    return TWO_LAST_NAMES if key in _keys("two_last_names") else None


def _keys(name: str) -> frozenset[str]:
    return frozenset(map(comparable, name_words()[name]))
