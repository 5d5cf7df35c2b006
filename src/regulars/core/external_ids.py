"""External ids: the ids that other systems use for a customer or an order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.text import clean

# The source of an id that is written without one.
SHOP = "shop"
ID_LENGTH = 255
# How many external ids a customer or an order can have.
MAX_IDS = 50

_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
# Sources that later fields with unique values will use.
_RESERVED = "field."
# Before the source and the id, where another id could be meant.
EXTERNAL = "external:"


class ExternalId(NamedTuple):
    """An id in another system, which `source` names. Both are compared exactly."""

    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


ExternalIds = tuple[ExternalId, ...]


def is_source(text: str) -> bool:
    """Return whether a text is a valid source: 1 to 32 letters, digits, `_`, `-`, `.`."""
    return _SOURCE.fullmatch(text) is not None and not text.startswith(_RESERVED)


def source_problem(source: str) -> str | None:
    """Return the message for an invalid source; None if it is valid."""
    if is_source(source):
        return None
    if source.startswith(_RESERVED):
        return f"The source `{source[:50]}` begins with `{_RESERVED}`, which is reserved."
    return (
        f"`{source[:50]}` is not a source of external ids. A source has 1 to 32 letters, digits, "
        "`_`, `-` and `.`, such as `stripe`."
    )


def parse(text: str) -> ExternalId | None:
    """Return the external id that a text names: `external:SOURCE:ID`, or the bare id of the source
    `shop`. None if no external id can have this form."""
    source, id_ = SHOP, text
    if text.startswith(EXTERNAL):
        source, colon, id_ = text.removeprefix(EXTERNAL).partition(":")
        if not colon or not is_source(source):
            return None
    return ExternalId(source, id_) if is_possible(id_) else None


def is_possible(id_: str) -> bool:
    """Return whether an id can be stored."""
    return 0 < len(id_) <= ID_LENGTH and "\0" not in id_


def written(external: ExternalId) -> str:
    """Return the form in which an id is exported, which `parse` reads: that of the source `shop` is
    bare, unless it begins like the others."""
    is_bare = external.source == SHOP and not external.id.startswith(EXTERNAL)
    return external.id if is_bare else f"{EXTERNAL}{external}"


def clean_ids(inputs: Sequence[Any], path: InputPath) -> tuple[ExternalIds, list[Problem]]:
    """Return the external ids of an input without exact duplicates, and problems. Each input is an
    `ExternalId`, or has the keys of `InputExternalId`."""
    ids: dict[ExternalId, None] = {}
    problems: list[Problem] = []
    if len(inputs) > 2 * MAX_IDS:
        return (), [InvalidInput(f"{too_many(len(inputs))} Send fewer.", path)]
    for index, value in enumerate(inputs):
        external, found = clean_one(value, (*path, index))
        problems += found
        if not found:
            ids[external] = None
    if len(ids) > MAX_IDS:
        problems.append(InvalidInput(too_many(len(ids)), path))
    return tuple(ids), problems


def clean_one(
    value: ExternalId | Mapping[str, Any], path: InputPath
) -> tuple[ExternalId, list[Problem]]:
    """Return one external id of an input, and its problem. In a mapping, the problem is at the key
    that is invalid."""
    if isinstance(value, ExternalId):
        source, text = value
    else:
        source, text = value.get("source") or SHOP, value["id"]
    id_, problem = clean(text, ID_LENGTH)
    message, key = None, "id"
    if problem:
        message = f"The external id {problem}"
    elif not id_:
        message = "The external id is empty. Send an id of 1 to 255 characters."
    else:
        message, key = source_problem(source), "source"
    if message is None:
        return ExternalId(source, id_), []
    place = path if isinstance(value, ExternalId) else (*path, key)
    return ExternalId(source, id_), [InvalidInput(message, place)]


def too_many(count: int, noun: str = "A customer") -> str:
    """Return the message for too many external ids."""
    return f"{noun} can have {MAX_IDS} external ids; this one would have {count:,}."


@lru_cache(maxsize=4_096)
def load(stored: str | None) -> ExternalIds:
    """Return the external ids in a stored text."""
    return tuple(ExternalId(**item) for item in orjson.loads(stored)) if stored else ()


def dump(ids: Iterable[ExternalId]) -> str | None:
    """Return external ids as they are stored, ordered by source; None without any."""
    items = [external._asdict() for external in sorted(ids, key=lambda external: external.source)]
    return orjson.dumps(items).decode() if items else None
