"""Finds the empty lines at which the bytes of a connection are cut into requests."""

from __future__ import annotations

_EMPTY_LINE = b"\r\n\r\n"


class BlockScanner:
    """Finds empty lines in bytes that arrive in pieces. An empty line may begin in one piece and
    end in the next."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._tail = b""  # the last bytes of a block that did not end with an empty line

    def reset(self) -> None:
        """Forgets earlier bytes. Call it when a new request begins."""
        self._tail = b""

    def end_of_block(self, data: bytes, position: int) -> int:
        """Returns the index after the next empty line that begins at or after `position`. Without
        one within `max_bytes`, returns the end of those bytes or of the data."""
        tail = self._tail
        if tail:
            index = (tail + data[position : position + 3]).find(_EMPTY_LINE)
            if index >= 0:
                self._tail = b""
                return position + index + 4 - len(tail)
        index = data.find(_EMPTY_LINE, position, position + self._max_bytes)
        if index >= 0:
            self._tail = b""
            return index + 4
        end = min(len(data), position + self._max_bytes)
        self._tail = (tail + data[max(position, end - 3) : end])[-3:]
        return end
