"""The schema, and the engine that runs documents against it.

The base schema is in this package, and each package of entities has its part
(`core/packages.py`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLScalarType,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    build_ast_schema,
    parse,
    print_ast,
)

from regulars.api.connections import PAGE_INFO
from regulars.api.context import Context
from regulars.api.descriptions import describe_fields
from regulars.api.errors import describe
from regulars.api.node import list_of_nodes, node, price_of_nodes
from regulars.api.part import ApiPart, Node
from regulars.core.limits import DEFAULTS as DIRECTORY_DEFAULTS
from regulars.core.packages import PACKAGES, parts
from regulars.graphql import (
    CACHE_BYTES,
    DEFAULT_LIMITS,
    Bindings,
    DocumentLimits,
    Engine,
    Root,
    TypeBinding,
)

PAGE_SIZE = DIRECTORY_DEFAULTS.page_size
_API = "api"


def sdl() -> str:
    """Returns the schema in GraphQL's schema definition language."""
    return print_ast(_document()) + "\n"


def schema() -> GraphQLSchema:
    """Returns the schema, with the functions that read the input of its scalars."""
    built = build_ast_schema(_document())
    for part in _parts():
        for name, scalar in part.scalars.items():
            type_ = built.type_map[name]
            assert isinstance(type_, GraphQLScalarType)
            type_.coerce_input_value = scalar.coerce
            if scalar.coerce_literal is not None:
                type_.coerce_input_literal = scalar.coerce_literal
    return built


def engine(
    limits: DocumentLimits = DEFAULT_LIMITS,
    page_size: int = PAGE_SIZE,
    cache_bytes: int = CACHE_BYTES,
) -> Engine:
    """Returns the engine of the Customers API: for documents within the limits and pages of at most
    `page_size` rows. It caches at most `cache_bytes` of documents and plans."""

    def describe_error(error: Exception, env: Context) -> Any:
        return describe(error, env.request_id)

    types: dict[str, TypeBinding] = {"PageInfo": PAGE_INFO}
    nodes: dict[str, Node] = {}
    roots: dict[str, Root] = {}
    for part in _parts():
        for name, binding in part.types.items():
            base = types.get(name)
            types[name] = binding if base is None else _extended(base, binding)
        nodes |= part.nodes
        roots |= part.roots(page_size)
    # What the history numbers may be read from a replica that has replayed enough.
    roots["node"] = Root(node(nodes), is_replica_safe=True)
    roots["nodes"] = Root(list_of_nodes(nodes), compute_cost=price_of_nodes, is_replica_safe=True)
    return Engine(schema(), Bindings(types, roots), describe_error, limits, cache_bytes)


def _extended(base: TypeBinding, extension: TypeBinding) -> TypeBinding:
    """Returns the binding of a type with the fields that another package adds to it."""
    return TypeBinding({**base.fields, **extension.fields}, base.has_dict_rows)


def _parts() -> list[ApiPart]:
    return parts("graphql", "API")


@cache
def _document() -> DocumentNode:
    """Returns the schema of all packages, with `extend type` merged into the types, and with the
    common descriptions."""
    definitions: dict[str, Any] = {}
    for package in (_API, *PACKAGES):
        path = files("regulars").joinpath(package, "schema.graphql")
        if not path.is_file():
            continue
        definition: Any
        for definition in parse(path.read_text(encoding="utf-8")).definitions:
            name = definition.name.value
            if isinstance(definition, ObjectTypeExtensionNode):
                base = definitions[name]
                fields = (*(base.fields or ()), *(definition.fields or ()))
                definitions[name] = replace(base, fields=fields)
            else:
                definitions[name] = definition
    for name, definition in definitions.items():
        if isinstance(definition, ObjectTypeDefinitionNode):
            fields = describe_fields(name, tuple(definition.fields or ()))
            definitions[name] = replace(definition, fields=fields)
    return DocumentNode(definitions=tuple(definitions.values()))
