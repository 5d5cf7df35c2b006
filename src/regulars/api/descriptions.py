"""Descriptions of the fields and arguments that many types of the schema have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphql import FieldDefinitionNode, InputValueDefinitionNode, StringValueNode, print_ast

# By name and type. A description in a file `schema.graphql` takes precedence.
_ARGUMENTS: Mapping[tuple[str, str], str] = {
    ("format", "String"): "`fromNow`, `ISO`, or text with moment.js tokens such as `YYYY-MM-DD`, "
    "at most 255 characters. Null means `fromNow`.",
    ("suffix", "Boolean"): "Whether `fromNow` has `ago` or `in`. It has no effect on other "
    "formats. Null means true.",
    ("first", "Int"): "Number of rows, 0 to 250. The default is 25. The operator can change the "
    "maximum.",
    ("after", "String"): "Cursor of a row: the page starts after it. Null and an empty text mean "
    "the start of the list.",
}
_FIELDS: Mapping[tuple[str, str], str] = {
    ("id", "ID!"): "Base64 of `{type}:<_id>`.",
    ("_id", "Int!"): "Positive integer, unique for its type within the account. It is never "
    "reused, not even after a delete.",
    ("pageInfo", "PageInfo!"): "The position of the page in the list.",
}


def describe_fields(
    type_name: str, fields: tuple[FieldDefinitionNode, ...]
) -> tuple[FieldDefinitionNode, ...]:
    """Return the fields of a type. Those without a description, and their arguments without one,
    get the common description of their name and type, if there is one."""
    return tuple(
        replace(
            field,
            description=field.description or _lookup(_FIELDS, field, type_name),
            arguments=tuple(
                replace(a, description=a.description or _lookup(_ARGUMENTS, a, type_name))
                for a in field.arguments or ()
            ),
        )
        for field in fields
    )


def _lookup(
    descriptions: Mapping[tuple[str, str], str],
    node: FieldDefinitionNode | InputValueDefinitionNode,
    type_name: str,
) -> Any:
    text = descriptions.get((node.name.value, print_ast(node.type)))
    return None if text is None else StringValueNode(value=text.replace("{type}", type_name))
