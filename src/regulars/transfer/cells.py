"""Encode and parse the cells of a CSV file.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@` or a control character as a formula
(OWASP, "CSV Injection"). An export writes an apostrophe before such cells, and before those that
begin with an apostrophe. An import removes it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from regulars.core.text import neutral as neutral

# Shops also write an apostrophe before numbers, so that a spreadsheet keeps leading zeros.
_KEPT_APART = re.compile(r"'(?:['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]|[0-9][0-9 +()./-]*$)")


def original(cell: str) -> str:
    """Undo `neutral`, and remove the apostrophe before a number."""
    return cell[1:] if _KEPT_APART.match(cell) else cell


def tags(cell: str) -> list[str]:
    """Split a cell at commas into tags. A tag that contains a comma is quoted."""
    if '"' not in cell:
        return cell.split(",") if cell else []
    return [tag for row in csv.reader([cell], skipinitialspace=True) for tag in row]


def of_tags(names: Iterable[str]) -> str:
    """Join tags to a cell."""
    values = list(names)
    if not any("," in tag or '"' in tag for tag in values):
        return ",".join(values)
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()
