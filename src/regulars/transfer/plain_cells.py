"""Read the usual cells of a file at once: those that need no correction and raise no warning.

A reader returns the clean value of a cell, as `RowParser` would store it, or None for a cell that
`RowParser` has to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from regulars.core import fields
from regulars.core.fields import Field
from regulars.customers.emails import is_plain
from regulars.customers.field_rules import CLEAN, Values
from regulars.customers.fields import WRITABLE
from regulars.transfer.row_target import Target
from regulars.transfer.values import Changed, InvalidValue

Reader = Callable[[str], Any]

# Different cells of a column that are remembered. Names, tags and cities repeat.
_MAX_CACHED = 2_048
# A longer cell is read each time, so that the memory is limited.
_MAX_CACHED_CHARACTERS = 64


def is_usual(cell: str) -> bool:
    """Return whether nothing in a cell can be a mark of a spreadsheet, damaged or invisible: text
    in ASCII that is stored as it is."""
    return (
        cell.isascii()
        and cell.isprintable()
        and cell != ""
        and "&" not in cell
        and "<" not in cell
        and cell == cell.strip(" '=")
    )


def plain_reader(target: Target) -> Reader | None:
    """Return the reader of the cells of a target; None if they have to be read one by one."""
    field = _FIELDS.get(target.name)
    if target.group or field is None or target.is_consent:
        return None
    return _READERS[type(field)](target)


def _email(_target: Target) -> Reader:
    return lambda cell: cell if is_plain(cell) else None


def _each(target: Target) -> Reader:
    name, read, clean = target.name, target.read, CLEAN[target.name]

    def read_cell(cell: str) -> Any:
        if read is None or not is_usual(cell):
            return None
        values: Values = {}
        try:
            value = read(cell)
        except InvalidValue:
            return None
        if value is None or type(value) is Changed or clean(values, value, ()):
            return None
        return values[name]

    return read_cell


def _repeated(target: Target) -> Reader:
    read = _each(target)
    read_cached = lru_cache(_MAX_CACHED)(read)
    return lambda cell: (read_cached if len(cell) <= _MAX_CACHED_CHARACTERS else read)(cell)


_READERS: Mapping[type[Field], Callable[[Target], Reader]] = {
    fields.Email: _email,
    fields.Phone: _each,
    fields.Text: _repeated,
    fields.Tags: _repeated,
}
_FIELDS = {field.name: field for field in WRITABLE if type(field) in _READERS}
