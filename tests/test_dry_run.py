"""Dry runs: a write is shown with its changes and events, and nothing is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine, schema
from regulars.core.commands import Origin
from regulars.core.ids import decode
from regulars.core.limits import Limits
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.store.query import Query
from regulars.store.tables import customers
from regulars.webhooks.deliveries import new_delivery
from regulars.webhooks.delivery_queries import insert_delivery
from regulars.webhooks.values import TYPES
from tests.receiver import Receiver
from tests.support import Client, Server, create_token, example_count, run_regulars, wait_until
from tests.test_scopes import selection_of
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.both_databases

_MUTATION = schema().mutation_type
assert _MUTATION
MUTATIONS = _MUTATION.fields
# They send an event to a URL. They write no object that a response could show.
ONLY_SEND = {"retryWebhookDelivery", "testWebhook"}
# They start and stop jobs. A dry run is a job that changes no customer (`test_jobs`).
JOBS = {"updateCustomers", "renameTags", "undoJob", "cancelJob"}
WRITES = {name: field for name, field in MUTATIONS.items() if name not in ONLY_SEND | JOBS}

# Reads each table. A query is compiled at its first use.
TABLES = {table.name: Query(sa.select(*table.c)) for table in customers.metadata.sorted_tables}
# Every value is chosen by the test, so the responses to two requests can be equal.
NOW = 1_800_000_000_000
NODE = "query($id: ID!) { node(id: $id) { ... on Customer { %s } } }"
ENTRIES = """query($after: String) { customerChanges(first: 250, after: $after) {
  pageInfo { endCursor } edges { node { kind customer_id silent order { id }
  fields { name before after } } } } }"""
WEBHOOKS = "{ webhooks { type disabled_at paused } }"


def test_every_write_has_a_dry_run() -> None:
    """A new mutation has the argument, or a reason in `ONLY_SEND`."""
    for name, field in WRITES.items():
        assert "dryRun" in field.args, name
        assert str(field.args["dryRun"].type) == "Boolean"
    assert not [name for name in ONLY_SEND if "dryRun" in MUTATIONS[name].args]


def document_of(name: str, dry_run: bool) -> str:
    """Returns a mutation that selects everything, with a variable for each argument."""
    field = MUTATIONS[name]
    arguments = [argument for argument in field.args if argument != "dryRun"]
    variables = ", ".join(f"${a}: {field.args[a].type}" for a in arguments)
    values = ", ".join(f"{a}: ${a}" for a in arguments) + f", dryRun: {str(dry_run).lower()}"
    selection = selection_of(field.type, 4)
    return f"mutation({variables}) {{ {name}({values}) {selection} }}"


class Program:
    """The API in this process, on a database that nothing else uses. So all of its rows can be
    compared, and the time is that of the test."""

    def __init__(self, database_url: str, **limits: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._store = store_for(database_url)
        self._loop.run_until_complete(self._store.open())
        self._engine = engine()
        self._directory = Directory(self._store, Limits(private_targets=True, **limits))
        self._accounts = Accounts(self._store, lambda: NOW)
        self._account_count = 0
        self.now = NOW

    def __enter__(self) -> Self:
        self.start_account()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._store.close())
        self._loop.close()

    def start_account(self) -> None:
        """Creates an account. Later requests belong to it."""
        self._account_count += 1
        name = f"account {self._account_count}"
        self.account = self._loop.run_until_complete(self._accounts.create(name))

    def run(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Returns the response to a request at the time `now`."""
        prepared = self._engine.prepare(self._engine.get_operation(document), variables)
        context = Context(
            self.account.account_id,
            self._directory,
            "a-request",
            self.now,
            origin=Origin("token", "test", "a-request"),
        )
        result = self._loop.run_until_complete(self._engine.execute(prepared, context))
        response = result.to_response(context.extensions)
        assert "errors_internal" not in str(response.get("errors"))
        return response

    def data(self, document: str, /, **variables: Any) -> dict[str, Any]:
        response = self.run(document, **variables)
        assert "errors" not in response, response
        data: dict[str, Any] = response["data"]
        return data

    def rows_read_by(self, document: str, /, **variables: Any) -> int:
        """Returns how many rows a request reads after its decision."""
        counts = []
        fetch = self._store.fetch

        async def counted(query: Query, parameters: dict[str, Any]) -> Any:
            rows = await fetch(query, parameters)
            counts.append(len(rows))
            return rows

        with mock.patch.object(self._store, "fetch", counted):
            self.data(document, **variables)
        return sum(counts)

    def add_delivery(self, webhook_id: int, number: int) -> None:
        """Adds a pending delivery, as a worker does."""
        row = new_delivery((self.account.account_id, webhook_id), number, None, self.now)
        self._loop.run_until_complete(self._store.execute([(insert_delivery(), row)]))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Returns all rows of all tables."""
        fetch, run = self._store.fetch, self._loop.run_until_complete
        return {
            name: sorted(map(tuple, run(fetch(query, {}))), key=repr)
            for name, query in TABLES.items()
        }


EMAILS = st.sampled_from([f"{name}@example.com" for name in ("ada", "bob", "eve", "zoë")])
PHONES = st.sampled_from(["", "1", "+212612345678"])
EXTERNAL_IDS = st.lists(
    st.fixed_dictionaries(
        {"source": st.sampled_from(["shop", "erp"]), "id": st.sampled_from(["1", "2", ""])}
    ),
    max_size=2,
)
LABELS = st.sampled_from([None, "", "work"])
DEFAULTS = st.sampled_from([None, True, False])
LISTS = {
    "emails": st.lists(
        st.fixed_dictionaries(
            {"email": EMAILS},
            optional={
                "label": LABELS,
                "default": DEFAULTS,
                "verified_at": st.sampled_from([None, "2026-01-02T03:04:05Z"]),
            },
        ),
        max_size=3,
    ),
    "phones": st.lists(
        st.fixed_dictionaries({"phone": PHONES}, optional={"label": LABELS, "default": DEFAULTS}),
        max_size=3,
    ),
}
TAGS = st.lists(st.sampled_from(["vip", "new", "Maroc"]), min_size=1, max_size=2)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "phone": PHONES,
        "first_name": st.sampled_from(["", "Ada", "Éva"]),
        "accepts_marketing": st.booleans(),
        "tags": TAGS,
        "external_ids": EXTERNAL_IDS,
        **LISTS,
        "notes": st.sampled_from([None, "Called back."]),
        "custom": st.sampled_from([None, {"a": 1}, {"b": {"c": [1.5, None]}}]),
        "shipping_address": st.sampled_from([None, {"city": "Fès", "country": "MA"}]),
    },
)
# A customer, webhook or token by its position among those that the sequence has created; some
# positions are those of no object.
POSITION = st.sampled_from([0, 1, 0, 1, 2, 9])
VERSION = st.sampled_from([None, None, None, 1, 2])
URLS = st.sampled_from([*(f"http://example.com/{n}" for n in "abcd"), "not a URL"])
EVENT_TYPES = st.sampled_from([*TYPES, "unknown/type"])


def node(required: Mapping[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(required), optional=optional)


def values(*optional: str, required: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Returns nodes of a customer with what identifies it."""
    keys = {"email": EMAILS, "id": POSITION, "if_version": VERSION}
    identifiers = node({n: keys[n] for n in required}, **{n: keys[n] for n in optional})
    return st.tuples(VALUES, identifiers).map(lambda parts: {**parts[0], **parts[1]})


