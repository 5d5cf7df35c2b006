"""Find values that are divided over several columns, as Japanese shops export them: a postal code
in two (`郵便番号1`, `郵便番号2`), and a phone number in three."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regulars.transfer.column_profile import ColumnProfile
from regulars.transfer.heading_dictionary import comparable
from regulars.transfer.headings import match_heading

# The number of columns of a field, by the field.
_COUNTS = {"zip": 2, "phone": 3}
_PART = re.compile(r"\d{1,5}")
_SEPARATOR = "-"


def find_continuations(
    headings: Sequence[str | None], profiles: Sequence[ColumnProfile]
) -> dict[int, int]:
    """Return the positions of the second and further columns of divided values, each with the
    position of its first column. The values of all of them are short numbers."""
    first_columns: dict[int, int] = {}
    for position in range(len(profiles) - 1):
        heading = headings[position]
        if not heading or heading.isascii() or not _is_divided(profiles[position]):
            continue
        key = comparable(heading)
        match = match_heading(heading) if key.endswith("1") else None
        count = _COUNTS.get(match.field, 0) if match else 0
        others = range(position + 1, position + count)
        if count and all(
            other < len(profiles)
            and comparable(headings[other] or "") == f"{key[:-1]}{number}"
            and _is_divided(profiles[other])
            for number, other in enumerate(others, start=2)
        ):
            first_columns |= dict.fromkeys(others, position)
    return first_columns


def join_parts(cells: Sequence[str], parts: Sequence[Sequence[int]]) -> list[str]:
    """Return the cells of a row with each divided value in its first column. `parts` has the
    positions of the columns of each value."""
    joined = list(cells)
    for positions in parts:
        values = (cells[position].strip() for position in positions)
        joined[positions[0]] = _SEPARATOR.join(filter(None, values))
    return joined


def _is_divided(profile: ColumnProfile) -> bool:
    return bool(profile.sample) and all(map(_PART.fullmatch, map(str.strip, profile.sample)))
