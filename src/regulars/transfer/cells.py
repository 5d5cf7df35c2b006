"""Cells of a CSV file: what stands in them for what.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@` or a control character for a formula,
and would run what a customer typed (OWASP, "CSV Injection"). Those are written behind an
apostrophe, as are cells that begin with one, and reading takes it away again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_RISKY = re.compile(r"['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]")
# Shops write numbers behind an apostrophe, too, so that a spreadsheet leaves their zeros.
_KEPT_APART = re.compile(r"'(?:['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]|[0-9][0-9 +()./-]*$)")

_YES = frozenset("yes y true t 1 x on subscribed".split())
_NO = frozenset("no n false f 0 off unsubscribed non-subscribed nonsubscribed cleaned".split())


def neutral(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _RISKY.match(text) else text


def original(cell: str) -> str:
    """What `neutral` made a cell of; and a number that stands behind an apostrophe."""
    return cell[1:] if _KEPT_APART.match(cell) else cell


def flag(text: str) -> bool | None:
    """What a cell says of a question; None for what is no answer."""
    word = text.strip().lower()
    if word in _YES:
        return True
    return False if word in _NO else None


def tags(cell: str) -> list[str]:
    """The tags in a cell: between commas; one with a comma in it stands in quotes."""
    if '"' not in cell:
        return cell.split(",") if cell else []
    return [tag for row in csv.reader([cell], skipinitialspace=True) for tag in row]


def of_tags(found: Iterable[str]) -> str:
    """The cell of tags."""
    kept = list(found)
    if not any("," in tag or '"' in tag for tag in kept):
        return ",".join(kept)
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(kept)
    return out.getvalue()
