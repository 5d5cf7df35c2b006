"""The compiler returns the same responses as graphql-core's own `execute`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, GraphQLResolveInfo, build_schema, execute_sync, parse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regulars.graphql import (
    Bindings,
    Engine,
    Fault,
    Layout,
    Layouts,
    Load,
    Nested,
    Operation,
    PerRow,
    Related,
    RequestError,
    Root,
    SameRow,
    TypeBinding,
    Value,
    document,
)
from regulars.graphql.limits import MAX_LINES, DocumentLimits

SCHEMA = build_schema(
    """
    interface Named { name: String other: Thing }
    type Query {
      thing(at: Int = 0): Thing
      sure: Thing!
      things(first: Int! = 3): [Thing!]!
      perhaps: [Thing]
      named(at: Int): Named
      count: Int
    }
    type Mutation { add(name: String!): Thing! count: Int }
    type Thing implements Named {
      name: String
      hard: String!
      size(unit: Unit = cm, twice: Boolean! = false): String!
      fails: Int
      failsHard: Int!
      other: Thing
      itself: Thing!
      kids: [Thing!]!
      perhapsKids: [Thing]
      someKids(first: Int = 1): [Thing!]!
      box: Box
    }
    type Box implements Named { name: String other: Thing weight: Float! }
    enum Unit { cm inch }
    """
)


class BrokenError(Exception):
    """A field that fails."""


Row = dict[str, Any]


def fails(bad: bool) -> int:
    if bad:
        raise BrokenError
    return 1


def size(arguments: Any, name: str | None) -> str:
    text = f"{name} in {arguments['unit']}"
    return text * 2 if arguments["twice"] else text


# The bindings: rows are tuples of the selected columns, from a list of dicts by index.
class Env:
    """The data of a case, and the number of loads."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.loads = 0

    def tuple_of(self, number: int | None, columns: tuple[str, ...]) -> Any:
        if number is None or number >= len(self.rows):
            return None
        return tuple(self.rows[number][column] for column in columns)


async def load_one(env: Env, keys: list[Any], layout: Layout) -> Sequence[Any]:
    env.loads += 1
    return [env.tuple_of(key, layout.columns) for key in keys]


async def load_many(env: Env, keys: list[Any], layout: Layout) -> Sequence[Any]:
    env.loads += 1
    return [[env.tuple_of(number, layout.columns) for number in key] for key in keys]


def load_some(arguments: Any) -> Load:
    async def load(env: Env, keys: list[Any], layout: Layout) -> Sequence[Any]:
        return await load_many(env, [key[: arguments["first"]] for key in keys], layout)

    return load


def prepared_size(arguments: Any) -> Any:
    return lambda _env, names: [size(arguments, name) for name in names]


THING = TypeBinding(
    {
        "name": Value(("name",)),
        "hard": Value(("hard",)),
        "size": Value(("name",), prepare=prepared_size),
        "fails": Value(("bad",), PerRow(fails)),
        "failsHard": Value(("bad",), PerRow(fails)),
        "other": Related("other", load_one),
        "itself": SameRow(),
        "kids": Related("kids", load_many),
        "perhapsKids": Related("perhaps_kids", load_many),
        "someKids": Related("kids", prepare=load_some),
        "box": Nested(("box",)),
    }
)
# A box contains no rows of things: the documents select no related rows of a box.
BOX = TypeBinding(
    {"name": Value(("name",)), "other": Nested(("other",)), "weight": Value(("weight",))},
    has_dict_rows=True,
)


async def fill_one(env: Env, number: int | None, layouts: Layouts) -> Any:
    row = env.tuple_of(number, layouts.of("Thing").columns)
    return None if row is None else (await layouts.of("Thing").load_related([row], env))[0]


async def thing(layouts: Layouts, env: Env, arguments: Any) -> Any:
    return await fill_one(env, arguments["at"], layouts)


async def sure(layouts: Layouts, env: Env, _arguments: Any) -> Any:
    return await fill_one(env, 0, layouts)


