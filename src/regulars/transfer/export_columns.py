"""The columns of an export: what each reads of the database, and how its values are rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from regulars.core import fields as kinds
from regulars.core.dates import iso
from regulars.core.external_ids import load, written
from regulars.core.fields import in_order, names_of
from regulars.core.ids import encoder
from regulars.core.money import amounts
from regulars.core.text import did_you_mean, full_name
from regulars.customers import address_book, addresses
from regulars.customers.avatars import avatars
from regulars.customers.contact_points import KINDS as CONTACT_POINTS
from regulars.customers.contact_points import load as load_points
from regulars.customers.contact_points import shown
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.transfer.cells import neutral, of_tags
from regulars.transfer.errors import BadOption
from regulars.transfer.import_options import EXTERNAL, is_external

# Columns of the table whose values may be long.
LONG_COLUMNS = frozenset(
    names_of(
        FIELDS,
        *(kinds.Json, kinds.LongText, kinds.Tags, kinds.Address, kinds.Addresses),
        *(kinds.ExternalIds, kinds.ContactPoints),
    )
)

Values = Sequence[Any]


class ExportColumn(NamedTuple):
    """A column of an export.

    `reads` are the columns of the table that it needs. `cells` renders them, a page at a time, as
    cells of CSV, and `values` as values of JSON. `is_user_text` marks text that a customer may
    have written: in CSV it is protected from formulas.
    """

    reads: tuple[str, ...]
    cells: Callable[..., Values]
    values: Callable[..., Values]
    is_user_text: bool = True


def _same(column: Values) -> Values:
    return column


def _flags(column: Values) -> Values:
    return ["true" if value else "false" for value in column]


def _fragments(column: Values) -> Values:
    return [None if value is None else orjson.Fragment(value) for value in column]


def _timestamps(column: Values) -> Values:
    return [iso(value) for value in column]


def _optional_timestamps(column: Values) -> Values:
    return [None if value == kinds.NEVER else iso(value) for value in column]


def _locations(shipping: Values, billing: Values) -> Values:
    loaded = ([addresses.load(value) for value in column] for column in (shipping, billing))
    return list(map(addresses.location, *loaded))


def _full_names(first: Values, last: Values) -> Values:
    return list(map(full_name, first, last))


def _part(kind: str, part: str) -> ExportColumn:
    def select(column: Values) -> Values:
        loaded = json_cache(column)
        if loaded is None:
            return [""] * len(column)
        return [value.get(part, "") for value in loaded]

    return ExportColumn((kind,), select, select)


def _custom(key: str) -> ExportColumn:
    def values(column: Values) -> Values:
        loaded = json_cache(column)
        if loaded is None:
            return [None] * len(column)
        return [value.get(key) if isinstance(value, dict) else None for value in loaded]

    def cells(column: Values) -> Values:
        return [
            v if isinstance(v, str) else "" if v is None else orjson.dumps(v).decode()
            for v in values(column)
        ]

    return ExportColumn(("custom",), cells, values)


class _JsonCache:
    """Parses the addresses and custom fields of a page once for all of their parts."""

    def __init__(self) -> None:
        # The columns are kept, so that no other object gets their `id()`.
        self._columns: dict[int, tuple[Values, list[dict[str, Any]] | None]] = {}

    def __call__(self, column: Values) -> list[dict[str, Any]] | None:
        cached = self._columns.get(id(column))
        if cached is None:
            loaded = (
                [orjson.loads(value) if value else {} for value in column] if any(column) else None
            )
            cached = self._columns[id(column)] = (column, loaded)
        return cached[1]

    def clear(self) -> None:
        """Empty the cache before the next page."""
        self._columns.clear()


json_cache = _JsonCache()


def _addresses(field: kinds.Address) -> dict[str, ExportColumn]:
    return {f"{field.name}.{part}": _part(field.name, part) for part in addresses.PARTS}


def _books(*columns: Values) -> Values:
    """Return the address books that have more than default addresses without labels. They have no
    ids."""
    return [_book(row) if row[-1] else None for row in zip(*columns, strict=True)]


def _book(row: Sequence[Any]) -> Any:
    names = (*address_book.FLAGS, address_book.BOOK)
    entries = address_book.load(dict(zip(names, row, strict=True)))
    if all(entry.is_default and not entry.label for entry in entries):
        return None  # a default address that was another entry has an id
    return [
        {
            "label": entry.label,
            "default_shipping": entry.default_shipping,
            "default_billing": entry.default_billing,
            "address": entry.address,
        }
        for entry in entries
    ]


def _book_cells(*columns: Values) -> Values:
    return ["" if book is None else orjson.dumps(book).decode() for book in _books(*columns)]


def _address_book(field: kinds.Addresses) -> dict[str, ExportColumn]:
    reads = (*address_book.FLAGS, field.name)
    return {field.name: ExportColumn(reads, _book_cells, _books)}


def _column(
    cells: Callable[..., Values], values: Callable[..., Values], *, is_user_text: bool = True
) -> Callable[[Any], dict[str, ExportColumn]]:
    """Return the columns of a kind whose fields are one column of the table each."""
    return lambda field: {field.name: ExportColumn((field.name,), cells, values, is_user_text)}


def _computed(
    render: Callable[..., Values], *, is_user_text: bool = True
) -> Callable[[Any], dict[str, ExportColumn]]:
    return lambda field: {field.name: ExportColumn(field.sources, render, render, is_user_text)}


def _or_empty(column: Values) -> Values:
    return [value or "" for value in column]


def _tag_cells(column: Values) -> Values:
    return [of_tags(orjson.loads(value)) for value in column]


def _external_id_values(column: Values) -> Values:
    return [list(map(written, load(value))) for value in column]


def _external_id_cells(column: Values) -> Values:
    return list(map(of_tags, _external_id_values(column)))


def _contact_points(field: kinds.ContactPoints) -> dict[str, ExportColumn]:
    """Return the column of a list that says more than its default, as JSON that an import reads."""
    kind = CONTACT_POINTS[field.name]

    def value(stored: str | None, default: str) -> Any:
        points = None if stored is None else load_points(stored, default)
        return shown(kind, points) if points and points.has_more_than_default else None

    def values(column: Values, defaults: Values) -> Values:
        return list(map(value, column, defaults)) if any(column) else [None] * len(column)

    def cells(column: Values, defaults: Values) -> Values:
        if not any(column):
            return [""] * len(column)
        lists = values(column, defaults)
        return ["" if value is None else orjson.dumps(value).decode() for value in lists]

    return {field.name: ExportColumn((field.name, field.default), cells, values)}


_TEXT = _column(_same, _same)
# The columns of each kind of field.
_COLUMNS_OF_KIND: Mapping[type[kinds.Field], Callable[[Any], dict[str, ExportColumn]]] = {
    kinds.Text: _TEXT,
    kinds.Email: _TEXT,
    kinds.Phone: _TEXT,
    kinds.LongText: _column(_or_empty, _same),
    kinds.Flag: _column(_flags, lambda column: list(map(bool, column)), is_user_text=False),
    kinds.Tags: _column(_tag_cells, _fragments),
    kinds.ExternalIds: _column(_external_id_cells, _external_id_values),
    kinds.Emails: _contact_points,
    kinds.Phones: _contact_points,
    kinds.Json: _column(_or_empty, _fragments),
    kinds.Address: _addresses,
    kinds.Addresses: _address_book,
    kinds.Timestamp: _column(_timestamps, _timestamps, is_user_text=False),
    kinds.OptionalTimestamp: _column(
        lambda column: _or_empty(_optional_timestamps(column)),
        _optional_timestamps,
        is_user_text=False,
    ),
    kinds.Money: _column(amounts, amounts, is_user_text=False),
    kinds.Count: _column(_same, _same, is_user_text=False),
    kinds.FullName: _computed(_full_names),
    kinds.Location: _computed(_locations),
    kinds.Avatar: _computed(avatars, is_user_text=False),
}
_BY_NAME = {field.name: _COLUMNS_OF_KIND[type(field)](field) for field in FIELDS}
# In the order of the first release; other fields follow.
_IMPORTED = in_order(
    "email first_name last_name phone accepts_marketing tags notes shipping_address "
    "billing_address custom created_at updated_at",
    names_of(FIELDS, *{type(field) for field in WRITABLE}, kinds.Timestamp),
)
# The heading of the `_id` in an export. No other system has it, so an import can trust the ids.
OWN_ID = "regulars_id"
# The ids of the customer in other systems: a list, of which each cell has its form of tags.
(OWN_EXTERNAL_IDS,) = names_of(FIELDS, kinds.ExternalIds)
_ID = ExportColumn(("customer_id",), _same, _same, is_user_text=False)
_OWN = {
    OWN_ID: _ID,
    **{name: field for f in _IMPORTED for name, field in _BY_NAME[f].items()},
}
_GLOBAL_ID = encoder("Customer")
_DERIVED = {
    "_id": _ID,
    "id": ExportColumn(("customer_id",), _GLOBAL_ID, _GLOBAL_ID, is_user_text=False),
    **{
        name: field
        for f in names_of(FIELDS)
        if f not in _IMPORTED
        for name, field in _BY_NAME[f].items()
    },
}
# An address is one value of JSON, and a column for each part in CSV.
_JSON_ONLY = {
    name: ExportColumn((name,), _same, _fragments) for name in names_of(FIELDS, kinds.Address)
}
_COLUMNS = {**_OWN, **_DERIVED}
_COLUMNS_OF_FORMAT = {"csv": _COLUMNS, "jsonl": {**_COLUMNS, **_JSON_ONLY}}
_EARLIER_PARTS = (
    "line1 line2 city area country first_name last_name zip state email phone"
).split()
# The default headings of exports of 0.1, which had the `_id` under `_id`: first those of CSV, then
# the names of a line of JSON. They are frozen: an import recognises such files by them.
EARLIER_HEADINGS: tuple[tuple[str, ...], ...] = (
    (
        *"_id email first_name last_name phone accepts_marketing tags notes".split(),
        *(f"shipping_address.{part}" for part in _EARLIER_PARTS),
        *(f"billing_address.{part}" for part in _EARLIER_PARTS),
        *"custom created_at updated_at".split(),
    ),
    tuple(
        "_id email first_name last_name phone accepts_marketing tags notes shipping_address "
        "billing_address custom created_at updated_at".split()
    ),
)
# The default columns of each format: everything that can be imported. Clients may read the columns
# of the first release by their positions; parts that an address has had since follow them.
_LEADING = " ".join((OWN_ID, *EARLIER_HEADINGS[0][1:], OWN_EXTERNAL_IDS))
DEFAULT_COLUMNS = {"csv": in_order(_LEADING, _OWN), "jsonl": (OWN_ID, *_IMPORTED)}


# Columns that an import reads as those of another system, unless the file has `regulars_id`.
_NEEDS_OWN_ID = ("_id", "id", OWN_EXTERNAL_IDS)


def misread_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that an import of an export with the columns `names` would store as custom
    fields, because the file is not recognized as an export of Regulars."""
    return [] if OWN_ID in names else [name for name in names if name in _NEEDS_OWN_ID]


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789{")


def is_custom(name: str) -> bool:
    """Return whether a column is one custom field."""
    return name.startswith("custom.") and name != "custom."


def _ids_of_source(source: str) -> ExportColumn:
    def values(column: Values) -> Values:
        return [[e.id for e in load(value) if e.source == source] for value in column]

    def cells(column: Values) -> Values:
        return ["; ".join(ids) for ids in values(column)]

    return ExportColumn((OWN_EXTERNAL_IDS,), cells, values)


def without_formulas(column: Values) -> Values:
    """Return cells that no spreadsheet runs as a formula."""
    return [value if not value or value[0] in _PLAIN else neutral(value) for value in column]


def export_column(name: str, form: str) -> ExportColumn:
    """Return a column by its name. `form` is csv or jsonl. Raises BadOption."""
    columns = _COLUMNS_OF_FORMAT[form]
    if name in columns:
        return columns[name]
    if is_custom(name):
        return _custom(name.removeprefix("custom."))
    if is_external(name):
        return _ids_of_source(name.removeprefix(EXTERNAL))
    hint = did_you_mean(name, columns)
    raise BadOption(f"There is no column {name!r}.{hint} The columns are {', '.join(columns)}.")
