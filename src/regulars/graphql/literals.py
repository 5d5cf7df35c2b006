"""Documents that differ only in their literals share a parsed document and its plans.

`find_literals` replaces the strings and numbers of a text by their kinds: the result is the shape
of the document. A `Template` is the parsed document of a shape, in which the literals in arguments
of root fields are variables. All other literals, such as `first: 10` below a root field, influence
the plan: they are part of the key of a template, like the variables that a plan depends on.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    GraphQLInputType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_scalar_type,
    is_specified_scalar_type,
)
from graphql.utilities.coerce_input_value import coerce_input_literal

# A longer text, in characters, is not searched for literals: it is usually used again as it is.
MAX_CHARACTERS = 10_000
_MIN_INT, _MAX_INT = -(2**31), 2**31 - 1
# A comment, a block string, a string without escapes, and a number. A number that touches a name
# or a sign is left to the parser.
_TOKEN = re.compile(
    r'#[^\n\r]*|"""|"[^"\\\x00-\x1f\ud800-\udfff]*"'
    r"|(?<=[\s:,\[({])-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?=[\s,)\]}])"
)
# What stands for a literal in a shape. The control characters are no part of any valid document.
_STRING, _INT, _FLOAT = '"', "\x01", "\x02"

Coerce = Callable[[str], Any]


class Literals(NamedTuple):
    """The shape of a document, and its literals with their positions in the text."""

    shape: str
    texts: Sequence[str]
    starts: Sequence[int]
    ends: Sequence[int]


def find_literals(text: str) -> Literals | None:
    """Returns the literals of a document, or None if it has none, or an unusual one."""
    if len(text) > MAX_CHARACTERS or _INT in text or _FLOAT in text:
        return None
    pieces: list[str] = []
    texts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    end = quotes = 0
    for match in _TOKEN.finditer(text):
        literal = match[0]
        if literal[0] == "#":
            continue
        if literal == '"""':
            return None
        start = match.start()
        pieces.append(text[end:start])
        end = match.end()
        if literal[0] == '"':
            quotes += 1
            pieces.append(_STRING)
        else:
            pieces.append(_INT if literal.lstrip("-").isdigit() else _FLOAT)
        texts.append(literal)
        starts.append(start)
        ends.append(end)
    pieces.append(text[end:])
    shape = "".join(pieces)
    if not texts or shape.count(_STRING) != quotes:  # a quote that ends no string without escapes
        return None
    return Literals(shape, texts, starts, ends)


@dataclass(frozen=True, slots=True)
class Template:
    """The document of a shape. `document` has variables in place of its free literals: `free` has
    the index, the name of the variable and the coercer of each. The plans depend on the literals
    with the indexes `fixed`. `literals` are those of its text."""

    document: DocumentNode
    fixed: Sequence[int]
    free: Sequence[tuple[int, str, Coerce]]
    literals: Literals

    def bind(self, texts: Sequence[str]) -> Mapping[str, Any] | None:
        """Returns the values of the variables for the literals of a document of the shape, or None
        if one of them is invalid."""
        values: dict[str, Any] = {}
        for index, name, coerce in self.free:
            try:
                value = coerce(texts[index])
            except Exception:  # of a custom scalar
                return None
            if value is Undefined:
                return None
            values[name] = value
        return values

    def position(self, position: int, literals: Literals) -> int:
        """Returns the position in a document of the shape of what begins at a position of the
        template's text."""
        index = bisect_left(self.literals.starts, position) - 1
        shift = literals.ends[index] - self.literals.ends[index] if index >= 0 else 0
        return position + shift


def create_template(schema: GraphQLSchema, document: DocumentNode, literals: Literals) -> Template:
    """Returns the template of a valid document."""
    creator = _Creator(schema, literals.starts)
    definitions = tuple(
        creator.operation(node) if isinstance(node, OperationDefinitionNode) else node
        for node in document.definitions
    )
    free_indexes = {index for index, _, _ in creator.free}
    fixed = tuple(index for index in range(len(literals.texts)) if index not in free_indexes)
    return Template(
        replace(document, definitions=definitions), fixed, tuple(creator.free), literals
    )


