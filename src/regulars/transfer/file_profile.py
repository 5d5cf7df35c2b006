"""A first pass over a file: how full its columns are, and which values they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from regulars.transfer.column_profile import ColumnProfile
from regulars.transfer.errors import BadFile
from regulars.transfer.flatten import flatten
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import InputFile
from regulars.transfer.record_reader import RecordReader
from regulars.transfer.records import Record

MAX_ROWS = 20_000
MAX_CHARACTERS = 8 * 1024 * 1024
MAX_SAMPLE = 200
_MAX_VALUE_CHARACTERS = 200
_MAX_NAMES = 1_000
_CHUNK_ROWS = 500

# Takes values of a column that are not empty, and returns whether it needs no more.
Observer = Callable[[Iterable[str]], bool]


class FileProfile(NamedTuple):
    """The headings of a file, or the dotted names of its JSON objects, each with the profile of its
    column. `is_whole`: whether the profiles are of all rows."""

    headings: tuple[str, ...]
    columns: tuple[ColumnProfile, ...]
    is_whole: bool
    is_json: bool = False


class _Counts:
    __slots__ = ("filled", "sample")

    def __init__(self) -> None:
        self.filled = 0
        self.sample: dict[str, None] = {}

    def add(self, values: Sequence[str]) -> None:
        filled = [value for value in values if value]
        self.filled += len(filled)
        missing = MAX_SAMPLE - len(self.sample)
        if missing > 0 and filled:
            for value in dict.fromkeys(filled):
                if not value.isspace():
                    self.sample[value[:_MAX_VALUE_CHARACTERS]] = None
                    if len(self.sample) == MAX_SAMPLE:
                        break


def profile_columns(
    file: InputFile,
    options: Options,
    choose_observers: Callable[[FileProfile], Mapping[int, Observer]] | None = None,
) -> FileProfile:
    """Profile the columns of the first 20,000 rows, or of the first 8 MiB of text.

    `choose_observers` gets the profile and returns an observer for each column (by its position)
    whose values are needed, as those of dates. An observer gets the sample first. Unless all of
    them need no more, the file is read from its beginning, and each gets all values of its column
    in turn until it returns True.

    The file is at its beginning afterwards. Raises BadFile and BadOption, as RecordReader does.
    """
    reader = RecordReader(file, options)
    profile = _profile_objects(reader) if reader.is_json else _profile_rows(reader)
    if choose_observers is not None:
        observers = choose_observers(profile)
        waiting = {
            position: observe
            for position, observe in observers.items()
            if not observe(profile.columns[position].sample) and not _is_complete(profile, position)
        }
        if waiting:
            file.restart()
            _observe(RecordReader(file, options), profile.headings, waiting)
    file.restart()
    return profile


def _is_complete(profile: FileProfile, position: int) -> bool:
    """Return whether the sample has all values of a column."""
    sample = profile.columns[position].sample
    return (
        profile.is_whole
        and len(sample) < MAX_SAMPLE
        and all(len(value) < _MAX_VALUE_CHARACTERS for value in sample)
    )


def _profile_rows(reader: RecordReader) -> FileProfile:
    counts = [_Counts() for _ in reader.headings]
    rows = 0
    records = _Bounded(reader.records)
    for chunk in _chunks(records):
        rows += len(chunk)
        for column, values in zip(counts, zip(*chunk, strict=True), strict=True):
            column.add(values)
    profiles = tuple(ColumnProfile(c.filled, rows, tuple(c.sample)) for c in counts)
    return FileProfile(tuple(reader.headings), profiles, records.is_whole)


def _profile_objects(reader: RecordReader) -> FileProfile:
    counts: dict[str, _Counts] = {}
    rows = 0
    records = _Bounded(reader.records)
    for record in records:
        if record.data is None or record.problem is not None:
            continue
        rows += 1
        for name, value in flatten(record.data).items():
            column = counts.get(name)
            if column is None:
                if len(counts) >= _MAX_NAMES:
                    continue
                column = counts[name] = _Counts()
            column.add((_text(value),))
    profiles = tuple(ColumnProfile(c.filled, rows, tuple(c.sample)) for c in counts.values())
    return FileProfile(tuple(counts), profiles, records.is_whole, is_json=True)


class _Bounded:
    """Iterates over the first records of a file."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = _readable(records)
        self.is_whole = False

    def __iter__(self) -> Iterator[Record]:
        characters = 0
        for record in islice(self._records, MAX_ROWS):
            yield record
            characters += record.size
            if characters > MAX_CHARACTERS:
                return
        self.is_whole = next(self._records, None) is None


def _readable(records: Iterator[Record]) -> Iterator[Record]:
    """Yield the records before a damage of the file, which the import reports."""
    with suppress(BadFile):
        yield from records


def _chunks(records: Iterable[Record]) -> Iterator[list[list[str]]]:
    """Group the cells of rows without a problem."""
    chunk: list[list[str]] = []
    for record in records:
        if record.problem is None and record.cells is not None:
            chunk.append(record.cells)
            if len(chunk) == _CHUNK_ROWS:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


def _observe(
    reader: RecordReader, headings: Sequence[str], observers: Mapping[int, Observer]
) -> None:
    """Give all values of columns to their observers, until none needs more."""
    waiting = dict(observers)
    if reader.is_json:
        names = [headings[position] for position in waiting]
        rows = _rows_of_objects(_readable(reader.records), names)
        indexes = dict(zip(waiting, range(len(waiting)), strict=True))
    else:
        rows = _chunks(_readable(reader.records))
        indexes = {position: position for position in waiting}
    for chunk in rows:
        for position, observe in list(waiting.items()):
            index = indexes[position]
            if observe([value for row in chunk if (value := row[index])]):
                del waiting[position]
        if not waiting:
            return


def _rows_of_objects(records: Iterable[Record], names: Sequence[str]) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    for record in records:
        if record.data is not None and record.problem is None:
            values = flatten(record.data)
            chunk.append([_text(values.get(name)) for name in names])
            if len(chunk) == _CHUNK_ROWS:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


def _text(value: Any) -> str:
    """Return a value of JSON as a cell would have it."""
    if isinstance(value, str):
        return value
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(_text, value[:MAX_SAMPLE]))
    return str(value)
