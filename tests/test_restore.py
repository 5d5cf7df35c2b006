"""Customers return from the trash with everything that they had, or are purged."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.core.clock import now_ms
from regulars.store import parse_url
from regulars.store.migrate import run_in_snapshot
from regulars.store.tables import metadata
from regulars.trash.purging import purge_due
from tests.receiver import Receiver
from tests.support import (
    Client,
    Server,
    create_token,
    example_count,
    find_account_name,
    run_regulars,
    with_store,
)
from tests.test_erasure import assert_gone, fill, tables_with
from tests.test_erasure import mark as mark
from tests.test_erasure import shop as shop
from tests.test_inbound import Shop
from tests.test_trash import changes
from tests.test_trash import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.both_databases

TRASH = """query($email: String, $first: Int, $after: String) {
  trash(email: $email, first: $first, after: $after) { totalCount
    pageInfo { hasNextPage hasPreviousPage endCursor }
    edges { cursor node { id _id full_name email orders_count
      deleted_at(format: "x") purge_at(format: "x") deleted_by { kind name } } } } }"""
RESTORE = """mutation($i: [ID!]!, $policy: ConflictPolicy) {
  restoreCustomers(items: $i, conflictPolicy: $policy) {
    customers { _id email version orders_count expenses }
    skipped { customer_id field value taken_by } } }"""
EMPTY = "mutation($i: [ID!]) { emptyTrash(items: $i) }"
RECORD = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
DAY_MS = 86_400_000


def listed(client: Client, **variables: Any) -> list[str]:
    """Return the emails of a page of the trash."""
    edges = client.data(TRASH, **variables)["trash"]["edges"]
    return [edge["node"]["email"] for edge in edges]


def restore(client: Client, *ids: Any, policy: str | None = None) -> dict[str, Any]:
    result: dict[str, Any] = client.data(RESTORE, i=list(ids), policy=policy)["restoreCustomers"]
    return result


def verify(server: Server) -> None:
    result = run_regulars("verify", "--json", "--database-url", server.database_url)
    assert json.loads(result.stdout)["problems"] == []


# What changes apart from the customer: counts, the positions of webhooks, and requests of the test.
CHANGING = {"counters", "tokens", "webhooks", "deliveries", "attempts", "buckets", "accounts"}


def all_rows(url: str) -> dict[str, set[tuple[Any, ...]]]:
    """Return the rows of all tables."""

    def read(connection: sa.Connection) -> dict[str, set[tuple[Any, ...]]]:
        return {
            table.name: {
                tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                for row in connection.execute(table.select())
            }
            for table in metadata.sorted_tables
        }

    return run_in_snapshot(parse_url(url), read)


@pytest.mark.slow
def test_a_restored_customer_has_everything_that_it_had(
    shop: Shop, receiver: Receiver, mark: str
) -> None:
    number = fill(shop, receiver, mark)
    url = shop.client.server.database_url
    before = all_rows(url)
    exchanges = len(tables_with(url, mark)["attempts"])
    shop.client.delete(number)
    in_trash = tables_with(url, mark)
    assert in_trash.keys() - {"imports", "import_parts"} == {"trash", "trash_keys"}
    restore(shop.client, number)
    after = all_rows(url)
    for table in before.keys() - CHANGING - {"customers", "history", "inbox", "inbox_keys"}:
        assert after[table] == before[table], table
    assert len(tables_with(url, mark)["attempts"]) == exchanges
    assert before["history"] <= after["history"]
    assert len(after["history"]) == len(before["history"]) + 2
    names = [column.name for column in metadata.tables["customers"].columns]
    (old,) = (
        dict(zip(names, row, strict=True)) for row in before["customers"] - after["customers"]
    )
    (new,) = (
        dict(zip(names, row, strict=True)) for row in after["customers"] - before["customers"]
    )
    assert new["version"] == old["version"] + 1
    assert new["updated_at"] > old["updated_at"]
    assert {**new, "version": 0, "updated_at": 0} == {**old, "version": 0, "updated_at": 0}
    verify(shop.client.server)
    # An event of the shop finds the customer again.
    shop.expect_understood("contact/updated", {"id": "cus_1", "notes": "Back."})
    assert shop.customer("_id notes") == {"_id": int(old["customer_id"]), "notes": "Back."}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["items", "all", "time"])
def test_nothing_of_a_purged_customer_remains(
    shop: Shop, receiver: Receiver, mark: str, path: str
) -> None:
    number = fill(shop, receiver, mark)
    url = shop.client.server.database_url
    shop.client.delete(number)
    later = now_ms()
    if path == "items":
        assert shop.client.data(EMPTY, i=[number]) == {"emptyTrash": 1}
    elif path == "all":
        assert shop.client.data(EMPTY) == {"emptyTrash": 1}
    else:
        later += 30 * DAY_MS
        assert with_store(url, lambda store: purge_due(store, later - 60_000)) == 0
    purged = with_store(url, lambda store: purge_due(store, later + 60_000))
    assert purged == 1 if path == "time" else purged <= 1  # the server may have been faster
    assert_gone(shop, mark)
    assert shop.list_kinds()[-2:] == ["deleted", "purged"]
    shop.client.expect_error("errors_customer_not_found", RESTORE, i=[number])


def test_the_trash_lists_the_latest_deletion_first(client: Client, server: Server) -> None:
    ids = [client.create(f"u{n}@example.com", first_name="Ana")["id"] for n in range(5)]
    for customer_id in ids:
        client.delete(customer_id)
    result = client.data(TRASH, first=2)["trash"]
    assert (result["totalCount"], result["pageInfo"]["hasNextPage"]) == (5, True)
    node = result["edges"][0]["node"]
    assert int(node.pop("purge_at")) - int(node.pop("deleted_at")) == 30 * DAY_MS
    assert node == {
        "id": ids[4],
        "_id": 5,
        "full_name": "Ana",
        "email": "u4@example.com",
        "orders_count": 0,
        "deleted_by": {"kind": "token", "name": "test"},
    }
    rest = listed(client, after=result["pageInfo"]["endCursor"])
    assert rest == ["u2@example.com", "u1@example.com", "u0@example.com"]
    assert listed(client, email=" U1@EXAMPLE.com") == ["u1@example.com"]
    assert listed(client, email="u1@example") == listed(client, email="u9@example.com") == []
    for cursor in ("WzEsMl0=", "x"):
        client.expect_error("errors_invalid_cursor", TRASH, after=cursor)


def test_the_trash_of_another_account_is_not_found(client: Client, other: Client) -> None:
    theirs = other.create("theirs@example.com")["id"]
    other.delete(theirs)
    for document in (RESTORE, EMPTY):
        foreign = client.expect_error("errors_customer_not_found", document, i=[theirs])
        missing = client.expect_error("errors_customer_not_found", document, i=["Q3VzdG9tZXI6OTk5"])
        assert foreign["message"].partition(" id ")[0] == missing["message"].partition(" id ")[0]
    assert client.data(TRASH)["trash"]["totalCount"] == 0
    assert client.data(EMPTY) == {"emptyTrash": 0}
    assert listed(other) == ["theirs@example.com"]


def test_all_customers_are_restored_or_none(client: Client) -> None:
    ids = [client.create(f"u{n}@example.com")["_id"] for n in range(3)]
    client.delete(*map(str, ids[:2]))
    error = client.expect_error("errors_customer_not_found", RESTORE, i=[*ids, 99])
    assert error["extensions"]["ids"] == ["99"]
    assert "No customer in the trash" in error["message"]
    assert client.emails() == ["u2@example.com"]
    # One that is not deleted counts as restored, and a repeated restore changes nothing.
    for _ in range(2):
        restored = restore(client, *ids, ids[0])["customers"]
        assert [each["_id"] for each in restored] == [*ids, ids[0]]
        assert [each["version"] for each in restored] == [2, 2, 1, 2]
    assert [kind for kind, _ in changes(client)][-4:] == [
        "deleted",
        "deleted",
        "restored",
        "restored",
    ]


def test_a_repeated_request_returns_the_stored_outcome(client: Client) -> None:
    customer_id = client.create("a@example.com")["id"]
    client.delete(customer_id)
    headers = {"Idempotency-Key": "restore"}
    first = client.post(RESTORE, {"i": [customer_id]}, headers).json()
    client.delete(customer_id)
    client.data(RESTORE, i=[customer_id])
    answer = client.post(RESTORE, {"i": [customer_id]}, headers)
    assert answer.headers["idempotent-replayed"] == "true"
    assert first["data"]["restoreCustomers"]["customers"][0]["version"] == 2
    assert [kind for kind, _ in changes(client)].count("restored") == 2


@pytest.mark.parametrize("policy", ["refuse", "skip"])
def test_a_taken_email_prevents_a_restore(client: Client, policy: str) -> None:
    first = client.create("ana@example.com")["id"]
    client.delete(first)
    second = client.create("ANA@example.com")["id"]
    error = client.expect_error("errors_restore_conflict", RESTORE, i=[first], policy=policy)
    assert error["extensions"]["code"] == "CONFLICT"
    assert error["extensions"]["conflicts"] == [
        {"customer_id": first, "field": "email", "value": "ana@example.com", "taken_by": second}
    ]
    client.update(second, email="other@example.com")
    assert restore(client, first)["customers"][0]["email"] == "ana@example.com"


def test_two_customers_with_one_email_are_not_both_restored(client: Client) -> None:
    ids = []
    for _ in range(2):
        ids.append(client.create("same@example.com")["id"])
        client.delete(ids[-1])
    assert listed(client, email="same@example.com") == ["same@example.com"] * 2
    error = client.expect_error("errors_restore_conflict", RESTORE, i=ids)
    assert error["extensions"]["conflicts"][0]["taken_by"] == ids[0]
    assert client.emails() == []
    assert restore(client, ids[1])["customers"][0]["_id"] == 2


def test_an_order_whose_name_is_taken_stays_with_its_customer(
    server: Server, client: Client
) -> None:
    for name, total in (("#1", 5), ("#2", 7)):
        client.data(RECORD, n={"name": name, "email": "ana@example.com", "total": total})
    customer_id = client.page()["edges"][0]["node"]["_id"]
    client.delete(str(customer_id))
    client.data(RECORD, n={"name": "#2", "email": "ben@example.com", "total": 70})
    error = client.expect_error("errors_restore_conflict", RESTORE, i=[customer_id])
    (conflict,) = error["extensions"]["conflicts"]
    assert (conflict["field"], conflict["value"]) == ("order", "#2")
    result = restore(client, customer_id, policy="skip")
    assert result["skipped"] == [conflict]
    (customer,) = result["customers"]
    assert (customer["orders_count"], customer["expenses"]) == (1, 5)
    assert changes(client)[-1] == ("restored", 2)
    verify(server)


def test_an_external_id_that_is_taken_stays_with_its_customer(
    server: Server, client: Client
) -> None:
    add = """mutation($i: ID!, $e: [InputExternalId!]!) {
      addExternalIds(id: $i, externalIds: $e) { external_ids { source id } } }"""
    first = client.create("ana@example.com")["id"]
    for source in ("crm", "till"):
        client.data(add, i=first, e=[{"source": source, "id": "7"}])
    client.delete(first)
    second = client.create("ben@example.com")["id"]
    client.data(add, i=second, e=[{"source": "crm", "id": "7"}])
    error = client.expect_error("errors_restore_conflict", RESTORE, i=[first])
    (conflict,) = error["extensions"]["conflicts"]
    assert conflict == {
        "customer_id": first,
        "field": "external_id",
        "value": "crm:7",
        "taken_by": second,
    }
    assert restore(client, first, policy="skip")["skipped"] == [conflict]
    ids = client.node(first, "... on Customer { external_ids { source id } }")
    assert ids == {"external_ids": [{"source": "till", "id": "7"}]}
    verify(server)


def test_a_restored_id_of_another_system_is_not_taken_for_that_of_the_shop(shop: Shop) -> None:
    deleted = {"id": "7", "email": "ana@example.com"}
    shop.expect_understood("contact/signup", deleted)
    shop.expect_understood("contact/deleted", {"id": "7"})
    ids = [{"source": "crm", "id": "7"}]
    other = shop.client.create("ben@example.com", external_ids=ids)["id"]
    shop.client.delete(other)
    restore(shop.client, other)
    shop.expect_understood("contact/updated", deleted)
    assert shop.customer("email") == {"email": "ben@example.com"}


def test_only_numbers_name_customers_in_the_trash(client: Client) -> None:
    external = {"source": "crm", "id": "7"}
    first = client.create("ana@example.com", external_ids=[external])["id"]
    for name in ("external:crm:7", "cus_1"):
        error = client.expect_error("errors_customer_not_found", RESTORE, i=[first, name])
        assert error["extensions"]["ids"] == [name]


def test_a_lower_setting_shortens_the_time_in_the_trash(server: Server) -> None:
    scopes = ("customers", "settings")
    change = "mutation($d: Int) { updateAccountSettings(node: {trash_days: $d}) { trash_days } }"
    with Client(server, create_token(server, scopes=scopes)) as client:
        client.delete(client.create("a@example.com")["id"])

        def days() -> int:
            node = client.data(TRASH)["trash"]["edges"][0]["node"]
            return (int(node["purge_at"]) - int(node["deleted_at"])) // DAY_MS

        client.data(change, d=40)
        assert days() == 30
        client.data(change, d=3)
        assert days() == 3
        client.data(change, d=0)
        assert listed(client) == []
        client.expect_error("errors_customer_not_found", RESTORE, i=[1])


def test_an_id_in_the_trash_is_not_given_again(client: Client) -> None:
    customer = client.create("a@example.com")
    client.delete(customer["id"])
    assert client.create("b@example.com")["_id"] > customer["_id"]
    row = {"_id": customer["_id"], "email": "c@example.com"}
    result = client.data(
        "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { rows { errors { key } } } }",
        n=[row],
    )
    assert result["setCustomers"]["rows"][0]["errors"][0]["key"] == "errors_customer_not_found"


def test_deleted_customers_are_listed_restored_and_removed_with_commands(
    server: Server, client: Client
) -> None:
    name = find_account_name(server, client.token)
    database = ("--account", name, "--database-url", server.database_url)

    def run(*arguments: str, code: int = 0) -> Any:
        result = run_regulars(*arguments, *database)
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout) if result.stdout else result.stderr

    for person in ("ana", "ben", "eve"):
        client.data(RECORD, n={"name": f"#{person}", "email": f"{person}@example.com", "total": 1})
    run("customers", "delete", "ana@example.com", "ben@example.com", "--yes")
    assert run("customers", "delete", "eve@example.com", "--permanent", "--yes") == [
        "Q3VzdG9tZXI6Mw=="
    ]
    assert [row["email"] for row in run("trash", "list")] == ["ben@example.com", "ana@example.com"]
    assert [row["_id"] for row in run("trash", "list", "--email", "ANA@example.com")] == [1]
    client.data(RECORD, n={"name": "#ana", "email": "other@example.com", "total": 1})
    assert "The order name" in run("trash", "restore", "1", code=1)
    assert "The order name" in run("trash", "restore", "1", "--dry-run", code=1)
    announced = run("trash", "restore", "1", "--skip-conflicts", "--dry-run")
    assert [row["_id"] for row in run("trash", "list")] == [2, 1]
    restored = run("trash", "restore", "1", "--skip-conflicts")
    assert restored == announced
    (skipped,) = restored["skipped"]
    assert (skipped["field"], skipped["value"]) == ("order", "#ana")
    assert "--yes" in run("trash", "empty", code=2)
    assert run("trash", "empty", "--dry-run") == {"removed": 1}
    assert run("trash", "empty", "2", "--dry-run") == {"removed": 1}
    assert run("trash", "empty", "2", "--yes") == {"removed": 1}
    assert run("trash", "list") == []
    assert run("trash", "empty", "--yes") == {"removed": 0}


class Model:
    """What the customers of an account are after a sequence of calls: the email of each customer,
    its order names with their totals, and whether it is in the trash."""

    def __init__(self) -> None:
        self.emails: dict[int, str] = {}
        self.orders: dict[int, dict[str, int]] = {}
        self.trashed: set[int] = set()

    def present(self) -> list[int]:
        return [number for number in self.emails if number not in self.trashed]

    def holder(self, email: str) -> int | None:
        return next((n for n in self.present() if self.emails[n] == email), None)

    def owner(self, name: str) -> int | None:
        return next((n for n in self.present() if name in self.orders[n]), None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(example_count(8)))
def test_random_calls_leave_what_a_model_says(server: Server, client: Client, seed: int) -> None:
    choose = random.Random(seed)  # no secret
    model = Model()
    for step in range(60):
        email = f"m{choose.randrange(5)}@example.com"
        kind = choose.choice(["order", "order", "delete", "restore", "restore", "skip", "purge"])
        if kind == "order":
            name, total = f"#{choose.randrange(6)}", step + 1
            number, owner = model.holder(email), model.owner(name)
            client.data(RECORD, n={"name": name, "email": email, "total": total})
            if owner is not None:
                model.orders[owner][name] = total
            else:
                if number is None:
                    number = max(n["_id"] for n in nodes(client))
                    model.emails[number], model.orders[number] = email, {}
                model.orders[number][name] = total
        elif kind == "delete" and (present := model.present()):
            ids = choose.sample(present, min(len(present), choose.randint(1, 2)))
            client.delete(*map(str, ids))
            model.trashed.update(ids)
        elif model.trashed and kind in ("restore", "skip"):
            restore_as_model(client, model, choose, kind == "skip")
        elif model.trashed and kind == "purge":
            number = choose.choice(sorted(model.trashed))
            assert client.data(EMPTY, i=[number]) == {"emptyTrash": 1}
            model.trashed.remove(number)
            del model.emails[number]
        expected = {
            n: (model.emails[n], len(model.orders[n]), sum(model.orders[n].values()))
            for n in model.present()
        }
        actual = {n["_id"]: (n["email"], n["orders_count"], n["expenses"]) for n in nodes(client)}
        assert actual == expected, (seed, step, kind)
    assert client.data(TRASH)["trash"]["totalCount"] == len(model.trashed)
    verify(server)


def restore_as_model(client: Client, model: Model, choose: random.Random, skips: bool) -> None:
    """Restore customers over the API and in the model."""
    ids = choose.sample(sorted(model.trashed), min(len(model.trashed), choose.randint(1, 2)))
    emails = {model.emails[n] for n in model.present()}
    names = {name for n in model.present() for name in model.orders[n]}
    refused, left_out = False, []
    for number in ids:
        refused |= model.emails[number] in emails
        emails.add(model.emails[number])
        for name in model.orders[number]:
            if name in names:
                left_out.append((number, name))
            names.add(name)
    document = client.run(RESTORE, i=ids, policy="skip" if skips else "refuse")
    if refused or (left_out and not skips):
        assert document["errors"][0]["key"] == "errors_restore_conflict"
        return
    skipped = document["data"]["restoreCustomers"]["skipped"]
    assert [each["value"] for each in skipped] == [name for _, name in left_out]
    model.trashed.difference_update(ids)
    for number, name in left_out:
        del model.orders[number][name]


def nodes(client: Client) -> list[dict[str, Any]]:
    edges = client.page("_id email orders_count expenses")["edges"]
    return [edge["node"] for edge in edges]
