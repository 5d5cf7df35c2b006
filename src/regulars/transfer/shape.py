"""What the records of a file say of customers: a row to set for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import iso3166
import orjson

from regulars.directory import ids
from regulars.directory.addresses import PARTS
from regulars.directory.bulk import SetRow
from regulars.directory.commands import Reference
from regulars.directory.customers import clean_values
from regulars.directory.dates import moment
from regulars.directory.draft import MAX_ID
from regulars.directory.errors import InvalidInput, Problem
from regulars.transfer import cells
from regulars.transfer.columns import (
    BILLING,
    DERIVED,
    DROP,
    FIELDS,
    SHIPPING,
    Column,
    recognised,
)
from regulars.transfer.reading import Record

FORMATS = ("csv", "jsonl")
UNKNOWN = ("custom", "drop", "refuse")
EMPTY = ("keep", "clear")
MATCH = ("email", "_id")

# The first moment that a list ordered by moments can show: 1970-01-26.
_FIRST_MOMENT = 2**31


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is read. `format` is csv or jsonl, `delimiter` a character, and None for either,
    as for `encoding`, is what is recognised; `mapped` are texts HEADING=FIELD; `unknown` what is
    done with other columns; `empty` what an empty cell does to a customer who is there; `match` by
    what a customer is found."""

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    mapped: tuple[str, ...] = ()
    unknown: str = "custom"
    empty: str = "keep"
    match: str = "email"

    @property
    def told(self) -> dict[str, Any]:
        """The options as JSON has them."""
        return {**asdict(self), "mapped": list(self.mapped)}

    @property
    def wrong(self) -> str | None:
        """What is wrong with an option that is one of a few words, beginning with its name."""
        for name, value, known in (
            ("format", self.format, (None, *FORMATS)),
            ("unknown", self.unknown, UNKNOWN),
            ("empty", self.empty, EMPTY),
            ("match", self.match, MATCH),
        ):
            if value not in known:
                return f"{name} is {' or '.join(filter(None, known))}, not {value!r}."
        return None


def options_of(told: Mapping[str, Any]) -> Options:
    """What `Options.told` told."""
    return Options(**{**told, "mapped": tuple(told["mapped"])})


class _Wrong(Exception):
    """A value that a field cannot have."""


Read = Callable[[Any], Any]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        raise _Wrong("This is not a text.")
    return str(value)


def _flag(value: Any) -> bool:
    found = value if isinstance(value, bool) else cells.flag(_text(value))
    if found is None:
        raise _Wrong("This is neither yes nor no: say yes, no, true, false, 1 or 0.")
    return found


def _tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_text(tag) for tag in value]
    return cells.tags(_text(value))


def _custom(value: Any) -> dict[str, Any]:
    found = value
    if isinstance(value, str):
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            found = None
    if not isinstance(found, dict):
        raise _Wrong('The custom fields are a JSON object, as in {"loyalty": "gold"}.')
    return found


