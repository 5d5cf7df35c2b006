"""Files as they come: compressed or not, in one encoding or another."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from regulars.transfer.errors import BadFile, BadOption

STDIN = "-"
SAMPLE = 65_536
_BUFFER = 262_144
_GZIP = b"\x1f\x8b"
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


@dataclass(slots=True)
class Opened:
    """A file as text: `sample` is its beginning; `head` the beginning of its bytes. `size` is in
    bytes, None where it is not known; `gzipped` as `encoding` is what was recognised."""

    name: str
    stream: io.TextIOWrapper
    sample: str
    head: bytes
    size: int | None
    encoding: str
    gzipped: bool
    _raw: _Counted = field(repr=False)

    @property
    def read(self) -> int:
        """How many bytes of the file were read."""
        return self._raw.count

    @property
    def shown(self) -> str:
        """What was recognised, for a person."""
        packed = "gzip, " if self.gzipped else ""
        return f"{packed}{_NAMES.get(self.encoding, self.encoding)}"


class _Counted(io.RawIOBase):
    """A file whose beginning was read already, and which counts what is read of it."""

    def __init__(self, beginning: bytes, rest: IO[bytes] | gzip.GzipFile) -> None:
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
def opened(
    name: str, encoding: str | None = None, content: IO[bytes] | None = None
) -> Iterator[Opened]:
    """Opens a file, or `-` for standard input; with `content`, what is called so, which stays open.
    Raises BadFile, and BadOption for an encoding that there is not."""
    if encoding is not None:
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError:
            raise BadOption(f"There is no encoding {encoding!r}.") from None
    try:
        file = content or (sys.stdin.buffer if name == STDIN else Path(name).open("rb"))  # noqa: SIM115  # closed below
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}.") from error
    try:
        try:
            size = None if file is sys.stdin.buffer else file.seek(0, io.SEEK_END)
            if size is not None:
                file.seek(0)
            found = _opened(name, file, size, encoding)
        except UNREADABLE as error:
            raise unreadable(name, error) from error
        yield found
    finally:
        if content is None and file is not sys.stdin.buffer:
            file.close()


# What is raised while a file is read, and is the file's fault.
UNREADABLE = (EOFError, zlib.error, OSError)


def unreadable(name: str, error: Exception) -> BadFile:
    """What is wrong with a file in which one of UNREADABLE was met."""
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return BadFile(f"{name} cannot be read: {error.strerror or error}.")
    return BadFile(f"{name} is not whole: the compressed file is damaged, or cut off.")


def _opened(name: str, file: IO[bytes], size: int | None, encoding: str | None) -> Opened:
    head = _beginning(file)
    raw = _Counted(head, file)
    plain: IO[bytes] = io.BufferedReader(raw, _BUFFER)
    gzipped = head.startswith(_GZIP)
    sample = head
    if gzipped:
        unpacked = gzip.GzipFile(fileobj=plain)
        sample = _beginning(unpacked)
        plain = io.BufferedReader(_Counted(sample, unpacked), _BUFFER)
    chosen = encoding or recognised(sample)
    # What cannot be decoded is kept as what no text has, and its row rejected.
    errors = "replace" if chosen.startswith(("utf-16", "utf-32")) else "surrogateescape"
    stream = io.TextIOWrapper(plain, encoding=chosen, errors=errors, newline="")
    text = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
    return Opened(name, stream, text, head, size, chosen, gzipped, raw)


def _beginning(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """The first bytes of a file; a pipe may give them a few at a time."""
    found = b""
    while len(found) < SAMPLE:
        more = file.read(SAMPLE - len(found))
        if not more:
            break
        found += more
    return found


def recognised(sample: bytes) -> str:
    """The encoding of a file that begins so: by its byte order mark, or by what cannot be in
    another; Windows-1252 for what is not UTF-8."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return encoding
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.4:
        return "utf-16-le"
    if half and sample[0::2].count(0) > half * 0.4:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
