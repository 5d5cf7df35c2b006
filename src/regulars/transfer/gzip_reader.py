"""Decompress gzip files within limits."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import IO, Any

from regulars.transfer.errors import BadFile

CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for reading a file: bytes after decompression (None for no limit), blank lines, and
    members of a gzip file. Each blank line and each member takes time of its own."""

    unpacked_bytes: int | None = None
    blank_lines: int = 2_000_000
    members: int = 100_000


WHOLE = Bounds()
# Limits for the first chunk of a file, from which its format is detected.
BEGINNING = Bounds(2 * 1024 * 1024, 10_000, 1_000)


class GzipReader(io.RawIOBase):
    """Decompresses a gzip file (RFC 1952) of any number of members, within bounds."""

    def __init__(self, name: str, packed: IO[bytes], bounds: Bounds) -> None:
        self._name = name
        self._packed = packed
        self._bounds = bounds
        self._member: Any = None
        self._input = b""
        self._members = 0
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._input = self._input or self._packed.read(CHUNK_BYTES)
            if self._member is None and not self._start_member():
                return 0
            if not self._input:
                raise EOFError
            data = self._member.decompress(self._input, len(buffer))
            self._input = self._member.unconsumed_tail
            if self._member.eof:
                self._input = self._member.unused_data
                self._member = None
            if data:
                self._count_bytes(len(data))
                buffer[: len(data)] = data
                return len(data)

    def _start_member(self) -> bool:
        """Start the next member. Return whether there is one. Zeros after a member are padding."""
        if self._members:
            while self._input and not (rest := self._input.lstrip(b"\0")):
                self._input = self._packed.read(CHUNK_BYTES)
            self._input = rest if self._input else b""
        if not self._input:
            return False
        self._members += 1
        if self._members > self._bounds.members:
            raise BadFile(
                f"{self._name} has more than {self._bounds.members:,} gzip members. Compress the "
                "file again, in one piece."
            )
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return True

    def _count_bytes(self, length: int) -> None:
        self._count += length
        max_bytes = self._bounds.unpacked_bytes
        if max_bytes is not None and self._count > max_bytes:
            raise BadFile(too_large(self._name, max_bytes))


def too_large(name: str, max_bytes: int) -> str:
    """Return the message about a file with more than `max_bytes` of decompressed content."""
    if max_bytes == BEGINNING.unpacked_bytes:
        return f"The first rows of {name} are larger than {max_bytes:,} bytes when unpacked."
    return (
        f"{name} is larger than {max_bytes:,} bytes when unpacked "
        "(REGULARS_MAX_IMPORT_UNPACKED_BYTES). Split it, or use the command regulars import."
    )
