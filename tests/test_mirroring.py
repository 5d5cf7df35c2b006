"""`regulars pull` and `regulars push`, against a real server behind an unreliable proxy."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regulars.cli.errors import INTERRUPTED, UNREACHABLE
from regulars.transfer import remote
from regulars.transfer.errors import BadOption
from regulars.transfer.remote import address_of
from tests.flaky import FlakyProxy, run_flaky_proxy
from tests.support import Client, CommandResult, create_token, find_account_name, run_regulars

FIELDS = """_id email phone first_name last_name accepts_marketing notes tags custom
  shipping_address { line1 city country } billing_address { city }
  created_at(format: "ISO") updated_at(format: "ISO")"""


class Mirror:
    """An account that mirrors another one of the same database, through an unreliable proxy."""

    def __init__(self, remote: Client, proxy: FlakyProxy) -> None:
        self.remote = remote
        self.proxy = proxy
        self.env = {
            "REGULARS_DATABASE_URL": remote.server.database_url,
            "REGULARS_REMOTE_TOKEN": remote.token,
        }
        self.local = Client(remote.server, create_token(remote.server))
        self.name = find_account_name(remote.server, self.local.token)

    def run(self, command: str, *options: str) -> CommandResult:
        account = ("--account", self.name)
        return run_regulars(command, self.proxy.url, *account, *options, env=self.env)

    def pull(self, *options: str) -> dict[str, Any]:
        done = self.run("pull", "--json", *options)
        assert done.returncode in (0, 5), done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 5) == bool(result["rejected"])
        return result

    def push(self, *options: str) -> dict[str, Any]:
        done = self.run("push", "--json", *options)
        assert done.returncode in (0, 5), done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def assert_same(self) -> None:
        assert customers(self.local) == customers(self.remote)


def customers(client: Client, fields: str = FIELDS) -> list[dict[str, Any]]:
    page = client.page(fields, query="order_by:id order_dir:asc", first=250)
    return [edge["node"] for edge in page["edges"]]


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    return tuple(result[n] for n in ("created", "updated", "unchanged", "rejected", "gone"))


@pytest.fixture
def mirror(client: Client) -> Iterator[Mirror]:
    with run_flaky_proxy(client.server) as proxy:
        created = Mirror(client, proxy)
        with created.local:
            yield created


def small_pages(mirror: Mirror, size: int) -> None:
    """Make the server refuse pages of more than `size` customers."""
    too_many = {"message": "too many", "extensions": {"key": "errors_page_size"}}

    def transform(request: dict[str, Any], answer: Any) -> Any:
        first = request.get("variables", {}).get("first")
        return {"errors": [too_many]} if first and first > size else answer

    mirror.proxy.transform_response = transform


def create_customers(client: Client, count: int, start: int = 0) -> list[str]:
    nodes = [{"email": f"c{n}@x.test", "first_name": f"N{n}"} for n in range(start, start + count)]
    mutation = "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { rows { customer { id } } } }"
    rows = client.data(mutation, n=nodes)["setCustomers"]["rows"]
    return [row["customer"]["id"] for row in rows]


def test_a_mirror_has_all_fields_and_customers(mirror: Mirror) -> None:
    address = {"line1": "Ring 1", "city": "Ulm", "country": "DE"}
    ids = create_customers(mirror.remote, 3)
    mirror.remote.delete(ids[1])
    mirror.remote.update(
        ids[2],
        shipping_address=address,
        billing_address={"city": "Bonn"},
        tags=["vip", "a, b"],
        custom={"size": {"a": [1, None]}, "x": "y"},
        notes="Line\nbreak",
        accepts_marketing=True,
        phone="+49 30 123",
    )
    assert counts(mirror.pull()) == (2, 0, 0, 0, 0)
    mirror.assert_same()
    assert counts(mirror.pull()) == (0, 0, 2, 0, 0)

    mirror.remote.update(ids[2], shipping_address={"line1": None}, custom={"x": None, "z": 1})
    mirror.remote.update(ids[0], billing_address={"city": "Köln"}, first_name="")
    mirror.remote.update(ids[2], billing_address=None, notes=None, tags=[])
    assert counts(mirror.pull()) == (0, 2, 0, 0, 0)
    mirror.assert_same()
    query = "{ customerChanges { edges { node { actor { kind name } } } } }"
    (edge, *_) = mirror.local.data(query)["customerChanges"]["edges"]
    actor = {"kind": "import", "name": mirror.proxy.url + "/api/v2"}
    assert edge["node"]["actor"] == actor


def test_external_ids_are_mirrored_and_move(mirror: Mirror) -> None:
    def of(client: Client) -> list[list[str]]:
        listed = customers(client, "external_ids { source id }")
        return [[f"{x['source']}:{x['id']}" for x in row["external_ids"]] for row in listed]

    def ids(*texts: str) -> list[dict[str, str]]:
        return [dict(zip(("source", "id"), text.split(":"), strict=True)) for text in texts]

    first, second = create_customers(mirror.remote, 2)
    mirror.remote.update(second, external_ids=ids("shop:cus_1", "stripe:2", "woo:2"))
    mirror.pull()
    assert of(mirror.local) == [[], ["shop:cus_1", "stripe:2", "woo:2"]]
    # The first customer gets the id before the second loses it: it is written again at the end.
    mirror.remote.update(second, external_ids=ids("woo:2"))
    mirror.remote.update(first, external_ids=ids("stripe:2"))
    assert mirror.pull()["rejected"] == 0
    assert of(mirror.local) == of(mirror.remote) == [["stripe:2"], ["woo:2"]]
    mirror.local.update(second, external_ids=ids("erp:1"))
    mirror.local.create("new@x.test", external_ids=ids("erp:3"))
    mirror.push()
    assert of(mirror.remote) == [["stripe:2"], ["erp:1", "woo:2"], ["erp:3"]]
    assert mirror.push()["unchanged"] == 3


@pytest.mark.slow
def test_an_account_with_many_external_ids_is_mirrored(mirror: Mirror, tmp_path: Path) -> None:
    """Exports of both accounts are equal byte for byte."""
    lines = [f"c{n}@x.test,{n},cus_{n:x},{n}; {n + 10_000}" for n in range(3_400)]
    path = tmp_path / "customers.csv"
    path.write_text("email,external_id.erp,external_id.stripe,external_id.woo\n" + "\n".join(lines))
    name = find_account_name(mirror.remote.server, mirror.remote.token)
    url = ("--database-url", mirror.remote.server.database_url)
    assert run_regulars("import", str(path), "--account", name, *url).returncode == 0
    assert mirror.pull()["created"] == 3_400
    exports = []
    for account in (name, mirror.name):
        output = tmp_path / f"{account}.jsonl"
        assert run_regulars("export", str(output), "--account", account, *url).returncode == 0
        exports.append(output.read_bytes())
    assert exports[0] == exports[1]
    assert exports[0].count(b"external:woo:") == 6_800


@pytest.mark.slow
def test_transient_errors_are_retried(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.01)
    create_customers(mirror.remote, 30)
    small_pages(mirror, 10)
    mirror.proxy.faults = [
        "429",
        "502",
        "",
        "429 date",
        "half",
        "text",
        "null",
        "rate",
        "",
        "gone",
    ] + [*("no nodes", "", "502", "429", "null", "", "half")]
    assert counts(mirror.pull()) == (30, 0, 0, 0, 0)
    assert not mirror.proxy.faults
    mirror.assert_same()


@pytest.mark.slow
def test_a_list_that_changes_is_mirrored(mirror: Mirror) -> None:
    ids = create_customers(mirror.remote, 40)
    small_pages(mirror, 10)
    done: list[int] = []

    def before(_count: int) -> None:
        if len(mirror.proxy.pages) > 8 and not done:
            done.append(1)
            mirror.remote.delete(*ids[:5], *ids[35:])
            mirror.remote.update(ids[6], first_name="Later")
            create_customers(mirror.remote, 5, start=100)

    mirror.proxy.before_request = before
    mirror.pull()
    assert done
    result = mirror.pull("--since", "last", "--delete")
    assert result["how"] == "feed"
    mirror.assert_same()


@pytest.mark.slow
def test_deleted_customers_are_reported_and_deleted_on_request(mirror: Mirror) -> None:
    ids = create_customers(mirror.remote, 30)
    small_pages(mirror, 10)
    mirror.pull()
    mirror.remote.delete(ids[0], ids[12], ids[13], ids[29])
    first = mirror.pull()
    assert (first["gone"], first["deleted"]) == (4, 0)
    assert len(customers(mirror.local)) == 30
    done = mirror.run("pull", "--dry-run", "--delete")
    assert "To delete such customers here, add --delete." in done.stdout
    second = mirror.pull("--delete")
    assert (second["gone"], second["deleted"]) == (4, 4)
    mirror.assert_same()


@pytest.mark.slow
def test_a_page_that_omits_a_customer_deletes_no_customer(mirror: Mirror) -> None:
    create_customers(mirror.remote, 6)
    mirror.pull()

    def transform(request: dict[str, Any], answer: Any) -> Any:
        if answer.get("data", {}).get("customers"):
            del answer["data"]["customers"]["edges"][2:4]
        return answer

    mirror.proxy.transform_response = transform
    assert mirror.pull("--delete")["gone"] == 0
    assert len(customers(mirror.local)) == 6

    def omit_all(request: dict[str, Any], answer: Any) -> Any:
        if answer.get("data", {}).get("customers"):
            info = {"hasNextPage": False, "endCursor": None}
            answer["data"]["customers"] = {"edges": [], "pageInfo": info}
        return answer

    mirror.proxy.transform_response = omit_all
    done = mirror.run("pull", "--delete")
    assert "No customer is treated as deleted" in done.stderr
    assert len(customers(mirror.local)) == 6


@pytest.mark.slow
def test_a_pull_without_lookup_by_id_deletes_no_customer(mirror: Mirror) -> None:
    ids = create_customers(mirror.remote, 4)
    mirror.pull()
    mirror.remote.delete(ids[1])

    def transform(request: dict[str, Any], answer: Any) -> Any:
        if "node(" in request["query"]:
            return {"data": dict.fromkeys(answer["data"])}
        return answer

    mirror.proxy.transform_response = transform
    done = mirror.run("pull", "--delete")
    assert "No customer is treated as deleted" in done.stderr
    assert len(customers(mirror.local)) == 4


@pytest.mark.slow
def test_since_last_reads_the_feed(mirror: Mirror) -> None:
    refused = mirror.run("pull", "--since", "last")
    assert "No pull from this server is complete yet" in refused.stderr
    ids = create_customers(mirror.remote, 8)
    mirror.pull()
    mirror.proxy.requests.clear()
    mirror.remote.update(ids[3], first_name="Changed")
    mirror.remote.delete(ids[4])
    create_customers(mirror.remote, 2, start=50)
    result = mirror.pull("--since", "last", "--delete")
    assert (result["how"], result["created"], result["deleted"]) == ("feed", 2, 1)
    mirror.assert_same()
    mirror.proxy.requests.clear()
    assert counts(mirror.pull("--since", "last")) == (0, 0, 0, 0, 0)
    assert len(mirror.proxy.requests) == 2  # the fields of the server, and the feed


def test_a_customer_restored_on_the_server_is_restored(mirror: Mirror) -> None:
    """A mirror by the feed has the customers of the source after deletions and restores. What only
    the mirror knows of them returns, too."""
    ids = create_customers(mirror.remote, 6)
    mirror.pull()
    choose = random.Random(3)  # no secret
    deleted: set[str] = set()
    for _ in range(6):
        going = choose.sample(sorted(set(ids) - deleted), 2)
        mirror.remote.delete(*going)
        deleted |= set(going)
        mirror.pull("--since", "last", "--delete")
        mirror.assert_same()
        coming = choose.sample(sorted(deleted), choose.randint(1, len(deleted) - 1))
        restore = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }"
        mirror.remote.data(restore, i=coming)
        deleted -= set(coming)
        result = mirror.pull("--since", "last", "--delete")
        assert (result["created"], result["rejected"]) == (0, 0)
        mirror.assert_same()
    kinds = "... on Customer { changes(first: 250) { edges { node { kind } } } }"
    present = next(iter(set(ids) - deleted))
    edges = mirror.local.node(present, kinds)["changes"]["edges"]
    assert edges[-1]["node"]["kind"] == "created"


def test_a_customer_is_restored_with_an_email_that_it_got_before_its_deletion(
    mirror: Mirror,
) -> None:
    """The feed has only the deletion then, so another customer may have the email in the trash."""
    first, second = create_customers(mirror.remote, 2)
    mirror.pull()
    mirror.remote.update(first, email="new@x.test")
    mirror.remote.delete(first)
    mirror.remote.update(second, email="c0@x.test")
    mirror.pull("--since", "last", "--delete")
    mirror.assert_same()
    restore = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }"
    mirror.remote.data(restore, i=[first])
    result = mirror.pull("--since", "last", "--delete")
    assert (result["created"], result["rejected"]) == (0, 0)
    assert sorted(mirror.local.emails()) == ["c0@x.test", "new@x.test"]
    mirror.assert_same()


def not_regulars(request: dict[str, Any], answer: Any) -> Any:
    """The service where a shop's customers live: without a feed, and with ids of its own."""
    if "changes" in request["query"] or "customerChanges" in request["query"]:
        return {"errors": [{"message": "Cannot query field changes"}]}
    for edge in answer["data"].get("customers", {}).get("edges", []):
        edge["node"]["id"] = f"cus_{edge['node']['_id']:024x}"
    return answer


