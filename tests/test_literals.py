"""Documents that differ only in their literals share a plan, and are answered as if they did not."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.api.schema import engine
from regulars.graphql import Engine, InvalidDocument
from regulars.graphql.literals import find_literals
from tests.support import Client, example_count
from tests.test_compiler import ENGINE, SCHEMA, Env, blank

SHARING, ALONE = engine(), engine(cache_bytes=0)
SHARING_THINGS = Engine(SCHEMA, ENGINE._bindings, ENGINE._format_error)
ALONE_THINGS = Engine(SCHEMA, ENGINE._bindings, ENGINE._format_error, cache_bytes=0)

PAGE = """query Page {
  customers(query: $0, after: $1, first: $2) { edges { node { id created_at(format: $3) } } }
}"""
DOCUMENTS = (
    PAGE,
    "{ customers(first: $0, last: $1, before: $2) { totalCount } }",
    """mutation { createCustomer(node: {
      email: $0, tags: [$1, $2], accepts_marketing: $3, custom: {a: $0, b: [$1]},
      shipping_address: {zip: $2, city: $3}
    }) { id } }""",
    "mutation { createCustomer(node: {email: $0, tags: $1, notes: $2}) { id } }",
    "mutation { setCustomers(nodes: [{email: $0}, {email: $1, phone: $2}], on: $3) { created } }",
    "mutation { recordOrder(node: {name: $0, email: $1, total: $2, currency: $3}) { id } }",
    "{ a: node(id: $0) { id } b: node(id: $1) { id } a: node(id: $2) { id } }",
    "query($n: Int = $0, $q: String! = $1) { customers(first: $n, query: $q) { totalCount } }",
    "{ customers(first: $0) @include(if: $1) { totalCount } __type(name: $2) { name } }",
    "{ ...f node(id: $0) { id } } fragment f on Query { customers(first: $1) { totalCount } }",
    "query a { customers(first: $0) { totalCount } } query b { node(id: $1) { id } }",
    "{ customer(id: $0) { id leads(first: $1) { subject } history(first: $2) { totalCount } } }",
)
USUAL: tuple[str, ...] = ("10", '"ISO"', '"a@b.co"', "-5", "1.5", '""')
UNUSUAL: tuple[str, ...] = (
    "2147483648",
    "01",
    "-0",
    "-",
    "1e400",
    "1.",
    "9" * 5_000,
    '"',
    '"\\n"',
    '"\\u00e9"',
    '"é 🌸"',
)
UNUSUAL += (
    '"""block"""',
    '"#"',
    '"\x00"',
    "\x01",
    "true",
    "null",
    "ENUM",
    "$v",
    "[]",
    '["a", 1]',
    "{}",
)
UNUSUAL += ("1 2", '"a""b"', '1"a"', "a-5", "-5", "[a-5]", '"a" #"\n', '#"\n "a"', "1,", '"\ud800"')
LITERALS = st.one_of(
    st.sampled_from(USUAL),
    st.sampled_from(UNUSUAL),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8).map(lambda text: f'"{text}"'),
)


def fill(document: str, literals: tuple[str, ...]) -> str:
    for number, literal in enumerate(literals):
        document = document.replace(f"${number}", literal)
    return document


def outcome(api: Engine, text: str, name: str | None = None) -> Any:
    """Returns what is prepared for a document: the arguments of its root fields, and its cost."""
    try:
        prepared = api.prepare(api.get_operation(text, name), {})
    except InvalidDocument as error:
        return error.errors
    fields = [
        (field.plan.key, repr(arguments), [field.plan.layouts])
        for field, arguments, _ in prepared.fields
    ]
    return prepared.cost, [field[:2] for field in fields], prepared.operation.name


@pytest.mark.parametrize("document", DOCUMENTS)
@given(literals=st.tuples(*4 * [LITERALS]), others=st.tuples(*4 * [LITERALS]))
@example(literals=("2147483648", "1", "1", '"ISO"'), others=("1", "2", "3", '"ISO"'))
@settings(max_examples=example_count(60), deadline=None)
def test_documents_are_prepared_as_if_they_did_not_share(
    document: str, literals: tuple[str, ...], others: tuple[str, ...]
) -> None:
    name = "a" if "query a" in document else None
    mixed = tuple(map(max, literals, others))
    for values in (others, literals, mixed, others, literals):
        text = fill(document, values)
        assert outcome(SHARING, text, name) == outcome(ALONE, text, name), text


def test_fields_with_one_response_key_need_equal_literals() -> None:
    document = "{ a: node(id: $0) { id } a: node(id: $1) { id } }"
    for pair in (("1", "1"), ("2", "2"), ("3", "3"), ("4", "5")):
        text = fill(document, pair)
        assert outcome(SHARING, text) == outcome(ALONE, text)
    assert "conflict" in str(outcome(SHARING, text))


THINGS = (
    "{ a: thing(at: $0) { fails }\n b: things(first: $1) { failsHard } }",
    "mutation { a: add(name: $0) { fails }\n\n b: add(name: $1) { failsHard } c: count }",
    '{ named(at: $0) { name } # "\n other: thing(at: $1) { someKids(first: $0) { hard fails } } }',
)


@pytest.mark.parametrize("document", THINGS)
@given(data=st.data(), broken=st.lists(st.booleans(), max_size=4))
@settings(max_examples=example_count(40), deadline=None)
def test_responses_have_the_locations_of_their_documents(
    document: str, data: st.DataObject, broken: list[bool]
) -> None:
    kind = '"%s"' if "add" in document else "%s"
    values = st.integers(0, 20_000).map(lambda number: kind % number)
    rows = [{**blank(str(n)), "bad": bad, "hard": None} for n, bad in enumerate(broken)]
    for _ in range(4):
        text = fill(document, (data.draw(values), data.draw(values)))
        got, expected = (
            asyncio.run(api.run(api.get_operation(text), {}, Env([dict(row) for row in rows])))
            for api in (SHARING_THINGS, ALONE_THINGS)
        )
        assert got == expected, text


@pytest.mark.parametrize(("format_", "uses"), [("", 2), ('(format: "ISO")', 3)])
def test_a_shape_that_is_used_again_is_not_parsed(format_: str, uses: int) -> None:
    """A literal on which the plan depends is part of the shape, which is known one document
    later."""
    api = engine()
    page = PAGE.replace("(format: $3)", format_)
    operations = []
    for number in range(5):
        text = fill(page, ('"q"', f'"cursor{number}"', str(number)))
        operation = api.find_operation(text)
        assert (operation is not None) is (number >= uses)
        operations.append(operation or api.get_operation(text))
        ((_, arguments, _),) = api.prepare(operations[-1], {}).fields
        assert (arguments["after"], arguments["first"]) == (f"cursor{number}", number)
    assert operations[-1].plans is operations[-2].plans
    if format_:
        assert api.find_operation(text.replace("ISO", "RELATIVE")) is None


def test_shapes_count_in_the_memory_of_their_owner() -> None:
    limit = 4 * 1024 * 1024
    api = engine(cache_bytes=limit)
    for shape, number in itertools.product(range(150), range(3)):
        text = f'{{ a{shape}: node(id: "{number}") {{ id }} }}'
        api.prepare(api.get_operation(text, None, owner=1), {})
    assert 100_000 < api.cached_bytes <= limit // 4


@pytest.mark.parametrize(
    ("text", "shape", "texts"),
    [
        (
            '{ a(b: "x#y", c: [1, -2.5e3]) }',
            '{ a(b: ", c: [\x01, \x02]) }',
            ['"x#y"', "1", "-2.5e3"],
        ),
        ("{ address1 a2(x:$y3) }", None, None),
        ('{ a(b: """x""") c(d: 1) }', None, None),
        ('{ a(b: "\\n", c: 1) }', None, None),
        ("{ a(b: [c-5, d--5]) }", None, None),
        ("{ a(b: \x01, c: 2) }", None, None),
    ],
)
def test_literals_are_found(text: str, shape: str | None, texts: list[str] | None) -> None:
    literals = find_literals(text)
    assert (literals and literals.shape) == shape
    assert (literals and literals.texts) == texts


def test_pages_are_read_by_cursors_in_the_document(client: Client) -> None:
    """The list example of the reference writes its arguments into the document."""
    emails = [f"c{number}@example.com" for number in range(9)]
    for email in emails:
        client.create(email)
    document = (
        'query Customers { customers(query: "order_by:id order_dir:asc", after: "%s", first: %d) '
        "{ edges { node { email } cursor } pageInfo { endCursor hasNextPage } } }"
    )
    for size in (1, 2, 4):
        after, seen = "", []
        while True:
            page = client.data(document % (after, size))["customers"]
            seen += [edge["node"]["email"] for edge in page["edges"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == emails
    error = client.expect_error("errors_invalid_cursor", document % ("nonsense", 10))
    assert error["locations"] == [{"line": 1, "column": 19}]
