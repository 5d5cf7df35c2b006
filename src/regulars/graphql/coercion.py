"""Input values, held against their types: quickly where they are right.

What is wrong raises, whatever it is; graphql-core then says what. The rules are those of the
GraphQL specification (sections 3.5 to 3.12, input coercion, and 6.4.1).
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

from regulars.graphql.limits import Limits

Coerce = Callable[[Any], Any]

# The Python type whose every value a built-in scalar takes as it is.
_AS_IT_IS: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}


class WrongValueError(Exception):
    """A value that its type does not take; which, and why, is graphql-core's to say."""


class TooManyValuesError(Exception):
    """The lists in the variables of a request have too many values together."""


class Coercers:
    """The coercion of each input type of a schema, made once. A list of more than `list_items`
    values is wrong. `list_values` is how many more values the lists of a request may have together:
    a document can declare lists of lists, and a million values take seconds."""

    def __init__(self, limits: Limits) -> None:
        self._list_items = limits.list_items
        self.list_values = limits.variable_values
        self._made: dict[str, Coerce] = {}

    def of(self, type_: GraphQLInputType) -> Coerce:
        """What turns a value from a request into a value of the type."""
        name = str(type_)
        if name not in self._made:
            # A type may lead back to itself: it is found by name once it is made.
            self._made[name] = lambda value: self._made[name](value)
            self._made[name] = self._make(type_)
        return self._made[name]

    def takes(self, type_: GraphQLInputType, value: Any) -> bool:
        """Whether a type takes a value."""
        try:
            self.of(type_)(value)
        except Exception:
            return False
        return True

    def _make(self, type_: GraphQLInputType) -> Coerce:
        if is_non_null_type(type_):
            return _non_null(self.of(type_.of_type))
        if is_list_type(type_):
            return self._list(self.of(type_.of_type))
        if is_input_object_type(type_):
            return self._object(type_)
        return _leaf(type_)  # type: ignore[arg-type]  # no other input type is left

    def _list(self, inner: Coerce) -> Coerce:
        most = self._list_items

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not list:
                return [inner(value)]
            if len(value) > most:
                raise WrongValueError
            self.list_values -= len(value)
            if self.list_values < 0:
                raise TooManyValuesError
            return [inner(item) for item in value]

        return coerce

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        if type_.is_one_of:
            return _by_library(type_)
        fields = [
            (name, field.out_name or name, self.of(field.type), default_of(field))
            for name, field in type_.fields.items()
        ]
        known = type_.fields.keys()

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not dict or not value.keys() <= known:
                raise WrongValueError
            coerced = {}
            for name, out_name, inner, default in fields:
                if name in value:
                    coerced[out_name] = inner(value[name])
                elif default is not Undefined:
                    coerced[out_name] = default()
            return type_.out_type(coerced)

        return coerce


def default_of(field: GraphQLInputField | GraphQLArgument) -> Any:
    """What makes the value of an input that is not given; Undefined when it is left out."""
    default = coerce_default_value(field)
    if default is Undefined:
        return missing if is_non_null_type(field.type) else Undefined
    return lambda: default


def _by_library(type_: GraphQLInputType) -> Coerce:
    def coerce(value: Any) -> Any:
        coerced = coerce_input_value(value, type_)
        if coerced is Undefined:
            raise WrongValueError
        return coerced

    return coerce


def missing() -> None:
    raise WrongValueError


def _non_null(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise WrongValueError
        return inner(value)

    return coerce


def _leaf(type_: GraphQLLeafType) -> Coerce:
    if is_enum_type(type_):
        return _enum(type_)
    as_it_is = _AS_IT_IS.get(type_.name, Undefined)
    slowly = type_.coerce_input_value

    def coerce(value: Any) -> Any:
        return value if value is None or type(value) is as_it_is else slowly(value)

    return coerce


def _enum(type_: GraphQLEnumType) -> Coerce:
    """Without graphql-core's search for a similar name, which a wrong value need not be worth."""
    values = type_.values

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not str or value not in values:
            raise WrongValueError
        return values[value].value

    return coerce
