"""Scopes: which token may use which field, for all fields of the schema."""

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
from tests.support import Client, Server, create_token, run_regulars, run_server, with_store

SCHEMA = schema()
ROOTS = [
    (type_.name, name, field)
    for type_ in (SCHEMA.query_type, SCHEMA.mutation_type)
    if type_
    for name, field in type_.fields.items()
]
NAMES = [name for _, name, _ in ROOTS]


# Fields that reveal no customers, and require no scope.
UNRESTRICTED = {
    "account",
    "viewer",
    "searchLanguage",
    "tokenScopes",
    "webhookTypes",
    "accountSettings",
    "addressRules",
    "searchTerms",
    "roles",
}
REQUIRED_SCOPES = {
    name: "orders:write" if name.startswith("record") else "webhooks"
    for name in NAMES
    if name.startswith("record") or "webhook" in name.lower()
} | dict.fromkeys(
    (
        *("tokens", "createToken", "revokeToken"),
        *("people", "invitePerson", "createSignInLink", "updatePerson", "removePerson"),
    ),
    "admin",
)
REQUIRED_SCOPES["updateAccountSettings"] = "settings"
REQUIRED_SCOPES |= dict.fromkeys(("job", "jobs"), "customers:write")
# Fields whose values depend on the token.
VIEWER_SPECIFIC = {"account", "viewer", "tokens", "createToken"}
# It takes no id, and returns that of a new job.
NEW_ID = {"renameTags"}
ID_ROOTS = [root for root in ROOTS if root[1] not in VIEWER_SPECIFIC | NEW_ID]
# Fields that reveal values they did not write, which requires another scope.
SHOWS_MORE = {
    ("customers:write", "updateCustomer"),
    ("customers:write", "setCustomers"),
    ("customers:write", "addTags"),
    ("customers:write", "removeTags"),
    ("customers:write", "renameTag"),
    ("customers:write", "addExternalIds"),
    ("customers:write", "removeExternalIds"),
    *(
        ("customers:write", f"{verb}{name}")
        for verb in ("add", "remove")
        for name in ("Emails", "Phones")
    ),
    ("customers:write", "createAddress"),
    ("customers:write", "updateAddress"),
    ("customers:write", "updateComment"),
    ("customers:write", "createSegment"),
    ("customers:write", "updateSegment"),
    # A conflict shows the value and the customer that has it.
    ("customers:write", "restoreCustomers"),
    # The counts of a job show whether a value was changed.
    *(
        ("customers:write", name)
        for name in (
            *("job", "jobs", "updateCustomers", "renameTags", "undoJob", "cancelJob"),
            "revertChange",
        )
    ),
    ("orders:write", "recordOrder"),
    ("orders:write", "recordVisit"),
    # They send customers to a URL.
    ("webhooks", "updateWebhook"),
    ("webhooks", "retryWebhookDelivery"),
    ("webhooks", "testWebhook"),
}


def value_of(type_: Any, customer: str) -> str:
    """Returns a value of an input type. All ids in it are `customer`."""
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
    """Returns a selection of all fields of a type, down to a depth."""
    named_type = get_named_type(type_)
    if is_leaf_type(named_type):
        return ""
    assert isinstance(named_type, GraphQLObjectType)
    fields = [
        f"{name} {selection_of(field.type, depth - 1)}"
        for name, field in named_type.fields.items()
        if is_leaf_type(get_named_type(field.type)) or depth > 0
    ]
    return "{ " + " ".join(fields) + " }"


