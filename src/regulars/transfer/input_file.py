"""Open input files: detect compression and encoding, and read them as text."""

from __future__ import annotations

import codecs
import io
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from zipfile import ZipInfo

from regulars.transfer import json_array, vcard
from regulars.transfer.charsets import charset, display_name
from regulars.transfer.encoding_detection import Guess
from regulars.transfer.encoding_headings import decide_by_headings
from regulars.transfer.encoding_scan import (
    EncodingScan,
    is_json_text,
    quoted_samples,
    require_sure,
    sample_cells,
    unicode_encoding,
)
from regulars.transfer.errors import BadFile
from regulars.transfer.file_kinds import unsupported_kind
from regulars.transfer.gzip_reader import CHUNK_BYTES, WHOLE, Bounds, GzipReader
from regulars.transfer.line_stream import LineStream, TextStream
from regulars.transfer.workbook import (
    COMPOUND_SIGNATURE,
    MAX_WORKBOOK_BYTES,
    Sheet,
    convert_sheet,
)
from regulars.transfer.zip_file import SIGNATURES as ZIP_SIGNATURES
from regulars.transfer.zip_file import ZipEntryReader, find_entry

STDIN = "-"
SAMPLE = 65_536
_BUFFER = 262_144
_GZIP = b"\x1f\x8b"


# The contents of files: plain text is CSV or JSON Lines.
PLAIN, WORKBOOK, VCARD, JSON_ARRAY = "text", "workbook", "vcard", "json"


@dataclass(slots=True)
class InputFile:
    """A file as text. `sample` is the beginning of the text, `head` that of the bytes. `size` is in
    bytes, None if it is unknown. `encoding`, `packing` (gzip, zip or empty) and `content` are
    detected. The text of a workbook is the CSV of its `sheet`, and that of vCards and of a JSON
    document is JSON Lines, a record on each line."""

    name: str
    stream: TextStream
    sample: str
    head: bytes
    size: int | None
    encoding: str
    packing: str
    content: str
    sheet: str | None
    bounds: Bounds
    _open: Callable[[], tuple[TextStream, _CountingReader]] = field(repr=False)
    _raw: _CountingReader = field(repr=False)
    _converted_bytes: int | None = field(repr=False)
    # Up to three decoded cells that are not ASCII, to check a detected encoding by.
    samples: tuple[str, ...] = ()
    # The names of the sheets of a workbook, of which at least 250 are listed.
    sheets: Sequence[str] = ()

    @property
    def gzipped(self) -> bool:
        """Whether the file is compressed with gzip."""
        return self.packing == "gzip"

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read; of a workbook, in proportion to its
        rows."""
        if self._converted_bytes and self.size is not None:
            return self._raw.count * self.size // self._converted_bytes
        return self._raw.count

    @property
    def summary(self) -> str:
        """Return the detected packing, sheet and encoding, with samples, as a text for the user."""
        packed = f"{self.packing}, " if self.packing else ""
        if self.sheet is not None:
            return f"{packed}sheet {self.sheet!r}"
        return f"{packed}{display_name(self.encoding)}{quoted_samples(self.samples)}"

    def restart(self) -> None:
        """Read from the beginning again."""
        self.stream, self._raw = self._open()


class _CountingReader(io.RawIOBase):
    """A file whose beginning was read before. Counts the bytes that are read."""

    def __init__(self, beginning: bytes, rest: IO[bytes]) -> None:
        self._beginning = memoryview(beginning)
        self._rest = rest
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        max_bytes = len(buffer)
        data: Any = self._beginning[:max_bytes]
        if data:
            self._beginning = self._beginning[max_bytes:]
        else:
            data = (
                self._rest.read1(max_bytes)
                if hasattr(self._rest, "read1")
                else self._rest.read(max_bytes)
            )
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


@contextmanager
def open_input(
    name: str,
    encoding: str | None = None,
    content: IO[bytes] | None = None,
    form: str | None = None,
    bounds: Bounds = WHOLE,
    sheet: str | None = None,
) -> Iterator[InputFile]:
    """Open a file, or `-` for standard input; `content` instead of it, if passed, which stays open.
    `form` is csv, jsonl, or None to detect it. `sheet` is the name of the sheet of a workbook, None
    for the first one with rows. Raises BadFile, and BadOption for an unknown encoding or sheet."""
    chosen = None if encoding is None else charset(encoding)
    with ExitStack() as opened:
        try:
            if content is not None:
                file = content
            elif name == STDIN:
                file = opened.enter_context(_spooled(sys.stdin.buffer))
            else:
                file = opened.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise BadFile(f"{name} cannot be read: {error.strerror}.") from error
        try:
            plain = _PlainFile(name, file, bounds, sheet, opened)
            input_file = _open_text(plain, chosen, form)
        except UNREADABLE as error:
            raise unreadable(name, error) from error
        yield input_file


def _spooled(file: IO[bytes], max_bytes: int | None = None, name: str = "") -> IO[bytes]:
    """Copy a stream to a temporary file, so that it can be read twice. Raises BadFile for a
    workbook of more than `max_bytes`."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    while chunk := file.read(_BUFFER):
        copy.write(chunk)
        if max_bytes is not None and copy.tell() > max_bytes:
            copy.close()
            raise BadFile(_too_large_workbook(name))
    copy.seek(0)
    return copy