@pytest.mark.slow
def test_without_a_feed_the_latest_changes_are_read(mirror: Mirror) -> None:
    mirror.proxy.transform_response = not_regulars
    ids = create_customers(mirror.remote, 5)
    mirror.pull()
    assert mirror.local.node(f"cus_{3:024x}", "... on Customer { email }")["email"] == "c2@x.test"
    mirror.remote.update(ids[1], first_name="Changed")
    create_customers(mirror.remote, 1, start=50)
    result = mirror.pull("--since", "last")
    assert (result["how"], *counts(result)[:2]) == ("updated", 1, 1)
    mirror.assert_same()
    far = mirror.pull("--since", "2100-01-01T00:00:00Z")
    assert far["rows"] == 0


def test_a_server_with_relative_times_is_mirrored_without_timestamps(mirror: Mirror) -> None:
    def transform(request: dict[str, Any], answer: Any) -> Any:
        for edge in (
            not_regulars(request, answer).get("data", {}).get("customers", {}).get("edges", [])
        ):
            edge["node"] |= {"created_at": "an hour ago", "updated_at": "a minute ago"}
        return answer if "changes" not in request["query"] else not_regulars(request, answer)

    create_customers(mirror.remote, 3)
    mirror.proxy.transform_response = transform
    assert counts(mirror.pull()) == (3, 0, 0, 0, 0)
    assert (
        "relative times instead of timestamps" in mirror.run("pull", "--since", "2026-01-01").stderr
    )


