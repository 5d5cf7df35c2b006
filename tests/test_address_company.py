"""The company of an address: in the API, searches, the history, webhooks, orders and files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flaky import run_flaky_proxy
from tests.support import Client, copy_sqlite_template
from tests.test_history import read_feed
from tests.test_import import Shop
from tests.test_mirroring import Mirror, customers

PARTS = "line1 city company toString"
ACME = {"line1": "1 Ring", "city": "Ulm", "company": " ACME  Söhne\u0301 & Co. "}


@pytest.mark.both_databases
def test_a_company_is_a_part_of_an_address(client: Client) -> None:
    address = f"shipping_address {{ {PARTS} }} billing_address {{ company }} location"
    created = client.create("a@x.test", f"id {address}", shipping_address=ACME)
    assert created["shipping_address"] == {
        "line1": "1 Ring",
        "city": "Ulm",
        "company": "ACME  Söhné & Co.",
        "toString": "1 Ring, Ulm",
    }
    assert created["billing_address"] is None
    number = created["id"]
    updated = client.update(number, address, shipping_address={"city": "Bonn"})
    assert updated["shipping_address"]["company"] == "ACME  Söhné & Co."
    updated = client.update(number, address, shipping_address={"company": None})
    assert updated["shipping_address"]["company"] == ""
    alone = client.update(number, address, billing_address={"company": "Beta"})
    assert alone["billing_address"] == {"company": "Beta"}
    none = client.update(number, address, billing_address={"company": ""})
    assert none["billing_address"] is None
    changes = [
        (field["name"], field["before"], field["after"])
        for edge in read_feed(client)["edges"][2:]
        for field in edge["node"]["fields"]
    ]
    without = {"line1": "1 Ring", "city": "Bonn"}
    assert changes == [
        ("shipping_address", {**without, "company": "ACME  Söhné & Co."}, without),
        ("billing_address", None, {"company": "Beta"}),
        ("billing_address", {"company": "Beta"}, None),
    ]


def test_an_invalid_company_is_refused(client: Client) -> None:
    mutation = "mutation ($n: InputCustomer!) { createCustomer(node: $n) { id } }"
    for company, message in (
        ("x" * 256, "The address's company has 256 characters; the maximum is 255."),
        ("a\nb", "The address's company has a control character (U+000A). Remove it."),
    ):
        node = {"email": "a@x.test", "billing_address": {"company": company}}
        error = client.expect_error("errors_invalid_input", mutation, n=node)
        assert error["message"] == message
        assert error["extensions"]["input_path"] == ["node", "billing_address", "company"]


@pytest.mark.both_databases
def test_customers_are_found_by_the_company_of_either_address(client: Client) -> None:
    client.create("a@x.test", shipping_address=ACME)
    second = client.create("b@x.test", billing_address={"company": "Acme"})
    client.create("c@x.test", shipping_address={"city": "Acme"})
    found = {
        "company:acme": ["b@x.test"],
        'company:"acme sohne & co."': ["a@x.test"],
        "company:acme*": ["a@x.test", "b@x.test"],
        "has:company": ["a@x.test", "b@x.test"],
        "-has:company": ["c@x.test"],
        "city:acme": ["c@x.test"],
    }
    for query, emails in found.items():
        assert sorted(client.emails(query)) == emails, query
    client.update(second["id"], billing_address=None)
    assert client.emails("company:acme*") == ["a@x.test"]


def test_a_company_comes_back_from_an_export(tmp_path: Path) -> None:
    local = Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)
    columns = "Email,Address1,City,Company,billing_company,billing_city"
    local.bring(f"{columns}\na@x.test,1 A,Porto,Acme,Beta,Faro\nb@x.test,,,,,\n")
    for name in ("x.csv", "x.jsonl"):
        target = local.folder / name
        assert local.run("export", str(target)).returncode == 0
        again = Shop(copy_sqlite_template(tmp_path / f"{name}.db"), tmp_path)
        assert again.run("import", str(target)).returncode == 0
        rows = again.customers("email,shipping_address,billing_address,custom")
        assert rows[0] == {
            "email": "a@x.test",
            "shipping_address": {"line1": "1 A", "city": "Porto", "company": "Acme"},
            "billing_address": {"city": "Faro", "company": "Beta"},
            "custom": None,
        }
    (headings, *_) = csv.reader(io.StringIO((local.folder / "x.csv").read_text()))
    # Clients may read the columns of earlier versions by position.
    later = ["shipping_address.company", "billing_address.company", "emails", "phones", "addresses"]
    assert headings[-5:] == later
    assert headings[8:10] == ["shipping_address.line1", "shipping_address.line2"]
    assert headings[19] == "billing_address.line1"


class OlderMirror(Mirror):
    """A mirror of a server without address books, whose addresses have no company."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.proxy.transform_response = self._transform

    @staticmethod
    def _transform(request: dict[str, Any], answer: Any) -> Any:
        if "__type" in request["query"]:
            answer["data"]["address"]["fields"].remove({"name": "company"})
            answer["data"]["customer"]["fields"].remove({"name": "addresses"})
        elif "company" in json.dumps(request):
            message = "Cannot query field 'company' on type 'Address'."
            return {"errors": [{"message": message, "key": "errors_invalid_input"}]}
        return answer


