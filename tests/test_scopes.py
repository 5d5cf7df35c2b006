"""Scopes: what a token may do, for every field of the schema, from the schema itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

from regulars.accounts.accounts import Accounts
from regulars.api.schema import schema
from regulars.core.scopes import SCOPES, granted
from regulars.store import Store
from tests.support import Client, Server, new_token, regulars, running, with_store

pytestmark = pytest.mark.any_database

SCHEMA = schema()
ROOTS = [
    (type_.name, name, field)
    for type_ in (SCHEMA.query_type, SCHEMA.mutation_type)
    if type_
    for name, field in type_.fields.items()
]
NAMES = [name for _, name, _ in ROOTS]


# Fields that tell nothing of an account's customers, and are for everybody with a token.
OPEN = {"account", "viewer", "searchLanguage", "tokenScopes", "webhookTypes"}
NEEDED = {
    name: "orders:write" if name.startswith("record") else "webhooks"
    for name in NAMES
    if name.startswith("record") or "webhook" in name.lower()
} | dict.fromkeys(("tokens", "createToken", "revokeToken"), "admin")
# Fields that tell who asks, and so answer each account something else.
OF_THE_ASKER = {"account", "viewer", "tokens", "createToken"}
NAMING = [root for root in ROOTS if root[1] not in OF_THE_ASKER]
# Fields that show what they did not write, and so need another scope for that.
SHOWS_MORE = {
    ("customers:write", "updateCustomer"),
    ("customers:write", "setCustomers"),
    ("customers:write", "addTags"),
    ("customers:write", "removeTags"),
    ("orders:write", "recordOrder"),
    ("orders:write", "recordVisit"),
    # They have customers sent to an address.
    ("webhooks", "updateWebhook"),
    ("webhooks", "retryWebhookDelivery"),
    ("webhooks", "testWebhook"),
}


def value_of(type_: Any, customer: str) -> str:
    """A value of an input type, in which every id is the customer's."""
    if is_non_null_type(type_):
        return value_of(type_.of_type, customer)
    if is_list_type(type_):
        return f"[{value_of(type_.of_type, customer)}]"
    if isinstance(type_, GraphQLInputObjectType):
        inner = {
            name: value_of(field.type, customer)
            for name, field in type_.fields.items()
            if is_non_null_type(field.type) and field.default is None
        }
        return "{" + ", ".join(f"{name}: {value}" for name, value in inner.items()) + "}"
    if isinstance(type_, GraphQLEnumType):
        return str(next(iter(type_.values)))
    if type_.name in ("WebhookSettings", "CustomFields"):
        return "{}"
    values = {
        "ID": f'"{customer}"',
        "String": '"new@example.com"',
        "Boolean": "true",
        "Int": "1",
        "Float": "1",
    }
    return values[type_.name]


def selection_of(type_: Any, depth: int = 3) -> str:
    """Every field of a type, so far down."""
    named = get_named_type(type_)
    if is_leaf_type(named):
        return ""
    assert isinstance(named, GraphQLObjectType)
    fields = [
        f"{name} {selection_of(field.type, depth - 1)}"
        for name, field in named.fields.items()
        if is_leaf_type(get_named_type(field.type)) or depth > 0
    ]
    return "{ " + " ".join(fields) + " }"


def documents(kind: str, name: str, field: GraphQLField, customer: str) -> list[str]:
    """Operations of one root field that select everything: one for each type it can answer."""
    given = [
        f"{argument}: {value_of(definition.type, customer)}"
        for argument, definition in field.args.items()
        if is_required_argument(definition)
    ]
    arguments = f"({', '.join(given)})" if given else ""
    word = "mutation" if kind == "Mutation" else "query"
    named = get_named_type(field.type)
    selections = (
        [selection_of(field.type)]
        if not is_abstract_type(named)
        else [
            f"{{ __typename ... on {one.name} {selection_of(one)} }}"
            for one in SCHEMA.get_possible_types(named)
        ]
    )
    return [f"{word} {{ {name}{arguments} {selection} }}" for selection in selections]


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    """A response without the ids that its errors repeat from the request."""
    for error in response.get("errors", ()):
        error["message"] = re.sub(r"id \S+\.$", "id.", error["message"])
        error["extensions"].pop("ids", None)
    return response


