"""Open input files: detect compression and encoding, and read them as text."""

from __future__ import annotations

import codecs
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from regulars.transfer.charsets import charset, display_name
from regulars.transfer.encoding_detection import Guess
from regulars.transfer.encoding_scan import (
    EncodingScan,
    is_json_text,
    quoted_samples,
    require_sure,
    sample_cells,
    unicode_encoding,
)
from regulars.transfer.errors import BadFile
from regulars.transfer.gzip_reader import CHUNK_BYTES, WHOLE, Bounds, GzipReader

STDIN = "-"
SAMPLE = 65_536
_BUFFER = 262_144
_GZIP = b"\x1f\x8b"
# Signatures of unsupported containers.
_PACKED = {
    b"PK\x03\x04": "a zip archive or a workbook (.xlsx)",
    b"PK\x05\x06": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh91AY&SY": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a workbook (.xls)",
}


@dataclass(slots=True)
class InputFile:
    """A file as text. `sample` is the beginning of the text, `head` that of the bytes. `size` is in
    bytes, None if it is unknown. `encoding` and `gzipped` are detected."""

    name: str
    stream: io.TextIOWrapper
    sample: str
    head: bytes
    size: int | None
    encoding: str
    gzipped: bool
    bounds: Bounds
    _raw: _CountingReader = field(repr=False)
    # Up to three decoded cells that are not ASCII, to check a detected encoding by.
    samples: tuple[str, ...] = ()

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._raw.count

    @property
    def summary(self) -> str:
        """Return the detected encoding, with samples, as a text for the user."""
        packed = "gzip, " if self.gzipped else ""
        return f"{packed}{display_name(self.encoding)}{quoted_samples(self.samples)}"


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
) -> Iterator[InputFile]:
    """Open a file, or `-` for standard input; `content` instead of it, if passed, which stays open.
    `form` is csv, jsonl, or None to detect it. Raises BadFile, and BadOption for an unknown
    encoding."""
    chosen = None if encoding is None else charset(encoding)
    try:
        file = content or (sys.stdin.buffer if name == STDIN else Path(name).open("rb"))  # noqa: SIM115  # closed below
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}.") from error
    try:
        try:
            size = None
            if file is not sys.stdin.buffer:
                size = file.seek(0, io.SEEK_END)
                file.seek(0)
            elif chosen is None:
                file = _spooled(file)
            input_file = _open_text(name, file, size, chosen, form, bounds)
        except UNREADABLE as error:
            raise unreadable(name, error) from error
        yield input_file
    finally:
        if content is None and file is not sys.stdin.buffer:
            file.close()


def _spooled(file: IO[bytes]) -> IO[bytes]:
    """Copy a stream to a temporary file, so that it can be read twice."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(file, copy, _BUFFER)
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
    return BadFile(f"{name} is not whole: the compressed file is damaged, or cut off.")


def _open_text(
    name: str,
    file: IO[bytes],
    size: int | None,
    encoding: str | None,
    form: str | None,
    bounds: Bounds,
) -> InputFile:
    head, raw, sample, plain = _plain(name, file, bounds)
    _require_plain(name, sample)
    guess = recognised(sample, form) if encoding is None else Guess(encoding, "sure")
    if guess is None:
        file.seek(0)
        guess = _charset_of_all(_plain(name, file, bounds)[3])
        require_sure(name, guess)
        file.seek(0)
        head, raw, sample, plain = _plain(name, file, bounds)
    chosen = guess.encoding
    # Undecodable bytes become characters that no text has. Their rows are rejected.
    errors = "replace" if chosen.startswith(("utf-16", "utf-32")) else "surrogateescape"
    stream = io.TextIOWrapper(plain, encoding=chosen, errors=errors, newline="")
    try:
        text_sample = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
    except UnicodeError as error:
        raise BadFile(f"{name} is not {chosen}: {error}. Choose another encoding.") from error
    samples = guess.samples or (() if encoding else sample_cells(text_sample))
    is_packed = head.startswith(_GZIP)
    return InputFile(name, stream, text_sample, head, size, chosen, is_packed, bounds, raw, samples)


def _plain(
    name: str, file: IO[bytes], bounds: Bounds
) -> tuple[bytes, _CountingReader, bytes, IO[bytes]]:
    """Return the beginning of a file, its counting reader, and the beginning and the whole of its
    uncompressed content."""
    head = _beginning(file)
    raw = _CountingReader(head, file)
    plain = io.BufferedReader(raw, _BUFFER)
    if not head.startswith(_GZIP):
        return head, raw, head, plain
    unpacked = io.BufferedReader(GzipReader(name, plain, bounds), _BUFFER)
    sample = _beginning(unpacked)
    return head, raw, sample, io.BufferedReader(_CountingReader(sample, unpacked), _BUFFER)


def _require_plain(name: str, sample: bytes) -> None:
    """Raise BadFile for an unsupported container."""
    if sample.startswith(_GZIP):
        raise BadFile(f"{name} is compressed with gzip twice. Compress it once.")
    for start, kind in _PACKED.items():
        if sample.startswith(start):
            raise BadFile(f"{name} is {kind}. Send CSV or JSON Lines, as it is or with gzip.")


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


def _charset_of_all(file: IO[bytes]) -> Guess:
    """Detect the encoding of a file as a whole: UTF-8, or another one."""
    scan = EncodingScan()
    try:
        while chunk := file.read(CHUNK_BYTES):
            scan.add(chunk)
    except (*UNREADABLE, BadFile):
        pass  # met again when it is read
    return scan.guess()
