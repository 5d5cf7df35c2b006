"""Writes the types of a customer in customers/schema.graphql from its fields, or checks them.

Use: tools/schema.py [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from regulars.core import fields as kinds
from regulars.core.fields import in_order, names_of
from regulars.customers.fields import FIELDS, WRITABLE

SCHEMA = Path(__file__).parents[1] / "src" / "regulars" / "customers" / "schema.graphql"


class Types(NamedTuple):
    """The types of a kind of field: in `Customer`, in `InputCustomer`, in `InputUpdateCustomer`."""

    output: str
    create: str = ""
    update: str = ""


OF_KIND: Mapping[type[kinds.Field], Types] = {
    kinds.Text: Types(": String!", 'String! = ""', "String"),
    kinds.LongText: Types(": String", "String", "String"),
    kinds.Email: Types(": Email!", "String!", "String"),
    kinds.Phone: Types(": String!", 'String! = ""', "String"),
    kinds.Flag: Types(": Boolean!", "Boolean! = false", "Boolean"),
    kinds.Tags: Types(": [String!]!", "[String!]! = []", "[String!]"),
    kinds.Json: Types(": CustomFields", "CustomFields", "CustomFields"),
    kinds.Address: Types(": Address", "InputAddress", "InputAddress"),
    kinds.Timestamp: Types('(format: String = "fromNow", suffix: Boolean = true): TimeStamp!'),
    kinds.Money: Types(": Float!"),
    kinds.Count: Types(": Int!"),
    kinds.FullName: Types(": String!"),
    kinds.Location: Types(": String"),
    kinds.Avatar: Types(": String!"),
}

LEADS = """\
  "Newest first."
  leads(
    "At most so many. Without it, all of them."
    first: Int
    "The `id` of a lead: only those that follow it in the list."
    after: ID
  ): [Lead!]!
"""
# Members of `Customer` that are no fields, by the name of the field that they precede.
OBJECTS = {"custom": "  summary: CustomerSummary!\n", "tags": LEADS}
# The order of the first release; other fields follow.
CREATE_ORDER = (
    "email phone first_name last_name accepts_marketing shipping_address billing_address tags "
    "notes custom"
)


def output_lines() -> Iterable[str]:
    """Yield the fields of `Customer`."""
    for field in FIELDS:
        if field.in_api:
            description = f'  "{field.description}"\n' if field.description else ""
            types = OF_KIND[type(field)]
            yield f"{OBJECTS.get(field.name, '')}{description}  {field.name}{types.output}\n"


def update_lines() -> Iterable[str]:
    """Return the fields of an update."""
    return (f"  {field.name}: {OF_KIND[type(field)].update}\n" for field in WRITABLE)


def create_lines() -> Iterable[str]:
    """Yield the fields of `InputCustomer`."""
    by_name = {field.name: field for field in WRITABLE}
    for name in in_order(CREATE_ORDER, names_of(WRITABLE)):
        yield f"  {name}: {OF_KIND[type(by_name[name])].create}\n"


def blocks() -> dict[str, str]:
    """Return the members of each type, by the type's first line."""
    return {
        "type Customer implements Node {\n": (
            '  "Base64 of `Customer:<_id>`."\n  id: ID!\n  _id: Int!\n'
            + "".join(output_lines())
            + '  "What happened to the customer, newest first: 25 changes unless `first` says '
            'otherwise."\n  changes(first: Int, after: String): CustomerChangeConnection!\n'
        ),
        "input InputCustomer {\n": "".join(create_lines()),
        "input InputUpdateCustomer {\n": "".join(update_lines()),
        "input InputSetCustomer {\n": "  id: ID\n  _id: Int\n" + "".join(update_lines()),
    }


def update_schema(schema: str) -> str:
    """Return the schema with the types that follow from the fields."""
    for head, lines in blocks().items():
        start = schema.index(head) + len(head)
        end = re.compile("^}", re.MULTILINE).search(schema, start)
        assert end
        schema = schema[:start] + lines + schema[end.start() :]
    return schema


def run(check: bool) -> int:
    """Write the schema, or check it; return the exit code."""
    current = SCHEMA.read_text(encoding="utf-8")
    expected = update_schema(current)
    if expected == current:
        return 0
    if check:
        print("customers/schema.graphql is not what customers/fields.py says. Run: make docs")
        return 1
    SCHEMA.write_text(expected, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run("--check" in sys.argv))