@pytest.mark.slow
def test_a_stopped_pull_is_resumed(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    create_customers(mirror.remote, 40)
    small_pages(mirror, 10)
    assert "No stopped pull from this server exists" in mirror.run("pull", "--resume").stderr
    monkeypatch.setattr(remote, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(remote.Remote.__init__, "__defaults__", (lambda _w, _s: None, 0.0))

    def before(_count: int) -> None:
        if len(mirror.proxy.pages) == 8:
            mirror.proxy.faults = ["502"]

    mirror.proxy.before_request = before
    done = mirror.run("pull")
    assert done.returncode == UNREACHABLE
    assert "has not answered" in done.stderr
    monkeypatch.undo()
    count = len(customers(mirror.local))
    assert 0 < count < 40
    mirror.proxy.before_request = lambda _count: None
    mirror.proxy.requests.clear()
    result = mirror.pull("--resume")
    assert (result["rows"], result["created"]) == (40, 40)
    assert mirror.proxy.pages[0]["after"] is not None
    mirror.assert_same()


@pytest.mark.parametrize("pages", [0, 4])
def test_ctrl_c_stops_a_pull_that_waits_for_the_other_server(mirror: Mirror, pages: int) -> None:
    create_customers(mirror.remote, 40)
    small_pages(mirror, 10)

    def before(_count: int) -> None:
        if len(mirror.proxy.pages) >= pages and not mirror.proxy.faults:
            mirror.proxy.faults = ["502"] * 5  # a pause of 10 s
            os.kill(os.getpid(), signal.SIGINT)

    mirror.proxy.before_request = before
    started_at = time.monotonic()
    done = mirror.run("pull")
    assert time.monotonic() - started_at < 9
    assert done.returncode == INTERRUPTED
    assert "Stopped after" in done.stderr
    assert "Continue with the same command" in done.stderr
    assert ("--resume" in done.stderr) == bool(pages)
    mirror.proxy.before_request = lambda _count: None
    mirror.proxy.faults.clear()
    assert mirror.pull(*["--resume"] * bool(pages))["rows"] == 40
    mirror.assert_same()


@pytest.mark.slow
def test_emails_that_move_between_customers_are_mirrored(mirror: Mirror) -> None:
    ids = create_customers(mirror.remote, 3)
    mirror.pull()
    mirror.remote.update(ids[2], email="new@x.test")
    mirror.remote.update(ids[0], email="c2@x.test")
    mirror.remote.delete(ids[1])
    create_customers(mirror.remote, 1, start=1)
    assert mirror.pull("--delete")["rejected"] == 0
    mirror.assert_same()


def test_customers_that_the_rules_reject_are_reported(mirror: Mirror) -> None:
    def transform(request: dict[str, Any], answer: Any) -> Any:
        for edge in answer.get("data", {}).get("customers", {}).get("edges", []):
            if edge["node"].get("email") == "c1@x.test":
                edge["node"]["email"] = "nobody"
        return answer

    create_customers(mirror.remote, 3)
    mirror.proxy.transform_response = transform
    result = mirror.pull()
    assert counts(result) == (2, 0, 0, 1, 0)
    (problem,) = result["problems"]
    assert problem["kind"] == "errors_invalid_input email"
    assert problem["examples"][0]["line"] == 2


def test_an_id_deleted_locally_is_not_reused(mirror: Mirror) -> None:
    create_customers(mirror.remote, 2)
    mirror.pull()
    mirror.local.delete("1")
    result = mirror.pull()
    assert result["rejected"] == 1
    assert "ids are never reused" in result["problems"][0]["examples"][0]["message"]


def test_an_account_with_customers_of_its_own_is_merged_by_email(mirror: Mirror) -> None:
    mirror.local.create("c1@x.test", first_name="Mine")
    create_customers(mirror.remote, 3)
    refused = mirror.run("pull")
    assert refused.returncode == 2
    assert "--match email" in refused.stderr
    assert counts(mirror.pull("--match", "email")) == (2, 1, 0, 0, 0)
    assert sorted(mirror.local.emails()) == sorted(mirror.remote.emails())


@pytest.mark.slow
def test_a_merged_account_cannot_become_a_mirror(mirror: Mirror) -> None:
    mirror.local.create("mine@x.test")
    create_customers(mirror.remote, 2)
    mirror.pull("--match", "email")
    for options in ((), ("--delete",), ("--since", "last")):
        assert "with --match email" in mirror.run("pull", *options).stderr
    assert counts(mirror.pull("--match", "email", "--since", "last"))[:3] == (0, 0, 0)
    assert "mine@x.test" in mirror.local.emails()


@pytest.mark.slow
def test_a_pull_since_a_timestamp_leaves_earlier_changes_for_the_next(mirror: Mirror) -> None:
    mirror.proxy.transform_response = not_regulars
    ids = create_customers(mirror.remote, 3)
    mirror.pull()
    mirror.remote.update(ids[0], first_name="Changed")
    assert mirror.pull("--since", "2100-01-01T00:00:00Z")["rows"] == 0
    assert mirror.pull("--since", "last")["updated"] == 1
    mirror.assert_same()


def test_a_dry_run_saves_nothing(mirror: Mirror) -> None:
    create_customers(mirror.remote, 3)
    assert counts(mirror.pull("--dry-run")) == (3, 0, 0, 0, 0)
    assert customers(mirror.local) == []


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://x.test", "not the URL of a server"),
        ("shop", "not the URL of a server"),
        ("https://me:secret@x.test", "REGULARS_REMOTE_TOKEN"),
        ("http://shop.example.com", "unencrypted"),
    ],
)
def test_invalid_urls_are_refused(url: str, what: str) -> None:
    with pytest.raises(BadOption, match=what):
        address_of(url, insecure=False)


