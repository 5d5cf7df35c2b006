"""Documents and variables at and beyond their limits: no request may block the event loop."""

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


# Document, variables, and the key of the first error, if there is one.
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


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_worst_documents_are_fast(client: Client, name: str) -> None:
    """Without the limits, each document takes from 0.3 to 60 seconds; with them, a few tenths of a
    second on a busy machine."""
    document, variables, key = WORST[name]
    stopwatch = Stopwatch(client.server.pid)
    response = client.post(document, variables)
    seconds = stopwatch.seconds
    assert response.status_code == 200
    errors = response.json().get("errors", [])
    assert (errors[0]["key"] if errors else None) == key, errors
    assert len(errors) <= 21  # the last one says that there are more
    assert all(len(error["message"]) <= 1_100 for error in errors)
    assert len(response.content) < (300_000 if key is None else 50_000)
    assert seconds < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_worst_documents_do_not_block_the_event_loop(name: str) -> None:
    """Measures the longest step of the event loop, in seconds of processor time."""
    document, variables, _ = WORST[name]

    async def send() -> float:
        api, longest, is_stopped = engine(), 0.0, False

        async def measure_steps() -> None:
            nonlocal longest
            start = time.thread_time()
            while not is_stopped:
                await asyncio.sleep(0)
                now = time.thread_time()
                longest, start = max(longest, now - start), now

        measuring = asyncio.create_task(measure_steps())
        await asyncio.sleep(0)
        for _ in range(2):
            with suppress(InvalidDocument):
                operation = await api.get_operation_in_thread(document, None)
                prepared = api.prepare(operation, variables or {})
                assert prepared.cost
            await asyncio.sleep(0)
        is_stopped = True
        await measuring
        return longest

    # On a busy machine the processor's time grows, too.
    assert min(asyncio.run(send()) for _ in range(3)) < 0.1


def test_a_document_has_a_limit_of_characters(client: Client) -> None:
    within = '{ node(id: "%s") { id } }'
    within %= "a" * (100_000 - len(within) + 2)
    assert len(within) == 100_000
    assert client.data(within) == {"node": None}
    error = client.expect_error("errors_document_limit", f"{within} ")
    assert "too many characters: 100,001. The maximum is 100,000." in error["message"]


def test_a_query_string_has_the_limits_of_a_body(client: Client) -> None:
    response = client.http.get("/api/v2", params={"query": "{ __typename }" + "\n" * 10_001})
    assert response.status_code == 431  # the request line is longer than 16 KiB before that
    nested = orjson.dumps({"x": [[0] * 1_001]}).decode()
    response = client.http.get("/api/v2", params={"query": NESTED, "variables": nested})
    assert response.json()["errors"][0]["key"] == "errors_invalid_input"


def test_errors_in_variables_have_their_paths(client: Client) -> None:
    nodes = [{"email": f"{number}@example.com", "tags": ["a"] * 100} for number in range(200)]
    nodes[150]["tags"][7] = 1  # type: ignore[index]  # tags are a list
    nodes[199]["nobody"] = 1  # type: ignore[assignment]  # a wrong value
    document = "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { saved } }"
    first, second = client.errors(document, nodes=nodes)
    assert first["extensions"]["input_path"] == ["nodes", 150, "tags", 7]
    assert first["message"] == "Variable '$nodes': String cannot represent a non string value."
    assert second["extensions"]["input_path"] == ["nodes", 199, "nobody"]
    assert "unknown field 'nobody'" in second["message"]


@pytest.mark.parametrize("query", [get_introspection_query(), WORST["introspection"][0]])
def test_introspection_returns_what_graphql_core_returns(client: Client, query: str) -> None:
    expected = execute_sync(schema(), parse(query)).data
    for _ in range(3):  # parsed, cached, and from the cache
        assert client.data(query) == expected


def test_introspection_costs_by_its_response(client: Client) -> None:
    def cost(document: str) -> int:
        response = client.post(document, headers={"Regulars-Cost": "1"}).json()
        points: int = response["extensions"]["cost"]["requested"]
        return points

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


def create_plans(api: Any, document: str, owner: int, plans: int) -> None:
    for number in range(plans):
        variables = {f"v{bit}": bool(number >> (bit % 6) & 1) or bit > 6 for bit in range(90)}
        api.prepare(api.get_operation(document, None, owner), variables)


def padded(document: str, number: int) -> str:
    return f"{document}#{number}"


@pytest.fixture
def traced_memory() -> Iterator[None]:
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
def test_the_counted_memory_is_about_the_used_memory(traced_memory: None, name: str) -> None:
    api = engine()
    create_plans(api, padded(DOCUMENTS[name], 0), 0, 2)  # creates what all documents share
    gc.collect()
    before, counted = tracemalloc.get_traced_memory()[0], api.cached_bytes
    for number in range(1, 5):
        for _ in range(2):  # parsed, then cached; then compiled
            create_plans(api, padded(DOCUMENTS[name], number), number, 4)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    counted = api.cached_bytes - counted
    assert used < 1.1 * counted
    assert counted < 6 * used


@pytest.mark.slow
def test_an_account_has_a_quarter_of_the_cache_and_evicts_no_others() -> None:
    api = engine(cache_bytes=8 * 1024 * 1024)
    common = DOCUMENTS["a list"]
    for _ in range(2):
        api.get_operation(common, None, "one")
    for number in range(12):  # the third evicts the first
        for _ in range(2):
            create_plans(api, padded(BOOLEANS, number), 666, 40)
        assert api.cached_bytes <= 8 * 1024 * 1024 // 4 + 100_000
    assert api.is_cached(common)
    assert not api.is_cached(padded(BOOLEANS, 0))
    assert api.is_cached(padded(BOOLEANS, 11))
    for owner in range(7):  # the cache is full with the fourth
        for number in range(8):
            for _ in range(2):
                create_plans(api, padded(BOOLEANS, 100 * owner + 1_000 + number), owner, 4)
        assert api.cached_bytes <= 8 * 1024 * 1024
    assert api.is_cached(common)  # the largest accounts lose entries


def test_a_byte_cache_evicts_the_least_recently_used() -> None:
    cache = ByteCache(400)
    for key in "abc":
        cache.add(key, key, 30, "one")
    assert cache.get("a") == "a"
    cache.add("d", "d", 30, "one")
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
    assert cache.size == 90
    assert cache.add("e", "e", 101, "two").key not in cache
    assert cache.size == 90


def test_a_plan_with_a_long_key_is_not_cached() -> None:
    api = engine()
    document = "query($f: String) { customers { edges { node { created_at(format: $f) } } } }"
    for _ in range(3):
        api.get_operation(document)
    before = api.cached_bytes
    with pytest.raises(InvalidDocument):
        api.prepare(api.get_operation(document), {"f": "x" * 1_000_000})
    assert api.cached_bytes == before


def test_an_empty_cursor_means_the_first_page(client: Client) -> None:
    client.create("one@example.com")
    assert client.emails(after="", before="") == ["one@example.com"]
    changes = '{ customerChanges(after: "") { edges { node { kind } } } }'
    assert client.data(changes)["customerChanges"]["edges"] == [{"node": {"kind": "created"}}]


def test_the_introspected_schema_can_be_printed(client: Client) -> None:
    built = build_client_schema(client.data(get_introspection_query()))  # type: ignore[arg-type]  # a dict
    assert "input WebhookInput" in print_schema(built)
