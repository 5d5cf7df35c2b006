"""The operations of a document, and the variables that they use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)

from regulars.graphql.argument_values import Variables
from regulars.graphql.cache import Entry
from regulars.graphql.coercion import Coercers
from regulars.graphql.limits import Limits


class Operation:
    """One operation of a valid document.

    `used` names the variables that it reads, directly or through fragments; `structural`
    those whose values shape the plan: they stand in a directive or in an argument below
    the root fields.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        coercers: Coercers,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        limits: Limits,
    ) -> None:
        self.node = node
        self.limits = limits
        self.name = node.name.value if node.name else ""
        self.kind: str = node.operation.value
        self.fragments = fragments
        self.plans: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self.cached: Entry | None = None
        root_arguments: set[str] = set()
        elsewhere: set[str] = set()
        for field in _root_fields(node.selection_set, fragments, elsewhere, set()):
            root_arguments |= _variables(field.arguments, fragments)
            elsewhere |= _variables(field.directives, fragments)
            if field.selection_set:
                elsewhere |= _variables([field.selection_set], fragments)
        elsewhere |= _variables(node.directives, fragments)
        self.used = frozenset(root_arguments | elsewhere)
        self.structural = tuple(sorted(elsewhere))
        definitions = node.variable_definitions or ()
        self.variables = Variables(schema, coercers, definitions, self.used)


def _root_fields(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    directive_variables: set[str],
    seen_fragments: set[str],
) -> Iterator[FieldNode]:
    """The fields at the root, through fragments; variables of directives on the way are added
    to `directive_variables`."""
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
            continue
        directive_variables |= _variables(selection.directives, fragments)
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in seen_fragments:
                continue
            seen_fragments.add(name)
            inner = fragments[name].selection_set
        else:
            inner = selection.selection_set  # type: ignore[attr-defined]  # InlineFragmentNode
        yield from _root_fields(inner, fragments, directive_variables, seen_fragments)


def _variables(nodes: Any, fragments: dict[str, FragmentDefinitionNode]) -> set[str]:
    """The names of the variables in the nodes and in the fragments that they spread."""
    names: set[str] = set()
    spread: set[str] = set()

    class Collect(Visitor):
        def enter_variable(self, node: VariableNode, *_args: Any) -> None:
            names.add(node.name.value)

        def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
            name = node.name.value
            if name not in spread:
                spread.add(name)
                visit(fragments[name].selection_set, collect)

    collect = Collect()
    for node in nodes or ():
        visit(node, collect)
    return names
