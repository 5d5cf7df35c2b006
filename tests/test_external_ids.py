"""External ids of customers and orders: who has one, how they are set, and what they identify."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from regulars.api.schema import schema
from tests.support import Client, Server, create_token, run_regulars, run_server

pytestmark = pytest.mark.both_databases

SCHEMA = schema()
IDS = "external_ids { source id }"
STRIPE = {"source": "stripe", "id": "cus_1"}
CHANGE = """mutation($id: ID!, $ids: [InputExternalId!]!, $v: Int) {
  FIELD(id: $id, externalIds: $ids, ifVersion: $v) { version external_ids { source id } } }"""
SET = """mutation($nodes: [InputSetCustomer!]!, $policy: ErrorPolicy) {
  setCustomers(nodes: $nodes, errorPolicy: $policy) {
    rows { outcome customer { _id external_ids { source id } } errors { key input_path } } } }"""
CREATE = "mutation($n: InputCustomer!) { createCustomer(node: $n) { _id } }"
UPDATE = """mutation($id: ID!, $n: InputUpdateCustomer!) {
  updateCustomer(id: $id, node: $n) { _id } }"""
FIELDS = (
    """{ customerChanges(first: 250) { edges { node { kind fields { name before after } } } } }"""
)


def change(client: Client, field: str, id_: str, *ids: Any, version: int | None = None) -> Any:
    document = CHANGE.replace("FIELD", field)
    return client.data(document, id=id_, ids=list(map(external, ids)), v=version)[field]


def external(text: Any) -> dict[str, str]:
    source, _, id_ = text.partition(":")
    return {"source": source, "id": id_}


def of(client: Client, id_: str) -> list[str]:
    customer = client.node(id_, f"... on Customer {{ {IDS} }}")
    return [f"{each['source']}:{each['id']}" for each in customer["external_ids"]]


def set_rows(client: Client, *nodes: dict[str, Any], policy: str = "REJECT_ROW") -> Any:
    rows = client.data(SET, nodes=nodes, policy=policy)["setCustomers"]["rows"]
    return [(row["outcome"], [error["key"] for error in row["errors"]]) for row in rows]


def assert_consistent(server: Server) -> None:
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout


def test_a_customer_has_several_ids_ordered_by_source(client: Client) -> None:
    ids = ["woo:7", "stripe:cus_2", "stripe:cus_1", "stripe:cus_2", "shop:cus_1"]
    customer = client.create("a@x.test", external_ids=list(map(external, ids)))
    expected = ["shop:cus_1", "stripe:cus_2", "stripe:cus_1", "woo:7"]
    assert of(client, customer["id"]) == expected
    client.create("b@x.test", external_ids=[{"id": "bare"}])
    assert of(client, "bare") == ["shop:bare"]
    assert of(client, "external:shop:bare") == ["shop:bare"]
    assert of(client, "external:stripe:cus_2") == expected
    assert client.node("external:stripe:CUS_2", "... on Customer { email }") is None
    assert_consistent(client.server)


def test_an_update_replaces_ids_and_frees_them(client: Client) -> None:
    a = client.create("a@x.test", external_ids=[STRIPE, external("woo:1")])["id"]
    b = client.create("b@x.test")["id"]
    error = client.expect_error(
        "errors_dup_external_id", UPDATE, id=b, n={"external_ids": [STRIPE]}
    )
    assert error["extensions"]["customer_id"] == a
    assert error["extensions"]["code"] == "CONFLICT"
    assert error["extensions"]["input_path"] == ["node", "external_ids"]
    assert "`stripe:cus_1`" in error["message"]
    client.expect_error(
        "errors_dup_external_id", CREATE, n={"email": "c@x.test", "external_ids": [STRIPE]}
    )
    client.update(a, external_ids=[external("woo:1"), external("woo:2")])
    assert of(client, a) == ["woo:1", "woo:2"]
    client.update(b, external_ids=[STRIPE])
    assert of(client, b) == ["stripe:cus_1"]
    client.expect_error("errors_invalid_input", UPDATE, id=b, n={"external_ids": None})
    client.update(b, external_ids=[])
    assert of(client, b) == []
    client.delete(a)
    client.update(b, external_ids=[external("woo:1")])
    assert of(client, "external:woo:1") == ["woo:1"]
    assert_consistent(client.server)


def test_ids_are_added_and_removed_with_history(client: Client) -> None:
    a = client.create("a@x.test")["id"]
    assert change(client, "addExternalIds", a, "stripe:1", "shop:2")["version"] == 2
    assert change(client, "addExternalIds", "external:stripe:1", "stripe:1")["version"] == 2
    assert change(client, "removeExternalIds", a, "stripe:9", "stripe:1", version=2) == {
        "version": 3,
        "external_ids": [{"source": "shop", "id": "2"}],
    }
    assert change(client, "removeExternalIds", a, "stripe:1")["version"] == 3
    conflict = CHANGE.replace("FIELD", "addExternalIds")
    client.expect_error("errors_version_conflict", conflict, id=a, ids=[STRIPE], v=1)
    client.expect_error("errors_customer_not_found", conflict, id="external:x:1", ids=[STRIPE])
    changes = [edge["node"] for edge in client.data(FIELDS)["customerChanges"]["edges"]]
    shop, stripe = {"source": "shop", "id": "2"}, {"source": "stripe", "id": "1"}
    assert [change["fields"] for change in changes if change["kind"] == "updated"] == [
        [{"name": "external_ids", "before": [], "after": [shop, stripe]}],
        [{"name": "external_ids", "before": [shop, stripe], "after": [shop]}],
    ]


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        *(
            ({"source": source, "id": "1"}, "source")
            for source in ("a b", "x" * 33, "field.size", "a:b", "é")
        ),
        *(({"source": "s", "id": id_}, "id") for id_ in ("", " ", "x" * 256, "a\nb", "a\0b")),
    ],
)
def test_invalid_ids_are_refused(client: Client, wrong: dict[str, str], key: str) -> None:
    error = client.expect_error(
        "errors_invalid_input", CREATE, n={"email": "a@x.test", "external_ids": [wrong]}
    )
    assert error["extensions"]["input_path"] == ["node", "external_ids", 0, key]


def test_the_limits_of_ids(client: Client) -> None:
    most = [{"source": "s" * 32, "id": f"{n:0255}"} for n in range(50)]
    a = client.create("a@x.test", external_ids=most)["id"]
    assert len(of(client, a)) == 50
    document = CHANGE.replace("FIELD", "addExternalIds")
    error = client.expect_error("errors_invalid_input", document, id=a, ids=[STRIPE])
    assert error["message"] == "A customer can have 50 external ids; this one would have 51."
    for count in (51, 1_000):
        many = [{"id": str(n)} for n in range(count)]
        client.expect_error("errors_invalid_input", UPDATE, id=a, n={"external_ids": many})
    assert set_rows(client, {"_id": 1, "external_ids": [STRIPE]}) == [
        ("REJECTED", ["errors_invalid_input"])
    ]


# What identifies the customers of a row, and its result: `a` has stripe:1 and woo:1, `b` stripe:2.
ROWS: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"_id": 1, "id": "2"}, "REJECTED", ["errors_invalid_input"]),
    ({"external_ids": ["stripe:1", "stripe:2"]}, "REJECTED", ["errors_ambiguous"]),
    ({"_id": 1, "external_ids": ["stripe:2"]}, "REJECTED", ["errors_ambiguous"]),
    ({"id": "external:stripe:1", "external_ids": ["stripe:2"]}, "REJECTED", ["errors_ambiguous"]),
    ({"_id": 1, "email": "b@x.test"}, "REJECTED", ["errors_dup_email"]),
    ({"external_ids": ["stripe:1"], "email": "b@x.test"}, "REJECTED", ["errors_dup_email"]),
    ({"email": "a@x.test", "external_ids": ["erp:1"]}, "UPDATED", []),
    ({"external_ids": ["stripe:1", "woo:1"]}, "UNCHANGED", []),
    ({"external_ids": ["stripe:1"], "email": "new@x.test"}, "UPDATED", []),
    ({"id": "external:stripe:9"}, "REJECTED", ["errors_customer_not_found"]),
    ({"external_ids": ["stripe:9"], "email": "c@x.test"}, "CREATED", []),
    ({"external_ids": ["stripe:9"]}, "REJECTED", ["errors_invalid_input"]),
    (
        {"external_ids": ["stripe:9"], "email": "c@x.test", "if_version": 1},
        "REJECTED",
        ["errors_customer_not_found"],
    ),
]


@pytest.mark.parametrize(("row", "outcome", "keys"), ROWS)
def test_what_identifies_a_row(
    client: Client, row: dict[str, Any], outcome: str, keys: list[str]
) -> None:
    create_two(client)
    if "external_ids" in row:
        row = {**row, "external_ids": list(map(external, row["external_ids"]))}
    assert set_rows(client, row) == [(outcome, keys)]


def create_two(client: Client) -> None:
    client.create("a@x.test", external_ids=[external("stripe:1"), external("woo:1")])
    client.create("b@x.test", external_ids=[external("stripe:2")])


def test_two_rows_for_one_customer_are_refused(client: Client) -> None:
    create_two(client)
    new = {"email": "c@x.test", "external_ids": [external("stripe:3")]}
    rows: list[dict[str, Any]] = [
        {"_id": 1},
        {"external_ids": [external("stripe:1")]},
        {"email": "a@x.test"},
        new,
        {"external_ids": [external("stripe:3")]},
    ]
    duplicate = ("REJECTED", ["errors_dup_row"])
    assert set_rows(client, *rows) == [
        ("UNCHANGED", []),
        duplicate,
        duplicate,
        ("CREATED", []),
        duplicate,
    ]
    assert_consistent(client.server)


def test_ids_of_customers_in_one_batch_of_rows_can_move(client: Client) -> None:
    create_two(client)
    mutation = """mutation($s: [InputExternalId!]!) {
      removeExternalIds(id: "1", externalIds: $s) { _id }
      addExternalIds(id: "2", externalIds: $s) { _id }
      deleteCustomers(items: ["external:stripe:1"])
      one: addExternalIds(id: "1", externalIds: $s) { _id } }"""
    client.data(mutation, s=[external("stripe:1")])
    assert of(client, "external:stripe:1") == ["stripe:1", "woo:1"]
    assert client.emails() == ["a@x.test"]
    assert_consistent(client.server)


def test_ids_name_customers_in_every_write(server: Server) -> None:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        write_by_id(client)


def write_by_id(client: Client) -> None:
    create_two(client)
    name = "external:stripe:2"
    tagged = client.data(
        """mutation($i: [ID!]!) { addTags(items: $i, tags: ["x"]) { _id version tags } }""",
        i=[name, "2"],
    )
    assert tagged["addTags"] == [{"_id": 2, "version": 2, "tags": ["x"]}] * 2
    visit = client.data("mutation($i: ID!) { recordVisit(id: $i) { _id } }", i=name)
    assert visit["recordVisit"] == {"_id": 2}
    client.update(name, first_name="Ben")
    assert client.node(name, "... on Customer { first_name }") == {"first_name": "Ben"}
    assert client.delete(name, "2") == [client.delete("1")[0].replace("MQ", "Mg")] * 2


def test_one_of_two_processes_gets_an_id(new_database: str) -> None:
    race(new_database, 20)


@pytest.mark.slow
def test_one_of_two_processes_gets_an_id_a_thousand_times(new_database: str) -> None:
    race(new_database, 1_000)


def race(database: str, count: int) -> None:
    """Two processes write the same external ids at the same time, for two customers."""
    add, remove = (CHANGE.replace("FIELD", f"{verb}ExternalIds") for verb in ("add", "remove"))
    results: list[list[str]] = [[], []]
    barrier = threading.Barrier(2, timeout=120)
    with run_server(database) as first, run_server(database) as second:
        token = create_token(first)
        with Client(first, token) as client:
            client.create("a@x.test")
            client.create("b@x.test")

        def write(index: int, server: Server) -> None:
            with Client(server, token) as client:
                for n in range(count):
                    variables: Any = {"id": str(index + 1), "ids": [external(f"race:{n}")]}
                    barrier.wait()
                    body = client.run(add, **variables)
                    results[index].append(body["errors"][0]["key"] if "errors" in body else "")
                    barrier.wait()
                    client.data(remove, **variables)

        threads = [threading.Thread(target=write, args=each) for each in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_consistent(first)
    pairs = [sorted(pair) for pair in zip(*results, strict=True)]
    assert pairs == [["", "errors_dup_external_id"]] * count


BY = "query($by: CustomerIdentifier!) { customer(by: $by) { _id } }"
NODES = """query($ids: [ID!]!) { nodes(ids: $ids) {
  __typename id ... on Customer { email } ... on Order { name } } }"""
COUNT = """query($q: String, $limit: Int) {
  customersCount(query: $q, limit: $limit) { count precision } }"""


def test_a_customer_is_found_by_each_identifier(client: Client) -> None:
    a = client.create("A@x.test", phone="+212 612 345678", external_ids=[STRIPE, {"id": "bare"}])
    client.create("b@x.test", phone="0711223344")
    for by in (
        *({"id": id_} for id_ in (a["id"], "1", "external:stripe:cus_1", "bare")),
        {"_id": 1},
        {"email": " a@X.test", "phone": None},
        *({"phone": phone} for phone in ("+212612345678", "00212 612-345678", "0612345678")),
        {"external_id": STRIPE},
        {"external_id": {"id": "bare"}},
    ):
        assert client.data(BY, by=by)["customer"] == {"_id": 1}, by
    for by in (
        *({"id": id_} for id_ in ("", "T3JkZXI6MQ==", "9", "external:stripe", "x" * 300)),
        *({"_id": number} for number in (0, -1, 2**31 - 1)),
        *({"email": text} for text in ("", "none@x.test", "no email")),
        *({"phone": text} for text in ("", "none", "+33612345678")),
        *({"external_id": {"source": "x", "id": text}} for text in ("", "cus_1", "a\0")),
    ):
        assert client.data(BY, by=by)["customer"] is None, by
    for by in ({}, {"_id": 1, "email": "a@x.test"}, {"id": None}):
        client.expect_error("errors_invalid_input", BY, by=by)


def test_a_phone_of_several_customers_is_ambiguous(client: Client) -> None:
    ids = [client.create(f"{n}@x.test", phone="+212612345678")["id"] for n in range(12)]
    error = client.expect_error("errors_ambiguous", BY, by={"phone": "0612345678"})
    assert error["extensions"]["ids"] == ids[:10]
    assert error["message"].startswith("The phone `0612345678` belongs to more than 10 customers.")
    client.delete(*ids[2:])
    error = client.expect_error("errors_ambiguous", BY, by={"phone": "0612345678"})
    assert error["extensions"]["ids"] == ids[:2]
    assert "belongs to 2 customers" in error["message"]


def test_objects_are_read_in_the_order_of_their_ids(server: Server) -> None:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        create_two(client)
        order = client.data(
            """mutation { recordOrder(node: {name: "O1", email: "a@x.test", total: 1}) { id } }"""
        )["recordOrder"]["id"]
        b = client.delete("2")[0]
        a = b.replace("Mg", "MQ")
        customer = {"__typename": "Customer", "id": a, "email": "a@x.test"}
        ids = [order, "external:woo:1", b, "1", "none", a]
        found = client.data(NODES, ids=ids)["nodes"]
        expected = [{"__typename": "Order", "id": order, "name": "O1"}, customer, None, customer]
        assert found == [*expected, None, customer]
        for _ in range(3):  # compiled after the first time
            assert client.data(NODES, ids=ids)["nodes"] == found
        assert client.data(NODES, ids=[])["nodes"] == []
        assert client.data(NODES, ids=[a])["nodes"] == [customer]
        assert len(client.data(NODES, ids=["1"] * 250)["nodes"]) == 250
        error = client.expect_error("errors_invalid_input", NODES, ids=["1"] * 251)
        assert "the maximum is 250" in error["message"]


def test_counts_stop_at_their_limit(client: Client) -> None:
    for n in range(11):
        client.create(f"{n}@x.test", tags=["even"] if n % 2 == 0 else [])

    def count(query: str = "", **variables: Any) -> tuple[int, str]:
        counted = client.data(COUNT, q=query, **variables)["customersCount"]
        return counted["count"], counted["precision"]

    assert count() == (11, "exact")
    for query, number in (("", 11), ("tag:even", 6), ("tag:even expenses:0", 6), ("x.test", 11)):
        assert count(query, limit=number + 1) == (number, "exact")
        assert count(query, limit=number) == (number, "exact")
        assert count(query, limit=number - 1) == (number - 1, "at_least")
        assert count(query, limit=None) == (number, "exact")
        assert count(f"{query} order_by:email", limit=0) == (0, "at_least")
    assert count("tag:none", limit=0) == (0, "exact")
    client.expect_error("errors_invalid_input", COUNT, limit=-1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [9_999, 10_000, 10_001])
def test_counts_stop_at_ten_thousand(client: Client, number: int, tmp_path: Path) -> None:
    rows = "\n".join(f"c{n}@x.test" for n in range(number))
    path = tmp_path / "customers.csv"
    path.write_text(f"email\n{rows}\n")
    account = client.data("{ viewer { account { name } } }")["viewer"]["account"]["name"]
    url = ("--database-url", client.server.database_url)
    result = run_regulars("import", str(path), "--account", account, *url)
    assert result.returncode == 0, result.stderr
    counted = client.data("{ customersCount { count precision } }")["customersCount"]
    precision = "exact" if number <= 10_000 else "at_least"
    assert counted == {"count": min(number, 10_000), "precision": precision}


PHONES = """mutation($nodes: [InputSetCustomer!]!) {
  setCustomers(nodes: $nodes, phoneIdentifies: true, errorPolicy: REJECT_ROW) {
    rows { outcome customer { _id } errors { key } } } }"""


def test_a_phone_identifies_if_requested(client: Client) -> None:
    client.create("a@x.test", phone="+212612345678")
    for n in range(2):
        client.create(f"{n}@x.test", phone="0711223344")
    rows = [
        {"phone": "0612345678", "first_name": "Ana"},
        {"phone": "00212612345678"},
        {"phone": "0711223344"},
        {"phone": "0800"},
        {"phone": "0612345678", "email": "new@x.test"},
    ]
    result = client.data(PHONES, nodes=rows)["setCustomers"]["rows"]
    keys = [[error["key"] for error in row["errors"]] for row in result]
    assert [row["outcome"] for row in result] == [
        *("UPDATED", "REJECTED", "REJECTED", "REJECTED", "CREATED"),
    ]
    assert keys == [
        *([], ["errors_dup_row"], ["errors_ambiguous"], ["errors_invalid_input"], []),
    ]
    assert client.data(BY, by={"email": "a@x.test"})["customer"] == {"_id": 1}


def test_ids_are_searched_in_any_case(client: Client) -> None:
    client.create("a@x.test", external_ids=[external("stripe:cus_A:1"), external("woo:1")])
    client.create("b@x.test", external_ids=[external("Stripe:cus_B")])
    client.create("c@x.test")
    for query, expected in {
        "external_id:stripe:cus_a:1": ["a@x.test"],
        "external_id:STRIPE:CUS_b": ["b@x.test"],
        "external_id:stripe:*": ["b@x.test", "a@x.test"],
        "external_id:woo:*": ["a@x.test"],
        "external_id:stripe:cus": [],
        "has:external_id": ["b@x.test", "a@x.test"],
        "-has:external_id": ["c@x.test"],
    }.items():
        assert client.emails(query) == expected, query
    client.update("1", external_ids=[])
    assert client.emails("has:external_id") == ["b@x.test"]
    assert_consistent(client.server)


STRIPE_FILE = """id,Email,Name,Card ID
cus_A1,a@x.test,Ana,card_1
42,b@x.test,Ben,
cus_C,c@x.test,Cy,
"""
WOO_FILE = "id,email,first_name\n" + "".join(
    f"{n},{'abc'[n - 1] if n < 3 else f'w{n}'}@x.test,Woo {n}\n" for n in range(1, 501)
)


class Files:
    """An account on a server, and commands for its files."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self._folder = folder
        account = client.data("{ viewer { account { name } } }")["viewer"]["account"]["name"]
        self._target = ("--account", account, "--database-url", client.server.database_url)

    def bring(self, text: str, *options: str, name: str = "in.csv") -> Any:
        path = self._folder / name
        path.write_bytes(text.encode())
        result = run_regulars("import", str(path), "--json", *options, *self._target)
        return json.loads(result.stdout)[0] if result.stdout else {"error": result.stderr}

    def take(self, *options: str, name: str = "out.csv") -> str:
        path = self._folder / name
        result = run_regulars("export", str(path), *options, *self._target)
        assert result.returncode == 0, result.stderr
        return path.read_bytes().decode()


