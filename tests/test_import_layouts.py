"""Files that are no tables, or have values of several fields in one cell."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from regulars.transfer.address_cells import is_whole_address, read_addresses
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
    assert [(v["email"], v.get("first_name", ""), v.get("last_name", "")) for v in values] == list(
        PEOPLE
    )
    assert all(not row.warnings and not row.problems for row in read(content))


def test_a_list_of_emails_in_angle_brackets_is_read() -> None:
    rows = read("<ana@x.test>,\n<ben@x.test>,\n")
    assert [row.values["email"] for row in rows] == ["ana@x.test", "ben@x.test"]


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
    with pytest.raises(BadFile, match=r"UTF-7.*Export it as UTF-8"):
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


HOME = {"line1": "12 Main St", "city": "Springfield", "state": "IL", "zip": "62704"}
BIGCOMMERCE = (
    "Address ID: 7, Address First Name: Ana, Address Last Name: Sá, Address Company: , Address Line "
    "1: 12 Main St, Address Line 2: Apt 4, back, City/Suburb: Springfield, State/Province: IL, "
    "Zip/Postcode: 62704, Country: United States, Building Type: residential|Address ID: 8, "
    "Address First Name: Ana, Address Last Name: Sá, Address Company: Acme, Address Line 1: Rua 8, "
    "Address Line 2: , City/Suburb: Porto, State/Province: , Zip/Postcode: 4050, Country: Portugal"
)


def addresses(row: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the addresses of a row, each with its label: the default ones, then others."""
    books = [each for each in row.contacts if each.kind == "addresses"]
    labels = dict(label for book in books for label in book.labels)
    found = [
        (labels.get(role, ""), row.values[role])
        for role in ("shipping_address", "billing_address")
        if row.values.get(role)
    ]
    found += [(entry.label, entry.address) for book in books for entry in book.entries]
    return [(label, {k: v for k, v in parts.items() if v}) for label, parts in found]


