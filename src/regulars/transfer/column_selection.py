"""The columns that are chosen for fields, so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regulars.transfer.address_groups import Candidate
from regulars.transfer.column_profile import has_circles_and_crosses

# Special readings of a column; see `columns.Column`.
OPT_OUT, SUBSCRIBED_AT, UNSUBSCRIBED_AT = "opt_out", "subscribed_at", "unsubscribed_at"
CONTINUED, CALLING_CODE = "continued", "calling_code"
CIRCLES = "circles"
# The field of a column that is left out.
DROP = "-"

CONSENT = "accepts_marketing"


@dataclass(slots=True)
class Choice:
    """What is chosen for a column. Without a field it is kept under its heading."""

    field: str | None = None
    reader: str | None = None
    note: str | None = None
    fallback: str | None = None
    label: str = ""
    label_position: int | None = None


class Selection:
    """A choice for each of some columns. `taken` are the fields of mapped columns."""

    def __init__(self, columns: int, taken: Iterable[str]) -> None:
        self.taken = frozenset(taken)
        self.choices = [Choice() for _ in range(columns)]

    def select(self, target: str, field: str, candidates: Sequence[Candidate]) -> None:
        """Select the best column of a field. The others are kept under their headings."""
        if target in self.taken:
            for candidate in candidates:
                self.note(candidate, f"another column is mapped to {target}")
            return
        ranked = sorted(candidates, key=lambda c: c.rank)
        for candidate in ranked[1:]:
            best = ranked[0]
            fuller = best.profile.filled > candidate.profile.filled
            why = "has more values" if fuller else f"is preferred as {field}"
            self.note(candidate, f"{best.heading!r} {why}")
            if target in ("email", "phone", CONSENT) and candidate.has_values:
                self.choices[candidate.position].fallback = field
        if ranked:
            choice = self.choices[ranked[0].position]
            choice.field = target
            if target == CONSENT and has_circles_and_crosses(ranked[0].profile):
                choice.reader = CIRCLES

    def note(self, candidate: Candidate, reason: str) -> None:
        """Note why a column with values is not used."""
        if candidate.has_values:
            self.choices[
                candidate.position
            ].note = (
                f"{candidate.heading!r} is not used as a field of the customer, because {reason}."
            )
