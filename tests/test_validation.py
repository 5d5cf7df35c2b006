"""The rules that run on a document find the same errors as all rules of graphql-core."""

from __future__ import annotations

import pytest
from graphql import GraphQLError, NoUnusedVariablesRule, parse, specified_rules, validate

from regulars.api.schema import schema
from regulars.graphql.validation import rules_for

SCHEMA = schema()
# An unused variable is no error here (contract.md, Transport).
REFERENCE = [rule for rule in specified_rules if rule is not NoUnusedVariablesRule]

DOCUMENTS = [
    "{ __typename }",
    "{ customers { edges { cursor } } }",
    "{ customers { edges { cursor cursor: node { id } } } }",
    "{ customers }",
    "{ node { id } }",
    "{ node(id: 1, id: 2) { id } }",
    "{ node(id: 1, nope: 2) { id } }",
    "{ customers(first: 1.5) { edges { cursor } } }",
    'mutation { createCustomer(node: {email: "a@b.co", email: "c@d.co"}) { id } }',
    "mutation { createCustomer(node: {mail: 1}) { id } }",
    "{ node(id: 1) { ... on Customer { email } } }",
    "{ node(id: 1) { ... on Nothing { email } } }",
    "{ node(id: 1) { ... on TimeStamp { email } } }",
    "{ node(id: 1) { ... on PageInfo { hasNextPage } } }",
    "{ node(id: 1) { ...f } }",
    "{ __typename } fragment f on Customer { id }",
    "{ node(id: 1) { ...f } } fragment f on Customer { id } fragment f on Customer { email }",
    "{ node(id: 1) { ...f } } fragment f on Customer { ...g } fragment g on Customer { ...f }",
    "query($a: ID!) { node(id: $a) { id } }",
    "query($a: Nothing) { node(id: $a) { id } }",
    "query($a: Customer) { node(id: $a) { id } }",
    "query($a: ID!, $a: ID!) { node(id: $a) { id } }",
    "query { node(id: $a) { id } }",
    "query($a: Int) { node(id: $a) { id } }",
    'query($a: Int = "x") { customers(first: $a) { edges { cursor } } }',
    "{ __typename @nope }",
    "{ __typename @skip }",
    "{ __typename @skip(if: true) @skip(if: true) }",
    "query @skip(if: true) { __typename }",
    "query($a: Int @skip(if: true)) { customers(first: $a) { edges { cursor } } }",
    "{ a: __typename } { b: __typename }",
    "query a { __typename } query a { __typename }",
    "subscription { x }",
    "type T { x: Int } { __typename }",
    "{ nothing customers { edges { nothing } } }",
    "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
    "{ __type(name: 1) { name } }",
]


def messages(errors: list[GraphQLError]) -> list[tuple[str, str]]:
    return sorted((error.message, str(error.locations)) for error in errors)


@pytest.mark.parametrize("text", DOCUMENTS)
def test_the_errors_are_those_of_all_rules(text: str) -> None:
    document = parse(text)
    ours = messages(validate(SCHEMA, document, rules_for(text)))
    assert ours == messages(validate(SCHEMA, document, REFERENCE))


def test_the_documents_break_nearly_every_rule() -> None:
    broken = {
        rule.__name__
        for rule in REFERENCE
        for text in DOCUMENTS
        if validate(SCHEMA, parse(text), [rule])
    }
    unbroken = {rule.__name__ for rule in REFERENCE} - broken
    # @stream and subscriptions are not supported.
    assert all("Stream" in name or "Subscription" in name for name in unbroken), unbroken


def test_text_in_a_string_does_not_skip_a_rule() -> None:
    text = '{ customers(query: "... $a @skip fragment __") { edges { cursor } } }'
    assert len(rules_for(text)) == len(rules_for(text + " # ( "))
    assert len(rules_for(text)) > len(rules_for("{ customers { edges { cursor } } }"))