# Exceptions that a damaged file raises while it is read.
UNREADABLE = (EOFError, zlib.error, OSError, UnicodeError)


def unreadable(name: str, error: Exception) -> BadFile:
    """Return the error of a file for an exception of UNREADABLE."""
    if isinstance(error, UnicodeError):
        return BadFile(f"{name} cannot be decoded: {error}.")
    if isinstance(error, OSError):
        return BadFile(f"{name} cannot be read: {error.strerror or error}.")
    return BadFile(f"{name} is incomplete or damaged, and cannot be decompressed.")


class _PlainFile:
    """A file whose packing is removed. `head` is the beginning of the file itself. A workbook is
    converted to CSV in a temporary file, which `opened` closes."""

    def __init__(
        self, name: str, file: IO[bytes], bounds: Bounds, sheet: str | None, opened: ExitStack
    ) -> None:
        self.name = name
        self.bounds = bounds
        self.size = file.seek(0, io.SEEK_END)
        self.packing = ""
        self.sheet: Sheet | None = None
        self._file = file
        self._entry: ZipInfo | None = None
        file.seek(0)
        self.head = head = _beginning(file)
        is_workbook = head.startswith(COMPOUND_SIGNATURE)
        if head.startswith(_GZIP):
            self.packing = "gzip"
        elif head.startswith(ZIP_SIGNATURES):
            self._entry = find_entry(name, file, bounds)
            is_workbook = self._entry is None
            self.packing = "" if is_workbook else "zip"
        if is_workbook:
            self._convert(file, sheet, opened)
            return
        sample = self.open()[1] if self.packing else head
        if self.packing and sample.startswith((*ZIP_SIGNATURES, COMPOUND_SIGNATURE)):
            unpacked = opened.enter_context(_spooled(self.open()[2], MAX_WORKBOOK_BYTES, name))
            is_zip = sample.startswith(ZIP_SIGNATURES)
            if is_zip and find_entry(name, unpacked, bounds) is not None:
                raise BadFile(f"{name} has a zip archive inside. Unpack it, and import the file.")
            self._convert(unpacked, sheet, opened)
            return
        if self.packing and sample.startswith(_GZIP):
            packing = "with gzip twice" if self.packing == "gzip" else "with zip and with gzip"
            raise BadFile(f"{name} is compressed {packing}. Compress it once.")
        if problem := unsupported_kind(name, sample):
            raise BadFile(problem)

    def _convert(self, workbook: IO[bytes], sheet: str | None, opened: ExitStack) -> None:
        if not _has_descriptor(workbook):
            workbook.seek(0)
            workbook = opened.enter_context(_spooled(workbook, MAX_WORKBOOK_BYTES, self.name))
        elif workbook.seek(0, io.SEEK_END) > MAX_WORKBOOK_BYTES:
            raise BadFile(_too_large_workbook(self.name))
        self.sheet = convert_sheet(self.name, workbook, sheet, self.bounds)
        opened.enter_context(self.sheet.content)

    def open(self) -> tuple[_CountingReader, bytes, IO[bytes]]:
        """Return a reader that counts the bytes of the file, and the beginning and the whole of
        its content. Ends the reading that began before."""
        file = self.sheet.content if self.sheet else self._file
        entry = None if self.sheet else self._entry
        file.seek(entry.header_offset if entry else 0)
        head = _beginning(file)
        raw = _CountingReader(head, file)
        plain = io.BufferedReader(raw, _BUFFER)
        if entry:
            reader: io.RawIOBase = ZipEntryReader(self.name, plain, entry, self.bounds)
        elif self.packing == "gzip" and self.sheet is None:
            reader = GzipReader(self.name, plain, self.bounds)
        else:
            return raw, head, plain
        unpacked = io.BufferedReader(reader, _BUFFER)
        sample = _beginning(unpacked)
        return raw, sample, io.BufferedReader(_CountingReader(sample, unpacked), _BUFFER)