@pytest.mark.parametrize(
    ("heading", "cell", "expected"),
    [
        (
            "Addresses",
            BIGCOMMERCE,
            [
                ("", {**HOME, "line2": "Apt 4, back", "country": "US", "first_name": "Ana"}),
                ("", {"line1": "Rua 8", "city": "Porto", "zip": "4050", "country": "PT"}),
            ],
        ),
        (
            "Address Book",
            "Address Name: Home, Address Line 1: 12 Main St, City: Springfield, State: IL, Zip: "
            "62704; Address Name: Boat, Address Line 1: Rua 8, City: Porto",
            [("home", HOME), ("Boat", {"line1": "Rua 8", "city": "Porto"})],
        ),
        (
            "Dirección",
            "Calle: Rua 8, 2º\nCiudad: Porto\nCódigo postal: 4050\nPaís: Portugal",
            [("", {"line1": "Rua 8, 2º", "city": "Porto", "zip": "4050", "country": "PT"})],
        ),
        (
            "Shipping Address",
            '{"addressLine1":"Rua 8","locality":"Porto","postalCode":"4050","countryCode":"PT"}',
            [("", {"line1": "Rua 8", "city": "Porto", "zip": "4050", "country": "PT"})],
        ),
        (
            "addresses",
            '[{"address1":"Rua 8","city":"Porto","zip":4050},{"address1":"12 Main St","city":"X"}]',
            [
                ("", {"line1": "Rua 8", "city": "Porto", "zip": "4050"}),
                ("", {"line1": "12 Main St", "city": "X"}),
            ],
        ),
        ("Address", "12 Main St, Springfield, IL 62704", [("", HOME)]),
        (
            "Billing Address",
            "12 Main St<br/>Apt 4\nSpringfield\nIL 62704-1234\nUSA",
            [("", {**HOME, "line2": "Apt 4", "zip": "62704-1234", "country": "US"})],
        ),
        (
            "Full Address",
            "3 bis, rue Haute, 75002 Paris, France",
            [("", {"line1": "3 bis, rue Haute", "city": "Paris", "zip": "75002", "country": "FR"})],
        ),
        (
            "Adresse",
            "Hauptstr. 1, 10115 Berlin",
            [("", {"line1": "Hauptstr. 1", "city": "Berlin", "zip": "10115"})],
        ),
        (
            "Adres",
            "Dorpsstraat 1, 1234 AB Utrecht",
            [("", {"line1": "Dorpsstraat 1", "city": "Utrecht", "zip": "1234 AB"})],
        ),
        (
            "Address",
            "10 High St, London, SW1A 2AA, UK",
            [("", {"line1": "10 High St", "city": "London", "zip": "SW1A 2AA", "country": "GB"})],
        ),
        (
            "Address",
            "10 High St, Leeds LS1 4AP",
            [("", {"line1": "10 High St", "city": "Leeds", "zip": "LS1 4AP"})],
        ),
        ("Address", "5 Elm St, 1200 Oak Blvd", [("", {"line1": "5 Elm St, 1200 Oak Blvd"})]),
        (
            "Adresse",
            "Hauptstr. 5\nD-10115 Berlin\nDeutschland",
            [("", {"line1": "Hauptstr. 5", "city": "Berlin", "zip": "10115", "country": "DE"})],
        ),
        (
            "Indirizzo",
            "Via Roma 1, Scala B, 00184 Roma (RM), Italia",
            [
                (
                    "",
                    {
                        "line1": "Via Roma 1",
                        "line2": "Scala B",
                        "city": "Roma",
                        "state": "RM",
                        "zip": "00184",
                        "country": "IT",
                    },
                )
            ],
        ),
    ],
)
def test_the_parts_of_an_address_in_one_cell_are_read(
    heading: str, cell: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    quoted = cell.replace('"', '""')
    (row,) = read(f'email,{heading}\nana@x.test,"{quoted}"\n')
    found = addresses(row)
    assert len(found) == len(expected)
    for (label, parts), (expected_label, expected_parts) in zip(found, expected, strict=True):
        assert label == expected_label
        assert parts.items() >= expected_parts.items()
        assert parts.keys() - expected_parts.keys() <= {"first_name", "last_name", "company"}
    assert not row.warnings
    assert not row.problems


@pytest.mark.parametrize(
    "cell",
    [
        "12 Rue de la Paix, Bât. B, Paris",
        "Firma GmbH, Hauptstr. 5, 10115 Berlin, Germany",  # a name comes first
        "10 Downing St, London, United Kingdom",
    ],
)
def test_an_address_whose_parts_are_not_certain_is_a_street_with_a_warning(cell: str) -> None:
    (row,) = read(f'email,Full Address\na@x.test,"{cell}"\n')
    assert row.values["shipping_address"]["line1"] == cell
    assert [warning.kind for warning in row.warnings] == ["whole_address"]


def test_labelled_text_that_is_no_part_of_an_address_is_kept() -> None:
    (row,) = read(f'email,Addresses\nana@x.test,"{BIGCOMMERCE}"\n')
    kept = "Address ID: 7; Building Type: residential; Address ID: 8"
    assert row.values["custom"] == {"import: Addresses": kept}


@pytest.mark.parametrize(
    ("cell", "line1", "line2"),
    [
        ("Rua 8, 4050 Porto, Portugal", "Rua 8, 4050 Porto, Portugal", ""),
        ("5 Elm Rd\nLeeds\nUK", "5 Elm Rd", "Leeds, UK"),
        ("Ana Sá\n5 Elm Rd\nLeeds, AL 35094", "Ana Sá", "5 Elm Rd, Leeds, AL 35094"),
        ("5 Elm Rd, Leeds, XX 12345", "5 Elm Rd, Leeds, XX 12345", ""),  # no state of the US
    ],
)
def test_a_whole_address_without_certain_parts_is_the_street_with_a_warning(
    cell: str, line1: str, line2: str
) -> None:
    row, other = read(f'email,Address\nana@x.test,"{cell}"\nb@x.test,Rua 8\n')
    parts = dict(addresses(row)[0][1])
    assert (parts.pop("line1"), parts.pop("line2", "")) == (line1, line2)
    assert not parts
    ((kind, heading, message),) = row.warnings
    assert (kind, heading) == ("whole_address", "Address")
    assert "columns of their own" in message
    assert addresses(other) == [("", {"line1": "Rua 8"})]
    assert not other.warnings


def test_a_street_with_commas_next_to_other_parts_is_a_street() -> None:
    (row,) = read('email,Address,City\nana@x.test,"12 Main St, Springfield, IL 62704",Porto\n')
    assert addresses(row) == [("", {"line1": "12 Main St, Springfield, IL 62704", "city": "Porto"})]
    assert not row.warnings


def test_addresses_in_cells_are_read_in_linear_time() -> None:
    started = time.process_time()
    for unit in ("a: ", "a:", ", ", ",a", "City: x, ", "<br ", "\n", "[{", "IL 62704, ", " " * 19):
        text = unit * (400_000 // len(unit))
        for cell in (text, f"City: {text}", f"{text[:19_000]}City: x, Zip: 1"):
            read_addresses(cell)
            is_whole_address(cell)
    assert time.process_time() - started < 5
