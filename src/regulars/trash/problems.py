"""The problems of deletions and restores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core.errors import CustomerNotFound, InvalidInput, Problem, TooMuchWork
from regulars.core.ids import encoder
from regulars.store.moving import MAX_BYTES
from regulars.trash.commands import Conflict
from regulars.trash.table import EMAIL, ORDER, SHOP_ID

_MIB = 1024 * 1024
_NOUNS = {EMAIL: "email", SHOP_ID: "external id", ORDER: "order name"}


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
    size above the maximum. An event of a shop (`by_event`) has no arguments to change."""

    def __init__(self, id_text: str, size: int | None = None, by_event: bool = False) -> None:
        fix = (
            f"Delete it with `regulars customers delete {id_text[:50]} --permanent`, and then the "
            "event."
            if by_event
            else "Pass `permanent: true` to delete it immediately."
        )
        amount = f"{size / _MIB:.0f} MiB" if size else f"more than {MAX_BYTES // _MIB} MiB"
        super().__init__(
            f"The customer `{id_text[:50]}` has {amount} of data; the trash takes "
            f"{MAX_BYTES // _MIB} MiB. {fix}",
            ("items",),
        )


class NotInTrash(CustomerNotFound):
    """Some ids belong to no customer in the trash."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids, ("items",))
        self.message = self.message.replace("No customer", "No customer in the trash", 1)


class RestoreConflict(Problem):
    """Other objects have values of customers in the trash. An event of a shop (`by_event`) has no
    arguments to change."""

    key = "errors_restore_conflict"

    def __init__(self, conflicts: Sequence[Conflict], by_event: bool = False) -> None:
        first = conflicts[0]
        others = len(conflicts) - 1
        are = "value is" if others == 1 else "values are"
        rest = f" {others} more {are} taken." if others else ""
        noun = _NOUNS[first.field]
        if first.field == EMAIL:
            fix = "Change the email of that customer, and try again."
        elif by_event:
            fix = (
                f"Restore without it (`regulars trash restore {first.customer_id} "
                "--skip-conflicts`) or change that customer, and run `regulars inbox retry`."
            )
        else:
            fix = "Restore without it (`conflictPolicy: skip`), or change that customer."
        super().__init__(
            f'The {noun} "{first.value[:100]}" belongs to another customer now, '
            f"`{first.taken_by}`.{rest} {fix}",
            ("items",),
        )
        self._conflicts = conflicts

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"conflicts": [skipped_value(conflict) for conflict in self._conflicts]}


def skipped_value(conflict: Conflict) -> dict[str, Any]:
    """Return a conflict in the form of the API."""
    customer_id, taken_by = encoder("Customer")([conflict.customer_id, conflict.taken_by])
    return {
        "customer_id": customer_id,
        "field": conflict.field,
        "value": conflict.value,
        "taken_by": taken_by,
    }
