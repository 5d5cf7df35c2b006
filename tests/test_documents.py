"""Documents and variables at and beyond their limits: no request may stop the event loop."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from graphql import (
    build_client_schema,
    execute_sync,
    get_introspection_query,
    parse,
    print_schema,
)

from regulars.api.schema import engine, schema
from regulars.graphql import InvalidDocument
from regulars.graphql.cache import ByteCache
from tests.support import Client, Stopwatch

BODY = 1024 * 1024 - 2_000  # a line break takes two bytes in JSON: a body of 2 MiB
NESTED = "query($x: [[[Int]]]) { __typename }"
CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }"
SET = "mutation($policy: ErrorPolicy) { setCustomers(nodes: [], errorPolicy: $policy) { saved } }"


def many(text: str, count: int, separator: str = " ") -> str:
    return separator.join(text % number for number in range(count))


# What is sent, and the key of its first error, if it has one.
WORST: dict[str, tuple[str, dict[str, Any] | None, str | None]] = {
    "line breaks": ("{ __typename " + "\n" * BODY + "}", None, "errors_document_limit"),
    "comments": ("{ __typename " + "#\n" * (BODY // 2) + "}", None, "errors_document_limit"),
    "commas": ("{ __typename " + "," * 99_900 + " no }", None, "errors_invalid_document"),
    "a string": ('{ node(id: "' + "a" * 99_900 + '") { id } }', None, None),
    "errors in many lines": (
        "{" + "\n" * 9_000 + many("no%d", 50) + "}",
        None,
        "errors_invalid_document",
    ),
    "operations that share a fragment": (
        many("query A%d($x: String) { ...F }", 600)
        + "fragment F on Query { customers { edges { node {"
        + many("a%d: created_at(format: $x)", 90)
        + "} } } }",
        None,
        "errors_document_limit",
    ),
    "unused fragments": (
        "{ __typename }" + many("fragment F%d on Query { __typename }", 1_100),
        None,
        "errors_invalid_document",
    ),
    "arguments": ("{ node(" + "id: 1 " * 3_000 + ") { id } }", None, "errors_invalid_document"),
    "input fields": (
        "mutation { createCustomer(node: {" + many("x%d: 1", 3_000) + "}) { id } }",
        None,
        "errors_invalid_input",
    ),
    "variables without a value": (
        "query("
        + many("$v%d: Int!", 1_500)
        + ") { a: node(id: ["
        + many("$v%d", 900)
        + "]) {id} }",
        None,
        "errors_invalid_input",
    ),
    "variables with a wrong value": (
        "query(" + many("$v%d: [String!]", 1_200) + ") { __typename }",
        {f"v{number}": 1 for number in range(1_200)},
        "errors_invalid_input",
    ),
    "lists of lists": (NESTED, {"x": [[[0] * 900] * 1_000]}, "errors_invalid_input"),
    "wrong lists of lists": (NESTED, {"x": [[["a"] * 900] * 100]}, "errors_invalid_input"),
    "unknown fields": (
        CREATE,
        {"node": {f"k{number}": 1 for number in range(150_000)}},
        "errors_invalid_input",
    ),
    "a long field": (CREATE, {"node": {"k" * BODY: 1}}, "errors_invalid_input"),
    "a long enum value": (SET, {"policy": "R" * BODY}, "errors_invalid_input"),
    "many keys": ("{ __typename }", {f"k{number}": 1 for number in range(150_000)}, None),
    "deep": ("{ __typename }", {"x": [[]]}, None),
    "introspection": (get_introspection_query(input_value_deprecation=True), None, None),
    "introspection of one kind again and again": (
        "{"
        + many(
            "a%d: __schema { types { fields { name description type { fields { name args { name "
            "description type { name } } } } } } }",
            50,
        )
        + "}",
        None,
        "errors_document_limit",
    ),
    "nested introspection": (
        "{ __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }",
        None,
        "errors_invalid_document",
    ),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_is_answered_at_once(client: Client, name: str) -> None:
    """Before there were these limits, each of these took from 0.3 to 60 seconds; on a busy machine
    they take a few tenths."""
    document, variables, key = WORST[name]
    stopwatch = Stopwatch(client.server.pid)
    answer = client.post(document, variables)
    taken = stopwatch.seconds
    assert answer.status_code == 200
    errors = answer.json().get("errors", [])
    assert (errors[0]["key"] if errors else None) == key, errors
    assert len(errors) <= 21  # the last one says that there are more
    assert all(len(error["message"]) <= 1_100 for error in errors)
    assert len(answer.content) < (200_000 if key is None else 50_000)
    assert taken < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_worst_does_not_stop_the_event_loop(name: str) -> None:
    """The longest step of the event loop, in seconds of the processor's time."""
    document, variables, _ = WORST[name]

    async def send() -> float:
        made, longest, stop = engine(), 0.0, False

        async def look() -> None:
            nonlocal longest
            began = time.thread_time()
            while not stop:
                await asyncio.sleep(0)
                now = time.thread_time()
                longest, began = max(longest, now - began), now

        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        for _ in range(2):
            with suppress(InvalidDocument):
                operation = await made.get_operation_in_thread(document, None)
                prepared = made.prepare(operation, variables or {})
                assert prepared.cost
            await asyncio.sleep(0)
        stop = True
        await looking
        return longest

    # On a busy machine the processor's time grows, too.
    assert min(asyncio.run(send()) for _ in range(3)) < 0.1


