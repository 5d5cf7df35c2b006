"""The layout of rows: which columns a document needs of each row, and where they stand in it.

A row of a plain type is a tuple: first the columns, in the order in which the document asked
for them, then what is related to it. Related rows are found by negative positions, so that a
renderer can be compiled before the last column is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.graphql.bindings import Load


class Layout:
    """What the rows of one place in the answer must hold."""

    __slots__ = ("_columns", "_parts", "_related", "keyed")

    def __init__(self, keyed: bool = False) -> None:
        self.keyed = keyed
        self._columns: dict[str, int] = {}
        self._related: dict[str, tuple[str, Load, Layout]] = {}
        self._parts: dict[str, Layout] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order in which a row holds them."""
        return tuple(self._columns)

    def column(self, name: str) -> int | str:
        """Where a row holds the column: its position, or its name in a keyed row."""
        if self.keyed:
            self._columns.setdefault(name, 0)
            return name
        return self._columns.setdefault(name, len(self._columns))

    def related(self, field: str, key: str, load: Load, keyed: bool) -> tuple[int, Layout]:
        """Where a row holds what is related to it by `field` (its name and arguments), and the
        layout of those rows; `load` finds them by the row's column `key`."""
        self.column(key)
        if field not in self._related:
            self._related[field] = (key, load, Layout(keyed))
        return -1 - list(self._related).index(field), self._related[field][2]

    def part(self, field: str, keyed: bool = False) -> Layout:
        """The layout of the rows in `field`; without columns when nothing of it is selected."""
        return self._parts.setdefault(field, Layout(keyed))

    def selects(self, *fields: str) -> bool:
        """Whether a document asks for one of the fields: columns of the same name, or parts."""
        return any(field in self._columns or field in self._parts for field in fields)

    def reads_only(self, *columns: str) -> bool:
        """Whether a document asks for nothing but these columns."""
        return not self._related and self._columns.keys() <= set(columns)

    async def fill(self, rows: Sequence[Any], env: Any) -> Sequence[Any]:
        """The rows with what is related to them appended: one load for each relation,
        however many rows there are, level by level."""
        if not self._related or not rows:
            return rows
        tails: list[Sequence[Any]] = []
        for key, load, layout in reversed(self._related.values()):
            position = self._columns[key]
            keys = [row[position] for row in rows]
            loaded = await load(env, keys, layout)
            tails.append(await layout.fill_nested(loaded, env))
        return [(*row, *tail) for row, tail in zip(rows, zip(*tails, strict=True), strict=True)]

    async def fill_nested(self, loaded: Sequence[Any], env: Any) -> Sequence[Any]:
        """`fill` for a sequence in which each place holds a list of rows, a row, or None."""
        if not self._related:
            return loaded
        column_refs = [group if isinstance(group, list) else [group] for group in loaded]
        rows = [row for group in column_refs for row in group if row is not None]
        filled = iter(await self.fill(rows, env))
        full = [[None if row is None else next(filled) for row in group] for group in column_refs]
        return [
            group if isinstance(original, list) else group[0]
            for original, group in zip(loaded, full, strict=True)
        ]


class Layouts:
    """The layouts of a root field: one for each object type that it can answer."""

    __slots__ = ("_by_type",)

    def __init__(self, by_type: Mapping[str, Layout]) -> None:
        self._by_type = by_type

    def of(self, type_name: str) -> Layout:
        return self._by_type[type_name]

    @property
    def only(self) -> Layout:
        """The layout of a field whose type is an object type."""
        (layout,) = self._by_type.values()
        return layout
