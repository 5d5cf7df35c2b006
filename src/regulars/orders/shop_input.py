"""What somebody tells of orders, messages and visits, cleaned into values as they are kept."""

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
MOMENTS = ("created_at", "cancelled_at")
ADDRESSES = ("shipping_address", "billing_address")
PERSON = ("email", "phone", "first_name", "last_name", *ADDRESSES)
_CLEARABLE = ("referrer", "cancelled_at", "paid", *PERSON[1:])
_CURRENCY = re.compile(r"[A-Z]{3}")


def clean_order(node: Mapping[str, Any], path: InputPath) -> tuple[Values, Values, list[Problem]]:
    """An order as somebody tells it: the columns of the order, those of its customer, and
    everything that is wrong with them. Only what `node` names is there."""
    values: Values = {}
    problems: list[Problem] = []
    for name, given in node.items():
        here = (*path, name)
        if name in PERSON:
            continue
        if given is None:
            if name in _CLEARABLE:
                values[name] = None
            else:
                problems.append(_null(name, here))
        elif name in AMOUNTS:
            values[name], wrong = amount(given)
            if wrong:
                problems.append(InvalidInput(f"The {name} {wrong}", here))
        elif name in MOMENTS:
            values[name] = parse_timestamp(given)
            if values[name] is None:
                problems.append(InvalidInput(_NO_MOMENT % name, here))
        elif name == "tags":
            tags, found = clean_tags(given, here)
            values["tags"] = orjson.dumps(tags).decode()
            problems += found
        elif name == "currency":
            values[name] = given.strip().upper()
            if not _CURRENCY.fullmatch(values[name]):
                message = "The currency is not a code of ISO 4217: three letters, as in MAD or EUR."
                problems.append(InvalidInput(message, here))
        elif name in ("name", "referrer"):
            values[name], wrong = clean(given, NAME_LENGTH)
            wrong = wrong or (None if values[name] or name == "referrer" else "is empty.")
            if wrong:
                problems.append(InvalidInput(f"The {name} {wrong}", here))
        elif name in ("test", "financial_status", "fulfillment_status"):
            values[name] = given  # checked by its GraphQL type, or made by `shop_events`
        else:  # a value that no rule has checked is never stored
            raise LookupError(f"No rule for the field {name!r}.")
    person, found = clean_person(node, path)
    if person.get("email"):
        values["email"] = person["email"]
    return values, person, [*problems, *found]


def clean_lead(node: Mapping[str, Any], path: InputPath) -> tuple[Values, Values, list[Problem]]:
    """A message as somebody tells it: as `clean_order`."""
    values: Values = {}
    problems: list[Problem] = []
    for name, most in (("subject", SUBJECT_LENGTH), ("message", MESSAGE_LENGTH)):
        if name in node:
            values[name], wrong = clean(node[name] or "", most, lines=name == "message")
            if wrong:
                problems.append(InvalidInput(f"The {name} {wrong}", (*path, name)))
    if node.get("created_at") is not None:
        values["created_at"] = parse_timestamp(node["created_at"])
        if values["created_at"] is None:
            problems.append(InvalidInput(_NO_MOMENT % "created_at", (*path, "created_at")))
    if node.get("custom") is not None:
        here = (*path, "custom")
        found = custom.check(node["custom"], here)
        if not found:
            values["custom"], found = custom.dump(node["custom"], here)
        problems += found
    person, found = clean_person(node, path)
    return values, person, [*problems, *found]


def order_details(node: Mapping[str, Any]) -> dict[str, Any]:
    """What an order itself says of its customer's names, phone and addresses, as it is kept: empty
    where it says that there is none. It is told with the order, whatever the customer has."""
    said = {name: node[name] for name in PERSON if name in node and name != "email"}
    person, _ = clean_person(said, ())
    texts = {name: person.get(name, "") for name in said if name not in ADDRESSES}
    kept = {
        name: addresses.merge(None, person.get(name)) or {} for name in said if name in ADDRESSES
    }
    return {**texts, **kept}


def clean_person(node: Mapping[str, Any], path: InputPath) -> tuple[Values, list[Problem]]:
    """What is told of the customer. What is null is not told."""
    told = {name: node[name] for name in PERSON if node.get(name) is not None}
    return clean_values(told, path)


def _null(name: str, path: InputPath) -> InvalidInput:
    return InvalidInput(f"{name} cannot be null. Leave it out to keep what it is.", path)


_NO_MOMENT = (
    "The %s is not a moment: write it as in 2024-03-18T14:20:37Z, or 2024-03-18 14:20:37 in UTC."
)


def amount(given: float | int) -> tuple[int, str | None]:
    """A JSON number as an amount that is kept, and what is wrong with it, if anything."""
    if not 0 <= given <= MAX_AMOUNT:
        return 0, f"is not an amount from 0 to {MAX_AMOUNT:,}."
    try:
        return units(Decimal(repr(given))), None
    except ValueError:
        return 0, "has more than four decimal places. Round it."


def address(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """An address as it is kept with an order; None for an empty one, or one that is none."""
    kept, problems = addresses.clean_patch(
        {name: given[name] for name in addresses.PARTS if isinstance(given.get(name), str)}
        if given
        else {},
        (),
    )
    wrong = {problem.input_path[-1] for problem in problems}
    return {name: value for name, value in kept.items() if value and name not in wrong} or None


def address_patch(
    given: Mapping[str, Any], path: InputPath
) -> tuple[dict[str, str | None], list[Problem]]:
    """What an address that is told as a whole changes of one that is kept, and which parts are no
    texts: a part that is empty is removed; one that is not told, or cannot be kept, stays."""
    told = {name: given[name] for name in addresses.PARTS if name in given}
    texts = {name: value for name, value in told.items() if value is None or type(value) is str}
    kept, problems = addresses.clean_patch(texts, path)
    wrong = {problem.input_path[-1] for problem in problems}
    return {name: value for name, value in kept.items() if name not in wrong}, [
        InvalidInput(f"{name} is not a text.", (*path, name)) for name in told.keys() - texts.keys()
    ]
