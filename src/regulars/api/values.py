"""Fields that objects of several types have."""

from __future__ import annotations

from regulars.api import timestamps
from regulars.core.ids import encoder
from regulars.graphql import Value


def global_id(type_name: str, column: str) -> Value:
    """Returns the field of a global id."""
    return Value((column,), encoder(type_name))


def timestamp_of(column: str) -> Value:
    """Returns the field of a timestamp, in the format that its arguments request."""
    return Value((column,), prepare=timestamps.prepare)