_FORMATS = ("%d/%m/%Y %H:%M", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S")
_LAST_SECOND = 100_000_000_000


def _moment(value: Any) -> int:
    """A moment as a file tells it: ISO 8601, as an export of a shop writes it, or seconds or
    milliseconds since 1970. In UTC unless it says otherwise."""
    if type(value) is int:
        found: int | None = value if value > _LAST_SECOND else value * 1_000
    else:
        text = _text(value).strip().removesuffix(" UTC")
        found = moment(text)
        if found is not None and len(text) < len("2024-03-18"):
            found = None
        found = found if found is not None else _other_moment(text)
    if found is None or found < _FIRST_MOMENT:
        raise _Wrong("This is not a moment, such as 2024-03-18T14:20:37Z, after January 1970.")
    return found


def _other_moment(text: str) -> int | None:
    if text.isdecimal() and 9 <= len(text) <= 13:
        return _moment(int(text))
    for form in _FORMATS:
        try:
            found = datetime.strptime(f"{text} +0000", f"{form} %z")
        except ValueError:
            continue
        return int(found.timestamp() * 1_000)
    return None


def _number(value: Any) -> int:
    text = _text(value).strip()
    if not text.isdecimal() or not text.isascii() or not 0 < int(text) <= MAX_ID:
        raise _Wrong(f"An _id is a whole number from 1 to {MAX_ID:,}.")
    return int(text)


_COUNTRIES = {
    "USA": "US",
    "UNITED STATES": "US",
    "UK": "GB",
    "UNITED KINGDOM": "GB",
    "GREAT BRITAIN": "GB",
    "ENGLAND": "GB",
    "CZECH REPUBLIC": "CZ",
    "SOUTH KOREA": "KR",
    "VIETNAM": "VN",
    "RUSSIA": "RU",
    "TURKEY": "TR",
    "NETHERLANDS": "NL",
    "THE NETHERLANDS": "NL",
    "TAIWAN": "TW",
    "IRAN": "IR",
    "MOLDOVA": "MD",
    "BOLIVIA": "BO",
    "VENEZUELA": "VE",
    "TANZANIA": "TZ",
    "SYRIA": "SY",
    "LAOS": "LA",
    "IVORY COAST": "CI",
    "HONG KONG SAR CHINA": "HK",
    "MACAO SAR CHINA": "MO",
    "PALESTINIAN TERRITORIES": "PS",
    "VATICAN CITY": "VA",
    "BRUNEI": "BN",
    "MACEDONIA": "MK",
}


def _country(value: Any) -> str:
    """A country's code; of a name or a code of three letters, the code of two."""
    text = _text(value).strip()
    key = text.upper()
    if key in iso3166.countries_by_alpha2:
        return key
    found = (
        iso3166.countries_by_alpha3.get(key)
        or iso3166.countries_by_name.get(key)
        or iso3166.countries_by_apolitical_name.get(key)
    )
    return found.alpha2 if found else _COUNTRIES.get(key, text)


_READ: Mapping[str, Read] = {
    "_id": _number,
    "accepts_marketing": _flag,
    "tags": _tags,
    "custom": _custom,
    "created_at": _moment,
    "updated_at": _moment,
    f"{SHIPPING}.country": _country,
    f"{BILLING}.country": _country,
}
_EMPTY: Mapping[str, Any] = {"phone": "", "first_name": "", "last_name": "", "notes": None}


class Shape:
    """How the rows of a file are read: by its columns; by the names of a line of JSON, without
    any."""

    def __init__(
        self, columns: Sequence[Column] | None, mapped: Mapping[str, str], options: Options
    ) -> None:
        self._options = options
        self._mapped = mapped
        self.columns = columns
        self._fields = [(c.place, c.field) for c in columns or () if c.field is not None]
        self._headings = {c.field: c.heading for c in columns or () if c.field is not None}

    def row(self, record: Record, mirrored: bool = False) -> SetRow:
        """What a record says of a customer, and everything that is wrong with that."""
        if record.problem is not None:
            return SetRow({}, (InvalidInput(record.problem),))
        if record.cells is None:
            return self._set(self._of_json(record.data or {}), mirrored)
        width = len(self.columns or ())
        if len(record.cells) != width:
            message = f"The row has {len(record.cells):,} cells, and there are {width:,} headings."
            return SetRow({}, (InvalidInput(message),))
        given: dict[str, Any] = {}
        found = record.cells
        for place, field in self._fields:
            cell = found[place]
            given[field] = cells.original(cell) if cell and cell[0] == "'" else cell
        return self._set(given, mirrored)

    def heading(self, path: Sequence[str | int]) -> str:
        """The heading of the column at which the input lies."""
        names = [str(step) for step in path if not isinstance(step, int)]
        for length in range(len(names), 0, -1):
            field = ".".join(names[:length])
            if field in self._headings:
                return self._headings[field]
        return ".".join(names)

    def told(self, problems: Sequence[Mapping[str, Any]]) -> str:
        """What is wrong with a row, for a person."""
        return " ".join(
            f"{heading}: {problem['message']}"
            if (heading := self.heading(problem["input_path"]))
            else str(problem["message"])
            for problem in problems
        )

    def _of_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a line of JSON, by their dotted names."""
        given: dict[str, Any] = {}
        for name, value in data.items():
            field = self._mapped.get(name)
            if field == DROP or (field is None and name in DERIVED):
                continue
            if field is None and name in (SHIPPING, BILLING) and isinstance(value, dict):
                given |= {f"{name}.{part}": inner for part, inner in value.items()}
            elif field is not None or recognised(name) in FIELDS:
                given[field or str(recognised(name))] = value
            elif name.startswith("custom."):
                given[name] = value
            elif self._options.unknown == "custom":
                given[f"custom.{name}"] = value
            elif self._options.unknown == "refuse":
                given[f"unknown.{name}"] = value
        return given

    def _set(self, given: Mapping[str, Any], mirrored: bool) -> SetRow:
        node: dict[str, Any] = {}
        problems: list[Problem] = []
        clear = self._options.empty == "clear"
        for field, value in given.items():
            if value is None or value == "":
                if clear:
                    _clear(node, field)
                continue
            read = _READ.get(field)
            try:
                _put(node, field, read(value) if read else value)
            except _Wrong as wrong:
                problems.append(InvalidInput(str(wrong), tuple(field.split("."))))
        keys = {name: node.pop(name, None) for name in ("_id", "id", "created_at", "updated_at")}
        _divide_names(node)
        values, found = clean_values(node, ())
        problems += found
        reference, take = self._reference(keys, values, problems)
        moments = None
        if keys["created_at"] is not None:
            moments = (keys["created_at"], keys["updated_at"] or keys["created_at"])
        return SetRow(values, tuple(problems), reference, take, moments, mirrored=mirrored)

    def _reference(
        self, keys: Mapping[str, Any], values: Mapping[str, Any], problems: list[Problem]
    ) -> tuple[Reference | None, int | None]:
        """Whom a row names other than by email, and which `_id` a new customer takes up."""
        number = keys["_id"]
        if number is None and keys["id"] is not None:
            number = ids.customer(str(keys["id"])).customer_id
        if self._options.match == "_id":
            if number is None and not problems:
                problems.append(InvalidInput("The row has no _id, by which customers are found."))
            return Reference(str(number), number), number
        if number is not None and "email" not in values:
            return Reference(str(number), number), None
        return None, number


def _put(node: dict[str, Any], field: str, value: Any) -> None:
    """A value in its place of a customer's input."""
    if "." not in field:
        if field == "custom":
            node["custom"] = {**value, **(node.get("custom") or {})}
        else:
            node[field] = value if field in _READ else _text(value)
        return
    group, _, name = field.partition(".")
    if group == "custom":
        node["custom"] = {**(node.get("custom") or {}), name: value}
    elif group in (SHIPPING, BILLING) and (name in PARTS or name == "name"):
        node.setdefault(group, {})[name] = _text(value)
    else:
        raise _Wrong(f"There is no field {name!r}.")


def _clear(node: dict[str, Any], field: str) -> None:
    group, _, name = field.partition(".")
    if field in _EMPTY:
        node[field] = _EMPTY[field]
    elif field == "tags":
        node["tags"] = []
    elif field == "custom":
        node.setdefault("custom", None)
    elif group in (SHIPPING, BILLING) and name:
        node.setdefault(group, {})[name] = None
    elif group == "custom":
        node["custom"] = {**(node.get("custom") or {}), name: None}


def _divide_names(node: dict[str, Any]) -> None:
    """A whole name becomes a first and a last name, at its last space, where there is neither."""
    for place in (node, node.get(SHIPPING), node.get(BILLING)):
        if not place:
            continue
        whole = place.pop("name", None)
        if whole and not place.get("first_name") and not place.get("last_name"):
            first, _, last = whole.strip().rpartition(" ")
            place["first_name"], place["last_name"] = (first, last) if first else (last, "")
