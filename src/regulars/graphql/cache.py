"""A cache with a limit in bytes, and a limit per owner: an owner cannot evict what others use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

# An owner has at most this fraction of the bytes: a quarter.
_OWNER_FRACTION = 4


class _Share(OrderedDict[Hashable, "CacheEntry"]):
    """The entries of an owner, the most recently used one last, and their size in bytes."""

    def __init__(self, owner: Hashable) -> None:
        super().__init__()
        self.owner = owner
        self.size = 0


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A cached value, and its size in bytes."""

    key: Hashable
    value: Any
    share: _Share
    size: int = 0


class ByteCache:
    """A cache of at most `max_bytes`, of which each owner has at most a quarter.

    An owner with more loses its least recently used entries. If all owners together have more than
    `max_bytes`, the owner with the most bytes does.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: dict[Hashable, CacheEntry] = {}
        self._shares: dict[Hashable, _Share] = {}
        self.size = 0
        self.share_bytes = max_bytes // _OWNER_FRACTION

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> Any:
        """Returns the value of a key, or None. It becomes the most recently used one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.share.move_to_end(key)
        return entry.value

    def add(self, key: Hashable, value: Any, size: int, owner: Hashable) -> CacheEntry:
        """Adds a value under a new key. `size` is in bytes."""
        if owner not in self._shares:
            self._shares[owner] = _Share(owner)
        share = self._shares[owner]
        entry = CacheEntry(key, value, share)
        self._entries[key] = share[key] = entry
        self.resize(entry, size)
        return entry

    def resize(self, entry: CacheEntry, change: int) -> None:
        """Changes the size of an entry by a number of bytes, and evicts entries above the limits:
        perhaps the entry itself. An evicted entry is ignored."""
        if self._entries.get(entry.key) is not entry:
            return
        self._count(entry, change)
        while entry.share.size > self.share_bytes:
            self._evict(entry.share)
        while self.size > self._max_bytes:
            self._evict(max(self._shares.values(), key=lambda share: share.size))

    def _count(self, entry: CacheEntry, change: int) -> None:
        entry.size += change
        entry.share.size += change
        self.size += change

    def _evict(self, share: _Share) -> None:
        key, entry = share.popitem(last=False)
        del self._entries[key]
        self._count(entry, -entry.size)
        if not share:
            self._shares.pop(share.owner, None)
