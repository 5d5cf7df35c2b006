"""Validation finds the same errors as all rules of graphql-core, and plain documents have none."""

from __future__ import annotations

import random
import re

import pytest
from graphql import (
    GraphQLError,
    GraphQLSyntaxError,
    NoUnusedVariablesRule,
    parse,
    specified_rules,
    validate,
)

from regulars.api.schema import schema
from regulars.graphql.plain_documents import is_plain_and_valid
from regulars.graphql.validation import find_errors

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
    "{ node(id: 1) { id: __typename ... on Customer { id } } }",
    "{ node(id: 1) { id ... on Customer { id: email } } }",
    "{ __typename(format: 1) }",
    "mutation { createCustomer(node: {email: 1, custom: {a: $b}}) { id } }",
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


PLAIN = [
    "query L($first: Int, $after: String, $query: String!) { customers(query: $query, after: $after,"
    " first: $first) { edges { node { id email created_at } cursor at: cursor } pageInfo"
    " { endCursor hasNextPage } } }",
    "query($id: ID!, $first: Int = 3) { node(id: $id) { __typename id ... on Customer { email"
    ' at: created_at(format: "ISO") ... { tags } } } customers(first: $first) { totalCount } }',
    "mutation($email: String!, $tags: [String!]!) { a: createCustomer(node: {email: $email, tags: $tags,"
    ' first_name: "Ada", shipping_address: {city: "Paris", country: null}}) { email } b:'
    ' createCustomer(node: {email: "b@example.com", tags: ["a", "b"]}) { id } }',
    'mutation { deleteCustomers(items: ["1", 2]) updateCustomer(id: 1, node: {notes: "x"}) { notes } }',
    "query($ids: [ID!]!) { nodes(ids: $ids) { id } other: nodes(ids: [1, 2]) { id __typename } }",
]
TOKEN = re.compile(r'"[^"]*"|\.\.\.|[$@]?\w+|[^\s,]')
# Words that are valid where another is, or nearly.
WORDS = (
    *"node customers nodes createCustomer Customer Node Query PageInfo email id nothing tags".split(),
    *"node edges cursor first after query ids format city country __typename __schema".split(),
    *'$first $id $query Int Int! String ID ID! [ID!] 1 -1 1.5 "1" null true ISO'.split(),
    *"( ) { } [ ] : ! = ... on @skip(if:true) fragment mutation query".split(),
)


@pytest.mark.parametrize("text", [*DOCUMENTS, *PLAIN])
def test_the_errors_are_those_of_all_rules(text: str) -> None:
    document = parse(text)
    ours = messages(find_errors(SCHEMA, document, 100))
    assert ours == messages(validate(SCHEMA, document, REFERENCE))


@pytest.mark.parametrize("text", PLAIN)
def test_usual_documents_are_plain(text: str) -> None:
    assert is_plain_and_valid(SCHEMA, parse(text))


def test_plain_documents_have_no_error() -> None:
    """Random changes of documents make some invalid in every way that a rule knows of."""
    draw = random.Random(7)
    plain_count = invalid_count = 0
    for _ in range(10_000):
        tokens = TOKEN.findall(draw.choice(PLAIN))
        for _ in range(draw.choice((1, 1, 2, 3))):
            index = draw.randrange(len(tokens))
            replacement = draw.choice((draw.choice(tokens), draw.choice(WORDS)))
            kind = draw.random()
            if kind < 0.6:
                tokens[index] = replacement
            elif kind < 0.8:
                tokens.insert(index, replacement)
            else:
                end = index + draw.choice((1, 1, 2, 3))
                tokens[index:index] = tokens[index:end] if draw.random() < 0.5 else ()
                if kind > 0.9:
                    del tokens[index:end]
        text = " ".join(tokens)
        try:
            document = parse(text)
        except GraphQLSyntaxError:
            continue
        errors = validate(SCHEMA, document, REFERENCE)
        if is_plain_and_valid(SCHEMA, document):
            plain_count += 1
            assert not errors, text
        invalid_count += bool(errors)
    assert plain_count > 200
    assert invalid_count > 300


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
