"""Files of other kinds than CSV: workbooks, archives, vCards and JSON documents."""

from __future__ import annotations

import gzip
import io
import os
import time
import zipfile
from datetime import date, datetime
from typing import Any

import orjson
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.transfer.errors import BadFile, BadOption, IncompleteFile
from regulars.transfer.file_kinds import unsupported_kind
from regulars.transfer.flatten import MAX_NAMES, flatten
from regulars.transfer.gzip_reader import BEGINNING, WHOLE, Bounds
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from regulars.transfer.record_reader import RecordReader
from regulars.transfer.records import LONGEST, Record
from tests.support import Client, example_count
from tests.test_import_http import ended, refused, send

CSV = "email,first_name\na@x.test,Ana\nb@x.test,Ben\n"
ROWS = [["a@x.test", "Ana"], ["b@x.test", "Ben"]]


class Table:
    """The records of a file, and what was recognised. Reads the file twice: `restart` must give the
    same records, because an import is resumed by their number."""

    def __init__(
        self,
        content: str | bytes,
        bounds: Bounds = WHOLE,
        sheet: str | None = None,
        **options: Any,
    ) -> None:
        data = content.encode() if isinstance(content, str) else content
        chosen = Options(**options)
        with open_input("f", chosen.encoding, io.BytesIO(data), None, bounds, sheet) as file:
            reader = RecordReader(file, chosen)
            self.records: list[Record] = list(reader.records)
            self.headings = reader.headings
            self.summary = reader.summary
            self.skipped_children = reader.skipped_children
            self.skipped_lines = reader.skipped_lines
            file.restart()
            assert list(RecordReader(file, chosen).records) == self.records

    @property
    def cells(self) -> list[list[str] | None]:
        return [record.cells for record in self.records]

    @property
    def data(self) -> list[Any]:
        return [record.data for record in self.records]

    @property
    def lines(self) -> list[int]:
        return [record.line for record in self.records]


def workbook(**sheets: list[list[Any]]) -> bytes:
    """Return a workbook. A sheet whose name begins with `hidden` is hidden."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    formats = {
        datetime: book.add_format({"num_format": "dd/mm/yy hh:mm"}),
        date: book.add_format({"num_format": "dd.mm.yy"}),
    }
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        if name.startswith("hidden"):
            sheet.hide()
        else:
            sheet.activate()
        for y, row in enumerate(rows):
            for x, value in enumerate(row):
                if value == "#DIV/0!":
                    sheet.write_formula(y, x, "=1/0", None, value)
                elif isinstance(value, str):
                    sheet.write_string(y, x, value)
                elif value is not None:
                    sheet.write(y, x, value, formats.get(type(value)))
    book.close()
    return out.getvalue()


def archive(**files: str | bytes) -> bytes:
    """Return a zip archive; `__` in a name stands for a full stop."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name.replace("__", "."), content)
    return out.getvalue()


