"""The schema that is served, compared with the contract type by type and field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import (
    GraphQLNamedType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
    print_ast,
)
from graphql.utilities.get_default_value_ast import get_default_value_ast

from tests.support import Client, run_regulars

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "docs" / "contract" / "schema.graphql"
ORIGINALS = ROOT.parent / "shared" / "contract"


def described(type_: GraphQLNamedType) -> dict[str, Any]:
    """A type taken apart: each field, argument, default, value and interface, as text."""
    found: dict[str, Any] = {"kind": type(type_).__name__}
    for interface in getattr(type_, "interfaces", ()):
        found[f"implements {interface.name}"] = True
    for value in getattr(type_, "values", ()):
        found[f"value {value}"] = True
    for name, field in getattr(type_, "fields", {}).items():
        found[f"{name}: {field.type}"] = _default(field)
        for argument, definition in getattr(field, "args", {}).items():
            found[f"{name}({argument}: {definition.type})"] = _default(definition)
    return found


def _default(definition: Any) -> str:
    default = get_default_value_ast(definition) if hasattr(definition, "default") else None
    return print_ast(default) if default else ""


def served(client: Client) -> GraphQLSchema:
    return build_client_schema(client.data(get_introspection_query()))  # type: ignore[arg-type]  # the answer is the query's


def test_the_schema_served_holds_the_contract(client: Client) -> None:
    contract, found = build_schema(CONTRACT.read_text(encoding="utf-8")), served(client)
    for name, type_ in contract.type_map.items():
        if name.startswith("__"):
            continue
        assert name in found.type_map
        promised, answered = described(type_), described(found.type_map[name])
        for place, value in promised.items():
            assert answered.get(place) == value, (name, place)
        fields = set(getattr(type_, "fields", ()))
        more = [key for key in answered.keys() - promised.keys() if "!" in key and "(" in key]
        extra = [key for key in more if key.partition("(")[0] in fields]
        assert not extra, f"{name} has required arguments that clients do not send: {extra}"


def test_the_description_of_every_contract_type_is_served(client: Client) -> None:
    contract, found = build_schema(CONTRACT.read_text(encoding="utf-8")), served(client)
    for name, type_ in contract.type_map.items():
        assert type_.description is None or found.type_map[name].description == type_.description


def test_the_contract_in_the_docs_equals_the_original_where_that_exists() -> None:
    copies = sorted(CONTRACT.parent.iterdir())
    assert [copy.name for copy in copies] == ["contract.md", "schema.graphql"]
    for copy in copies:
        original = ORIGINALS / copy.name  # it is outside of the repository
        if original.exists():
            assert copy.read_text(encoding="utf-8") == original.read_text(encoding="utf-8")


def test_the_command_schema_prints_what_is_served() -> None:
    printed = run_regulars("schema")
    assert printed.returncode == 0
    assert build_schema(printed.stdout)
    # They have more arguments: ifVersion, first, after.
    longer = ("  updateCustomer(", "  deleteCustomers(", "  leads: ", "  list: ")
    for line in CONTRACT.read_text(encoding="utf-8").splitlines():
        assert line.startswith(("#", *longer)) or line in printed.stdout
