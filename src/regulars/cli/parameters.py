"""How the values of options and arguments are read, and how the help shows them.

Typer reads values with pydantic, which takes 200 ms to import and describes errors in terms of
Python.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer.core
from typer._click.core import Context
from typer._click.formatting import HelpFormatter
from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param

from regulars.cli.errors import UsageError

# Of the width of a terminal, for names next to their descriptions.
_MAX_NAME_SHARE = 0.45
_STACKED_NAME_WIDTH = 4
_MAX_SHOWN_CHARACTERS = 100


class _Unchanged(RuntimeParam):
    """Leaves the values of a parameter as they are."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # of the base
        return value


class _FilePath(RuntimeParam):
    """Reads the path of a file or folder, which need not exist."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # of the base
        return Path(value)


class _Number(RuntimeParam):
    """Reads a number and checks its range. Raises UsageError."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  # of the base
        low, high = self.parameter_info.min, self.parameter_info.max
        try:
            number = int(value) if self.annotation is int else float(value)
            is_valid = (low is None or low <= number) and (high is None or number <= high)
        except ValueError:
            is_valid = False
        if is_valid and number == number:  # not NaN
            return number
        kind = "whole number" if self.annotation is int else "number"
        values = _range_text(low, high)
        shown = str(value)[:_MAX_SHOWN_CHARACTERS]
        raise UsageError(
            f"{param.opts[0]} must be a {kind}{values and f' {values}'}, not {shown!r}."
        )


def _build_runtime_param(descriptor: TypeDescriptor) -> RuntimeParam:
    details = (descriptor.parameter_info, descriptor.annotation)
    if descriptor.annotation in (str, bool, list[str]):
        return _Unchanged(*details)
    if descriptor.annotation in (int, float):
        return _Number(*details)
    if descriptor.annotation is Path:
        return _FilePath(*details)
    return build_runtime_param(descriptor)


def _range_text(low: float | None, high: float | None) -> str:
    """Returns the range of a number in words. Empty if every number is allowed."""
    if low is None and high is None:
        return ""
    if high is None:
        return f"of at least {low:,}"
    return f"of at most {high:,}" if low is None else f"from {low:,} to {high:,}"


class _Formatter(HelpFormatter):
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


def adapt_arguments(command: Any) -> None:
    """Makes the help of a command show the names of its arguments, without braces and types."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _hide_type
            parameter._usage_display_name = functools.partial(_usage_name, parameter)


def _hide_type(ctx: Any) -> None:
    """Returns no type, which would be a type of Python."""


def _usage_name(parameter: Any) -> str:
    """Returns an argument as the line of the usage shows it: FILE, [FILE] or FILE..."""
    name = f"{parameter.display_name_raw}{'...' * (parameter.nargs != 1)}"
    return name if parameter.required else f"[{name}]"


typer.core.build_runtime_param = _build_runtime_param  # type: ignore[attr-defined]  # not public
typer.core.describe_number_range = _range_text  # type: ignore[assignment, attr-defined]  # names
Context.formatter_class = _Formatter
