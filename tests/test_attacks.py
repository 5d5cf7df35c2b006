"""Attacks on the endpoint: those of the usual GraphQL attack tools, and random requests.

Each must get a response with a status below 500, in a time that does not delay others.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from tests.support import BOOTSTRAP_TOKEN, Client, Stopwatch, get, run_server

MAX_SECONDS = 2.0


def aliases(count: int, selection: str) -> str:
    return "{ " + " ".join(f"a{n}: {selection}" for n in range(count)) + " }"


def spreads(levels: int, times: int = 2) -> str:
    """Returns fragments that spread each other: `times` to the power of `levels` fields."""
    inner = "".join(
        f"fragment f{n} on Query {{ " + f"...f{n + 1} " * times + "} " for n in range(levels)
    )
    return f"{{ ...f0 }} {inner} fragment f{levels} on Query {{ __typename }}"


def nested_aliases(levels: int) -> str:
    """Returns a document whose fields double on each level."""
    inner = "id"
    for _ in range(levels):
        both = f"a: customer {{ {inner} }} b: customer {{ {inner} }}"
        inner = f"summary {{ orders {{ list {{ order {{ {both} }} }} }} }}"
    return "{ customers(first: 1) { edges { node { " + inner + " } } } }"


EXPENSIVE_DOCUMENTS = {
    "aliases": aliases(1_000, "__typename"),
    "aliases of pages": aliases(90, "customers(first: 250) { totalCount edges { node { id } } }"),
    "aliases of writes": "mutation "
    + aliases(100, 'createCustomer(node: {email: "a@b.co"}) { id }'),
    "repetitions": "{ " + "__typename " * 9_000 + "}",
    "repeated lists": "{ " + "customers { edges { node { id } } } " * 300 + "}",
    "repeated far down": "{ customers { edges { node { " + "summary { visits } " * 400 + "} } } }",
    "directives": "{ __typename " + "@skip(if: false) " * 1_500 + "}",
    "unknown directives": "{ __typename " + "@aa " * 4_000 + "}",
    "fragments": spreads(25),
    "fragments, wide": spreads(3, 90),
    "a cycle": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "a cycle with itself": "{ ...a } fragment a on Query { ...a }",
    "a cycle of many fields": "{ ...a } fragment a on Query { ...a "
    + "customers { edges { node { id } } } " * 300
    + "}",
    "unused fragments": "{ __typename } "
    + " ".join(f"fragment f{n} on Query {{ __typename }}" for n in range(900)),
    "overlapping fields": "{ "
    + " ".join(
        f"... on Query {{ a: customers {{ edges {{ node {{ b{n}: id c: email }} }} }} }}"
        for n in range(90)
    )
    + " }",
    "depth": "{ customers { edges { node { " + "summary { orders { list { order { customer { " * 30,
    "nested aliases": nested_aliases(6),
    "braces": "{" * 9_000,
    "brackets": "{ node(id: " + "[" * 9_000,
    "values": "{ node(id: " + "{a:" * 3_000 + "1" + "}" * 3_000 + ") { id } }",
    "introspection": "{ __schema { types { fields { type { fields { type { fields { type { fields "
    "{ type { fields { name } } } } } } } } } } } }",
    "introspection, many": aliases(60, "__schema { types { name fields { name args { name } } } }"),
    "a long name": "{ " + "a" * 500_000 + " }",
    "a long string": '{ node(id: "' + "x" * 1_000_000 + '") { id } }',
    "a comment": "# " + "x" * 1_000_000 + "\n{ __typename }",
    "variables": "query(" + ", ".join(f"$a{n}: Int" for n in range(1_500)) + ") { __typename }",
    "operations": " ".join(f"query Q{n} {{ __typename }}" for n in range(1_200)),
    "a search": '{ customers(query: "%s") { totalCount } }' % ("(" * 900 + ")" * 900),
    "a search of many words": '{ customers(query: "%s") { totalCount } }' % ("a OR " * 390 + "b"),
    "unicode": "{ " + "\u202e\ufeff\u0000" * 100 + " }",
    "surrogates": '{ node(id: "\\ud800") { id } }',
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one server. These attacks do not depend on the database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('attacks') / 'r.db'}"
    with run_server(url) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPENSIVE_DOCUMENTS)
def test_an_expensive_document_is_answered_quickly(target: Client, name: str) -> None:
    client = target
    stopwatch = Stopwatch(client.server.pid)
    answer = client.post(EXPENSIVE_DOCUMENTS[name])
    assert stopwatch.seconds < MAX_SECONDS
    assert answer.status_code == 200, answer.text[:300]
    keys = {error["key"] for error in answer.json().get("errors", ())}
    assert keys <= {
        "errors_document_limit",
        "errors_invalid_document",
        "errors_invalid_query",
        "errors_invalid_input",
    }
    assert len(answer.content) < 500_000
    assert client.post("{ __typename }").json() == {"data": {"__typename": "Query"}}


def test_introspection_of_tools_is_within_the_limits(target: Client) -> None:
    """The introspection of every tool, within the limits."""
    for options in ({}, {"specified_by_url": True, "input_value_deprecation": True}):
        assert target.data(get_introspection_query(**options))


BODIES: dict[str, Callable[[], bytes]] = {
    "deep JSON": lambda: b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 100_000,
    "deep lists": lambda: b"[" * 200_000,
    "an array of operations": lambda: json.dumps([{"query": "{ __typename }"}] * 50).encode(),
    "huge variables": lambda: json.dumps(
        {"query": "query($i: [ID!]!) { __typename }", "variables": {"i": ["1"] * 200_000}}
    ).encode(),
    "many variables": lambda: json.dumps(
        {"query": "{ __typename }", "variables": {f"v{n}": n for n in range(100_000)}}
    ).encode(),
    "a huge number": lambda: (
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 10_000 + b"}}"
    ),
    "not a number": lambda: b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    "no UTF-8": lambda: b'{"query": "\xff\xfe"}',
    "an overlong sequence": lambda: b'{"query": "\xc0\x80"}',
    "NUL": lambda: b'{"query": "\\u0000"}',
    "nothing": lambda: b"",
    "null": lambda: b"null",
    "a number": lambda: b"1",
    "an empty object": lambda: b"{}",
    "another query": lambda: b'{"query": 1}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body_is_answered_quickly(target: Client, name: str) -> None:
    content, headers = BODIES[name](), {"Content-Type": "application/json"}
    stopwatch = Stopwatch(target.server.pid)
    answer = target.http.post("/api/v2", content=content, headers=headers)
    assert stopwatch.seconds < MAX_SECONDS
    assert answer.status_code in (200, 400)
    assert "data" in answer.json() or answer.json()["errors"][0]["message"]


def test_the_last_of_repeated_json_keys_is_used(target: Client) -> None:
    """As in JavaScript. A proxy that inspects bodies must not read another value."""
    body = b'{"query": "{ nothing }", "query": "{ __typename }"}'
    answer = target.http.post("/api/v2", content=body, headers={"Content-Type": "application/json"})
    assert answer.json() == {"data": {"__typename": "Query"}}


SEEDS = [
    'query Q($q: String, $n: Int = 3) { customers(query: $q, first: $n, after: "WzEsMV0=") { totalCount edges { cursor node { id email shipping_address { city } } } pageInfo { hasNextPage } } }',
    "mutation($node: InputCustomer!) { createCustomer(node: $node) { id version tags custom } }",
    'mutation($id: ID!) { updateCustomer(id: $id, node: {notes: null, tags: ["a"]}, ifVersion: 1) { id } }',
    'mutation { deleteCustomers(items: [1, "Q3VzdG9tZXI6MQ=="]) }',
    '{ node(id: "Q3VzdG9tZXI6MQ==") { ... on Customer { created_at(format: "YYYY") summary { orders { list { order { id } } } } } __typename } }',
    'query($a: Boolean!) { __type(name: "Customer") { fields @include(if: $a) { name } } ...F } fragment F on Query { customers(last: 2, query: "ana -tag:vip created_at:>=2024 (a OR b*) order_by:email") { edges { node { _id } } } }',
]
VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**53, 2**70, 1.5, 1e308, "", "a", "\x00", "é" * 300, "\ud7ff",
    [], [None], [[1]], {}, {"email": "a@b.co"}, {"email": None}, {"a": {"b": []}}, "Q3VzdG9tZXI6MQ==",
    "tag:", '"', "(((", "order_by:nothing", "created_at:>=9999-99-99", "phone:" + "+" * 50,
]  # fmt: skip
TOKENS = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "!",
    "$",
    "@",
    "...",
    '"',
    "\\",
    "#",
    "on",
    "null",
    "\n",
]


class RequestGenerator:
    """Generates random requests by mutating valid ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def text(self) -> str:
        text = self._random.choice(SEEDS)
        for _ in range(self._random.choice([0, 0, 1, 1, 2, 5, 20])):
            start = self._random.randrange(len(text) + 1)
            end = min(len(text), start + self._random.choice([0, 0, 1, 5, 30]))
            other = self._random.choice(SEEDS)
            cut = self._random.randrange(len(other))
            replacement = self._random.choice(
                [
                    "",
                    self._random.choice(TOKENS),
                    other[cut : cut + self._random.randrange(30)],
                    chr(self._random.randrange(1, 0xD7FF)),
                    str(self._random.choice(VALUES)),
                ]
            )
            text = text[:start] + replacement + text[end:]
        return text

    def value(self, depth: int = 0) -> Any:
        if depth < 3 and self._random.random() < 0.3:
            names = ["email", "phone", "tags", "custom", "notes", "shipping_address", "city", "x"]
            return {
                self._random.choice(names): self.value(depth + 1)
                for _ in range(self._random.randrange(5))
            }
        return self._random.choice(VALUES)

    def request(self) -> tuple[str, dict[str, str], bytes]:
        """Returns a method, headers and a body."""
        body: Any = {
            "query": self.text(),
            "variables": {n: self.value() for n in ("q", "n", "node", "id", "a")},
        }
        for name in ("operationName", "extensions", "variables", "query"):
            if self._random.random() < 0.1:
                body[name] = self.value()
        raw = json.dumps(body).encode()
        if self._random.random() < 0.1:
            index = self._random.randrange(len(raw))
            raw = raw[:index] + self._random.randbytes(self._random.randrange(4)) + raw[index:]
        headers = {"Content-Type": "application/json"}
        odd = {
            "Accept": ["*/*", "application/graphql-response+json", "text/html;q=x", ",;,", "é"],
            "Idempotency-Key": ["", "a", "b", "k" * 300, "é"],
            "Content-Type": ["application/json; charset=utf-16", "application/json;;", "x/y"],
            "Content-Encoding": ["gzip", "identity", ""],
            "X-Request-Id": ["a", "a b", "x" * 100],
            "Origin": ["null", "x"],
            "Regulars-Cost": ["1", ""],
            "Authorization": ["Bearer", "Basic x", "Bearer é"],
        }
        for name, values in odd.items():
            if self._random.random() < 0.05:
                headers[name] = self._random.choice(values)
        method = self._random.choice(["POST"] * 15 + ["GET", "PUT", "OPTIONS", "HEAD", "DELETE"])
        return method, headers, raw


def fuzz(client: Client, seed: int, seconds: float) -> int:
    """Sends random requests. Returns their number."""
    generator, count = RequestGenerator(seed), 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        method, headers, body = generator.request()
        encoded = httpx.Headers([(n.encode(), v.encode()) for n, v in headers.items()])
        if method == "GET":
            query = body.decode("latin-1")[:2_000]
            answer = client.http.get("/api/v2", params={"query": query}, headers=encoded)
        else:
            answer = client.http.request(method, "/api/v2", content=body, headers=encoded)
        assert answer.status_code < 500, (seed, count, method, headers, body, answer.text)
        if method != "HEAD":
            response = answer.json()
            keys = [error["key"] for error in response.get("errors", ())]
            assert "errors_internal" not in keys, (seed, count, body)
        count += 1
    return count


@pytest.mark.slow
def test_random_requests_cause_no_internal_error(client: Client) -> None:
    """`REGULARS_TEST_FUZZ_SECONDS=3600 make test-slow` does it for an hour on each database."""
    seconds = float(os.environ.get("REGULARS_TEST_FUZZ_SECONDS", "5"))
    assert fuzz(client, random.randrange(10**9), seconds) > seconds
    assert get(f"{client.server.url}/healthz").status_code == 200
