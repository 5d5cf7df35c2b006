"""Choose the columns of the addresses of a customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from regulars.customers.address_book import BOOK, FLAGS, MAX_ENTRIES
from regulars.transfer.address_columns import is_entry, label_columns, without_later
from regulars.transfer.address_groups import (
    PERSON,
    WORK,
    Candidate,
    Groups,
    is_later,
    merge_strays,
    move_streets,
    part_of,
    prefer_letters,
)
from regulars.transfer.column_profile import is_mostly_house_number
from regulars.transfer.column_selection import Selection
from regulars.transfer.composed_fields import HOUSE_NUMBER
from regulars.transfer.contact_columns import label_of
from regulars.transfer.entry_fields import LABEL, entry_field
from regulars.transfer.headings import (
    BILLING,
    COMPANY,
    NEUTRAL,
    SHIPPING,
    WHOLE,
    Match,
    group_order,
    has_part,
)

# Columns between a street and its number.
_MAX_DISTANCE = 2


class AddressChooser:
    """Chooses the columns of the shipping and the billing address from `groups` of columns.
    `numbers` are columns that are house numbers if they are next to a street, and `companies` those
    of companies. With the `headings` of the file, further addresses and labels are chosen, too."""

    def __init__(
        self,
        selection: Selection,
        groups: Groups,
        numbers: Sequence[Candidate],
        companies: Sequence[Candidate],
        headings: Sequence[str] | None = None,
    ) -> None:
        self._chosen = selection
        self._groups = groups
        self._numbers = numbers
        self._companies = companies
        self._headings = headings
        # The columns of each address that is chosen, by its field.
        self._columns: dict[str, list[Candidate]] = {}

    def choose(self) -> None:
        """Choose one group of columns for each address, so that all parts are of one address.

        A neutral group is the shipping address if no shipping group has values.
        """
        move_streets(self._groups)
        merge_strays(self._groups)
        groups = [(kind, name, columns) for (kind, name), columns in self._groups.items()]
        of_kind = {
            kind: [(name, columns) for k, name, columns in groups if k == kind]
            for kind in (SHIPPING, BILLING, NEUTRAL)
        }
        detailed, neutral = (
            [
                (name, columns)
                for name, columns in of_kind[kind]
                if any(c.has_values and c.match.field not in (WHOLE, *PERSON) for c in columns)
            ]
            for kind in (SHIPPING, NEUTRAL)
        )
        everything = of_kind[SHIPPING] or of_kind[NEUTRAL]
        self._choose_group("shipping_address", detailed or neutral or everything)
        # Next to a shipping address, one of no kind is where the customer lives or is billed.
        second = [
            (name, columns)
            for name, columns in neutral
            if detailed
            and not is_later(name)
            and any(c.match.field == "line1" and c.has_values for c in columns)
        ]
        self._choose_group("billing_address", of_kind[BILLING] or second)
        if self._headings is not None:
            self._choose_further(groups, self._headings)
        for candidate in (c for _, _, columns in groups for c in columns):
            choice = self._chosen.choices[candidate.position]
            if choice.field is None and choice.note is None:
                self._chosen.note(candidate, "the columns of another address have more values")
        self._choose_companies()

    def _choose_further(
        self, groups: Sequence[tuple[str, str, list[Candidate]]], headings: Sequence[str]
    ) -> None:
        """Choose the columns of further addresses, and the labels of all."""
        chosen = list(self._columns.values())
        further = [
            (name, columns)
            for _, name, columns in groups
            if is_entry(name, columns) and not any(columns is own for own in chosen)
        ]
        for name, columns in further[:MAX_ENTRIES]:
            self._choose_group(entry_field(name), [(name, columns)])
        if further:
            for candidate in (c for columns in self._columns.values() for c in columns):
                label = label_of(candidate.heading)
                self._chosen.choices[candidate.position].label = label
        for position, field in label_columns(headings, self._columns, has_further=bool(further)):
            choice = self._chosen.choices[position]
            if choice.field is None and choice.note is None:
                choice.field = entry_field(field.removeprefix(f"{BOOK}."), LABEL)

    def _choose_companies(self) -> None:
        """Choose the company of each address that has other columns: its own, or one of no
        address. A company alone is no address, and stays a custom field."""
        companies = [c for c in self._companies if c.has_values]
        for field in dict.fromkeys((*FLAGS, *self._columns)):
            for (kind, group), columns in self._groups.items():
                if not any(self._is_part(c, field) for c in columns):
                    continue
                own = [c for c in companies if (c.match.kind, c.match.group) == (kind, group)]
                plain = [c for c in companies if (c.match.kind, c.match.group) == (NEUTRAL, "")]
                is_first = field in FLAGS or group == WORK
                chosen = own or (plain if is_first and has_part(group, COMPANY) else [])
                self._chosen.select(f"{field}.{COMPANY}", COMPANY, chosen)
                companies = [c for c in companies if c not in chosen]

    def _is_part(self, candidate: Candidate, field: str) -> bool:
        chosen = self._chosen.choices[candidate.position].field
        return (chosen or "").startswith(f"{field}.")

    def _choose_group(self, field: str, groups: Sequence[tuple[str, list[Candidate]]]) -> None:
        if self._headings is not None:  # a row without the first address has the second one
            groups = without_later(groups)
        if not groups:
            return
        _, columns = min(
            groups,
            key=lambda group: (
                -sum(c.profile.filled for c in group[1]),
                -len({c.match.field for c in group[1]}),
                group_order(group[0]),
                group[1][0].position,
            ),
        )
        self._columns[field] = columns
        parts: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in columns:
            part = part_of(candidate, columns)
            if candidate.match.field == WHOLE:
                candidate.match = Match(part, (0, 1_000, 0), candidate.match.group)
            parts[part].append(candidate)
        if HOUSE_NUMBER not in parts:
            parts[HOUSE_NUMBER] += self._numbers_next_to(parts["line1"])
        for part, candidates in parts.items():
            if part in ("city", "state", "country"):
                prefer_letters(candidates)
            self._chosen.select(f"{field}.{part}", part, candidates)

    def _numbers_next_to(self, streets: Sequence[Candidate]) -> list[Candidate]:
        """Return the columns headed `Número` and the like that follow a street."""
        return [
            candidate
            for candidate in self._numbers
            if is_mostly_house_number(candidate.profile)
            and any(0 < candidate.position - s.position <= _MAX_DISTANCE for s in streets)
        ]

    def chosen_parts(self) -> list[Candidate]:
        """Return the columns that are chosen for the addresses."""
        return [
            c
            for columns in self._groups.values()
            for c in columns
            if self._chosen.choices[c.position].field is not None
        ]
