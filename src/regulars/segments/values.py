"""The values of a segment: cleaning the input of a write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regulars.core.errors import InputPath, InvalidInput, InvalidQuery, Problem, Rejected
from regulars.core.limits import DEFAULTS
from regulars.core.text import clean
from regulars.customers.search.parser import check_text
from regulars.segments.definitions import name_key
from regulars.segments.settings import clean_settings

NAME_LENGTH = 255
DESCRIPTION_LENGTH = 2_000
QUERY_LENGTH = DEFAULTS.search_characters


def clean_segment(node: Mapping[str, Any], path: InputPath) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values in the input of a write, and their problems. `settings` are the parts that
    the input has. `query` stays as it is: its problems have positions."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in node.items():
        value_path = (*path, name)
        if value is None:
            message = f"`{name}` cannot be null. Omit it to keep the stored value."
            problems.append(InvalidInput(message, value_path))
        elif name == "settings":
            values[name], wrong = clean_settings(value, value_path)
            problems += wrong
        else:
            values[name], wrong = _CLEAN[name](value, value_path)
            problems += wrong
    if "name" in values:
        values["name_key"] = name_key(values["name"])
    if "query" in node and "settings" in node:
        problems.append(InvalidInput("Pass `query` or `settings`, not both.", path))
    return values, problems


def _clean_name(text: str, path: InputPath) -> tuple[str, list[Problem]]:
    name, error = clean(text, NAME_LENGTH)
    if not error and not name_key(name):
        error = "has no visible characters. Write at least one."
    return name, [InvalidInput(f"The name {error}", path)] if error else []


def _clean_description(text: str, path: InputPath) -> tuple[str, list[Problem]]:
    description, error = clean(text, DESCRIPTION_LENGTH, lines=True)
    return description, [InvalidInput(f"The description {error}", path)] if error else []


def _clean_query(text: str, path: InputPath) -> tuple[str, list[Problem]]:
    try:
        check_text(text, QUERY_LENGTH)
    except Rejected as rejection:
        return "", [p.at(path) if isinstance(p, InvalidQuery) else p for p in rejection.problems]
    _, error = clean(text, QUERY_LENGTH, lines=True)
    return text, [InvalidInput(f"The query {error}", path)] if error else []


def _clean_watched(value: bool, _path: InputPath) -> tuple[bool, list[Problem]]:
    return value, []


_CLEAN: Mapping[str, Callable[[Any, InputPath], tuple[Any, list[Problem]]]] = {
    "name": _clean_name,
    "description": _clean_description,
    "query": _clean_query,
    "watched": _clean_watched,
}
