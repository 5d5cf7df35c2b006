"""Read a value of a record, and put it into the row of a customer."""

from __future__ import annotations

from typing import Any

from regulars.core.errors import InvalidInput
from regulars.core.text import CONTROL_CHARACTERS
from regulars.customers.address_book import FLAGS, MAX_LABEL
from regulars.customers.bulk import RowWarning
from regulars.customers.contact_points import KINDS
from regulars.transfer.address_cells import ADDRESS_CELL, is_whole_address, read_addresses
from regulars.transfer.artefacts import split_street, strip_invisible
from regulars.transfer.column_selection import CIRCLES, CONSENT, OPT_OUT, SUBSCRIBED_AT
from regulars.transfer.column_targets import target_of
from regulars.transfer.composed_fields import MORE_LINES
from regulars.transfer.contact_cells import divide_cell
from regulars.transfer.entry_fields import LABEL, entry_field
from regulars.transfer.garbled_text import looks_garbled
from regulars.transfer.parsed_row import ParsedRow
from regulars.transfer.row_target import CONSENT_TIMES, Target
from regulars.transfer.sanitizing import GARBLED, WHOLE_ADDRESS, sanitized, without_nul
from regulars.transfer.tag_cells import split_tags
from regulars.transfer.values import AMBIGUOUS_DATE, Changed, InvalidValue, consent_of

_WHOLE_ADDRESS = (
    "The whole address is in one cell, and was stored as the street. Check it, or give the city, "
    "postal code and country columns of their own."
)
# Lists of a customer, by the field of their default.
_KINDS = {kind.default: kind for kind in KINDS.values()}
# What a time is when nothing happened.
_NO_TIMES = (
    "0",
    "[]",
    "n/a",
    "N/A",
    "never",
    "Never",
    "NULL",
    "null",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "-",
    False,
)


class CellReader:
    """Puts values into rows. With `clears`, an empty value clears its field; with `is_strict`, a
    value that cannot be read rejects its row. `is_own` is that of `RowParser`."""

    def __init__(self, *, clears: bool, is_strict: bool, is_own: bool) -> None:
        self._clears = clears
        self._is_strict = is_strict
        self._is_own = is_own

    def put(self, row: ParsedRow, target: Target, value: Any) -> None:
        """Set a field of a customer's input from a cell or a value of JSON, without what other
        programs put around it. A cell of spaces only is empty. The items of a list are the lines
        of a street, or emails or phones, of which the first one is the default."""
        if target.reader == ADDRESS_CELL:
            if type(value) is str and self._put_addresses(row, target, value):
                return
            target = target_of(target.field, target.heading)
        if type(value) is list and target.field in _KINDS and not self._is_own:
            points = divide_cell(_KINDS[target.field], value, is_labelled=False)
            value = points[0].value if points else value
        if type(value) is list and target.name == "line1":
            value = "\n".join(item for item in value if isinstance(item, str))
        if type(value) is str and value:
            if value.isspace():
                value = ""
            elif not self._is_own:
                value = strip_invisible(value)
                if (not value.isascii() or "&" in value) and looks_garbled(value):
                    row.warnings.append(RowWarning(GARBLED, target.heading))
                if target.field == "tags" and not value.isprintable():
                    value = split_tags(value)  # lines of a cell are tags
                elif target.name == "line1":
                    if "\0" in value:  # not in `custom` either, which keeps further lines
                        value = without_nul(value)
                        row.warnings.append(RowWarning(CONTROL_CHARACTERS, target.field))
                    value, more = split_street(value)
                    if more:
                        target_of(f"{target.group}.line1", "").put(row.node, value)
                        row.node[target.group][MORE_LINES] = more
        if not (type(value) is str and value.isascii() and value.isprintable()):
            value, changes = sanitized(target.field, value)
            row.warnings += [RowWarning(change, target.field) for change in changes]
        if target.has_nul:
            row.warnings.append(RowWarning(CONTROL_CHARACTERS, target.field))
        if value is None or value == "" or value == []:
            if self._clears:
                target.clear(row.node)
            return
        self.store(row, target, value)

    def store(self, row: ParsedRow, target: Target, value: Any) -> None:
        """Read a value and set its field. A value that cannot be read is refused."""
        if target.reader == ADDRESS_CELL:
            self.put(row, target, value)
            return
        try:
            if target.is_consent:
                self._store_consent(row, target, value)
                return
            result = target.read(value) if target.read else value
            if type(result) is Changed:
                row.warnings.append(RowWarning(result.kind, target.heading, result.message))
                if result.is_lossy:
                    row.keep(target.heading, value)
                result = result.value
            if result is not None:
                target.put(row.node, result)
        except InvalidValue as error:
            self._refuse(row, target, value, error)

    def _put_addresses(self, row: ParsedRow, target: Target, cell: str) -> bool:
        """Set the parts of the addresses in a cell. A text whose parts are not certain is left."""
        found = read_addresses(cell)
        if found is None:
            if is_whole_address(cell):
                row.warnings.append(RowWarning(WHOLE_ADDRESS, target.heading, _WHOLE_ADDRESS))
            return False
        name = target.heading[: MAX_LABEL // 2]
        for number, parts in enumerate(found.addresses, 1):
            group = target.group if number == 1 else entry_field(f"{name} {number}")
            for part, value in parts.items():
                of_default = part == LABEL and group in FLAGS
                field = entry_field(group, LABEL) if of_default else f"{group}.{part}"
                self.put(row, target_of(field, target.heading), value)
        if found.rest:
            row.keep(target.heading, found.rest)
        return True

    def _store_consent(self, row: ParsedRow, target: Target, value: Any) -> None:
        """Read a value that says whether the customer accepts marketing. Raises InvalidValue."""
        reader = target.reader
        if reader not in CONSENT_TIMES:
            if reader == CIRCLES and isinstance(value, str):
                value = {"O": True, "X": False}.get(value.strip().upper(), value)
            try:
                row.consents.append(consent_of(value, reader == OPT_OUT))
            except InvalidValue:
                row.consents.append(False)
                raise
            return
        time: Any = True
        if target.field != CONSENT and target.read:
            try:
                time = target.read(value)
            except InvalidValue as error:
                if error.kind == AMBIGUOUS_DATE:  # it is a date, whatever its order
                    row.consents.append(reader == SUBSCRIBED_AT)
                raise
        elif value in _NO_TIMES:
            time = None
        if time is not None:
            row.consents.append(reader == SUBSCRIBED_AT)
            if target.field != CONSENT:
                target.put(row.node, time)

    def _refuse(self, row: ParsedRow, target: Target, value: Any, error: InvalidValue) -> None:
        """Reject a row for a value that cannot be read, or keep the value and warn."""
        if self._is_strict or not target.is_valid or not target.heading:
            row.problems.append(InvalidInput(str(error), tuple(target.field.split("."))))
            return
        message = f"{error} {row.keep(target.heading, value)}"
        row.warnings.append(RowWarning(error.kind, target.heading, message))
