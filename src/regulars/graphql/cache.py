"""A cache that is bounded in bytes, for each owner too: one owner can neither fill it nor push out
what others use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

# An owner has at most this part of the bytes.
_SHARE = 4


class _Share(OrderedDict[Hashable, "Entry"]):
    """The entries of an owner, the most recently used one last, and their size in bytes."""

    def __init__(self, owner: Hashable) -> None:
        super().__init__()
        self.owner = owner
        self.size = 0


@dataclass(slots=True, eq=False)
class Entry:
    """A cached value, and its size in bytes."""

    key: Hashable
    value: Any
    share: _Share
    size: int = 0


class ByteCache:
    """Values by key. An owner with more than a quarter of `max_bytes` loses its least recently used
    values; if all owners together have more than `max_bytes`, the largest of them does."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: dict[Hashable, Entry] = {}
        self._shares: dict[Hashable, _Share] = {}
        self.size = 0
        self.share_bytes = max_bytes // _SHARE

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> Any:
        """The value of a key, or None. It becomes the most recently used one of its owner."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.share.move_to_end(key)
        return entry.value

    def add(self, key: Hashable, value: Any, size: int, owner: Hashable) -> Entry:
        """Caches a value under a key that has none."""
        if owner not in self._shares:
            self._shares[owner] = _Share(owner)
        share = self._shares[owner]
        entry = Entry(key, value, share)
        self._entries[key] = share[key] = entry
        self.grow(entry, size)
        return entry

    def grow(self, entry: Entry, more: int) -> None:
        """Adds to the size of an entry, and drops what is too much: perhaps the entry itself."""
        if self._entries.get(entry.key) is not entry:
            return
        self._count(entry, more)
        while entry.share.size > self.share_bytes:
            self._drop(entry.share)
        while self.size > self._max_bytes:
            self._drop(max(self._shares.values(), key=lambda share: share.size))

    def _count(self, entry: Entry, more: int) -> None:
        entry.size += more
        entry.share.size += more
        self.size += more

    def _drop(self, share: _Share) -> None:
        key, entry = share.popitem(last=False)
        del self._entries[key]
        self._count(entry, -entry.size)
        if not share:
            self._shares.pop(share.owner, None)