def documents(kind: str, name: str, field: GraphQLField, customer: str) -> list[str]:
    """Returns operations of one root field that select all fields: one for each possible type."""
    required_arguments = [
        f"{argument}: {value_of(definition.type, customer)}"
        for argument, definition in field.args.items()
        if is_required_argument(definition)
    ]
    arguments = f"({', '.join(required_arguments)})" if required_arguments else ""
    word = "mutation" if kind == "Mutation" else "query"
    named_type = get_named_type(field.type)
    selections = (
        [selection_of(field.type)]
        if not is_abstract_type(named_type)
        else [
            f"{{ __typename ... on {possible_type.name} {selection_of(possible_type)} }}"
            for possible_type in SCHEMA.get_possible_types(named_type)
        ]
    )
    return [f"{word} {{ {name}{arguments} {selection} }}" for selection in selections]


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    """Removes the ids of the request from the errors of a response."""
    for error in response.get("errors", ()):
        error["message"] = re.sub(r"id (`[^`]*`|\S+\.$)", "id", error["message"])
        error["extensions"].pop("ids", None)
    return response


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "field"), ID_ROOTS, ids=[name for _, name, _ in ID_ROOTS])
def test_objects_of_other_accounts_are_not_found(
    server: Server, client: Client, other: Client, kind: str, name: str, field: GraphQLField
) -> None:
    """The responses for an object of another account and for a missing object are equal."""
    foreign_id = other.create("theirs@example.com", shipping_address={"city": "Fès"})["id"]
    missing_id = "Q3VzdG9tZXI6OTk5OQ=="
    answers = []
    for customer in (foreign_id, missing_id):
        for document in documents(kind, name, field, customer):
            with Client(server, create_token(server)) as fresh:
                fresh.http.headers["X-Request-Id"] = "the-same"
                answers.append(without_ids(fresh.run(document)))
                assert "errors_invalid_document" not in str(answers[-1])
    half = len(answers) // 2
    assert answers[:half] == answers[half:]
    assert "theirs@example.com" not in str(answers)
    assert other.node(foreign_id, "... on Customer { email version }") == {
        "email": "theirs@example.com",
        "version": 1,
    }


@pytest.fixture(scope="module")
def by_scope(server: Server) -> Iterator[dict[str, Client]]:
    """A client for each scope, all of one account, which has a customer."""
    name = f"scopes of {server.pid}"
    assert run_regulars("account", "create", name, "--database-url", server.database_url)
    clients = {
        scope: Client(server, create_token(server, name, scopes=(scope,))) for scope in SCOPES
    }
    clients["customers"].create("one@example.com")
    yield clients
    for client in clients.values():
        client.http.close()


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("kind", "name", "field"), ROOTS, ids=NAMES)
def test_a_field_requires_its_scope(
    by_scope: dict[str, Client], scope: str, kind: str, name: str, field: GraphQLField
) -> None:
    required_scope = REQUIRED_SCOPES.get(
        name, "customers:write" if kind == "Mutation" else "customers:read"
    )
    operations = [
        document
        for customer in ("Q3VzdG9tZXI6MQ==", "Q3VzdG9tZXI6OTk5OQ==", "nothing")
        for document in documents(kind, name, field, customer)
    ]
    for document in operations:
        response = by_scope[scope].run(document)
        keys = [error["key"] for error in response.get("errors", ())]
        if name in UNRESTRICTED or required_scope in granted([scope]):
            # An update shows what it did not write: see below.
            assert "errors_scope" not in keys or (scope, name) in SHOWS_MORE
        else:
            assert keys == ["errors_scope"]
            assert required_scope in response["errors"][0]["message"]
            assert response["errors"][0]["path"] == [name]
            assert response["data"] in (None, {name: None})


def test_scopes_are_checked_before_arguments(by_scope: dict[str, Client]) -> None:
    document = '{ customers(first: -1, after: "x", query: "nothing:x") { edges { cursor } } }'
    assert by_scope["customers:write"].expect_error("errors_scope", document)
    document = "mutation { deleteCustomers(items: [999]) }"
    assert by_scope["customers:read"].expect_error("errors_scope", document)


