"""Read JSON documents that hold an array of records: `[{…}]`, `{"customers": [{…}]}`, GraphQL
(`{"data": {"customers": {"edges": [{"node": {…}}]}}}`), or objects over several lines.

The records are read one at a time, with ijson, and become lines of JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from regulars.transfer.errors import BadFile
from regulars.transfer.line_stream import TextStream

# Bytes of a record, and levels that are open at a time.
_MAX_RECORD_BYTES = 4 * 1024 * 1024
_MAX_OPEN_LEVELS = 1_000
# ijson makes a path for each value, in time that grows with its level. So few levels are read at a
# time before they are counted.
_READ_BYTES = 4_096
_MAX_SAMPLE_LEVELS = 50
_STARTS, _ENDS = ("start_map", "start_array"), ("end_map", "end_array")
# Objects between the root and the array of records.
_MAX_PATH = 6
_MAX_KEYS = 200
# Objects between a record and its customer: `order.customer.profile`.
_MAX_OWNERS = 2
_ITEM = "item"
# After the keys of an object whose keys are ids.
_BY_ID = "*"
_MIN_ID_CHARACTERS = 16
_ARRAY = re.compile(r"\[\s*(?:[{\]]|\[)")
_UNDECODABLE = re.compile("[\ud800-\udfff]")
_NO_LETTER = re.compile(r"[^a-z]+")
# Members that show that an object is a customer and holds no array of customers.
_CUSTOMER_KEYS = frozenset(
    "email emailaddress emailaddresses emails useremail customeremail firstname lastname "
    "givenname familyname".split()
)
# Members of records of any kind.
_RECORD_KEYS = frozenset(("id", "phone", "name"))
# Names of arrays of records, the likeliest first.
_ARRAY_KEYS = (
    "customers contacts connections subscribers members people users profiles clients accounts "
    "customer nodes edges data results items records list rows value values content elements "
    "entries hits"
).split()
_OTHER_KEYS = frozenset(
    "errors links extensions meta metadata pageinfo pagination paging addresses included schema "
    "fields columns tags orders".split()
)
# The first element of a JSON export of phpMyAdmin, whose tables have their rows under `data`.
_PHPMYADMIN = {"type": "header"}


@dataclass(frozen=True, slots=True)
class RecordArray:
    """The place of the records in a document, as a prefix of ijson. `by_id`: the place is an object
    whose keys are the ids of the records."""

    prefix: str
    by_id: bool = False

    def convert(self, name: str, text: TextStream) -> Iterator[str]:
        """Yield a line of JSON for each record. Undecodable bytes become U+FFFD. Raises BadFile for
        text that is not JSON and for a record that is too large."""
        import ijson  # only for files that need it

        reader = _Reader(name, text)
        read = ijson.kvitems if self.by_id else ijson.items
        items = read(
            reader, self.prefix, use_float=True, multiple_values=True, buf_size=_READ_BYTES
        )
        try:
            for value in items:
                reader.start_record()
                if self.by_id:
                    value = _with_id(*value)
                yield _to_line(value)
        except ijson.JSONError as error:
            reason = str(error).strip().split("\n", 1)[0][:200]
            raise BadFile(
                f"{name} is not valid JSON after record {reader.records:,}: {reason}. Export it "
                "again, or repair it."
            ) from error


class _Reader:
    """Reads a text as UTF-8, and limits the size and the levels of each record."""

    def __init__(self, name: str, text: TextStream) -> None:
        self._name = name
        self._text = text
        self._record_bytes = self._open_levels = 0
        self.records = 0

    def start_record(self) -> None:
        self.records += 1
        self._record_bytes = self._open_levels = 0

    def read(self, size: int) -> bytes:
        if not size:
            return b""
        text = self._text.read(size)
        if not text.isascii():
            text = _UNDECODABLE.sub("\ufffd", text).removeprefix("\ufeff")
        content = text.encode()
        self._record_bytes += len(content)
        self._open_levels += content.count(b"[") + content.count(b"{")
        self._open_levels -= content.count(b"]") + content.count(b"}")
        if self._record_bytes > _MAX_RECORD_BYTES or self._open_levels > _MAX_OPEN_LEVELS:
            raise BadFile(
                f"{self._name} has a record (number {self.records + 1:,}) of more than "
                f"{_MAX_RECORD_BYTES:,} bytes or {_MAX_OPEN_LEVELS:,} levels, the maximum."
            )
        return content


def _with_id(key: str, value: Any) -> Any:
    return {"id": key, **value} if isinstance(value, dict) else value


def _to_line(value: Any) -> str:
    try:
        return orjson.dumps(value).decode() + "\n"
    except orjson.JSONEncodeError:
        pass  # an integer of more than 64 bits, or more than 254 levels
    try:
        return json.dumps(value, ensure_ascii=False) + "\n"
    except RecursionError:
        return "[]\n"  # no object: the record is rejected


def find_records(sample: str) -> RecordArray | None:
    """Return where a document has its records. None for JSON Lines and for other text. `sample` is
    the beginning of the text."""
    text = sample.lstrip("\ufeff \t\r\n")
    if _ARRAY.match(text):
        root = _partial_value(text)
        first = root[0] if isinstance(root, list) and root else None
        if isinstance(first, dict) and first.items() >= _PHPMYADMIN.items():
            return RecordArray("item.data.item")
        return RecordArray(_ITEM)
    if not text.startswith("{"):
        return None
    line, end, _ = text.partition("\n")
    line = line.strip()
    try:
        root, is_line = orjson.loads(line), True
    except orjson.JSONDecodeError:
        if end and len(line) > 1 and line.endswith("}"):
            return None  # a line of JSON Lines that is not valid
        root, is_line = _partial_value(text), False
    if isinstance(root, Mapping) and (path := _array_path(root)):
        is_by_id = path[-1] == _BY_ID
        return RecordArray(".".join(path[:-1] if is_by_id else (*path, _ITEM)), is_by_id)
    # A line that goes beyond the sample is one of JSON Lines.
    return None if is_line or not end else RecordArray("")


def _partial_value(text: str) -> Any:
    """Return the first value of a text, as far as the text has it and to `_MAX_SAMPLE_LEVELS`."""
    import ijson

    builder = ijson.ObjectBuilder()
    levels = 0
    content = _UNDECODABLE.sub("\ufffd", text).encode()
    try:
        # `basic_parse`, as `parse` makes a path for each event: quadratic work for deep text.
        for event, value in ijson.basic_parse(content, use_float=True):
            levels += (event in _STARTS) - (event in _ENDS)
            if levels > _MAX_SAMPLE_LEVELS:
                break
            builder.event(event, value)
            if not levels:
                break
    except ijson.JSONError:
        pass  # the sample ends
    return getattr(builder, "value", None)


def _array_path(root: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that lead to the array of records; () if the object is a record itself. An
    array of customers precedes others, which must have a usual name, or have emails of customers
    in their objects, as orders and attendees."""
    found = min(_candidates(root, (), _MAX_PATH), default=None)
    if found is None:
        return next(_arrays_with_customers(root, (), _MAX_PATH), ())
    return found[1]


