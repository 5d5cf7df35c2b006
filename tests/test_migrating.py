"""Exports of other shops and services (`tests/files`), imported as the documentation says."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xlsxwriter

from regulars.cli.errors import SOME_REJECTED
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from regulars.transfer.source import Source
from tests.support import Client, create_token, run_regulars, run_server

HERE = Path(__file__).parent
FILES = HERE / "files"
HOW_TO = HERE.parent / "docs" / "use"
PORTO = {"line1": "Rua das Flores 8", "city": "Porto", "country": "PT", "zip": "4050-262"}
OFFICE = {**PORTO, "company": "Duarte Lda"}
AUSTIN = {
    "line1": "14 Market St",
    "line2": "Apt 2",
    "city": "Austin",
    "country": "US",
    "zip": "78701",
    "state": "TX",
}
PHONE = "+351 912 345 678"
SOURCES = (
    "shopify",
    "woocommerce",
    "stripe",
    "mailchimp",
    "klaviyo",
    "hubspot",
    "google-contacts",
    "excel",
)


class Shop(NamedTuple):
    """A database with an account, and how to reach it."""

    url: str
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {"REGULARS_DATABASE_URL": self.url}

    def customers(self) -> dict[str, dict[str, Any]]:
        """Return all customers by the part of their email before the @-sign."""
        shown = self.folder / "shown.jsonl"
        assert run_regulars("export", str(shown), env=self.env).returncode == 0
        lines = map(json.loads, shown.read_text().splitlines())
        return {line["email"].partition("@")[0].lower(): line for line in lines}


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "shop.db"
    env = {"REGULARS_DATABASE_URL": f"sqlite:///{path}"}
    assert run_regulars("migrate", env=env).returncode == 0
    assert run_regulars("account", "create", "shop", env=env).returncode == 0
    return path


@pytest.fixture
def shop(empty_database: Path, tmp_path: Path) -> Shop:
    shutil.copy(empty_database, tmp_path / "shop.db")
    return Shop(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path)


def documented_options(page: str, command: int = 0) -> list[str]:
    """Return the options of an import command of a page, without those of the dry run."""
    text = (HOW_TO / f"{page}.md").read_text()
    commands = re.findall(r"^regulars import (\S+\.\w+.*)$", text, re.MULTILINE)
    imports = [line for line in commands if "--dry-run" not in line]
    assert len(imports) > command, f"{page}.md has {len(imports)} commands"
    return shlex.split(imports[command])[1:]


def import_as_documented(
    shop: Shop, name: str, page: str = "", command: int = 0, path: Path | None = None
) -> dict[str, Any]:
    """Import a file by a command of its page; return the report."""
    file = path or FILES / f"{name}.csv"
    if file.parent != shop.folder:  # The rejected rows go to the folder of the file.
        file = Path(shutil.copy(file, shop.folder))
    options = documented_options(page or f"from-{name}", command)
    result = run_regulars("import", str(file), *options, "--json", env=shop.env)
    assert result.returncode in (0, SOME_REJECTED), result.stderr
    (report,) = json.loads(result.stdout)
    assert bool(report["rejected"]) == (result.returncode == SOME_REJECTED)
    return dict(report)


def warned_lines(report: dict[str, Any]) -> dict[str, list[int]]:
    """Return the lines with warnings, by their kind."""
    return {
        warning["kind"].removeprefix("warning_"): [e["line"] for e in warning["examples"]]
        for warning in report["warnings"]
    }


def rejected_lines(report: dict[str, Any]) -> list[int]:
    return sorted(e["line"] for problem in report["problems"] for e in problem["examples"])


def test_a_shopify_export(shop: Shop) -> None:
    report = import_as_documented(shop, "shopify")
    customers = shop.customers()
    ana, ben, dewi = (customers[name] for name in ("ana", "ben", "dewi"))
    assert ana["shipping_address"] == {**OFFICE, "phone": PHONE}
    assert (ana["phone"], ana["accepts_marketing"]) == (PHONE, True)
    assert (ana["tags"], ana["notes"]) == (["vip", "wholesale"], "Prefers mornings")
    assert ana["custom"]["Total Spent"] == "128.40"
    # Shopify writes digits behind an apostrophe.
    assert ben["shipping_address"] == AUSTIN
    street = {key: dewi["shipping_address"].get(key) for key in ("line1", "line2", "country")}
    assert street == {"line1": "Jl. Kenanga 4", "line2": "RT 02", "country": None}
    assert dewi["custom"]["import: Default Address Country Code"] == "Nusantara"
    assert warned_lines(report) == {"unreadable Default Address Country Code": [5]}
    assert rejected_lines(report) == [4]


@pytest.mark.slow
def test_ids_of_shopify_find_customers(shop: Shop) -> None:
    import_as_documented(shop, "shopify")
    with run_server(shop.url) as server, Client(server, create_token(server, "shop")) as client:
        customer = client.node("7210001112223", "... on Customer { email }")
        assert customer == {"email": "ana@example.com"}


def test_a_later_shopify_export_keeps_consent_and_adds_tags(shop: Shop) -> None:
    import_as_documented(shop, "shopify")
    later = shop.folder / "later.csv"
    text = (FILES / "shopify.csv").read_text()
    later.write_text(
        text.replace("ben@example.com,no", "ben@example.com,yes").replace("vip", "big")
    )
    report = import_as_documented(shop, "shopify", path=later)
    customers = shop.customers()
    assert customers["ben"]["accepts_marketing"] is False
    assert set(customers["ana"]["tags"]) == {"vip", "big", "wholesale"}
    assert warned_lines(report)["kept Accepts Email Marketing"] == [3]


@pytest.mark.slow
def test_a_stripe_export(shop: Shop) -> None:
    report = import_as_documented(shop, "stripe")
    customers = shop.customers()
    ana, ben, dewi = (customers[name] for name in ("ana", "ben", "dewi"))
    assert (ana["first_name"], ana["last_name"]) == ("Ana", "Duarte")
    assert ana["billing_address"] == PORTO
    assert ana["created_at"] == "2024-03-18T14:20:00.000Z"
    # Two rows have her email: the later one counts where it has a value.
    assert (ana["custom"]["Total Spend"], ana["custom"]["plan (metadata)"]) == ("20.00", "gold")
    assert ben["billing_address"] is None
    assert ben["shipping_address"] == {**AUSTIN, "first_name": "Ben", "last_name": "Okafor"}
    assert (dewi["first_name"], dewi["last_name"]) == ("Dewi", "Putri")
    kinds = {"unreadable Created (UTC)": [6], "unreadable Card Address Country": [6]}
    # The second row of a customer has another time of creation.
    assert warned_lines(report) == kinds | {"kept Created (UTC)": [4]}
    assert rejected_lines(report) == [5]
    with run_server(shop.url) as server, Client(server, create_token(server, "shop")) as client:
        for shop_id in ("cus_PQx81kZ2VbT4uJ", "cus_PQz93nC8OdS0xM"):
            customer = client.node(shop_id, "... on Customer { _id }")
            assert customer == {"_id": ana["regulars_id"]}


def test_a_woocommerce_export(shop: Shop) -> None:
    report = import_as_documented(shop, "woocommerce")
    customers = shop.customers()
    ana, ben, chloe, dewi = (customers[name] for name in ("ana", "ben", "chloe", "dewi"))
    address = {"city": "Austin", "country": "US", "zip": "78701", "state": "TX"}
    assert (ben["first_name"], ben["shipping_address"]) == ("Ben", address)
    assert ana["created_at"] == "2024-03-18T14:20:37.000Z"
    assert ana["custom"]["Total spend"] == "128.40"
    assert chloe["custom"]["import: Country / Region"] == "XX"
    assert dewi["custom"]["import: Sign up"] == "2024-02-30 09:00:00"
    assert warned_lines(report) == {"unreadable Country / Region": [4], "unreadable Sign up": [5]}
    assert rejected_lines(report) == [6]


def test_mailchimp_exports(shop: Shop) -> None:
    statuses = ("", "unsubscribed", "cleaned", "nonsubscribed")
    reports = []
    for number, status in enumerate(statuses):
        name = f"{status or 'subscribed'}_email_audience_export.csv"
        source = FILES / ("-".join(filter(None, ("mailchimp", status))) + ".csv")
        path = Path(shutil.copy(source, shop.folder / name))
        reports.append(import_as_documented(shop, "mailchimp", command=number, path=path))
    customers = shop.customers()
    ana = customers["ana"]
    assert (ana["first_name"], ana["tags"]) == ("Ana", ["vip", "Summer, 2024"])
    assert ana["created_at"] == "2024-03-18T14:20:37.000Z"
    consents = {name: customer["accepts_marketing"] for name, customer in customers.items()}
    no_consents = dict.fromkeys(("chloe", "dewi", "emil"), False)
    assert consents == {"ana": True, "ben": True, **no_consents}
    assert customers["dewi"]["created_at"] == "2024-02-02T09:00:00.000Z"
    assert [warned_lines(report) for report in reports] == [
        {"digits_lost Phone Number": [3]},
        {},
        {},
        {},
    ]
    # A contact who unsubscribed there is unsubscribed here.
    later = shop.folder / "later.csv"
    later.write_text((FILES / "mailchimp-unsubscribed.csv").read_text().replace("chloe@", "ana@"))
    import_as_documented(shop, "mailchimp", command=1, path=later)
    assert shop.customers()["ana"]["accepts_marketing"] is False


def test_a_klaviyo_export(shop: Shop) -> None:
    report = import_as_documented(shop, "klaviyo")
    customers = shop.customers()
    ana, ben, chloe = (customers[name] for name in ("ana", "ben", "chloe"))
    assert (ana["shipping_address"], ana["accepts_marketing"]) == (OFFICE, True)
    unsubscribed = (ben, chloe, customers["dewi"])
    assert not any(customer["accepts_marketing"] for customer in unsubscribed)
    assert ben["shipping_address"] == {**AUSTIN, "state": "Texas"}
    assert ana["created_at"] == "2024-03-18T14:20:37.000Z"
    assert chloe["custom"]["import: Country"] == "Gallia"
    assert warned_lines(report) == {"unreadable Country": [4]}
    assert rejected_lines(report) == [6]


def test_a_hubspot_export(shop: Shop) -> None:
    report = import_as_documented(shop, "hubspot")
    customers = shop.customers()
    ana, ben, dewi = (customers[name] for name in ("ana", "ben", "dewi"))
    assert (ana["shipping_address"], ana["phone"]) == (OFFICE, PHONE)
    # "Unsubscribed from all email" is empty, Yes and No.
    assert [c["accepts_marketing"] for c in (ana, ben, dewi)] == [False, False, True]
    assert [(p["phone"], p["label"]) for p in ben["phones"]] == [("(512) 555-0143", "mobile")]
    assert [e["email"] for e in dewi["emails"]] == ["dewi@example.com", "dewi.putri@example.com"]
    assert warned_lines(report) == {"unreadable Country/Region": [5]}
    assert rejected_lines(report) == [4]


def test_a_google_contacts_export(shop: Shop) -> None:
    report = import_as_documented(shop, "google-contacts")
    customers = shop.customers()
    ana, ben, dewi = (customers[name] for name in ("ana", "ben", "dewi"))
    assert (ana["shipping_address"], ana["phone"]) == (OFFICE, PHONE)
    assert (ana["tags"], ben["tags"]) == (["Customers", "Vip"], [])
    assert ben["shipping_address"] == AUSTIN
    assert dewi["custom"]["import: Address 1 - Country"] == "Nusantara"
    assert warned_lines(report)["unreadable Address 1 - Country"] == [11]
    assert rejected_lines(report) == [10]
    assert [(e["email"], e["label"]) for e in ana["emails"]] == [
        ("ana@example.com", "work"),
        ("ana@home.example", "home"),
    ]
    assert [(p["phone"], p["label"]) for p in ana["phones"]] == [
        (PHONE, "mobile"),
        ("+351 22 555 01 23", "work"),
    ]


def assert_spreadsheet_customers(customers: dict[str, dict[str, Any]]) -> None:
    ana, ben, chloe, dewi = (customers[name] for name in ("ana", "ben", "chloe", "dewi"))
    assert (ana["shipping_address"], ana["phone"]) == (PORTO, PHONE)
    assert (ben["first_name"], ben["last_name"]) == ("Ben", "Okafor")
    assert (ben["phone"], ben["shipping_address"]["zip"]) == ("05125550143", "02138")
    assert ana["created_at"] == "2024-03-18T00:00:00.000Z"
    assert chloe["custom"]["import: Country"] == "Gallia"
    assert chloe["custom"]["import: Newsletter"] == "maybe"
    assert dewi["phone"] == "628123456789"
    assert dewi["created_at"] == "2024-05-04T00:00:00.000Z"
    consents = [c["accepts_marketing"] for c in (ana, ben, chloe, dewi)]
    assert consents == [True, False, False, True]


EXCEL_WARNINGS = {
    "digits_lost Telephone": [4],
    "unreadable Country": [4],
    "unknown_consent Newsletter": [4],
}


def test_a_csv_file_of_excel(shop: Shop) -> None:
    report = import_as_documented(shop, "excel")
    assert_spreadsheet_customers(shop.customers())
    assert warned_lines(report) == EXCEL_WARNINGS
    assert rejected_lines(report) == [6]


def test_a_workbook_of_excel(shop: Shop) -> None:
    path = shop.folder / "customers.xlsx"
    with (FILES / "excel.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if rows[0][column] == "Customer since" and cell.isdigit():
                    sheet.write_number(number, column, int(cell))
                elif cell.endswith(".0"):
                    sheet.write_number(number, column, float(cell))
                else:
                    sheet.write_string(number, column, cell)
    report = import_as_documented(shop, "excel", path=path)
    assert_spreadsheet_customers(shop.customers())
    assert warned_lines(report) == EXCEL_WARNINGS
    assert report["rejected_file"].endswith("customers.xlsx.rejected.csv")


def documented_fields(page: str) -> dict[str, str]:
    """Return the field of each heading in the tables of a page. A cell has as many fields as
    headings, or one for all of them."""
    fields: dict[str, str] = {}
    for line in (HOW_TO / page).read_text().splitlines():
        if not line.startswith("| `"):
            continue
        headings, names = (re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3])
        assert len(names) in (1, len(headings)), line
        fields.update(zip(headings, names * (len(headings) // len(names)), strict=True))
    return fields


@pytest.mark.parametrize("name", SOURCES)
def test_documentation_describes_each_column(name: str) -> None:
    fields = documented_fields(f"from-{name}.md")
    with open_input(str(FILES / f"{name}.csv")) as file:
        columns = Source(file, Options(has_lists=True)).columns
    for heading, field in ((column.heading, column.field or "-") for column in columns):
        if "metadata" not in heading:
            assert field == fields[heading] or field.startswith(f"{fields[heading]}."), heading


def test_consents_of_a_second_source_need_overwrite(shop: Shop) -> None:
    import_as_documented(shop, "woocommerce")
    import_as_documented(shop, "mailchimp")
    assert shop.customers()["ana"]["accepts_marketing"] is False
    file = str(shop.folder / "mailchimp.csv")
    result = run_regulars("import", file, "--consent", "overwrite", env=shop.env)
    assert result.returncode == 0, result.stderr
    assert shop.customers()["ana"]["accepts_marketing"] is True
