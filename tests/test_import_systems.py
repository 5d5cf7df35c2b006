"""Files of other systems are read without any option: headings, phones, dates, consent and JSON."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.test_import_layouts import read

SYSTEMS: Mapping[str, Any] = tomllib.loads(
    (Path(__file__).parent / "files" / "systems.toml").read_text("utf-8")
)


def value_of(row: Any, name: str) -> Any:
    """Return a field of a row, or a part of an address, as a test compares it."""
    if name == "created_at":
        return row.timestamps and f"{datetime.fromtimestamp(row.timestamps[0] / 1_000, UTC):%F}"
    field, _, part = name.partition(".")
    value = row.values.get(field)
    if part:
        return (value or {}).get(part)
    if name == "tags":
        return sorted(orjson.loads(value) if isinstance(value, str) else value or ())
    return bool(value) if name == "accepts_marketing" else value


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_file_of_a_system_is_read(name: str) -> None:
    rows, expected = read(SYSTEMS[name]["file"]), SYSTEMS[name]["rows"]
    assert len(rows) == len(expected)
    for row, fields in zip(rows, expected, strict=True):
        assert {field: value_of(row, field) for field in fields} == fields
        assert not row.problems
