"""Fields that objects of several types have."""

from __future__ import annotations

import orjson

from regulars.api import timestamps
from regulars.core.ids import encoder
from regulars.graphql import Nested, PerRow, Value


def global_id(type_name: str, column: str) -> Value:
    """Returns the field of a global id."""
    return Value((column,), encoder(type_name))


def external_ids_of(column: str) -> Nested:
    """Returns the field of the external ids in a column."""
    return Nested((column,), PerRow(lambda stored: orjson.loads(stored) if stored else []))


def timestamp_of(column: str) -> Value:
    """Returns the field of a timestamp, in the format that its arguments request."""
    return Value((column,), prepare=timestamps.prepare)