async def things(layouts: Layouts, env: Env, arguments: Any) -> Any:
    rows = [env.tuple_of(n, layouts.only.columns) for n in range(arguments["first"])]
    return await layouts.only.load_related_grouped(rows, env)


async def perhaps(layouts: Layouts, env: Env, _arguments: Any) -> Any:
    rows = [env.tuple_of(n, layouts.only.columns) for n in (0, None, 1)]
    return await layouts.only.load_related_grouped(rows, env)


async def named(layouts: Layouts, env: Env, arguments: Any) -> Any:
    at = arguments.get("at")
    if at is None:
        return "Box", {"name": "boxed", "other": None, "weight": 1.5}
    row = await fill_one(env, at, layouts)
    return None if row is None else ("Thing", row)


async def count(_layouts: Layouts, env: Env, _arguments: Any) -> Any:
    return len(env.rows)


async def add(layouts: Layouts, env: Env, arguments: Any) -> Any:
    env.rows.append(blank(arguments["name"]))
    return await fill_one(env, len(env.rows) - 1, layouts)


def blank(name: str) -> Row:
    empty: Row = {"other": None, "kids": [], "perhaps_kids": [], "box": None, "bad": False}
    return {"name": name, "hard": name, **empty}


ENGINE = Engine(
    SCHEMA,
    Bindings(
        {"Thing": THING, "Box": BOX},
        {
            "thing": Root(lambda layouts: partial(thing, layouts)),
            "sure": Root(lambda layouts: partial(sure, layouts)),
            "things": Root(lambda layouts: partial(things, layouts)),
            "perhaps": Root(lambda layouts: partial(perhaps, layouts)),
            "named": Root(lambda layouts: partial(named, layouts)),
            "count": Root(lambda layouts: partial(count, layouts)),
            "add": Root(lambda layouts: partial(add, layouts)),
        },
    ),
    lambda error, _env: [Fault(type(error).__name__, "failed")],
)


# The reference: the same data through graphql-core's resolvers.
def install_reference() -> None:
    def at(info: GraphQLResolveInfo[Any], number: int | None) -> Any:
        rows = info.context.rows
        return None if number is None or number >= len(rows) else rows[number]

    fields = SCHEMA.type_map["Thing"]
    assert isinstance(fields, GraphQLObjectType)
    fields.fields["size"].resolve = lambda row, _info, **a: size(a, row["name"])
    fields.fields["fails"].resolve = lambda row, _info: fails(row["bad"])
    fields.fields["failsHard"].resolve = lambda row, _info: fails(row["bad"])
    fields.fields["other"].resolve = lambda row, info: at(info, row["other"])
    fields.fields["itself"].resolve = lambda row, _info: row
    fields.fields["kids"].resolve = lambda row, info: [at(info, n) for n in row["kids"]]
    fields.fields["perhapsKids"].resolve = lambda row, info: [
        at(info, n) for n in row["perhaps_kids"]
    ]
    fields.fields["someKids"].resolve = lambda row, info, first: [
        at(info, n) for n in row["kids"][:first]
    ]
    fields.is_type_of = lambda row, _info: "hard" in row
    box = SCHEMA.type_map["Box"]
    assert isinstance(box, GraphQLObjectType)
    box.is_type_of = lambda row, _info: "weight" in row
    query, mutation = SCHEMA.query_type, SCHEMA.mutation_type
    assert query
    assert mutation
    query.fields["thing"].resolve = lambda _r, info, **a: at(info, a.get("at"))
    query.fields["sure"].resolve = lambda _r, info: at(info, 0)
    query.fields["things"].resolve = lambda _r, info, first: [at(info, n) for n in range(first)]
    query.fields["perhaps"].resolve = lambda _r, info: [at(info, n) for n in (0, None, 1)]
    query.fields["named"].resolve = lambda _r, info, **a: (
        {"name": "boxed", "other": None, "weight": 1.5}
        if a.get("at") is None
        else at(info, a["at"])
    )
    for root in (query, mutation):
        root.fields["count"].resolve = lambda _r, info: len(info.context.rows)

    def add_row(_root: Any, info: GraphQLResolveInfo[Any], name: str) -> Row:
        info.context.rows.append(blank(name))
        return dict(info.context.rows[-1])

    mutation.fields["add"].resolve = add_row


