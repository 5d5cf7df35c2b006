"""Imports of files with several emails and phones for each customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.transfer.contact_cells import divide_phones
from tests.support import Client, Server, create_token, example_count
from tests.test_no_email import SCOPES, identify_by, problems
from tests.test_no_email_imports import counts, run

pytestmark = pytest.mark.both_databases

GOOGLE = """First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,\
Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value
Ana,Sá,* Work,ana@x.test,Home,ana@home.test ::: sa@home.test,Mobile,+351 912 345 678,Work,+351 22 555 01 23 ::: \
+351 22 555 01 24
Ben,Li,* ,ben@x.test,,,,,Assistant's desk,+33 6 12 34 56 78
"""
OUTLOOK = """First Name,Last Name,Business Street,Business City,Business Fax,Business Phone,Home Phone,\
Mobile Phone,Other Phone,Primary Phone,E-mail Address,E-mail Type,E-mail 2 Address,E-mail 3 Address
Ana,Sá,Rua 8,Porto,225550129,225550123,225550199,912345678,,,ana@x.test,SMTP,ana@home.test,sa@home.test
"""
OUTLOOK_DE = """Vorname;Nachname;Telefon geschäftlich;Telefon privat;Mobiltelefon;E-Mail-Adresse;E-Mail 2: Adresse
Ana;Sá;+49 30 5550101;+49 30 5550102;+49 170 5550103;ana@x.test;ana@home.test
"""
HUBSPOT = """Record ID,First Name,Last Name,Email,Additional email addresses,Phone Number,Mobile Phone Number
9001234567890,Ana,Sá,ana@x.test,ana@home.test;sa@home.test,+351 225550123,+351 912345678
"""
TWENTY = """Name / First Name,Name / Last Name,Emails / Primary Email,Emails / Additional Emails,\
Phones / Primary Phone Number,Phones / Additional Phones
Ana,Sá,ana@x.test,"[""ana@home.test"",""sa@home.test""]",912345678,\
"[{""number"":""225550123"",""callingCode"":""+351"",""countryCode"":""PT""}]"
"""
CELLS = """first_name,last_name,email,phone
Ana,Sá,ana@x.test / ana@home.test and sa@home.test,+351 225550123 / 00351 912345678
"""
ODOO = "name,email,email2,phone,phone_2,mobile\nAna Sá,ana@x.test,ana@home.test,225550123,225550124,912345678\n"
OWN = """email,name,additional_emails,additional_phones,phone
ana@x.test,Ana Sá,"ana@home.test, work <sa@home.test>","mobile <+351 912345678>, 225550124",225550123
"""
VCARD3 = """BEGIN:VCARD
VERSION:3.0
N:Sá;Ana;;;
EMAIL;TYPE=INTERNET;TYPE=HOME:ana@home.test
EMAIL;TYPE=INTERNET,WORK,PREF:ana@x.test
item1.EMAIL;TYPE=INTERNET:sa@home.test
item1.X-ABLabel:Club
TEL;TYPE=CELL,VOICE:+351912345678
TEL;TYPE=WORK,VOICE:+351225550123
TEL;TYPE=WORK,FAX:+351225550129
END:VCARD
"""
VCARD4 = """BEGIN:VCARD
VERSION:4.0
FN:Ana Sá
N:Sá;Ana;;;
EMAIL;TYPE=home;PREF=2:ana@home.test
EMAIL;TYPE=work;PREF=1:ana@x.test
TEL;VALUE=uri;TYPE="voice,home":tel:+351-225-550-123
TEL;VALUE=uri;PREF=1;TYPE="cell,text":tel:+351-912-345-678
END:VCARD
"""
HOME, SECOND = ("ana@home.test", "sa@home.test")
# The emails and the phones of the first customer of each file, the default first.
FILES: Mapping[str, tuple[str, list[tuple[str, str]], list[tuple[str, str]]]] = {
    "google": (
        GOOGLE,
        [("ana@x.test", "work"), (HOME, "home"), (SECOND, "home")],
        [
            ("+351 912 345 678", "mobile"),
            ("+351 22 555 01 23", "work"),
            ("+351 22 555 01 24", "work"),
        ],
    ),
    "outlook": (
        OUTLOOK,
        [("ana@x.test", ""), (HOME, ""), (SECOND, "")],
        [("912345678", "mobile"), ("225550123", "work"), ("225550199", "home")],
    ),
    "outlook_de": (
        OUTLOOK_DE,
        [("ana@x.test", ""), (HOME, "")],
        [("+49 170 5550103", "mobile"), ("+49 30 5550101", "work"), ("+49 30 5550102", "home")],
    ),
    "hubspot": (
        HUBSPOT,
        [("ana@x.test", ""), (HOME, ""), (SECOND, "")],
        [("+351 225550123", ""), ("+351 912345678", "mobile")],
    ),
    "twenty": (
        TWENTY,
        [("ana@x.test", ""), (HOME, ""), (SECOND, "")],
        [("912345678", ""), ("+351 225550123", "")],
    ),
    "cells": (
        CELLS,
        [("ana@x.test", ""), (HOME, ""), (SECOND, "")],
        [("+351 225550123", ""), ("00351 912345678", "")],
    ),
    "odoo": (
        ODOO,
        [("ana@x.test", ""), (HOME, "")],
        [("225550123", ""), ("225550124", ""), ("912345678", "mobile")],
    ),
    "additional": (
        OWN,
        [("ana@x.test", ""), (HOME, ""), (SECOND, "work")],
        [("225550123", ""), ("+351 912345678", "mobile"), ("225550124", "")],
    ),
    "vcard3": (
        VCARD3,
        [("ana@x.test", "work"), (HOME, "home"), (SECOND, "Club")],
        [("+351912345678", "mobile"), ("+351225550123", "work")],
    ),
    "vcard4": (
        VCARD4,
        [("ana@x.test", "work"), (HOME, "home")],
        [("+351-912-345-678", "mobile"), ("+351-225-550-123", "home")],
    ),
}
ADD = "mutation($id: ID!, $e: [InputEmailAddress!]!) { addEmails(id: $id, emails: $e) { id } }"
LISTS = """... on Customer { full_name custom version
  emails { id email label default verified_at } phones { id phone label default } }"""


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        yield client
        assert problems(server, client) == []


def lists(client: Client, id_: str = "1") -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    node = client.node(id_, LISTS)
    for entries in (node["emails"], node["phones"]):
        assert [entry["default"] for entry in entries] == [n == 0 for n in range(len(entries))]
    assert all(entry["verified_at"] is None for entry in node["emails"])
    return (
        [(entry["email"], entry["label"]) for entry in node["emails"]],
        [(entry["phone"], entry["label"]) for entry in node["phones"]],
    )


@pytest.mark.parametrize("name", FILES)
def test_all_emails_and_phones_of_a_row_come_in(shop: Client, name: str) -> None:
    content, emails, phones = FILES[name]
    details = run(shop, content)
    assert details["rejected"] == 0, details
    assert details["warnings"] == []
    assert lists(shop) == (emails, phones)
    before = shop.node("1", LISTS)
    assert not any(
        "mail" in key or "hone" in key
        for key in before["custom"] or {}
        if "Fax" not in key and "Type" not in key
    )
    # The same file again changes nothing, and neither does a dry run before it.
    rows = details["rows"]
    assert counts(run(shop, content, dry_run=True)) == (0, 0, rows, 0)
    assert counts(run(shop, content)) == (0, 0, rows, 0)
    assert shop.node("1", LISTS) == before


def test_present_entries_stay_as_they_are(shop: Client) -> None:
    shop.create(
        "ana@x.test",
        emails=[{"email": "ANA@home.test", "label": "old"}, {"email": "own@x.test"}],
        phones=[{"phone": "+351912345678", "label": "sister"}, {"phone": "1", "default": True}],
    )
    before = shop.node("1", LISTS)
    assert counts(run(shop, GOOGLE)) == (1, 1, 0, 0)
    emails, phones = lists(shop)
    assert emails == [
        ("ana@x.test", ""),
        ("ANA@home.test", "old"),
        ("own@x.test", ""),
        (SECOND, "home"),
    ]
    assert sorted(phones) == sorted(
        [
            ("+351 912 345 678", "sister"),
            ("1", ""),
            ("+351 22 555 01 23", "work"),
            ("+351 22 555 01 24", "work"),
        ]
    )
    # The phone of the file is the default, as for a file with one phone.
    assert phones[0][0] == "+351 912 345 678"
    after = shop.node("1", LISTS)
    ids = {entry["id"] for kind in ("emails", "phones") for entry in before[kind]}
    assert ids <= {entry["id"] for kind in ("emails", "phones") for entry in after[kind]}
    assert counts(run(shop, GOOGLE)) == (0, 0, 2, 0)


def test_an_email_of_another_customer_stays_there(shop: Client) -> None:
    shop.create("zoe@x.test", emails=[{"email": "ANA@home.test"}], first_name="Zoé")
    details = run(shop, ODOO)
    assert counts(details) == (1, 0, 0, 0)
    (warning,) = details["warnings"]
    assert (warning["kind"], warning["count"]) == ("warning_kept email2", 1)
    assert "Another customer has this email and keeps it." in str(warning)
    assert details["rows_with_warnings"] == 1
    assert lists(shop)[0] == [("zoe@x.test", ""), ("ANA@home.test", "")]
    assert lists(shop, "2")[0] == [("ana@x.test", "")]
    assert shop.node("2", LISTS)["custom"] == {"import: email2": "ana@home.test"}
    assert counts(run(shop, ODOO)) == (0, 0, 1, 0)


@pytest.mark.parametrize("count", [0, 3_000])
def test_an_email_identifies_one_contact_of_a_file(shop: Client, count: int) -> None:
    others = "".join(f"O{n},o{n}@x.test,,{n}\n" for n in range(count))
    content = f"name,email,email2,phone\nAna,ana@x.test,Office@x.test,1\n{others}Office,office@x.test,,2\n"
    details = run(shop, content)
    assert counts(details) == (2 + count, 0, 0, 0)
    (warning,) = details["warnings"]
    assert warning["kind"] == "warning_kept email2"
    assert "Another row of the file has this email as its own." in str(warning)
    assert shop.node("1", LISTS)["custom"] == {"import: email2": "Office@x.test"}
    last = shop.node(str(2 + count), LISTS)
    assert (last["full_name"], [e["email"] for e in last["emails"]]) == (
        "Office",
        ["office@x.test"],
    )
    assert counts(run(shop, content)) == (0, 0, 2 + count, 0)


def test_a_further_email_in_a_cell_may_be_of_another_row(shop: Client) -> None:
    content = "email,first_name\nana@x.test;ben@x.test,Ana\nben@x.test,Ben\nana@x.test (old),Ana\n"
    details = run(shop, content)
    assert counts(details) == (2, 1, 0, 0)
    assert {w["kind"] for w in details["warnings"]} == {
        "warning_kept email",
        "warning_second_email email",
    }


@pytest.mark.parametrize(
    ("cell", "phones"),
    [
        ("555-0100;555-0101", ["555-0100", "555-0101"]),
        ("(555) 010-0000\n(555) 010-0001", ["(555) 010-0000", "(555) 010-0001"]),
        ("0171 1234567 / 030 123456", ["0171 1234567", "030 123456"]),
        ("+33 6 11 22 33 44 ou 01 22 33 44 55", ["+33 6 11 22 33 44", "01 22 33 44 55"]),
        ("05555 / 555555", []),
        ("030 1234567 / 89", []),
        ("+1 212 555 0100, ext. 12", []),
        ("+1 212 555 0100", []),
        ("447,911,123,456", []),
    ],
)
def test_phones_in_one_cell(cell: str, phones: list[str]) -> None:
    assert divide_phones(cell) == phones


def test_a_repeated_email_is_that_of_somebody_else(shop: Client) -> None:
    rows = "".join(f"c{n}@x.test,rep@x.test,{n}\n" for n in range(6))
    details = run(shop, f"email,Secondary email,phone\n{rows}")
    assert (counts(details), details["warnings"]) == ((6, 0, 0, 0), [])
    assert shop.node("1", LISTS)["custom"] == {"Secondary email": "rep@x.test"}
    owner = run(shop, "email,Owner email,phone\na@x.test,o@x.test,1\n")
    assert (owner["recognised"]["columns"]["Owner email"], counts(owner)) == (
        "custom.Owner email",
        (1, 0, 0, 0),
    )


def test_invalid_emails_are_kept_or_reject_a_row(shop: Client) -> None:
    content = "email,email2,email3\na@x.test,no email@,b@x.test\nb2@x.test,c@x.test,\nc2@x.test,d@x.test,\n"
    strict = run(shop, content, strict=True)
    assert counts(strict) == (2, 0, 0, 1)
    assert "email2" in str(strict["problems"])
    details = run(shop, content)
    assert counts(details) == (1, 0, 2, 0)
    assert [w["kind"] for w in details["warnings"]] == ["warning_unreadable email2"]
    customer = shop.node("3", LISTS)
    assert customer["custom"] == {"import: email2": "no email@"}
    assert [e["email"] for e in customer["emails"]] == ["a@x.test", "b@x.test"]


def test_further_phones_beyond_the_maximum_are_kept(shop: Client) -> None:
    phones = ", ".join(f"+3519000000{n:02}" for n in range(25))
    details = run(shop, f'email,phone,additional_phones\na@x.test,1,"{phones}"\n')
    assert counts(details) == (1, 0, 0, 0)
    assert "The customer has 20 phones, which is the maximum." in str(details["warnings"])
    customer = shop.node("1", LISTS)
    assert len(customer["phones"]) == 20
    kept = customer["custom"]["import: additional_phones"].split(", ")
    assert kept == [f"+3519000000{n:02}" for n in range(19, 25)]


def test_a_row_has_a_default_if_any_email_or_phone_is_there(shop: Client) -> None:
    details = run(
        shop,
        "name,email,email2,phone,mobile\nAna,,b@x.test,,+351912345678\n,c@x.test,d@x.test,1,2\n",
    )
    assert counts(details) == (2, 0, 0, 0)
    assert lists(shop) == ([("b@x.test", "")], [("+351912345678", "mobile")])


def test_a_further_value_does_not_replace_a_default(shop: Client) -> None:
    shop.create("a@x.test", phone="+351911111111")
    content = "email,phone,phone 2\na@x.test,,+351922222222\nb@x.test,1,2\n"
    assert counts(run(shop, content)) == (1, 1, 0, 0)
    assert lists(shop)[1] == [("+351911111111", ""), ("+351922222222", "")]
    assert counts(run(shop, content)) == (0, 0, 2, 0)


@pytest.mark.parametrize(
    "headings",
    [
        "{0},2nd {0},3rd {0}",
        "First {0},Second {0},Third {0}",
        "Primary {0},Secondary {0},Tertiary {0}",
        "{0}s.0.value,{0}s.1.value,{0}s.2.value",
        "{0}s/0/value,{0}s/1/value,{0}s/2/value",
    ],
)
def test_ordinals_and_positions_in_lists_are_numbers(shop: Client, headings: str) -> None:
    emails, phones = headings.format("email"), headings.format("phone")
    values = "a@x.test,b@x.test,c@x.test,1111,2222,3333"
    content = f"{emails},{phones}\n{values}\n"
    assert counts(run(shop, content)) == (1, 0, 0, 0)
    assert [value for points in lists(shop) for value, _ in points] == values.split(",")
    assert counts(run(shop, content)) == (0, 0, 1, 0)


def test_the_phone_of_an_address_identifies_a_row_without_another(shop: Client) -> None:
    identify_by(shop, "email_or_phone")
    content = "name,email,phone,Default Address City,Default Address Phone\n{}".format(
        "Ana,,,Porto,+351911111111\nBen,b@x.test,,Porto,+351922222222\nCid,,+351933333333,Porto,1\n"
    )
    assert counts(run(shop, content)) == (3, 0, 0, 0)
    assert [lists(shop, str(n))[1] for n in (1, 2, 3)] == [
        [("+351911111111", "")],
        [],
        [("+351933333333", "")],
    ]
    assert counts(run(shop, content)) == (0, 0, 3, 0)


def test_mapped_columns_are_further_values(shop: Client) -> None:
    options = {"map": ["E2=additional_emails", "T=additional_phones", "T2=additional_phones"]}
    content = "email,E2,T,T2\na@x.test,club <b@x.test>,11111,fax desk <22222>\n"
    assert counts(run(shop, content, **options)) == (1, 0, 0, 0)
    assert lists(shop) == (
        [("a@x.test", ""), ("b@x.test", "club")],
        [("11111", ""), ("22222", "fax desk")],
    )


def test_the_preview_shows_further_values(shop: Client) -> None:
    answer = shop.http.post("/import/preview", content=GOOGLE.encode())
    columns = {column["heading"]: column for column in answer.json()["data"]["columns"]}
    shown = columns["E-mail 2 - Value"]
    assert (shown["field"], shown["samples"]) == (
        "additional_emails",
        ["home <ana@home.test>, home <sa@home.test>"],
    )
    label = columns["Phone 2 - Label"]
    assert (label["field"], label["note"]) == (
        None,
        "'Phone 2 - Label' has the labels of 'Phone 2 - Value'.",
    )


# Matching


def test_rows_match_by_phone_alone(shop: Client) -> None:
    identify_by(shop, "email_or_phone")
    shop.create("ana@x.test", phone="+351912345678", first_name="Ana")
    shop.create("ben@x.test", phones=[{"phone": "+351 911 111 111"}, {"phone": "+351 922 222 222"}])
    shop.create("c@x.test", phone="+351933333333")
    shop.create("d@x.test", phone="+351933333333")
    content = (
        "phone,first_name,notes\n00351 912 345 678,Anna,x\n+351922222222,Ben,y\n"
        "+351933333333,Carl,z\n+351944444444,Dan,new\n,Eve,no\n"
    )
    tried = run(shop, content, match="phone", dry_run=True)
    details = run(shop, content, match="phone")
    assert counts(tried) == counts(details) == (1, 2, 0, 2)
    texts = str(details["problems"])
    assert "errors_ambiguous" in texts
    assert "The row has no phone number, by which customers are found." in texts
    ana = shop.node("1", "... on Customer { email phone first_name notes }")
    assert ana == {
        "email": "ana@x.test",
        "phone": "+351912345678",
        "first_name": "Anna",
        "notes": "x",
    }
    ben = shop.node("2", "... on Customer { phone notes phones { phone } }")
    assert (ben["phone"], ben["notes"], len(ben["phones"])) == ("+351 911 111 111", "y", 2)
    assert counts(run(shop, content, match="phone")) == (0, 0, 3, 2)
    # The email of a row is that of the customer with the phone.
    again = run(shop, "phone,email\n+351944444444,dan@x.test\n", match="phone")
    assert counts(again) == (0, 1, 0, 0)
    taken = run(shop, "phone,email\n+351944444444,ana@x.test\n", match="phone")
    assert counts(taken) == (0, 0, 0, 1)
    assert "errors_dup_email" in str(taken["problems"])


def test_rows_without_an_email_can_be_rejected(shop: Client) -> None:
    identify_by(shop, "email_or_phone")
    content = "name,email,phone\nAna,,+351912345678\nBen,ben@x.test,\n"
    rejected = run(shop, content, no_email="reject")
    assert counts(rejected) == (1, 0, 0, 1)
    assert "Rows without one are rejected by the option" in str(rejected["problems"])
    assert counts(run(shop, content, no_email="keep")) == (1, 0, 1, 0)


# Exports

_LABELS = st.sampled_from(["", "work", "home", "Ferien Haus", "=1+1", "携帯", "a, b", '"q"', "'x"])


@st.composite
def people(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Customers with every combination of labels, defaults and numbers of entries."""
    nodes = []
    for number in range(draw(st.integers(1, 5))):
        node: dict[str, Any] = {"first_name": f"P{number}"}
        for kind, key, value in (
            ("emails", "email", "e{}-{}@x.test"),
            ("phones", "phone", "+3519{:03}{:04}"),
        ):
            count = draw(st.integers(0 if kind == "phones" else 1, 4))
            default = draw(st.integers(0, max(count - 1, 0)))
            node[kind] = [
                {key: value.format(number, n), "label": draw(_LABELS), "default": n == default}
                for n in range(count)
            ]
            if kind == "emails":
                for entry in node[kind]:
                    if draw(st.booleans()):
                        entry["verified_at"] = "2026-01-02T03:04:05.000Z"
        nodes.append(node)
    return nodes


