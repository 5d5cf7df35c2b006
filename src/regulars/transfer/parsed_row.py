"""A row of a file while its values are read: its input, problems and warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from regulars.core.errors import Problem
from regulars.customers.bulk import RowWarning
from regulars.customers.contact_points import Kind
from regulars.customers.custom import MAX_BYTES
from regulars.customers.field_rules import Values
from regulars.customers.values import MAX_TAGS
from regulars.transfer.columns import IMPORTED, Column
from regulars.transfer.contact_cells import Point
from regulars.transfer.file_status import OTHER, UNSUBSCRIBED
from regulars.transfer.sanitizing import CUSTOM, UNREADABLE

# Characters of a text that is kept in `custom`, which has 65,535 bytes in all.
_MAX_KEPT_CHARACTERS = 4_000

# Returns the heading of the column of an input path.
Heading = Callable[[Sequence[str | int]], str]


class ParsedRow:
    """A customer's input while its values are read, with problems and warnings. `consents` are the
    answers of all columns about consent. `values` are those that are clean already. `points` are
    further emails and phones, each with its column and the label of that, and `labels` those of the
    first ones, by the name of the list."""

    __slots__ = ("consents", "labels", "node", "points", "problems", "values", "warnings")

    def __init__(self) -> None:
        self.node: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.warnings: list[RowWarning] = []
        self.consents: list[bool] = []
        self.values: Values = {}
        self.points: list[tuple[Kind, Column, Point, str]] = []
        self.labels: dict[str, str] = {}

    def keep(self, heading: str, value: Any) -> str:
        """Keep the original value of a column in `custom`, and say so."""
        is_long = isinstance(value, str) and len(value) > _MAX_KEPT_CHARACTERS
        text = value[:_MAX_KEPT_CHARACTERS] if is_long else value
        self.node[CUSTOM] = {**(self.node.get(CUSTOM) or {}), f"{IMPORTED}{heading}": text}
        return f"{'Its beginning' if is_long else 'The value'} was kept in `custom`."

    def apply_status(self, status: str) -> None:
        """Apply the consent that the name of the file has; see `file_status`."""
        if status == UNSUBSCRIBED:
            self.consents.append(False)
        elif status == OTHER:
            self.consents.clear()
        elif not self.consents:
            self.consents.append(True)

    def shorten_custom(self) -> None:
        """Leave out the longest custom fields if all of them together are too long to be stored."""
        data = self.node[CUSTOM]
        texts = (v if type(v) is str else orjson.dumps(v, default=str) for v in data.values())
        # A character takes up to six bytes in JSON.
        if sum(map(len, texts)) + sum(map(len, data)) < MAX_BYTES / 8:
            return
        sizes = {key: len(orjson.dumps({key: value}, default=str)) for key, value in data.items()}
        surplus = sum(sizes.values()) - MAX_BYTES
        for key in sorted(sizes, key=lambda key: -sizes[key]):
            if surplus <= 0:
                return
            surplus -= sizes[key]
            del data[key]
            message = f"The custom fields take over {MAX_BYTES:,} bytes. This one was left out."
            self.warnings.append(RowWarning("too_long", key, message))

    def keep_invalid(self, problems: Sequence[Problem], heading: Heading) -> list[Problem]:
        """Move the invalid values of fields other than the email to `custom`, with warnings.
        `heading` returns the heading of the column of an input path."""
        left = []
        # Invalid items of lists, by the field and the index.
        items: dict[str, dict[int, Problem]] = {}
        # Lists with too many items, by the field.
        too_many: dict[str, Problem] = {}
        for problem in problems:
            path = [str(step) for step in problem.input_path if not isinstance(step, int)]
            holder = self.node.get(path[0]) if len(path) > 1 else self.node
            name = path[-1] if path else ""
            if path[:1] in (["email"], [CUSTOM], []) or not isinstance(holder, dict):
                left.append(problem)
            elif isinstance(problem.input_path[-1], int):
                items.setdefault(name, {})[problem.input_path[-1]] = problem
            elif holder is self.node and isinstance(holder.get(name), list):
                too_many[name] = problem
            elif name in holder:
                column = heading(path)
                message = f"{problem.message} {self.keep(column, holder.pop(name))}"
                self.warnings.append(RowWarning(UNREADABLE, column, message))
        for name, problem in too_many.items():
            surplus = self._surplus_of(name, items.get(name, {}))
            items.setdefault(name, {}).update(dict.fromkeys(surplus, problem))
        for name, invalid in items.items():
            if name in self.node and invalid:
                self._keep_items(heading((name,)), name, invalid)
        return left

    def _surplus_of(self, name: str, invalid: Mapping[int, Problem]) -> list[int]:
        """Return the indices of the different valid items of a list beyond the first `MAX_TAGS`."""
        texts = (str(value).strip() for value in self.node[name])
        first_index: dict[str, int] = {}
        for index, text in enumerate(texts):
            if text and index not in invalid:
                first_index.setdefault(text, index)
        return list(first_index.values())[MAX_TAGS:]

    def _keep_items(self, heading: str, name: str, invalid: Mapping[int, Problem]) -> None:
        """Move the invalid items of a list, such as a tag that is too long, to `custom`."""
        values = self.node[name]
        texts = dict.fromkeys(str(values[index]).strip() for index in invalid)
        self.node[name] = [
            value
            for index, value in enumerate(values)
            if index not in invalid and str(value).strip() not in texts
        ]
        kept = self.keep(heading, ", ".join(texts))
        for problem in {id(problem): problem for problem in invalid.values()}.values():
            self.warnings.append(RowWarning(UNREADABLE, heading, f"{problem.message} {kept}"))
