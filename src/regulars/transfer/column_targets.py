"""Where the values of the columns of a file go, and those of the names of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from regulars.transfer.calling_codes import is_phone
from regulars.transfer.column_selection import CALLING_CODE, CONTINUED, DROP
from regulars.transfer.columns import COLUMNS, CUSTOM, Column, of_source, recognised
from regulars.transfer.composed_fields import PARTS_OF_NAMES
from regulars.transfer.contact_columns import KIND_OF
from regulars.transfer.date_text import Order
from regulars.transfer.display_names import DISPLAY_NAME, WITH_NAME
from regulars.transfer.entry_fields import is_entry_field
from regulars.transfer.import_options import Options, is_external
from regulars.transfer.name_order import AND_CUSTOMER_READERS
from regulars.transfer.plain_cells import Reader, plain_reader
from regulars.transfer.row_target import Target

# Names of JSON whose targets are remembered.
_MAX_NAMES = 10_000

target_of = lru_cache(maxsize=10_000)(Target)


class ColumnTargets:
    """The targets of columns. The arguments are those of `RowParser`.

    `cells` are the positions of the columns that go to a field, each with its target and the reader
    of its plain cells. `divided` are the positions of the columns of each value that is divided
    over several columns. `calling_code` has the positions of the phone numbers and of the calling
    codes that belong to them. `fallbacks` are columns that lend their values to another field.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        mapped: Mapping[str, str],
        options: Options,
        is_own: bool,
        orders: Mapping[str, Order | None],
    ) -> None:
        self._options = options
        self._mapped = mapped
        self._is_own = is_own
        self._orders = orders
        self.fallbacks = [column for column in columns if column.fallback]
        self.divided = _divided(columns)
        self.calling_code = _calling_code(columns)
        self.cells = self._with_readers(
            [(column.position, target) for column in columns for target in self._targets_of(column)]
        )
        # The targets of names of JSON: those of the columns, and others that were met.
        self._names = {c.heading: self._targets_of_name(c) for c in columns}
        self._other_names: dict[str, list[Target] | None] = {}

    def _with_readers(
        self, targets: Sequence[tuple[int, Target]]
    ) -> list[tuple[int, Target, Reader | None]]:
        """Return the targets with the reader of their plain cells. A field with several sources
        has none."""
        own = [target for _, target in targets if target.reader != DISPLAY_NAME]
        names = [target.name for target in own if not target.group]
        names += [column.fallback for column in self.fallbacks if column.fallback]
        if not frozenset(PARTS_OF_NAMES).isdisjoint(names):
            names += names
        return [
            (position, target, plain_reader(target) if names.count(target.name) == 1 else None)
            for position, target in targets
        ]

    def _targets_of(self, column: Column) -> list[Target]:
        """Return where the values of a column go: nowhere, or to one field or two."""
        if column.field is None or column.field in KIND_OF:  # see `contact_reader`
            return []
        order = self._orders.get(column.heading, self._options.dates)
        targets = [target_of(column.field, column.heading, column.reader, order, self._is_own)]
        if column.reader in AND_CUSTOMER_READERS:
            name, reader = column.field.rpartition(".")[2], AND_CUSTOMER_READERS[column.reader]
            targets = [
                target_of(field, column.heading, reader, order) for field in (column.field, name)
            ]
        elif column.reader == WITH_NAME:
            targets.append(target_of("name", column.heading, DISPLAY_NAME))
        return targets

    def _targets_of_name(self, column: Column) -> list[Target] | None:
        """Return where a value of JSON goes; None if it is part of a value that stays together."""
        is_part = "." in column.heading and column.field == f"{CUSTOM}.{column.heading}"
        return None if is_part else self._targets_of(column)

    def named(self, name: str) -> list[Target] | None:
        """Return where the values of a name of JSON go; None if it is unknown."""
        if name in self._names:
            return self._names[name]
        if name not in self._other_names:
            if len(self._other_names) > _MAX_NAMES:
                self._other_names.clear()
            field = self._mapped.get(name) or recognised(name, is_own=self._is_own)
            is_free = (field or "").startswith(f"{CUSTOM}.") or is_external(field or "")
            is_known = field in (*COLUMNS, DROP) or is_free
            is_known |= self._options.has_lists and is_entry_field(field or "")
            field = of_source(field, self._options.source)
            column = Column(0, name, None if field == DROP else field)
            self._other_names[name] = self._targets_of(column) if is_known else None
        return self._other_names[name]


def _divided(columns: Sequence[Column]) -> list[list[int]]:
    """Return the positions of the columns of each value that is divided over several columns."""
    groups: list[list[int]] = []
    for column in columns:
        if column.reader != CONTINUED:
            groups.append([column.position])
        elif groups:
            groups[-1].append(column.position)
    return [group for group in groups if len(group) > 1]


def _calling_code(columns: Sequence[Column]) -> tuple[int, int] | None:
    """Return the positions of a column of phone numbers and of that of their calling codes."""
    phones = [column.position for column in columns if is_phone(column.field)]
    codes = [column.position for column in columns if column.reader == CALLING_CODE]
    return (phones[0], codes[0]) if phones and codes else None
