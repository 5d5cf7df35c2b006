"""A file of customers: its detected format, its columns and its records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.customers.contact_points import EMAILS
from regulars.customers.fields import FIELDS
from regulars.transfer.column_assignment import assign_columns, mapping, preview_columns
from regulars.transfer.columns import Column, is_own_export
from regulars.transfer.contact_columns import ADDITIONAL
from regulars.transfer.date_order import DateOrderEvidence, decide_order
from regulars.transfer.date_text import Order
from regulars.transfer.errors import BadOption
from regulars.transfer.file_emails import FileEmails
from regulars.transfer.file_profile import FileProfile, Observer, profile_columns
from regulars.transfer.file_status import status_of_file, with_note
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import InputFile
from regulars.transfer.record_reader import RecordReader
from regulars.transfer.records import Record
from regulars.transfer.row_parser import RowParser

_FURTHER_EMAILS = ADDITIONAL[EMAILS.default]
_TIMESTAMPS = names_of(FIELDS, fields.Timestamp)


class Source:
    """An open file, read by options. A first pass over the file finds what its columns are.

    Raises BadFile if it is empty, and BadOption if its columns are ambiguous. With `is_preview`,
    `problem` says instead what is ambiguous. `undecided_dates` are the headings of columns in which
    the order of day and month is open.
    """

    def __init__(self, file: InputFile, options: Options, is_preview: bool = False) -> None:
        self._file = file
        self.options = options
        self.problem: str | None = None
        self._is_preview = is_preview
        self._mapped = mapping(options.mapped)
        self._emails = FileEmails()
        self._evidence: dict[int, DateOrderEvidence] = {}
        self.columns: list[Column] = []
        profile = profile_columns(file, options, self._choose_observers)
        self._reader = reader = RecordReader(file, options)
        self.json = reader.is_json
        self.delimiter = reader.delimiter
        self.records: Iterator[Record] = reader.records
        orders = self._decide_orders()
        status = status_of_file(file.name, self.columns)
        if status:
            self.columns = with_note(self.columns, status)
        self.shape = RowParser(
            self.columns, self._mapped, options, self._is_own_export(profile), orders, status
        )
        self._emails.seal()
        self.shape.contacts.file_emails = self._emails
        self.headings = [column.heading for column in self.columns]

    def _choose_observers(self, profile: FileProfile) -> Mapping[int, Observer]:
        """Find the columns, and return what looks at the values of those with dates."""
        self.columns = self._assign(profile)
        for column in self.columns:
            if column.field in _TIMESTAMPS:
                self._evidence[column.position] = DateOrderEvidence()
        observers = {position: _observer(one) for position, one in self._evidence.items()}
        email = next((c.position for c in self.columns if c.field == EMAILS.default), None)
        if email is not None and self.options.has_lists:
            is_several = any(value.count("@") > 1 for value in profile.columns[email].sample)
            if is_several or any(c.field == _FURTHER_EMAILS for c in self.columns):
                observers[email] = self._emails.observe
        return observers

    def _assign(self, profile: FileProfile) -> list[Column]:
        options, headings = self.options, profile.headings
        if not headings or (profile.is_json and self._is_own_export(profile)):
            return []
        try:
            return assign_columns(
                headings,
                profile.columns,
                self._mapped,
                options.unknown,
                match=options.match,
                source=options.source,
                identify_by=options.identify_by,
                has_lists=options.has_lists,
            )
        except BadOption as error:
            if not self._is_preview:
                raise
            self.problem = str(error)
            pairs = enumerate(preview_columns(headings, self._mapped))
            return [Column(position, heading, field) for position, (heading, field) in pairs]

    @staticmethod
    def _is_own_export(profile: FileProfile) -> bool:
        names: Iterable[str] = profile.headings
        if profile.is_json:  # the dotted names of parts begin with those of the values
            names = dict.fromkeys(name.partition(".")[0] for name in names)
        return is_own_export(list(names))

    def _decide_orders(self) -> dict[str, Order | None]:
        """Return the order of day and month of the columns with dates, by their headings."""
        decided = decide_order(list(self._evidence.values()), self.options.dates)
        headings = [self.columns[position].heading for position in self._evidence]
        for position, evidence in self._evidence.items():
            if evidence.assumed and self.options.dates is None:
                example = next(iter(evidence.clues.values()), "")
                note = (
                    f"Dates such as {example} are read with the day first. If the year is first, "
                    "say --dates ymd."
                )
                self.columns[position] = replace(self.columns[position], note=note)
        orders = dict(zip(headings, decided, strict=True))
        self.undecided_dates = [
            heading
            for heading, one in zip(headings, self._evidence.values(), strict=True)
            if orders[heading] is None and one.ambiguous_example is not None
        ]
        return orders

    def restart(self) -> None:
        """Read the records from the beginning again."""
        self._file.restart()
        self._reader = RecordReader(self._file, self.options)
        self.records = self._reader.records

    @property
    def file_bytes(self) -> int | None:
        """The size of the file, None if it is unknown."""
        return self._file.size

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._file.bytes_read

    @property
    def skipped_children(self) -> tuple[int, int]:
        """The number of lines so far that belong to another record, and are no customers, and the
        first of these lines."""
        return self._reader.skipped_children

    @property
    def fingerprint(self) -> str:
        """Return a hash that identifies the file by its beginning and its size, and the sheet."""
        digest = hashlib.sha256(self._file.head)
        digest.update(str(self._file.size).encode())
        if self._file.sheet is not None:
            digest.update(self._file.sheet.encode(errors="replace"))
        return digest.hexdigest()

    @property
    def summary(self) -> str:
        """Return the detected format as a text for the user."""
        return self._reader.summary

    def to_json(self) -> dict[str, Any]:
        """Return the detected format as JSON."""
        return {
            "format": "jsonl" if self.json else "csv",
            "encoding": self._file.encoding,
            "gzip": self._file.gzipped,
            "delimiter": self.delimiter or None,
            "columns": {c.heading: c.field for c in self.columns},
        }


def _observer(evidence: DateOrderEvidence) -> Observer:
    def observe(values: Any) -> bool:
        evidence.add_all(values)
        return evidence.proven is not None

    return observe