@pytest.fixture
def older(client: Client) -> Iterator[OlderMirror]:
    with run_flaky_proxy(client.server) as proxy:
        created = OlderMirror(client, proxy)
        with created.local:
            yield created


ADDRESSES = "email shipping_address { city company } billing_address { city company }"


def test_a_mirror_of_an_older_server_keeps_the_company(older: OlderMirror) -> None:
    number = older.remote.create("a@x.test", shipping_address={"city": "Ulm"})["id"]
    older.remote.create("b@x.test")
    older.pull()
    first, second = customers(older.local, "id")
    older.local.update(first["id"], shipping_address={"company": "Acme"})
    older.local.update(second["id"], billing_address={"company": "Beta"})
    older.remote.update(number, shipping_address={"city": "Bonn"})
    older.pull()
    older.pull("--since", "last")
    assert customers(older.local, ADDRESSES) == [
        {
            "email": "a@x.test",
            "shipping_address": {"city": "Bonn", "company": "Acme"},
            "billing_address": None,
        },
        {
            "email": "b@x.test",
            "shipping_address": None,
            "billing_address": {"city": "", "company": "Beta"},
        },
    ]
    older.remote.update(number, shipping_address=None)
    older.pull("--since", "last")
    first = customers(older.local, ADDRESSES)[0]
    assert first["shipping_address"] == {"city": "", "company": "Acme"}


def test_a_push_to_an_older_server_leaves_out_the_company(older: OlderMirror) -> None:
    older.local.create("a@x.test", shipping_address={"city": "Ulm", "company": "Acme"})
    older.local.create("b@x.test", billing_address={"company": "Beta"})
    assert older.push()["created"] == 2
    assert older.push()["unchanged"] == 2
    rows = {row["email"]: row for row in customers(older.remote, ADDRESSES)}
    assert rows["a@x.test"]["shipping_address"] == {"city": "Ulm", "company": ""}
    assert rows["b@x.test"]["billing_address"] is None


def test_a_mirror_has_the_company(client: Client) -> None:
    with run_flaky_proxy(client.server) as proxy:
        mirror = Mirror(client, proxy)
        with mirror.local:
            number = mirror.remote.create("a@x.test", shipping_address=ACME)["id"]
            mirror.pull()
            assert customers(mirror.local, ADDRESSES) == customers(mirror.remote, ADDRESSES)
            mirror.remote.update(number, shipping_address={"company": None})
            mirror.pull("--since", "last")
            (row,) = customers(mirror.local, ADDRESSES)
            assert row["shipping_address"] == {"city": "Ulm", "company": ""}
            mirror.local.update("Q3VzdG9tZXI6MQ==", shipping_address={"company": "Gamma"})
            assert mirror.push()["updated"] == 1
            (row,) = customers(mirror.remote, ADDRESSES)
            assert row["shipping_address"]["company"] == "Gamma"


def test_address_books_are_mirrored(client: Client) -> None:
    fields = "email addresses { label default_shipping default_billing address { city company } }"
    entries = [
        {"address": ACME, "label": "Work", "default_billing": True},
        {"address": {"city": "Bonn"}},
    ]
    with run_flaky_proxy(client.server) as proxy:
        mirror = Mirror(client, proxy)
        with mirror.local:
            number = mirror.remote.create("a@x.test", addresses=entries)["id"]
            mirror.remote.create("b@x.test", shipping_address={"city": "Kiel"})
            mirror.pull()
            assert customers(mirror.local, fields) == customers(mirror.remote, fields)
            assert mirror.pull()["unchanged"] == 2
            mirror.remote.update(number, addresses=[{"address": ACME}])
            mirror.pull("--since", "last")
            assert customers(mirror.local, fields) == customers(mirror.remote, fields)
            mirror.local.update(number, addresses=[*entries, {"address": {"city": "Trier"}}])
            mirror.local.create("c@x.test", addresses=entries)
            assert mirror.push("--dry-run")["updated"] == 1
            result = mirror.push()
            assert (result["created"], result["updated"], result["unchanged"]) == (1, 1, 1)
            assert customers(mirror.local, fields) == customers(mirror.remote, fields)
            assert mirror.push()["unchanged"] == 3
            mirror.local.update(number, addresses=[])
            mirror.push()
            assert customers(mirror.local, fields) == customers(mirror.remote, fields)