@pytest.mark.parametrize(("kind", "name", "field"), NAMING, ids=[name for _, name, _ in NAMING])
def test_anothers_object_is_as_if_it_were_not(
    server: Server, client: Client, other: Client, kind: str, name: str, field: GraphQLField
) -> None:
    """The same operation about another account's object and about none: the same answers."""
    theirs = other.create("theirs@example.com", shipping_address={"city": "Fès"})["id"]
    nobodys = "Q3VzdG9tZXI6OTk5OQ=="
    answers = []
    for customer in (theirs, nobodys):
        for document in documents(kind, name, field, customer):
            with Client(server, new_token(server)) as fresh:
                fresh.http.headers["X-Request-Id"] = "the-same"
                answers.append(without_ids(fresh.run(document)))
                assert "errors_invalid_document" not in str(answers[-1])
    half = len(answers) // 2
    assert answers[:half] == answers[half:]
    assert "theirs@example.com" not in str(answers)
    assert other.node(theirs, "... on Customer { email version }") == {
        "email": "theirs@example.com",
        "version": 1,
    }


@pytest.fixture(scope="module")
def by_scope(server: Server) -> Iterator[dict[str, Client]]:
    """For each scope a client, all of one account that has a customer."""
    name = f"scopes of {server.pid}"
    assert regulars("account", "create", name, "--database-url", server.database_url)
    clients = {scope: Client(server, new_token(server, name, scopes=(scope,))) for scope in SCOPES}
    clients["customers"].create("one@example.com")
    yield clients
    for client in clients.values():
        client.http.close()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("kind", "name", "field"), ROOTS, ids=NAMES)
def test_a_field_needs_its_scope_and_tells_nothing_else(
    by_scope: dict[str, Client], scope: str, kind: str, name: str, field: GraphQLField
) -> None:
    needed = NEEDED.get(name, "customers:write" if kind == "Mutation" else "customers:read")
    asked = [
        document
        for customer in ("Q3VzdG9tZXI6MQ==", "Q3VzdG9tZXI6OTk5OQ==", "nothing")
        for document in documents(kind, name, field, customer)
    ]
    for document in asked:
        response = by_scope[scope].run(document)
        keys = [error["key"] for error in response.get("errors", ())]
        if name in OPEN or needed in granted([scope]):
            # An update shows what it did not write: see below.
            assert "errors_scope" not in keys or (scope, name) in SHOWS_MORE
        else:
            assert keys == ["errors_scope"]
            assert needed in response["errors"][0]["message"]
            assert response["errors"][0]["path"] == [name]
            assert response["data"] in (None, {name: None})


def test_a_scope_is_asked_for_before_arguments_are_looked_at(by_scope: dict[str, Client]) -> None:
    wrong = '{ customers(first: -1, after: "x", query: "nothing:x") { edges { cursor } } }'
    assert by_scope["customers:write"].refused("errors_scope", wrong)
    wrong = "mutation { deleteCustomers(items: [999]) }"
    assert by_scope["customers:read"].refused("errors_scope", wrong)


def test_who_may_only_write_is_shown_what_was_written_and_no_more(
    by_scope: dict[str, Client],
) -> None:
    writer = by_scope["customers:write"]
    created = writer.create("written@example.com", "id email phone", phone="1")
    assert created["email"] == "written@example.com"
    update = 'mutation($id: ID!) { updateCustomer(id: $id, node: {phone: "2"}) { %s } }'
    assert writer.data(update % "id _id __typename", id=created["id"])
    for fields in (
        "email",
        "version",
        "leads { id }",
        "shipping_address { id }",
        "summary { visits }",
    ):
        error = writer.refused("errors_scope", update % fields, id=created["id"])
        assert "customers:read" in error["message"]
    assert by_scope["customers"].node(created["id"], "... on Customer { version }") == {
        "version": 2
    }


def input_paths() -> set[str]:
    """Every argument of every mutation, with the fields of its input objects."""
    paths = set()
    assert SCHEMA.mutation_type
    for name, field in SCHEMA.mutation_type.fields.items():
        for argument, definition in field.args.items():
            named = get_named_type(definition.type)
            if isinstance(named, GraphQLInputObjectType):
                paths |= {f"{name}.{argument}.{inner}" for inner in named.fields}
            else:
                paths.add(f"{name}.{argument}")
    return paths


