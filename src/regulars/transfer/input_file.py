"""Open input files: detect compression and encoding, and read them as text."""

from __future__ import annotations

import codecs
import io
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from regulars.transfer.charsets import charset
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
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {
    "utf-8-sig": "UTF-8 with a BOM",
    "utf-8": "UTF-8",
    "cp1252": "Windows-1252",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 without a BOM",
    "utf-16-be": "UTF-16 without a BOM",
    "utf-32": "UTF-32",
}


_UTF8, _WINDOWS = "utf-8", "cp1252"
_BAD = re.compile("[\udc80-\udcff]+")
# A file is not UTF-8 if it has so many bytes that are none for each continuation byte of UTF-8.
_DOUBT = 10
# Beyond so many, and so many times as many, the rest of the file makes no difference.
_CLEAR = 1_000


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

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._raw.count

    @property
    def summary(self) -> str:
        """Return the detected encoding as a text for the user."""
        packed = "gzip, " if self.gzipped else ""
        return f"{packed}{_NAMES.get(self.encoding, self.encoding)}"


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
    chosen = encoding or recognised(sample)
    if encoding is None and chosen in (_UTF8, _WINDOWS):
        text = sample.removeprefix(codecs.BOM_UTF8).lstrip()
        if form == "jsonl" or (form is None and text.startswith(b"{")):
            chosen = _UTF8  # RFC 8259
        else:
            file.seek(0)
            chosen = _charset_of_all(_plain(name, file, bounds)[3])
            file.seek(0)
            head, raw, sample, plain = _plain(name, file, bounds)
    # Undecodable bytes become characters that no text has. Their rows are rejected.
    errors = "replace" if chosen.startswith(("utf-16", "utf-32")) else "surrogateescape"
    stream = io.TextIOWrapper(plain, encoding=chosen, errors=errors, newline="")
    try:
        text_sample = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
    except UnicodeError as error:
        raise BadFile(f"{name} is not {chosen}: {error}. Choose another encoding.") from error
    return InputFile(
        name, stream, text_sample, head, size, chosen, head.startswith(_GZIP), bounds, raw
    )


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


def recognised(sample: bytes) -> str:
    """Detect the encoding of a sample by its byte order mark or by zeros; else UTF-8 or
    Windows-1252."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return encoding
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.4:
        return "utf-16-le"
    if half and sample[0::2].count(0) > half * 0.4:
        return "utf-16-be"
    return _charset_of_all(io.BytesIO(sample))


def _charset_of_all(file: IO[bytes]) -> str:
    """UTF-8 or Windows-1252, for a file as a whole. Text in Windows-1252 is hardly ever valid UTF-8
    (an accent would be followed by a sign such as ©), so a file in which a tenth of such text is
    valid is UTF-8 with damaged rows."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    sequences = bad = 0
    try:
        while chunk := file.read(CHUNK_BYTES):
            before = len(decoder.getstate()[0])
            text = decoder.decode(chunk)
            if len(text) == len(chunk) and not before and text.isascii():
                continue
            bad += sum(map(len, _BAD.findall(text)))
            sequences += len(chunk) + before - len(decoder.getstate()[0]) - len(text)
            if bad > _CLEAR + _CLEAR * sequences:
                break
    except (*UNREADABLE, BadFile):
        pass  # met again when it is read
    return _WINDOWS if bad > _DOUBT * sequences else _UTF8
