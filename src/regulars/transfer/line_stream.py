"""Texts that are read line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class TextStream(Protocol):
    """A text that is read line by line, or in parts."""

    def readline(self, size: int = -1, /) -> str:
        """Return the next line with its end, or its next `size` characters."""

    def read(self, size: int = -1, /) -> str:
        """Return the next `size` characters."""


class LineStream:
    """A text of the lines of an iterator, each with its end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._line = ""

    def readline(self, size: int = -1, /) -> str:
        """Return the next line, or its next `size` characters."""
        line = self._line or next(self._lines, "")
        self._line = ""
        if 0 <= size < len(line):
            line, self._line = line[:size], line[size:]
        return line

    def read(self, size: int = -1, /) -> str:
        """Return the next characters, at most those of a line."""
        return self.readline(size)
