"""Imported values without control characters and long runs of combining marks.

The row is imported with a warning instead of being rejected (docs/contract/contract.md, "Writes").
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.core.errors import InvalidInput
from regulars.core.external_ids import ExternalId
from regulars.customers.bulk import RowWarning, SetRow
from regulars.transfer.import_options import Options
from regulars.transfer.importer import Tally
from regulars.transfer.input_file import open_input
from regulars.transfer.records import Record
from regulars.transfer.remote_customers import row_of
from regulars.transfer.source import Source
from regulars.transfer.uploads import problems_to_json
from tests.support import Client, copy_sqlite_template, example_count
from tests.test_import import Shop
from tests.test_import_http import ended, send

MARK = "\u0301"
TEXTS = ("first_name", "last_name", "phone", "notes", "tags", "name", "id")
PARTS = ("line1", "city", "first_name", "zip", "phone", "email", "name")
# Short enough for every field, and mostly of what is refused in API input.
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x00\t\n\r\x0b\x1b\x1f\x7f\x85\x9f ,\"'a"),
        st.sampled_from([MARK, "\u0323", "\u0345"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=20,
).map(lambda text: text + MARK * 35 * text.count(MARK))


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def rows_of(content: str, form: str) -> list[SetRow]:
    file = io.BytesIO(content.encode())
    with open_input(f"a.{form}", "utf-8" if form == "csv" else None, file, form) as stream:
        source = Source(stream, Options(format=form))
        return [source.shape.row(record) for record in source.records]


def csv_of(row: dict[str, str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([row.keys(), row.values()])
    return out.getvalue()


def assert_stored(row: SetRow) -> None:
    """Nothing is wrong with a row, and no value has what API input may not have."""
    assert row.problems == ()
    for name, value in row.values.items():
        for text in json.loads(json.dumps([value])) if name == "custom" else _texts(value):
            if isinstance(text, str):
                allowed = "\t\n\r" if name == "notes" else ""
                assert not [c for c in text if unicodedata.category(c) == "Cc" and c not in allowed]
                assert MARK * 31 not in unicodedata.normalize("NFD", text)
    assert "\\u0000" not in json.dumps(row.values.get("custom"))


def _texts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


ROW = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXTS, HOSTILE),
        **{f"shipping_address.{part}": HOSTILE for part in PARTS},
        "custom.loyalty": HOSTILE,
    },
)


@settings(max_examples=example_count(200), deadline=None)
@given(ROW)
def test_no_text_of_a_csv_file_is_rejected_for_its_characters(row: dict[str, str]) -> None:
    (parsed,) = rows_of(csv_of({"email": "a@x.test", **row}), "csv")
    assert_stored(parsed)


JSON_VALUE = st.recursive(
    HOSTILE | st.none() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=example_count(200), deadline=None)
@given(
    ROW,
    st.lists(HOSTILE, max_size=3),
    st.dictionaries(HOSTILE, JSON_VALUE, max_size=3),
)
@example({"shipping_address.line1": "0\r\0"}, [], {})
def test_no_text_of_json_lines_is_rejected_for_its_characters(
    row: dict[str, str], tags: list[str], custom: dict[str, Any]
) -> None:
    # A name that is left empty is another problem.
    more = {f"x{key}": value for key, value in custom.items()}
    line = {"email": "a@x.test", **row, "tags": tags, "custom": custom, **more}
    (parsed,) = rows_of(json.dumps(line) + "\n", "jsonl")
    assert_stored(parsed)


@settings(max_examples=example_count(100), deadline=None)
@given(HOSTILE, HOSTILE)
def test_an_email_is_sanitized_before_it_is_checked(before: str, after: str) -> None:
    for form, content in (
        ("csv", csv_of({"email": f"{before}a@x.test{after}", "phone": "1"})),
        ("jsonl", json.dumps({"email": f"{before}a@x.test{after}"}) + "\n"),
    ):
        (parsed,) = rows_of(content, form)
        for problem in parsed.problems:
            assert "control character" not in problem.message
            assert "combining marks" not in problem.message


CONTENT = (
    "email,first_name,city,tags,notes,custom\n"
    '"ana\x00@x.test","An\x1ba\tMaria","Aix\r\nen Provence","v\x07ip,b","a\tb\x0c\nc",'
    '"{""k\\u0000"": ""v\\u0000\tw""}"\n'
    f"ben@x.test,Be{MARK * 40}n,,,,\n"
    'cid@x.test,Cid,,"vip,\u007fgold","a\nb",\n'
    "dan@x.test,Dan,Ulm,,,\n"
    "e\x00va,Eva,,,,\n"
)


def assert_warnings(report: dict[str, Any]) -> None:
    assert report["rows_with_warnings"] == 3
    assert {group["kind"]: group["count"] for group in report["warnings"]} == {
        "warning_control_characters email": 1,
        "warning_control_characters first_name": 1,
        "warning_control_characters city": 1,
        "warning_control_characters tags": 2,
        "warning_control_characters notes": 1,
        "warning_control_characters custom": 1,
        "warning_combining_marks first_name": 1,
    }
    (problem,) = report["problems"]
    assert (problem["kind"], problem["count"]) == ("errors_invalid_input email", 1)


def test_the_command_line_imports_and_warns(local: Shop) -> None:
    options = ("--encoding", "utf-8")
    assert_warnings(local.bring(CONTENT, "--dry-run", *options))
    assert_warnings(local.bring(CONTENT, *options))
    ana, ben, cid, _ = local.customers("email,first_name,shipping_address.city,tags,notes,custom")
    assert ana == {
        "email": "ana@x.test",
        "first_name": "Ana Maria",
        "shipping_address.city": "Aix en Provence",
        "tags": ["vip", "b"],
        "notes": "a\tb\nc",
        "custom": {"k": "v w"},
    }
    assert ben["first_name"] == unicodedata.normalize("NFC", f"Be{MARK * 30}n")
    assert (cid["tags"], cid["notes"]) == (["vip", "gold"], "a\nb")
    output = local.run("import", local.file("b.csv", CONTENT), *options).stdout
    assert "Imported with warnings: 3\n" in output
    assert "2 × warning_control_characters tags\n" in output
    assert "line 6: Control characters were removed. Tabs and line breaks were" in output
    assert local.run("verify").stdout.endswith("The data is consistent.\n")


def test_an_import_over_http_warns(client: Client) -> None:
    row = {
        "email": "ana@x.test\x00",
        "id": "gid\x00-1",
        "first_name": "An\x00a",
        "shipping_address": {"city": "Aix\nen Provence", "line1": f"R{MARK * 31}"},
        "loyal\x00ty": "a\x00\tb",
        "accepts_marketing": "yes\x07",
    }
    plain = {"email": "ben@x.test", "notes": "a\tb", "custom": {"a": "\t"}}
    content = "".join(json.dumps(node) + "\n" for node in (row, plain))
    report = ended(client, send(client, content, format="jsonl"))
    assert (report["state"], report["created"], report["problems"]) == ("done", 2, [])
    assert report["rows_with_warnings"] == 1
    kinds = {group["kind"]: group["examples"] for group in report["warnings"]}
    assert kinds["warning_control_characters shipping_address.city"] == [
        {
            "line": 1,
            "row": 1,
            "message": "Control characters were removed. Tabs and line breaks were replaced "
            "with spaces.",
        }
    ]
    assert "warning_combining_marks shipping_address.line1" in kinds
    query = "{ customers { edges { node { first_name accepts_marketing custom shipping_address { city } } } } }"
    nodes = [edge["node"] for edge in client.data(query)["customers"]["edges"]]
    assert {
        "first_name": "Ana",
        "accepts_marketing": True,
        "custom": {"loyalty": "a\tb"},
        "shipping_address": {"city": "Aix en Provence"},
    } in nodes
    assert client.http.get("/import").json()["data"][0]["rows_with_warnings"] == 1


def test_a_row_that_the_database_rejects_has_no_warning() -> None:
    tally = Tally()
    row = SetRow(
        {},
        warnings=(
            RowWarning("control_characters", "custom.a"),
            RowWarning("combining_marks", "phone"),
        ),
    )
    invalid = row._replace(problems=(InvalidInput("Wrong."),))
    for line in range(1, 16):
        tally.warn(row, Record(line), ".".join)
        tally.warn(invalid, Record(line), ".".join)
    for line in range(2, 16):
        tally.withdraw_warnings(row, Record(line), ".".join)
        tally.withdraw_warnings(invalid, Record(line), ".".join)
    report = problems_to_json(tally.problems)
    assert (report["rows_with_warnings"], report["problems"]) == (1, [])
    assert [(group["count"], group["examples"][0]["line"]) for group in report["warnings"]] == [
        (1, 1)
    ] * 2
    tally.withdraw_warnings(row, Record(1), ".".join)
    assert problems_to_json(tally.problems) == {
        "problems": [],
        "rows_with_warnings": 0,
        "warnings": [],
    }


def test_kinds_of_warnings_leave_room_for_kinds_of_problems() -> None:
    tally = Tally()
    rows = [
        SetRow({}, warnings=(RowWarning("control_characters", f"custom.{n}"),)) for n in range(80)
    ]
    for line, row in enumerate(rows):
        tally.warn(row, Record(line), ".".join)
    tally.note("errors_invalid_input email", Record(1), "Wrong.")
    report = problems_to_json(tally.problems)
    assert report["rows_with_warnings"] == 80
    assert report["warnings"][-1]["kind"] == "warning_others"
    assert sum(group["count"] for group in report["warnings"]) == 80
    assert [group["kind"] for group in report["problems"]] == ["errors_invalid_input email"]
    for line, row in enumerate(rows):
        tally.withdraw_warnings(row, Record(line), ".".join)
    assert problems_to_json(tally.problems)["warnings"] == []


def test_a_pull_changes_only_values_that_would_be_rejected() -> None:
    node = {
        "_id": 1,
        "id": "gid\x00-1",
        "email": "a@x.test",
        "first_name": f"A{MARK * 30}",
        "last_name": f"\x00A{MARK * 31}",
        "notes": "a\t\r\nb",
        "tags": ["a", "b\nc"],
        "custom": {"a\t": "\x1b", "b": ["\x00"]},
        "billing_address": {"city": "U\tlm", "line1": None},
    }
    row = row_of(node, keep_ids=True)
    assert row.problems == ()
    assert row.shop_ids == (ExternalId("shop", "gid-1"),)
    assert row.values["first_name"] == unicodedata.normalize("NFC", f"A{MARK * 30}")
    assert row.values["last_name"] == row.values["first_name"]
    assert row.values["notes"] == "a\t\r\nb"
    assert row.values["tags"] == ["a", "b c"]
    assert row.values["custom"] == {"a\t": "\x1b", "b": [""]}
    assert row.values["billing_address"]["city"] == "U lm"
    assert [(kind, field) for kind, field, _ in row.warnings] == [
        ("control_characters", "last_name"),
        ("combining_marks", "last_name"),
        ("control_characters", "tags"),
        ("control_characters", "custom"),
        ("control_characters", "billing_address.city"),
    ]
