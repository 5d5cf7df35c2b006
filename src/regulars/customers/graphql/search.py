"""The field that describes the search language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regulars.api.context import Context
from regulars.core.scopes import READ
from regulars.customers.search.keys import CUSTOM, KEYS, SEGMENT, WITHIN
from regulars.customers.search.parser import ORDER_KEYS
from regulars.graphql import Layouts, Nested, Resolve, TypeBinding, Value
from regulars.segments.definitions import name_key
from regulars.segments.expansion import as_value
from regulars.segments.searching import load_definitions

_OF_KEY = ("takes", "compared", "prefix", "values")


def search_language(layouts: Layouts) -> Resolve:
    """Resolve the keys, operators and limits of the search language. The values of `segment:` are
    the names of the segments, for a token that can read customers."""
    language_keys = {name: asdict(key) for name, key in {**KEYS, "custom.": CUSTOM}.items()}
    order = {"takes": "an order", "compared": False, "prefix": False}
    language_keys |= {name: {**order, "values": values} for name, values in ORDER_KEYS.items()}
    keys = [
        {"name": name, **{field: key[field] for field in _OF_KEY}}
        for name, key in language_keys.items()
    ]
    has_values = layouts.only.nested("keys", has_dict_rows=True).selects("values")

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        names: list[str] = []
        if has_values and READ in env.scopes:
            definitions = await load_definitions(env.directory.primary, env.account_id)
            names = sorted([each.name for each in definitions], key=name_key)
        values = list(map(as_value, names))
        with_names = [{**key, "values": values} if key["name"] == SEGMENT else key for key in keys]
        return {"keys": with_names, "words": list(WITHIN)}

    return resolve


TYPES: Mapping[str, TypeBinding] = {
    "SearchLanguage": TypeBinding(
        {"keys": Nested(("keys",)), "words": Value(("words",))}, has_dict_rows=True
    ),
    "SearchKey": TypeBinding(
        {name: Value((name,)) for name in ("name", *_OF_KEY)}, has_dict_rows=True
    ),
}
