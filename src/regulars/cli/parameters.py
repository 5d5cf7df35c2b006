"""How the values of options and arguments are read, and how the help shows them.

Typer reads values with pydantic, which takes 200 ms to import and describes errors in terms of
Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from regulars.cli.errors import UsageError

# Of the width of a terminal, for names next to their descriptions.
_MAX_NAME_SHARE = 0.45
_STACKED_NAME_WIDTH = 4
_MAX_SHOWN_CHARACTERS = 100


class _Reader:
    """Reads the values of a parameter: a path, a number in a range, or any text unchanged."""

    def __init__(self, parameter: Any) -> None:
        self._name = parameter.opts[0]
        self._has_several = parameter.multiple or parameter.nargs == -1
        self._type = parameter.type_descriptor.annotation
        self._low, self._high = parameter.min, parameter.max
        assert self._type in (str, list[str], bool, int, float, Path), self._type

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # Typer's names
        """Returns a value. Raises UsageError for a number that is invalid or out of range."""
        if value is None:
            return () if self._has_several else None
        if self._type in (int, float):
            return self._number(value)
        return Path(value) if self._type is Path else value

    def _number(self, value: Any) -> int | float:
        low, high = self._low, self._high
        try:
            number = int(value) if self._type is int else float(value)
            is_valid = (low is None or low <= number) and (high is None or number <= high)
        except ValueError:
            is_valid = False
        if is_valid and number == number:  # not NaN
            return number
        kind = "whole number" if self._type is int else "number"
        values = _range_text(low, high)
        shown = str(value)[:_MAX_SHOWN_CHARACTERS]
        raise UsageError(f"{self._name} must be a {kind}{values and f' {values}'}, not {shown!r}.")


def _range_text(low: float | None, high: float | None) -> str:
    """Returns the range of a number in words. Empty if every number is allowed."""
    if low is None and high is None:
        return ""
    if high is None:
        return f"of at least {low:,}"
    return f"of at most {high:,}" if low is None else f"from {low:,} to {high:,}"


class _Formatter(typer.Context.formatter_class):  # type: ignore[valid-type, misc]  # a class
    """Writes the names of options above their descriptions if the terminal is too narrow for two
    columns."""

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        name_width = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        word_width = max((len(word) for _, text in rows for word in text.split()), default=0)
        if name_width > _MAX_NAME_SHARE * self.width or name_width + word_width > self.width:
            col_max = _STACKED_NAME_WIDTH
        super().write_dl(rows, col_max, col_spacing)


class _Context(typer.Context):
    formatter_class = _Formatter


def adapt_parameters(command: Any) -> None:
    """Makes a command read its values with `_Reader`, and its help show the names of its arguments
    and the ranges of its numbers, without braces and types."""
    get_params = command.get_params

    def get_adapted(ctx: Any) -> list[Any]:
        parameters: list[Any] = get_params(ctx)  # with --help, and the options of the completion
        for parameter in parameters:
            if "get_runtime_param" not in vars(parameter):
                _adapt(parameter)
        return parameters

    command.context_class = _Context
    command.get_params = get_adapted


def _adapt(parameter: Any) -> None:
    reader = _Reader(parameter)
    parameter.get_runtime_param = lambda: reader
    values = _range_text(parameter.min, parameter.max)
    if values and parameter.help:
        parameter.help += f" Allowed: {values}."
    parameter.min = parameter.max = None  # Typer would add the range to the help in symbols
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  # Typer's name
        name = f"{parameter.display_name_raw}{'...' * (parameter.nargs != 1)}"
        usage = name if parameter.required else f"[{name}]"
        parameter.get_usage_pieces = lambda ctx: [usage]  # noqa: ARG005  # Typer's name