install_reference()

# Documents: selections of a type, with aliases, fragments and directives.
LEAVES = {"Thing": ("name", "hard", "fails", "failsHard"), "Box": ("name", "weight")}
LEAVES["Named"] = ("name",)
OBJECTS = {
    "Thing": {
        "other": "Thing",
        "itself": "Thing",
        "kids": "Thing",
        "perhapsKids": "Thing",
        "someKids": "Thing",
        "someKids(first: $at)": "Thing",
        "box": "Box",
    },
    "Box": {},
    "Named": {"other": "Thing"},
}
ROOTS = {
    "thing": "Thing",
    "thing(at: 1)": "Thing",
    "thing(at: $at)": "Thing",
    "thing(at: 99)": "Thing",
    "sure": "Thing",
    "things": "Thing",
    "things(first: 2)": "Thing",
    "perhaps": "Thing",
    "named": "Named",
    "named(at: 0)": "Named",
    "named(at: $at)": "Named",
}
DIRECTIVES = ("", "", "", " @skip(if: $yes)", " @include(if: $yes)", " @skip(if: $no)")
SIZES: dict[str, tuple[str, ...]] = {
    "Thing": ("size", "size(unit: inch)", "size(twice: $yes)", "size(unit: $unit, twice: true)"),
    "Box": (),
    "Named": (),
}
FRAGMENTS = """
fragment leaf on Thing { name __typename size }
fragment deep on Thing { ...leaf other { ...leaf kids { hard } } itself { box { weight } } }
fragment any on Named { name ... on Box { weight } ... on Thing { hard fails } __typename }
"""


@st.composite
def selection(draw: st.DrawFn, type_name: str, depth: int) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        directive = draw(st.sampled_from(DIRECTIVES))
        kind = draw(st.sampled_from(("leaf", "leaf", "object", "fragment", "inline", "typename")))
        is_aliased = draw(st.booleans())
        if kind == "object" and depth and OBJECTS[type_name]:
            field = draw(st.sampled_from(sorted(OBJECTS[type_name])))
            prefix = alias(field, is_aliased or "(" in field)
            # Sometimes twice: the selections are merged.
            for _ in range(draw(st.integers(1, 2))):
                inner = draw(selection(OBJECTS[type_name][field], depth - 1))
                parts.append(f"{prefix}{field}{directive} {{ {inner} }}")
        elif kind == "fragment":
            names = ("leaf", "deep", "any") if type_name == "Thing" else ("any",)
            parts.append(f"...{draw(st.sampled_from(names))}{directive}")
        elif kind == "inline":
            on = draw(st.sampled_from(("", "on Named ", f"on {type_name} ")))
            inner = draw(selection("Named" if "Named" in on else type_name, max(depth - 1, 0)))
            parts.append(f"... {on}{directive} {{ {inner} }}")
        elif kind == "typename":
            parts.append(f"{alias('__typename', is_aliased)}__typename{directive}")
        else:
            leaf = draw(st.sampled_from(LEAVES[type_name] + SIZES[type_name]))
            parts.append(f"{alias(leaf, is_aliased or 'size(' in leaf)}{leaf}{directive}")
    return " ".join(parts)


def alias(field: str, is_aliased: bool) -> str:
    """Returns an alias made of the field, so that fields with the same alias can be merged."""
    return f"as_{re.sub('[^A-Za-z_]', '', field)}: " if is_aliased else ""