def test_a_token_that_only_writes_reads_only_created_objects(
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
        error = writer.expect_error("errors_scope", update % fields, id=created["id"])
        assert "customers:read" in error["message"]
    assert by_scope["customers"].node(created["id"], "... on Customer { version }") == {
        "version": 2
    }


def input_paths() -> set[str]:
    """Returns all arguments of all mutations, with the fields of their input objects."""
    paths = set()
    assert SCHEMA.mutation_type
    for name, field in SCHEMA.mutation_type.fields.items():
        for argument, definition in field.args.items():
            named_type = get_named_type(definition.type)
            if isinstance(named_type, GraphQLInputObjectType):
                paths |= {f"{name}.{argument}.{inner}" for inner in named_type.fields}
            else:
                paths.add(f"{name}.{argument}")
    return paths


CUSTOMER = (
    "accepts_marketing addresses billing_address custom email emails external_ids first_name last_name "
    "notes phone phones shipping_address tags"
)
# The scopes of each argument of a mutation: only that of the mutation (`PLAIN`), or `customers:read`
# too, because data leaves the server or the outcome reveals stored values (`READS`). An argument in
# neither table fails the test: decide where it belongs.
PLAIN = {
    "createCustomer.node": CUSTOMER,
    "updateCustomer": "id",
    "updateCustomer.node": CUSTOMER,
    "deleteCustomers": "items permanent",
    "setCustomers": "errorPolicy phoneIdentifies silent",
    "setCustomers.nodes": f"id _id {CUSTOMER}",
    "addTags": "items tags",
    "removeTags": "items tags",
    "addExternalIds": "id",
    "addExternalIds.externalIds": "id source",
    "removeExternalIds": "id",
    "removeExternalIds.externalIds": "id source",
    "addEmails": "id",
    "addEmails.emails": "default email label verified_at",
    "removeEmails": "id emails",
    "addPhones": "id",
    "addPhones.phones": "default label phone",
    "removePhones": "id phones",
    "recordOrder.node": "billing_address cancelled_at created_at currency customer email "
    "external_id financial_status first_name fulfillment_status last_name name paid phone referrer refunded_amount "
    "shipping_address tags test total",
    "recordLead.node": "created_at custom customer email first_name last_name message phone subject",
    "recordVisit": "id",
    "deleteWebhook": "dryRun id",
    "createToken": "dryRun",
    "createToken.node": "expires_at name scopes",
    "revokeToken": "dryRun id",
    "invitePerson": "dryRun",
    "invitePerson.node": "email name role",
    "createSignInLink": "dryRun id",
    "updatePerson": "dryRun id",
    "updatePerson.node": "email name role",
    "removePerson": "dryRun id",
    "updateAccountSettings": "dryRun",
    "updateAccountSettings.node": "currency default_country expenses_currency identify_by trash_days",
    "emptyTrash": "items",
    "createSegment": "announce",
    "createSegment.node": "description name query settings watched",
    "updateSegment": "announce id",
    "updateSegment.node": "description name query settings watched",
    "deleteSegments": "items",
    "deleteAddresses": "items",
    "addComment": "customer",
    "addComment.node": "pinned private text",
    "updateComment": "id",
    "updateComment.node": "pinned private text",
    "deleteComments": "items",
}
READS = {
    "createCustomer": "dryRun",
    "updateCustomer": "dryRun ifVersion",
    "deleteCustomers": "dryRun ifVersion",
    "setCustomers": "dryRun",
    "setCustomers.nodes": "if_version",
    "recordOrder": "dryRun",
    "recordLead": "dryRun",
    "recordVisit": "dryRun",
    "addTags": "dryRun ifVersion",
    "removeTags": "dryRun ifVersion",
    "renameTag": "name newName first after segments dryRun",
    "createWebhook": "dryRun",
    "addExternalIds": "dryRun ifVersion",
    "removeExternalIds": "dryRun ifVersion",
    **dict.fromkeys(("addEmails", "removeEmails", "addPhones", "removePhones"), "dryRun ifVersion"),
    "createAddress": "customer dryRun ifVersion",
    "updateAddress": "dryRun id ifVersion",
    **dict.fromkeys(
        ("createAddress.node", "updateAddress.node"),
        "address default_billing default_shipping id label",
    ),
    "deleteAddresses": "dryRun",
    **dict.fromkeys(("addComment", "updateComment", "deleteComments"), "dryRun"),
    "createWebhook.node": "settings type url version",
    "updateWebhook": "dryRun id",
    "updateWebhook.node": "disabled settings skip_missed type url version",
    "retryWebhookDelivery": "id",
    "testWebhook": "id",
    "restoreCustomers": "items conflictPolicy dryRun",
    "emptyTrash": "dryRun",
    **dict.fromkeys(("createSegment", "updateSegment", "deleteSegments"), "dryRun"),
    "updateCustomers": "addTags dryRun expected items query removeCustom removeTags segment silent",
    "updateCustomers.increments": "amount field",
    "updateCustomers.node": CUSTOMER,
    "renameTags": "dryRun names newName segments",
    "undoJob": "dryRun id",
    "cancelJob": "id",
    "revertChange": "dryRun fields force ifVersion sequence",
}


def listed_paths(table: dict[str, str]) -> set[str]:
    return {f"{field}.{name}" for field, names in table.items() for name in names.split()}


def test_every_argument_of_a_mutation_is_classified() -> None:
    plain, reads = listed_paths(PLAIN), listed_paths(READS)
    assert not plain & reads
    assert plain | reads == input_paths()


def with_argument(path: str, customer: str) -> str:
    """Returns a mutation with an argument and the required ones."""
    name, argument, *inner = path.split(".")
    assert SCHEMA.mutation_type
    field = SCHEMA.mutation_type.fields[name]
    arguments = []
    for other, definition in field.args.items():
        if other != argument and not is_required_argument(definition):
            continue
        value = value_of(definition.type, customer)
        named_type = get_named_type(definition.type)
        if other == argument and inner and isinstance(named_type, GraphQLInputObjectType):
            fields = {
                field_name: value_of(input_field.type, customer)
                for field_name, input_field in named_type.fields.items()
                if field_name == inner[0]
                or (is_non_null_type(input_field.type) and input_field.default is None)
            }
            value = (
                "{"
                + ", ".join(f"{field_name}: {text}" for field_name, text in fields.items())
                + "}"
            )
        arguments.append(f"{other}: {value}")
    named_type = get_named_type(field.type)
    selection = "" if is_leaf_type(named_type) else "{ __typename }"
    return f"mutation {{ {name}({', '.join(arguments)}) {selection} }}"


@pytest.mark.parametrize("path", sorted(input_paths()))
def test_an_argument_that_reveals_data_requires_customers_read(
    by_scope: dict[str, Client], path: str
) -> None:
    name = path.partition(".")[0]
    scope = REQUIRED_SCOPES.get(name, "customers:write")
    # With the id of a missing customer, so that nothing changes.
    errors = by_scope[scope].run(with_argument(path, "Q3VzdG9tZXI6OTk5OQ==")).get("errors", [])
    scope_errors = {"errors_scope", "webhooks_errors_permission"} & {e["key"] for e in errors}
    assert bool(scope_errors) is (path in listed_paths(READS)), errors


def test_the_webhooks_scope_alone_cannot_redirect_events(server: Server) -> None:
    """A token with only `webhooks` cannot send events to another URL."""
    name = f"moved {server.pid}"
    assert run_regulars("account", "create", name, "--database-url", server.database_url)
    url = '"https://example.com/hook"'
    create = f'mutation {{ createWebhook(node: {{type: "contact/updated", url: {url}}}) {{ id }} }}'
    with (
        Client(server, create_token(server, name, scopes=("webhooks", "customers"))) as owner,
        Client(server, create_token(server, name, scopes=("webhooks",))) as keeper,
    ):
        hook = owner.data(create)["createWebhook"]["id"]
        update = "mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { id } }"
        for node in ({"url": "https://example.org/mine"}, {"settings": {"changes": True}}, {}):
            error = keeper.expect_error("errors_scope", update, id=hook, node=node)
            assert "customers:read" in error["message"]
        for field in ("testWebhook", "retryWebhookDelivery"):
            document = f"mutation($id: ID!) {{ {field}(id: $id) {{ id }} }}"
            keeper.expect_error("errors_scope", document, id=hook)
        keeper.expect_error("webhooks_errors_permission", create)
        assert owner.data("{ webhooks { url } }") == {"webhooks": [{"url": url.strip('"')}]}
        delete = "mutation($id: ID!) { deleteWebhook(id: $id) }"
        assert keeper.data(delete, id=hook) == {"deleteWebhook": hook}


def test_a_write_without_customers_read_reveals_no_stored_values(server: Server) -> None:
    """No selection, error or header reveals whether a write changed anything."""
    name = f"blind {server.pid}"
    assert run_regulars("account", "create", name, "--database-url", server.database_url)
    with (
        Client(server, create_token(server, name)) as owner,
        Client(server, create_token(server, name, scopes=("customers:write",))) as writer,
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
        for selection in ("created", "updated", "unchanged", "rows { outcome }"):
            writer.expect_error("errors_scope", f"mutation {{ {rows % ('', selection)} }}")
        dry = rows % (", dryRun: true", "saved")
        writer.expect_error("errors_scope", f"mutation {{ {dry} }}")
        for field in (
            'updateCustomer(id: 1, ifVersion: 7, node: {phone: "3"}) { id }',
            "deleteCustomers(items: [1], ifVersion: 7)",
            'addTags(items: [1], tags: ["a"], ifVersion: 7) { id }',
            "setCustomers(nodes: [{_id: 1, if_version: 7}]) { saved }",
        ):
            error = writer.expect_error("errors_scope", f"mutation {{ {field} }}")
            assert "version" not in error["extensions"]
        answer = writer.http.post("/import?dry_run=true", content=b"email,phone\nx@y.zz,2\n")
        assert answer.status_code == 403
        assert owner.emails() == ["one@example.com"]


def test_a_token_is_created_with_scopes(server: Server) -> None:
    url = ("--database-url", server.database_url)
    name = f"scoped {server.pid}"
    assert run_regulars("account", "create", name, *url).returncode == 0
    result = run_regulars(
        *("token", "create", "--account", name, "--scope", "metrics"),
        *("--scope", "customers:read", *url, "--json"),
    )
    assert '"customers:read",\n    "metrics"' in result.stdout
    for scope, message in (
        ("custmers", "Did you mean `customers`?"),
        ("", "needs at least one scope"),
    ):
        result = run_regulars("token", "create", "--account", name, "--scope", scope, *url)
        assert result.returncode == 1
        assert message in result.stderr


def find_token(server: Server, token_id: str) -> dict[str, Any]:
    result = run_regulars("token", "list", "--json", "--database-url", server.database_url)
    (row,) = [row for row in json.loads(result.stdout) if row["id"] == token_id]
    token: dict[str, Any] = row
    return token


def create_account_token(server: Server, *options: str) -> dict[str, Any]:
    name = f"made {server.pid} {time.monotonic_ns()}"
    url = ("--database-url", server.database_url)
    assert run_regulars("account", "create", name, *url).returncode == 0
    result = run_regulars("token", "create", "--account", name, "--json", *options, *url)
    token: dict[str, Any] = json.loads(result.stdout)
    return token


def test_the_last_use_of_a_token_is_recorded(server: Server) -> None:
    token = create_account_token(server)
    assert find_token(server, token["id"])["last_used_at"] is None
    with Client(server, token["token"]) as client:
        assert client.run("{ __typename }")
        deadline = time.monotonic() + 60
        while find_token(server, token["id"])["last_used_at"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_a_token_is_revoked_within_a_second_in_every_process(postgresql: str) -> None:
    from tests.support import scratch_database

    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        token = create_account_token(server)

        def statuses() -> set[int]:
            """Returns the statuses on new connections, which reach both processes."""
            codes = set()
            for _ in range(12):
                with Client(server, token["token"]) as client:
                    codes.add(client.post("{ __typename }").status_code)
            return codes

        assert statuses() == {200}
        assert run_regulars("token", "revoke", token["id"], "--database-url", url).returncode == 0
        time.sleep(1)
        assert statuses() == {401}


def test_the_last_use_is_recorded_once_a_minute(tmp_path: Path) -> None:
    async def used_at(store: Store) -> list[int | None]:
        timestamps: list[int | None] = []
        now = 1_000_000
        accounts = Accounts(store, lambda: now)
        text, _ = await accounts.create_token(await accounts.create("one"), "test")
        for timestamp in (1_000_000, 1_050_000, 1_060_000, 1_070_000, 1_130_000):
            now = timestamp
            assert await accounts.authenticate(text)
            await accounts.uses.flush()
            timestamps.append((await accounts.tokens())[0].last_used_at)
        return timestamps

    url = f"sqlite:///{tmp_path / 'r.db'}"
    assert run_regulars("migrate", "--database-url", url).returncode == 0
    noted = with_store(url, used_at)
    assert noted == [1_000_000, 1_000_000, 1_000_000, 1_070_000, 1_070_000]
