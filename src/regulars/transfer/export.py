"""Exporting: an account's customers as CSV or JSON Lines, from one snapshot, a page at a time.

What is exported as it is by default can be imported into an empty account, and exported again to
the same bytes.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, NamedTuple

import orjson

from regulars.core import fields as kinds
from regulars.core.dates import iso
from regulars.core.fields import in_order, names_of
from regulars.core.ids import encoder
from regulars.core.money import amounts
from regulars.core.paging import KeysetPage
from regulars.core.text import did_you_mean, full_name
from regulars.customers import addresses
from regulars.customers.avatars import avatars
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order, parse
from regulars.store import Store
from regulars.store.base import QueryExecutor
from regulars.store.queries import ORDER_VALUE, customers_by_id
from regulars.transfer.cells import neutral, of_tags
from regulars.transfer.errors import BadOption
from regulars.transfer.row_parser import FORMATS, MEDIA_TYPES

PAGE = 1_000
MAX_COLUMNS = 200
# Characters of the columns that may be long, of the rows that are rendered at once: others wait
# for this process meanwhile.
_SLICE_CHARACTERS = 262_144
_LONG = frozenset(names_of(FIELDS, kinds.Json, kinds.LongText, kinds.Tags, kinds.Address))

Values = Sequence[Any]


class _Field(NamedTuple):
    """A column of an export: the columns of the table that it reads, and what is made of those, a
    page at a time: cells of CSV, and values of JSON. `typed` says that a customer chose it."""

    reads: tuple[str, ...]
    cells: Callable[..., Values]
    values: Callable[..., Values]
    typed: bool = True


def _same(column: Values) -> Values:
    return column


def _flags(column: Values) -> Values:
    return ["true" if one else "false" for one in column]


def _fragments(column: Values) -> Values:
    return [None if one is None else orjson.Fragment(one) for one in column]


def _timestamps(column: Values) -> Values:
    return [iso(one) for one in column]


def _locations(shipping: Values, billing: Values) -> Values:
    loaded = ([addresses.load(one) for one in column] for column in (shipping, billing))
    return list(map(addresses.location, *loaded))


def _full_names(first: Values, last: Values) -> Values:
    return list(map(full_name, first, last))


def _part(kind: str, part: str) -> _Field:
    def pick(column: Values) -> Values:
        loaded = _loaded(column)
        if loaded is None:
            return [""] * len(column)
        return [one.get(part, "") for one in loaded]

    return _Field((kind,), pick, pick)


def _custom(key: str) -> _Field:
    def values(column: Values) -> Values:
        loaded = _loaded(column)
        if loaded is None:
            return [None] * len(column)
        return [one.get(key) if isinstance(one, dict) else None for one in loaded]

    def shown(column: Values) -> Values:
        return [
            one if isinstance(one, str) else "" if one is None else orjson.dumps(one).decode()
            for one in values(column)
        ]

    return _Field(("custom",), shown, values)


class _Loaded:
    """The addresses and custom fields of some rows, parsed once for all of their parts; None where
    there are none."""

    def __init__(self) -> None:
        # With the columns, so that their ids stay theirs.
        self._columns: dict[int, tuple[Values, list[dict[str, Any]] | None]] = {}

    def __call__(self, column: Values) -> list[dict[str, Any]] | None:
        known = self._columns.get(id(column))
        if known is None:
            loaded = [orjson.loads(one) if one else {} for one in column] if any(column) else None
            known = self._columns[id(column)] = (column, loaded)
        return known[1]

    def forget(self) -> None:
        """Forgets them: other rows follow."""
        self._columns.clear()


_loaded = _Loaded()


def _addresses(field: kinds.Address) -> dict[str, _Field]:
    return {f"{field.name}.{part}": _part(field.name, part) for part in addresses.PARTS}


def _column(
    cells: Callable[..., Values], values: Callable[..., Values], *, typed: bool = True
) -> Callable[[Any], dict[str, _Field]]:
    """A kind whose fields are one column, made of one of the table's."""
    return lambda field: {field.name: _Field((field.name,), cells, values, typed)}


def _computed(
    make: Callable[..., Values], *, typed: bool = True
) -> Callable[[Any], dict[str, _Field]]:
    return lambda field: {field.name: _Field(field.sources, make, make, typed)}


def _or_empty(column: Values) -> Values:
    return [one or "" for one in column]


def _tag_cells(column: Values) -> Values:
    return [of_tags(orjson.loads(one)) for one in column]


_TEXT = _column(_same, _same)
# The columns of each kind of field.
_OF_KIND: Mapping[type[kinds.Field], Callable[[Any], dict[str, _Field]]] = {
    kinds.Text: _TEXT,
    kinds.Email: _TEXT,
    kinds.Phone: _TEXT,
    kinds.LongText: _column(_or_empty, _same),
    kinds.Flag: _column(_flags, lambda column: list(map(bool, column)), typed=False),
    kinds.Tags: _column(_tag_cells, _fragments),
    kinds.Json: _column(_or_empty, _fragments),
    kinds.Address: _addresses,
    kinds.Timestamp: _column(_timestamps, _timestamps, typed=False),
    kinds.Money: _column(amounts, amounts, typed=False),
    kinds.Count: _column(_same, _same, typed=False),
    kinds.FullName: _computed(_full_names),
    kinds.Location: _computed(_locations),
    kinds.Avatar: _computed(avatars, typed=False),
}
_BY_NAME = {field.name: _OF_KIND[type(field)](field) for field in FIELDS}
# In the order of the first release; other fields follow.
_IMPORTED = in_order(
    "email first_name last_name phone accepts_marketing tags notes shipping_address "
    "billing_address custom created_at updated_at",
    names_of(FIELDS, *{type(field) for field in WRITABLE}, kinds.Timestamp),
)
_ID = {"_id": _Field(("customer_id",), _same, _same, typed=False)}
_OWN = {**_ID, **{name: field for f in _IMPORTED for name, field in _BY_NAME[f].items()}}
_GLOBAL_ID = encoder("Customer")
_DERIVED = {
    "id": _Field(("customer_id",), _GLOBAL_ID, _GLOBAL_ID, typed=False),
    **{
        name: field
        for f in names_of(FIELDS)
        if f not in _IMPORTED
        for name, field in _BY_NAME[f].items()
    },
}
# An address is one value of JSON, and a column for each part of CSV.
_JSON_ONLY = {name: _Field((name,), _same, _fragments) for name in names_of(FIELDS, kinds.Address)}
# The columns of an export, unless others are chosen: everything that can be imported.
DEFAULT = {"csv": tuple(_OWN), "jsonl": ("_id", *_IMPORTED)}
_FIELDS = {**_OWN, **_DERIVED}
_FIELDS_OF = {"csv": _FIELDS, "jsonl": {**_FIELDS, **_JSON_ONLY}}


