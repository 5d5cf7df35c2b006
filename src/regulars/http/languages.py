"""Chooses the language of the pages."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

DEFAULT_LANGUAGE = "en"
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})
# The cookie with the language that a person has chosen. The pages set it.
COOKIE = "regulars_language"
# A browser sends a few languages.
_MAX_RANGES = 20
_RANGE = re.compile(r"(?P<tag>[\w-]+|\*)(?:\s*;\s*[qQ]=(?P<weight>[01](?:\.\d{0,3})?))?", re.ASCII)


def choose_language(headers: Headers, available: Collection[str]) -> str:
    """Returns the language that the person has chosen, or else the first of the browser that is
    available (RFC 4647, section 3.4 Lookup), or else English."""
    chosen = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    wanted = [chosen, *_accepted(headers.get("accept-language", ""))]
    for tag in wanted:
        language = tag.partition("-")[0]
        if language in available:
            return language
    return DEFAULT_LANGUAGE


def _accepted(header: str) -> list[str]:
    """Returns the language ranges of a browser, the preferred ones first (RFC 9110, section
    12.5.4)."""
    items = header.split(",", _MAX_RANGES)[:_MAX_RANGES]
    ranges = [match for item in items if (match := _RANGE.fullmatch(item.strip()))]
    accepted = [match for match in ranges if float(match["weight"] or 1) > 0]
    accepted.sort(key=lambda match: float(match["weight"] or 1), reverse=True)
    return [match["tag"].lower() for match in accepted]
