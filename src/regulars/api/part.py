"""The part of the API that belongs to one package."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import ConstValueNode

from regulars.api.context import Context
from regulars.graphql import Layout, Root, TypeBinding


class Node(NamedTuple):
    """How `node` loads an object of a type by its `_id`: the scope that it needs, if any, and the
    function that returns its row in a layout, or None."""

    scope: str | None
    load: Callable[[Context, int, Layout], Awaitable[Any]]


class Scalar(NamedTuple):
    """How values of a scalar are read: from variables, and from literals if that differs. Both
    raise GraphQLError."""

    coerce: Callable[[Any], Any]
    coerce_literal: Callable[[ConstValueNode], Any] | None = None


@dataclass(frozen=True)
class ApiPart:
    """The object types of a package, its fields of Query and Mutation for a maximum page size, the
    types that `node` can return, and the scalars. The SDL is in `schema.graphql` of the package."""

    types: Mapping[str, TypeBinding]
    roots: Callable[[int], Mapping[str, Root]]
    nodes: Mapping[str, Node] = field(default_factory=dict)
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
