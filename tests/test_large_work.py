"""What counts as large: work that must not run in the event loop."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.customers.commands import CreateCustomer
from regulars.store.large_work import LARGE_CHARACTERS, SMALL_JSON_BYTES, is_large, text_size
from tests.support import example_count

KEYS = st.sampled_from(["", "a", "b"])
JSON = st.recursive(
    st.sampled_from([None, True, 0, 12, "", "a", "é山", "\n", "x" * 20]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, JSON, max_size=3))
@settings(max_examples=example_count(200))
def test_json_has_at_least_half_as_many_bytes_as_its_text_counts(variables: Any) -> None:
    assert text_size(variables, 10**9) <= 2 * len(orjson.dumps(variables))


def test_small_json_is_never_large() -> None:
    most_values = [0] * ((SMALL_JSON_BYTES - 2) // 2)
    body = orjson.dumps({"": most_values})
    assert len(body) > SMALL_JSON_BYTES - 8
    assert not is_large({"": most_values[: -(len(body) - SMALL_JSON_BYTES)]})
    assert is_large({"": [0] * (SMALL_JSON_BYTES // 2 + 1)})


@pytest.mark.parametrize("name", ["notes", "tags", "custom"])
def test_a_customer_with_much_searched_text_is_large(name: str) -> None:
    def create(characters: int) -> CreateCustomer:
        words = [f"{number:05}" for number in range(characters // 6)]
        text = {
            "notes": " ".join(words),
            "tags": [" ".join(words[at : at + 30]) for at in range(0, len(words), 30)][:50],
            "custom": {word: word for word in words},
        }
        return CreateCustomer.from_node({"email": "ana@example.com", name: text[name]}, 0)

    assert not create(300).is_large
    assert create(LARGE_CHARACTERS + 1_000).is_large
