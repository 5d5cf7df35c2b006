"""Preview a file of customers before it is imported."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson

from regulars.core.dates import iso
from regulars.core.external_ids import written
from regulars.customers.address_book import BOOK
from regulars.customers.bulk import SetRow
from regulars.customers.contact_changes import BookRow, ContactRow
from regulars.transfer.columns import COLUMNS, IMPORTED, Column
from regulars.transfer.composed_fields import NAME
from regulars.transfer.contact_columns import KIND_OF
from regulars.transfer.entry_fields import LABEL, is_entry_field
from regulars.transfer.errors import BadFile, IncompleteFile, UnclearEncoding
from regulars.transfer.flatten import flatten
from regulars.transfer.gzip_reader import BEGINNING
from regulars.transfer.import_options import Options, is_external
from regulars.transfer.input_file import open_input
from regulars.transfer.records import Record
from regulars.transfer.source import Source

ROWS = 10
_MAX_CELL_CHARACTERS = 200
_NAMES = ("first_name", "last_name")
_SAMPLES = 3
# Rows whose values are read for the samples and the warnings.
_READ_ROWS = 1_000

_EMPTY: dict[str, Any] = {
    "format": None,
    "encoding": None,
    "gzip": False,
    "delimiter": None,
    "sheet": None,
    "sheets": [],
    "summary": "",
    "columns": [],
    "rows": [],
    "fields": list(COLUMNS),
    "problem": None,
    "undecided_dates": [],
    "encodings": [],
    "is_incomplete": False,
}


def preview(name: str, beginning: bytes, options: Options, whole: bool) -> dict[str, Any]:
    """Return the detected format of a file, all fields, its first rows, what is ambiguous, and its
    columns: each with its field, a note, three values as they would be stored, and how many of the
    first 1,000 rows have a warning about it. With `whole`, `beginning` is the whole file.

    If the encoding is unclear, `encodings` are the likely ones with decoded cells, and the rest is
    shown in the likeliest. If the columns can only be read from the whole file, `is_incomplete` is
    true. Raises BadFile and BadOption.
    """
    try:
        return _preview(name, beginning, options, whole)
    except UnclearEncoding as error:
        likely = [{"encoding": encoding, "samples": cells} for encoding, cells in error.likely]
        likeliest = replace(options, encoding=error.likely[0][0])
        shown = _preview(name, beginning, likeliest, whole)
        return {**shown, "problem": str(error), "encodings": likely}
    except IncompleteFile as error:
        return {**_EMPTY, "summary": str(error), "is_incomplete": True}


def _preview(name: str, beginning: bytes, options: Options, whole: bool) -> dict[str, Any]:
    content = io.BytesIO(beginning)
    with open_input(
        name, options.encoding, content, options.format, BEGINNING, options.sheet
    ) as file:
        source = Source(file, options, is_preview=True)
        records = _first(source.records, whole)
        headings = [column.heading for column in source.columns]
        file_format = source.to_json()
        return {
            **_EMPTY,
            **{key: file_format[key] for key in ("format", "encoding", "gzip", "delimiter")},
            "summary": source.summary,
            "columns": describe_columns(source, records),
            "rows": [_cells(record, headings) for record in records[:ROWS]],
            "sheet": file.sheet,
            "sheets": file.sheets,
            "problem": source.problem,
            "undecided_dates": source.undecided_dates,
        }


def describe_columns(
    source: Source, records: Iterable[Record] | None = None
) -> list[dict[str, Any]]:
    """Return the columns of a file: each with its field, a note, three values as they would be
    stored, and how many of the records, or of the first 1,000, have a warning about it."""
    if records is None:
        records = _first(source.records, True)
    rows = [source.shape.row(record) for record in records]
    warnings: Counter[str] = Counter()
    for row in rows:
        warnings.update({source.shape.heading(w.field.split(".")) for w in row.warnings})
    return [
        {
            "heading": column.heading,
            "field": column.field,
            "note": column.note,
            "samples": _samples(column, rows),
            "warnings": warnings[column.heading],
        }
        for column in source.columns
    ]


def _first(records: Iterable[Record], whole: bool) -> list[Record]:
    """Return the first records, without a last one that may be truncated."""
    first: list[Record] = []
    try:
        first.extend(islice(records, _READ_ROWS + 1))
    except BadFile:  # a compressed file that is cut off, or a damage later in the file
        if whole and len(first) <= ROWS:
            raise
    if len(first) > _READ_ROWS or not whole:
        first = first[:-1]
    return first


def _samples(column: Column, rows: Sequence[SetRow]) -> list[str]:
    """Return the first different values of a column, as they would be stored."""
    if column.field is None:
        return []
    samples: dict[str, None] = {}
    for row in rows:
        is_further = column.field in KIND_OF or is_entry_field(column.field)
        text = _further(column, row) if is_further else _text(_stored(column.field, row))
        if text and row.values and not row.problems:
            samples[text] = None
            if len(samples) == _SAMPLES:
                break
    return list(samples)


def _further(column: Column, row: SetRow) -> str:
    """Return the emails or phones that a row has from a column, with their labels, or the part of a
    further address."""
    key = f"{IMPORTED}{column.heading}"
    if is_entry_field(column.field or ""):
        return _text(_of_entry(column.field or "", row))
    texts = [
        f"{entry.label} <{entry.value}>" if entry.label else entry.value
        for contacts in row.contacts
        if isinstance(contacts, ContactRow)
        for entry, own in zip(contacts.entries, contacts.keys, strict=True)
        if own == key
    ]
    return _text(", ".join(texts))


def _of_entry(field: str, row: SetRow) -> str | None:
    """Return a part of a further address of a row, or a label of an address."""
    group, _, part = field.rpartition(".")
    books = [contacts for contacts in row.contacts if isinstance(contacts, BookRow)]
    if part == LABEL:
        labels = dict(label for book in books for label in book.labels)
        labels |= {entry.name: entry.label for book in books for entry in book.entries}
        return labels.get(group) or labels.get(group.removeprefix(f"{BOOK}."))
    found = [entry.address for book in books for entry in book.entries if entry.name == group]
    if part == NAME and found:
        return " / ".join(filter(None, (found[0].get(name) for name in _NAMES)))
    return found[0].get(part) if found else None


def _stored(field: str, row: SetRow) -> Any:
    """Return the value of a field in a row, as it would be stored."""
    values: Mapping[str, Any] = row.values
    group, _, part = field.partition(".")
    holder = values.get(group) if part else values
    if not isinstance(holder, Mapping):
        return None
    if (part or group) == "name":
        return " / ".join(filter(None, (holder.get("first_name"), holder.get("last_name"))))
    if field == "created_at":
        return iso(row.timestamps[0]) if row.timestamps else None
    if is_external(field):
        ids = values.get("external_ids") or ()
        return "; ".join(external.id for external in ids if external.source == part) or None
    if field == "external_id":
        return ", ".join(map(written, row.shop_ids)) or None
    return holder.get(part or group)


def _cells(record: Record, headings: Sequence[str]) -> list[str]:
    if record.cells is not None:
        return [_text(cell) for cell in record.cells]
    values = flatten(record.data or {})
    return [_text(values.get(heading)) for heading in headings]


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = text[:_MAX_CELL_CHARACTERS]
    # A byte that is no text in the file's encoding is shown as `?`.
    return text if text.isascii() else text.encode(errors="replace").decode()
