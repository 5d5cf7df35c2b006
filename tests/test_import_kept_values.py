"""What an import would lose: values that are shown, ids, dates, parts of streets and names."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from regulars.core.countries import find_country
from regulars.transfer.calling_codes import put_code_before
from regulars.transfer.number_formats import parse_format, show
from tests.support import copy_sqlite_template
from tests.test_import import Shop, counts


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def warnings(result: dict[str, Any]) -> dict[str, int]:
    return {warning["kind"]: warning["count"] for warning in result["warnings"]}


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("00000", 1067, "01067"),
        ("00000", 0, "00000"),
        (r"000\-00\-0000", 12345678, "012-34-5678"),
        ('"K-"0000;@', 12, "K-0012"),
        ("00000", 123456, "123456"),
        ("00000", -5, None),
        ("00000", 1.5, None),
    ],
)
def test_a_number_is_shown_by_its_format(code: str, number: float, text: str | None) -> None:
    parts = parse_format(code)
    assert parts is not None
    assert show(float(number), parts) == text


@pytest.mark.parametrize(
    "code", ["General", "0", "#,##0", "0.00", "yyyy-mm-dd", "[<=99]00;000", "0%", "@", ""]
)
def test_other_formats_show_no_zeros(code: str) -> None:
    assert parse_format(code) is None


def test_zeros_that_a_workbook_shows_are_imported(local: Shop) -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    book.add_worksheet("empty")
    sheet = book.add_worksheet("Kunden")
    zip_code, phone = (book.add_format({"num_format": f}) for f in ("00000", '"+49 "000'))
    for row, cells in enumerate([("email", "zip", "phone"), ("a@x.test", 1067, 7)], start=2):
        for column, (value, style) in enumerate(zip(cells, (None, zip_code, phone), strict=True)):
            sheet.write(row, column + 1, value, style)
    book.close()
    local.bring(out.getvalue(), name="a.xlsx")
    (ana,) = local.customers("shipping_address,phone")
    assert ana == {"shipping_address": {"zip": "01067"}, "phone": "+49 007"}


def test_an_external_id_of_another_customer_is_kept_with_a_warning(local: Shop) -> None:
    rows = "a@x.test,gid-1\nb@x.test,gid-1\na@x.test,gid-2\n"
    result = local.bring(f"email,Customer ID\n{rows}")
    assert counts(result) == (2, 1, 0, 0)
    assert warnings(result) == {"warning_kept Customer ID": 1}
    assert result["rows_with_warnings"] == 1
    assert "b@x.test,gid-1" in Path(result["warnings_file"]).read_text()
    columns = "email,custom,external_ids"
    ana, ben = local.customers(columns)
    assert ana == {"email": "a@x.test", "custom": None, "external_ids": ["gid-1", "gid-2"]}
    assert ben["custom"] == {"import: Customer ID": "gid-1"}
    assert ben["external_ids"] == []


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx", "csv-excel"])
def test_external_ids_survive_an_export(local: Shop, tmp_path: Path, form: str) -> None:
    local.bring('email,Customer ID\na@x.test,"x,1"\na@x.test,"y ""2"" z"\nb@x.test,\n')
    target = tmp_path / ("all.xlsx" if form == "xlsx" else "all.txt")
    assert local.run("export", str(target), "--format", form).returncode == 0
    (tmp_path / "other").mkdir()
    other = Shop(copy_sqlite_template(tmp_path / "other.db"), tmp_path / "other")
    assert other.run("import", str(target)).returncode == 0
    rows = other.customers("external_ids")
    assert [row["external_ids"] for row in rows] == [["x,1", 'y "2" z'], []]


def test_the_creation_of_a_customer_stays_with_a_warning(local: Shop) -> None:
    local.bring("email,created_at\na@x.test,2024-03-18\n")
    result = local.bring("email,created_at\na@x.test,2020-01-02\n")
    assert warnings(result) == {"warning_kept created_at": 1}
    again = local.bring("email,created_at\na@x.test,2024-03-18\n")
    assert again["warnings"] == []


def test_one_tag_that_is_too_long_leaves_the_others(local: Shop) -> None:
    result = local.bring(f'email,tags\na@x.test,"vip,{"x" * 300},new"\n')
    assert warnings(result) == {"warning_unreadable tags": 1}
    (ana,) = local.customers("tags,custom")
    assert ana == {"tags": ["vip", "new"], "custom": {"import: tags": "x" * 300}}


def test_only_surplus_tags_of_a_row_are_kept_elsewhere(local: Shop) -> None:
    tags = [f"t{n}" for n in range(253)]
    cell = ",".join(["t0", "x" * 300, *tags, " t252 ", "t1"])
    result = local.bring(f'email,tags\na@x.test,"{cell}"\n')
    assert counts(result) == (1, 0, 0, 0)
    assert warnings(result) == {"warning_unreadable tags": 2}
    (ana,) = local.customers("tags,custom")
    kept = f"{'x' * 300}, t250, t251, t252"
    assert ana == {"tags": tags[:250], "custom": {"import: tags": kept}}


def test_tags_beyond_those_that_a_customer_can_have_are_kept_with_a_warning(local: Shop) -> None:
    stored = ",".join(f"t{n}" for n in range(249))
    local.bring(f'email,Tags\na@x.test,"{stored}"\n')
    result = local.bring('email,Tags\na@x.test,"t3,new,more,most"\n')
    assert warnings(result) == {"warning_kept Tags": 1}
    (ana,) = local.customers("tags,custom")
    assert (len(ana["tags"]), ana["tags"][-1]) == (250, "new")
    assert ana["custom"] == {"import: Tags": "more, most"}


def test_surplus_tags_join_the_invalid_ones_of_their_row(local: Shop) -> None:
    stored = ",".join(f"t{n}" for n in range(250))
    local.bring(f'email,Tags\na@x.test,"{stored}"\n')
    long = ",".join(f"{n:03}{'x' * 200}" for n in range(100))
    result = local.bring(f'email,Tags\na@x.test,"{"y" * 300},{long}"\n')
    assert counts(result) == (0, 1, 0, 0)
    (ana,) = local.customers("custom")
    text = ana["custom"]["import: Tags"]
    assert (text[:300], text[300:305], len(text)) == ("y" * 300, ", 000", 4_000)


def test_values_that_are_divided_over_columns_are_put_together(local: Shop) -> None:
    headings = "メールアドレス,郵便番号1,郵便番号2,電話番号1,電話番号2,電話番号3"
    result = local.bring(f"{headings}\na@x.test,100,0001,03,1111,2222\nb@x.test,,,,,\n")
    assert (counts(result), warnings(result)) == ((2, 0, 0, 0), {})
    ana, ben = local.customers("phone,shipping_address,custom")
    assert (ana["phone"], ana["shipping_address"]["zip"]) == ("03-1111-2222", "100-0001")
    assert (ben["phone"], ben["shipping_address"], ben["custom"]) == ("", None, None)


def test_a_calling_code_in_a_column_of_its_own_is_put_before_the_phone(local: Shop) -> None:
    result = local.bring(
        "email,Country Code,Phone\na@x.test,+49,030 1234567\nb@x.test,0044,07911 123456\n"
        "c@x.test,+1,+33 1 23 45 67 89\nd@x.test,+966,966501234567\ne@x.test,'+49,12\n"
        "f@x.test,,012\ng@x.test,+7,\n"
    )
    assert (counts(result), warnings(result)) == ((7, 0, 0, 0), {})
    customers = local.customers("phone,custom")
    assert [customer["phone"] for customer in customers] == [
        "+49301234567",
        "+447911123456",
        "+33 1 23 45 67 89",
        "+966501234567",
        "+49 12",
        "012",
        "",
    ]
    assert [customer["custom"] for customer in customers] == [None] * 7
    # Few of many values are something else.
    assert put_code_before(["13", "+999"], 0, 1)[0] == "+999 13"
    assert put_code_before(["13", "none"], 0, 1)[0] == "none 13"


@pytest.mark.parametrize(
    "content",
    [
        "email,Country Code\na@x.test,+49\n",  # no phone
        "email,Phone code,Mobile code,Phone\na@x.test,+49,+1,12\n",  # whose code is it?
        "email,Phone,Dial code\na@x.test,12,+4\n",  # no country has it
        "email,Phone,Change\na@x.test,12,+1\n",  # another number
    ],
)
def test_other_calling_codes_are_kept(local: Shop, content: str) -> None:
    local.bring(content)
    (customer,) = local.customers("phone,custom")
    assert customer["custom"]
    assert customer["phone"] in ("", "12")


def test_two_numbered_phones_are_phones_of_their_own(local: Shop) -> None:
    local.bring("メールアドレス,電話番号1,電話番号2\na@x.test,0311112222,0312\n")
    (ana,) = local.customers("phone,phones,custom")
    phones = [phone["phone"] for phone in ana["phones"]]
    assert (ana["phone"], phones, ana["custom"]) == ("0311112222", ["0311112222", "0312"], None)


@pytest.mark.parametrize(
    ("headings", "cells", "line1"),
    [
        ("Straße;Hausnummer;Land", "Hauptstr.;5a;DE", "Hauptstr. 5a"),
        ("Straße;Hausnummer", "Hauptstr. 5a;5a", "Hauptstr. 5a"),
        ("Straat;Huisnummer;Toevoeging", "Kerkstraat;12;A", "Kerkstraat 12 A"),
        ("Rua;Número;Complemento", "Rua das Flores;123;Apto 4", "Rua das Flores 123"),
        ("Calle;Número exterior;Número interior", "Reforma;222;3B", "Reforma 222"),
        ("N° de voie;Voie;Commune", "12;rue des Lilas;Nice", "12 rue des Lilas"),
        ("Street;House number;Country", "High St;7;United Kingdom", "7 High St"),
        ("Street;House number;Country", "Hauptstr.;7;Germany", "Hauptstr. 7"),
    ],
)
def test_house_numbers_are_put_together_with_the_street(
    local: Shop, headings: str, cells: str, line1: str
) -> None:
    local.bring(f"email;{headings}\na@x.test;{cells}\n")
    (ana,) = local.customers("shipping_address")
    assert ana["shipping_address"]["line1"] == line1


def test_a_number_that_is_not_next_to_a_street_is_no_house_number(local: Shop) -> None:
    local.bring("N°;Nom;E-mail;Adresse\n1;Petit;a@x.test;12 rue X\n")
    (ana,) = local.customers("shipping_address,custom")
    assert ana == {"shipping_address": {"line1": "12 rue X"}, "custom": {"N°": "1"}}


def test_parts_of_last_names_are_put_together(local: Shop) -> None:
    local.bring("email,Voornaam,Tussenvoegsel,Achternaam\na@x.test,Jan,van der,Berg\n")
    local.bring("email,Nombre,Apellido paterno,Apellido materno\nb@x.test,Ana,Pérez,Soto\n")
    names = [row["last_name"] for row in local.customers("last_name")]
    assert names == ["van der Berg", "Pérez Soto"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_missing_phone_is_taken_from_another_column(local: Shop, form: str) -> None:
    rows = [
        {"email": "a@x.test", "phone": "1", "mobile": "2", "status": "subscribed"},
        {"email": "b@x.test", "phone": "", "mobile": "3", "status": "unsubscribed"},
        {"email": "c@x.test", "phone": "4", "mobile": "", "status": "subscribed"},
    ]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    content = lines if form == "csv" else [json.dumps(row) for row in rows]
    local.bring("\n".join(content) + "\n", name=f"a.{form}")
    ana, ben, carl = local.customers("phone,phones,custom,accepts_marketing")
    assert (ana["phone"], ana["custom"], ana["accepts_marketing"]) == ("1", None, True)
    assert (ben["phone"], ben["custom"], ben["accepts_marketing"]) == ("3", None, False)
    labels = [[(p["phone"], p["label"]) for p in c["phones"]] for c in (ana, ben)]
    assert labels == [[("1", ""), ("2", "mobile")], [("3", "mobile")]]
    assert (carl["phone"], carl["phones"]) == ("4", None)


@pytest.mark.parametrize(
    ("name", "consents"),
    [
        ("subscribed_members_export_1a.csv", [True, True, False]),
        ("unsubscribed_email_audience_export.csv", [False, False, False]),
        ("cleaned_members_export_1a.csv", [False, False, False]),
        ("nonsubscribed_segment_export_1a.csv", [False, False, False]),
        ("contacts.csv", [True, False, False]),
    ],
)
def test_a_file_of_mailchimp_has_its_status_in_its_name(
    local: Shop, name: str, consents: list[bool]
) -> None:
    content = (
        "Email Address,OPTIN_TIME,CONFIRM_TIME,LEID,EUID,UNSUB_TIME\n"
        "a@x.test,2024-02-01 09:00:00,2024-02-01 09:00:00,1,a,\n"
        "b@x.test,,,2,b,\n"
        "c@x.test,,2024-02-01 09:00:00,3,c,2024-03-01 09:00:00\n"
    )
    local.bring(content, name=name)
    assert [row["accepts_marketing"] for row in local.customers("accepts_marketing")] == consents


def test_parts_of_other_records_are_reported(local: Shop) -> None:
    lines = [
        {"id": "gid://shopify/Customer/1", "email": "a@x.test"},
        {"city": "Lyon", "__parentId": "gid://shopify/Customer/1"},
        {"id": "gid://shopify/Order/1", "__parentId": "gid://shopify/Customer/1"},
    ]
    result = local.bring("\n".join(map(json.dumps, lines)), name="a.jsonl")
    assert (result["rows"], warnings(result)) == (1, {"warning_skipped_lines": 2})


def test_dates_that_may_start_with_the_year_are_reported(local: Shop) -> None:
    file = local.file("a.csv", "email,created_at\na@x.test,18/03/24\n")
    done = local.run("import", file, "--dry-run")
    assert "18/03/24 are read with the day first" in done.stderr
    done = local.run("import", file, "--dates", "ymd")
    assert "with the day first" not in done.stderr
    assert local.customers("created_at")[0]["created_at"].startswith("2018-03-24")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Ireland (Republic)", "IE"),
        ("Korea, Republic of", "KR"),
        ("Korea, Democratic People's Republic of", "KP"),
        ("Bahamas, The", "BS"),
        ("Netherlands (The)", "NL"),
        ("Kingdom of Spain", "ES"),
        ("Guyane", "GF"),
        ("Scotland", "GB"),
        ("Swaziland (Eswatini)", "SZ"),
        ("Hong Kong, China", "HK"),
        ("República Argentina", "AR"),
        ("Germany (France)", None),
        ("Dublin (Ireland)", None),
        ("Georgia (US)", None),
        ("Republic of", None),
    ],
)
def test_official_and_inverted_country_names_are_recognised(text: str, code: str | None) -> None:
    assert find_country(text) == code


@pytest.mark.slow
def test_rows_of_a_batch_that_is_halved_are_in_the_file_once(local: Shop) -> None:
    """A batch that changes too many terms of the search is written in halves."""
    words = [" ".join(f"w{row}x{word}" for word in range(1_500)) for row in range(60)]
    lines = [f"c{row}@x.test,Atlantis,gid-1,{text}" for row, text in enumerate(words)]
    result = local.bring("\n".join(["email,country,Customer ID,notes", *lines]) + "\n")
    assert warnings(result) == {"warning_unreadable country": 60, "warning_kept Customer ID": 59}
    assert result["rows_with_warnings"] == 60
    rows = Path(result["warnings_file"]).read_text().splitlines()[1:]
    # A row with warnings of both kinds is there for each of them.
    assert (sum("Atlantis" in row for row in rows), len(rows)) == (119, 119)