class Export:
    """An export of an account's customers: all, or those that a query of the search language finds,
    in its order, else in that of their ids; or those of the `ids`, in their order. `form` is csv or
    jsonl; `page`, how many customers are read at once.

    Raises BadOption, and Rejected with InvalidQuery.
    """

    def __init__(
        self,
        account_id: int,
        form: str,
        query: str,
        chosen: Sequence[str],
        now: int,
        page: int = PAGE,
        ids: Sequence[int] | None = None,
    ) -> None:
        if form not in FORMATS:
            raise BadOption(f"The format is csv or jsonl, not {form!r}.")
        self._account_id = account_id
        self._form = form
        search = parse(query)
        order = search.order if search.ordered else Order("id", ascending=True)
        self._selected = CustomerPage(order, KeysetPage(page), search.condition, now)
        self._ids = ids
        self._names = tuple(dict.fromkeys(chosen)) or DEFAULT[form]
        if len(self._names) > MAX_COLUMNS:
            raise BadOption(
                f"The export has {len(self._names):,} columns; at most {MAX_COLUMNS} are allowed. "
                "`custom` has all custom fields in one column."
            )
        self._fields = [_field(name, form) for name in self._names]
        self._columns = tuple(
            dict.fromkeys(
                [ORDER_VALUE, "customer_id", *(name for f in self._fields for name in f.reads)]
            )
        )

        self._long = [place for place, name in enumerate(self._columns) if name in _LONG]

    @property
    def media_type(self) -> str:
        """The media type of the export."""
        return MEDIA_TYPES[self._form]

    @property
    def _csv(self) -> bool:
        return self._form == "csv"

    async def count(self, store: Store) -> int:
        """How many customers there are to export."""
        return await Listing(store).count(self._account_id, self._selected)

    async def pages(self, store: Store) -> AsyncGenerator[tuple[int, bytes], None]:
        """The export in pieces, each with the number of its customers; the first are the headings
        of CSV."""
        if self._csv:
            yield 0, _csv_text([[neutral(name) for name in self._names]])
        async with store.snapshot() as snapshot:
            if self._ids is not None:
                pages: AsyncIterator[Sequence[Any]] = self._named(snapshot, self._ids)
            else:
                pages = Listing(snapshot).pages(self._account_id, self._selected, self._columns)
            async for page in pages:
                for rows in self._slices(page):
                    yield len(rows), self._text(rows)
                    await asyncio.sleep(0)

    def _slices(self, rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Rows in slices that are rendered in some milliseconds."""
        start = characters = 0
        for place, row in enumerate(rows):
            characters += sum([len(row[n]) for n in self._long if row[n]])
            if characters > _SLICE_CHARACTERS:
                yield rows[start : place + 1]
                start, characters = place + 1, 0
        if start < len(rows):
            yield rows[start:]

    async def _named(
        self, snapshot: QueryExecutor, ids: Sequence[int]
    ) -> AsyncGenerator[Sequence[Any], None]:
        """The rows of those ids, a page at a time; of an id that there is not, none."""
        # Of a list by id, the order's value is the id.
        stored = ["customer_id" if name == ORDER_VALUE else name for name in self._columns]
        query = customers_by_id(tuple(stored))
        for start in range(0, len(ids), self._selected.page.size):
            few = ids[start : start + self._selected.page.size]
            rows = await snapshot.fetch(query, {"account_id": self._account_id, "ids": few})
            found = {row[0]: row[1:] for row in rows}
            if found:
                yield [found[number] for number in few if number in found]

    def _text(self, rows: Sequence[Any]) -> bytes:
        _loaded.forget()
        found = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        if not self._csv:
            made = [field.values(*(found[name] for name in field.reads)) for field in self._fields]
            lines = [dict(zip(self._names, row, strict=True)) for row in zip(*made, strict=True)]
            return b"".join([orjson.dumps(line) + b"\n" for line in lines])
        cells = [
            _harmless(field.cells(*(found[name] for name in field.reads)))
            if field.typed
            else field.cells(*(found[name] for name in field.reads))
            for field in self._fields
        ]
        return _csv_text(zip(*cells, strict=True))


def _csv_text(rows: Iterable[Iterable[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789{")


def _harmless(column: Values) -> Values:
    return [one if not one or one[0] in _PLAIN else neutral(one) for one in column]


def _field(name: str, form: str) -> _Field:
    known = _FIELDS_OF[form]
    if name in known:
        return known[name]
    if name.startswith("custom.") and name != "custom.":
        return _custom(name.removeprefix("custom."))
    hint = did_you_mean(name, known)
    raise BadOption(f"There is no column {name!r}.{hint} The columns are {', '.join(known)}.")
