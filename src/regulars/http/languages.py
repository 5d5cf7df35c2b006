"""Chooses the language of the pages."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

DEFAULT_LANGUAGE = "en"
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})
# The cookie with the language that a person has chosen. The pages set it.
COOKIE = "regulars_language"
# A browser sends a few languages.
_MAX_RANGES = 20


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
    ranges: list[tuple[float, str]] = []
    for item in header.split(",", _MAX_RANGES)[:_MAX_RANGES]:
        tag, _, weight = item.partition(";")
        try:
            quality = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            quality = 0.0
        if quality > 0:
            ranges.append((quality, tag.strip().lower()))
    return [tag for _, tag in sorted(ranges, key=lambda each: -each[0])]