@pytest.fixture
def files(client: Client, tmp_path: Path) -> Files:
    return Files(client, tmp_path)


def test_files_of_two_systems_share_no_customers_by_their_ids(files: Files) -> None:
    client = files.client
    first = files.bring(STRIPE_FILE, "--source", "stripe")
    assert (first["created"], first["rejected"]) == (3, 0)
    second = files.bring(WOO_FILE, "--source", "woo")
    assert (second["created"], second["updated"], second["rejected"]) == (498, 2, 0)
    assert of(client, "external:stripe:cus_A1") == ["stripe:cus_A1", "woo:1"]
    assert of(client, "external:stripe:42") == ["stripe:42", "woo:2"]
    assert of(client, "external:woo:42") == ["woo:42"]
    names = client.data(NODES, ids=["external:stripe:42", "external:woo:42"])["nodes"]
    assert [node["email"] for node in names] == ["b@x.test", "w42@x.test"]
    again = files.bring(WOO_FILE.replace("Woo 7\n", "New\n"), "--source", "woo")
    assert (again["updated"], again["unchanged"]) == (1, 499)
    moved = files.bring("id,email\n7,other@x.test\n", "--source", "woo")
    assert moved["updated"] == 1
    assert of(client, "external:woo:7") == ["woo:7"]
    assert client.emails("external_id:woo:7") == ["other@x.test"]
    assert_consistent(client.server)


