"""Files as they come: compressed or not, in one encoding or another."""

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
# What other containers begin with.
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
    """A file as text: `sample` is its beginning; `head` the beginning of its bytes. `size` is in
    bytes, None where it is not known; `gzipped` as `encoding` is what was recognised."""

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
    def shown(self) -> str:
        """What was recognised, for a person."""
        packed = "gzip, " if self.gzipped else ""
        return f"{packed}{_NAMES.get(self.encoding, self.encoding)}"


class _CountingReader(io.RawIOBase):
    """A file whose beginning was read already, and which counts what is read of it."""

    def __init__(self, beginning: bytes, rest: IO[bytes]) -> None:
        self._beginning = memoryview(beginning)
        self._rest = rest
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        most = len(buffer)
        data: Any = self._beginning[:most]
        if data:
            self._beginning = self._beginning[most:]
        else:
            data = self._rest.read1(most) if hasattr(self._rest, "read1") else self._rest.read(most)
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
    """Opens a file, or `-` for standard input; with `content`, what is called so, which stays open.
    `form` is csv, jsonl, or None for what it seems to be. Raises BadFile, and BadOption for an
    encoding that there is not."""
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
            found = _open_text(name, file, size, chosen, form, bounds)
        except UNREADABLE as error:
            raise unreadable(name, error) from error
        yield found
    finally:
        if content is None and file is not sys.stdin.buffer:
            file.close()


def _spooled(file: IO[bytes]) -> IO[bytes]:
    """A copy of a stream that can be read twice: the encoding is known when all was read."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(file, copy, _BUFFER)
    copy.seek(0)
    return copy


# What is raised while a file is read, and is the file's fault.
UNREADABLE = (EOFError, zlib.error, OSError, UnicodeError)


def unreadable(name: str, error: Exception) -> BadFile:
    """What is wrong with a file in which one of UNREADABLE was met."""
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
    # What cannot be decoded is kept as what no text has, and its row rejected.
    errors = "replace" if chosen.startswith(("utf-16", "utf-32")) else "surrogateescape"
    stream = io.TextIOWrapper(plain, encoding=chosen, errors=errors, newline="")
    try:
        shown = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
    except UnicodeError as error:
        raise BadFile(f"{name} is not {chosen}: {error}. Choose another encoding.") from error
    return InputFile(name, stream, shown, head, size, chosen, head.startswith(_GZIP), bounds, raw)


def _plain(
    name: str, file: IO[bytes], bounds: Bounds
) -> tuple[bytes, _CountingReader, bytes, IO[bytes]]:
    """The beginning of a file, what counts its bytes, the beginning of its text, and its text."""
    head = _beginning(file)
    raw = _CountingReader(head, file)
    plain = io.BufferedReader(raw, _BUFFER)
    if not head.startswith(_GZIP):
        return head, raw, head, plain
    unpacked = io.BufferedReader(GzipReader(name, plain, bounds), _BUFFER)
    sample = _beginning(unpacked)
    return head, raw, sample, io.BufferedReader(_CountingReader(sample, unpacked), _BUFFER)


def _require_plain(name: str, sample: bytes) -> None:
    """Raises BadFile for a container that is not read."""
    if sample.startswith(_GZIP):
        raise BadFile(f"{name} is compressed with gzip twice. Compress it once.")
    for start, kind in _PACKED.items():
        if sample.startswith(start):
            raise BadFile(f"{name} is {kind}. Send CSV or JSON Lines, as it is or with gzip.")


def _beginning(file: IO[bytes]) -> bytes:
    """The first bytes of a file; a pipe may give them a few at a time."""
    found = b""
    while len(found) < SAMPLE:
        more = file.read(SAMPLE - len(found))
        if not more:
            break
        found += more
    return found


def recognised(sample: bytes) -> str:
    """The encoding of a file that begins so: by its byte order mark, or by zeros; else UTF-8 or
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
