"""Input values are coerced and rejected as graphql-core coerces and rejects them."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLInputType,
    OperationDefinitionNode,
    Undefined,
    assert_input_type,
    build_schema,
    get_variable_values,
    parse,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.utilities.coerce_input_value import coerce_input_value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.graphql import DEFAULT_LIMITS
from regulars.graphql.argument_values import ArgumentCoercer
from regulars.graphql.coercion import Coercers
from tests.support import example_count

SCHEMA = build_schema(
    """
    type Query { q(a: Deep, b: [[Int!]], c: One, d: Required): Int }
    enum Unit { cm inch }
    input Deep {
      text: String
      sure: String!
      size: Float = 1.5
      unit: Unit! = cm
      tags: [String!]
      more: [Deep]
      id: ID
      flag: Boolean
    }
    input One @oneOf { a: Int b: String }
    input Required { deep: Deep! numbers: [Int!]! }
    """
)
NAMES = ("Deep", "One", "Required", "Unit", "Int", "Float", "String", "ID", "Boolean")
TYPES: list[GraphQLInputType] = [assert_input_type(SCHEMA.type_map[name]) for name in NAMES]
TYPES += [argument.type for argument in SCHEMA.type_map["Query"].fields["q"].args.values()]  # type: ignore[attr-defined]  # an object type

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False, width=32),
    st.sampled_from(("", "cm", "inch", "é", "1")),
)
KEYS = st.sampled_from(
    ("text", "sure", "size", "unit", "tags", "more", "id", "flag", "a", "b", "deep", "numbers", "x")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
NEARLY_VALID = st.fixed_dictionaries(
    {"sure": st.text(max_size=3)},
    optional={
        "text": st.none() | st.text(max_size=3),
        "size": st.integers(0, 9) | st.floats(0, 9),
        "unit": st.sampled_from(("cm", "inch", "foot")),
        "tags": st.lists(st.text(max_size=2), max_size=2) | st.text(max_size=2),
        "more": st.lists(st.fixed_dictionaries({"sure": st.text(max_size=2)}), max_size=2),
        "id": st.integers(0, 99) | st.text(max_size=2),
        "flag": st.booleans(),
    },
)


def coerced(type_: GraphQLInputType, value: Any) -> Any:
    try:
        return Coercers(DEFAULT_LIMITS).for_type(type_)(value)
    except Exception:
        return Undefined


@pytest.mark.slow
@pytest.mark.parametrize("type_", TYPES, ids=str)
@settings(max_examples=example_count(150), deadline=None)
@given(value=VALUES)
def test_any_value_is_coerced_like_graphql_core(type_: GraphQLInputType, value: Any) -> None:
    assert repr(coerced(type_, value)) == repr(coerce_input_value(value, type_))


@settings(max_examples=example_count(300), deadline=None)
@given(value=NEARLY_VALID)
def test_nearly_valid_values_are_coerced_like_graphql_core(value: Any) -> None:
    deep = TYPES[0]
    assert repr(coerced(deep, value)) == repr(coerce_input_value(value, deep))


LITERALS = st.recursive(
    st.sampled_from(
        ("1", "1.5", '"x"', "true", "null", "cm", "[]", "{}", "$i", "$s", "$f", "$b", "$d", "$l")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=5).map(
            lambda fields: f"{{{', '.join(f'{k}: {v}' for k, v in fields.items())}}}"
        ),
    ),
    max_leaves=8,
)
RAW_VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "i": st.sampled_from((1, None)),
        "s": st.sampled_from(("x", None)),
        "f": st.just(2.5),
        "b": st.booleans(),
        "d": st.just({"sure": "y"}),
        "l": st.lists(st.just("z"), max_size=2),
    },
)
HEAD = "query($i: Int, $s: String, $f: Float, $b: Boolean, $d: Deep, $l: [String!])"


@pytest.mark.slow
@settings(max_examples=example_count(600), deadline=None)
@example(literal="{sure: $s, a: 1}", name="a", variables={"s": "x"})
@given(literal=LITERALS, name=st.sampled_from("abcd"), variables=RAW_VARIABLES)
def test_literals_with_variables(literal: str, name: str, variables: dict[str, Any]) -> None:
    """Also literals that validation rejects."""
    operation = parse(f"{HEAD} {{ q({name}: {literal}) }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    field = operation.selection_set.selections[0]
    assert isinstance(field, FieldNode)
    query = SCHEMA.query_type
    assert query
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    assert isinstance(values, VariableValues)
    try:
        expected: Any = get_argument_values(query.fields["q"], field, values)
    except GraphQLError:
        expected = None
    try:
        ours = ArgumentCoercer(query.fields["q"], field).coerce(values.coerced)
    except Exception:
        ours = expected  # graphql-core coerces it
    assert repr(ours) == repr(expected)


def test_variables_in_a_literal_are_coerced_without_graphql_core() -> None:
    text = f"{HEAD} {{ q(d: {{deep: {{sure: $s, tags: [$s], size: $f}}, numbers: [$i, 2]}}) }}"
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    field = operation.selection_set.selections[0]
    assert isinstance(field, FieldNode)
    query = SCHEMA.query_type
    assert query
    values = ArgumentCoercer(query.fields["q"], field).coerce({"s": "x", "i": 1})
    deep = {"sure": "x", "size": 1.5, "unit": "cm", "tags": ["x"]}
    assert values == {"d": {"deep": deep, "numbers": [1, 2]}}
