"""The number formats of an .xlsx workbook that show zeros before a number, as `00000` of 1067.

The library that reads workbooks has the numbers without their formats, and postal codes, phones and
ids would lose their zeros. (ECMA-376, part 1: 18.8.30 and 18.8.31 have the formats, 18.3.1.4 the
cells.)
"""

from __future__ import annotations

import re
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat

_CHUNK_BYTES = 65_536
_MAX_FORMAT_CHARACTERS = 255
_MAX_STYLES = 65_536  # "Excel specifications and limits": 65,490
_TOKEN = re.compile(r'([0#?])|\\(.)|"([^"]*)"|(_.|\*.|\[\$[^\]]*\])|([-+/(): ])', re.DOTALL)
_COLUMN = re.compile(r"([A-Z]{1,3})[0-9]+")

# The parts of a format: True for a zero, False for a digit without one, and texts between.
Format = tuple[bool | str, ...]


def parse_format(code: str) -> Format | None:
    """Return the parts of a format that shows zeros before a number; None for any other format,
    and for one with conditions, decimals or parts of a date."""
    parts: list[bool | str] = []
    position = 0
    text = code[:_MAX_FORMAT_CHARACTERS]
    while position < len(text) and text[position] != ";":
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        digit, escaped, quoted, _invisible, plain = token.groups()
        if digit:
            parts.append(digit == "0")
        elif literal := escaped or quoted or plain:
            parts.append(literal)
        position = token.end()
    return tuple(parts) if sum(part is True for part in parts) > 1 else None


def show(number: float, parts: Format) -> str | None:
    """Return a number as a format shows it; None if it is negative or has decimals."""
    if not number.is_integer() or not 0 <= number < 1e15:
        return None
    digits = str(int(number)) if number else ""
    shown: list[str] = []
    first = next(index for index, part in enumerate(parts) if not isinstance(part, str))
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, str):
            shown.append(part)
        elif index == first:
            shown.append(digits or ("0" if part else ""))
        else:
            shown.append(digits[-1:] or ("0" if part else ""))
            digits = digits[:-1]
    return "".join(reversed(shown))


def read_formats(file: Any, sheet: str) -> Iterator[tuple[int, Mapping[int, Format]]]:
    """Yield the rows (from 0) of a sheet that have cells with such formats: the columns (from 0)
    with their formats. Nothing is read if no style of the workbook has one. A damaged part ends
    the iteration: the library reports it."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.lower(): name for name in archive.namelist()}
            styles = names.get("xl/styles.xml")
            formats = _formats_of_styles(archive, styles) if styles else {}
            path = _path_of_sheet(archive, names, sheet) if formats else None
            if path:
                yield from _rows(archive, path, formats)
    except (zipfile.BadZipFile, expat.ExpatError, KeyError, ValueError, NotImplementedError):
        return


def _parse(archive: zipfile.ZipFile, name: str, parser: Any) -> Iterator[None]:
    """Parse a part, and yield after each chunk."""
    with archive.open(name) as part:
        while chunk := part.read(_CHUNK_BYTES):
            parser.Parse(chunk)
            yield


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _formats_of_styles(archive: zipfile.ZipFile, name: str) -> dict[str, Format]:
    """Return the formats by the index of a style, as cells have it."""
    codes: dict[str, str] = {}
    styles: list[str] = []
    parents: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element == "xf" and parents[-1:] == ["cellXfs"] and len(styles) < _MAX_STYLES:
            styles.append(attributes.get("numFmtId", ""))
        parents.append(element)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: parents.pop()
    for _ in _parse(archive, name, parser):
        pass
    by_code = {code: parse_format(code) for code in set(codes.values())}
    formats = {str(index): by_code.get(codes.get(id_, "")) for index, id_ in enumerate(styles)}
    return {index: parts for index, parts in formats.items() if parts is not None}


def _path_of_sheet(archive: zipfile.ZipFile, names: Mapping[str, str], sheet: str) -> str | None:
    """Return the name of the part of a sheet."""
    ids: dict[str, str] = {}
    targets: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "sheet":
            # The strict variant of the format has another namespace.
            ids[attributes.get("name", "")] = next(
                (value for key, value in attributes.items() if key.endswith(" id")), ""
            )
        elif element == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = start
        for _ in _parse(archive, names[name], parser):
            pass
    target = targets.get(ids.get(sheet, ""), "")
    path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return names.get(path.lower())


def _rows(
    archive: zipfile.ZipFile, name: str, formats: Mapping[str, Format]
) -> Iterator[tuple[int, Mapping[int, Format]]]:
    rows: deque[tuple[int, dict[int, Format]]] = deque()
    position = [-1, -1]
    cells: dict[int, Format] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if element == "c":
            match = _COLUMN.fullmatch(attributes.get("r", ""))
            position[1] = _column_index(match[1]) if match else position[1] + 1
            parts = formats.get(attributes.get("s", ""))
            if parts is not None and attributes.get("t", "n") == "n":
                cells[position[1]] = parts
        elif element == "row":
            number = attributes.get("r", "")
            position[:] = [int(number) - 1 if number.isdecimal() else position[0] + 1, -1]
            cells.clear()

    def end(name: str) -> None:
        if cells and _local(name) == "row":
            rows.append((position[0], dict(cells)))

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    for _ in _parse(archive, name, parser):
        while rows:
            yield rows.popleft()


def _column_index(letters: str) -> int:
    index = 0
    for letter in letters:
        index = 26 * index + ord(letter) - ord("A") + 1
    return index - 1
