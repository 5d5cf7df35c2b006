"""Parse the records of a file to rows of customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from regulars.core import fields, ids
from regulars.core.errors import InvalidInput, Problem
from regulars.core.fields import names_of
from regulars.core.ids import MAX_ID
from regulars.core.text import CONTROL_CHARACTERS, sanitize
from regulars.customers.addresses import PARTS
from regulars.customers.bulk import SetRow
from regulars.customers.commands import Reference, reference_to
from regulars.customers.fields import FIELDS
from regulars.customers.values import clean_values
from regulars.transfer import cells
from regulars.transfer.columns import (
    ADDRESS_FIELDS,
    AND_CUSTOMER,
    COLUMNS,
    DERIVED,
    DROP,
    Column,
    recognised,
)
from regulars.transfer.import_options import Options
from regulars.transfer.records import Record
from regulars.transfer.sanitizing import CUSTOM, sanitized, without_nul
from regulars.transfer.values import READ, InvalidValue, Read, as_text

_ID_LENGTH = 255
# The values of cleared fields.
_EMPTY: Mapping[str, Any] = {
    **dict.fromkeys(names_of(FIELDS, fields.Text, fields.Phone), ""),
    **dict.fromkeys(names_of(FIELDS, fields.LongText)),
    **{name: [] for name in names_of(FIELDS, fields.Tags)},
}
_KEYS = ("_id", "id", "external_id", *names_of(FIELDS, fields.Timestamp))


class _Target:
    """The position of a field in a customer's input: `name`, or `name` within `group`. Without a
    name it is the whole group."""

    __slots__ = ("field", "group", "has_nul", "is_valid", "name", "read")

    def __init__(self, field: str) -> None:
        group, dot, name = field.partition(".")
        self.field = field
        self.group, self.name = (group, name) if dot else ("", field)
        self.has_nul = group == CUSTOM and "\0" in name
        if self.has_nul:
            self.name = name = without_nul(name)
        if field == CUSTOM:
            self.group, self.name = CUSTOM, ""
        address = group in ADDRESS_FIELDS and (name in PARTS or name == "name")
        self.is_valid = not dot or address or (group == CUSTOM and bool(name))
        self.read: Read | None = READ.get(field)
        if self.read is None and group != CUSTOM:
            self.read = as_text

    def put(self, node: dict[str, Any], value: Any) -> None:
        """Set the field to a value. Raises InvalidValue if the field does not exist."""
        if not self.group:
            node[self.name] = value
        elif not self.name:
            node[self.group] = {**value, **(node.get(self.group) or {})}
        elif not self.is_valid:
            raise InvalidValue(f"There is no field {self.field!r}.")
        elif inner := node.get(self.group):
            inner[self.name] = value
        else:
            node[self.group] = {self.name: value}


def foreign_id(value: Any) -> str | None:
    """Return the id of another system, cleaned; None if it can be derived from an `_id`."""
    if not isinstance(value, str) or ids.decode(value) is not None or value.isdigit():
        return None
    return sanitize(value)[0].strip()[:_ID_LENGTH] or None


def _customer_of(value: Any) -> int | None:
    """Return the `_id` in the global id of a customer; None for any other value."""
    global_id = ids.decode(value) if isinstance(value, str) else None
    return (
        global_id[1]
        if global_id and global_id[0] == "Customer" and global_id[1] <= MAX_ID
        else None
    )


_target = lru_cache(maxsize=10_000)(_Target)


class RowParser:
    """Parses the rows of a file by its columns, or, without columns, by the names of a line of
    JSON."""

    def __init__(
        self, columns: Sequence[Column] | None, mapped: Mapping[str, str], options: Options
    ) -> None:
        self._options = options
        self._mapped = mapped
        self.columns = columns
        self._width = len(columns or ())
        self._targets = [
            (c.position, _target(c.field))
            for c in columns or ()
            if c.field is not None and (c.field != "accepts_marketing" or c.reader is None)
        ]
        self._targets += [
            (c.position, _target(c.field.partition(".")[2]))
            for c in columns or ()
            if c.field is not None and c.reader == AND_CUSTOMER
        ]
        self._clear = options.empty == "clear"
        self._headings = {c.field: c.heading for c in columns or () if c.field is not None}

    def row(self, record: Record) -> SetRow:
        """Return the row of a record, with all its problems."""
        if record.problem is not None:
            return SetRow({}, (InvalidInput(record.problem),))
        node: dict[str, Any] = {}
        problems: list[Problem] = []
        warnings: list[tuple[str, str]] = []
        row = record.cells
        if row is None:
            for name, value in self._of_json(record.data or {}).items():
                self._put(node, _target(name), value, problems, warnings)
        elif len(row) != self._width:
            message = f"The row has {len(row):,} cells, and there are {self._width:,} headings."
            return SetRow({}, (InvalidInput(message),))
        else:
            for position, target in self._targets:
                cell = row[position]
                if cell or self._clear:
                    value = cells.original(cell) if cell[:1] == "'" else cell
                    self._put(node, target, value, problems, warnings)
        return self._set(node, problems)._replace(warnings=tuple(warnings))

    def heading(self, path: Sequence[str | int]) -> str:
        """Return the heading of the column of an input path; else the path itself."""
        names = [str(step) for step in path if not isinstance(step, int)]
        for length in range(len(names), 0, -1):
            field = ".".join(names[:length])
            if field in self._headings:
                return self._headings[field]
        return ".".join(names)

    def describe(self, problems: Sequence[Mapping[str, Any]]) -> str:
        """Return the problems of a row as a text for the user."""
        return " ".join(
            f"{heading}: {problem['message']}"
            if (heading := self.heading(problem["input_path"]))
            else str(problem["message"])
            for problem in problems
        )

    def _of_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a line of JSON by the dotted names of their fields."""
        values: dict[str, Any] = {}
        for name, value in data.items():
            field = self._mapped.get(name)
            if field == DROP or (field is None and name in DERIVED):
                continue
            if field is None and name in ADDRESS_FIELDS and isinstance(value, dict):
                values |= {f"{name}.{part}": inner for part, inner in value.items()}
            elif field is not None or recognised(name, is_own=True) in COLUMNS:
                values[field or str(recognised(name, is_own=True))] = value
            elif name.startswith("custom."):
                values[name] = value
            elif self._options.unknown == "custom":
                values[f"custom.{name}"] = value
            elif self._options.unknown == "refuse":
                values[f"unknown.{name}"] = value
        return values

    def _put(
        self,
        node: dict[str, Any],
        target: _Target,
        value: Any,
        problems: list[Problem],
        warnings: list[tuple[str, str]],
    ) -> None:
        """Set a field of a customer's input. A cell of spaces only is empty."""
        if type(value) is str and value.isspace():
            value = ""
        if not (type(value) is str and value.isascii() and value.isprintable()):
            value, changes = sanitized(target.field, value)
            warnings += [(change, target.field) for change in changes]
        if target.has_nul:
            warnings.append((CONTROL_CHARACTERS, target.field))
        if value is None or value == "":
            if self._clear:
                _clear(node, target)
            return
        try:
            target.put(node, target.read(value) if target.read else value)
        except InvalidValue as error:
            problems.append(InvalidInput(str(error), tuple(target.field.split("."))))

    def _set(self, node: dict[str, Any], problems: list[Problem]) -> SetRow:
        keys = {name: node.pop(name, None) for name in _KEYS}
        _divide_names(node)
        values, invalid = clean_values(node, ())
        problems += invalid
        reference, take = self._reference(keys, values, problems)
        timestamps = None
        if keys["created_at"] is not None:
            timestamps = (keys["created_at"], keys["updated_at"] or keys["created_at"])
        shop_id = foreign_id(keys["external_id"] or keys["id"])
        return SetRow(values, tuple(problems), reference, take, timestamps, shop_id)

    def _reference(
        self, keys: Mapping[str, Any], values: Mapping[str, Any], problems: list[Problem]
    ) -> tuple[Reference | None, int | None]:
        """Return the customer that a row selects by id, and the `_id` of a new customer.

        A file of another system has its own numbers under `id` and `_id`. They select no customer:
        only a global id does, or an `_id` with the option `match=_id`.
        """
        number, id_ = keys["_id"], keys["id"]
        own = _customer_of(id_)
        if own is not None and number not in (None, own):
            message = f"`_id` is {number}, and `id` is that of customer {own}. Remove one of them."
            problems.append(InvalidInput(message, ("_id",)))
            return None, None
        if self._options.match == "_id":
            number = number or own
            if number is None and id_ is not None:
                number = reference_to(str(id_)).customer_id
            if number is None and not problems:
                problems.append(InvalidInput("The row has no _id, by which customers are found."))
            return Reference(str(number), number), number
        if "email" in values:
            return None, number or own
        if own is not None:
            return Reference(str(own), own), None
        if number is not None or id_ is not None:
            message = (
                "The row has no email, and a number under `id` or `_id` may be another system's. "
                "Add the email, or choose `match=_id` (--match _id) if it is the customer's `_id`."
            )
            problems.append(InvalidInput(message, ("email",)))
        return None, None


def _clear(node: dict[str, Any], target: _Target) -> None:
    group, name = target.group, target.name
    if not group:
        if name in _EMPTY:
            node[name] = _EMPTY[name]
    elif not name:
        node.setdefault(group, None)
    elif target.is_valid:
        node[group] = {**(node.get(group) or {}), name: None}


def _divide_names(node: dict[str, Any]) -> None:
    """Split whole names at the last space, unless a first or last name is set."""
    for names in (node, *(node.get(name) for name in ADDRESS_FIELDS)):
        if not names:
            continue
        whole = names.pop("name", None)
        if whole and not names.get("first_name") and not names.get("last_name"):
            first, _, last = whole.strip().rpartition(" ")
            names["first_name"], names["last_name"] = (first, last) if first else (last, "")
