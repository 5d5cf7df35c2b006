"""Exports for Excel: cells of CSV that Excel does not change, workbooks, and their limits."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.customers.search.parser import Order, Search
from regulars.store import Store
from regulars.transfer import export as export_module
from regulars.transfer.cells import original
from regulars.transfer.errors import BadOption
from regulars.transfer.excel_cells import excel_csv_cell, excel_length, workbook_text
from regulars.transfer.export import Export
from regulars.transfer.export_columns import DEFAULT_COLUMNS, EARLIER_HEADINGS
from regulars.transfer.rejected_rows import encode_with_raw_bytes
from regulars.transfer.workbook_writer import SheetColumn, WorkbookWriter
from tests.support import Client, copy_sqlite_template, example_count, with_store
from tests.test_import import Shop
from tests.test_import_http import ended, send

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BOM = b"\xef\xbb\xbf"


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    """A shop on SQLite: an export is the same on both databases once it is read."""
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def unwrap(cell: str) -> str:
    """Return the text of a cell as Excel shows it, and as an import reads it."""
    constant = re.fullmatch(r'="((?:[^"]|"")*)"', cell, re.DOTALL)
    return constant[1].replace('""', '"') if constant else original(cell)


def sheet_xml(content: bytes) -> ElementTree.Element:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))


def sheet_rows(content: bytes) -> list[dict[str, str | float]]:
    """Return the cells of the rows of a workbook by column letters: texts and numbers."""

    def value(cell: ElementTree.Element) -> str | float:
        if cell.get("t") != "inlineStr":
            return float(cell.findtext(f"{_NAMESPACE}v") or "")
        text = "".join(node.text or "" for node in cell.iter(f"{_NAMESPACE}t"))
        # ECMA-376, 22.9.2.19 (ST_Xstring): _xHHHH_ is a character.
        return re.sub("_x([0-9A-F]{4})_", lambda match: chr(int(match[1], 16)), text)

    return [
        {re.sub(r"\d", "", str(cell.get("r"))): value(cell) for cell in row}
        for row in sheet_xml(content).iter(f"{_NAMESPACE}row")
    ]


def write_workbook(*values: str | float | None) -> bytes:
    with WorkbookWriter([SheetColumn("heading", is_text=True)]) as workbook:
        workbook.write([[value] for value in values])
        workbook.close()
        return b"".join(workbook.chunks())


CONVERTED = (
    "0612345678 09341 12345678901234567890 123456789012 1-2 3/4 1E5 2e10 12:30 50% $5 1.5 1,5 (5) "
    "+34901239422 -5 MAR1 1-Mar 2024-03-18 true FALSE Wahr １２３ 2024年3月18日 1'000"
).split() + ["5 May 2024", "12 PM", "12:30 pm", "1 1/2", "+212 612 345678", "1 234"]


@pytest.mark.parametrize("text", CONVERTED)
def test_text_that_excel_converts_is_a_text_constant(text: str) -> None:
    assert excel_csv_cell(text) == f'="{text}"'


@pytest.mark.parametrize(
    "text", ["Ana", "12 Main Street", "ana1@x.test", "Apt. 79, Plaza 45", '{"a":1}', "A1 and B2"]
)
def test_other_text_is_not_changed_for_excel(text: str) -> None:
    assert excel_csv_cell(text) == text


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "-2+3+cmd|' /C calc'!A0", '="x"', '+"1"'])
def test_a_formula_is_no_formula_for_excel(text: str) -> None:
    assert excel_csv_cell(text) == f"'{text}"


def test_a_number_that_is_too_long_for_a_text_constant_keeps_its_digits() -> None:
    digits = "1" * 300
    assert excel_csv_cell(digits) == f"'{digits}"
    assert unwrap(f"'{digits}") == digits


_TEXTS = (
    st.text() | st.text(alphabet="0123456789 '\"=+-/.,:%@ eEAPMm\n") | st.sampled_from(CONVERTED)
)


@settings(max_examples=example_count(100))
@given(_TEXTS)
def test_cells_for_excel_are_read_back_exactly(text: str) -> None:
    cell = excel_csv_cell(text)
    assert unwrap(cell) == text
    # Excel runs nothing but a constant.
    assert cell[:1] not in ("+", "-", "@") or cell == ""
    assert cell[:1] != "=" or re.fullmatch(r'="[^"]*"', cell, re.DOTALL)
    assert unwrap(workbook_text(text)) == text


@settings(max_examples=example_count(30), deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_workbook_has_every_text(texts: list[str]) -> None:
    rows = sheet_rows(write_workbook(*texts))
    assert [row["A"] for row in rows] == ["heading", *texts]


def test_the_length_of_a_cell_is_in_utf_16_units() -> None:
    assert [excel_length(text) for text in ("", "abc", "é", "😀")] == [0, 3, 1, 2]


TRICKY = [
    {"email": "a@x.test", "first_name": "=1+1", "phone": "+31612345678", "tags": ["1", "2"]},
    {
        "email": "b@x.test",
        "first_name": "<r>x</r>",
        "last_name": "'0612",
        "notes": "one\ntwo\n_x0041_",
        "shipping_address": {"line1": "1-2", "zip": "01234", "country": "US"},
        "custom": {"points": 12, "code": "007", "ratio": 0.1, "big": 12345678901234567, "on": True},
        "accepts_marketing": True,
    },
    {"email": "c@x.test", "first_name": '="5"', "last_name": "-x", "notes": "true"},
]


def bring_tricky(shop: Shop) -> None:
    result = shop.bring("\n".join(map(json.dumps, TRICKY)), name="tricky.jsonl")
    assert result["created"] == len(TRICKY)


def test_a_csv_for_excel_has_a_mark_a_delimiter_and_protected_cells(local: Shop) -> None:
    bring_tricky(local)
    target = local.folder / "out.csv"
    columns = "regulars_id,email,first_name,last_name,phone,tags,notes,shipping_address.zip"
    options = ("--format", "csv-excel", "--delimiter", "semicolon", "--columns", columns)
    assert local.run("export", str(target), *options).returncode == 0
    content = target.read_bytes()
    assert content.startswith(_BOM + b"regulars_id;email;first_name;")
    assert content.count(b"\r\n") == 4
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert rows[1] == ["1", "a@x.test", "'=1+1", "", '="+31612345678"', '="1,2"', "", ""]
    assert rows[2][2:4] == ["<r>x</r>", "''0612"]
    assert rows[2][6:] == ["one\ntwo\n_x0041_", '="01234"']
    assert rows[3][2:4] + rows[3][6:7] == ['\'="5"', "'-x", '="true"']


def test_a_workbook_has_texts_numbers_and_a_frozen_heading(local: Shop) -> None:
    bring_tricky(local)
    target = local.folder / "out.xlsx"
    custom = ",".join(f"custom.{key}" for key in ("points", "code", "ratio", "big", "on"))
    columns = f"regulars_id,first_name,last_name,phone,notes,accepts_marketing,{custom},expenses"
    assert local.run("export", str(target), "--columns", columns).returncode == 0
    content = target.read_bytes()
    headings, first, second, third = sheet_rows(content)
    assert ",".join(map(str, headings.values())) == columns
    assert first == {"A": 1, "B": "=1+1", "D": "+31612345678", "F": "false", "L": 0}
    assert (second["B"], second["C"]) == ("<r>x</r>", "''0612")
    assert (second["E"], second["F"]) == ("one\ntwo\n_x0041_", "true")
    assert [second[column] for column in "GHIJK"] == [12, "007", 0.1, "12345678901234567", "true"]
    assert (third["B"], third["E"]) == ('\'="5"', "true")
    sheet = sheet_xml(content)
    pane = sheet.find(f".//{_NAMESPACE}pane")
    assert pane is not None
    assert (pane.get("ySplit"), pane.get("state")) == ("1", "frozen")
    assert sheet.find(f".//{_NAMESPACE}f") is None
    assert len(sheet.findall(f".//{_NAMESPACE}col")) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.xlsx", "x.csv"])
def test_an_export_for_excel_is_imported_exactly(local: Shop, name: str) -> None:
    assert local.run("sample", "--customers", "100").returncode == 0
    bring_tricky(local)
    exact, target, again = (str(local.folder / n) for n in ("exact.csv", name, "again.csv"))
    options = ("--format", "csv-excel", "--delimiter", "tab") if name == "x.csv" else ()
    assert local.run("export", exact, "--account", "shop").returncode == 0
    assert local.run("export", target, *options, "--account", "shop").returncode == 0
    assert local.run("account", "create", "empty").returncode == 0
    assert local.run("import", target, "--account", "empty").returncode == 0
    assert local.run("export", again, "--account", "empty").returncode == 0
    assert Path(again).read_text() == Path(exact).read_text()


def test_a_text_that_is_too_long_for_a_cell_is_an_error_before_the_work(local: Shop) -> None:
    rows = [{"email": "a@x.test"}, {"email": "b@x.test", "notes": "😀" * 16_384}]
    local.bring("\n".join(map(json.dumps, rows)), name="long.jsonl")
    target = local.folder / "out.xlsx"
    done = local.run("export", str(target))
    assert (done.returncode, target.exists()) == (2, False)
    assert "`notes` of the customer 2 has 32,768" in done.stderr
    assert "choose the format csv" in done.stderr
    assert local.run("export", str(target), "--columns", "email").returncode == 0
    assert len(sheet_rows(target.read_bytes())) == 3


def test_more_customers_than_a_sheet_has_rows_are_an_error(
    local: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.bring("email\na@x.test\nb@x.test\nc@x.test\n")

    def export(**options: Any) -> bytes:
        async def work(store: Store) -> bytes:
            owner = await Accounts(store).resolve("shop")
            export = Export(
                owner.account_id, "xlsx", Search(Order()), ["email"], now_ms(), **options
            )
            return b"".join([chunk async for _, chunk in export.pages(store)])

        return with_store(local.url, work)

    monkeypatch.setattr(export_module, "MAX_ROWS", 4)
    assert len(sheet_rows(export())) == 4
    monkeypatch.setattr(export_module, "MAX_ROWS", 3)
    with pytest.raises(BadOption, match="at most 3 rows, and the export has 3 customers"):
        export()
    assert len(sheet_rows(export(ids=[3, 1]))) == 3
    with pytest.raises(BadOption, match="at most 3 rows"):
        export(ids=[3, 2, 1])


def test_options_of_an_export_are_checked(local: Shop) -> None:
    for options, message in (
        (("--format", "xls"), "one of csv, csv-excel, xlsx, jsonl"),
        (("--delimiter", "tab"), "csv-excel only"),
        (("--format", "csv-excel", "--delimiter", "pipe"), "comma, semicolon, tab"),
    ):
        done = local.run("export", str(local.folder / "x.csv"), *options)
        assert (done.returncode, message in done.stderr) == (2, True)
    done = local.run("export", str(local.folder / "x.xlsx.gz"))
    assert (done.returncode, "already compressed" in done.stderr) == (2, True)


def test_the_ids_of_an_export_have_a_heading_of_their_own(local: Shop) -> None:
    local.bring("email\na@x.test\n")
    target = local.folder / "x.csv"
    assert local.run("export", str(target)).returncode == 0
    assert target.read_text().startswith("regulars_id,email,")
    assert local.customers("regulars_id,_id") == [{"regulars_id": 1, "_id": 1}]
    # An earlier default differs from that of today by the name of the id.
    for earlier, today in zip(EARLIER_HEADINGS, DEFAULT_COLUMNS.values(), strict=True):
        assert (earlier[0], today[0]) == ("_id", "regulars_id")
        assert set(earlier[1:]) <= set(today)


def test_an_export_of_ids_without_their_own_column_says_what_an_import_does(local: Shop) -> None:
    local.bring(
        '{"regulars_id": 7, "email": "a@x.test", "external_ids": ["external:stripe:c"]}\n',
        name="a.jsonl",
    )
    target = str(local.folder / "x.csv")
    done = local.run("export", target, "--columns", "id,email,external_ids")
    assert done.returncode == 0
    assert "would store id and external_ids in custom fields" in done.stderr
    for columns in ("regulars_id,id,email,external_ids", "email,first_name"):
        done = local.run("export", target, "--columns", columns)
        assert (done.returncode, done.stderr) == (0, "")
        before = local.customers("email,external_ids,custom")
        assert local.run("import", target).returncode == 0
        assert local.customers("email,external_ids,custom") == before
    assert before[0]["external_ids"] == ["external:stripe:c"]


def test_exports_for_excel_over_http(client: Client) -> None:
    client.create("ana@x.test", phone="+31 6 12345678", notes="line\ntwo")
    csv_excel = {"format": "csv-excel", "delimiter": "semicolon", "columns": "email,phone"}
    answer = client.http.get("/export", params=csv_excel)
    assert answer.content == _BOM + (b'email;phone\r\nana@x.test;"=""+31 6 12345678"""\r\n')
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].endswith('"customers.csv"')
    workbook = {"format": "xlsx", "columns": "email,phone,notes"}
    answer = client.http.get("/export", params=workbook)
    assert sheet_rows(answer.content)[1:] == [
        {"A": "ana@x.test", "B": "+31 6 12345678", "C": "line\ntwo"}
    ]
    assert answer.headers["content-type"] == XLSX
    assert answer.headers["content-disposition"].endswith('"customers.xlsx"')
    assert "content-encoding" not in answer.headers
    none = client.http.post("/export", params=workbook, json={"ids": []})
    assert len(sheet_rows(none.content)) == 1
    client.create("long@x.test", notes="n" * 40_000)
    refused = client.http.get("/export", params=workbook)
    assert (refused.status_code, "`notes` of the customer 2" in refused.text) == (400, True)
    assert client.http.get("/export", params={"delimiter": "tab"}).status_code == 400


