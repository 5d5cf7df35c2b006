"""The kinds of settings: how the text of each is read, and the sentence that refuses it.

These are not the classes of a validation library, because its import takes half of the time in
which a server starts, and its messages do not name the variable and the fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

PREFIX = "REGULARS_"
MIN_TOKEN_CHARACTERS = 32
_MAX_NUMBER_CHARACTERS = 30
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting. `parse` returns its value, or raises ValueError with the end of a sentence that
    begins with the name of the setting. A secret can also be read from a file, and its value
    appears in no message."""

    name: str
    description: str
    parse: Callable[[str], Any]
    default: Any
    metavar: str = "TEXT"
    choices: tuple[str, ...] = ()
    is_flag: bool = False
    is_secret: bool = False
    allows_empty: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        """The option of `regulars serve`."""
        return "--" + self.name.replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default as text; empty without a default."""
        return "" if self.default in (None, ()) else to_text(self.default)


def to_text(value: Any) -> str:
    """Returns the text from which a setting reads a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_text(text: str) -> str:
    """Reads a text as it is."""
    return text


def parse_flag(text: str) -> bool:
    """Reads true or false."""
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"must be true or false, not {text!r}")
    return word in _TRUE


def integer_parser(minimum: int, maximum: int) -> Callable[[str], int]:
    """Returns a function that reads a whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        try:
            number = int(text) if len(text) <= _MAX_NUMBER_CHARACTERS else minimum - 1
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            raise ValueError(
                f"must be a whole number from {minimum:,} to {maximum:,}, not {text[:100]!r}"
            )
        return number

    return parse


def number_parser(maximum: float, allows_zero: bool = False) -> Callable[[str], float]:
    """Returns a function that reads a number from 0 to `maximum`."""
    lowest = "at least 0" if allows_zero else "greater than 0"

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1
        is_in_range = 0 < number <= maximum or (allows_zero and number == 0)
        if not is_in_range:  # also NaN
            raise ValueError(
                f"must be a number {lowest} and at most {maximum:,g}, not {text[:100]!r}"
            )
        return number

    return parse


def choice_parser(*choices: str) -> Callable[[str], str]:
    """Returns a function that reads one of some words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in choices:
            listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise ValueError(f"must be {listed}, not {text[:100]!r}")
        return word

    return parse


def parse_token(text: str) -> str:
    """Reads a token of at least 32 characters, which a request can carry in its header."""
    if len(text) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"must have at least {MIN_TOKEN_CHARACTERS} characters, not {len(text)}. "
            "Create one with: openssl rand -hex 32"
        )
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("may contain only ASCII letters, digits and punctuation, without spaces")
    return text


def parse_origins(text: str) -> tuple[str, ...]:
    """Reads the origins of web pages, as browsers send them, separated by commas."""
    return tuple(_parse_origin(part.strip()) for part in text.split(",") if part.strip())


def _parse_origin(text: str) -> str:
    if text in ("*", "null"):
        return text
    example = "An origin is a scheme, a host and, if it is not the default, a port, such as"
    example += " https://app.example.com"
    try:
        parts = urlsplit(text)
        canonical = _canonical(parts)
    except ValueError:
        canonical = None
    if "*" in text:
        raise ValueError(f"contains {text!r}, but a part of an origin cannot be *. {example}")
    if canonical is None:
        raise ValueError(f"contains {text!r}, which is not an origin. {example}")
    if text.rstrip("/") != canonical:
        raise ValueError(
            f"contains {text!r}, which no browser sends as an origin. Use {canonical!r}"
        )
    return canonical


def _canonical(parts: SplitResult) -> str | None:
    """Returns the origin of a URL as browsers send it (RFC 6454, section 6.1), or None."""
    if not parts.scheme or not parts.hostname:
        return None
    host = parts.hostname.encode("idna").decode() if ":" not in parts.hostname else None
    host = host or f"[{parts.hostname}]"
    port = parts.port
    suffix = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
