"""Split cells of tags in the forms of other systems, and join tags to a cell."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

# A cell with 250 tags of 255 characters, quoted, is shorter.
_MAX_CELL_CHARACTERS = 200_000
_MAX_CACHED_CHARACTERS = 256

# Cells without these are lists with commas, or one tag.
_SPECIAL = re.compile(r"""[;|"\n\r\t،，、；؛•·]|:::|\*/\*|^\s*+(?:[\[{#'*]|a:[0-9])""")
# Separators in the order in which they are tried. A cell is split at one of them only: a tag in a
# list with commas may contain a pipe. Semicolons that end an HTML entity separate nothing.
_LINES = re.compile(r"[\n\r]")
_COMMAS = re.compile("[,،，、]")
_SEPARATORS = (
    _LINES,
    re.compile(r"\t"),
    _COMMAS,
    re.compile(r"(?<!&amp)(?<!&quot)(?<!&lt)(?<!&gt)(?<!&nbsp)(?<!&apos)(?<!&#39)(?<!&#039)[;；؛]"),
    re.compile(r"\|"),
    re.compile(r"\*/\*"),  # Ontraport
    re.compile(r" [•·] "),
)
_ANY_SEPARATOR = re.compile("|".join([separator.pattern for separator in _SEPARATORS]))
_OTHERS = re.compile("[;；؛|]")
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
# Longer than any tag; the limit keeps the work linear.
_QUOTED = re.compile(r'\s*+"((?:[^"]|""){0,512}+)"\s*+')
_SINGLE_QUOTED_LIST = re.compile(r"'[^']*+'\s*+(?:,\s*+'[^']*+'\s*+)*+")
_HASHTAGS = re.compile(r"#[^\s#]++(?:\s++#[^\s#]++)+")
_BULLET = re.compile(r"^[*•\-–·]\s+")
_POSTGRESQL_ITEM = re.compile(r'\s*+(?:"((?:[^"\\]|\\.)*+)"\s*+|([^",{}]*+))(?:,|\Z)', re.DOTALL)
_PHP_LIST = re.compile(r"a:[0-9]+:\{.*\}", re.DOTALL)
_PHP_TEXT = re.compile(r's:[0-9]+:"([^"]*)";')
_NAME_KEYS = ("name", "label", "title", "tag", "value", "text")

# Google Contacts separates labels with this, and marks its own groups with an asterisk.
_GOOGLE_SEPARATOR = ":::"
_GOOGLE_GROUP = "* "


def split_tags(cell: str) -> list[str]:
    """Return the tags of a cell, trimmed, without empty ones, in the order of the cell.

    Read are lists with commas, semicolons, pipes, tabs or line breaks, and quoted items; JSON
    arrays; arrays of PostgreSQL, Python and PHP; labels of Google Contacts without its own groups;
    hashtags. Equal tags are not removed. Our own exports are read by
    `cells.tags`.
    """
    if not _SPECIAL.search(cell):
        if "," not in cell:
            tag = cell.strip()
            return [tag] if tag else []
        return [tag for tag in map(str.strip, cell.split(",")) if tag]
    if len(cell) <= _MAX_CACHED_CHARACTERS:
        return list(_split_cached(cell))
    return _split(cell)


@lru_cache(maxsize=2_048)
def _split_cached(cell: str) -> tuple[str, ...]:
    return tuple(_split(cell))


def _split(cell: str) -> list[str]:
    text = cell.strip()
    if len(text) > _MAX_CELL_CHARACTERS:
        return [text]
    items = _of_brackets(text)
    if items is None:
        items = _of_list(text)
    return [tag for tag in map(str.strip, items) if tag]


def _of_brackets(text: str) -> list[str] | None:
    """Return the tags of a list in brackets; None if the text is none."""
    if text[:2] == "a:" and _PHP_LIST.fullmatch(text):
        return _PHP_TEXT.findall(text)
    pair = text[:1] + text[-1:]
    if len(text) < 2 or pair not in ("[]", "{}"):
        return None
    try:
        items = tags_of_json(orjson.loads(text))
    except orjson.JSONDecodeError:
        items = None
    if items is not None:
        return items
    inner = text[1:-1]
    if pair == "{}":
        return _of_postgresql(inner)
    return None if "[" in inner or "]" in inner else _of_list(inner)