@st.composite
def documents(draw: st.DrawFn) -> str:
    roots = []
    for number in range(draw(st.integers(1, 3))):
        field = draw(st.sampled_from([*sorted(ROOTS), "count", "__typename"]))
        if field in ("count", "__typename"):
            roots.append(f"r{number}: {field}")
            continue
        inner = draw(selection(ROOTS[field], 3))
        alias = "" if number == 0 and draw(st.booleans()) else f"r{number}: "
        roots.append(f"{alias}{field}{draw(st.sampled_from(DIRECTIVES))} {{ {inner} }}")
    head = "query($yes: Boolean! = true, $no: Boolean!, $at: Int = 1, $unit: Unit)"
    text = f"{head} {{ {' '.join(roots)} ...unused @skip(if: true) }}"
    return f"{text} fragment unused on Query {{ sure {{ ...deep ...any }} }} {FRAGMENTS}"


def numbers(max_value: int) -> st.SearchStrategy[int]:
    return st.integers(0, max_value)


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    """Rows, of which some fail, and some have null where the schema does not allow it."""
    names = st.sampled_from(("a", "b", "é", ""))
    box = st.fixed_dictionaries(
        {
            "name": names | st.none(),
            "other": st.none(),
            "weight": st.sampled_from((1.5, 2.0, 1.5, None)),
        }
    )
    row = st.fixed_dictionaries(
        {
            "name": names | st.none(),
            "hard": st.sampled_from(("x", "y", "z", None)),
            "bad": st.booleans(),
            "other": numbers(4) | st.none(),
            "kids": st.lists(numbers(4), max_size=3),
            "perhaps_kids": st.lists(numbers(4) | st.none(), max_size=3),
            "box": box | st.none(),
        }
    )
    rows: list[Row] = draw(st.lists(row, max_size=4))
    return rows


def compiled_response(operation: Operation, rows: list[Row], variables: dict[str, Any]) -> Any:
    """Returns the response of the compiler: the data in the order of the document, and the paths of
    the errors."""
    result = asyncio.run(ENGINE.run(operation, variables, Env([dict(row) for row in rows])))
    return to_json(result.data), sorted(str(error["path"]) for error in result.errors)


def reference_response(text: str, rows: list[Row], variables: dict[str, Any]) -> Any:
    """Returns the response of graphql-core in the same form."""
    result = execute_sync(
        SCHEMA,
        parse(text),
        context_value=Env([dict(row) for row in rows]),
        variable_values=variables,
    )
    return to_json(result.data), sorted(str(error.path) for error in result.errors or ())


def to_json(data: Any) -> str:
    return orjson.dumps(data).decode()


def check_responses(text: str, rows: list[Row], variables: dict[str, Any]) -> None:
    """Checks the response of each renderer: the second time, the plan is compiled."""
    operation, expected = ENGINE.get_operation(text), reference_response(text, rows, variables)
    for _ in range(2):
        assert compiled_response(operation, rows, variables) == expected


def test_a_plan_is_compiled_when_it_is_used_again() -> None:
    rows = [blank("a")]
    operation = ENGINE.get_operation("{ things { name size } }")
    for is_compiled in (False, True, True):
        compiled_response(operation, rows, {})
        (((field,), _),) = operation.plans.values()
        assert (field._render is not None) is is_compiled


def test_a_column_of_the_wrong_length_is_an_error() -> None:
    fields = {**THING.fields, "name": Value(("name",), lambda names: names[1:])}
    engine = Engine(
        SCHEMA,
        Bindings({"Thing": TypeBinding(fields), "Box": BOX}, ENGINE._bindings.roots),
        lambda _error, _env: [Fault("broken", "broken")],
    )
    operation = engine.get_operation("{ things { name hard } }")
    for _ in range(3):
        result = asyncio.run(engine.run(operation, {}, Env([blank(name) for name in "abc"])))
        assert result.data
        names = [thing["name"] for thing in result.data["things"]]
        assert names == [None] * len(result.errors) != []
        assert {error["key"] for error in result.errors} == {"broken"}


