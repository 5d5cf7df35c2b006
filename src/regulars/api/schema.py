"""The schema, and the engine that runs documents against it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import orjson
from graphql import (
    ConstValueNode,
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    value_from_ast_untyped,
)

from regulars.api.access import TYPES as ACCESS_TYPES
from regulars.api.bulk import TYPES as BULK_TYPES
from regulars.api.context import Context
from regulars.api.errors import describe
from regulars.api.fields import TYPES
from regulars.api.language import TYPES as LANGUAGE_TYPES
from regulars.api.roots import roots
from regulars.api.statistics import TYPES as STATISTICS_TYPES
from regulars.api.webhooks import TYPES as WEBHOOK_TYPES
from regulars.directory.limits import DEFAULTS as DIRECTORY_DEFAULTS
from regulars.graphql import CACHE_BYTES, DEFAULT_LIMITS, Bindings, DocumentLimits, Engine

PAGE_SIZE = DIRECTORY_DEFAULTS.page_size


def sdl() -> str:
    """The schema in GraphQL's schema definition language."""
    return files("regulars.api").joinpath("schema.graphql").read_text(encoding="utf-8")


def schema() -> GraphQLSchema:
    """The schema, with the scalars that read input."""
    built = build_schema(sdl())
    fields = built.type_map["CustomFields"]
    assert isinstance(fields, GraphQLScalarType)
    fields.coerce_input_value = custom_fields
    fields.coerce_input_literal = custom_fields_literal
    settings = built.type_map["WebhookSettings"]
    assert isinstance(settings, GraphQLScalarType)
    settings.coerce_input_value = webhook_settings
    return built


def engine(
    limits: DocumentLimits = DEFAULT_LIMITS,
    page_size: int = PAGE_SIZE,
    cache_bytes: int = CACHE_BYTES,
) -> Engine:
    """The engine of the Customers API, for documents within the limits and pages of that size,
    which keeps at most so many bytes of documents and their plans."""

    def say(error: Exception, env: Context) -> Any:
        return describe(error, env.request_id)

    types = {
        **TYPES,
        **WEBHOOK_TYPES,
        **BULK_TYPES,
        **STATISTICS_TYPES,
        **LANGUAGE_TYPES,
        **ACCESS_TYPES,
    }
    return Engine(schema(), Bindings(types, roots(page_size)), say, limits, cache_bytes)


def custom_fields(value: Any) -> dict[str, Any]:
    """A JSON object, as it comes with a request. Raises GraphQLError for anything else.

    An empty array is read as an empty object: PHP encodes both as `[]`.
    """
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise GraphQLError('CustomFields is a JSON object, as in {"loyalty": "gold"}.')
    return value


def webhook_settings(value: Any) -> dict[str, Any]:
    """A JSON object; an empty array is read as one. Raises GraphQLError for anything else."""
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise GraphQLError('WebhookSettings is a JSON object, as in {"changes": true}.')
    return value


def custom_fields_literal(node: ConstValueNode) -> dict[str, Any]:
    """A JSON object written in the document; read as if it had come as a variable, so that both
    ways store the same."""
    text = json.dumps(value_from_ast_untyped(node))
    try:
        return custom_fields(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise GraphQLError("CustomFields has a number that JSON cannot carry.") from error