def test_undecodable_bytes_of_rejected_rows_are_kept(local: Shop) -> None:
    content = "email,first_name\nana@x.test,Ünal Ünal Ünal\n".encode() + b"jose@x.test,Jos\xe9\n"
    result = local.bring(content)
    assert (result["created"], result["rejected"]) == (1, 1)
    rejected = Path(result["rejected_file"]).read_bytes()
    assert rejected.endswith(b",jose@x.test,Jos\xe9\r\n")
    # The rows are Windows-1252: with their encoding, they need no correction.
    result = local.bring(rejected, "--encoding", "cp1252", name="rejected.csv")
    assert (result["created"], result["rejected"]) == (1, 0)
    assert local.customers("first_name")[1] == {"first_name": "José"}


def test_undecodable_bytes_of_another_encoding_are_kept(local: Shop) -> None:
    content = "email,first_name\nünal@x.test,é\n".encode("cp1252") + b"a@x.test,A\x81\xe9\n"
    result = local.bring(content, "--encoding", "cp1252")
    rejected = Path(result["rejected_file"]).read_bytes()
    # UTF-8, but for the byte that Windows-1252 does not have.
    assert rejected.endswith(b",a@x.test,A\x81" + "é\r\n".encode())
    corrected = rejected.replace(b"\x81", "č".encode())
    assert local.bring(corrected, name="corrected.csv")["created"] == 1
    assert local.customers("first_name")[1] == {"first_name": "Ačé"}


