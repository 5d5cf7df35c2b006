"""Read the further emails and phones of a row, and the labels of the first ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from regulars.core.errors import InvalidInput
from regulars.core.text import sanitize
from regulars.customers.bulk import RowWarning
from regulars.customers.contact_changes import ContactRow, Given
from regulars.customers.contact_input import clean_value
from regulars.customers.contact_points import EMAILS, KINDS, PHONES, Kind
from regulars.transfer.columns import ADDRESS_FIELDS, IMPORTED, Column
from regulars.transfer.contact_cells import (
    SEVERAL,
    Point,
    clean_label,
    divide_cell,
    divide_phones,
    further_emails,
)
from regulars.transfer.contact_columns import KIND_OF, LABELLED, label_of, match_further
from regulars.transfer.email_cells import unwrap_email
from regulars.transfer.file_emails import FileEmails
from regulars.transfer.flatten import flatten
from regulars.transfer.parsed_row import ParsedRow
from regulars.transfer.sanitizing import KEPT, UNREADABLE

# Characters of the shortest cell with two phones, and what can be between them.
_MIN_SEVERAL = 13
_MAY_BE_SEVERAL = re.compile(r"[;,|\n\r/&]| [^\W\d_]{1,5} ")
# Names of JSON that are remembered.
_MAX_NAMES = 10_000
# The end of the name of a label, as `vcard` writes it.
_LABEL = "_label"
_OF_OTHER_ROW = (
    "Another row of the file has this email as its own. Here, it was stored in `custom`. Check "
    "whether the two are one person."
)
# A row with one of these has no need of the phone of an address.
_IDENTIFYING = frozenset((*(kind.default for kind in KINDS.values()), *KINDS))
# A value of a file by the name or position of its column.
Values = Callable[[Column], Any]


def _cell(cells: Sequence[str], column: Column) -> str:
    return cells[column.position]


class ContactReader:
    """Reads the further emails and phones of rows. `file_emails` are the emails of all rows of the
    file, which belong to no other row. With `is_strict`, an invalid value rejects its row."""

    def __init__(
        self, columns: Sequence[Column], *, has_lists: bool, is_strict: bool, is_own: bool
    ) -> None:
        self._is_strict = is_strict
        self._has_lists = has_lists
        self._is_own = is_own
        self._columns = columns
        self._headings = {column.position: column.heading for column in columns}
        self._further = [column for column in columns if column.field in KIND_OF]
        self._defaults = [
            (kind, column)
            for kind in (KINDS.values() if has_lists else ())
            for column in columns
            if column.field == kind.default
        ]
        self._labelled = [
            (kind, column)
            for kind, column in self._defaults
            if column.label or column.label_position is not None
        ]
        self._names = {column.heading: column for column in columns}
        self._other_names: dict[str, Column | None] = {}
        self.file_emails = FileEmails()

    def divide_defaults(self, cells: list[str], row: ParsedRow) -> list[str]:
        """Return the cells of a row with the first of several emails or phones in each default. The
        others become further ones."""
        for kind, column in self._defaults:
            cell = cells[column.position]
            if len(cell) < _MIN_SEVERAL or not (points := self._divide_default(kind, cell)):
                continue
            if len(points) > 1:
                cells = [*cells]
                cells[column.position] = points[0].value
                label = self._label(kind, column, partial(_cell, cells))
                row.points += [(kind, column, point, label) for point in points[1:]]
        return cells

    def _divide_default(self, kind: Kind, cell: str) -> list[Point]:
        """Return the values of a default's cell if it has several."""
        if SEVERAL in cell:
            return divide_cell(kind, cell, is_labelled=False)
        if kind is EMAILS:
            # Without the emails of all rows, a further one may be that of another row.
            if cell.count("@") < 2 or not self.file_emails:
                return []
            further = further_emails(cell)
            return [Point(unwrap_email(cell).address), *map(Point, further)] if further else []
        return list(map(Point, divide_phones(cell))) if _MAY_BE_SEVERAL.search(cell) else []

    def is_further(self, name: str) -> bool:
        """Return whether a name of JSON is that of further emails or phones, or of their label."""
        owner = name.removesuffix(_LABEL)
        if owner != name and name not in self._names:
            return self._column_of(owner) is not None
        return self._column_of(name) is not None

    def _column_of(self, name: str) -> Column | None:
        if name in self._names:
            column = self._names[name]
            return column if column.field in KIND_OF else None
        if not self._has_lists or self._is_own:
            return None
        if name not in self._other_names:
            if len(self._other_names) > _MAX_NAMES:
                self._other_names.clear()
            field = match_further(name)
            self._other_names[name] = (
                Column(-1, name, f"additional_{field}s", label=label_of(name)) if field else None
            )
        return self._other_names[name]

    def read_cells(self, cells: Sequence[str], row: ParsedRow) -> None:
        """Read the further values of a row of cells."""
        if self._further or self._labelled:
            self._read(self._further, partial(_cell, cells), row)

    def read_json(self, data: Mapping[str, Any], row: ParsedRow) -> None:
        """Read the further values of an object of JSON."""
        if not self._has_lists:
            return
        values = dict(data) if self._is_own else {**flatten(data), **data}
        for kind, default in () if self._is_own else self._defaults:
            listed = values.get(default.heading)
            if isinstance(listed, list):  # the first one is the default's
                points = divide_cell(kind, listed, is_labelled=False)
                row.points += [(kind, default, point, "") for point in points[1:]]
        columns = [column for name in values if (column := self._column_of(name))]
        self._read(columns, lambda column: values.get(column.heading), row)

    def _read(self, columns: Sequence[Column], value_of: Values, row: ParsedRow) -> None:
        for column in columns:
            value = value_of(column)
            if not value:
                continue
            kind = KIND_OF[column.field or ""]
            label = self._label(kind, column, value_of)
            for point in divide_cell(kind, value, column.reader == LABELLED):
                row.points.append((kind, column, point, label))
        for kind, default in self._labelled:
            if label := self._label(kind, default, value_of):
                row.labels[kind.name] = label

    def _label(self, kind: Kind, column: Column, value_of: Values) -> str:
        text = None
        if column.position < 0:
            text = value_of(Column(-1, f"{column.heading}{_LABEL}", None))
        elif column.label_position is not None:
            heading = self._headings[column.label_position]
            text = value_of(Column(column.label_position, heading, None))
        label = clean_label(sanitize(text)[0], kind.max_label) if isinstance(text, str) else ""
        return label or column.label

    def finish(self, row: ParsedRow) -> tuple[ContactRow, ...]:
        """Return the further emails and phones of a row, once its fields are read. The first of
        them is the default of a row without one."""
        self._add_phone_of_address(row)
        if not row.points and not row.labels:
            return ()
        rows = [self._finish(kind, row) for kind in KINDS.values() if kind.name not in row.node]
        return tuple(each for each in rows if each.entries)

    def _add_phone_of_address(self, row: ParsedRow) -> None:
        """Let the phone of an address be that of a row that has no other phone, and no email."""
        if self._is_own or row.points or not row.node.keys().isdisjoint(_IDENTIFYING):
            return
        if not row.values.keys().isdisjoint(_IDENTIFYING):
            return
        for kind in ADDRESS_FIELDS:
            phone = (row.node.get(kind) or {}).get(PHONES.default)
            if isinstance(phone, str) and phone:
                heading = f"{kind}.{PHONES.default}"
                column = next((c for c in self._columns if c.field == heading), None)
                found = column or Column(-1, heading, heading)
                row.points.append((PHONES, found, Point(phone), ""))
                return

    def _finish(self, kind: Kind, row: ParsedRow) -> ContactRow:
        entries: list[Given] = []
        keys: list[str] = []
        invalid: dict[str, list[tuple[str, str]]] = {}
        for own, column, point, label in row.points:
            if own is not kind:
                continue
            value, key, problem = clean_value(kind, sanitize(point.value)[0])
            label = clean_label(sanitize(point.label)[0], kind.max_label) or label
            if problem:
                invalid.setdefault(column.heading, []).append((value, problem))
            else:
                entries.append(Given(value, key, label))
                keys.append(f"{IMPORTED}{column.heading}")
        for heading, values in invalid.items():
            self._refuse(row, heading, values)
        default = row.values.get(kind.default) or row.node.get(kind.default)
        has_default = not default and bool(entries)
        if has_default:
            default = row.node[kind.default] = entries[0].value
            row.labels[kind.name] = entries[0].label or ""
        default_key = kind.key(default) if isinstance(default, str) and default else ""
        if kind is EMAILS and self.file_emails:
            entries, keys = self._without_own_of_others(row, entries, keys, default_key)
        if default_key and (own_label := row.labels.get(kind.name)):
            entries, keys = [Given(str(default), default_key, own_label), *entries], ["", *keys]
        return ContactRow(kind.name, tuple(entries), tuple(keys), has_default)

    def _without_own_of_others(
        self, row: ParsedRow, entries: Sequence[Given], keys: Sequence[str], default_key: str
    ) -> tuple[list[Given], list[str]]:
        left: list[tuple[Given, str]] = []
        taken: dict[str, list[str]] = {}
        for entry, key in zip(entries, keys, strict=True):
            if entry.key != default_key and entry.key in self.file_emails:
                taken.setdefault(key.removeprefix(IMPORTED), []).append(entry.value)
            else:
                left.append((entry, key))
        for heading, values in taken.items():
            row.keep(heading, ", ".join(dict.fromkeys(values)))
            row.warnings.append(RowWarning(KEPT, heading, _OF_OTHER_ROW))
        return [entry for entry, _ in left], [key for _, key in left]

    def _refuse(self, row: ParsedRow, heading: str, values: Sequence[tuple[str, str]]) -> None:
        """Reject a row for invalid emails or phones of a column, or keep them and warn."""
        message = values[0][1]
        if self._is_strict:
            row.problems.append(InvalidInput(message, (heading,)))
            return
        kept = row.keep(heading, ", ".join(dict.fromkeys(value for value, _ in values)))
        row.warnings.append(RowWarning(UNREADABLE, heading, f"{message} {kept}"))