def test_a_document_has_a_limit_of_characters(client: Client) -> None:
    within = '{ node(id: "%s") { id } }'
    within %= "a" * (100_000 - len(within) + 2)
    assert len(within) == 100_000
    assert client.data(within) == {"node": None}
    error = client.refused("errors_document_limit", f"{within} ")
    assert "100,001 characters; at most 100,000" in error["message"]


def test_a_query_string_has_the_limits_of_a_body(client: Client) -> None:
    answer = client.http.get("/api/v2", params={"query": "{ __typename }" + "\n" * 10_001})
    assert answer.status_code == 431  # the request line is longer than 16 KiB before that
    nested = orjson.dumps({"x": [[0] * 1_001]}).decode()
    answer = client.http.get("/api/v2", params={"query": NESTED, "variables": nested})
    assert answer.json()["errors"][0]["key"] == "errors_invalid_input"


def test_faults_of_variables_are_still_found_where_they_are(client: Client) -> None:
    nodes = [{"email": f"{number}@example.com", "tags": ["a"] * 100} for number in range(200)]
    nodes[150]["tags"][7] = 1  # type: ignore[index]
    nodes[199]["nobody"] = 1  # type: ignore[assignment]
    document = "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { saved } }"
    first, second = client.errors(document, nodes=nodes)
    assert first["extensions"]["input_path"] == ["nodes", 150, "tags", 7]
    assert first["message"] == "Variable '$nodes': String cannot represent a non string value."
    assert second["extensions"]["input_path"] == ["nodes", 199, "nobody"]
    assert "unknown field 'nobody'" in second["message"]


@pytest.mark.parametrize("query", [get_introspection_query(), WORST["introspection"][0]])
def test_introspection_answers_what_graphql_core_does(client: Client, query: str) -> None:
    expected = execute_sync(schema(), parse(query)).data
    for _ in range(3):  # read, kept, and from what is kept
        assert client.data(query) == expected


def test_introspection_costs_what_it_answers(client: Client) -> None:
    def cost(document: str) -> int:
        answer = client.post(document, headers={"Regulars-Cost": "1"}).json()
        found: int = answer["extensions"]["cost"]["requested"]
        return found

    assert cost("{ __typename }") == 1
    assert cost("{ __schema { queryType { name } } }") == 1
    assert 200 < cost(get_introspection_query()) < 1_500
    fields = (
        '%s: __type(name: "Customer") { fields { type { fields { type { fields { name } } } } } }'
    )
    one = cost("{" + fields % "a" + "}")
    assert cost("{" + fields % "a" + fields % "b" + "}") == pytest.approx(2 * one, abs=1)


BOOLEANS = (
    "query("
    + many("$v%d: Boolean!", 90)
    + ") { customers { edges { node {"
    + " ".join(f"a{number}: created_at @include(if: $v{number})" for number in range(90))
    + "} } } }"
)