def _has_descriptor(file: IO[bytes]) -> bool:
    try:
        file.fileno()
    except OSError:
        return False
    return True


def _too_large_workbook(name: str) -> str:
    return (
        f"{name} is a workbook of more than {MAX_WORKBOOK_BYTES:,} bytes. Save the sheet as CSV, "
        "and import that file."
    )


def _open_text(plain: _PlainFile, encoding: str | None, form: str | None) -> InputFile:
    """Detect the encoding and the content of a file, and open it."""
    name = plain.name
    sample = plain.open()[1]
    guess: Guess | None = Guess(encoding or "utf-8", "sure")
    if encoding is None and not plain.sheet:
        guess = recognised(sample, form)
        if guess is None:
            guess = _charset_of_all(name, plain.open()[2])
            if guess.encoding != "utf-8" or guess.confidence != "sure":
                guess = decide_by_headings(sample, guess)
            require_sure(name, guess)
    assert guess is not None
    chosen = guess.encoding
    try:
        text_sample = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
    except UnicodeError as error:
        raise BadFile(f"{name} is not {chosen}: {error}. Choose another encoding.") from error
    content = PLAIN
    convert: Callable[[str, TextStream], Iterator[str]] | None = None
    if plain.sheet:
        content = WORKBOOK
    elif form != "csv" and vcard.is_vcard(text_sample):
        content, convert = VCARD, vcard.convert_cards
    elif form != "csv" and (array := json_array.find_records(text_sample)) is not None:
        content, convert = JSON_ARRAY, array.convert
    # Undecodable bytes become characters that no text has. Their rows are rejected.
    errors = "replace" if chosen.startswith(("utf-16", "utf-32")) else "surrogateescape"

    def open_stream() -> tuple[TextStream, _CountingReader]:
        raw, _, content_reader = plain.open()
        stream = io.TextIOWrapper(content_reader, encoding=chosen, errors=errors, newline="")
        return (LineStream(convert(name, stream)) if convert else stream), raw

    samples = guess.samples or (() if encoding else sample_cells(text_sample))
    converted_bytes = plain.sheet.content.seek(0, io.SEEK_END) if plain.sheet else None
    stream, raw = open_stream()
    return InputFile(
        name,
        stream,
        text_sample,
        plain.head,
        plain.size,
        chosen,
        plain.packing,
        content,
        plain.sheet.name if plain.sheet else None,
        plain.bounds,
        open_stream,
        raw,
        converted_bytes,
        samples,
        plain.sheet.names if plain.sheet else (),
    )


def _beginning(file: IO[bytes]) -> bytes:
    """Read the first bytes of a file. A pipe may return them in several parts."""
    head = b""
    while len(head) < SAMPLE:
        more = file.read(SAMPLE - len(head))
        if not more:
            break
        head += more
    return head


def recognised(sample: bytes, form: str | None = None) -> Guess | None:
    """Detect the encoding by the beginning of a file: Unicode by its byte order mark or by zeros,
    UTF-8 for JSON. Return None if the whole file has to be scanned."""
    encoding = unicode_encoding(sample)
    if encoding in (None, "utf-8-sig") and (
        form == "jsonl" or (form is None and is_json_text(sample))
    ):
        return Guess(encoding or "utf-8", "sure")
    return None if encoding is None else Guess(encoding, "sure")


def _charset_of_all(name: str, file: IO[bytes]) -> Guess:
    """Detect the encoding of a file as a whole: UTF-8, or another one. Raises BadFile for UTF-7."""
    scan = EncodingScan()
    try:
        while chunk := file.read(CHUNK_BYTES):
            scan.add(chunk)
    except (*UNREADABLE, BadFile):
        pass  # met again when it is read
    guess = scan.guess()
    if scan.is_utf7 and guess.encoding == "utf-8":
        raise BadFile(
            f"{name} seems to be in UTF-7, which is not supported. Export it as UTF-8, or convert "
            "it: iconv -f UTF-7 -t UTF-8. If it is not in UTF-7, choose --encoding utf-8."
        )
    return guess