CUSTOMER = (
    "accepts_marketing billing_address custom email first_name last_name notes phone "
    "shipping_address tags"
)
# For each argument of a mutation what it needs: nothing more than the mutation itself (`PLAIN`), or
# `customers:read` too, because data flows to another place, or because the outcome tells what is
# stored (`READS`). An argument that is in neither fails the test: decide where it belongs.
PLAIN = {
    "createCustomer.node": CUSTOMER,
    "updateCustomer": "id",
    "updateCustomer.node": CUSTOMER,
    "deleteCustomers": "items",
    "setCustomers": "errorPolicy silent",
    "setCustomers.nodes": f"id _id {CUSTOMER}",
    "addTags": "items tags",
    "removeTags": "items tags",
    "recordOrder.node": "billing_address cancelled_at created_at currency email financial_status "
    "first_name fulfillment_status last_name name paid phone referrer refunded_amount "
    "shipping_address tags test total",
    "recordLead.node": "created_at custom email first_name last_name message phone subject",
    "recordVisit": "id",
    "deleteWebhook": "id",
    "createToken.node": "expires_at name scopes",
    "revokeToken": "id",
}
READS = {
    "updateCustomer": "ifVersion",
    "deleteCustomers": "ifVersion",
    "setCustomers": "dryRun",
    "createWebhook.node": "settings type url version",
    "updateWebhook": "id",
    "updateWebhook.node": "disabled settings skip_missed type url version",
    "retryWebhookDelivery": "id",
    "testWebhook": "id",
}


def listed_paths(table: dict[str, str]) -> set[str]:
    return {f"{field}.{name}" for field, names in table.items() for name in names.split()}


def test_every_argument_of_a_mutation_is_classified() -> None:
    plain, reads = listed_paths(PLAIN), listed_paths(READS)
    assert not plain & reads
    assert plain | reads == input_paths()


def with_argument(path: str, customer: str) -> str:
    """A mutation that sends an argument, and of the optional ones no other."""
    name, argument, *inner = path.split(".")
    assert SCHEMA.mutation_type
    field = SCHEMA.mutation_type.fields[name]
    given = []
    for other, definition in field.args.items():
        if other != argument and not is_required_argument(definition):
            continue
        value = value_of(definition.type, customer)
        named = get_named_type(definition.type)
        if other == argument and inner and isinstance(named, GraphQLInputObjectType):
            fields = {
                one: value_of(of.type, customer)
                for one, of in named.fields.items()
                if one == inner[0] or (is_non_null_type(of.type) and of.default is None)
            }
            value = "{" + ", ".join(f"{one}: {text}" for one, text in fields.items()) + "}"
        given.append(f"{other}: {value}")
    named = get_named_type(field.type)
    shown = "" if is_leaf_type(named) else "{ __typename }"
    return f"mutation {{ {name}({', '.join(given)}) {shown} }}"


@pytest.mark.parametrize("path", sorted(input_paths()))
def test_an_argument_that_lets_data_flow_needs_the_scope_of_that_data(
    by_scope: dict[str, Client], path: str
) -> None:
    name = path.partition(".")[0]
    scope = NEEDED.get(name, "customers:write")
    # Of a node that names another customer, so that each runs.
    errors = by_scope[scope].run(with_argument(path, "Q3VzdG9tZXI6OTk5OQ==")).get("errors", [])
    refused = {"errors_scope", "webhooks_errors_permission"} & {e["key"] for e in errors}
    assert bool(refused) is (path in listed_paths(READS)), errors


def test_webhooks_alone_send_customers_nowhere_else(server: Server) -> None:
    """A token with `webhooks` alone moved a webhook to its own address, and received customers."""
    name = f"moved {server.pid}"
    assert regulars("account", "create", name, "--database-url", server.database_url)
    url = '"https://example.com/hook"'
    create = f'mutation {{ createWebhook(node: {{type: "contact/updated", url: {url}}}) {{ id }} }}'
    with (
        Client(server, new_token(server, name, scopes=("webhooks", "customers"))) as owner,
        Client(server, new_token(server, name, scopes=("webhooks",))) as keeper,
    ):
        hook = owner.data(create)["createWebhook"]["id"]
        update = "mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { id } }"
        for node in ({"url": "https://example.org/mine"}, {"settings": {"changes": True}}, {}):
            error = keeper.refused("errors_scope", update, id=hook, node=node)
            assert "customers:read" in error["message"]
        for field in ("testWebhook", "retryWebhookDelivery"):
            document = f"mutation($id: ID!) {{ {field}(id: $id) {{ id }} }}"
            keeper.refused("errors_scope", document, id=hook)
        keeper.refused("webhooks_errors_permission", create)
        assert owner.data("{ webhooks { url } }") == {"webhooks": [{"url": url.strip('"')}]}
        delete = "mutation($id: ID!) { deleteWebhook(id: $id) }"
        assert keeper.data(delete, id=hook) == {"deleteWebhook": hook}