class _Creator:
    """Replaces the free literals of a document by variables, which it collects in `free`."""

    def __init__(self, schema: GraphQLSchema, starts: Sequence[int]) -> None:
        self._schema = schema
        self._indexes = {start: index for index, start in enumerate(starts)}
        self.free: list[tuple[int, str, Coerce]] = []

    def operation(self, node: OperationDefinitionNode) -> OperationDefinitionNode:
        """Returns an operation without its free literals: those in arguments of root fields that
        are selected once. Two fields with one response key are merged if their arguments are
        equal."""
        root = self._schema.get_root_type(OperationType(node.operation))
        selections = node.selection_set.selections
        keys = [_response_key(selection) for selection in selections]
        if root is None or None in keys or len(keys) != len(set(keys)):
            return node
        fields: list[SelectionNode] = []
        for selection in selections:
            assert isinstance(selection, FieldNode)
            definition = root.fields.get(selection.name.value)
            if definition is not None and selection.arguments:
                arguments = tuple(
                    ArgumentNode(
                        name=argument.name,
                        value=self._value(
                            argument.value, definition.args[argument.name.value].type
                        ),
                        loc=argument.loc,
                    )
                    for argument in selection.arguments
                )
                selection = replace(selection, arguments=arguments)
            fields.append(selection)
        return replace(node, selection_set=replace(node.selection_set, selections=tuple(fields)))

    def _value(self, node: ValueNode, type_: GraphQLInputType) -> ValueNode:
        if isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
            index = self._indexes.get(node.loc.start) if node.loc else None
            if index is None:
                return node
            # No variable of a document has a name that begins with a digit.
            name = str(index)
            self.free.append((index, name, _coercer(node, type_)))
            return VariableNode(name=NameNode(value=name), loc=node.loc)
        nullable_type = type_.of_type if is_non_null_type(type_) else type_
        if isinstance(node, ListValueNode) and is_list_type(nullable_type):
            item_type = nullable_type.of_type
            return replace(node, values=tuple(self._value(item, item_type) for item in node.values))
        if (
            isinstance(node, ObjectValueNode)
            and is_input_object_type(nullable_type)
            and not nullable_type.is_one_of
        ):
            types = nullable_type.fields
            fields = tuple(
                ObjectFieldNode(
                    name=field.name,
                    value=self._value(field.value, types[field.name.value].type),
                    loc=field.loc,
                )
                for field in node.fields
            )
            return replace(node, fields=fields)
        return node


def _response_key(selection: SelectionNode) -> str | None:
    if not isinstance(selection, FieldNode):
        return None
    return selection.alias.value if selection.alias else selection.name.value


def _coercer(node: StringValueNode | IntValueNode | FloatValueNode, type_: Any) -> Coerce:
    """Returns the function that coerces the text of a literal of the kind of `node` to a type. It
    returns Undefined, or raises, for an invalid value."""
    nullable_type = type_.of_type if is_non_null_type(type_) else type_
    if is_scalar_type(nullable_type) and is_specified_scalar_type(nullable_type):
        if isinstance(node, StringValueNode) and nullable_type.name in ("String", "ID"):
            return lambda text: text[1:-1]
        if isinstance(node, IntValueNode) and nullable_type.name == "Int":
            return _coerce_int
    if isinstance(node, StringValueNode):
        return lambda text: coerce_input_literal(StringValueNode(value=text[1:-1]), type_)
    kind = type(node)
    return lambda text: coerce_input_literal(kind(value=text), type_)


def _coerce_int(text: str) -> Any:
    value = int(text)
    return value if _MIN_INT <= value <= _MAX_INT else Undefined
