"""What becomes of a row: imported, imported with warnings, or rejected."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.support import Client, copy_sqlite_template
from tests.test_import import Shop, counts
from tests.test_import_http import ended, send


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def kinds(result: dict[str, Any]) -> list[str]:
    return [warning["kind"] for warning in result["warnings"]]


def test_a_value_that_cannot_be_read_is_kept_and_its_row_imported(local: Shop) -> None:
    content = (
        "email,country,created,newsletter,phone,first name\n"
        f"a@x.test,Atlantis,31/02/2024,perhaps,2.12E+11,{'x' * 300}\n"
        "b@x.test,FR,2024-03-18,yes,1,Ben\n"
    )
    result = local.bring(content)
    assert counts(result) == (2, 0, 0, 0)
    assert result["rows_with_warnings"] == 1
    assert kinds(result) == [
        "warning_unreadable country",
        "warning_unreadable created",
        "warning_unknown_consent newsletter",
        "warning_digits_lost phone",
        "warning_unreadable first name",
    ]
    ana, ben = local.customers("custom,first_name,phone,accepts_marketing")
    assert ana == {
        "custom": {
            "import: country": "Atlantis",
            "import: created": "31/02/2024",
            "import: newsletter": "perhaps",
            "import: first name": "x" * 300,
        },
        "first_name": "",
        "phone": "2.12E+11",
        "accepts_marketing": False,
    }
    assert ben["custom"] is None


@pytest.mark.parametrize(
    ("headings", "row", "accepts"),
    [
        ("email,Active,Subscribed At", "a@x.test,true,2024-03-18", True),
        ("email,Active,Subscribed At", "a@x.test,false,2024-03-18", False),
        ("email,status,Subscribed At", "a@x.test,inactive,2024-03-18", False),
        # The better of two columns decides, unless the other one names a state.
        ("email,Newsletter (0/1),Opt-in (0/1)", "a@x.test,1,0", True),
        ("email,Newsletter,Opt-in", "a@x.test,1,unsubscribed", False),
    ],
)
def test_several_columns_decide_about_the_consent(
    local: Shop, headings: str, row: str, accepts: bool
) -> None:
    local.bring(f"{headings}\n{row}\n")
    assert local.customers("accepts_marketing") == [{"accepts_marketing": accepts}]


def test_rows_with_warnings_are_in_a_file_that_can_be_imported(local: Shop) -> None:
    result = local.bring("email,country\na@x.test,Atlantis\nb@x.test,FR\nbad,FR\n")
    file = Path(result["warnings_file"])
    assert file.stat().st_mode & 0o777 == 0o600
    heading, row = file.read_text().splitlines()
    assert heading == "regulars_warning,email,country"
    assert row.startswith('"Row 2: unreadable country: This is not a country.')
    assert row.endswith(",a@x.test,Atlantis")
    again = local.bring(file.read_text().replace("Atlantis", "Norway"), name="again.csv")
    assert counts(again) == (0, 1, 0, 0)
    assert local.customers("shipping_address")[0]["shipping_address"] == {"country": "NO"}


def test_a_batch_that_is_divided_reports_each_row_once(
    local: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars.customers.search.index_terms.MAX_WORK", 500)
    content = "email,country\n" + "".join(f"a{n}@x.test,Atlantis\n" for n in range(10))
    result = local.bring(content)
    assert (result["created"], result["rows_with_warnings"]) == (10, 10)
    rows = Path(result["warnings_file"]).read_text().splitlines()[1:]
    assert [row.rsplit(",", 2)[1] for row in rows] == [f"a{n}@x.test" for n in range(10)]


def test_strict_rejects_a_row_for_a_value(local: Shop) -> None:
    content = "email,country\na@x.test,Atlantis\nb@x.test,FR,surplus\nc@x.test,FR\n"
    result = local.bring(content, "--strict")
    assert counts(result) == (1, 0, 0, 2)
    assert result["warnings"] == []


def test_surplus_cells_are_kept(local: Shop) -> None:
    result = local.bring("email,city\na@x.test,Paris,Lyon,Nice\n")
    assert kinds(result) == ["warning_surplus_cells"]
    (row,) = local.customers("custom")
    assert row["custom"] == {"import: surplus cells": "Lyon, Nice"}


def test_an_import_subscribes_no_unsubscribed_customer_and_adds_tags(local: Shop) -> None:
    local.bring("email,newsletter,tags\na@x.test,no,vip\nb@x.test,yes,vip\n")
    newer = 'email,newsletter,tags\na@x.test,yes,"vip,new"\nb@x.test,no,new\n'
    result = local.bring(newer, name="b.csv")
    assert [(w["kind"], w["count"]) for w in result["warnings"]] == [
        ("warning_kept newsletter", 1),
        ("warning_kept tags", 1),
    ]
    rows = local.customers("accepts_marketing,tags")
    assert [row["accepts_marketing"] for row in rows] == [False, False]
    assert [row["tags"] for row in rows] == [["vip", "new"], ["vip", "new"]]
    options = ("--consent", "overwrite", "--tags", "replace")
    assert local.bring(newer, *options, name="c.csv")["warnings"] == []
    rows = local.customers("accepts_marketing,tags")
    assert [row["accepts_marketing"] for row in rows] == [True, False]
    assert [row["tags"] for row in rows] == [["vip", "new"], ["new"]]


def test_ids_of_other_systems_are_stored_and_select_no_customer(client: Client) -> None:
    client.create("own@x.test")
    ids = ["7009123456789", "64a7f0c2e13b2c0012345678", "cus_9", "c0de-1"]
    rows = "".join(f"{id_},{n}@x.test\n" for n, id_ in enumerate(ids))
    details = ended(client, send(client, f"Customer ID,email\n{rows}1,small@x.test\n1,\n"))
    assert (details["created"], details["rejected"]) == (5, 1)
    for number, id_ in enumerate(ids):
        node = client.node(id_, "... on Customer { email }")
        assert node == {"email": f"{number}@x.test"}
    (own,) = client.page("email version", query="email:own@x.test")["edges"]
    assert own["node"] == {"email": "own@x.test", "version": 1}
    (small,) = client.page("custom", query="email:small@x.test")["edges"]
    assert small["node"]["custom"] == {"Customer ID": "1"}


SHAPES = {
    "Shopify REST": {
        "id": 207119551,
        "email": "ana@x.test",
        "first_name": "Ana",
        "state": "enabled",
        "tags": "vip, new",
        "email_marketing_consent": {"state": "subscribed", "opt_in_level": "single_opt_in"},
        "addresses": [{"address1": "1 A", "city": "Porto", "country_code": "PT", "zip": "4050"}],
        "default_address": {
            "address1": "1 A",
            "city": "Porto",
            "country_code": "PT",
            "zip": "4050",
        },
    },
    "Shopify GraphQL": {
        "id": "gid://shopify/Customer/207119551",
        "firstName": "Ana",
        "tags": ["vip", "new"],
        "defaultEmailAddress": {"emailAddress": "ana@x.test", "marketingState": "SUBSCRIBED"},
        "defaultAddress": {
            "address1": "1 A",
            "city": "Porto",
            "countryCodeV2": "PT",
            "zip": "4050",
        },
    },
    "WooCommerce": {
        "id": 25,
        "email": "ana@x.test",
        "first_name": "Ana",
        "role": "customer",
        "billing": {},
        "shipping": {"address_1": "1 A", "city": "Porto", "postcode": "4050", "country": "PT"},
        "is_paying_customer": False,
    },
    "Saleor": {
        "id": "VXNlcjoyNQ==",
        "email": "ana@x.test",
        "firstName": "Ana",
        "dateJoined": "2024-03-18T14:20:00Z",
        "defaultShippingAddress": {
            "streetAddress1": "1 A",
            "city": "Porto",
            "postalCode": "4050",
            "country": {"code": "PT"},
        },
    },
    "Medusa": {
        "id": "cus_01",
        "email": "ana@x.test",
        "first_name": "Ana",
        "has_account": True,
        "addresses": [
            {"address_1": "1 A", "city": "Porto", "postal_code": "4050", "country_code": "pt"}
        ],
    },
    "Stripe": {
        "id": "cus_1",
        "object": "customer",
        "email": "ana@x.test",
        "name": "Ana Lo",
        "created": 1710771600,
        "shipping": {
            "address": {"line1": "1 A", "city": "Porto", "postal_code": "4050", "country": "PT"},
            "name": "Ana Lo",
        },
        "metadata": {"plan": "pro"},
    },
}
ADDRESS = {"line1": "1 A", "city": "Porto", "zip": "4050", "country": "PT"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_json_of_other_systems_is_imported(local: Shop, name: str) -> None:
    result = local.bring(json.dumps([SHAPES[name]]), name="a.json")
    assert counts(result) == (1, 0, 0, 0), result
    assert result["warnings"] == []
    (row,) = local.customers("email,first_name,shipping_address,accepts_marketing,tags,custom")
    assert (row["email"], row["first_name"]) == ("ana@x.test", "Ana")
    address = row["shipping_address"]
    assert {part: address[part] for part in ADDRESS} == ADDRESS
    if "Shopify" in name:
        assert (row["accepts_marketing"], row["tags"]) == (True, ["vip", "new"])
    if name == "Shopify REST":
        assert row["custom"]["state"] == "enabled"
    if name == "Stripe":
        assert row["custom"]["metadata"] == {"plan": "pro"}


def test_the_order_of_day_and_month_is_never_guessed(local: Shop) -> None:
    open_order = "email,created\na@x.test,03/04/2024\n"
    result = local.bring(open_order)
    assert kinds(result) == ["warning_ambiguous_date created"]
    assert local.customers("custom")[0]["custom"] == {"import: created": "03/04/2024"}
    local.bring(open_order.replace("a@", "b@"), "--dates", "dmy", name="b.csv")
    rows = "".join(f"c{n}@x.test,03/04/2024\n" for n in range(300))
    local.bring(f"email,created\n{rows}d@x.test,12/31/2023\n", name="c.csv")
    created = {row["email"]: row["created_at"][:10] for row in local.customers("email,created_at")}
    assert created["b@x.test"] == "2024-04-03"
    assert created["c0@x.test"] == "2024-03-04"
    assert created["d@x.test"] == "2023-12-31"


def test_a_subscription_counts_if_the_order_of_its_date_is_open(local: Shop) -> None:
    result = local.bring("email,Subscribed at\na@x.test,03/04/2024\n")
    assert kinds(result) == ["warning_ambiguous_date Subscribed at"]
    assert local.customers("accepts_marketing") == [{"accepts_marketing": True}]


def test_the_lines_of_a_street_in_json_are_both_stored(local: Shop) -> None:
    shape = {"email": "a@x.test", "addresses": [{"street": ["1 Main St", "Apt 4"], "city": "Ulm"}]}
    assert local.bring(json.dumps([shape]), name="a.json")["warnings"] == []
    (row,) = local.customers("shipping_address")
    address = row["shipping_address"]
    assert (address["line1"], address["line2"]) == ("1 Main St", "Apt 4")


def test_a_dry_run_shows_columns_samples_and_questions(local: Shop) -> None:
    content = "E-mail,Country,Joined,Password\na@x.test,Deutschland,03/04/2024,hunter2\n"
    done = local.run("import", local.file("a.csv", content), "--dry-run")
    assert "  Country → shipping_address.country" in done.stderr
    assert "  Country: 'DE'" in done.stderr
    assert "Joined: The order of day and month is not clear" in done.stderr
    assert "'Password' is left out" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert local.emails() == []


def stop_and_resume(local: Shop, file: str) -> dict[str, Any]:
    """Imports a file, which the database stops at its 5,000th customer, and resumes the import.
    Returns the result."""
    with closing(apsw.Connection(local.url.removeprefix("sqlite:///"))) as connection:
        connection.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON customers WHEN NEW.customer_id = 5000"
            " BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
        )
        assert local.run("import", file).returncode != 0
        connection.execute("DROP TRIGGER stop")
    done = local.run("import", file, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    return dict(result)


@pytest.mark.slow
def test_a_resumed_import_writes_each_warning_once(local: Shop) -> None:
    rows = "".join(f"a{n}@x.test,Atlantis\n" for n in range(6_000))
    result = stop_and_resume(local, local.file("a.csv", f"email,country\n{rows}"))
    assert (result["rows"], result["rows_with_warnings"]) == (6_000, 6_000)
    lines = Path(result["warnings_file"]).read_text().splitlines()
    assert len(lines) == len(set(lines)) == 6_001


@pytest.mark.slow
def test_a_resumed_import_reports_the_warnings_of_its_last_batch(local: Shop) -> None:
    """The database decides which warnings of this kind there are, and the process was killed before
    it wrote them."""
    rows = "".join(f"a{n}@x.test,gid-1\n" for n in range(6_000))
    result = stop_and_resume(local, local.file("a.csv", f"email,Customer ID\n{rows}"))
    counts = {warning["kind"]: warning["count"] for warning in result["warnings"]}
    assert (result["rows_with_warnings"], counts) == (5_999, {"warning_kept Customer ID": 5_999})
    lines = Path(result["warnings_file"]).read_text().splitlines()
    assert len(lines) == len(set(lines)) == 6_000


def test_warnings_are_downloaded(client: Client) -> None:
    sent = send(client, "email,country\na@x.test,Atlantis\nb@x.test,FR\n")
    assert ended(client, sent)["rows_with_warnings"] == 1
    answer = client.http.get(f"{sent.headers['location']}/warnings")
    assert answer.headers["content-disposition"].endswith('filename="warnings.csv"')
    assert answer.text.splitlines()[0] == "regulars_warning,email,country"
    assert len(answer.text.splitlines()) == 2
    assert client.http.get(f"{sent.headers['location']}/rejected").status_code == 404


def test_an_email_is_taken_from_another_column(local: Shop) -> None:
    content = "Name,Work Email,Personal Email\nAna Lo,a@x.test,\nBo Li,,b@x.test\nCy Do,c@x.test,\n"
    assert counts(local.bring(content)) == (3, 0, 0, 0)
    assert local.emails() == ["a@x.test", "b@x.test", "c@x.test"]


def test_each_column_of_consent_can_unsubscribe_a_customer(local: Shop) -> None:
    content = (
        "Email address,Email permission status,Email status,Opted out of all email\n"
        "a@x.test,Implied,Unsubscribed,\nb@x.test,Express,Active,\nc@x.test,Express,Active,true\n"
        "d@x.test,Express,Active,2024-01-01\n"
    )
    local.bring(content)
    consents = [row["accepts_marketing"] for row in local.customers("accepts_marketing")]
    assert consents == [False, True, False, False]


def test_errors_of_a_spreadsheet_are_no_values(local: Shop) -> None:
    result = local.bring("email,first name,city,zip\na@x.test,#N/A,#REF!,#VALUE!\n")
    assert counts(result) == (1, 0, 0, 0)
    assert {kind.split()[0] for kind in kinds(result)} == {"warning_spreadsheet_error"}
    (row,) = local.customers("first_name,shipping_address")
    assert row["first_name"] == ""
    assert not {"city", "zip"} & (row["shipping_address"] or {}).keys()


def test_a_row_with_too_long_custom_fields_is_imported(local: Shop) -> None:
    result = local.bring(f"email,a,b\na@x.test,{'x' * 60_000},{'y' * 40_000}\n")
    assert counts(result) == (1, 0, 0, 0)
    assert kinds(result) == ["warning_too_long a"]
    (row,) = local.customers("custom")
    assert row["custom"] == {"b": "y" * 40_000}


def test_tags_of_an_own_export_are_read_exactly(local: Shop) -> None:
    tags = ["R&D; Sales", "a|b", '["x"]', "#one #two", "{p,q}"]
    rows = [{"email": f"t{n}@x.test", "tags": [tag]} for n, tag in enumerate(tags)]
    local.bring("\n".join(json.dumps(row) for row in rows), name="a.jsonl")
    exported = local.folder / "own.csv"
    assert local.run("export", str(exported), "--account", "shop").returncode == 0
    assert local.run("account", "create", "empty").returncode == 0
    assert local.run("import", str(exported), "--account", "empty").returncode == 0
    copies = local.customers("tags", account="empty")
    assert [row["tags"] for row in copies] == [[tag] for tag in tags]


def test_a_warning_says_if_only_the_beginning_of_a_value_was_kept(local: Shop) -> None:
    result = local.bring(f"email,first name,last name\na@x.test,{'x' * 5_000},{'y' * 300}\n")
    first, last = (warning["examples"][0]["message"] for warning in result["warnings"])
    assert first.endswith("Its beginning was kept in `custom`.")
    assert last.endswith("The value was kept in `custom`.")
    (row,) = local.customers("custom")
    assert len(row["custom"]["import: first name"]) == 4_000
    assert "x" * 5_000 in Path(result["warnings_file"]).read_text()


def test_a_circle_is_consent_and_a_cross_is_not(local: Shop) -> None:
    local.bring("이메일,뉴스레터 구독 여부\na@x.test,O\nb@x.test,X\n")
    rows = local.customers("email,accepts_marketing")
    assert {row["email"]: row["accepts_marketing"] for row in rows} == {
        "a@x.test": True,
        "b@x.test": False,
    }


def test_a_postal_code_and_city_that_are_too_long_are_kept(local: Shop) -> None:
    place = f"10115 {'B' * 300}"
    result = local.bring(f"email,PLZ / Ort\na@x.test,10115 Berlin\nb@x.test,{place}\n")
    short, long = local.customers("shipping_address, custom")
    assert (short["shipping_address"]["zip"], short["custom"]) == ("10115", None)
    assert (long["shipping_address"], list(long["custom"].values())) == (None, [place])
    assert len(kinds(result)) == 1


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("email,name,firstname\na@x.test,Fay Noir,Fay\n", ("Fay", "Noir")),
        ("email,full name,first name\na@x.test,Mary Ann Poe,Mary Ann\n", ("Mary Ann", "Poe")),
        ("email,full name,last name\na@x.test,Jan de Wit,de Wit\n", ("Jan", "de Wit")),
        ('email,full name,last name\na@x.test,"Wit, Jan",Wit\n', ("Jan", "Wit")),
        # A last name of two words, as in German files with the headings Vorname and Name.
        ("email,vorname,name\na@x.test,Karl,Maier Huber\n", ("Karl", "Maier Huber")),
    ],
)
def test_a_whole_name_completes_a_part_of_it(
    local: Shop, content: str, names: tuple[str, str]
) -> None:
    local.bring(content)
    (customer,) = local.customers("first_name,last_name")
    assert (customer["first_name"], customer["last_name"]) == names


def test_the_id_and_the_tags_of_an_order_are_not_those_of_its_customer(local: Shop) -> None:
    customer = {
        "id": "gid7",
        "email": "b@x.test",
        "created_at": "2020-01-02T10:00:00Z",
        "tags": "vip",
    }
    order = {"id": 5, "created_at": "2024-01-02T10:00:00Z", "tags": "big", "note": "gift"}
    local.bring(json.dumps({**order, "customer": customer}) + "\n", name="orders.jsonl")
    (saved,) = local.customers("email,external_ids,created_at,tags,notes,custom")
    assert saved["external_ids"] == ["gid7"]
    assert (saved["created_at"][:4], saved["tags"], saved["notes"]) == ("2020", ["vip"], None)
    assert saved["custom"]["note"] == "gift"
