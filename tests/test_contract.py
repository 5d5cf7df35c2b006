"""The served schema contains every type and field of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import (
    GraphQLNamedType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
    lexicographic_sort_schema,
    print_ast,
    print_schema,
)
from graphql.utilities.get_default_value_ast import get_default_value_ast

from tests.support import Client, run_regulars

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "docs" / "contract" / "schema.graphql"
ORIGINALS = ROOT.parent / "shared" / "contract"
# What the trash adds to the sentence on deletion.
TRASH = (
    ", within `trash_days` or immediately with `permanent`. "
    "Until then they are in the trash alone, and no other call finds them"
)


def describe(type_: GraphQLNamedType) -> dict[str, Any]:
    """Returns each field, argument, default, value and interface of a type as text."""
    parts: dict[str, Any] = {"kind": type(type_).__name__}
    for interface in getattr(type_, "interfaces", ()):
        parts[f"implements {interface.name}"] = True
    for value in getattr(type_, "values", ()):
        parts[f"value {value}"] = True
    for name, field in getattr(type_, "fields", {}).items():
        parts[f"{name}: {field.type}"] = _default(field)
        for argument, definition in getattr(field, "args", {}).items():
            parts[f"{name}({argument}: {definition.type})"] = _default(definition)
    return parts


def _default(definition: Any) -> str:
    default = get_default_value_ast(definition) if hasattr(definition, "default") else None
    return print_ast(default) if default else ""


def load_schema(client: Client) -> GraphQLSchema:
    query = get_introspection_query(specified_by_url=True)
    return build_client_schema(client.data(query))  # type: ignore[arg-type]  # the data of the query


def test_the_served_schema_contains_the_contract(client: Client) -> None:
    contract, schema = build_schema(CONTRACT.read_text(encoding="utf-8")), load_schema(client)
    for name, type_ in contract.type_map.items():
        if name.startswith("__"):
            continue
        assert name in schema.type_map
        required, actual = describe(type_), describe(schema.type_map[name])
        for part, value in required.items():
            assert actual.get(part) == value, (name, part)
        fields = set(getattr(type_, "fields", ()))
        added = [key for key in actual.keys() - required.keys() if "!" in key and "(" in key]
        extra = [key for key in added if key.partition("(")[0] in fields]
        assert not extra, f"{name} has required arguments that clients do not send: {extra}"


def test_the_contract_in_the_docs_equals_the_original_except_for_the_trash() -> None:
    copies = sorted(CONTRACT.parent.iterdir())
    assert [copy.name for copy in copies] == ["contract.md", "schema.graphql"]
    for copy in copies:
        original = ORIGINALS / copy.name  # outside of the repository
        if original.exists():
            copied = copy.read_text(encoding="utf-8")
            assert copied.count(TRASH) == (copy.suffix == ".md")
            assert copied.replace(TRASH, "") == original.read_text(encoding="utf-8").replace(
                TRASH, ""
            )


def test_the_command_schema_prints_the_served_schema(client: Client) -> None:
    result = run_regulars("schema")
    assert result.returncode == 0
    printed = lexicographic_sort_schema(build_schema(result.stdout))
    assert print_schema(printed) == print_schema(lexicographic_sort_schema(load_schema(client)))
