"""The examples of the search guide work, and the search reference is complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

from regulars.core.limits import DEFAULTS
from regulars.customers.search.keys import KEYS, WITHIN
from regulars.customers.search.parser import MAX_DEPTH, MAX_TERMS
from tests.support import Client

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "use" / "search.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "search.md").read_text(encoding="utf-8")


def test_the_guide_shows_real_results(client: Client) -> None:
    (document,) = re.findall(r"```graphql\n(.*?)```", GUIDE, re.DOTALL)
    (nodes,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    for node in json.loads(nodes):
        client.create(**node)
    rows = re.findall(r"^\| `(.*)` \| ([^|]*) \|$", GUIDE, re.MULTILINE)
    assert len(rows) > 40
    for query, expected in rows:
        names = [] if expected == "no customers" else expected.split(", ")
        page = client.page("first_name", query=f"{query} order_dir:asc")
        assert [edge["node"]["first_name"] for edge in page["edges"]] == names, query
        assert client.data(document, query=query)["customers"]["totalCount"] == len(names)


def test_the_guide_shows_real_errors(client: Client) -> None:
    (document,) = re.findall(r"```graphql\n(.*?)```", GUIDE, re.DOTALL)
    rows = re.findall(r"^\| `(.*)` \| (\d+) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 6
    for query, position, message in rows:
        error = client.expect_error("errors_invalid_query", document, query=query)
        assert error["message"] == message
        assert error["extensions"]["position"] == int(position)


def test_the_reference_lists_every_key_and_limit() -> None:
    for key in (*KEYS, *WITHIN, "custom.KEY", "order_by", "order_dir"):
        assert f"`{key}" in REFERENCE, key
    for limit in (DEFAULTS.search_characters, MAX_TERMS, MAX_DEPTH):
        assert f"{limit:,}" in REFERENCE


def test_the_reference_lists_every_expected_value() -> None:
    modules = (ROOT / "src" / "regulars" / "customers" / "search").glob("*.py")
    code = "".join(module.read_text(encoding="utf-8") for module in modules)
    expected = set(re.findall(r'syntax_error\([^()]*?, "((?:an?|the|another|true) [^"]*)"', code))
    assert len(expected) > 15
    for text in expected:
        assert f"`{text}`" in REFERENCE, text
