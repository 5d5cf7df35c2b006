"""The operations of a document, and the variables that they use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from regulars.graphql.argument_values import VariableCoercer, variables_in
from regulars.graphql.cache import CacheEntry
from regulars.graphql.coercion import Coercers
from regulars.graphql.errors import Locate, locate
from regulars.graphql.limits import DocumentLimits


class Operation:
    """An operation of a valid document.

    `used_variables` are the names of the variables that it reads, directly or through fragments.
    `plan_variables` are those on whose values its plans depend: the variables in directives and in
    arguments below the root fields. `plans` are its compiled root fields by the values of these
    variables, each with its size in bytes.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        coercers: Coercers,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        limits: DocumentLimits,
    ) -> None:
        self.node = node
        self.limits = limits
        self.name = node.name.value if node.name else ""
        self.kind: str = node.operation.value
        self.fragments = fragments
        # The values of the literals that are variables of a template, and where they are.
        self.literals: Mapping[str, Any] = {}
        self.locate: Locate = locate
        self.plans: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self.cache_entry: CacheEntry | None = None
        root_variables: set[str] = set()
        plan_variables: set[str] = set()
        for field in _root_fields(node.selection_set, fragments, plan_variables, set()):
            root_variables.update(_argument_variables(field.arguments))
            plan_variables.update(_directive_variables(field.directives))
            if field.selection_set:
                plan_variables.update(_selected_variables(field.selection_set, fragments, set()))
        plan_variables.update(_directive_variables(node.directives))
        self.used_variables = frozenset(root_variables | plan_variables)
        self.plan_variables = tuple(sorted(plan_variables))
        definitions = node.variable_definitions or ()
        self.variable_coercer = VariableCoercer(schema, coercers, definitions, self.used_variables)

    def bind(self, literals: Mapping[str, Any], locate: Locate) -> Operation:
        """Returns the operation for a document of the same shape, with its literals and its
        locations. It shares the plans."""
        bound = Operation.__new__(Operation)
        bound.__dict__.update(self.__dict__)
        bound.literals, bound.locate = literals, locate
        return bound


def _root_fields(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    directive_variables: set[str],
    visited_fragments: set[str],
) -> Iterator[FieldNode]:
    """Yields the root fields, also those in fragments. Adds the variables in directives of the
    fragments to `directive_variables`."""
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
            continue
        directive_variables.update(_directive_variables(selection.directives))
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in visited_fragments:
                continue
            visited_fragments.add(name)
            inner = fragments[name].selection_set
        else:
            inner = selection.selection_set  # type: ignore[attr-defined]  # InlineFragmentNode
        yield from _root_fields(inner, fragments, directive_variables, visited_fragments)


def _selected_variables(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    visited_fragments: set[str],
) -> Iterator[str]:
    """Yields the names of the variables in selections, also in the fragments that they spread."""
    for selection in selection_set.selections:
        yield from _directive_variables(selection.directives)
        inner: SelectionSetNode | None
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in visited_fragments:
                continue
            visited_fragments.add(name)
            inner = fragments[name].selection_set
        else:
            assert isinstance(selection, FieldNode | InlineFragmentNode)
            inner = selection.selection_set
            if isinstance(selection, FieldNode):
                yield from _argument_variables(selection.arguments)
        if inner:
            yield from _selected_variables(inner, fragments, visited_fragments)


def _directive_variables(nodes: Sequence[DirectiveNode] | None) -> Iterator[str]:
    for node in nodes or ():
        yield from _argument_variables(node.arguments)


def _argument_variables(nodes: Sequence[ArgumentNode] | None) -> Iterator[str]:
    for node in nodes or ():
        yield from variables_in(node.value)
