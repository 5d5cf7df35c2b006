"""Files of customers without an email."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import Client, Server, create_token, find_account_name, run_regulars
from tests.test_import_http import ended, send
from tests.test_no_email import SCOPES, create, identify_by, problems

pytestmark = pytest.mark.both_databases

SHOPIFY = """Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Phone,Tags
7001234567890,Ana,Sá,,no,+212600000001,a
7001234567891,Ben,Li,,yes,+212600000001,b
7001234567892,Zoé,Roy,zoe@x.test,yes,+212600000003,c
"""
PEOPLE = "name,phone\nAna Sá,+212 600 000 001\nBen Li,00212600000001\nANA SA,+212600000001\n"


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        identify_by(client, "email_or_phone")
        yield client
        assert problems(server, client) == []


def run(client: Client, content: str | bytes, **options: Any) -> dict[str, Any]:
    details = ended(client, send(client, content, **options))
    assert details["state"] == "done", details
    return details


def counts(details: dict[str, Any]) -> tuple[int, ...]:
    names = ("created", "updated", "unchanged", "rejected")
    return tuple(details[name] for name in names)


def people(client: Client) -> list[dict[str, Any]]:
    page = client.page("_id email phone full_name accepts_marketing tags", query="order_dir:asc")
    return [edge["node"] for edge in page["edges"]]


def test_the_default_setting_rejects_rows_without_an_email(server: Server) -> None:
    with Client(server, create_token(server, scopes=SCOPES)) as client:
        details = run(client, SHOPIFY)
        assert counts(details) == (1, 0, 0, 2)
        (problem,) = details["problems"]
        assert "The row has no email, and its id is that of another system." in str(problem)
        answer = send(client, PEOPLE)
        assert answer.status_code == 400
        assert "No column is recognized as the email." in answer.text
        details = run(client, f"email,{PEOPLE}".replace("\n", "\n,").removesuffix(","))
        assert counts(details) == (0, 0, 0, 3)
        assert "No email. A new customer needs one." in str(details["problems"])


def test_a_shop_with_customers_of_one_phone_comes_in_once(shop: Client) -> None:
    tried = run(shop, SHOPIFY, dry_run=True)
    assert counts(tried) == (3, 0, 0, 0)
    details = run(shop, SHOPIFY)
    assert counts(details) == (3, 0, 0, 0)
    assert [(p["full_name"], p["email"], p["accepts_marketing"]) for p in people(shop)] == [
        ("Ana Sá", "", False),
        ("Ben Li", "", False),
        ("Zoé Roy", "zoe@x.test", True),
    ]
    assert "The customer has no email, so the consent to marketing was not imported." in str(
        details["warnings"]
    )
    assert counts(run(shop, SHOPIFY)) == (0, 0, 3, 0)
    # The external id is enough, also for another name and phone.
    moved = SHOPIFY.replace("Ana,Sá", "Anna,Sa").replace("600000001,a", "600000009,a")
    assert counts(run(shop, moved)) == (0, 1, 2, 0)


def test_rows_are_matched_by_phone_and_name(shop: Client) -> None:
    assert counts(run(shop, PEOPLE, dry_run=True)) == (2, 0, 1, 0)
    assert counts(run(shop, PEOPLE)) == (2, 0, 1, 0)
    assert [p["full_name"] for p in people(shop)] == ["Ana Sá", "Ben Li"]
    assert counts(run(shop, PEOPLE)) == (0, 0, 3, 0)
    # A customer with an email is another one.
    shop.create("carl@x.test", phone="+33612345678", first_name="Carl")
    assert counts(run(shop, "name,phone\nCarl,+33612345678\n")) == (1, 0, 0, 0)
    # Two customers with the same phone and name, made over the API.
    create(shop, phone="+33612345678", first_name="carl")
    details = run(shop, "name,phone\nCarl,+33612345678\n")
    assert counts(details) == (0, 0, 0, 1)
    assert details["problems"][0]["kind"].startswith("errors_ambiguous") or (
        "errors_ambiguous" in str(details["problems"])
    )


def test_a_row_with_an_invalid_email_stays_rejected(shop: Client) -> None:
    content = "email,name,phone\nana,Ana,1\nn/a,Ben,2\n"
    assert counts(run(shop, content)) == (1, 0, 0, 1)
    content = "email,name,phone\n,Ana,\n"
    details = run(shop, content)
    assert counts(details) == (0, 0, 0, 1)
    assert "A new customer needs an email or a phone." in str(details["problems"])


def test_names_are_enough_where_anything_identifies(shop: Client) -> None:
    identify_by(shop, "anything")
    content = "first_name,last_name,notes\nAna,Sá,x\nBen,,y\n"
    assert counts(run(shop, content)) == (2, 0, 0, 0)
    assert counts(run(shop, content)) == (0, 0, 2, 0)


def test_an_export_comes_back_as_it_was(server: Server, shop: Client, tmp_path: Path) -> None:
    identify_by(shop, "anything")
    create(shop, phone="+212600000001", first_name="Ana", tags=["a"])
    create(shop, first_name="Ben")
    create(shop, external_ids=[{"source": "crm", "id": "1234567890123456789"}])
    shop.create("zoe@x.test", phone="1")
    deleted = create(shop, phone="9")
    shop.delete(deleted["id"])
    create(shop, phone="+212600000001", first_name="Carl")
    with Client(server, create_token(server, scopes=SCOPES)) as other:
        identify_by(other, "anything")
        for name in ("c.csv", "c.jsonl"):
            exported = export(server, shop, tmp_path / name)
            account = find_account_name(server, other.token)
            options = ("--account", account, "--database-url", server.database_url)
            result = run_regulars("import", str(tmp_path / name), "--json", *options)
            assert result.returncode == 0, result.stderr + result.stdout
            assert export(server, other, tmp_path / f"again-{name}") == exported
        assert len(people(other)) == 5
        # The name is corrected in the file, and the phone still says who it is.
        text = (tmp_path / "c.csv").read_text().replace("Ana", "Anna")
        assert counts(run(other, text)) == (0, 1, 4, 0)
    with Client(server, create_token(server, scopes=SCOPES)) as third:
        identify_by(third, "anything")
        create(third, phone="555", first_name="Other")
        assert counts(run(third, text))[0] == 5
        assert people(third)[0]["full_name"] == "Other"


def export(server: Server, client: Client, path: Path) -> str:
    account = find_account_name(server, client.token)
    options = ("--account", account, "--database-url", server.database_url)
    result = run_regulars("export", str(path), *options)
    assert result.returncode == 0, result.stderr
    return path.read_text()


def test_a_file_without_a_column_of_emails_updates_by_number(shop: Client) -> None:
    create(shop, phone="1", first_name="Ana")
    shop.create("ben@x.test", first_name="Ben")
    text = "regulars_id,first_name\n1,Anna\n2,Benno\n"
    assert counts(run(shop, text)) == (0, 2, 0, 0)
    assert [p["full_name"] for p in people(shop)] == ["Anna", "Benno"]


def test_the_columns_of_an_export_keep_an_empty_email(server: Server, shop: Client) -> None:
    create(shop, phone="1", first_name="Ana")
    text = shop.http.get("/export").text
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["email"], row["phone"], row["accepts_marketing"]) == ("", "1", "false")


def test_rejected_rows_are_imported_after_the_setting_has_changed(
    server: Server, shop: Client, tmp_path: Path
) -> None:
    identify_by(shop, None)
    path = tmp_path / "people.csv"
    path.write_text(f"email,{PEOPLE}".replace("\n", "\n,").removesuffix(","))
    account = find_account_name(server, shop.token)
    options = ("--account", account, "--database-url", server.database_url, "--json")
    assert run_regulars("import", str(path), *options).returncode == 5
    identify_by(shop, "email_or_phone")
    rejected = tmp_path / "people.rejected.csv"
    assert run_regulars("import", str(rejected), *options).returncode == 0
    assert len(people(shop)) == 2


def test_an_account_is_mirrored_and_pushed(server: Server, shop: Client) -> None:
    create(shop, phone="+212600000001", first_name="Ana")
    create(shop, phone="+212600000001", first_name="Ben")
    shop.create("zoe@x.test", accepts_marketing=True)
    database = ("--database-url", server.database_url, "--insecure", "--json")
    env = {"REGULARS_REMOTE_TOKEN": shop.token}
    for match in ("_id", "email"):
        with Client(server, create_token(server, scopes=SCOPES)) as mirror:
            account = find_account_name(server, mirror.token)
            pull = ("pull", server.url, "--account", account, "--match", match, *database)
            assert run_regulars(*pull, env=env).returncode == 5  # two need an email there
            identify_by(mirror, "email_or_phone")
            again = run_regulars(*pull, env=env)
            assert again.returncode == 0, again.stderr + again.stdout
            assert sorted(p["full_name"] for p in people(mirror)) == ["", "Ana", "Ben"]
            assert run_regulars(*pull, env=env).returncode == 0
            assert len(people(mirror)) == 3
            zoe = next(p for p in people(shop) if p["full_name"] == "" and p["email"])
            if match == "_id":
                shop.update(str(zoe["_id"]), email="", phone="7")
                assert run_regulars(*pull, env=env).returncode == 0
                assert [p["email"] for p in people(mirror)] == ["", "", ""]
                shop.update(str(zoe["_id"]), email="zoe@x.test", phone="")
    with Client(server, create_token(server, scopes=SCOPES)) as target:
        account = find_account_name(server, shop.token)
        push = ("push", server.url, "--account", account, *database)
        env = {"REGULARS_REMOTE_TOKEN": target.token}
        assert run_regulars(*push, env=env).returncode == 5
        identify_by(target, "email_or_phone")
        for _ in range(2):
            result = run_regulars(*push, env=env)
            assert result.returncode == 0, result.stderr + result.stdout
            assert len(people(target)) == 3
        create(target, phone="+212600000001", first_name="Ana")
        result = run_regulars(*push, env=env)
        assert result.returncode == 5
        assert "this phone and name" in result.stdout + result.stderr


def test_ids_of_one_system_keep_persons_apart(shop: Client) -> None:
    content = (
        "Customer ID,name,phone\n7001234567890,Ana Sá,+212600000001\n"
        "7001234567891,Ana Sá,+212600000001\n"
    )
    assert counts(run(shop, content)) == (2, 0, 0, 0)
    assert counts(run(shop, content)) == (0, 0, 2, 0)
    # Without an id, the row could be either of them.
    assert counts(run(shop, "name,phone\nAna Sá,+212600000001\n")) == (0, 0, 0, 1)


def test_large_numbers_are_no_ids_of_customers(shop: Client) -> None:
    create(shop, phone="1", first_name="Ana")
    for number in ("1234567890123456789", "99999999999999999999", "0", "1073741824", "1000000001"):
        content = f"regulars_id,email,first_name,phone\n{number},,Ben,2\n"
        details = run(shop, content)
        assert sum(counts(details)) == 1, details
    content = "id,email,first_name,phone\n1234567890123456789,,Cy,3\n"
    assert counts(run(shop, content)) == (1, 0, 0, 0)
    assert counts(run(shop, content)) == (0, 0, 1, 0)
    assert [p["full_name"] for p in people(shop)] == ["Ana", "Ben", "Cy"]


def test_texts_without_digits_are_no_numbers_but_tell_persons_apart(shop: Client) -> None:
    identify_by(shop, "anything")
    create(shop, external_ids=[{"source": "crm", "id": "1"}])
    create(shop, phone="none", first_name="Mom Ana")
    numbers = "".join(f",+3361234567{digit},\n" for digit in range(8))
    content = f"name,phone,notes\n,Ask mom,a\n,unknown,b\nAna,none mom,c\n{numbers}"
    assert counts(run(shop, content)) == (11, 0, 0, 0)
    assert counts(run(shop, content.replace("Ask mom", "ask  MOM"))) == (0, 0, 11, 0)
    # A row without a phone is about a customer without one.
    assert counts(run(shop, "name,notes\nMom Ana,x\n")) == (1, 0, 0, 0)


def test_a_file_without_identifications_is_refused(shop: Client) -> None:
    for setting, words in (
        (None, "the email"),
        ("email_or_phone", "the email or the phone"),
        ("anything", "the email, the phone, a name or an external id"),
    ):
        identify_by(shop, setting)
        answer = send(shop, "notes\nx\n")
        assert answer.status_code == 400
        assert f"No column is recognized as {words}." in answer.text


def test_a_column_of_external_ids_of_no_system_is_a_custom_field(shop: Client) -> None:
    details = run(shop, "email,external_ids\nana@x.test,crm:78\n")
    assert counts(details) == (1, 0, 0, 0), details
    (ana,) = [edge["node"] for edge in shop.page("custom external_ids { id }")["edges"]]
    assert ana == {"custom": {"external_ids": "crm:78"}, "external_ids": []}
