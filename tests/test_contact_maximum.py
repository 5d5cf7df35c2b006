"""A customer with the maximum of emails, phones and addresses, through every way in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import Receiver
from tests.support import (
    Client,
    Server,
    create_token,
    run_regulars,
    run_server,
)
from tests.test_import_contacts import export
from tests.test_mirroring import Mirror
from tests.test_mirroring import mirror as mirror
from tests.test_no_email import SCOPES, problems
from tests.test_no_email_imports import counts, run
from tests.test_webhook_mirror import RESTORE
from tests.test_webhooks import SCOPES as HOOKS
from tests.test_webhooks import create_webhook
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.both_databases

LABEL = "携" * 64
CUSTOMER: dict[str, Any] = {
    "first_name": "Max",
    "emails": [
        {
            "email": f"m{n}@x.test",
            "label": LABEL,
            "default": n == 7,
            "verified_at": "2026-01-02T03:04:05.000Z",
        }
        for n in range(20)
    ],
    "phones": [
        {"phone": f"+3519000000{n:02}", "label": LABEL, "default": n == 9} for n in range(20)
    ],
    "addresses": [
        {
            "label": LABEL,
            "default_shipping": n == 50,
            "default_billing": n == 99,
            "address": {
                "line1": f"Street {n}",
                "city": "C" * 255,
                "company": "Acme",
                "country": "PT",
            },
        }
        for n in range(100)
    ],
}
ALL = """... on Customer { email phone first_name shipping_address { line1 } billing_address { line1 }
  emails { email label default verified_at(format: "ISO") } phones { phone label default }
  addresses { label default_shipping default_billing address { line1 city company country } } }"""


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=(*SCOPES, "admin"))) as client:
        yield client
        assert problems(server, client) == []


def create(client: Client) -> dict[str, Any]:
    """Create the customer, and return it."""
    id_ = client.create("", **CUSTOMER)["id"]
    customer: dict[str, Any] = client.node(id_, ALL)
    lists = [customer[name] for name in ("emails", "phones", "addresses")]
    assert list(map(len, lists)) == [20, 20, 100]
    assert {entry["label"] for entries in lists for entry in entries} == {LABEL}
    assert (customer["email"], customer["phone"]) == ("m7@x.test", "+351900000009")
    return customer


def test_exports_and_imports(shop: Client, server: Server) -> None:
    before = create(shop)
    answer = shop.http.get("/export", params={"format": "xlsx"})
    assert answer.status_code == 400
    assert "A cell of Excel has at most 32,767 characters" in answer.text
    for form in ("csv", "jsonl"):
        with Client(server, create_token(server, scopes=SCOPES)) as other:
            content = export(shop, form)
            assert counts(run(other, content)) == (1, 0, 0, 0)
            assert other.node("1", ALL) == before
            assert counts(run(other, content)) == (0, 0, 1, 0)
            assert problems(server, other) == []


def test_trash_and_restore(shop: Client) -> None:
    before = create(shop)
    ids = shop.node("1", "... on Customer { emails { id } phones { id } addresses { id } }")
    (customer,) = shop.page("id")["edges"]
    shop.delete(customer["node"]["id"])
    assert shop.emails() == []
    shop.data(RESTORE, i=[customer["node"]["id"]])
    assert shop.node("1", ALL) == before
    assert shop.node("1", "... on Customer { emails { id } phones { id } addresses { id } }") == ids


def test_the_body_of_a_webhook(new_database: str, receiver: Receiver) -> None:
    env = {"REGULARS_WEBHOOK_PRIVATE_TARGETS": "true"}
    with (
        run_server(new_database, env=env) as server,
        Client(server, create_token(server, scopes=HOOKS)) as shop,
    ):
        create_webhook(shop, "contact/signup", receiver.url)
        customer = create(shop)
        node = receiver.wait(1)[0].json["node"]
    assert list(node)[-3:] == ["emails", "phones", "addresses"]
    assert node["emails"] == customer["emails"]
    assert node["phones"] == customer["phones"]
    assert [entry["label"] for entry in node["addresses"]] == [LABEL] * 100
    assert [entry["address"]["line1"] for entry in node["addresses"]] == [
        entry["address"]["line1"] for entry in customer["addresses"]
    ]


def test_pull_and_push(mirror: Mirror) -> None:
    before = create(mirror.remote)
    assert mirror.pull()["created"] == 1
    assert mirror.local.node("1", ALL) == before
    assert mirror.pull()["unchanged"] == 1
    assert mirror.push()["unchanged"] == 1
    mirror.local.data(
        "mutation($e: [String!]!) { removeEmails(id: 1, emails: $e) { id } }", e=["m3@x.test"]
    )
    mirror.local.update("1", addresses=CUSTOMER["addresses"][50:])
    assert mirror.push()["updated"] == 1
    after = mirror.remote.node("1", ALL)
    assert after == mirror.local.node("1", ALL)
    assert (len(after["emails"]), len(after["addresses"])) == (19, 50)


def test_copies_to_another_database(shop: Client, server: Server, tmp_path: Path) -> None:
    create(shop)
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    done = run_regulars("copy", server.database_url, target, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["different"] == 0
    assert run_regulars("verify", "--database-url", target).returncode == 0


def test_another_server_gets_the_defaults(mirror: Mirror) -> None:
    """A server of the same API without lists. Its customers change the defaults alone."""
    lists = ("emails", "phones", "addresses", "company")

    def without_lists(_request: dict[str, Any], answer: Any) -> Any:
        for type_ in ("customer", "address"):
            fields = ((answer.get("data") or {}).get(type_) or {}).get("fields")
            if fields:
                fields[:] = [field for field in fields if field["name"] not in lists]
        return answer

    mirror.proxy.transform_response = without_lists
    before = create(mirror.local)
    assert mirror.push()["created"] == 1
    remote = mirror.remote.node("1", ALL)
    assert [entry["email"] for entry in remote["emails"]] == [before["email"]]
    assert [entry["phone"] for entry in remote["phones"]] == [before["phone"]]
    addresses = [entry["address"] for entry in before["addresses"][:2]]
    assert [entry["address"] for entry in remote["addresses"]] == [
        {**address, "company": ""} for address in addresses
    ]
    assert mirror.push()["unchanged"] == 1
    mirror.remote.update("1", phone="+351911111111", shipping_address={"line1": "Moved"})
    assert mirror.pull("--match", "email")["updated"] == 1
    pulled = mirror.local.node("1", ALL)
    assert pulled["phone"] == pulled["phones"][0]["phone"] == "+351911111111"
    assert pulled["shipping_address"] == {"line1": "Moved"}
    assert pulled["addresses"][0]["address"]["company"] == "Acme"
    assert [len(pulled[name]) for name in ("emails", "phones", "addresses")] == [20, 20, 100]
    assert pulled["emails"] == before["emails"]
    assert pulled["addresses"][1:] == before["addresses"][1:]
