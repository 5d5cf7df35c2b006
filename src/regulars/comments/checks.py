"""Checks of comments for `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from regulars.store import Row


def _check(row: Row) -> Iterator[str]:
    if row["updated_at"] < row["created_at"]:
        yield "it was updated before it was created"


CHECKS: Mapping[str, Callable[[Row], Iterator[str]]] = {"comments": _check}
