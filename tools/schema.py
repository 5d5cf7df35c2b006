"""Writes the types of a customer in customers/schema.graphql from its fields, or checks them.

Use: tools/schema.py [--check]
"""

from __future__ import annotations

import dataclasses
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
    """A kind of field in the schema: its types in `Customer`, in `InputCustomer` and in
    `InputUpdateCustomer`, and the sentences that its descriptions in the latter two end with."""

    output: str
    create: str = ""
    update: str = ""
    create_rule: str = ""
    update_rule: str = ""


_KEPT = "Unchanged if omitted; null is an error."
_JSON = "At most 65,535 bytes as JSON, nested at most 32 levels deep."

_LIST = (
    "Replaces all existing ones: at most {max_count}. The id and the omitted properties of one that "
    f"the customer has stay. {_KEPT}"
)

OF_KIND: Mapping[type[kinds.Field], Types] = {
    kinds.Text: Types(
        ": String!",
        'String! = ""',
        "String",
        "At most {max_length:,} characters.",
        f"At most {{max_length:,}} characters. {_KEPT}",
    ),
    kinds.LongText: Types(
        ": String",
        "String",
        "String",
        "At most {max_length:,} characters, on one or more lines. Null if omitted.",
        "At most {max_length:,} characters, on one or more lines. Unchanged if omitted; null "
        "removes them.",
    ),
    kinds.Email: Types(
        ": Email!",
        "String!",
        "String",
        "At most 254 characters. Unique in the account, compared case-insensitively.",
        f"At most 254 characters. Unique in the account, compared case-insensitively. {_KEPT}",
    ),
    kinds.Phone: Types(
        ": String!",
        'String! = ""',
        "String",
        "At most {max_length:,} characters.",
        f"At most {{max_length:,}} characters. {_KEPT}",
    ),
    kinds.Flag: Types(": Boolean!", "Boolean! = false", "Boolean", "", _KEPT),
    kinds.Tags: Types(
        ": [String!]!",
        "[String!]! = []",
        "[String!]",
        "At most {max_count} of at most {max_length} characters. Empty ones and exact duplicates "
        "are removed.",
        "Replaces all existing ones: at most {max_count} of at most {max_length} characters. Empty "
        f"ones and exact duplicates are removed. {_KEPT}",
    ),
    kinds.ExternalIds: Types(
        ": [ExternalId!]!",
        "[InputExternalId!]",
        "[InputExternalId!]",
        "At most 50. Each identifies one customer of the account. Exact duplicates are ignored. Null "
        "is an error.",
        f"Replaces all existing ones: at most 50. Each identifies one customer of the account. "
        f"{_KEPT}",
    ),
    kinds.Emails: Types(
        ": [EmailAddress!]!",
        "[InputEmailAddress!]",
        "[InputEmailAddress!]",
        "At most {max_count}. `email` is the default; with an empty `email`, the list has the "
        "default. Null is an error.",
        _LIST,
    ),
    kinds.Phones: Types(
        ": [PhoneNumber!]!",
        "[InputPhoneNumber!]",
        "[InputPhoneNumber!]",
        "At most {max_count}. `phone` is the default; with an empty `phone`, the list has the "
        "default. Null is an error.",
        _LIST,
    ),
    kinds.Json: Types(
        ": CustomFields",
        "CustomFields",
        "CustomFields",
        f"{_JSON} Null if omitted.",
        "Merged key by key: omitted keys keep their values, and null removes a key (RFC 7396). "
        f"{_JSON} Unchanged if omitted; null removes all.",
    ),
    kinds.Address: Types(
        ": Address",
        "InputAddress",
        "InputAddress",
        "Null if omitted.",
        "Merged part by part: omitted parts keep their values, and null removes a part. Unchanged "
        "if omitted; null removes the address.",
    ),
    kinds.Addresses: Types(
        ": [AddressEntry!]!",
        "[InputAddressEntry!]",
        "[InputAddressEntry!]",
        "At most 100. Cannot be combined with `shipping_address` or `billing_address`. Null is an "
        "error.",
        "Replaces the list: at most 100. Omitted values of an entry are those of the present one "
        "with its id or its address. Cannot be combined with `shipping_address` or `billing_address`. "
        f"{_KEPT}",
    ),
    kinds.Timestamp: Types('(format: String = "fromNow", suffix: Boolean = true): TimeStamp!'),
    kinds.Money: Types(": Float!"),
    kinds.Count: Types(": Int!"),
    kinds.FullName: Types(": String!"),
    kinds.Location: Types(": String"),
    kinds.Avatar: Types(": String!"),
}