def stored_archive(content: str) -> bytes:
    """Return a zip archive of a file without compression."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("c.csv", content)
    return out.getvalue()


def test_cells_of_a_workbook_become_text() -> None:
    book = workbook(
        People=[
            ["email", "zip", "count", "big", "price", "born", "since", "vip", "bad", "notes"],
            [
                *("a@x.test", "01234", 12.0, 447911123456, 1.5, date(1960, 3, 18)),
                *(datetime(2024, 3, 18, 14, 20), True, "#DIV/0!", "one\ntwo"),
            ],
            ["b@x.test", None, 212345678901234567.0],
        ]
    )
    table = Table(book)
    assert table.cells[0] == [
        *("a@x.test", "01234", "12", "447911123456", "1.5", "1960-03-18"),
        *("2024-03-18 14:20:00", "true", "", "one\ntwo"),
    ]
    # Digits were lost: the exponent shows it.
    assert table.cells[1] == ["b@x.test", "", "2.12345678901235E+17", *[""] * 7]
    assert table.lines == [2, 3]
    assert table.summary == "workbook, sheet 'People', 10 columns"


def test_the_first_visible_sheet_with_rows_is_read() -> None:
    book = workbook(hidden=[["x"], ["y"]], Empty=[], People=[["email"], ["a@x.test"]])
    assert Table(book).cells == [["a@x.test"]]
    assert Table(book, sheet="HIDDEN").cells == [["y"]]
    with pytest.raises(BadOption, match=r"no sheet 'Customers'.*'hidden', 'Empty', 'People'"):
        Table(book, sheet="Customers")
    with pytest.raises(BadFile, match="workbook without rows"):
        Table(workbook(Empty=[]))


def test_the_first_sheets_and_the_one_that_is_read_are_listed() -> None:
    rows = [["email"], ["a@x.test"]]
    book = workbook(**{f"S{number}": [["note"]] for number in range(300)}, People=rows)
    with open_input("f", None, io.BytesIO(book), None, WHOLE, "People") as file:
        assert file.sheets == ["People", *(f"S{number}" for number in range(250))]


def test_a_sheet_with_a_very_long_name_is_refused() -> None:
    """Its 30 million characters have 34 KB in the file."""
    book, changed = io.BytesIO(workbook(S=[["email"], ["a@x.test"]])), io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            long_name = b'name="' + b"S" * 30_000_000 + b'"'
            new.writestr(name, old.read(name).replace(b'name="S"', long_name))
    with pytest.raises(BadFile, match="the name of a sheet has more than 255 characters"):
        Table(changed.getvalue())


def test_the_sheet_with_emails_is_read() -> None:
    note = [["Fill in the next sheet"], ["Questions: help@x.test"]]
    book = workbook(Info=note, People=[["email", "name"], ["a@x.test", "Ana"]])
    assert Table(book).cells == [["a@x.test", "Ana"]]
    assert Table(book, sheet="Info").cells == [note[1]]
    assert Table(workbook(A=[["x", "y"], ["1", "2"]], B=[["z"]])).cells == [["1", "2"]]


ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content
xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"><office:body>
<office:spreadsheet><table:table table:name="Kunden"><table:table-row>
<table:table-cell office:value-type="string"><text:p>E-Mail</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>Seit</text:p></table:table-cell>
</table:table-row><table:table-row>
<table:table-cell office:value-type="string"><text:p>a@x.test</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2024-03-18"><text:p>x</text:p>
</table:table-cell></table:table-row></table:table></office:spreadsheet></office:body>
</office:document-content>"""


MANIFEST = """<?xml version="1.0" encoding="UTF-8"?><manifest:manifest
xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">
<manifest:file-entry manifest:full-path="/"
manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>
<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>
</manifest:manifest>"""


def test_an_opendocument_sheet_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", MANIFEST)
        file.writestr("content.xml", ODS.replace(">\n", ">").replace("\n", " "))
    table = Table(out.getvalue())
    assert table.headings == ["E-Mail", "Seit"]
    assert [row[:1] for row in table.cells if row] == [["a@x.test"]]
    assert "2024-03-18" in str(table.cells)
    assert "sheet 'Kunden'" in table.summary


def test_a_workbook_has_titles_and_row_numbers() -> None:
    rows = [["Customers of March"], [], ["E-mail", "City"], ["a@x.test", "P\nQ"], ["b@x.test", "R"]]
    table = Table(workbook(S=rows))
    assert table.headings == ["E-mail", "City"]
    assert (table.lines, table.skipped_lines) == ([4, 5], 2)


def test_a_workbook_over_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    book = workbook(S=[["email", "n"], *([f"a{n}@x.test", n] for n in range(4_000))])
    with pytest.raises(BadFile, match="REGULARS_MAX_IMPORT_UNPACKED_BYTES"):
        Table(book, Bounds(20_000))
    monkeypatch.setattr("regulars.transfer.workbook._MAX_OUTPUT_BYTES", 20_000)
    with pytest.raises(BadFile, match=r"20,000 bytes as CSV.*Save the sheet as CSV"):
        Table(book)
    with pytest.raises(IncompleteFile, match="preview"):
        Table(book, BEGINNING)
    monkeypatch.undo()
    monkeypatch.setattr("regulars.transfer.workbook._MEMORY_BYTES", 2**20)
    with pytest.raises(BadFile, match="is too large: it needs"):
        Table(book)


