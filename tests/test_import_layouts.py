"""Files that are no tables, or have values of several fields in one cell."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from regulars.transfer.source import Source
from regulars.transfer.text_layouts import is_mailbox_list
from regulars.transfer.utf7_detection import find_utf7

PEOPLE = (("ana@x.test", "Ana", "Sá"), ("ben@x.test", "", ""), ("cy@x.test", "Oz", "Cy"))


def read(content: str | bytes, **options: Any) -> list[Any]:
    """Return the rows of a file, as an import gets them."""
    data = content.encode() if isinstance(content, str) else content
    chosen = Options(has_lists=True, **options)
    with open_input("f", chosen.encoding, io.BytesIO(data)) as file:
        source = Source(file, chosen)
        return [source.shape.row(record) for record in source.records]


@pytest.mark.parametrize(
    "content",
    [
        'Ana Sá <ana@x.test>\nben@x.test\n"Cy, Oz" <cy@x.test>\n',
        'Ana Sá <ana@x.test>,\r\nben@x.test,\r\n"Cy, Oz" <cy@x.test>\r\n',
        "Ana Sá <ana@x.test>;\n<ben@x.test>;\nCy, Oz <cy@x.test>",
        'E-mail\nAna Sá <ana@x.test>\nben@x.test\n"Cy, Oz" <cy@x.test>\n',
        'email\nAna Sá <ana@x.test>\nben@x.test\n"Cy, Oz <cy@x.test>"\n',
        "email,tags\nAna Sá <ana@x.test>,a\nben@x.test,b\n\"'Cy, Oz' <cy@x.test>\",c\n",
    ],
)
def test_names_in_cells_of_emails_are_those_of_the_customers(content: str) -> None:
    values = [row.values for row in read(content)]
    assert [
        (v["email"], v.get("first_name", ""), v.get("last_name", "")) for v in values
    ] == list(PEOPLE)
    assert all(not row.warnings and not row.problems for row in read(content))


def test_a_column_of_names_is_preferred_to_names_in_emails() -> None:
    (row,) = read("email,first name,last name\nOffice <ana@x.test>,Ana,Sá\n")
    assert (row.values["first_name"], row.values["last_name"]) == ("Ana", "Sá")


def test_a_list_of_emails_in_one_line_is_refused() -> None:
    for content in ("a@x.test, b@x.test\n", "a@x.test;b@x.test;", "A <a@x.test>, b@x.test\n"):
        with pytest.raises(BadOption, match="Write each email in a line of its own"):
            read(content)


FIXED = (
    "CUSTNO  NAME                EMAIL                    CITY\n",
    "------- ------------------- ------------------------ ----\n",
    "0001    Ana Sá              ana@x.test               Porto\n"
    "0002    Bo van der Ek       bo@x.test                New York\n"
    "0003    Cy Oz               cy@x.test\n",
)


@pytest.mark.parametrize("lines", [FIXED, FIXED[::2], FIXED[2:]])
def test_columns_of_a_fixed_width_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadOption, match="fixed width"):
        read("".join(lines))


def test_double_spaces_are_no_columns() -> None:
    (row,) = read("Email  address\nana@x.test\n")
    assert row.values["email"] == "ana@x.test"
    rows = read("Ana  Sá <ana@x.test>\nBo  Ek <bo@x.test>\n")
    assert [row.values["last_name"] for row in rows] == ["Sá", "Ek"]


@pytest.mark.parametrize(
    "text", ["Zoé,Málaga", "Łukasz,Łódź", "Иван,Москва", "田中,東京都,大阪府", "Ünal,Bursa"]
)
def test_utf_7_is_refused(text: str) -> None:
    content = f"email,name\nana+news@x.test,{text}\n".encode("utf-7")
    with pytest.raises(BadFile, match="UTF-7.*Export it as UTF-8"):
        read(content)
    assert read(content, encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "a+Abc@x.test,+1-555-0100,+44 20",
        "ana+shopping.b@x.test,C++,A+B",
        "a@x.test,+Abc,+AEg=",
        "a@x.test,+420-601 123 456,https://x.test/?q=+abc-def",
    ],
)
def test_a_plus_is_no_utf_7(text: str) -> None:
    assert not find_utf7(text.encode())
    assert read(f"email,a,b\n{text}\n")


def test_layouts_are_detected_in_linear_time() -> None:
    started = time.process_time()
    for unit in (b"+", b"+A", b"+" + b"A" * 80, b"+33612345678,a+b@x.test\n", b"+AA@"):
        find_utf7(unit * (2_000_000 // len(unit)))
    for text in ("a" * 400, "a@" * 200, '"a' * 200, "<a@" * 150, ", a" * 150, " " * 490):
        is_mailbox_list(f"{text}\n" * 200)
    assert time.process_time() - started < 5
