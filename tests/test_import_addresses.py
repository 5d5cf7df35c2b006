"""Imports of files with several addresses for each customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.store.migrate import run_in_transaction
from regulars.store.url import parse_url
from regulars.transfer.import_options import Options
from regulars.transfer.records import Record
from regulars.transfer.row_parser import RowParser
from tests.support import (
    Client,
    Server,
    create_token,
    example_count,
    run_server,
)
from tests.test_import_contacts import export
from tests.test_no_email import SCOPES, problems
from tests.test_no_email_imports import counts, run

pytestmark = pytest.mark.both_databases

GOOGLE = """First Name,Last Name,Organization Name,E-mail 1 - Value,Address 1 - Label,Address 1 - Formatted,Address 1 - Street,\
Address 1 - City,Address 1 - PO Box,Address 1 - Region,Address 1 - Postal Code,Address 1 - Country,Address 2 - Label,\
Address 2 - Street,Address 2 - City,Address 2 - Postal Code,Address 2 - Country,Address 3 - Type,Address 3 - City,Address 3 - Postal Code
Ana,Sá,Acme,ana@x.test,Home,Calle 1 Madrid,Calle 1,Madrid,,MD,28001,ES,* Work,Rua 8,Porto,4050-262,Portugal,Beach,Faro,8000
Ben,Li,,ben@x.test,,,,,,,,,Work,1 Quay,London,EC1A 1BB,UK,,,
"""
OUTLOOK = """First Name,Last Name,Company,Business Street,Business Street 2,Business City,Business Postal Code,Business Country/Region,\
Home Street,Home City,Home Postal Code,Other Street,Other City,Other Postal Code,E-mail Address
Ana,Sá,Acme,Rua 8,2.º,Porto,4050-262,Portugal,Calle 1,Madrid,28001,Quai 3,Paris,75001,ana@x.test
Ben,Li,,,,,,,1 Quay,London,EC1A 1BB,,,,ben@x.test
"""
OUTLOOK_DE = """Vorname;Nachname;Straße geschäftlich;Ort geschäftlich;Postleitzahl geschäftlich;Straße privat;Ort privat;Postleitzahl privat;E-Mail-Adresse
Ana;Sá;Weg 1;Köln;50667;Gasse 2;Bonn;53111;ana@x.test
"""
NUMBERED = """email,Address 1,City 1,Zip 1,Country 1,Address 2,City 2,Zip 2,Country 2
ana@x.test,Rua 8,Porto,4050,PT,Calle 1,Madrid,28001,Spain
"""
SHOPIFY = orjson.dumps(
    {
        "email": "ana@x.test",
        "first_name": "Ana",
        "default_address": {
            "id": 1,
            "address1": "Rua 8",
            "city": "Porto",
            "zip": "4050",
            "country": "Portugal",
        },
        "addresses": [
            {"id": 1, "address1": "Rua 8", "city": "Porto", "zip": "4050", "country": "Portugal"},
            {
                "id": 2,
                "address1": "Calle 1",
                "city": "Madrid",
                "zip": "28001",
                "country": "Spain",
                "company": "Acme",
            },
        ],
    }
).decode()
VCARD = """BEGIN:VCARD
VERSION:3.0
N:Sá;Ana;;;
EMAIL;TYPE=INTERNET:ana@x.test
ORG:Acme;Sales
ADR;TYPE=WORK:;;Rua 8;Porto;;4050;Portugal
ADR;TYPE=HOME:;;Calle 1;Madrid;MD;28001;Spain
item1.ADR;TYPE=HOME:;;Quai 3;Paris;;75001;France
item1.X-ABLabel:Boat
END:VCARD
"""
PORTO = {"line1": "Rua 8", "city": "Porto", "zip": "4050", "country": "PT"}
MADRID = {"line1": "Calle 1", "city": "Madrid", "zip": "28001", "country": "ES"}
# The entries of the first customer of each file: role, label, parts.
FILES: Mapping[str, tuple[str, list[tuple[str, str, dict[str, str]]]]] = {
    "google": (
        GOOGLE,
        [
            ("shipping", "home", {**MADRID, "state": "MD", "company": "Acme"}),
            ("", "work", {**PORTO, "zip": "4050-262"}),
            ("", "Beach", {"city": "Faro", "zip": "8000"}),
        ],
    ),
    "outlook": (
        OUTLOOK,
        [
            ("shipping", "home", {**MADRID, "country": ""}),
            ("", "work", {**PORTO, "line2": "2.º", "zip": "4050-262", "company": "Acme"}),
            ("", "other", {"line1": "Quai 3", "city": "Paris", "zip": "75001"}),
        ],
    ),
    "outlook_de": (
        OUTLOOK_DE,
        [
            ("shipping", "home", {"line1": "Gasse 2", "city": "Bonn", "zip": "53111"}),
            ("", "work", {"line1": "Weg 1", "city": "Köln", "zip": "50667"}),
        ],
    ),
    "numbered": (NUMBERED, [("shipping", "", PORTO), ("", "", MADRID)]),
    "shopify": (SHOPIFY, [("shipping", "", PORTO), ("", "", {**MADRID, "company": "Acme"})]),
    "vcard": (
        VCARD,
        [
            ("shipping", "home", {**MADRID, "state": "MD"}),
            ("billing", "work", {**PORTO, "company": "Acme, Sales"}),
            ("", "Boat", {"line1": "Quai 3", "city": "Paris", "zip": "75001", "country": "FR"}),
        ],
    ),
}
BOOK = """... on Customer { full_name custom version shipping_address { city } addresses { label default_shipping
  default_billing address { line1 line2 city zip state country company } } }"""


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        yield client
        assert problems(server, client) == []


def book(client: Client, id_: str = "1") -> list[tuple[str, str, dict[str, str]]]:
    return [
        (
            "shipping" * entry["default_shipping"] + "billing" * entry["default_billing"],
            entry["label"],
            {part: text for part, text in entry["address"].items() if text},
        )
        for entry in client.node(id_, BOOK)["addresses"]
    ]


def without_empty(
    entries: list[tuple[str, str, dict[str, str]]],
) -> list[tuple[str, str, dict[str, str]]]:
    return [(role, label, {k: v for k, v in parts.items() if v}) for role, label, parts in entries]


@pytest.mark.parametrize("name", FILES)
def test_all_addresses_of_a_row_come_in(shop: Client, name: str) -> None:
    content, expected = FILES[name]
    details = run(shop, content)
    assert (details["rejected"], details["warnings"]) == (0, []), details
    assert book(shop) == without_empty(expected)
    before = shop.node("1", BOOK)
    # Nothing is lost, and nothing is there twice.
    kept = {key for key in before["custom"] or {} if key not in ("default_address", "addresses")}
    assert kept <= {"Address 1 - Formatted"}
    rows = details["rows"]
    assert counts(run(shop, content, dry_run=True)) == (0, 0, rows, 0)
    assert counts(run(shop, content)) == (0, 0, rows, 0)
    assert shop.node("1", BOOK) == before


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        ("{part} {n}", "Straße Ort PLZ"),
        ("{part}{n}", "Address City Zip"),
        ("{part}_{n}", "street city zip"),
        ("{part} ({n})", "Rue Ville CP"),
        ("{part} #{n}", "Address City Zip"),
        ("Address {n}: {part}", "Street City Zip"),
    ],
)
def test_numbered_addresses_have_their_streets(shop: Client, number: str, parts: str) -> None:
    names = [number.format(part=part, n=n) for n in (1, 2, 3) for part in parts.split()]
    headings = ",".join(names)
    values = "Rua 8,Porto,4050,Calle 1,Madrid,28001,Quai 3,Paris,75001"
    content = f"email,{headings}\na@x.test,{values}\n"
    assert counts(run(shop, content)) == (1, 0, 0, 0)
    streets = [(entry[2].get("line1"), entry[2].get("city")) for entry in book(shop)]
    assert streets == [("Rua 8", "Porto"), ("Calle 1", "Madrid"), ("Quai 3", "Paris")]
    assert counts(run(shop, content)) == (0, 0, 1, 0)


def test_ordinals_and_lines_of_addresses(shop: Client) -> None:
    parts = ("street", "city", "zip")
    names = [f"{n} address {part}" for n in ("First", "Second", "Third") for part in parts]
    values = "Rua 8,Porto,4050,Calle 1,Madrid,28001,Quai 3,Paris,75001"
    run(shop, f"email,{','.join(names)}\na@x.test,{values}\n")
    cities = [entry[2]["city"] for entry in book(shop)]
    assert cities == ["Porto", "Madrid", "Paris"]
    # Lines of one address, of which the third has no field.
    run(shop, "email,Address 1,Address 2,Address 3,City\nb@x.test,A,B,C,Porto\n")
    lines = {"line1": "A", "line2": "B", "city": "Porto"}
    assert book(shop, "2") == [("shipping", "", lines)]
    assert shop.node("2", BOOK)["custom"] == {"Address 3": "C"}


def test_a_customer_without_an_address_gets_the_first_one_as_the_default(shop: Client) -> None:
    assert counts(run(shop, GOOGLE)) == (2, 0, 0, 0)
    quay = {"line1": "1 Quay", "city": "London", "zip": "EC1A 1BB", "country": "GB"}
    assert book(shop, "2") == [("shipping", "work", quay)]


def test_present_entries_stay_as_they_are(shop: Client) -> None:
    own = {"line1": "Own 1", "city": "Rabat", "country": "MA"}
    shop.create(
        "ana@x.test",
        addresses=[
            {"label": "mine", "address": own, "default_billing": True},
            {"label": "summer", "address": MADRID},
        ],
    )
    assert counts(run(shop, NUMBERED)) == (0, 1, 0, 0)
    expected = [("shipping", "", PORTO), ("billing", "mine", own), ("", "summer", MADRID)]
    assert book(shop) == expected
    assert counts(run(shop, NUMBERED)) == (0, 0, 1, 0)
    moved = NUMBERED.replace("Rua 8", "Rua 9").replace("Calle 1", "Calle 2")
    assert counts(run(shop, moved)) == (0, 1, 0, 0)
    assert book(shop) == [
        ("shipping", "", {**PORTO, "line1": "Rua 9"}),
        *expected[1:],
        ("", "", {**MADRID, "line1": "Calle 2"}),
    ]


def test_equal_addresses_are_one_entry(shop: Client) -> None:
    same = "email,Address 1 - Street,Address 1 - City,Address 2 - Street,Address 2 - City\na@x.test,Rua 8,Porto,Rua 8,Porto\n"
    assert counts(run(shop, same)) == (1, 0, 0, 0)
    assert book(shop) == [("shipping", "", {"line1": "Rua 8", "city": "Porto"})]


def test_addresses_beyond_the_maximum_are_kept(shop: Client) -> None:
    entries = [{"address": {"line1": f"Street {n}"}} for n in range(99)]
    shop.create("ana@x.test", addresses=[{"address": PORTO, "default_shipping": True}, *entries])
    details = run(shop, NUMBERED)
    assert counts(details) == (0, 1, 0, 0)
    assert "The customer has 100 addresses, which is the maximum." in str(details["warnings"])
    customer = shop.node("1", BOOK)
    assert len(customer["addresses"]) == 100
    assert customer["custom"] == {"import: Address 2": "Calle 1, Madrid, 28001, ES"}
    assert counts(run(shop, NUMBERED)) == (0, 0, 1, 0)


def test_a_row_of_too_many_addresses_keeps_the_others(shop: Client) -> None:
    addresses = {f"address_{n}": {"line1": f"Street {n}", "city": "Fès"} for n in range(2, 122)}
    content = orjson.dumps({"email": "a@x.test", **addresses}).decode()
    details = run(shop, content)
    assert counts(details) == (1, 0, 0, 0)
    assert "The customer has 100 addresses, which is the maximum." in str(details["warnings"])
    customer = shop.node("1", BOOK)
    lines = {entry["address"]["line1"] for entry in customer["addresses"]}
    text = str(customer["custom"])
    assert len(lines) == 100
    assert all(f"Street {n}" in lines or f"Street {n}" in text for n in range(2, 122))
    assert counts(run(shop, content)) == (0, 0, 1, 0)
    # Names that the first pass over the file has not seen.
    record = Record(1, data={"email": "a@x.test", **addresses})
    row = RowParser([], {}, Options(has_lists=True)).row(record)
    (book_row,) = row.contacts
    (warning,) = row.warnings
    assert len(book_row.entries) == 100
    assert "A customer can have 100 addresses; the row has more." in warning.message
    assert "Street 121, Fès" in row.values["custom"]["import: addresses"]


def test_invalid_parts_are_kept_or_reject_a_row(shop: Client) -> None:
    content = NUMBERED.replace("Spain", "Nowhere").replace("28001", "9" * 300)
    strict = run(shop, content, strict=True)
    assert counts(strict) == (0, 0, 0, 1)
    assert "Country 2" in str(strict["problems"])
    assert "Zip 2" in str(run(shop, NUMBERED.replace("28001", "9" * 300), strict=True)["problems"])
    details = run(shop, content)
    assert counts(details) == (1, 0, 0, 0)
    kinds = [warning["kind"] for warning in details["warnings"]]
    assert sorted(kinds) == ["warning_unreadable Country 2", "warning_unreadable Zip 2"]
    assert book(shop)[1] == ("", "", {"line1": "Calle 1", "city": "Madrid"})
    kept = {"import: Country 2": "Nowhere", "import: Zip 2": "9" * 300}
    assert shop.node("1", BOOK)["custom"] == kept


def test_columns_can_be_mapped_to_an_address(shop: Client) -> None:
    options = {"map": ["A=addresses.club.line1", "B=addresses.club.city", "C=addresses.club.label"]}
    assert counts(run(shop, "email,A,B,C\na@x.test,Rua 8,Porto,Club\n", **options)) == (1, 0, 0, 0)
    # It is the only address.
    assert book(shop) == [("shipping", "Club", {"line1": "Rua 8", "city": "Porto"})]
    answer = shop.http.post(
        "/import", params={"map": "A=addresses.club.street"}, content=b"email,A\na@x.test,b\n"
    )
    assert answer.status_code == 400
    assert "addresses.NAME.PART" in answer.text


def test_the_preview_shows_further_addresses(shop: Client) -> None:
    answer = shop.http.post("/import/preview", content=GOOGLE.encode())
    columns = {column["heading"]: column for column in answer.json()["data"]["columns"]}
    shown = {
        heading: (columns[heading]["field"], columns[heading]["samples"])
        for heading in ("Address 1 - Label", "Address 2 - Label", "Address 2 - City")
    }
    assert shown == {
        "Address 1 - Label": ("addresses.shipping_address.label", ["home"]),
        "Address 2 - Label": ("addresses.2.label", ["work"]),
        "Address 2 - City": ("addresses.2.city", ["Porto", "London"]),
    }


@pytest.mark.parametrize("name", ["numbered", "vcard"])
def test_further_addresses_are_kept_before_the_contract_part(new_database: str, name: str) -> None:
    statement = sa.text("UPDATE compatibility SET finished = '0017'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    content, expected = FILES[name]
    with (
        run_server(new_database) as server,
        Client(server, create_token(server, scopes=SCOPES)) as client,
    ):
        details = run(client, content)
        assert counts(details) == (1, 0, 0, 0)
        defaults = [entry for entry in expected if entry[0]]
        assert book(client) == [(role, "", parts) for role, _, parts in defaults]
        text = str(client.node("1", BOOK)["custom"])
        assert all(value in text for value in ("Calle 1", "Madrid") * (name == "numbered"))
        assert all(value in text for value in ("Quai 3", "Paris", "Boat") * (name == "vcard"))
        assert counts(run(client, content)) == (0, 0, 1, 0)


_TEXTS = st.sampled_from(["Rua 8", "Calle 1", "=1+1", "'x", "a, b", '"q"', "東京", "Weg\u00a05"])
_ADDRESSES = st.dictionaries(
    st.sampled_from(["line1", "line2", "city", "zip", "state", "company"]), _TEXTS, min_size=1
)


@settings(
    max_examples=example_count(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    books=st.lists(
        st.lists(st.tuples(_ADDRESSES, st.sampled_from(["", "work", "Ferien", "=1"])), max_size=5),
        min_size=1,
        max_size=4,
    ),
    roles=st.integers(0, 3),
    changes=st.integers(0, 2),
)
def test_exports_come_back_to_the_same_bytes(
    server: Server, books: list[list[tuple[dict[str, str], str]]], roles: int, changes: int
) -> None:
    flags = {"default_shipping": bool(roles & 1), "default_billing": bool(roles & 2)}
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        for number, entries in enumerate(books):
            nodes: list[dict[str, Any]] = [
                {"address": address, "label": label, **(flags if not n else {})}
                for n, (address, label) in enumerate(entries)
            ]
            id_ = client.create(f"p{number}@x.test", addresses=nodes)["id"]
            # Another entry becomes the default, and the last one of all is left.
            if changes > 0 and nodes:
                others = [{**node, "default_shipping": False} for node in nodes[:-1]]
                client.update(id_, addresses=[*others, {**nodes[-1], "default_shipping": True}])
            if changes > 1 and nodes:
                client.update(id_, addresses=[{**nodes[-1], "label": ""}])
        exports = [export(client, form) for form in ("csv", "jsonl", "xlsx")]
    for content in exports:
        with Client(server, create_token(server, scopes=SCOPES)) as other:
            assert counts(run(other, content)) == (len(books), 0, 0, 0)
            assert [export(other, each) for each in ("csv", "jsonl")] == exports[:2]
            assert counts(run(other, content)) == (0, 0, len(books), 0)
            assert problems(server, other) == []


def test_a_default_that_was_another_entry_comes_back_to_the_same_bytes(
    shop: Client, server: Server
) -> None:
    """It has an id of its own, which is not exported."""
    id_ = shop.create("ana@x.test", addresses=[{"address": PORTO}, {"address": MADRID}])["id"]
    shop.update(id_, addresses=[{"address": MADRID, "default_shipping": True}])
    content = export(shop, "csv")
    with Client(server, create_token(server, scopes=SCOPES)) as other:
        assert counts(run(other, content)) == (1, 0, 0, 0)
        assert export(other, "csv") == content
        assert book(other) == [("shipping", "", MADRID)]