def _arrays_with_customers(
    root: Mapping[str, Any], path: tuple[str, ...], levels: int
) -> Iterator[tuple[str, ...]]:
    if _has_customer(root, _MAX_OWNERS):
        return
    for key in list(root)[:_MAX_KEYS]:
        value = root[key]
        if isinstance(value, dict) and levels:
            yield from _arrays_with_customers(value, (*path, key), levels - 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            is_record = any(_NO_LETTER.sub("", other.lower()) in _RECORD_KEYS for other in root)
            if not is_record and _has_customer(value[0], _MAX_OWNERS):
                yield (*path, key)


def _has_customer(value: Mapping[str, Any], levels: int) -> bool:
    """Return whether an object, or one in it, has members of a customer."""
    return _is_customer(value) or any(
        isinstance(inner, dict) and levels > 0 and _has_customer(inner, levels - 1)
        for inner in list(value.values())[:_MAX_KEYS]
    )


def _candidates(
    root: Mapping[str, Any], path: tuple[str, ...], levels: int
) -> Iterator[tuple[tuple[int, int], tuple[str, ...]]]:
    """Yield the ranks and the keys of arrays that may have the records."""
    keys = {key: _NO_LETTER.sub("", key.lower()) for key in list(root)[:_MAX_KEYS]}
    scalars = {plain for key, plain in keys.items() if not isinstance(root[key], dict | list)}
    if scalars & _CUSTOMER_KEYS:
        return
    if _is_by_id(root):
        yield (0, len(_ARRAY_KEYS)), (*path, _BY_ID)
        return
    for key, plain in keys.items():
        value = root[key]
        if plain in _OTHER_KEYS:
            continue
        is_usual = plain in _ARRAY_KEYS and not scalars & _RECORD_KEYS
        rank = _ARRAY_KEYS.index(plain) if plain in _ARRAY_KEYS else len(_ARRAY_KEYS)
        if isinstance(value, dict) and levels:
            yield from _candidates(value, (*path, key), levels - 1)
        elif isinstance(value, list):
            first = value[0] if value else None
            if isinstance(first, dict) and _is_customer(first):
                yield (0, rank), (*path, key)
            elif is_usual and (first is None or isinstance(first, dict)):
                yield (1 if value else 2, rank), (*path, key)


def _is_by_id(root: Mapping[str, Any]) -> bool:
    """Return whether an object has customers by their ids, as exports of Firebase have."""
    first = list(root.items())[:_MAX_KEYS]
    return (
        len(first) > 1
        and all(
            isinstance(value, dict)
            and (any(map(str.isdigit, key)) or len(key) >= _MIN_ID_CHARACTERS)
            for key, value in first
        )
        and _is_customer(first[0][1])
    )


def _is_customer(value: Mapping[str, Any]) -> bool:
    for inner in (value, *(value.get(key) for key in ("node", "properties", "attributes"))):
        if isinstance(inner, dict) and any(
            _NO_LETTER.sub("", key.lower()) in _CUSTOMER_KEYS for key in list(inner)[:_MAX_KEYS]
        ):
            return True
    return False