@settings(
    max_examples=example_count(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(nodes=people())
def test_exports_come_back_to_the_same_bytes(server: Server, nodes: list[dict[str, Any]]) -> None:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        for node in nodes:
            client.data(
                "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }",
                n={"email": "", **node},
            )
        exports = [export(client, form) for form in ("csv", "jsonl", "xlsx")]
    for form, content in zip(("csv", "jsonl", "xlsx"), exports, strict=True):
        with Client(server, create_token(server, scopes=SCOPES)) as other:
            assert counts(run(other, content)) == (len(nodes), 0, 0, 0)
            assert [export(other, each) for each in ("csv", "jsonl")] == exports[:2], form
            assert counts(run(other, content)) == (0, 0, len(nodes), 0)
            # A list of the file replaces that of the customer. Without one, the email identifies it.
            other.data(ADD, id="1", e=[{"email": "new@x.test", "default": True}])
            is_listed = len(nodes[0]["emails"]) > 1 or any(
                entry["label"] or "verified_at" in entry for entry in nodes[0]["emails"]
            )
            assert counts(run(other, content)) == (0, is_listed, len(nodes) - is_listed, 0)
            emails = [entry["email"] for entry in other.node("1", LISTS)["emails"]]
            assert ("new@x.test" in emails) is not is_listed
            assert problems(server, other) == []


def export(client: Client, form: str) -> bytes:
    answer = client.http.get("/export", params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer.content
