"""The problems of deletions and restores."""

from __future__ import annotations

from regulars.core.errors import InvalidInput, TooMuchWork
from regulars.store.moving import MAX_BYTES

_MIB = 1024 * 1024


class TooMuchData(TooMuchWork):
    """The customers of a command have too much data to be moved at once."""

    def __init__(self) -> None:
        InvalidInput.__init__(
            self,
            "These customers have too much data to be moved in one request. Send fewer customers.",
            ("items",),
        )


class TooLargeForTrash(InvalidInput):
    """A customer has more data than the trash takes. `size` is in bytes, or None for an unknown
    size above the maximum."""

    def __init__(self, id_text: str, size: int | None = None) -> None:
        amount = f"{size / _MIB:.0f} MiB" if size else f"more than {MAX_BYTES // _MIB} MiB"
        super().__init__(
            f"The customer `{id_text[:50]}` has {amount} of data; the trash takes "
            f"{MAX_BYTES // _MIB} MiB. Pass `permanent: true` to delete it immediately.",
            ("items",),
        )
