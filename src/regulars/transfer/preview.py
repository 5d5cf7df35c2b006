"""Preview a file of customers before it is imported."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from regulars.transfer.columns import COLUMNS, mapping, preview_columns
from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.gzip_reader import BEGINNING
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from regulars.transfer.records import Lines, Record, csv_records
from regulars.transfer.source import Source, choose_delimiter

ROWS = 10
_MAX_CELL_CHARACTERS = 200


def preview(name: str, beginning: bytes, options: Options, whole: bool) -> dict[str, Any]:
    """Return the detected format of a file, its columns, all fields, its first rows, and the
    problem if its columns are ambiguous. With `whole`, `beginning` is the whole file.

    Raises BadFile and BadOption.
    """
    try:
        content = io.BytesIO(beginning)
        with open_input(
            name, options.encoding, content, options.format, BEGINNING, options.sheet
        ) as file:
            source = Source(file, options)
            records = _first(source.records, whole)
            fields = source.shape.columns
            columns = None if fields is None else [(c.heading, c.field) for c in fields]
            return _to_json(source.to_json(), columns, records, None)
    except BadOption as error:
        return _unclear(name, beginning, options, whole, str(error))


def _unclear(
    name: str, beginning: bytes, options: Options, whole: bool, problem: str
) -> dict[str, Any]:
    """Return the preview of a CSV file with ambiguous columns."""
    content = io.BytesIO(beginning)
    with open_input(
        name, options.encoding, content, options.format, BEGINNING, options.sheet
    ) as file:
        delimiter = choose_delimiter(file, options)
        records = _first(csv_records(Lines(file), delimiter), whole)
        first = records[0].cells or [] if records else []
        headings = first if options.header else [str(n + 1) for n in range(len(first))]
        columns = preview_columns(headings, mapping(options.mapped))
        file_format = {
            "format": "csv",
            "encoding": file.encoding,
            "gzip": file.gzipped,
            "delimiter": delimiter,
        }
        return _to_json(file_format, columns, records[1:] if options.header else records, problem)


def _first(records: Iterable[Record], whole: bool) -> list[Record]:
    """Return the first records, without a last one that may be truncated."""
    first: list[Record] = []
    try:
        first.extend(islice(records, ROWS + 1))
    except BadFile:  # a compressed file that is cut off
        if whole:
            raise
    if not whole and len(first) <= ROWS:
        first = first[:-1]
    return first


def _to_json(
    file_format: Mapping[str, Any],
    columns: Sequence[tuple[str, str | None]] | None,
    records: Sequence[Record],
    problem: str | None,
) -> dict[str, Any]:
    rows = records[:ROWS]
    if columns is None:
        names = list(dict.fromkeys(name for record in rows for name in record.data or ()))
        columns = [(name, name) for name in names]
        cells = [[_text((record.data or {}).get(name)) for name in names] for record in rows]
    else:
        cells = [[_text(cell) for cell in record.cells or ()] for record in rows]
    return {
        **{name: file_format[name] for name in ("format", "encoding", "gzip", "delimiter")},
        "columns": [{"heading": heading, "field": field} for heading, field in columns],
        "rows": cells,
        "fields": list(COLUMNS),
        "problem": problem,
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = text[:_MAX_CELL_CHARACTERS]
    # A byte that is no text in the file's encoding is shown as `?`.
    return text if text.isascii() else text.encode(errors="replace").decode()
