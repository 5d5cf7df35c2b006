"""Jobs over HTTP and on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import Client, copy_sqlite_template, run_regulars
from tests.test_jobs import add, cannot_undo, edit, ended, run_import, three, undo


def lines(client: Client, path: str) -> list[dict[str, str]]:
    answer = client.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.both_databases
def test_kept_values_are_listed_with_who_changed_them(client: Client) -> None:
    ids = three(client)
    job = edit(client, query="", node={"phone": "9", "custom": {"=x": 1}})
    update = (
        "mutation($id: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $id, node: $n) { id } }"
    )
    client.data(update, id=ids[2], n={"phone": "10", "custom": {"=x": 2}})
    answer = client.http.post(f"/jobs/{job['id']}/undo", params={"dry_run": "true"})
    assert answer.status_code == 202
    tried = answer.json()["data"]
    ended(client, tried)
    undone = undo(client, job)
    kept = [
        {"_id": "3", "field": "phone", "reason": "changed since", "changed_by": "test"},
        {"_id": "3", "field": "custom.=x", "reason": "changed since", "changed_by": "test"},
    ]
    for done in (tried, undone):
        assert lines(client, f"/jobs/{done['id']}/kept") == kept


def test_the_routes_of_jobs(sqlite_client: Client) -> None:
    client = sqlite_client
    three(client)
    job = edit(client, query="", increments=[{"field": "custom.points", "amount": 1}])
    (listed,) = client.http.get("/jobs").json()["data"]
    shown = client.http.get(f"/jobs/{job['id']}").json()["data"]
    assert listed == shown
    assert (shown["changed"], shown["actor"]) == (2, {"kind": "token", "name": "test"})
    assert lines(client, f"/jobs/{job['id']}/rejected") == [
        {"_id": "2", "reason": "`custom.points` is not a number, or the result is too large."}
    ]
    # It can be undone, so it stays.
    assert client.http.delete(f"/jobs/{job['id']}").json()["data"]["state"] == "done"
    assert client.http.get(f"/jobs/{job['id']}").status_code == 200
    same = edit(client, query="", node={"first_name": ""})
    assert (same["changed"], same["can_undo"]) == (0, False)
    assert client.http.delete(f"/jobs/{same['id']}").status_code == 200
    assert client.http.get(f"/jobs/{same['id']}").status_code == 404
    answer = client.http.post(f"/jobs/{job['id']}/undo")
    assert ended(client, answer.json()["data"])["changed"] == 2
    again = client.http.post(f"/jobs/{job['id']}/undo")
    assert again.status_code == 400
    assert again.json()["errors"][0]["key"] == "jobs_cannot_undo"
    for method, path, status in (
        ("POST", "/jobs", 405),
        ("PUT", f"/jobs/{job['id']}", 405),
        ("GET", f"/jobs/{job['id']}/undo", 405),
        ("POST", f"/jobs/{job['id']}/kept", 405),
        ("GET", "/jobs/job_0", 404),
        ("GET", f"/jobs/{job['id']}/other", 404),
        ("POST", f"/jobs/{job['id']}/undo?x=1", 400),
    ):
        assert client.http.request(method, path).status_code == status, (method, path)


def test_rows_of_an_import_stay_at_its_own_path(sqlite_client: Client) -> None:
    job = run_import(sqlite_client, "email\na@x.test\nbad\n")
    assert (job["rejected"], job["problems"][0]["examples"]) == (1, ["3"])
    assert sqlite_client.http.get(f"/jobs/{job['id']}/rejected").status_code == 404
    assert sqlite_client.http.get(f"/import/{job['id']}/rejected").status_code == 200


def test_an_import_without_entries_cannot_be_undone(sqlite_client: Client) -> None:
    job = run_import(sqlite_client, "email\na@x.test\n", dry_run="true")
    assert "dry run" in cannot_undo(sqlite_client, job["id"])["message"]


def test_contacts_addresses_and_ids_of_an_import_are_restored(sqlite_client: Client) -> None:
    client = sqlite_client
    fields = """emails { email label } phones { phone } external_ids { source id }
      addresses { label address { city country } } shipping_address { city }"""
    query = (
        f'{{ customers(query: "order_by:id order_dir:asc") {{ edges {{ node {{ {fields} }} }} }} }}'
    )
    add(
        client,
        {
            "email": "a@x.test",
            "emails": [{"email": "a@x.test"}, {"email": "work@x.test", "label": "work"}],
            "phones": [{"phone": "1"}, {"phone": "2"}],
            "shipping_address": {"city": "Rabat"},
            "external_ids": [{"source": "crm", "id": "7"}],
        },
        {"email": "b@x.test"},
    )
    before = client.data(query)
    job = run_import(
        client,
        "email,email 2,phone,city,external_id.erp\n"
        "a@x.test,new@x.test,5,Fes,e1\nb@x.test,b2@x.test,6,Agadir,e2\n",
    )
    assert client.data(query) != before
    undone = undo(client, job)
    assert (undone["changed"], undone["problems"]) == (2, [])
    assert client.data(query) == before


def cli(database: str, *arguments: str) -> Any:
    result = run_regulars(*arguments, "--json", "--database-url", database)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_the_commands_do_the_work_without_a_server(tmp_path: Path) -> None:
    database = copy_sqlite_template(tmp_path / "cli.db")
    assert run_regulars("account", "create", "shop", "--database-url", database).returncode == 0
    for name in ("a", "b"):
        cli(database, "customers", "create", "--email", f"{name}@x.test", "--phone", "1")
    options = ("--set", "phone=", "--set", "custom.tier=gold", "--set", "custom.n=1.5")
    more = ("--set", "shipping_address.city=Fes", "--add-tag", "vip", "--add", "custom.points=2")
    tried = cli(database, "update", "--query", "", *options, *more, "--dry-run")
    assert (tried["changed"], tried["dry_run"]) == (2, True)
    job = cli(database, "update", "--query", "", *options, *more, "--expected", "2")
    assert (job["state"], job["changed"]) == ("done", 2)
    found = cli(database, "customers", "get", "a@x.test")
    assert (found["phone"], found["tags"]) == ("", ["vip"])
    assert found["custom"] == {"tier": "gold", "n": 1.5, "points": 2}
    assert found["shipping_address"]["city"] == "Fes"
    undone = cli(database, "jobs", "undo", job["id"])
    assert (undone["state"], undone["changed"]) == ("done", 2)
    assert cli(database, "customers", "get", "a@x.test")["custom"] is None
    listed = cli(database, "jobs", "list")
    assert [each["kind"] for each in listed] == ["undo", "bulk", "bulk"]
    assert cli(database, "jobs", "show", job["id"])["undone_by"] == undone["id"]
    assert cli(database, "jobs", "cancel", job["id"])["state"] == "done"
    file = tmp_path / "new.csv"
    file.write_text("email\nc@x.test\n")
    cli(database, "import", str(file))
    imported = cli(database, "jobs", "list")[0]
    assert (imported["kind"], imported["name"], imported["can_undo"]) == ("import", "new.csv", True)
    undone = cli(database, "jobs", "undo", imported["id"])
    assert (undone["name"], undone["changed"]) == ("new.csv", 1)
    waiting = cli(database, "update", "--query", "", "--add-tag", "x", "--no-wait")
    assert waiting["state"] == "pending"
    verified = run_regulars("verify", "--database-url", database)
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--add-tag", "x"), "Pass --customer"),
        (("--query", "", "--customer", "1", "--add-tag", "x"), "Pass --customer"),
        (("--query", ""), "Nothing to update"),
        (("--query", "", "--set", "x=1"), "is not FIELD=VALUE"),
        (("--query", "", "--set", "phone"), "is not FIELD=VALUE"),
        (("--query", "", "--set", "custom=1"), "name a part"),
        (("--query", "", "--set", "shipping_address.x=1"), "name a part"),
        (("--query", "", "--set", "accepts_marketing=maybe"), "true or false"),
        (("--query", "", "--add", "custom.points=many"), "custom.points=10"),
        (("--query", "", "--set", "email=a@x.test"), "identifies one"),
    ],
)
def test_wrong_options_are_explained(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    database = copy_sqlite_template(tmp_path / "cli.db")
    run_regulars("account", "create", "shop", "--database-url", database)
    result = run_regulars("update", *arguments, "--database-url", database)
    assert result.returncode != 0
    assert message in " ".join(result.stderr.split())