def test_without_customers_read_no_write_tells_what_is_stored(server: Server) -> None:
    """No selection, error or header says whether a write changed anything."""
    name = f"blind {server.pid}"
    assert regulars("account", "create", name, "--database-url", server.database_url)
    with (
        Client(server, new_token(server, name)) as owner,
        Client(server, new_token(server, name, scopes=("customers:write",))) as writer,
    ):
        owner.create("one@example.com", phone="1")
        update = (
            "mutation($node: InputUpdateCustomer!) { updateCustomer(id: 1, node: $node) { %s } }"
        )
        answers = []
        for phone in ("2", "2"):  # the first changes something, the second does not
            answer = writer.post(update % "id", {"node": {"phone": phone}})
            headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date")}
            answers.append((headers, answer.json()))
        assert answers[0] == answers[1]
        rows = 'setCustomers(nodes: [{_id: 1, phone: "2"}]%s) { %s }'
        for shown in ("created", "updated", "unchanged", "rows { outcome }"):
            writer.refused("errors_scope", f"mutation {{ {rows % ('', shown)} }}")
        dry = rows % (", dryRun: true", "saved")
        writer.refused("errors_scope", f"mutation {{ {dry} }}")
        for field in (
            'updateCustomer(id: 1, ifVersion: 7, node: {phone: "3"}) { id }',
            "deleteCustomers(items: [1], ifVersion: 7)",
        ):
            error = writer.refused("errors_scope", f"mutation {{ {field} }}")
            assert "version" not in error["extensions"]
        answer = writer.http.post("/import?dry_run=true", content=b"email,phone\nx@y.zz,2\n")
        assert answer.status_code == 403
        assert owner.emails() == ["one@example.com"]


def test_a_token_is_made_with_scopes(server: Server) -> None:
    url = ("--database-url", server.database_url)
    name = f"scoped {server.pid}"
    assert regulars("account", "create", name, *url).returncode == 0
    made = regulars(
        *("token", "create", "--account", name, "--scope", "metrics"),
        *("--scope", "customers:read", *url, "--json"),
    )
    assert '"customers:read",\n    "metrics"' in made.stdout
    for given, said in (("custmers", "Did you mean customers?"), ("", "needs a scope")):
        refused = regulars("token", "create", "--account", name, "--scope", given, *url)
        assert refused.returncode == 1
        assert said in refused.stderr


def listed(server: Server, token_id: str) -> dict[str, Any]:
    done = regulars("token", "list", "--json", "--database-url", server.database_url)
    (row,) = [row for row in json.loads(done.stdout) if row["id"] == token_id]
    found: dict[str, Any] = row
    return found


def made_token(server: Server, *options: str) -> dict[str, Any]:
    name = f"made {server.pid} {time.monotonic_ns()}"
    url = ("--database-url", server.database_url)
    assert regulars("account", "create", name, *url).returncode == 0
    done = regulars("token", "create", "--account", name, "--json", *options, *url)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_last_use_of_a_token_is_recorded(server: Server) -> None:
    token = made_token(server)
    assert listed(server, token["id"])["last_used_at"] is None
    with Client(server, token["token"]) as client:
        assert client.run("{ __typename }")
        deadline = time.monotonic() + 10
        while listed(server, token["id"])["last_used_at"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_a_token_is_revoked_within_a_second_in_every_process(postgresql: str) -> None:
    from tests.support import scratch_database

    with scratch_database(postgresql) as url, running(url, "--workers", "2") as server:
        token = made_token(server)

        def statuses() -> set[int]:
            """The answers on new connections: each goes to either process."""
            found = set()
            for _ in range(12):
                with Client(server, token["token"]) as client:
                    found.add(client.post("{ __typename }").status_code)
            return found

        assert statuses() == {200}
        assert regulars("token", "revoke", token["id"], "--database-url", url).returncode == 0
        time.sleep(1)
        assert statuses() == {401}


def test_the_last_use_is_recorded_once_a_minute(tmp_path: Path) -> None:
    async def used_at(store: Store) -> list[int | None]:
        found: list[int | None] = []
        now = 1_000_000
        accounts = Accounts(store, lambda: now)
        text, _ = await accounts.create_token(await accounts.create("one"), "test")
        for timestamp in (1_000_000, 1_050_000, 1_060_000, 1_070_000, 1_130_000):
            now = timestamp
            assert await accounts.authenticate(text)
            await accounts.uses.flush()
            found.append((await accounts.tokens())[0].last_used_at)
        return found

    url = f"sqlite:///{tmp_path / 'r.db'}"
    assert regulars("migrate", "--database-url", url).returncode == 0
    noted = with_store(url, used_at)
    assert noted == [1_000_000, 1_000_000, 1_000_000, 1_070_000, 1_070_000]
