"""Recognize texts that are no table: lists of emails, and columns of a fixed width."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regulars.transfer.column_profile import ColumnProfile, is_email, share
from regulars.transfer.errors import BadOption

_ADDRESS = r"[^\s<>()\[\],;:\"@|]{1,100}@[^\s<>()\[\],;:\"@|]{1,200}"
# `Ana Sá <ana@example.com>`, `"Sá, Ana" <ana@example.com>`, `Sá, Ana <ana@example.com>`.
_NAMED = re.compile(
    rf'\s*(?:"[^"<>@]{{1,200}}"|[^<>@",;\t|]{{1,100}}(?:, [^<>@",;\t|]{{1,100}})?)'
    rf"\s*<{_ADDRESS}>\s*[,;]?\s*"
)
_BARE = re.compile(rf"\s*<?{_ADDRESS}>?\s*[,;]?\s*")
_HEADING = re.compile(r"[^@<>,;\t|]{1,100}")
_MAX_LINE = 500
_MAX_LINES = 100
_GAP = re.compile(r"\S {2,}(?=\S)")

_FIXED_WIDTH = (
    "The file has columns of a fixed width, which are divided by spaces. Save it as CSV: open it "
    "in a spreadsheet, choose fixed width, and save it."
)
_ONE_LINE = (
    "The first line is a list of emails. Write each email in a line of its own, and import the "
    "file again."
)


def is_mailbox_list(text: str) -> bool:
    """Return whether each of the first lines is an email, some as in an email program:
    `Ana Sá <ana@example.com>`. A heading may precede them."""
    lines = text.lstrip("\ufeff").splitlines()[:_MAX_LINES]
    lines = [line for line in lines if line.strip()]
    if lines and _HEADING.fullmatch(lines[0]):
        del lines[0]
    return any("<" in line for line in lines) and all(
        len(line) <= _MAX_LINE and (_BARE.fullmatch(line) or _NAMED.fullmatch(line))
        for line in lines
    )


def require_table(headings: Sequence[str], profiles: Sequence[ColumnProfile]) -> None:
    """Raise BadOption for a file that is no table."""
    names = [heading for heading in headings if heading.strip()]
    if len(names) > 1 and all(map(is_email, names)):
        raise BadOption(_ONE_LINE)
    if len(headings) == 1 and "<" not in headings[0]:
        profile = profiles[0] if profiles else ColumnProfile()
        rows = profile.sample or (headings if is_email(headings[0]) else ())
        values = [headings[0], *rows]
        gaps = share(ColumnProfile(sample=tuple(values)), _GAP.search)
        if gaps > 0.5 and _GAP.search(headings[0]) and any(map(is_email, values)):
            raise BadOption(_FIXED_WIDTH)
