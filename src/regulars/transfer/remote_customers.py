"""Read the customers of another server, and convert them to and from rows of this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from regulars.core import fields, ids
from regulars.core.dates import parse_timestamp
from regulars.core.errors import InvalidInput
from regulars.core.fields import Field, names_of
from regulars.core.ids import MAX_ID
from regulars.customers import address_book, contact_points
from regulars.customers.address_book import BOOK, FLAGS
from regulars.customers.addresses import PARTS
from regulars.customers.bulk import RowWarning, SetRow
from regulars.customers.commands import Reference, reference_to
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.customers.history import RESTORED
from regulars.customers.values import clean_values
from regulars.transfer.remote import Remote, RemoteFault, RequestTooLarge
from regulars.transfer.row_identity import foreign_ids
from regulars.transfer.sanitizing import sanitized

Node = Mapping[str, Any]

_ADDRESSES = names_of(FIELDS, fields.Address)
# Parts of an address that not every server has.
_LATER_PARTS = ("company",)
_FIRST_PARTS = tuple(part for part in PARTS if part not in _LATER_PARTS)


class _Mirrored(NamedTuple):
    """How a field is mirrored: its selection, and the conversions of a remote value to an input and
    of a row to an input of the other server."""

    selection: str
    read: Callable[[Any], Any]
    write: Callable[[Mapping[str, Any]], Any]


def _same(value: Any) -> Any:
    return value


def _load(stored: str | None) -> Any:
    return orjson.loads(stored) if stored else None


def _plain(read: Callable[[Any], Any], write: Callable[[Any], Any] = _same) -> Any:
    return lambda field: _Mirrored(field.name, read, lambda row: write(row[field.name]))


def _tags_of(value: Any) -> list[str]:
    return [tag for tag in value or [] if isinstance(tag, str)]


def _external_ids_of(value: Any) -> list[dict[str, str]]:
    return [external for external in value or [] if isinstance(external, dict)]


def _object_of(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _parts_of(value: Any) -> dict[str, Any] | None:
    """Return the parts of an address, without later ones that the server lacks."""
    if not isinstance(value, dict):
        return None
    return {part: value.get(part) for part in PARTS if part in value or part in _FIRST_PARTS}


def _entries_of(value: Any) -> list[dict[str, Any]] | None:
    """Return the entries of an address book, without what is empty."""
    if not isinstance(value, list):
        return None
    return [
        {
            **{name: entry[name] for name in ("label", *FLAGS.values()) if entry.get(name)},
            "address": {part: text for part, text in entry["address"].items() if text},
        }
        for entry in value
    ]


def _contact_points(field: fields.ContactPoints) -> _Mirrored:
    kind = contact_points.KINDS[field.name]
    verified = ' verified_at(format: "ISO")' if kind.is_verified else ""

    def read(value: Any) -> list[dict[str, Any]]:
        return [entry for entry in value or [] if isinstance(entry, dict)]

    return _Mirrored(
        f"{field.name} {{ {kind.noun} label default{verified} }}",
        read,
        lambda row: contact_points.shown(kind, kind.points(row)),
    )


def _book_of(row: Mapping[str, Any]) -> Any:
    """Return the address book of a row, with the default addresses."""
    rows = address_book.api_rows(0, *(row[name] for name in (*FLAGS, BOOK)))
    return _entries_of([{**entry, "address": entry["address"]["parts"]} for entry in rows])


_TEXT = _plain(lambda value: value or "")
_OF_KIND: Mapping[type[Field], Callable[[Any], _Mirrored]] = {
    fields.Email: _TEXT,
    fields.Text: _TEXT,
    fields.Phone: _TEXT,
    fields.Flag: _plain(bool, bool),
    fields.LongText: _plain(lambda value: value or None),
    fields.Tags: _plain(_tags_of, orjson.loads),
    fields.ExternalIds: lambda field: _Mirrored(
        f"{field.name} {{ source id }}",
        _external_ids_of,
        lambda row: _load(row[field.name]) or [],
    ),
    fields.Emails: _contact_points,
    fields.Phones: _contact_points,
    fields.Json: _plain(_object_of, _load),
    fields.Address: lambda field: _Mirrored(
        f"{field.name} {{ PARTS }}", _parts_of, lambda row: _load(row[field.name])
    ),
    fields.Addresses: lambda field: _Mirrored(
        f"{field.name} {{ label {' '.join(FLAGS.values())} address {{ PARTS }} }}",
        _entries_of,
        _book_of,
    ),
}
_BY_NAME = {field.name: _OF_KIND[type(field)](field) for field in WRITABLE}
# Every server of this API has these fields. Others are selected if the server has them.
_EVERYWHERE = (
    *("email", "phone", "first_name", "last_name", "accepts_marketing", "notes", "tags", "custom"),
    *("shipping_address", "billing_address"),
)
_OTHERS = tuple(name for name in _BY_NAME if name not in _EVERYWHERE)
_MIRRORED = {name: _BY_NAME[name] for name in (*_EVERYWHERE, *_OTHERS)}
_TYPES = """{ customer: __type(name: "Customer") { fields { name } }
  address: __type(name: "Address") { fields { name } } }"""


def _selection(others: Sequence[str], parts: Sequence[str]) -> str:
    """Return the selection of a customer. Timestamps are relative unless a format is requested."""
    fields_ = [_MIRRORED[name].selection for name in (*_EVERYWHERE, *others)]
    selected = [f'{name}(format: "ISO")' for name in _TIMESTAMPS]
    return " ".join(["id", "_id", *fields_, *selected]).replace("PARTS", " ".join(parts))


_TIMESTAMPS = names_of(FIELDS, fields.Timestamp)
_LIST = """query ($query: String!, $first: Int, $after: String) {
  customers(query: $query, first: $first, after: $after) {
    edges { node { FIELDS } cursor } pageInfo { endCursor hasNextPage } } }"""
_FEED = """query ($first: Int, $after: String) { customerChanges(first: $first, after: $after) {
    edges { node { kind sequence customer_id customer { FIELDS } } cursor }
    pageInfo { endCursor hasNextPage } } }"""
_HEAD = """query ($query: String!) { customers(query: $query, first: 25) {
    edges { node { changes(first: 1) { edges { node { sequence } cursor } } } } } }"""
_MAX_PAGE = 250
_CHECKED_AT_ONCE = 20


class Page(NamedTuple):
    """A page of a list or of the feed: its customers, the `_id`s of deleted ones (`gone`), the
    cursor of the next page, and the `_id`s of customers that returned from the server's trash, each
    with the number of its last entry in the feed."""

    nodes: list[Node]
    gone: list[int]
    after: str | None
    more: bool
    restored: Mapping[int, int] = {}


class Customers:
    """Reads the customers of a server."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._size = _MAX_PAGE
        # The fields and the parts of an address that the server has, and not every one.
        self._others: tuple[str, ...] | None = None
        self._parts: tuple[str, ...] = _FIRST_PARTS

    async def _detect(self) -> None:
        """Find out what the server has."""
        if self._others is not None:
            return
        available: dict[str, set[str]] = {"customer": set(), "address": set()}
        with suppress(RemoteFault, RequestTooLarge):  # a server without introspection
            data = await self._remote.ask(_TYPES, {}, _has_types)
            available = {
                name: {field["name"] for field in data[name]["fields"]} for name in available
            }
        self._others = tuple(name for name in _OTHERS if name in available["customer"])
        later = [part for part in _LATER_PARTS if part in available["address"]]
        self._parts = (*_FIRST_PARTS, *later)

    async def supported(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of fields, and of parts of addresses, that the server has."""
        await self._detect()
        names = (*_EVERYWHERE, *(self._others or ()))
        known = {name: value for name, value in values.items() if name in names}
        for name in _ADDRESSES:
            parts = known[name] or {}
            known[name] = {
                part: text for part, text in parts.items() if part in self._parts
            } or None
        return known

    async def _document(self, template: str) -> str:
        await self._detect()
        return template.replace("FIELDS", _selection(self._others or (), self._parts))

    def _complete(self, node: Node) -> Node:
        """Return a customer of the server. An address without all later parts is never null: it
        changes the parts that the server has, and keeps the others."""
        if self._parts == PARTS:
            return node
        empty = dict.fromkeys(self._parts)
        return {**node, **{name: node.get(name) or empty for name in _ADDRESSES}}

    async def page(self, order: str, after: str | None) -> Page:
        """Return a page of the list in an order of the search language."""
        document = await self._document(_LIST)
        data = await self._sized(document, {"query": order, "after": after}, _is_page("customers"))
        connection = data["customers"]
        nodes = [self._complete(edge["node"]) for edge in connection["edges"]]
        info = connection["pageInfo"]
        return Page(nodes, [], info["endCursor"], info["hasNextPage"])

    async def changes(self, after: str | None) -> Page:
        """Return the customers that changed after a cursor of the feed, each once in its current
        state."""
        document = await self._document(_FEED)
        data = await self._sized(document, {"after": after}, _is_page("customerChanges"))
        connection = data["customerChanges"]
        nodes_by_id = {
            edge["node"]["customer_id"]: edge["node"]["customer"] for edge in connection["edges"]
        }
        gone = [
            number
            for global_id, node in nodes_by_id.items()
            if node is None and (number := reference_to(global_id).customer_id) is not None
        ]
        info = connection["pageInfo"]
        nodes = [self._complete(node) for node in nodes_by_id.values() if node is not None]
        restored_ids = {
            edge["node"]["customer_id"]
            for edge in connection["edges"]
            if edge["node"]["kind"] == RESTORED
        }
        last_numbers = {
            edge["node"]["customer_id"]: edge["node"]["sequence"] for edge in connection["edges"]
        }
        restored = {n["_id"]: last_numbers[n["id"]] for n in nodes if n["id"] in restored_ids}
        return Page(nodes, gone, info["endCursor"] or after, info["hasNextPage"], restored)

    async def feed_cursor(self) -> str | None:
        """Return a cursor at or shortly before the end of the server's feed; None if the server has
        no feed, or an empty one."""
        last: tuple[float, str] | None = None
        for order in ("order_by:updated_at order_dir:desc", "order_by:id order_dir:desc"):
            try:
                data = await self._remote.ask(_HEAD, {"query": order}, _has_head)
            except (RemoteFault, RequestTooLarge):
                return None  # without these fields the server is not Regulars
            for edge in data["customers"]["edges"]:
                for change in edge["node"]["changes"]["edges"]:
                    position = (change["node"]["sequence"], change["cursor"])
                    last = max(last or position, position)
        return last[1] if last else None

    async def newest(self) -> int | None:
        """Return the time of the last change in milliseconds since 1970; None without customers."""
        variables = {"query": "order_by:updated_at order_dir:desc", "first": 1, "after": None}
        document = await self._document(_LIST)
        data = await self._remote.ask(document, variables, _is_page("customers"))
        edges = data["customers"]["edges"]
        return timestamp_of(edges[0]["node"]["updated_at"]) if edges else None

    async def among(self, numbers: list[int]) -> dict[int, Node | None]:
        """Return the customers by `_id`; None for an `_id` without a customer."""
        nodes: dict[int, Node | None] = {}
        global_ids = ids.encoder("Customer")(numbers)
        fragment = await self._document("... on Customer { FIELDS }")
        for start in range(0, len(numbers), _CHECKED_AT_ONCE):
            batch = numbers[start : start + _CHECKED_AT_ONCE]
            variables = dict(zip((f"n{n}" for n in batch), global_ids[start:], strict=False))
            parameters = ", ".join(f"${name}: ID!" for name in variables)
            selections = " ".join(
                f"{name}: node(id: ${name}) {{ {fragment} }}" for name in variables
            )
            names = set(variables)
            data = await self._remote.ask(
                f"query ({parameters}) {{ {selections} }}",
                variables,
                lambda data, names=names: names <= data.keys(),  # type: ignore[misc]  # a bound default
            )
            found = {number: data[f"n{number}"] or None for number in batch}
            nodes |= {number: node and self._complete(node) for number, node in found.items()}
        return nodes

    async def _sized(self, document: str, variables: Mapping[str, Any], is_valid: Any) -> Any:
        """Request the largest page that the server answers."""
        while True:
            try:
                return await self._remote.ask(
                    document, {**variables, "first": self._size}, is_valid
                )
            except RequestTooLarge:
                if self._size == 1:
                    raise
                self._size = self._size // 2


def _is_page(name: str) -> Any:
    """Return a check that a response has a complete page. A truncated one is not the end of a
    list."""

    def is_valid(data: Any) -> bool:
        edges, info = data[name]["edges"], data[name]["pageInfo"]
        more = info["hasNextPage"]
        nodes = [edge["node"] for edge in edges]
        has_ids = all(
            isinstance(node["customer_id"], str)
            if name == "customerChanges"
            else type(node["_id"]) is int
            for node in nodes
        )
        return has_ids and (
            more is False or (more is True and bool(edges) and bool(info["endCursor"]))
        )

    return is_valid


def _has_types(data: Any) -> bool:
    fields_ = [*data["customer"]["fields"], *data["address"]["fields"]]
    return all(isinstance(field["name"], str) for field in fields_)


def _has_head(data: Any) -> bool:
    return all(isinstance(e["node"]["changes"]["edges"], list) for e in data["customers"]["edges"])


def timestamp_of(text: Any) -> int | None:
    """Parse an absolute timestamp to milliseconds since 1970; None for a relative one."""
    return parse_timestamp(text) if isinstance(text, str) and text[:4].isdigit() else None


def row_of(node: Node, keep_ids: bool) -> SetRow:
    """Return the local row of a remote customer: with the same `_id` with `keep_ids`, else matched
    by email."""
    number = node["_id"]
    input_, warnings = _sanitized(_input(node))
    if input_.get(BOOK) is not None:  # it has the default addresses, too
        input_ = {name: value for name, value in input_.items() if name not in _ADDRESSES}
    values, problems = clean_values(input_, ())
    timestamps = (timestamp_of(node.get("created_at")), timestamp_of(node.get("updated_at")))
    created_and_updated = None if None in timestamps else (timestamps[0] or 0, timestamps[1] or 0)
    if not 0 < number <= MAX_ID:
        problems = [*problems, InvalidInput(f"An _id must be from 1 to {MAX_ID:,}.", ("_id",))]
    return SetRow(
        values,
        tuple(problems),
        Reference(str(number), number) if keep_ids else None,
        number,
        created_and_updated,
        foreign_ids(node.get("id")),
        mirrored=True,
        warnings=warnings,
    )


def _sanitized(node: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[RowWarning, ...]]:
    """Remove the characters that the local rules reject. Return the input and the changes.
    Another Regulars may have customers from before a rule."""
    values: dict[str, Any] = {}
    warnings: list[RowWarning] = []
    for name, value in node.items():
        if name in _ADDRESSES and value:
            parts = {part: sanitized(f"{name}.{part}", text) for part, text in value.items()}
            values[name] = {part: text for part, (text, _) in parts.items()}
            warnings += [
                RowWarning(c, f"{name}.{part}") for part, (_, cs) in parts.items() for c in cs
            ]
        else:
            values[name], changes = sanitized(name, value)
            warnings += [RowWarning(change, name) for change in changes]
    return values, tuple(warnings)


def values_of(node: Node) -> dict[str, Any]:
    """Return the values of a remote customer, in the form of `input_of`."""
    values = _input(node)
    for name in _ADDRESSES:
        parts = values[name] or {}
        values[name] = {part: text for part, text in parts.items() if text} or None
    return values


def _input(node: Node) -> dict[str, Any]:
    """Return the input fields of a remote customer, without those that the server lacks."""
    return {
        name: mirrored.read(node.get(name))
        for name, mirrored in _MIRRORED.items()
        if name in node or name in _EVERYWHERE
    }


def input_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input that creates the customer of a row on another server."""
    return {name: mirrored.write(row) for name, mirrored in _MIRRORED.items()}
