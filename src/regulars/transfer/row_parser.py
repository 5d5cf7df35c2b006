"""Parse the records of a file to rows of customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core import fields
from regulars.core.counts import count_of
from regulars.core.errors import InvalidInput, MissingEmail
from regulars.core.external_ids import ExternalId
from regulars.core.fields import names_of
from regulars.customers.address_book import BOOK
from regulars.customers.bulk import RowWarning, SetRow
from regulars.customers.contact_changes import BookRow, ContactRow
from regulars.customers.emails import key_of_plain
from regulars.customers.fields import FIELDS
from regulars.customers.values import clean_values
from regulars.transfer.address_reader import AddressReader
from regulars.transfer.artefacts import unwrap
from regulars.transfer.calling_codes import put_code_before
from regulars.transfer.cell_reader import CellReader
from regulars.transfer.column_selection import (
    CONSENT,
)
from regulars.transfer.column_targets import ColumnTargets, target_of
from regulars.transfer.columns import (
    ADDRESS_FIELDS,
    EXTERNAL_ID,
    IMPORTED,
    Column,
)
from regulars.transfer.composed_fields import (
    HOUSE_NUMBER,
    PARTS_OF_NAMES,
    compose_names,
    compose_place,
    compose_street,
)
from regulars.transfer.consent import is_activity, is_state
from regulars.transfer.contact_columns import KIND_OF
from regulars.transfer.contact_reader import ContactReader
from regulars.transfer.date_text import Order
from regulars.transfer.divided_columns import join_parts
from regulars.transfer.export_columns import OWN_EXTERNAL_IDS as EXTERNAL_IDS
from regulars.transfer.export_comments import COMMENTS
from regulars.transfer.flatten import flatten
from regulars.transfer.import_options import Options
from regulars.transfer.parsed_row import ParsedRow
from regulars.transfer.plain_cells import is_usual
from regulars.transfer.records import Record
from regulars.transfer.row_identity import exported_ids, foreign_ids, identify_row
from regulars.transfer.row_target import TIMESTAMPS
from regulars.transfer.sanitizing import (
    CUSTOM,
    NOT_IMPORTED,
    STRAY_QUOTES,
    SURPLUS,
)
from regulars.transfer.sibling_columns import is_of_activity

((EMAIL, EMAIL_KEY),) = [(f.name, f.key_column) for f in FIELDS if isinstance(f, fields.Email)]
_KEYS = ("_id", "id", EXTERNAL_ID, *TIMESTAMPS)
# The fields whose values in JSON stay together.
_WHOLE = (CUSTOM, *names_of(FIELDS, fields.ContactPoints))
_NO_KEYS: Mapping[str, Any] = dict.fromkeys(_KEYS)
# Fields that are composed of others, or divided, when the row is complete.
_COMPOSED = (*PARTS_OF_NAMES, *ADDRESS_FIELDS)
_NO_COMMENTS = (
    "The comments were not imported: an import writes customers only. Add comments with "
    "`addComment` or `regulars comments add`."
)
_STRAY_QUOTES = (
    "The row has stray quotes. Check its values. To write a quote within a value, put quotes "
    "around the value and double the quote."
)
_NO_EMAIL = (
    "No email. Rows without one are rejected by the option no_email=reject (--no-email). Add the "
    "email, or choose no_email=keep."
)


def _width_message(cells: int, headings: int) -> str:
    return (
        f"The row has {count_of(cells, 'cell')}, but the file has {count_of(headings, 'heading')}."
    )


class RowParser:
    """Parses the rows of a file by its columns; the values of JSON by their names.

    `is_own` means that the file is an export of this program, whose values are read exactly.
    `orders` has the order of day and month (`dmy` or `mdy`) of columns, by heading. `status` is
    that of the file; see `file_status`.
    """

    def __init__(
        self,
        columns: Sequence[Column] | None,
        mapped: Mapping[str, str],
        options: Options,
        is_own: bool = False,
        orders: Mapping[str, Order | None] | None = None,
        status: str | None = None,
    ) -> None:
        self._status = status
        self._options = options
        self._mapped = mapped
        self._is_own = is_own
        self.columns = columns = columns or ()
        self._width = len(columns)
        self._targets = ColumnTargets(columns, mapped, options, is_own, orders or {})
        self._cells = self._targets.cells
        self._divided = self._targets.divided
        self._fallbacks = self._targets.fallbacks
        # Of columns of consent, a no next to a better column says nothing.
        self._activities = {c.position for c in self._fallbacks if is_of_activity(c.heading)}
        self._clear = options.empty == "clear"
        self._reader = CellReader(clears=self._clear, is_strict=options.strict, is_own=is_own)
        self.contacts = ContactReader(
            columns, has_lists=options.has_lists, is_strict=options.strict, is_own=is_own
        )
        self._addresses = AddressReader(columns, is_strict=options.strict)
        self._headings = {c.field: c.heading for c in columns if c.field is not None}
        if first := self._addresses.first_heading:
            self._headings[BOOK] = first
        for c in columns:
            if kind := KIND_OF.get(c.field or ""):
                self._headings.setdefault(kind.name, c.heading)

    def row(self, record: Record) -> SetRow:
        """Return the row of a record, with all its problems and warnings."""
        if record.problem is not None:
            return SetRow({}, (InvalidInput(record.problem),))
        row = ParsedRow()
        cells_of_row = record.cells
        if cells_of_row is None:
            self._put_json(row, record.data or {})
        elif len(cells_of_row) != self._width:
            return SetRow({}, (InvalidInput(_width_message(len(cells_of_row), self._width)),))
        else:
            values, store, put = row.values, self._reader.store, self._reader.put
            cells_of_row = self.contacts.divide_defaults(cells_of_row, row)
            if self._divided:
                cells_of_row = join_parts(cells_of_row, self._divided)
            if self._targets.calling_code:
                cells_of_row = put_code_before(cells_of_row, *self._targets.calling_code)
            for position, target, read in self._cells:
                cell = cells_of_row[position]
                if not cell and not self._clear:
                    continue
                if read is not None and (value := read(cell)) is not None:
                    values[target.name] = value
                elif is_usual(cell) and not target.has_nul:
                    store(row, target, cell)
                elif cell or self._clear:
                    if not self._is_own or cell[:1] in ("'", "="):
                        cell = unwrap(cell)
                    put(row, target, cell)
            if self._fallbacks:
                self._use_fallbacks(row, [cells_of_row[c.position] for c in self._fallbacks])
            self.contacts.read_cells(cells_of_row, row)
            if record.surplus:
                self._warn_of_surplus(row, record.surplus)
            if record.has_stray_quotes and self._options.strict:
                row.problems.append(InvalidInput(_STRAY_QUOTES))
            elif record.has_stray_quotes:
                row.warnings.append(RowWarning(STRAY_QUOTES, "", _STRAY_QUOTES))
        has_email = EMAIL in self._headings or EMAIL in (record.data or ())
        return self._set(row, has_email)

    def _use_fallbacks(self, row: ParsedRow, values: Sequence[Any]) -> None:
        """Take a missing email or phone, and the state of a customer who unsubscribed, from other
        columns. `values` are those of the columns."""
        for column, value in zip(self._fallbacks, values, strict=True):
            text = value if isinstance(value, str) else ""
            if column.fallback == CONSENT:
                is_said = is_state(text) or column.position in self._activities
                if value is False or (is_said and is_activity(text) is False):
                    row.consents.append(False)
            elif text and column.fallback and column.fallback not in row.node:
                heading = self.heading((column.fallback,))
                self._reader.put(row, target_of(column.fallback, heading), unwrap(text))

    def heading(self, path: Sequence[str | int]) -> str:
        """Return the heading of the column of an input path; else the path itself."""
        names = [str(step) for step in path if not isinstance(step, int)]
        for length in range(len(names), 0, -1):
            field = ".".join(names[:length])
            if field in self._headings:
                return self._headings[field]
        return ".".join(names)

    def describe(self, problems: Sequence[Mapping[str, Any]]) -> str:
        """Return the problems of a row as a text for the user."""
        return " ".join(
            f"{heading}: {problem['message']}"
            if (heading := self.heading(problem["input_path"]))
            else str(problem["message"])
            for problem in problems
        )

    def _warn_of_surplus(self, row: ParsedRow, surplus: Sequence[str]) -> None:
        if self._options.strict:
            message = _width_message(self._width + len(surplus), self._width)
            row.problems.append(InvalidInput(message))
            return
        message = (
            f"{_width_message(self._width + len(surplus), self._width)} The other cells were kept "
            "in `custom`. Check whether a delimiter within a value has no quotes around it."
        )
        row.warnings.append(RowWarning(SURPLUS, "", message))
        row.keep("surplus cells", ", ".join(surplus))

    def _put_json(self, row: ParsedRow, data: Mapping[str, Any]) -> None:
        """Set the fields of a JSON object. Of a nested value, the parts that are no fields are kept
        in `custom` under its name."""
        self.contacts.read_json(data, row)
        for name, value in data.items():
            if self.contacts.is_further(name) and not self._has_columns(name, value):
                continue
            if self._is_own and name == COMMENTS and isinstance(value, list):
                if value:
                    row.warnings.append(RowWarning(NOT_IMPORTED, "", _NO_COMMENTS))
                continue
            is_whole = name in (*_WHOLE, *self._mapped) or (name == BOOK and self._is_own)
            nested = isinstance(value, dict | list) and not is_whole
            if not nested or not value:
                targets = self._targets.named(name)
                if targets is None:
                    self._put_unknown(row, name, value)
                for target in targets or ():
                    self._reader.put(row, target, value)
                continue
            parts = flatten({name: value})
            unknown = {}
            for path, inner in parts.items():
                if self.contacts.is_further(path):
                    continue
                targets = self._targets.named(path)
                if targets is None:
                    unknown[path[len(name) + 1 :]] = inner
                for target in targets or ():
                    self._reader.put(row, target, inner)
            if unknown:
                self._put_unknown(row, name, value if len(unknown) == len(parts) else unknown)
        if self._fallbacks:
            values = flatten(data)
            self._use_fallbacks(row, [values.get(c.heading) for c in self._fallbacks])

    def _has_columns(self, name: str, value: Any) -> bool:
        """Return whether parts of an object are columns: `defaultPhoneNumber.phoneNumber`, which is
        null in other records."""
        return isinstance(value, dict) and any(
            self._targets.named(path) is not None for path in flatten({name: value})
        )

    def _put_unknown(self, row: ParsedRow, name: str, value: Any) -> None:
        """Keep the value of an unknown name by the option `unknown`."""
        if self._options.unknown != "drop":
            group = CUSTOM if self._options.unknown == "custom" else "unknown"
            self._reader.put(row, target_of(f"{group}.{name}", name), value)

    def _set(self, row: ParsedRow, has_email_column: bool) -> SetRow:
        contacts: tuple[ContactRow | BookRow, ...] = self.contacts.finish(row)
        node = row.node
        if node:  # else it has no parts of addresses
            contacts += self._addresses.finish(row, self.heading)
        keys = _NO_KEYS
        if not node.keys().isdisjoint(_KEYS):
            keys = {name: node.pop(name, None) for name in _KEYS}
        if not node.keys().isdisjoint(_COMPOSED):
            compose_names(node)
            for kind in ADDRESS_FIELDS:
                if address := node.get(kind):
                    compose_names(address)
                    compose_place(address)
                    compose_street(address, self._headings.get(f"{kind}.{HOUSE_NUMBER}", ""))
        if BOOK in node:  # it has the default addresses, too
            for kind in ADDRESS_FIELDS:
                node.pop(kind, None)
        if self._status:
            row.apply_status(self._status)
        if row.consents:
            node[CONSENT] = all(row.consents)
        external = keys[EXTERNAL_ID]
        key = ""
        if self._is_own and external is not None:
            shop_ids = exported_ids(external)
        else:
            shop_ids = foreign_ids(keys["id"] if external is None else external)
        if external is not None:
            heading = self.heading((EXTERNAL_ID,))
            key = f"{IMPORTED}{heading}"
            if not shop_ids and external:
                node[CUSTOM] = {**(node.get(CUSTOM) or {}), heading: external}
        if EXTERNAL_IDS in node:
            node[EXTERNAL_IDS] = [
                ExternalId(source, id_)
                for source, ids in node[EXTERNAL_IDS].items()
                for id_ in ids or ()
            ]
        if len(node.get(CUSTOM) or ()) and not self._options.strict:
            row.shorten_custom()
        values, invalid = clean_values(node, ())
        if invalid and not self._options.strict:
            left = row.keep_invalid(invalid, self.heading)
            if len(left) < len(invalid):  # else nothing of it has changed
                values, invalid = clean_values(node, ())
        if row.values:
            values |= row.values
            if EMAIL in row.values:
                values[EMAIL_KEY] = key_of_plain(row.values[EMAIL])
        # An email that is empty once it is cleaned is no missing one: its cell has something else.
        problems = row.problems + [
            InvalidInput(p.message, p.input_path) if isinstance(p, MissingEmail) else p
            for p in invalid
        ]
        match = self._options.match
        identity = identify_row(keys, values, problems, match, self._is_own, has_email_column)
        if self._options.no_email == "reject" and not (
            EMAIL in values or identity.customer or values.get(EXTERNAL_IDS) or problems
        ):
            problems.append(InvalidInput(_NO_EMAIL, (EMAIL,)))
        timestamps = None
        if keys["created_at"] is not None:
            timestamps = (keys["created_at"], keys["updated_at"] or keys["created_at"])
        warnings = tuple(row.warnings)
        return SetRow(
            values,
            tuple(problems),
            identity.customer,
            identity.take,
            timestamps,
            shop_ids,
            warnings=warnings,
            shop_id_key=key,
            no_email=identity.no_email,
            own_id=identity.own_id,
            contacts=contacts,
        )
