"""Recognizes plain documents that are valid. The rules of graphql-core took half of the time of a
new document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_input_object_type,
    is_input_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
    is_union_type,
    type_from_ast,
)
from graphql.utilities import do_types_overlap, is_type_sub_type_of
from graphql.utilities.validate_input_value import validate_input_literal


def is_plain_and_valid(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Returns whether a document is certainly valid: one operation without named fragments and
    directives, which selects each response key once. Returns false for every invalid document, and
    for valid ones that are not plain."""
    operation, *others = document.definitions
    if others or not isinstance(operation, OperationDefinitionNode) or operation.directives:
        return False
    root = schema.get_root_type(operation.operation)
    variables = _variable_types(schema, operation.variable_definitions or ())
    if root is None or variables is None:
        return False
    return _PlainDocument(schema, variables).has_selections(root, operation.selection_set, set())


def _variable_types(
    schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]
) -> dict[str, GraphQLInputType] | None:
    """Returns the types of variables by name; None if a definition may be invalid."""
    types: dict[str, GraphQLInputType] = {}
    no_variables = _PlainDocument(schema, {})
    for definition in definitions:
        name, default = definition.variable.name.value, definition.default_value
        type_ = type_from_ast(schema, definition.type)
        if definition.directives or name in types or not is_input_type(type_):
            return None
        if default is not None and not no_variables.has_value(default, type_):
            return None
        types[name] = type_
    return types


class _PlainDocument:
    """A document whose operation has variables of these types."""

    def __init__(self, schema: GraphQLSchema, variables: Mapping[str, GraphQLInputType]) -> None:
        self._schema = schema
        self._variables = variables

    def has_selections(self, parent: Any, selection_set: SelectionSetNode, keys: set[str]) -> bool:
        """Returns whether the selections of a composite type are plain and valid. Adds their
        response keys to `keys`, which has none of them."""
        for selection in selection_set.selections:
            if selection.directives:
                return False
            if isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                type_: Any = type_from_ast(self._schema, condition) if condition else parent
                if not is_composite_type(type_) or not do_types_overlap(
                    self._schema, parent, type_
                ):
                    return False
                if not self.has_selections(type_, selection.selection_set, keys):
                    return False
            elif not isinstance(selection, FieldNode) or not self._has_field(parent, selection):
                return False
            else:
                key = (selection.alias or selection.name).value
                if key in keys:
                    return False
                keys.add(key)
        return True

    def _has_field(self, parent: Any, node: FieldNode) -> bool:
        name = node.name.value
        if name == "__typename":
            return not node.arguments and node.selection_set is None
        definition = None if is_union_type(parent) else parent.fields.get(name)
        if definition is None:
            return False
        arguments = node.arguments or ()
        if definition.args or arguments:
            values = {argument.name.value: argument.value for argument in arguments}
            if len(values) < len(arguments) or not self._has_values(values, definition.args):
                return False
        type_ = get_named_type(definition.type)
        if node.selection_set is None:
            return not is_composite_type(type_)
        return is_composite_type(type_) and self.has_selections(type_, node.selection_set, set())

    def _has_values(
        self,
        values: Mapping[str, ValueNode],
        definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    ) -> bool:
        """Returns whether the values of arguments or input fields are plain and valid."""
        for name, definition in definitions.items():
            if name not in values:
                is_required = (
                    is_required_argument(definition)
                    if isinstance(definition, GraphQLArgument)
                    else is_required_input_field(definition)
                )
                if is_required:
                    return False
            elif not self.has_value(values[name], definition.type):
                return False
        return values.keys() <= definitions.keys()

    def has_value(self, node: ValueNode, type_: GraphQLInputType) -> bool:
        """Returns whether a value is plain and valid where a type is expected."""
        if isinstance(node, VariableNode):
            variable_type = self._variables.get(node.name.value)
            return variable_type is not None and is_type_sub_type_of(
                self._schema, variable_type, type_
            )
        nullable_type: Any = get_nullable_type(type_)
        if isinstance(node, ListValueNode):
            return is_list_type(nullable_type) and all(
                self.has_value(item, nullable_type.of_type) for item in node.values
            )
        if isinstance(node, ObjectValueNode):
            if not is_input_object_type(nullable_type) or nullable_type.is_one_of:
                return False
            values = {field.name.value: field.value for field in node.fields}
            return len(values) == len(node.fields) and self._has_values(
                values, nullable_type.fields
            )
        errors: list[Any] = []
        validate_input_literal(node, type_, lambda error, _path: errors.append(error))
        return not errors