LEADS = """\
  "Messages of the customer, newest first."
  leads(
    "Number of messages, 0 to 250. Null or omitted: all messages."
    first: Int
    "Id of a lead: only leads that follow it in the list. Null or omitted: from the start."
    after: ID
  ): [Lead!]!
"""
SUMMARY = """\
  "Visits and orders of the customer."
  summary: CustomerSummary!
"""
CHANGES = """\
  "History of the customer, newest first."
  changes(first: Int, after: String): CustomerChangeConnection!
"""
IDS = """\
  "Id of an existing customer: its global id, its `_id`, or its id in another system."
  id: ID
  "The `_id` of an existing customer. If `id` is set too, both must identify the same customer."
  _id: Int
  "The version that you have read. If the customer has another version, the row is rejected with `errors_version_conflict`; if it would create a customer, with `errors_customer_not_found`."
  if_version: Int
"""
ADDED = (
    "Identify the customer, and are added to those that it has: at most 50 in all. Unchanged if "
    "omitted; null is an error."
)
# Members of `Customer` that are no fields, by the name of the field that they precede.
OBJECTS = {"custom": SUMMARY, "tags": LEADS}
# The order of the first release; other fields follow.
CREATE_ORDER = (
    "email phone first_name last_name accepts_marketing shipping_address billing_address tags "
    "notes custom"
)


def output_lines() -> Iterable[str]:
    """Yield the fields of `Customer`."""
    for field in FIELDS:
        if field.in_api:
            if not field.description:
                sys.exit(f"The field {field.name!r} in customers/fields.py has no description.")
            types = OF_KIND[type(field)]
            yield OBJECTS.get(field.name, "")
            yield f'  "{field.description}"\n  {field.name}{types.output}\n'


def input_line(field: kinds.Field, type_: str, rule: str) -> str:
    """Return a field of an input type: the first sentence of its description, then its rule."""
    first_sentence = field.description.partition(". ")[0].removesuffix(".")
    options = {option.name: getattr(field, option.name) for option in dataclasses.fields(field)}
    description = f"{first_sentence}. {rule.format_map(options)}".strip()
    return f'  "{description}"\n  {field.name}: {type_}\n'


def update_lines() -> Iterable[str]:
    """Yield the fields of an update."""
    for field in WRITABLE:
        types = OF_KIND[type(field)]
        yield input_line(field, types.update, types.update_rule)


def create_lines() -> Iterable[str]:
    """Yield the fields of `InputCustomer`."""
    by_name = {field.name: field for field in WRITABLE}
    for name in in_order(CREATE_ORDER, names_of(WRITABLE)):
        field = by_name[name]
        types = OF_KIND[type(field)]
        yield input_line(field, types.create, types.create_rule)


def set_lines() -> Iterable[str]:
    """Yield the fields of a row of `setCustomers`."""
    for field in WRITABLE:
        types = OF_KIND[type(field)]
        is_added = isinstance(field, kinds.ExternalIds)
        yield input_line(field, types.update, ADDED if is_added else types.update_rule)


def blocks() -> dict[str, str]:
    """Return the members of each type, by the type's first line."""
    return {
        "type Customer implements Node {\n": (
            "  id: ID!\n  _id: Int!\n" + "".join(output_lines()) + CHANGES
        ),
        "input InputCustomer {\n": "".join(create_lines()),
        "input InputUpdateCustomer {\n": "".join(update_lines()),
        "input InputSetCustomer {\n": IDS + "".join(set_lines()),
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
        print("customers/schema.graphql does not match customers/fields.py. Run: make docs")
        return 1
    SCHEMA.write_text(expected, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run("--check" in sys.argv))
