"""The layout of rows: the columns and relations that a document selects, and their positions.

A tuple row has its columns first, in the order in which they were added, and then its related rows.
Related rows have negative positions, so that a renderer can be compiled before the last column is
known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.graphql.bindings import Load


class Layout:
    """The content of the rows of one level. Rows are tuples, or dicts if `has_dict_rows`."""

    __slots__ = ("_columns", "_nested", "_relations", "has_dict_rows")

    def __init__(self, has_dict_rows: bool = False) -> None:
        self.has_dict_rows = has_dict_rows
        self._columns: dict[str, int] = {}
        self._relations: dict[str, tuple[str, Load, Layout]] = {}
        self._nested: dict[str, Layout] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of a row."""
        return tuple(self._columns)

    def add_column(self, name: str) -> int | str:
        """Adds a column, if it is new. Returns its position in a row, or its name in a dict."""
        if self.has_dict_rows:
            self._columns.setdefault(name, 0)
            return name
        return self._columns.setdefault(name, len(self._columns))

    def add_relation(
        self, name: str, key: str, load: Load, has_dict_rows: bool
    ) -> tuple[int, Layout]:
        """Adds a relation, if it is new. Its name is a field with its arguments; `load` finds its
        rows by the column `key`. Returns its position in a row, and the layout of its rows."""
        self.add_column(key)
        if name not in self._relations:
            self._relations[name] = (key, load, Layout(has_dict_rows))
        return -1 - list(self._relations).index(name), self._relations[name][2]

    def nested(self, field: str, has_dict_rows: bool = False) -> Layout:
        """Returns the layout of the rows in `field`. It is empty if the field is not selected."""
        return self._nested.setdefault(field, Layout(has_dict_rows))

    def selects(self, *fields: str) -> bool:
        """Returns whether one of the fields is selected. Fields have the names of columns, or are
        nested."""
        return any(field in self._columns or field in self._nested for field in fields)

    def reads_only(self, *columns: str) -> bool:
        """Returns whether nothing but these columns is selected."""
        return not self._relations and self._columns.keys() <= set(columns)

    async def load_related(self, rows: Sequence[Any], env: Any) -> Sequence[Any]:
        """Returns the rows with their related rows appended. Each relation is loaded once for all
        rows, level by level."""
        if not self._relations or not rows:
            return rows
        related: list[Sequence[Any]] = []
        for key, load, layout in reversed(self._relations.values()):
            position = self._columns[key]
            keys = [row[position] for row in rows]
            groups = await load(env, keys, layout)
            related.append(await layout.load_related_grouped(groups, env))
        return [(*row, *tail) for row, tail in zip(rows, zip(*related, strict=True), strict=True)]

    async def load_related_grouped(self, groups: Sequence[Any], env: Any) -> Sequence[Any]:
        """`load_related` for a sequence of lists of rows, rows, or None."""
        if not self._relations:
            return groups
        lists = [group if isinstance(group, list) else [group] for group in groups]
        rows = [row for group in lists for row in group if row is not None]
        loaded = iter(await self.load_related(rows, env))
        complete = [[None if row is None else next(loaded) for row in group] for group in lists]
        return [
            items if isinstance(group, list) else items[0]
            for group, items in zip(groups, complete, strict=True)
        ]


class Layouts:
    """The layouts of a root field, by object type. `key` is the name of the field in the
    response."""

    __slots__ = ("_by_type", "key")

    def __init__(self, by_type: Mapping[str, Layout], key: str) -> None:
        self._by_type = by_type
        self.key = key

    def of(self, type_name: str) -> Layout:
        """Returns the layout of an object type, for a field of an abstract type."""
        return self._by_type[type_name]

    @property
    def only(self) -> Layout:
        """The layout of a field whose type is an object type."""
        (layout,) = self._by_type.values()
        return layout
