"""The settings of a segment: tags to include and to exclude, from which its query is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.text import without_invisible
from regulars.customers.values import MAX_TAGS, clean_tags
from regulars.segments.expansion import quote

PARTS = INCLUDE, EXCLUDE = "include", "exclude"
ALL, ANY = "AND", "OR"

# For each part: the operator and the tags.
Settings = Mapping[str, Mapping[str, Any]]

EMPTY: Settings = {part: {"operator": ALL, "tags": []} for part in PARTS}


def clean_settings(
    node: Mapping[str, Any], path: InputPath
) -> tuple[dict[str, Mapping[str, Any]], list[Problem]]:
    """Return the parts in the input, and their problems. A part that is null becomes empty."""
    parts: dict[str, Mapping[str, Any]] = {}
    problems: list[Problem] = []
    for name, condition in node.items():
        if condition is None:
            parts[name] = EMPTY[name]
            continue
        operator = condition.get("operator", ALL)
        if operator is None:
            message = "`operator` cannot be null. Omit it for `AND`."
            problems.append(InvalidInput(message, (*path, name, "operator")))
        tags, tag_problems = _clean_tags(condition["tags"], (*path, name, "tags"))
        problems += tag_problems
        parts[name] = {"operator": operator, "tags": tags}
    return parts, problems


def _clean_tags(tags: list[str], path: InputPath) -> tuple[list[str], list[Problem]]:
    if len(tags) > MAX_TAGS:
        message = f"`tags` has {len(tags):,} values; the maximum is {MAX_TAGS}."
        return [], [InvalidInput(message, path)]
    cleaned, problems = clean_tags(tags, path)
    for index, tag in enumerate(tags):
        if tag.strip() and not without_invisible(tag).strip():
            message = "The tag has no visible characters, so it cannot be found. Remove it."
            problems.append(InvalidInput(message, (*path, index)))
    return cleaned, problems


def has_tags(settings: Settings) -> bool:
    """Return whether a part has tags."""
    return any(condition["tags"] for condition in settings.values())


def query_of(settings: Settings) -> str:
    """Return the query of settings. A list without tags adds no term."""
    include, exclude = ([f"tag:{quote(t)}" for t in settings[part]["tags"]] for part in PARTS)
    terms = []
    if include:
        is_any = settings[INCLUDE]["operator"] == ANY
        terms.append(f"({' OR '.join(include)})" if is_any else " ".join(include))
    if exclude:
        is_any = settings[EXCLUDE]["operator"] == ANY
        excluded = " ".join(f"-{term}" for term in exclude)
        terms.append(excluded if is_any else f"-({' '.join(exclude)})")
    return " ".join(terms)


def load(stored: str | None) -> Settings:
    """Return the settings of a stored segment. They are empty if a client wrote its query."""
    return orjson.loads(stored) if stored else EMPTY


def dump(settings: Settings) -> str:
    """Return settings as they are stored."""
    return orjson.dumps({part: settings[part] for part in PARTS}).decode()