VARIABLES = st.fixed_dictionaries(
    {"no": st.booleans()},
    optional={
        "yes": st.booleans(),
        "at": st.sampled_from((0, 1, 7, None)),
        "unit": st.sampled_from(("cm", "inch")),
    },
)


CASES = 300


@pytest.mark.slow
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), worlds(), VARIABLES)
@example(
    "{ things(first: 1) { a: someKids { name } b: someKids(first: 2) { name } } }",
    [{**blank("a"), "kids": [0, 0]}],
    {},
)
def test_random_documents_and_data(text: str, rows: list[Row], variables: dict[str, Any]) -> None:
    check_responses(text, rows, variables)


def test_the_numbers_in_the_documentation_match_the_code() -> None:
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "compiler.md").read_text(
        encoding="utf-8"
    )
    page = " ".join(page.split())
    limits = DocumentLimits()
    for sentence in (
        f"{limits.characters:,} characters, {MAX_LINES:,} line breaks, {limits.tokens:,} tokens and "
        f"{limits.depth} levels",
        f"`cache_bytes` ({document.CACHE_BYTES // 1024**2} MiB)",
        f"more than {document._LONG_CHARACTERS:,} characters",
        f"`make test-full` runs {CASES} cases",
    ):
        assert sentence in page


def test_a_document_is_cached_when_it_is_used_again() -> None:
    text = "{ count again: count }"
    first, second, third = (ENGINE.get_operation(text) for _ in range(3))
    assert first is not second
    assert second is third


def test_a_mutation_runs_in_order() -> None:
    text = 'mutation { a: count b: add(name: "x") { name hard other { name } } c: count }'
    response = compiled_response(ENGINE.get_operation(text), [blank("first")], {})
    assert response == reference_response(text, [blank("first")], {})
    assert json.loads(response[0])["c"] == 2


def test_introspection_together_with_data() -> None:
    text = """query($deep: Boolean!) { b: __schema { queryType { name } } count
        __type(name: "Box") { name fields @include(if: $deep) { name } } none: __type(name: "X") {
        name } }"""
    for deep in (True, False):
        response = compiled_response(ENGINE.get_operation(text), [blank("x")], {"deep": deep})
        assert response == reference_response(text, [blank("x")], {"deep": deep})


def test_each_relation_is_loaded_once_per_level() -> None:
    rows = [{**blank(str(n)), "kids": [0, 1, 2], "other": 1} for n in range(3)]
    text = (
        "{ things { kids { other { name } kids { name } } a: other { name } b: other { hard } } }"
    )
    env = Env(rows)
    result = asyncio.run(ENGINE.run(ENGINE.get_operation(text), {}, env))
    assert not result.errors
    assert env.loads == 4


def test_a_field_without_a_binding_raises() -> None:
    fields = {name: binding for name, binding in BOX.fields.items() if name != "weight"}
    with pytest.raises(TypeError, match=r"fields of Box: without a binding \['weight'\]"):
        Engine(
            SCHEMA,
            Bindings({"Thing": THING, "Box": TypeBinding(fields)}, ENGINE._bindings.roots),
            lambda _error, _env: [],
        )


def test_a_binding_of_several_columns_needs_a_function() -> None:
    for binding in (Value, Nested):
        with pytest.raises(TypeError, match="reads exactly one"):
            binding(("a", "b"))


def test_no_field_runs_if_arguments_are_invalid() -> None:
    def refuse(_arguments: Any) -> Any:
        raise RequestError(Fault("no", "no", ("unit",)))

    fields = {**THING.fields, "size": Value(("name",), prepare=refuse)}
    engine = Engine(
        SCHEMA,
        Bindings({"Thing": TypeBinding(fields), "Box": BOX}, ENGINE._bindings.roots),
        lambda _error, _env: [],
    )
    env = Env([])
    operation = engine.get_operation('mutation { add(name: "x") { size } }')
    result = asyncio.run(engine.run(operation, {}, env))
    assert not result.is_executed
    assert result.errors[0]["path"] == ["add"]
    assert env.rows == []