SEGMENTS = node(
    {},
    name=st.sampled_from(["vip", "VIP", "all", "7", ""]),
    description=st.sampled_from(["", "Text"]),
    query=st.sampled_from(["tag:vip", "segment:vip", "-segment:1", "bogus:"]),
    settings=st.sampled_from([{}, {"include": {"tags": ["vip"]}}, {"exclude": None}]),
)

ADDRESS_IDS = st.sampled_from(["2", "3", "-1", "-2", "nothing"])
ADDRESS_ENTRIES = node(
    {"address": st.sampled_from([{"city": "Fès"}, {"city": "Rabat", "company": "Acme"}, {}])},
    label=st.sampled_from(["", "Work"]),
    default_shipping=st.booleans(),
)

PEOPLE = node(
    {"name": st.sampled_from(["Ana", "Ben", ""])},
    role=st.sampled_from(["owner", "support", "boss"]),
    email=st.sampled_from([None, "ana@example.com", "nobody"]),
)

COMMENTS = node(
    {},
    text=st.sampled_from(["Call back", "Called", ""]),
    pinned=st.booleans(),
    private=st.booleans(),
)

OPERATIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "createCustomer": st.fixed_dictionaries({"node": values(required=("email",))}),
    "updateCustomer": st.fixed_dictionaries(
        {"id": POSITION, "node": values("email"), "ifVersion": VERSION}
    ),
    "deleteCustomers": st.fixed_dictionaries(
        {
            "items": st.lists(POSITION, max_size=2),
            "ifVersion": VERSION,
            "permanent": st.sampled_from([False, False, True]),
        }
    ),
    "restoreCustomers": st.fixed_dictionaries(
        {
            "items": st.lists(POSITION, max_size=2),
            "conflictPolicy": st.sampled_from(["refuse", "skip"]),
        }
    ),
    "emptyTrash": st.fixed_dictionaries({}, optional={"items": st.lists(POSITION, max_size=1)}),
    "updateAccountSettings": st.fixed_dictionaries(
        {"node": st.fixed_dictionaries({"trash_days": st.sampled_from([0, 7, None, -1])})}
    ),
    "setCustomers": st.fixed_dictionaries(
        {
            "nodes": st.lists(values("email", "id", "if_version"), max_size=3),
            "errorPolicy": st.sampled_from(["REJECT_ALL", "REJECT_ROW"]),
            "silent": st.booleans(),
        }
    ),
    **{
        name: st.fixed_dictionaries(
            {"items": st.lists(POSITION, max_size=2), "tags": TAGS, "ifVersion": VERSION}
        )
        for name in ("addTags", "removeTags")
    },
    "renameTag": st.fixed_dictionaries(
        {
            "name": st.sampled_from(["vip", "VIP", "new", " "]),
            "newName": st.sampled_from(["VIP", "new", "Maroc"]),
            "first": st.sampled_from([1, None]),
            "segments": st.booleans(),
        }
    ),
    **{
        name: st.fixed_dictionaries(
            {"id": POSITION, "externalIds": EXTERNAL_IDS, "ifVersion": VERSION}
        )
        for name in ("addExternalIds", "removeExternalIds")
    },
    **{
        f"add{name.title()}": st.fixed_dictionaries(
            {"id": POSITION, name: entries, "ifVersion": VERSION}
        )
        for name, entries in LISTS.items()
    },
    **{
        f"remove{name.title()}": st.fixed_dictionaries(
            {"id": POSITION, name: st.lists(values, max_size=2), "ifVersion": VERSION}
        )
        for name, values in (("emails", EMAILS), ("phones", PHONES))
    },
    "createAddress": st.fixed_dictionaries(
        {"customer": POSITION, "node": ADDRESS_ENTRIES, "ifVersion": VERSION}
    ),
    "updateAddress": st.fixed_dictionaries(
        {"id": ADDRESS_IDS, "node": ADDRESS_ENTRIES, "ifVersion": VERSION}
    ),
    "deleteAddresses": st.fixed_dictionaries({"items": st.lists(ADDRESS_IDS, max_size=2)}),
    "recordOrder": st.fixed_dictionaries(
        {
            "node": node(
                {"name": st.sampled_from(["A-1", "A-2"])},
                email=EMAILS,
                total=st.sampled_from([0, 10, 99.5]),
                refunded_amount=st.sampled_from([0, 5]),
                fulfillment_status=st.sampled_from(["fulfilled", "partial"]),
                cancelled_at=st.sampled_from([None, "2026-01-02T03:04:05Z"]),
                first_name=st.just("Order"),
                external_id=st.sampled_from([{"id": "o1"}, {"source": "erp", "id": "1"}]),
                customer=st.sampled_from([{"_id": 1}, {"external_id": {"id": "1"}}]),
                phone=PHONES,
                created_at=st.sampled_from(["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]),
                currency=st.sampled_from(["EUR", "JPY"]),
            )
        }
    ),
    "recordLead": st.fixed_dictionaries(
        {"node": node({"email": EMAILS, "message": st.sampled_from(["Hello", "?"])}, phone=PHONES)}
    ),
    "recordVisit": st.fixed_dictionaries({"id": POSITION}),
    "addComment": st.fixed_dictionaries({"customer": POSITION, "node": COMMENTS}),
    "updateComment": st.fixed_dictionaries({"id": POSITION, "node": COMMENTS}),
    "deleteComments": st.fixed_dictionaries({"items": st.lists(POSITION, max_size=2)}),
    "revertChange": st.fixed_dictionaries(
        {
            "sequence": st.integers(1, 20),
            "fields": st.sampled_from([None, ["first_name"], ["nothing"]]),
            "force": st.booleans(),
            "ifVersion": VERSION,
        }
    ),
    "createWebhook": st.fixed_dictionaries({"node": node({"type": EVENT_TYPES, "url": URLS})}),
    "updateWebhook": st.fixed_dictionaries(
        {
            "id": POSITION,
            "node": node(
                {},
                type=EVENT_TYPES,
                url=URLS,
                disabled=st.booleans(),
                skip_missed=st.booleans(),
                settings=st.just({"changes": True}),
            ),
        }
    ),
    "deleteWebhook": st.fixed_dictionaries({"id": POSITION}),
    "createToken": st.fixed_dictionaries(
        {
            "node": node(
                {
                    "name": st.sampled_from(["app", "other", ""]),
                    "scopes": st.lists(st.sampled_from(["customers", "metrics"]), max_size=2),
                },
                expires_at=st.sampled_from([None, "2031-01-01T00:00:00Z", "2001-01-01T00:00:00Z"]),
            )
        }
    ),
    "revokeToken": st.fixed_dictionaries({"id": POSITION}),
    "invitePerson": st.fixed_dictionaries({"node": PEOPLE}),
    "createSignInLink": st.fixed_dictionaries({"id": POSITION}),
    "updatePerson": st.fixed_dictionaries({"id": POSITION, "node": PEOPLE}),
    "removePerson": st.fixed_dictionaries({"id": POSITION}),
    "createSegment": st.fixed_dictionaries({"node": SEGMENTS}),
    "updateSegment": st.fixed_dictionaries({"node": SEGMENTS, "id": POSITION}),
    "deleteSegments": st.fixed_dictionaries({"items": st.lists(POSITION, max_size=2)}),
}
# With these, most of the mutations of a sequence find their object.
_HOOK = {"type": "contact/updated", "url": "http://example.com/a"}
BEGINNING: Sequence[tuple[str, dict[str, Any]]] = [
    ("createCustomer", {"node": {"email": "ada@example.com", "tags": ["vip"]}}),
    ("createCustomer", {"node": {"email": "bob@example.com", "phone": "1"}}),
    ("recordOrder", {"node": {"name": "A-1", "email": "ada@example.com", "total": 10}}),
    ("updateCustomer", {"id": 1, "node": {"phone": "+212612345678"}}),
    ("deleteCustomers", {"items": [1]}),
    ("restoreCustomers", {"items": [1]}),
    ("createWebhook", {"node": _HOOK}),
    ("createWebhook", {"node": {**_HOOK, "type": "order/updated"}}),
    ("updateWebhook", {"id": 1, "node": {"disabled": True}}),
    # It skips the pending delivery.
    ("updateWebhook", {"id": 1, "node": {"type": "order/created"}}),
    ("createToken", {"node": {"name": "app", "scopes": ["customers"]}}),
    ("createToken", {"node": {"name": "other", "scopes": ["metrics"]}}),
    ("invitePerson", {"node": {"name": "Ana", "role": "owner"}}),
    ("invitePerson", {"node": {"name": "Ben"}}),
    ("updatePerson", {"id": 1, "node": {"name": "Ben B."}}),
    ("addComment", {"customer": 0, "node": {"text": "Call back"}}),
    ("createSegment", {"node": {"name": "vip", "query": "tag:vip"}}),
    ("createSegment", {"node": {"name": "no vip", "query": "-segment:vip"}}),
    ("updateSegment", {"id": 0, "node": {"name": "VIP"}}),
    ("deleteSegments", {"items": [0]}),
]
SEQUENCES = st.lists(
    st.one_of([st.tuples(st.just(name), each) for name, each in OPERATIONS.items()]),
    min_size=1,
    max_size=12,
)


class MutationSequence:
    """Executes mutations on one account, each of them first as a dry run."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._ids: dict[str, list[str]] = {
            kind: [] for kind in ("Customer", "Webhook", "Token", "Segment", "Person", "Comment")
        }
        self._after: str | None = None
        self._delivery_count = 0

    def run(self, name: str, arguments: Mapping[str, Any]) -> None:
        program, arguments = self._program, self._with_ids(name, arguments)
        program.now += 1_000
        before = program.rows()
        announced = program.run(document_of(name, dry_run=True), **arguments)
        assert program.rows() == before, name
        # Again, because an id or a number that the first dry run had used would differ.
        assert program.run(document_of(name, dry_run=True), **arguments) == announced
        counts = self._webhooks_by_type()
        written = program.run(document_of(name, dry_run=False), **arguments)
        entries = self._new_entries()
        assert "extensions" not in written
        if written.get("errors"):
            assert announced == written
            assert not entries
            return
        extension = announced["extensions"]["dry_run"]
        self._compare(name, announced["data"][name], written["data"][name])
        path = [name]
        assert extension["changes"] == [
            {
                "path": path,
                **{key: entry[key] for key in ("kind", "customer_id", "fields")},
                **({"order_id": entry["order"]["id"]} if entry["order"] else {}),
            }
            for entry in entries
        ]
        assert extension["events"] == [
            {
                "path": path,
                "type": type_,
                "customer_id": entry["customer_id"],
                "webhooks": counts.count(type_),
            }
            for entry in entries
            if not entry["silent"]
            for type_, kinds in TYPES.items()
            if entry["kind"] in kinds
        ]
        self._note(name, written["data"][name])

    def _compare(self, name: str, announced: Any, written: Any) -> None:
        if name == "setCustomers":
            assert announced.pop("saved") is False
            written = {key: value for key, value in written.items() if key != "saved"}
        if name == "createToken":
            assert announced["secret"] == announced["token"]["id"] == ""
            assert written["secret"]
            announced, written = (
                {**answer["token"], "id": None} for answer in (announced, written)
            )
        if name in ("invitePerson", "createSignInLink"):
            assert announced["path"] == ""
            assert written["path"].startswith("/sign-in#")
            if name == "invitePerson":
                assert announced["person"]["id"] == ""
                announced["person"]["id"] = written["person"]["id"]
            announced["path"] = written["path"]
        assert announced == written, name

    def _with_ids(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments with ids in place of positions."""
        if name in ("updateAddress", "deleteAddresses"):
            return dict(arguments)
        kinds = {kind: kind for kind in ("Webhook", "Token", "Segment", "Comment")}
        kinds |= {"Person": "Person", "SignInLink": "Person"}
        kind = next((kind for word, kind in kinds.items() if word in name), "Customer")
        result = dict(arguments)
        if "id" in result:
            result["id"] = self._id(kind, result["id"])
        if "customer" in result:
            result["customer"] = self._id("Customer", result["customer"])
        if "items" in result:
            result["items"] = [self._id(kind, position) for position in result["items"]]
        if "nodes" in result:
            result["nodes"] = [
                {**row, "id": self._id(kind, row["id"])} if "id" in row else row
                for row in result["nodes"]
            ]
        return result

    def _id(self, kind: str, position: int) -> str:
        ids = self._ids[kind]
        return ids[position] if position < len(ids) else "nothing"

    def _note(self, name: str, answer: Any) -> None:
        """Remembers the ids of an answer, and gives new webhooks a pending delivery."""
        if name == "createToken":
            self._ids["Token"].append(answer["token"]["id"])
        elif name == "invitePerson":
            self._ids["Person"].append(answer["person"]["id"])
        elif name == "addComment":
            self._ids["Comment"].append(answer["id"])
        elif name == "createSegment":
            self._ids["Segment"].append(answer["id"])
        elif name == "createWebhook":
            self._ids["Webhook"].append(answer["id"])
            self._delivery_count += 1
            self._program.add_delivery(answer["_id"], self._delivery_count)
        elif isinstance(answer, dict):
            rows = [row["customer"] for row in answer.get("rows", ())]
            rows += [answer, answer.get("customer")]
            ids = [row["id"] for row in rows if row and "id" in row]
            kinds = [(decode(id_) or ("", 0))[0] for id_ in ids]
            known = self._ids["Customer"]
            known += [
                id_
                for id_, kind in zip(ids, kinds, strict=True)
                if kind == "Customer" and id_ not in known
            ]

    def _new_entries(self) -> list[dict[str, Any]]:
        page = self._program.data(ENTRIES, after=self._after)["customerChanges"]
        self._after = page["pageInfo"]["endCursor"] or self._after
        return [edge["node"] for edge in page["edges"]]

    def _webhooks_by_type(self) -> list[str]:
        webhooks = self._program.data(WEBHOOKS)["webhooks"]
        return [w["type"] for w in webhooks if w["disabled_at"] is None or w["paused"]]


def test_the_sequences_contain_every_mutation() -> None:
    assert OPERATIONS.keys() == WRITES.keys()


# The first order that names a currency: it is that of the account from then on.
ORDER_IN_EUROS = {"name": "A-2", "email": "ada@example.com", "currency": "EUR", "total": 0}


@pytest.mark.slow
def test_a_dry_run_announces_the_write_and_saves_nothing(new_database: str) -> None:
    with Program(new_database) as program:

        @settings(
            max_examples=example_count(100),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(SEQUENCES)
        @example([("recordOrder", {"node": ORDER_IN_EUROS})])
        def check(operations: Sequence[tuple[str, dict[str, Any]]]) -> None:
            program.start_account()
            sequence = MutationSequence(program)
            for name, arguments in (*BEGINNING, *operations):
                sequence.run(name, arguments)

        check()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of a new account that may write everything."""
    scopes = ("customers", "orders:write", "webhooks")
    with Client(server, create_token(server, scopes=scopes)) as made:
        yield made


def dry_run_of(client: Client, document: str, **variables: Any) -> tuple[Any, dict[str, Any]]:
    """Returns the data of a dry run, and its changes and events."""
    body = client.run(document, **variables)
    assert "errors" not in body, body
    return body["data"], body["extensions"]["dry_run"]


def test_the_changes_and_events_of_an_update(client: Client) -> None:
    client.create("ada@example.com", phone="1")
    data, dry_run = dry_run_of(
        client,
        'mutation { u: updateCustomer(id: 1, node: {phone: "2"}, dryRun: true) { phone version } }',
    )
    assert data == {"u": {"phone": "2", "version": 2}}
    ada = "Q3VzdG9tZXI6MQ=="
    fields = [{"name": "phone", "before": "1", "after": "2"}]
    change = {"path": ["u"], "kind": "updated", "customer_id": ada, "fields": fields}
    event = {"path": ["u"], "type": "contact/updated", "customer_id": ada, "webhooks": 0}
    assert dry_run == {"changes": [change], "events": [event]}
    assert client.node(ada, "... on Customer { phone version }") == {"phone": "1", "version": 1}


def test_a_dry_run_of_a_write_that_changes_nothing(client: Client) -> None:
    client.create("ada@example.com", phone="1")
    _, dry_run = dry_run_of(
        client, 'mutation { updateCustomer(id: 1, node: {phone: "1"}, dryRun: true) { version } }'
    )
    assert dry_run == {"changes": [], "events": []}


def test_an_order_is_shown_with_the_customer_as_it_would_be(client: Client) -> None:
    client.data(
        'mutation { recordOrder(node: {name: "A-1", email: "ada@example.com", total: 10}) { id } }'
    )
    lists = "summary { orders { count expenses list(first: 2) { order { name total } } } }"
    data, dry_run = dry_run_of(
        client,
        f"""mutation {{ recordOrder(
          node: {{name: "A-2", email: "ada@example.com", total: 5, first_name: "Ada"}}, dryRun: true
        ) {{ _id customer {{ first_name {lists} }} }} }}""",
    )
    orders = [{"name": "A-2", "total": 5}, {"name": "A-1", "total": 10}]
    assert data["recordOrder"] == {
        "_id": 2,
        "customer": {
            "first_name": "Ada",
            "summary": {
                "orders": {
                    "count": 2,
                    "expenses": 15,
                    "list": [{"order": order} for order in orders],
                }
            },
        },
    }
    kinds = [change["kind"] for change in dry_run["changes"]]
    assert kinds == ["updated", "order_created", "order_confirmed"]
    assert dry_run["changes"][1]["order_id"] == "T3JkZXI6Mg=="
    assert client.node("Q3VzdG9tZXI6MQ==", f"... on Customer {{ {lists} }}") == {
        "summary": {"orders": {"count": 1, "expenses": 10, "list": [{"order": orders[1]}]}}
    }


def test_the_history_of_a_dry_run_has_its_order(client: Client) -> None:
    document = """mutation($dry: Boolean) {
      recordOrder(node: {name: "A-1", email: "ada@example.com", total: 5}, dryRun: $dry) {
        customer { changes(first: 2) { edges { cursor node {
          sequence kind order { name total } customer { orders_count } } } } } } }"""
    data, _ = dry_run_of(client, document, dry=True)
    assert "A-1" in str(data)
    assert client.data(document, dry=False) == data


def test_lists_have_a_row_where_the_write_would_move_it(client: Client) -> None:
    """`after` of a list is the id of a row: of its position after the write."""
    lists = """newest: list(first: 1) { order { name } } rest: list(after: "T3JkZXI6Mw==") {
      order { name } }"""
    document = f"""mutation($node: InputRecordOrder!, $dry: Boolean) {{
      recordOrder(node: $node, dryRun: $dry) {{
        customer {{ summary {{ orders {{ {lists} }} }} }} }} }}"""
    for number in (1, 2, 3):
        node = {"name": f"A-{number}", "created_at": f"2026-01-0{number}", "total": 1}
        record = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
        client.data(record, node={**node, "email": "ada@example.com"})
    moved = {"name": "A-3", "created_at": "2026-01-01T12:00:00Z"}
    data, _ = dry_run_of(client, document, node=moved, dry=True)
    assert data["recordOrder"]["customer"]["summary"]["orders"] == {
        "newest": [{"order": {"name": "A-2"}}],
        "rest": [{"order": {"name": "A-1"}}],
    }
    assert client.data(document, node=moved) == data


def test_a_restore_announces_no_change_that_was_made_before(client: Client) -> None:
    """The restore gives older entries of the history their values back."""
    client.create("ada@example.com", phone="1")
    client.data('mutation { updateCustomer(id: 1, node: {phone: "2"}) { id } }')
    client.data("mutation { deleteCustomers(items: [1]) }")
    document = """mutation($dry: Boolean) { restoreCustomers(items: [1], dryRun: $dry) {
      customers { version changes { edges { node { kind fields { name after } } } } } } }"""
    data, dry_run = dry_run_of(client, document, dry=True)
    assert [change["kind"] for change in dry_run["changes"]] == ["restored"]
    assert [event["type"] for event in dry_run["events"]] == ["contact/restored"]
    (customer,) = data["restoreCustomers"]["customers"]
    kinds = [edge["node"]["kind"] for edge in customer["changes"]["edges"]]
    assert kinds == ["restored", "deleted", "updated", "created"]
    assert client.data(document, dry=False) == data


def test_a_dry_run_reads_about_as_many_rows_as_the_write(new_database: str) -> None:
    """Rows of lists that the draft does not replace are not read."""
    document = """mutation($nodes: [InputSetCustomer!]!, $dry: Boolean) {
      setCustomers(nodes: $nodes, dryRun: $dry) {
        rows { customer { changes(first: 1) { edges { node { kind } } } } } } }"""
    with Program(new_database) as program:
        for number in range(30):
            nodes = [{"email": f"{n}@example.com", "phone": str(number)} for n in range(30)]
            program.data(document, nodes=nodes)
        nodes = [{**node, "phone": ""} for node in nodes]
        announced = program.rows_read_by(document, nodes=nodes, dry=True)
        assert announced < 3 * program.rows_read_by(document, nodes=nodes)


def test_a_dry_run_is_not_seen_by_the_rest_of_the_document(client: Client) -> None:
    """It sees the real writes before it."""
    body = client.run(
        """mutation {
          a: createCustomer(node: {email: "a@example.com"}, dryRun: true) { _id }
          b: createCustomer(node: {email: "a@example.com"}) { _id }
          c: updateCustomer(id: 1, node: {phone: "1"}, dryRun: true) { email version }
          d: updateCustomer(id: 1, node: {notes: "x"}) { phone version }
          e: deleteCustomers(items: [1], dryRun: true)
          f: setCustomers(nodes: [{_id: 1, phone: "2"}], dryRun: true, silent: true) { saved }
        }"""
    )
    assert body["data"] == {
        "a": {"_id": 1},
        "b": {"_id": 1},
        "c": {"email": "a@example.com", "version": 2},
        "d": {"phone": "", "version": 2},
        "e": ["Q3VzdG9tZXI6MQ=="],
        "f": {"saved": False},
    }
    dry_run = body["extensions"]["dry_run"]
    kinds = [(change["path"], change["kind"]) for change in dry_run["changes"]]
    assert kinds == [
        (["a"], "created"),
        (["c"], "updated"),
        (["e"], "deleted"),
        (["f"], "updated"),
    ]
    assert [event["path"] for event in dry_run["events"]] == [["a"], ["c"], ["e"]]


def test_an_idempotency_key_has_no_effect_on_a_dry_run(client: Client) -> None:
    create = """mutation($email: String!, $dry: Boolean) {
      createCustomer(node: {email: $email}, dryRun: $dry) { _id } }"""
    key = {"Idempotency-Key": "one"}

    def send(email: str, dry: bool, headers: Mapping[str, str] = key) -> Any:
        answer = client.post(create, {"email": email, "dry": dry}, headers)
        assert answer.status_code == 200, answer.text
        assert "Idempotent-Replayed" not in answer.headers
        return answer.json()["data"]

    assert send("a@example.com", True) == {"createCustomer": {"_id": 1}}
    # The key is still free for the write, and a dry run of another request can use it after that.
    assert send("a@example.com", False) == {"createCustomer": {"_id": 1}}
    assert send("b@example.com", True) == {"createCustomer": {"_id": 2}}
    assert send("b@example.com", True, {"Idempotency-Key": "x" * 256})
    client.create("c@example.com")
    assert send("b@example.com", True) == {"createCustomer": {"_id": 3}}
    # In a document with writes, it belongs to the writes.
    both = """mutation { a: createCustomer(node: {email: "x@example.com"}, dryRun: true) { _id }
      b: createCustomer(node: {email: "y@example.com"}) { _id } }"""
    answers = [client.post(both, None, {"Idempotency-Key": "two"}) for _ in range(2)]
    assert [answer.json()["data"]["b"]["_id"] for answer in answers] == [3, 3]
    assert "Idempotent-Replayed" not in answers[0].headers
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_a_dry_run_costs_what_the_write_costs(client: Client) -> None:
    rows = (
        "setCustomers(nodes: [{email: $a}, {email: $b}], dryRun: $dry) { rows { customer { id } } }"
    )
    document = f"mutation($a: String, $b: String, $dry: Boolean) {{ {rows} }}"
    variables = {"a": "a@example.com", "b": "b@example.com"}
    header = {"Regulars-Cost": "true"}
    for dry in (True, False):
        body = client.post(document, {**variables, "dry": dry}, header).json()
        assert body["extensions"]["cost"]["requested"] == 25
        assert ("dry_run" in body["extensions"]) is dry


def test_a_dry_run_of_a_token(server: Server) -> None:
    name = f"dry {server.pid}"
    assert run_regulars("account", "create", name, "--database-url", server.database_url)
    with Client(server, create_token(server, name, scopes=("admin",))) as admin:
        create = """mutation { createToken(node: {name: "app", scopes: ["customers"]}, dryRun: true) {
          secret token { id name state scopes } } }"""
        data, dry_run = dry_run_of(admin, create)
        token = {"id": "", "name": "app", "state": "valid", "scopes": ["customers"]}
        assert data == {"createToken": {"secret": "", "token": token}}
        assert dry_run == {"changes": [], "events": []}
        (own,) = admin.data("{ tokens { id } }")["tokens"]
        revoke = "mutation($id: ID!) { revokeToken(id: $id, dryRun: true) { id state } }"
        data, _ = dry_run_of(admin, revoke, id=own["id"])
        assert data == {"revokeToken": {"id": own["id"], "state": "revoked"}}
        assert admin.data("{ tokens { state } }") == {"tokens": [{"state": "valid"}]}
        admin.expect_error("tokens_not_found", revoke, id="unknown")


def test_a_dry_run_shows_no_value_to_a_token_that_only_writes(client: Client) -> None:
    """An error, an event or a change would show whether a value is stored."""
    client.create("ada@example.com", phone="1")
    account = client.data("{ account { name } }")["account"]["name"]
    scopes = {
        "customers:write": (
            'createCustomer(node: {email: "ada@example.com"}, dryRun: true) { id }',
            'updateCustomer(id: 1, node: {phone: "1"}, dryRun: true) { id }',
            "deleteCustomers(items: [1], dryRun: true)",
            'setCustomers(nodes: [{email: "ada@example.com"}], dryRun: true) { saved }',
            'addTags(items: [1], tags: ["vip"], dryRun: true) { id }',
            'removeTags(items: [1], tags: ["vip"], dryRun: true) { id }',
            'renameTag(name: "vip", newName: "new", dryRun: true) { customers_count }',
        ),
        "orders:write": (
            'recordOrder(node: {name: "A", email: "ada@example.com"}, dryRun: true) { id }',
            'recordLead(node: {email: "ada@example.com", message: "x"}, dryRun: true) { id }',
            "recordVisit(id: 1, dryRun: true) { id }",
        ),
    }
    for scope, fields in scopes.items():
        with Client(client.server, create_token(client.server, account, scopes=(scope,))) as writer:
            for field in fields:
                body = writer.run(f"mutation {{ {field} }}")
                assert [error["key"] for error in body["errors"]] == ["errors_scope"], field
                assert "extensions" not in body


def test_the_changes_of_a_dry_run_have_a_limit(new_database: str) -> None:
    with Program(new_database, response_bytes=100) as program:
        program.data('mutation { createCustomer(node: {email: "a@example.com"}) { id } }')
        update = """mutation($notes: String) {
          updateCustomer(id: 1, node: {notes: $notes}, dryRun: true) { id } }"""
        assert program.data(update, notes="x" * 50)
        (error,) = program.run(update, notes="\u00e9" * 50)["errors"]
        assert error["key"] == "errors_invalid_input"
        assert "REGULARS_MAX_RESPONSE_BYTES" in error["message"]
        field = "updateCustomer(id: 1, node: {notes: $notes}, dryRun: true) { id }"
        twice = f"mutation($notes: String) {{ a: {field} b: {field} }}"
        assert program.run(twice, notes="x" * 50)["errors"][0]["path"] == ["b"]


@pytest.mark.slow
def test_the_events_that_a_dry_run_announces_are_sent(
    open_server: Server, receiver: Receiver
) -> None:
    scopes = ("customers", "orders:write", "webhooks")
    with Client(open_server, create_token(open_server, scopes=scopes)) as client:
        create = "mutation($node: WebhookInput!) { createWebhook(node: $node) { id } }"
        for type_ in TYPES:
            client.data(create, node={"type": type_, "url": f"{receiver.url}/{type_}"})
        order = """mutation($dry: Boolean) { recordOrder(
          node: {name: "A-1", email: "ada@example.com", total: 10, fulfillment_status: fulfilled},
          dryRun: $dry) { id } }"""
        _, dry_run = dry_run_of(client, order, dry=True)
        assert "extensions" not in client.run(order, dry=False)
        announced = sorted(event["type"] for event in dry_run["events"])
        assert announced == [
            *("contact/signup", "order/confirmed", "order/created", "order/fulfilled"),
            *("order/updated", "order/updated"),
        ]
        assert {event["webhooks"] for event in dry_run["events"]} == {1}
        wait_until(lambda: len(receiver.requests) >= len(announced))
        assert sorted(r.path.strip("/") for r in receiver.requests) == announced