def test_urls_are_completed() -> None:
    assert address_of("https://Shop.example.com", insecure=False).endswith(
        "shop.example.com/api/v2"
    )
    assert address_of("http://shop.lan/graphql", insecure=True) == "http://shop.lan/graphql"


def test_an_error_of_the_other_server_is_reported(mirror: Mirror) -> None:
    mirror.env["REGULARS_REMOTE_TOKEN"] = "wrong"
    done = mirror.run("pull")
    assert done.returncode == 1
    assert "This request needs a valid token" in done.stderr
    done = run_regulars("pull", mirror.proxy.url, "--match", "name", env={**mirror.env, "X": "y"})
    assert done.returncode == 2
    for options in (("--match", "email", "--delete"), ("--resume", "--dry-run"), ("--since", "x")):
        assert mirror.run("pull", *options).returncode == 2


@pytest.mark.slow
def test_a_push_makes_the_other_server_the_same(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.01)
    ids = create_customers(mirror.local, 12)
    address = {"line1": "Ring 1", "city": "Ulm", "country": "DE"}
    mirror.local.update(ids[0], shipping_address=address, custom={"a": 1}, tags=["vip"])
    create_customers(mirror.remote, 1, start=100)
    mirror.remote.create("c1@x.test", first_name="Other", custom={"old": 1}, notes="n")
    mirror.proxy.faults = ["", "lost", "429", "lost", "half", "lost"]
    assert mirror.push("--dry-run")["created"] == 11
    assert len(customers(mirror.remote)) == 2
    mirror.proxy.faults = ["", "lost", "429", "lost", "half", "lost"]
    result = mirror.push()
    assert counts({**result, "gone": 0}) == (11, 1, 0, 0, 0)
    assert result["only_there"] == 1
    fields = "email first_name notes tags custom shipping_address { line1 city country }"
    local_nodes = {node["email"]: node for node in customers(mirror.local, fields)}
    remote_nodes = {node["email"]: node for node in customers(mirror.remote, fields)}
    del remote_nodes["c100@x.test"]
    assert local_nodes == remote_nodes
    assert mirror.push()["unchanged"] == 12
    assert mirror.push("--query", "tag:vip")["rows"] == 1


def test_customers_refused_by_the_other_server_are_reported(mirror: Mirror) -> None:
    reader = create_token(mirror.remote.server, scopes=("customers:read",))
    mirror.env["REGULARS_REMOTE_TOKEN"] = reader
    create_customers(mirror.local, 2)
    done = mirror.run("push")
    assert done.returncode == 5
    assert "customers:write" in done.stdout


def test_a_nested_custom_field_removed_remotely_is_removed_locally(mirror: Mirror) -> None:
    customer = mirror.remote.create("a@x.test", custom={"deep": {"x": 1, "y": {"z": 1}}, "k": 1})
    mirror.pull()
    mirror.remote.update(customer["id"], custom={"deep": {"x": None, "y": {"z": None, "w": 2}}})
    mirror.pull("--since", "last")
    mirror.assert_same()