def tags_of_json(value: Any) -> list[str] | None:
    """Return the tags of a JSON value: a list of texts, numbers, or objects with a name; or an
    object whose values are texts, or true for each tag."""
    if isinstance(value, dict):
        if value and all(isinstance(flag, bool) for flag in value.values()):
            return [key for key, flag in value.items() if flag]
        value = list(value.values())
    if not isinstance(value, list):
        return None
    names = [_name_of(item) for item in value if item is not None]
    return None if None in names else [name for name in names if name is not None]


def _name_of(item: Any) -> str | None:
    if isinstance(item, dict):
        item = next((item[key] for key in _NAME_KEYS if isinstance(item.get(key), str)), None)
    if isinstance(item, str):
        return item
    return str(item) if isinstance(item, int | float) and not isinstance(item, bool) else None


def _of_postgresql(inner: str) -> list[str] | None:
    """Return the items of an array of PostgreSQL (manual, "Array Input and Output Syntax")."""
    items = []
    position = 0
    while position < len(inner):
        match = _POSTGRESQL_ITEM.match(inner, position)
        if match is None:
            return None
        quoted, plain = match.groups()
        if quoted is not None:
            items.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        elif plain.strip().upper() != "NULL":
            items.append(plain)
        # An empty match at the end would not advance.
        position = max(match.end(), position + 1)
    return items


def _of_list(text: str) -> list[str]:
    """Return the items of a list without brackets, without quotes."""
    is_google = _GOOGLE_SEPARATOR in text or text.startswith(_GOOGLE_GROUP)
    if is_google and '"' not in text and "\n" not in text:
        labels = map(str.strip, text.split(_GOOGLE_SEPARATOR))
        return [label for label in labels if not label.startswith(_GOOGLE_GROUP)]
    if "," not in text and _HASHTAGS.fullmatch(text):
        return text.split()
    if "'" in text and _SINGLE_QUOTED_LIST.fullmatch(text):
        return re.findall("'([^']*)'", text)
    if '"' not in text:
        separator = _separator(text, text)
        items = separator.split(text) if separator else [text]
        return _without_bullets(items) if separator is _LINES else items
    tokens = _tokens(text)
    plain = "".join([token.text + token.separator for token in tokens if token.tag is None])
    separators = "".join([token.separator for token in tokens])
    separator = _separator(plain, separators)
    items = _joined(tokens, separator) if separator else [_item(tokens)]
    return _without_bullets(items) if separator is _LINES else items


def _without_bullets(items: list[str]) -> list[str]:
    return [_BULLET.sub("", item.strip()) for item in items]


class _Token(NamedTuple):
    """The text up to a separator of any kind; the tag if the text is quoted."""

    text: str
    tag: str | None
    separator: str


def _tokens(text: str) -> list[_Token]:
    """Divide a list at all separators outside quotes. A quote within an item is a character like
    others."""
    tokens = []
    position = 0
    while position < len(text):
        tag = None
        start = position
        if match := _QUOTED.match(text, position):
            end = match.end()
            if end == len(text) or _ANY_SEPARATOR.match(text, end):
                tag, position = match[1].replace('""', '"'), end
        separator = _ANY_SEPARATOR.search(text, position)
        end, position = separator.span() if separator else (len(text), len(text))
        tokens.append(_Token(text[start:end], tag, text[end:position]))
    return tokens


def _separator(plain: str, separators: str) -> re.Pattern[str] | None:
    """Return the separator to split at, from the text outside quotes and from all separators."""
    for separator in _SEPARATORS:
        if separator is _COMMAS and _OTHERS.search(separators):
            # Commas in numbers separate nothing if there is another separator: 1,5 kg; 2,5 kg.
            commas = separators.count(",") + sum(map(separators.count, "،，、"))
            if commas and commas == len(_DECIMAL_COMMA.findall(plain)):
                continue
        if separator.search(separators):
            return separator
    return None


def _joined(tokens: list[_Token], separator: re.Pattern[str]) -> list[str]:
    """Return the items between separators of one kind."""
    items = []
    parts: list[_Token] = []
    for token in tokens:
        if separator.match(token.separator):
            items.append(_item([*parts, token._replace(separator="")]))
            parts = []
        else:
            parts.append(token)
    return [*items, _item(parts)]


def _item(tokens: list[_Token]) -> str:
    if len(tokens) == 1 and tokens[0].tag is not None and not tokens[0].separator:
        return tokens[0].tag
    return "".join([token.text + token.separator for token in tokens])
