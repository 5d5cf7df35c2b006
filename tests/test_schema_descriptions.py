"""Every type, field, argument, input field and enum value of a running server is described."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_specified_scalar_type,
)

from tests.support import Client
from tests.test_contract import CONTRACT, load_schema

# Words of a style that the language guide replaces with plain ones.
BANNED = (
    "anew amid asks beside besides dear ended gives holds keeps kept lest mend moment "
    "taken tells told whatever whereof whoever become became"
).split()
# No standard specifies its text, which depends on the argument `format`.
WITHOUT_SPECIFICATION = ("TimeStamp",)


def members(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Yield the path and the definition of each member of a schema, such as
    `Query.customers(first)`, without those of GraphQL itself."""
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield name, type_
        for value_name, value in getattr(type_, "values", {}).items():
            yield f"{name}.{value_name}", value
        for field_name, field in getattr(type_, "fields", {}).items():
            yield f"{name}.{field_name}", field
            for argument_name, argument in getattr(field, "args", {}).items():
                yield f"{name}.{field_name}({argument_name})", argument


def find_fault(path: str, description: str | None) -> str | None:
    """Return what is wrong with a description, or None."""
    if not description or not description.strip():
        return "has no description"
    if not re.match("[A-Z0-9`]", description) or not description.endswith("."):
        return "does not begin with a capital letter or end with a period"
    words = re.findall(r"[a-z]+", description.lower().replace("moment.js", ""))
    name = re.findall(r"[a-z]+", re.sub("([A-Z])", r" \1", re.split(r"[.(]", path)[-1]).lower())
    articles = {"a", "an", "the", "of", "this", "s"}
    if set(words) - articles <= set(name):
        return "repeats the name"
    banned = sorted(set(words) & set(BANNED))
    if banned:
        return f"has banned words: {', '.join(banned)}"
    long = [s for s in re.split(r"[.:;] ", description) if len(s.split()) > 30]
    return f"has a sentence of more than 30 words: {long[0]}" if long else None


def test_every_member_has_a_description(client: Client) -> None:
    served = dict(members(load_schema(client)))
    assert len(served) > 400
    faults = {path: find_fault(path, member.description) for path, member in served.items()}
    assert {path: fault for path, fault in faults.items() if fault} == {}


def test_the_descriptions_of_the_contract_are_served_word_for_word(client: Client) -> None:
    served = dict(members(load_schema(client)))
    for path, member in members(build_schema(CONTRACT.read_text(encoding="utf-8"))):
        # The field's other sentences are ours.
        if member.description is not None:
            assert served[path].description == member.description, path


def test_custom_scalars_have_a_specification(client: Client) -> None:
    scalars = [
        type_
        for type_ in load_schema(client).type_map.values()
        if isinstance(type_, GraphQLScalarType) and not is_specified_scalar_type(type_)
    ]
    urls = {scalar.name: scalar.specified_by_url for scalar in scalars}
    assert {name for name, url in urls.items() if url is None} == set(WITHOUT_SPECIFICATION)
    for url in filter(None, urls.values()):
        assert re.fullmatch(r"https://www\.rfc-editor\.org/rfc/rfc\d{4}(#section-[\d.]+)?", url)


@pytest.mark.parametrize(
    ("description", "fault"),
    [
        (None, "no description"),
        ("  ", "no description"),
        ("the tags", "capital letter"),
        ("The tags", "period"),
        ("The tags.", "repeats the name"),
        ("Whoever mends the tags.", "banned words: whoever"),
        (f"Tags {'and tags ' * 20}.", "more than 30 words"),
        ("Labels of the customer.", None),
    ],
)
def test_an_incomplete_description_is_detected(description: str | None, fault: str | None) -> None:
    found = find_fault("Customer.tags", description)
    assert fault in found if fault and found else found is fault
