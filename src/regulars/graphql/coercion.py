"""Coercion of input values to their types.

The coercers are fast for valid values. For an invalid value they raise some exception, and
graphql-core then describes the error. The rules are those of the GraphQL specification (sections
3.5 to 3.12, input coercion, and 6.4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    Undefined,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)
from graphql.utilities.coerce_input_value import (
    coerce_default_value,
    coerce_input_value,
)

from regulars.graphql.limits import DocumentLimits

Coerce = Callable[[Any], Any]

# The built-in scalars whose values are those of a Python type.
_PYTHON_TYPES: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}


class InvalidValueError(Exception):
    """A value is invalid for its type. It has no message: graphql-core describes the error."""


class TooManyValuesError(Exception):
    """The lists in the variables of a request have too many values together."""


class Coercers:
    """The coercers of the input types of a schema, created once per type.

    A list of more than `list_items` values is invalid. `list_values_left` is the number of values
    that the lists of the present request may still have together: a document can declare lists of
    lists, and a million values take seconds.
    """

    def __init__(self, limits: DocumentLimits) -> None:
        self._max_list_items = limits.list_items
        self.list_values_left = limits.variable_values
        self._by_type: dict[str, Coerce] = {}

    def for_type(self, type_: GraphQLInputType) -> Coerce:
        """Returns the function that coerces a value to the type, or raises."""
        name = str(type_)
        if name not in self._by_type:
            # A type can refer to itself, so its coercer looks itself up until it exists.
            self._by_type[name] = lambda value: self._by_type[name](value)
            self._by_type[name] = self._create(type_)
        return self._by_type[name]

    def is_valid(self, type_: GraphQLInputType, value: Any) -> bool:
        """Returns whether a value is valid for a type."""
        try:
            self.for_type(type_)(value)
        except Exception:
            return False
        return True

    def _create(self, type_: GraphQLInputType) -> Coerce:
        if is_non_null_type(type_):
            return _non_null(self.for_type(type_.of_type))
        if is_list_type(type_):
            return self._list(self.for_type(type_.of_type))
        if is_input_object_type(type_):
            return self._object(type_)
        return _leaf(type_)  # type: ignore[arg-type]  # no other input type is left

    def _list(self, coerce_item: Coerce) -> Coerce:
        max_items = self._max_list_items

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not list:
                return [coerce_item(value)]
            if len(value) > max_items:
                raise InvalidValueError
            self.list_values_left -= len(value)
            if self.list_values_left < 0:
                raise TooManyValuesError
            return [coerce_item(item) for item in value]

        return coerce

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        if type_.is_one_of:
            return _graphql_core(type_)
        fields = [
            (name, field.out_name or name, self.for_type(field.type), default_factory(field))
            for name, field in type_.fields.items()
        ]
        field_names = type_.fields.keys()

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not dict or not value.keys() <= field_names:
                raise InvalidValueError
            coerced = {}
            for name, out_name, coerce_field, default in fields:
                if name in value:
                    coerced[out_name] = coerce_field(value[name])
                elif default is not Undefined:
                    coerced[out_name] = default()
            return type_.out_type(coerced)

        return coerce


def default_factory(definition: GraphQLInputField | GraphQLArgument) -> Any:
    """Returns the function that returns the default value of an input field or argument, or raises
    if a value is required. Returns Undefined if the value is optional and has no default."""
    default = coerce_default_value(definition)
    if default is Undefined:
        return raise_missing if is_non_null_type(definition.type) else Undefined
    return lambda: default


def raise_missing() -> None:
    """Raises InvalidValueError for a required value that is missing."""
    raise InvalidValueError


def _graphql_core(type_: GraphQLInputType) -> Coerce:
    def coerce(value: Any) -> Any:
        coerced = coerce_input_value(value, type_)
        if coerced is Undefined:
            raise InvalidValueError
        return coerced

    return coerce


def _non_null(coerce_nullable: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise InvalidValueError
        return coerce_nullable(value)

    return coerce


def _leaf(type_: GraphQLLeafType) -> Coerce:
    if is_enum_type(type_):
        return _enum(type_)
    python_type = _PYTHON_TYPES.get(type_.name, Undefined)
    coerce_other = type_.coerce_input_value

    def coerce(value: Any) -> Any:
        return value if value is None or type(value) is python_type else coerce_other(value)

    return coerce


def _enum(type_: GraphQLEnumType) -> Coerce:
    """Returns a coercer that, unlike graphql-core's, does not search for a similar name."""
    values = type_.values

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not str or value not in values:
            raise InvalidValueError
        return values[value].value

    return coerce