# Files have no versions, and their ids are those of other systems.
ROWS_OF_FILES = [case for case in ROWS if not {"_id", "id", "if_version"} & case[0].keys()]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(("row", "outcome", "keys"), ROWS_OF_FILES)
def test_what_identifies_a_row_of_a_file(
    files: Files, form: str, row: dict[str, Any], outcome: str, keys: list[str]
) -> None:
    create_two(files.client)
    cells: dict[str, Any] = {"email": "", **{k: v for k, v in row.items() if k != "external_ids"}}
    for text in row.get("external_ids", ()):
        source, id_ = text.split(":")
        column = f"external_id.{source}"
        cells[column] = f"{cells[column]}; {id_}" if column in cells else id_
    text = f"{','.join(cells)}\n{','.join(cells.values())}\n"
    if form == "jsonl":
        text = json.dumps({name: value for name, value in cells.items() if value}) + "\n"
    result = files.bring(text, name=f"in.{form}")
    assert result[outcome.lower()] == 1, result
    kinds = [problem["kind"].partition(" ")[0] for problem in result["problems"]]
    assert [kind for kind in kinds if not kind.startswith("warning_")] == keys


def test_the_option_match_requires_an_id_in_each_row(files: Files) -> None:
    create_two(files.client)
    rows = "email,external_id.stripe\nnew@x.test,1\nb@x.test,\n"
    result = files.bring(rows, "--match", "external_id.stripe")
    assert (result["updated"], result["rejected"]) == (1, 1)
    assert "The row has no external_id.stripe" in json.dumps(result["problems"])
    assert files.client.emails("external_id:stripe:1") == ["new@x.test"]
    for wrong, message in (
        (("--match", "external_id.woo"), "There is no column 'external_id.woo'"),
        (("--match", "external_id."), "match must be email or _id"),
        (("--source", "a b"), "`a b` is not a source of external ids."),
    ):
        assert message in files.bring(rows, *wrong)["error"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_with_ids_is_imported_into_another_account(
    files: Files, server: Server, tmp_path: Path, form: str
) -> None:
    client = files.client
    ids = [
        "shop:cus_1",
        "shop:17",
        "shop:external:x",
        "stripe:a, b; c",
        "stripe:Q3VzdG9tZXI6MQ==",
        "woo:1",
    ]
    client.create("a@x.test", external_ids=list(map(external, ids)))
    client.create("b@x.test", external_ids=[external("woo:2")])
    client.create("c@x.test")
    exported = files.take(name=f"out.{form}")
    with Client(server, create_token(server)) as other:
        copy = Files(other, tmp_path)
        assert copy.bring(exported, name=f"in.{form}")["created"] == 3
        assert sorted(of(other, "external:woo:1")) == sorted(ids)
        assert copy.take(name=f"again.{form}") == exported
    columns = ("--columns", "email,external_id.woo,external_id.stripe")
    assert files.take(*columns) == (
        "email,external_id.woo,external_id.stripe\r\n"
        'a@x.test,1,"a, b; c; Q3VzdG9tZXI6MQ=="\r\nb@x.test,2,\r\nc@x.test,,\r\n'
    )


ORDER = """mutation($n: InputRecordOrder!) { recordOrder(node: $n) {
  id name email external_ids { source id } customer { _id external_ids { source id } } } }"""
LEAD = "mutation($n: InputRecordLead!) { recordLead(node: $n) { _id } }"
LEADS = '{ customers(query: "order_by:id order_dir:asc") { edges { node { leads { message } } } } }'


@pytest.fixture
def shop(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        create_two(client)
        yield client


def record(shop: Client, name: str, **node: Any) -> Any:
    return shop.data(ORDER, n={"name": name, **node})["recordOrder"]


def test_an_order_belongs_to_the_customer_that_its_input_identifies(shop: Client) -> None:
    shop.update("1", phone="+212612345678")
    for number, by in enumerate(
        (
            {"_id": 1},
            {"id": "external:woo:1"},
            {"email": "A@x.test"},
            {"phone": "0612345678"},
            {"external_id": external("stripe:1")},
        )
    ):
        order = record(shop, f"O{number}", total=1, customer=by)
        assert (order["customer"]["_id"], order["email"]) == (1, "a@x.test")
    other = record(shop, "P", total=1, email="b@x.test", customer={"_id": 1})
    assert (other["customer"]["_id"], other["email"]) == (1, "b@x.test")
    new = record(shop, "Q", total=1, email="q@x.test", customer={"external_id": external("erp:9")})
    assert new["customer"] == {"_id": 3, "external_ids": [external("erp:9")]}
    assert record(shop, "Q", total=2, customer={"external_id": external("erp:9")})["name"] == "Q"
    known = record(
        shop, "R", total=1, email="b@x.test", customer={"external_id": external("erp:2")}
    )
    assert known["customer"]["external_ids"] == [external("erp:2"), external("stripe:2")]
    created = record(shop, "S", total=1, customer={"email": "s@x.test"})
    assert (created["customer"]["_id"], created["email"]) == (4, "s@x.test")
    unknown: Any
    for key, unknown in {
        "errors_customer_not_found": {"_id": 9},
        "errors_invalid_input": {"external_id": external("erp:8")},
    }.items():
        shop.expect_error(key, ORDER, n={"name": "T", "total": 1, "customer": unknown})
    for by in ({"_id": 2}, {"email": "none@x.test"}, {}, {"_id": 1, "email": "a@x.test"}):
        shop.expect_error("errors_invalid_input", ORDER, n={"name": "O1", "customer": by})
    shop.update("2", phone="0612345678")
    by_phone = {"name": "U", "total": 1, "customer": {"phone": "0612345678"}}
    shop.expect_error("errors_ambiguous", ORDER, n=by_phone)
    assert_consistent(shop.server)


def test_an_order_has_external_ids_of_its_own(shop: Client) -> None:
    order = record(shop, "O1", total=1, email="a@x.test", external_id=external("stripe:1"))
    assert order["external_ids"] == [external("stripe:1")]
    order = record(shop, "O1", external_id={"id": "order_1"})
    assert order["external_ids"] == [external("shop:order_1"), external("stripe:1")]
    again = record(shop, "O1", external_id=external("stripe:1"))
    assert again == order
    # A customer and an order have the same id: the customer is returned.
    names = ["external:stripe:1", "order_1", "external:shop:order_1"]
    types = [node["__typename"] for node in shop.data(NODES, ids=names)["nodes"]]
    assert types == ["Customer", "Order", "Order"]
    assert shop.data(BY, by={"id": "order_1"})["customer"] is None
    error = shop.expect_error(
        "errors_dup_external_id",
        ORDER,
        n={"name": "O2", "total": 1, "email": "a@x.test", "external_id": {"id": "order_1"}},
    )
    assert error["extensions"]["order_id"] == order["id"]
    assert error["message"].startswith("Another order has the external id `shop:order_1`.")
    for n in range(48):
        record(shop, "O1", external_id={"id": f"more_{n}"})
    full = {"name": "O1", "external_id": {"id": "more_48"}}
    error = shop.expect_error("errors_invalid_input", ORDER, n=full)
    assert error["message"] == "An order can have 50 external ids; this one would have 51."
    shop.delete("1")
    assert shop.data(NODES, ids=["order_1"])["nodes"] == [None]
    record(shop, "O3", total=1, email="b@x.test", external_id={"id": "order_1"})
    assert_consistent(shop.server)


def test_a_message_belongs_to_the_customer_that_its_input_identifies(shop: Client) -> None:
    for by in ({"_id": 2}, {"external_id": external("stripe:2")}, {"email": "b@x.test"}):
        shop.data(LEAD, n={"email": "", "message": "Hello", "customer": by})
    shop.data(LEAD, n={"email": "a@x.test", "message": "Hello", "customer": {"_id": 2}})
    new = {"email": "c@x.test", "message": "New", "customer": {"external_id": external("erp:3")}}
    shop.data(LEAD, n=new)
    edges = shop.data(LEADS)["customers"]["edges"]
    assert [len(edge["node"]["leads"]) for edge in edges] == [0, 4, 1]
    assert of(shop, "external:erp:3") == ["erp:3"]
    unknown: Any
    for key, unknown in {
        "errors_customer_not_found": {"id": "external:erp:9"},
        "errors_invalid_input": {"external_id": external("erp:9")},
    }.items():
        shop.expect_error(key, LEAD, n={"email": "", "message": "Hello", "customer": unknown})
    shop.expect_error("errors_invalid_input", LEAD, n={"email": "", "message": "Hello"})
    assert_consistent(shop.server)


def id_paths() -> list[str]:
    """Return each argument, and each field of an input, that takes ids of customers."""
    trash = ("restoreCustomers", "emptyTrash")  # the other ids of a deleted customer are free
    of_others = ("updateAddress", "deleteAddresses", "updateComment", "deleteComments")
    nouns = ("webhook", "token", "segment", "job", "person", "link")
    paths = []
    for kind in (SCHEMA.query_type, SCHEMA.mutation_type):
        assert kind
        for field, definition in kind.fields.items():
            is_other = any(noun in field.lower() for noun in nouns)
            if is_other or field in (*trash, *of_others):
                continue
            for argument, given in definition.args.items():
                named = get_named_type(given.type)
                if named.name == "ID":
                    paths.append(f"{field}.{argument}")
                elif named.name == "InputAddressEntry":
                    continue
                elif isinstance(named, GraphQLInputObjectType):
                    for name, inner in named.fields.items():
                        # The id of an external id is a String.
                        if get_named_type(inner.type).name == "CustomerIdentifier":
                            paths.append(f"{field}.{argument}.{name}.id")
                        elif get_named_type(inner.type).name == "ID":
                            paths.append(f"{field}.{argument}.{name}")
    return paths


# How each argument with an id is used; VALUE is replaced by the id. An argument without a document
# fails the test: add one.
USES = {
    "node.id": "{ node(id: VALUE) { ... on Customer { _id } } }",
    "nodes.ids": "{ nodes(ids: [VALUE]) { ... on Customer { _id } } }",
    "customer.by.id": "{ customer(by: {id: VALUE}) { _id } }",
    "updateCustomer.id": """mutation { updateCustomer(id: VALUE, node: {notes: "x"}) { _id } }""",
    "deleteCustomers.items": "mutation { deleteCustomers(items: [VALUE]) }",
    "setCustomers.nodes.id": """mutation { setCustomers(nodes: [{id: VALUE}]) {
      rows { customer { _id } errors { key } } } }""",
    "createAddress.customer": """mutation { createAddress(customer: VALUE,
      node: {address: {city: "Fès"}, default_shipping: true}) { address { _id } } }""",
    "addComment.customer": """mutation { addComment(customer: VALUE, node: {text: "x"}) {
      author { name } } }""",
    "updateCustomers.items": """mutation { updateCustomers(items: [VALUE], addTags: ["x"],
      dryRun: true) { kind } }""",
    "addTags.items": """mutation { addTags(items: [VALUE], tags: ["x"]) { _id } }""",
    "removeTags.items": """mutation { removeTags(items: [VALUE], tags: ["x"]) { _id } }""",
    "addExternalIds.id": "mutation { addExternalIds(id: VALUE, externalIds: []) { _id } }",
    "removeExternalIds.id": "mutation { removeExternalIds(id: VALUE, externalIds: []) { _id } }",
    **{
        f"{verb}{name}.id": f"mutation {{ {verb}{name}(id: VALUE, {name.lower()}: []) {{ _id }} }}"
        for verb in ("add", "remove")
        for name in ("Emails", "Phones")
    },
    "recordOrder.node.customer.id": """mutation { recordOrder(
      node: {name: "O", total: 1, customer: {id: VALUE}}) { customer { _id } } }""",
    "recordLead.node.customer.id": """mutation { recordLead(
      node: {email: "", message: "m", customer: {id: VALUE}}) { _id } }""",
    "recordVisit.id": "mutation { recordVisit(id: VALUE) { _id } }",
}


# What an answer has, if not the `_id` of the customer.
ANSWERS = {
    "createAddress.customer": '"_id": 2}',
    "addComment.customer": '"author"',
    "updateCustomers.items": '"kind"',
}


@pytest.mark.parametrize("path", id_paths())
def test_every_form_of_an_id_is_accepted_everywhere(shop: Client, path: str) -> None:
    forms = ["Q3VzdG9tZXI6MQ==", "1", "external:stripe:1", "external:shop:17", "bare"]
    added = [external(text) for text in ("stripe:1", "shop:17", "shop:bare")]
    shop.update("external:stripe:1", external_ids=added)

    def use(*ids: str) -> str:
        values = ", ".join(map(json.dumps, ids))
        return json.dumps(shop.run(USES[path].replace("VALUE", values)))

    refused = use("external:stripe:none")
    assert "errors_customer_not_found" in refused or "null" in refused
    if path == "deleteCustomers.items":
        assert use(*forms).count("Q3VzdG9tZXI6MQ==") == len(forms)
    elif path == "recordLead.node.customer.id":
        assert not [answer for answer in map(use, forms) if "errors" in answer]
        assert len(shop.data(LEADS)["customers"]["edges"][0]["node"]["leads"]) == len(forms)
    else:
        answers = set(map(use, forms))
        assert len(answers) == 1
        assert ANSWERS.get(path, '"_id": 1}') in answers.pop()