def test_a_rejected_line_of_json_stays_an_object_with_its_bytes(local: Shop) -> None:
    content = b'{"email":"a@x.test","first_name":"Jos\xe9"}\nnot json \xe9\n'
    result = local.bring(content, name="a.jsonl")
    assert result["rejected"] == 2
    first, second = Path(result["rejected_file"]).read_bytes().splitlines()
    assert first.startswith(b'{"regulars_problem":"The row has bytes')
    assert first.endswith(b'"email":"a@x.test","first_name":"Jos\xe9"}')
    assert second.endswith(b'"line":"not json \xe9"}')
    corrected = first.replace(b"\xe9", "é".encode())
    assert local.bring(corrected, name="b.jsonl")["created"] == 1
    assert local.customers("first_name") == [{"first_name": "José"}]


def test_other_surrogates_are_replaced() -> None:
    for code in (0xD800, 0xDC00, 0xDFFF):
        assert encode_with_raw_bytes(f"é\udce9{chr(code)}") == b"\xc3\xa9\xe9\xef\xbf\xbd"


def test_undecodable_bytes_of_rejected_rows_are_kept_over_http(client: Client) -> None:
    content = "email,first_name\nana@x.test,Ünal Ünal\n".encode() + b"jose@x.test,Jos\xe9\n"
    run = ended(client, send(client, content))
    assert (run["created"], run["rejected"]) == (1, 1)
    rejected = client.http.get(f"/import/{run['id']}/rejected").content
    assert rejected.endswith(b",jose@x.test,Jos\xe9\r\n")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("customers-2026-11-30", 'attachment; filename="customers-2026-11-30.csv"'),
        ('a\r\nb"; x/../y', 'attachment; filename="a--b-- x----y.csv"'),
        ("Fès", "attachment; filename=\"F-s.csv\"; filename*=UTF-8''F%C3%A8s.csv"),
        ("///", 'attachment; filename="customers.csv"'),
        ("x" * 5_000, f'attachment; filename="{"x" * 100}.csv"'),
    ],
)
def test_a_file_has_the_requested_name(client: Client, name: str, header: str) -> None:
    response = client.http.get("/export", params={"name": name})
    assert response.status_code == 200
    assert response.headers["content-disposition"] == header
