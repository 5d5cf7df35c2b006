"""The field of Query with the rules of a country's addresses, and the problems of an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api.context import Context
from regulars.customers.address_rules import as_row, problems_of, rules_of
from regulars.graphql import Layouts, Nested, PerRow, Resolve, TypeBinding, Value


def address_rules(_layouts: Layouts) -> Resolve:
    """Resolves the rules of a country."""

    async def resolve(_env: Context, arguments: dict[str, Any]) -> Any:
        return as_row(rules_of(arguments["country"], ("country",)))

    return resolve


def _problems(address: Mapping[str, str]) -> list[dict[str, str]]:
    return [problem._asdict() for problem in problems_of(address)]


PROBLEMS = Nested(("parts",), PerRow(_problems))

TYPES: Mapping[str, TypeBinding] = {
    "AddressProblem": TypeBinding(
        {name: Value((name,)) for name in ("part", "problem", "message")}, has_dict_rows=True
    ),
    "AddressRules": TypeBinding(
        {
            **{
                name: Value((name,))
                for name in (
                    *("country", "format", "required", "labels"),
                    *("zip_pattern", "zip_examples"),
                )
            },
            "states": Nested(("states",)),
        },
        has_dict_rows=True,
    ),
    "AddressState": TypeBinding(
        {name: Value((name,)) for name in ("code", "name")}, has_dict_rows=True
    ),
}
