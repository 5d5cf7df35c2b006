"""Read the further addresses of rows to entries of an address book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.core.text import sanitize
from regulars.customers import addresses
from regulars.customers.address_book import BOOK, FLAGS, MAX_ENTRIES, MAX_LABEL
from regulars.customers.addresses import Address
from regulars.customers.bulk import RowWarning
from regulars.customers.contact_changes import BookRow, GivenAddress
from regulars.transfer.address_cells import ADDRESS_CELL
from regulars.transfer.columns import IMPORTED, Column
from regulars.transfer.composed_fields import (
    HOUSE_NUMBER,
    compose_names,
    compose_place,
    compose_street,
)
from regulars.transfer.contact_cells import clean_label
from regulars.transfer.entry_fields import LABEL, entry_field
from regulars.transfer.parsed_row import Heading, ParsedRow
from regulars.transfer.sanitizing import KEPT


class AddressReader:
    """Reads the further addresses of rows, and the labels of all, from the columns of a file. With
    `is_strict`, an invalid part rejects its row."""

    def __init__(self, columns: Sequence[Column], *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._first_headings: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._has_entries = False
        for column in columns:
            group, _, part = (column.field or "").rpartition(".")
            if not group.startswith(f"{BOOK}.") and group not in FLAGS:
                continue
            self._has_entries |= group not in FLAGS or column.reader == ADDRESS_CELL
            self._first_headings.setdefault(group, column.heading)
            if column.label:
                self._labels.setdefault(group, column.label)
            if part == HOUSE_NUMBER:
                self._numbers[group] = column.heading

    @property
    def first_heading(self) -> str | None:
        """The heading of the first column of a further address; None without one."""
        names = (heading for group, heading in self._first_headings.items() if group not in FLAGS)
        return next(names, None)

    def finish(self, row: ParsedRow, heading: Heading) -> tuple[BookRow, ...]:
        """Take the further addresses and the labels out of a row, once its cells are read."""
        node = row.node
        groups = [name for name in node if name.startswith(f"{BOOK}.")]
        if not groups and not self._labels:
            return ()
        labels = dict(self._labels)
        given: list[GivenAddress] = []
        for group in groups:
            if text := node[group].pop(LABEL, None):
                labels[_role_of(group)] = clean_label(sanitize(text)[0], MAX_LABEL)
            if address := self._address(row, group, heading):
                label = labels.get(_role_of(group), "")
                first = self._first_headings.get(group, group)
                given.append(GivenAddress(group, address, label, f"{IMPORTED}{first}"))
            node.pop(group, None)
        roles = tuple((role, labels[role]) for role in FLAGS if labels.get(role))
        if not given and not (roles and self._has_entries):
            return ()
        if surplus := given[MAX_ENTRIES:]:
            kept = row.keep(BOOK, "; ".join(addresses.on_one_line(one.address) for one in surplus))
            message = f"A customer can have {MAX_ENTRIES} addresses; the row has more. {kept}"
            row.warnings.append(RowWarning(KEPT, BOOK, message))
        return (BookRow(BOOK, tuple(given[:MAX_ENTRIES]), roles),)

    def _address(self, row: ParsedRow, group: str, heading: Heading) -> Address | None:
        parts: dict[str, Any] = row.node[group]
        compose_names(parts)
        compose_place(parts)
        compose_street(parts, self._numbers.get(group, ""))
        clean, problems = addresses.clean_patch(parts, (group,))
        if problems and self._is_strict:
            row.problems += problems
        elif problems:
            row.keep_invalid(problems, heading)
            clean, _ = addresses.clean_patch(parts, (group,))
        return addresses.merge(None, clean)


def _role_of(group: str) -> str:
    """Return the name of a default address that has a label in a group of its own, else the group
    itself."""
    role = group.removeprefix(f"{BOOK}.")
    return role if role in FLAGS else entry_field(role)
