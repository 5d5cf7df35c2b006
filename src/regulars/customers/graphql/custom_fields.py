"""The scalar CustomFields: a JSON object."""

from __future__ import annotations

import json
from typing import Any

import orjson
from graphql import ConstValueNode, GraphQLError, value_from_ast_untyped


def custom_fields(value: Any) -> dict[str, Any]:
    """Returns the JSON object. Raises GraphQLError for any other value.

    An empty array is read as an empty object: PHP encodes both as `[]`.
    """
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise GraphQLError('`CustomFields` must be a JSON object, such as `{"loyalty": "gold"}`.')
    return value


def custom_fields_literal(node: ConstValueNode) -> dict[str, Any]:
    """Returns the JSON object of a literal, as if it were a variable, so that both store the same.
    Raises GraphQLError."""
    text = json.dumps(value_from_ast_untyped(node))
    try:
        return custom_fields(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise GraphQLError(
            "`CustomFields` contains a number that JSON cannot represent."
        ) from error
