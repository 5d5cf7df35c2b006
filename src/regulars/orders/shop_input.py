"""Clean the input of orders, leads and visits into values as they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from regulars.core.dates import parse_timestamp
from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.money import units
from regulars.core.text import clean
from regulars.customers import addresses, custom
from regulars.customers.field_rules import Values
from regulars.customers.values import clean_tags, clean_values

# Amounts up to this are exact as JSON numbers, to four decimal places.
MAX_AMOUNT = 5 * 10**11
NAME_LENGTH = 255
SUBJECT_LENGTH = 1_000
MESSAGE_LENGTH = 65_535

AMOUNTS = ("total", "refunded_amount", "paid")
TIMESTAMPS = ("created_at", "cancelled_at")
ADDRESSES = ("shipping_address", "billing_address")
PERSON = ("email", "phone", "first_name", "last_name", *ADDRESSES)
_CLEARABLE = ("referrer", "cancelled_at", "paid", *PERSON[1:])
_CURRENCY = re.compile(r"[A-Z]{3}")


def clean_order(node: Mapping[str, Any], path: InputPath) -> tuple[Values, Values, list[Problem]]:
    """Return the columns of an order, those of its customer, and all problems. Only the fields in
    `node` are present."""
    values: Values = {}
    problems: list[Problem] = []
    for name, value in node.items():
        value_path = (*path, name)
        if name in PERSON:
            continue
        if value is None:
            if name in _CLEARABLE:
                values[name] = None
            else:
                problems.append(_null_problem(name, value_path))
        elif name in AMOUNTS:
            values[name], error = parse_amount(value)
            if error:
                problems.append(InvalidInput(f"The {name} {error}", value_path))
        elif name in TIMESTAMPS:
            values[name] = parse_timestamp(value)
            if values[name] is None:
                problems.append(InvalidInput(_INVALID_TIMESTAMP % name, value_path))
        elif name == "tags":
            tags, tag_problems = clean_tags(value, value_path)
            values["tags"] = orjson.dumps(tags).decode()
            problems += tag_problems
        elif name == "currency":
            values[name] = value.strip().upper()
            if not _CURRENCY.fullmatch(values[name]):
                message = "`currency` must be an ISO 4217 code: three letters, such as MAD or EUR."
                problems.append(InvalidInput(message, value_path))
        elif name in ("name", "referrer"):
            values[name], error = clean(value, NAME_LENGTH)
            error = error or (None if values[name] or name == "referrer" else "is empty.")
            if error:
                problems.append(InvalidInput(f"The {name} {error}", value_path))
        elif name in ("test", "financial_status", "fulfillment_status"):
            values[name] = value  # checked by its GraphQL type, or set by `shop_events`
        else:  # a value that no rule has checked is never stored
            raise LookupError(f"No rule for the field {name!r}.")
    person, person_problems = clean_person(node, path)
    if person.get("email"):
        values["email"] = person["email"]
    return values, person, [*problems, *person_problems]


def clean_lead(node: Mapping[str, Any], path: InputPath) -> tuple[Values, Values, list[Problem]]:
    """Return the columns of a lead, those of its customer, and all problems."""
    values: Values = {}
    problems: list[Problem] = []
    for name, max_length in (("subject", SUBJECT_LENGTH), ("message", MESSAGE_LENGTH)):
        if name in node:
            values[name], error = clean(node[name] or "", max_length, lines=name == "message")
            if error:
                problems.append(InvalidInput(f"The {name} {error}", (*path, name)))
    if node.get("created_at") is not None:
        values["created_at"] = parse_timestamp(node["created_at"])
        if values["created_at"] is None:
            problems.append(InvalidInput(_INVALID_TIMESTAMP % "created_at", (*path, "created_at")))
    if node.get("custom") is not None:
        custom_path = (*path, "custom")
        custom_problems = custom.check(node["custom"], custom_path)
        if not custom_problems:
            values["custom"], custom_problems = custom.dump(node["custom"], custom_path)
        problems += custom_problems
    person, person_problems = clean_person(node, path)
    return values, person, [*problems, *person_problems]


def clean_order_details(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names, phone and addresses that an order itself contains, as they are stored with
    it. Null becomes an empty value. They do not depend on the customer's own."""
    input_values = {name: node[name] for name in PERSON if name in node and name != "email"}
    person, _ = clean_person(input_values, ())
    details: dict[str, Any] = {}
    for name in input_values:
        if name in ADDRESSES:
            details[name] = addresses.merge(None, person.get(name)) or {}
        else:
            details[name] = person.get(name, "")
    return details


def clean_person(node: Mapping[str, Any], path: InputPath) -> tuple[Values, list[Problem]]:
    """Return the columns of the customer of an order or lead, and all problems. Null is ignored."""
    return clean_values({name: node[name] for name in PERSON if node.get(name) is not None}, path)


def _null_problem(name: str, path: InputPath) -> InvalidInput:
    return InvalidInput(f"`{name}` cannot be null. Omit it to keep the stored value.", path)


_INVALID_TIMESTAMP = (
    "`%s` is not a timestamp. Write it as `2024-03-18T14:20:37Z`, or `2024-03-18 14:20:37` in UTC."
)


def parse_amount(amount: float | int) -> tuple[int, str | None]:
    """Return a JSON number in units of 1/10,000, and the error if it is not a valid amount."""
    if not 0 <= amount <= MAX_AMOUNT:
        return 0, f"must be between 0 and {MAX_AMOUNT:,}."
    try:
        return units(Decimal(repr(amount))), None
    except ValueError:
        return 0, "has more than four decimal places. Round it."


def clean_address(address: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return an address as it is stored with an order, without its invalid parts; None if nothing
    remains."""
    parts, problems = addresses.clean_patch(
        {name: address[name] for name in addresses.PARTS if isinstance(address.get(name), str)}
        if address
        else {},
        (),
    )
    invalid_names = {problem.input_path[-1] for problem in problems}
    return {
        name: value for name, value in parts.items() if value and name not in invalid_names
    } or None


def clean_address_patch(
    address: Mapping[str, Any], path: InputPath
) -> tuple[dict[str, str | None], list[Problem]]:
    """Return the patch that a complete address makes of a stored one, and a problem for each part
    that is not a text. An empty part is removed; a missing or invalid part stays."""
    parts = {name: address[name] for name in addresses.PARTS if name in address}
    texts = {name: value for name, value in parts.items() if value is None or type(value) is str}
    patch, problems = addresses.clean_patch(texts, path)
    invalid_names = {problem.input_path[-1] for problem in problems}
    return {name: value for name, value in patch.items() if name not in invalid_names}, [
        InvalidInput(f"{name} is not a text.", (*path, name))
        for name in parts.keys() - texts.keys()
    ]