def with_plans(made: Any, document: str, owner: int, plans: int) -> None:
    for number in range(plans):
        variables = {f"v{bit}": bool(number >> (bit % 6) & 1) or bit > 6 for bit in range(90)}
        made.prepare(made.get_operation(document, None, owner), variables)


def padded(document: str, number: int) -> str:
    return f"{document}#{number}"


@pytest.fixture
def measured() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


DOCUMENTS = {
    "Boolean variables": BOOLEANS,
    "a list": "query($first: Int) { customers(first: $first) { edges { cursor node { id _id email "
    "first_name last_name created_at tags } } pageInfo { hasNextPage } } }",
    "many lists": "{"
    + many("a%d: customers { edges { node { id email phone notes tags location } } }", 45)
    + "}",
    "literals": 'mutation { createCustomer(node: {email: "a@b.co", tags: ['
    + many('"t%d"', 900)
    + "]}) { id } }",
    "a long string": '{ node(id: "' + "é" * 50_000 + '") { id } }',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_counted_is_what_memory_is_taken(measured: None, name: str) -> None:
    made = engine()
    with_plans(made, padded(DOCUMENTS[name], 0), 0, 2)  # what is made once for all
    gc.collect()
    before, counted = tracemalloc.get_traced_memory()[0], made.cached_bytes
    for number in range(1, 5):
        for _ in range(2):  # seen, then kept; then rendered by its source
            with_plans(made, padded(DOCUMENTS[name], number), number, 4)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    counted = made.cached_bytes - counted
    assert taken < 1.1 * counted
    assert counted < 6 * taken


@pytest.mark.slow
def test_an_account_has_a_quarter_of_the_documents_and_pushes_out_none_of_anothers() -> None:
    made = engine(cache_bytes=8 * 1024 * 1024)
    common = DOCUMENTS["a list"]
    for _ in range(2):
        made.get_operation(common, None, "one")
    for number in range(12):  # the third pushes out the first
        for _ in range(2):
            with_plans(made, padded(BOOLEANS, number), 666, 40)
        assert made.cached_bytes <= 8 * 1024 * 1024 // 4 + 100_000
    assert made.is_cached(common)
    assert not made.is_cached(padded(BOOLEANS, 0))
    assert made.is_cached(padded(BOOLEANS, 11))
    for owner in range(7):  # the cache is full with the fourth
        for number in range(8):
            for _ in range(2):
                with_plans(made, padded(BOOLEANS, 100 * owner + 1_000 + number), owner, 4)
        assert made.cached_bytes <= 8 * 1024 * 1024
    assert made.is_cached(common)  # the largest accounts make room


def test_a_byte_cache_forgets_what_was_used_least_recently() -> None:
    cache = ByteCache(400)
    for key in "abc":
        cache.add(key, key, 30, "one")
    assert cache.get("a") == "a"
    cache.add("d", "d", 30, "one")
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
    assert cache.size == 90
    assert cache.add("e", "e", 101, "two").key not in cache
    assert cache.size == 90


def test_a_value_that_shapes_a_plan_is_not_kept_when_it_is_long() -> None:
    made = engine()
    document = "query($f: String) { customers { edges { node { created_at(format: $f) } } } }"
    for _ in range(3):
        made.get_operation(document)
    before = made.cached_bytes
    with pytest.raises(InvalidDocument):
        made.prepare(made.get_operation(document), {"f": "x" * 1_000_000})
    assert made.cached_bytes == before


def test_an_empty_cursor_is_as_good_as_none(client: Client) -> None:
    client.create("one@example.com")
    assert client.emails(after="", before="") == ["one@example.com"]
    changes = '{ customerChanges(after: "") { edges { node { kind } } } }'
    assert client.data(changes)["customerChanges"]["edges"] == [{"node": {"kind": "created"}}]


def test_the_introspected_schema_can_be_printed(client: Client) -> None:
    built = build_client_schema(client.data(get_introspection_query()))  # type: ignore[arg-type]
    assert "input WebhookInput" in print_schema(built)
