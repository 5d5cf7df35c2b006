"""The field that describes the search language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regulars.api.context import Context
from regulars.customers.search.keys import CUSTOM, KEYS, WITHIN
from regulars.customers.search.parser import ORDER_KEYS
from regulars.graphql import Layouts, Nested, Resolve, TypeBinding, Value

_OF_KEY = ("takes", "compared", "prefix", "values")


def search_language(_layouts: Layouts) -> Resolve:
    """Resolve the keys, operators and limits of the search language."""
    language_keys = {name: asdict(key) for name, key in {**KEYS, "custom.": CUSTOM}.items()}
    order = {"takes": "an order", "compared": False, "prefix": False}
    language_keys |= {name: {**order, "values": values} for name, values in ORDER_KEYS.items()}
    keys = [
        {"name": name, **{field: key[field] for field in _OF_KEY}}
        for name, key in language_keys.items()
    ]
    language = {"keys": keys, "words": list(WITHIN)}

    async def resolve(_env: Context, _arguments: dict[str, Any]) -> Any:
        return language

    return resolve


TYPES: Mapping[str, TypeBinding] = {
    "SearchLanguage": TypeBinding(
        {"keys": Nested(("keys",)), "words": Value(("words",))}, has_dict_rows=True
    ),
    "SearchKey": TypeBinding(
        {name: Value((name,)) for name in ("name", *_OF_KEY)}, has_dict_rows=True
    ),
}