@pytest.mark.slow
def test_a_sheet_of_distant_cells_is_refused() -> None:
    """The library makes a table of all cells between them, 17 billion."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    sheet = book.add_worksheet()
    sheet.write(0, 0, "email")
    sheet.write(1_048_575, 16_383, "x")
    book.close()
    with pytest.raises(BadFile, match="is too large: it needs"):
        Table(out.getvalue())


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: archive(a__xlsx=content)])
def test_a_compressed_workbook_is_read(pack: Any) -> None:
    assert Table(pack(workbook(S=[["email"], ["a@x.test"]]))).cells == [["a@x.test"]]


def test_a_zip_archive_of_one_file_is_read() -> None:
    out = io.BytesIO(archive(customers__csv=CSV))
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("__MACOSX/._customers.csv", b"\0")
        file.writestr("a/.DS_Store", b"\0")
        file.mkdir("folder")
        file.writestr("folder/README.txt", "x")
        file.writestr("Guide.pdf", "%PDF")
    table = Table(out.getvalue())
    assert table.cells == ROWS
    assert table.summary == "CSV, zip, UTF-8, delimiter comma, 2 columns"
    assert Table(stored_archive(CSV)).cells == ROWS
    large = "email\n" + "".join(f"a{n}@x.test\n" for n in range(50_000))
    assert len(Table(archive(c__csv=large)).records) == 50_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(a__csv=CSV, b__csv=CSV), r"2 files: 'a.csv', 'b.csv'\. Unpack it"),
        (archive(a__zip=archive(a__csv=CSV)), "zip archive inside"),
        (archive(a__gz=gzip.compress(CSV.encode())), "with zip and with gzip"),
        (archive(), "without a file"),
        (archive(a__pdf="%PDF-1.7"), "a PDF document"),
        (archive(**{"word/document__xml": "x"}), "a Word document"),
        (archive(**{"Index/Tables/DataList__iwa": "x"}), "a Numbers document"),
        (archive(a__csv=CSV)[:-30], "damaged or incomplete"),
        (stored_archive(CSV).replace(b"Ana", b"Eva"), "damaged: the check sum"),
    ],
)
def test_other_zip_archives_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(BadFile, match=message):
        Table(content)


def test_a_zip_archive_with_a_password_or_a_false_size_is_refused() -> None:
    packed = bytearray(archive(a__csv=CSV))
    at = packed.rfind(b"PK\x01\x02")
    packed[at + 8] |= 1
    with pytest.raises(BadFile, match="password"):
        Table(bytes(packed))
    packed[at + 8] &= 0xFE
    packed[at + 24 : at + 28] = (1).to_bytes(4, "little")
    assert Table(bytes(packed)).cells == ROWS  # the declared size is not trusted
    bomb = archive(a__csv="email\n" + "a@x.test\n" * 100_000)
    assert len(bomb) < 10_000
    with pytest.raises(BadFile, match="REGULARS_MAX_IMPORT_UNPACKED_BYTES"):
        Table(bomb, Bounds(10_000))


def test_the_beginning_of_an_archive_is_incomplete() -> None:
    with pytest.raises(IncompleteFile):
        Table(archive(a__csv=CSV)[:-30], BEGINNING)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"\n<!DOCTYPE html><table>", "a web page"),
        (b'<?xml version="1.0"?><customers>', "an XML document"),
        (b'<?xml version="1.0"?><Workbook xmlns="urn">', "an Excel 2003 XML workbook"),
        ("<?xml version='1.0'?><a/>".encode("utf-16"), "an XML document"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"-- MySQL dump 10.13\n", "a SQL dump"),
        (b"-- phpMyAdmin SQL Dump\nSET SQL_MODE", "a SQL dump"),
        (b"-- x\n\nINSERT INTO a VALUES (1);", "a SQL dump"),
        (b"PAR1\x15", "a Parquet file"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"From a@x.test Mon Mar 18 14:20:00 2024\nFrom: a\n", "a mailbox"),
        (b"BEGIN:VCALENDAR\r\n", "a calendar"),
        (b"dn: cn=Ana,mail=a@x.test\n", "an LDIF address book"),
        (b"a.csv" + b"\0" * 252 + b"ustar\x0000", "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07\x01\0", "a rar archive"),
        (b"BZh91AY&SY", "compressed with bzip2"),
        (b"\xfd7zXZ\x00", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (gzip.compress(b"%PDF-1.7\n", mtime=0), "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "a Word"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "password"),
    ],
)
def test_another_kind_of_file_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(BadFile, match=kind) as caught:
        Table(content)
    assert str(caught.value).count(". ") >= 1  # and what to do


@pytest.mark.parametrize(
    "text",
    ["From,Email\nx,a@x.test\n", "dn,email\nx,a@x.test\n", "create,email\nx,a@x.test\n"],
)
def test_headings_are_not_taken_for_another_kind_of_file(text: str) -> None:
    assert Table(text).headings[1].lower() == "email"


@pytest.mark.parametrize("unit", ["-- \n", "--\n", "<a", "<?xml <", " ", "version: 1 ", "From : "])
def test_the_kind_of_a_file_is_detected_in_linear_time(unit: str) -> None:
    start = time.process_time()
    unsupported_kind("f", (unit * 8_192).encode())
    assert time.process_time() - start < 2


VCARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lo;Ana;Maria;Dr.;\r\nFN:Dr. Ana Maria Lo\r\n"
    "item1.EMAIL;type=INTERNET;type=HOME:other@x.test\r\n"
    "EMAIL;TYPE=INTERNET,PREF:mailto:ana@x.test\r\nTEL;TYPE=CELL;VALUE=uri:tel:+34600111222\r\n"
    "ADR;TYPE=WORK:;;Work 1;Bilbao;BI;48001;Spain\r\n"
    "ADR;TYPE=HOME:PO 5;Apt 4;Calle 1\\, 2;Madrid;MD;28001;\r\n Spain\r\n"
    "NOTE:One\\, two\\nthree\\\\four\r\nCATEGORIES:vip,go\\,ld\r\nORG:Acme;Sales\r\nBDAY:1990-05-02\r\n"
    "broken line\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n BBBB\r\nREV:2024-01-02T03:04:05Z\r\n"
    "END:VCARD\r\n"
)


def test_a_vcard_becomes_a_record() -> None:
    (card,) = Table(VCARD).data
    assert card == {
        "first_name": "Ana Maria",
        "last_name": "Lo",
        "title": "Dr.",
        "email": "ana@x.test",
        "email_2": "other@x.test",
        "email_2_label": "home",
        "phone": "+34600111222",
        "phone_label": "mobile",
        "shipping_address.line1": "Calle 1, 2",
        "shipping_address.line2": "Apt 4, PO 5",
        "shipping_address.city": "Madrid",
        "shipping_address.state": "MD",
        "shipping_address.zip": "28001",
        "shipping_address.country": "Spain",
        "billing_address.line1": "Work 1",
        "billing_address.city": "Bilbao",
        "billing_address.state": "BI",
        "billing_address.zip": "48001",
        "billing_address.country": "Spain",
        "notes": "One, two\nthree\\four",
        "tags": ["vip", "go,ld"],
        "billing_address.company": "Acme, Sales",
        "billing_address.label": "work",
        "shipping_address.label": "home",
        "birthday": "1990-05-02",
        "updated_at": "2024-01-02T03:04:05Z",
    }


def test_vcards_of_other_versions_are_read() -> None:
    old = (
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCll=\ner;J=F6rg\n"
        "TEL;WORK:1\nTEL;HOME;PREF:2\nEMAIL;INTERNET:j@x.test\nEND:VCARD\n"
    )
    new = (
        "begin:vcard\nVERSION:4.0\nFN:王小明\nEMAIL;PREF=2:b@x.test\nEMAIL;PREF=1:a@x.test\n"
        'ADR;LABEL="1 A; B: C":;;1 A;NY;NY;10001;US\nEND:VCARD\n'
    )
    first, second = Table(f"{old}\n{new}").data
    assert first == {
        "first_name": "Jörg",
        "last_name": "Müller",
        "email": "j@x.test",
        "phone": "2",
        "phone_label": "home",
        "phone_2": "1",
        "phone_2_label": "work",
    }
    assert (second["name"], second["email"], second["email_2"]) == (
        "王小明",
        "a@x.test",
        "b@x.test",
    )
    assert second["shipping_address.line1"] == "1 A"


def test_a_bad_byte_in_a_vcard_affects_its_record_only() -> None:
    content = VCARD.encode() * 3 + VCARD.encode().replace(b"Lo", b"L\xf6")
    table = Table(content, encoding="utf-8")
    assert [record.problem is None for record in table.records] == [True, True, True, False]
    with pytest.raises(BadFile, match=r"number 2.*no END:VCARD"):
        Table(VCARD + "BEGIN:VCARD\nFN:Ana\n")


@pytest.mark.slow
def test_photos_of_any_size_are_left_out_of_vcards() -> None:
    start = "BEGIN:VCARD\nFN:Ana\nPHOTO;ENCODING=b;TYPE=JPEG:"
    end = "EMAIL:{}@x.test\nEND:VCARD\n"
    one_line = start + "A" * 9_000_000 + "\n" + end.format("a")
    folded = f"{start}AAAA\n" + (" " + "A" * 74 + "\n") * 60_000 + end.format("b")
    unfolded = f"{start}\n" + ("A" * 76 + "\n") * 60_000 + "\n" + end.format("c")
    cards = Table(one_line + folded + unfolded).data
    assert cards == [{"name": "Ana", "email": f"{letter}@x.test"} for letter in "abc"]


def test_a_vcard_without_an_end_takes_no_values_of_the_next() -> None:
    first = "BEGIN:VCARD\nFN:Ana\nEMAIL:a@x.test\n"
    second = (
        "BEGIN:VCARD\nFN:Ben\nAGENT:\nBEGIN:VCARD\nFN:Cy\nEMAIL:c@x.test\nEND:VCARD\n"
        "EMAIL:b@x.test\nEND:VCARD\n"
    )
    assert Table(first + second).data == [
        {"name": "Ana", "email": "a@x.test"},
        {"name": "Ben", "email": "b@x.test"},
    ]


A, B = {"email": "a@x.test", "first_name": "Ána"}, {"email": "b@x.test", "n": {"x": [1, None]}}
DOCUMENTS: dict[str, Any] = {
    "array": [A, B],
    "object of one array": {"customers": [A, B]},
    "list of Stripe": {"object": "list", "data": [A, B], "has_more": False, "url": "/v1"},
    "page of Medusa": {"count": 2, "offset": 0, "customers": [A, B], "errors": []},
    "edges": {"data": {"customers": {"edges": [{"node": A}, {"cursor": "x", "node": B}]}}},
    "nodes": {"data": {"people": {"pageInfo": {"a": 1}, "nodes": [A, B]}}},
    "array of an unusual name": {"shop": "x", "meta": [{"a": 1}], "our_buyers": [A, B]},
    "phpMyAdmin": [{"type": "header"}, {"type": "table", "name": "c", "data": [A, B]}],
}


BY_ID: dict[str, Any] = {
    "object by id": {"-Nx1aB": A, "-Nx2aB": B},
    "objects by id in another": {"customers": {"aaaaaaaaaaaaaaaaaaaa": A, "b1": B}},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", BY_ID)
def test_customers_by_their_ids_are_read(name: str, indent: int | None) -> None:
    """As exports of Firebase have them. An object with two addresses is one customer."""
    document = BY_ID[name]
    ids = list(document.get("customers", document))
    table = Table(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0))
    assert table.data == [{"id": ids[0], **A}, {"id": ids[1], **B}]
    customer = {"billing": {"email": "a@x.test", "city": "X"}, "shipping": {"city": "Y"}}
    assert Table(orjson.dumps(customer)).data == [customer]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_json_documents_are_read(name: str, indent: int | None) -> None:
    option = orjson.OPT_INDENT_2 if indent else 0
    table = Table(orjson.dumps(DOCUMENTS[name], option=option))
    assert table.data == [A, B]
    assert table.lines == [1, 2]
    assert table.summary == "JSON, UTF-8 (“Ána”)"


@pytest.mark.parametrize("key", ["attendees", "orders"])
def test_records_with_a_customer_in_them_are_read(key: str) -> None:
    records = [{"n": 1, "customer": {"profile": A}}, {"n": 2, "customer": {"profile": B}}]
    assert Table(orjson.dumps({key: records, "pagination": {"count": 2}})).data == records
    one = {"customer": A, "orders": [{"customer": B}]}
    assert Table(orjson.dumps(one)).data == [one]


def test_json_lines_are_no_document() -> None:
    line = {"email": "a@x.test", "addresses": [{"city": "X"}], "items": [{"a": 1}]}
    for content in (orjson.dumps(line), orjson.dumps(line) + b"\n" + orjson.dumps(B)):
        table = Table(content)
        assert table.data[0] == line
        assert table.summary == "JSON Lines, UTF-8"
    bad = Table('{"email": bad}\n{"email":"b@x.test"}\n')
    assert [record.problem is None for record in bad.records] == [False, True]
    long = {"email": "a@x.test", "notes": "x" * 100_000}
    assert len(Table(orjson.dumps(long) + b"\n" + orjson.dumps(B)).records) == 2


def test_objects_over_several_lines_are_read() -> None:
    content = b"\n".join(orjson.dumps(value, option=orjson.OPT_INDENT_2) for value in (A, B))
    assert Table(content).data == [A, B]


def test_nodes_are_taken_out_and_children_counted() -> None:
    lines = [{"node": A}, B, {"id": "gid://shopify/MailingAddress/1", "__parentId": "gid://x/1"}]
    table = Table(b"\n".join(map(orjson.dumps, lines)))
    assert table.data == [A, B]
    assert table.skipped_children == (1, 3)


def test_faults_in_json_documents_are_reported() -> None:
    table = Table(b'[{"email":"a@x.test"},3,{"email":"b\xff@x.test"},{"email":"c@x.test"}]')
    problems = [record.problem for record in table.records]
    assert [problem is None for problem in problems] == [True, False, False, True]
    assert "not a JSON object" in str(problems[1])
    assert "UTF-8" in str(problems[2])
    with pytest.raises(BadFile, match="not valid JSON after record 1"):
        Table('[{"email":"a@x.test"},{"email":bad}]')
    with pytest.raises(BadFile, match="not valid JSON after record 1"):
        Table('[{"email":"a@x.test"},{"em')


@pytest.mark.slow
def test_a_record_of_a_json_document_over_the_limit_is_refused() -> None:
    with pytest.raises(BadFile, match="more than 4,194,304 bytes"):
        Table(f'[{{"email":"{"x" * (LONGEST + 200_000)}"}}]')


def test_deep_records_of_a_json_document_are_refused() -> None:
    with pytest.raises(BadFile, match="levels"):
        Table("[" + "[" * 200_000)
    deep = Table('[{"email":"a@x.test","c":' + "[" * 900 + "]" * 900 + '},{"email":"b@x.test"}]')
    assert [record.problem is None for record in deep.records] == [False, True]


def imported(client: Client, content: bytes, **options: Any) -> dict[str, Any]:
    details = ended(client, send(client, content, **options))
    assert details["state"] == "done", details
    return details


@pytest.mark.slow
def test_files_of_all_kinds_are_imported_over_http(client: Client) -> None:
    book = workbook(Other=[["x"]], People=[["email", "first_name"], ["book@x.test", "Bo"]])
    files = [
        (book, {"sheet": "People"}),
        (archive(customers__csv="email\nzip@x.test\n"), {}),
        (VCARD.encode(), {}),
        (b'{"customers":[{"email":"json@x.test"}]}', {}),
    ]
    for content, options in files:
        assert imported(client, content, **options)["created"] == 1
        assert client.http.post("/import/preview", content=content, params=options).json()["data"]
    assert set(client.emails("")) >= {"book@x.test", "zip@x.test", "ana@x.test", "json@x.test"}
    answer = client.http.post("/import", content=book, params={"sheet": "Nobody"})
    assert "no sheet 'Nobody'" in refused(answer, 400, "errors_bad_request")


@pytest.mark.slow
def test_a_workbook_of_several_parts_is_imported(sqlite_client: Client) -> None:
    """The beginning of a workbook does not show its columns. The import recognises them."""
    rows = [[f"big{n}@x.test", os.urandom(400).hex()] for n in range(3_000)]
    content = workbook(S=[["email", "notes"], *rows])
    assert len(content) > 1024 * 1024
    assert imported(sqlite_client, content)["created"] == 3_000
    beginning = content[: 1024 * 1024]
    answer = sqlite_client.http.post(
        "/import/preview", content=beginning, params={"whole": "false"}
    )
    shown = answer.json()["data"]
    assert (shown["is_incomplete"], shown["columns"], shown["problem"]) == (True, [], None)
    assert "email" in shown["fields"]


def test_nested_objects_get_dotted_names() -> None:
    data = {
        "email": "a@x.test",
        "default_address": {"address1": "1 A", "geo": {"lat": 1}},
        "addresses": [{"city": "X"}, {"city": "Y"}],
        "tags": ["a", "b"],
        "empty": {},
        "mixed": [1, {"a": 2}],
    }
    assert flatten(data) == {
        "email": "a@x.test",
        "default_address.address1": "1 A",
        "default_address.geo.lat": 1,
        "addresses.0.city": "X",
        "addresses.1.city": "Y",
        "tags": ["a", "b"],
        "empty": {},
        "mixed": [1, {"a": 2}],
    }


def test_types_of_mongodb_are_plain_values() -> None:
    data = {
        "_id": {"$oid": "5f0000000000000000000001"},
        "created": {"$date": {"$numberLong": "1710771637000"}},
        "n": {"$other": 1},
    }
    assert flatten(data) == {
        "_id": "5f0000000000000000000001",
        "created": "1710771637000",
        "n.$other": 1,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def leaves(value: Any) -> int:
    if isinstance(value, dict) and value:
        return sum(map(leaves, value.values()))
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return sum(map(leaves, value))
    return 1


@settings(max_examples=example_count(60), deadline=None)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), JSON, max_size=5))
def test_flattening_loses_no_value(data: dict[str, Any]) -> None:
    flat = flatten(data)
    assert sum(map(leaves, flat.values())) <= leaves(data)
    assert flatten({"x": flat}) == {f"x.{key}": value for key, value in flat.items()} or not flat


def test_flattening_is_bounded() -> None:
    wide = {"a": {str(n): n for n in range(MAX_NAMES + 1)}}
    assert flatten(wide) == wide
    deep: dict[str, Any] = {"x": 1}
    for _ in range(100):
        deep = {"x": deep}
    assert len(str(next(iter(flatten(deep)))).split(".")) == 6
    many = {"a": [{"b": n} for n in range(30)]}
    assert len(flatten(many)) == 21
