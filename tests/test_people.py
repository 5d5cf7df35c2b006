"""People over the API and the command line: inviting, roles, removal, and who may do what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx
import pytest
import sqlalchemy as sa

from regulars.core.roles import ROLES
from regulars.store import Store
from regulars.store.auth_tables import people as people_table
from regulars.store.auth_tables import tokens
from regulars.store.query import Query
from tests.support import (
    TLS,
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    with_store,
)

pytestmark = pytest.mark.both_databases

PERSON = 'id name email role state last_seen_at created_at(format: "ISO") removed_at(format: "ISO")'
INVITE = f"""mutation($node: InputPerson!, $dry: Boolean) {{ invitePerson(node: $node, dryRun: $dry) {{
    path expires_at(format: "x") person {{ {PERSON} }} }} }}"""
LINK = "mutation($id: ID!) { createSignInLink(id: $id) { path person { name } } }"
UPDATE = f"""mutation($id: ID!, $node: InputPersonChanges!, $dry: Boolean) {{
    updatePerson(id: $id, node: $node, dryRun: $dry) {{ {PERSON} }} }}"""
REMOVE = f"""mutation($id: ID!, $dry: Boolean) {{
    removePerson(id: $id, dryRun: $dry) {{ {PERSON} }} }}"""
VIEWER = "{ viewer { scopes person { name role } token { name } } }"


class Pages:
    """A person's browser, which signs in by a link and sends the session cookie."""

    opened: ClassVar[list[httpx.Client]] = []

    def __init__(self, server: Server) -> None:
        self.http = httpx.Client(base_url=server.url, verify=TLS, timeout=120)
        self.opened.append(self.http)
        self.headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, path: str) -> int:
        code = path.removeprefix("/sign-in#")
        return self.http.post("/session", json={"link": code}, headers=self.headers).status_code

    def post(self, query: str, **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return self.http.post("/api/v2", json=body, headers=self.headers)

    def data(self, query: str, **variables: Any) -> Any:
        answer = self.post(query, **variables).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def error_key(self, query: str, **variables: Any) -> str:
        (error,) = self.post(query, **variables).json()["errors"]
        return str(error["key"])


@pytest.fixture(autouse=True)
def close_browsers() -> Iterator[None]:
    yield
    while Pages.opened:
        Pages.opened.pop().close()


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("admin",))) as client:
        yield client


def invite(admin: Client, name: str, role: str = "support", **node: Any) -> dict[str, Any]:
    link: dict[str, Any] = admin.data(INVITE, node={"name": name, "role": role, **node})
    return dict(link["invitePerson"])


def enter(server: Server, link: dict[str, Any]) -> Pages:
    pages = Pages(server)
    assert pages.sign_in(link["path"]) == 200
    return pages


def people(admin: Client) -> list[dict[str, Any]]:
    return list(admin.data(f"{{ people {{ {PERSON} }} }}")["people"])


def test_an_invited_person_signs_in_once_and_appears_in_the_history(
    server: Server, admin: Client
) -> None:
    link = invite(admin, " Ana Ruiz ", email="Ana@Example.com")
    person = link["person"]
    assert (person["name"], person["email"], person["role"]) == (
        "Ana Ruiz",
        "Ana@example.com",
        "support",
    )
    assert (person["state"], person["last_seen_at"]) == ("invited", None)
    assert 2.9 < (int(link["expires_at"]) / 1000 - time.time()) / 86_400 <= 3
    pages = enter(server, link)
    assert Pages(server).sign_in(link["path"]) == 401
    assert pages.data(VIEWER)["viewer"] == {
        "scopes": ["customers:read", "customers:write", "customers", "orders:write"],
        "person": {"name": "Ana Ruiz", "role": "support"},
        "token": {"name": "Ana Ruiz"},
    }
    assert admin.data(VIEWER)["viewer"]["person"] is None
    (stored,) = people(admin)
    assert (stored["state"], stored["last_seen_at"]) == ("active", "a few seconds ago")
    pages.data('mutation { createCustomer(node: {email: "c@example.com"}) { id } }')
    changes = admin.data("{ customerChanges { edges { node { actor { kind name } } } } }")
    (entry,) = changes["customerChanges"]["edges"]
    assert entry["node"]["actor"] == {"kind": "person", "name": "Ana Ruiz"}
    # Tokens are those of apps.
    names = [token["name"] for token in admin.data("{ tokens { name } }")["tokens"]]
    assert names == ["test"]


def test_a_new_link_ends_the_earlier_ones_and_no_session(server: Server, admin: Client) -> None:
    first = invite(admin, "Ana")
    second = admin.data(LINK, id=first["person"]["id"])["createSignInLink"]
    assert Pages(server).sign_in(first["path"]) == 401
    pages = enter(server, second)
    third = admin.data(LINK, id=first["person"]["id"])["createSignInLink"]
    other = enter(server, third)
    for browser in (pages, other):
        assert browser.data(VIEWER)["viewer"]["person"]["name"] == "Ana"


def test_a_new_role_and_removal_take_effect_within_a_second(server: Server, admin: Client) -> None:
    link = invite(admin, "Ana", "marketing")
    pages = enter(server, link)
    create = 'mutation { createCustomer(node: {email: "%s@example.com"}) { id } }'
    pages.data(create % "a")
    person_id = link["person"]["id"]
    changed = admin.data(UPDATE, id=person_id, node={"role": "read_only"})["updatePerson"]
    assert changed["role"] == "read_only"
    time.sleep(1.05)
    assert pages.error_key(create % "b") == "errors_scope"
    assert pages.data(VIEWER)["viewer"]["scopes"] == ["customers:read"]
    unused = admin.data(LINK, id=person_id)["createSignInLink"]
    removed = admin.data(REMOVE, id=person_id)["removePerson"]
    assert (removed["state"], bool(removed["removed_at"])) == ("removed", True)
    time.sleep(1.05)
    assert pages.post(VIEWER).status_code == 401
    assert Pages(server).sign_in(unused["path"]) == 401
    for document in (UPDATE, REMOVE, LINK):
        variables = {"node": {"role": "owner"}} if document == UPDATE else {}
        admin.expect_error("people_not_found", document, id=person_id, **variables)
    assert [person["state"] for person in people(admin)] == ["removed"]
    # A removed person does not keep the name.
    assert invite(admin, "Ana")["person"]["id"] != person_id


def test_the_last_owner_stays(server: Server, admin: Client) -> None:
    link = invite(admin, "Olga", "owner")
    owner, person_id = enter(server, link), link["person"]["id"]
    waiting = invite(admin, "Otto", "owner")  # has not signed in: Olga is still the last one
    for document, variables in (
        (UPDATE, {"node": {"role": "support"}}),
        (UPDATE, {"node": {"role": "support"}, "dry": True}),
        (REMOVE, {}),
        (REMOVE, {"dry": True}),
    ):
        assert owner.error_key(document, id=person_id, **variables) == "people_last_owner"
    assert owner.data(UPDATE, id=person_id, node={"name": "Olga R."})["updatePerson"]
    enter(server, waiting)
    demoted = owner.data(UPDATE, id=person_id, node={"role": "read_only"})["updatePerson"]
    assert demoted["role"] == "read_only"
    admin.expect_error("people_last_owner", REMOVE, id=waiting["person"]["id"])


def test_two_owners_cannot_remove_each_other_at_the_same_time(
    server: Server, admin: Client
) -> None:
    for attempt in range(5):
        links = [invite(admin, f"{name} {attempt}", "owner") for name in ("Ana", "Ben")]
        for link in links:
            enter(server, link)
        for person in people(admin):
            if person["state"] == "active" and person["id"] not in [
                link["person"]["id"] for link in links
            ]:
                admin.data(REMOVE, id=person["id"])
        ids = [link["person"]["id"] for link in links]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda number: admin.run(REMOVE, id=number), ids))
        refused = [answer["errors"][0]["key"] for answer in answers if answer.get("errors")]
        assert refused == ["people_last_owner"]


def test_only_owners_and_admin_tokens_manage_people(server: Server, admin: Client) -> None:
    own = {}
    for role in ROLES:
        link = invite(admin, role, role)
        own[role] = (enter(server, link), link["person"]["id"])
    owner, _ = own.pop("owner")
    assert owner.data("{ people { id } }")
    for pages, person_id in own.values():
        for document, variables in (
            ("{ people { id } }", {}),
            (INVITE, {"node": {"name": "x", "role": "owner"}}),
            (UPDATE, {"id": person_id, "node": {"role": "owner"}}),
            (LINK, {"id": person_id}),
            (REMOVE, {"id": person_id}),
            ("mutation { updateAccountSettings(node: {trash_days: 1}) { trash_days } }", {}),
            ('mutation { createToken(node: {name: "x", scopes: ["admin"]}) { secret } }', {}),
        ):
            assert pages.error_key(document, **variables) == "errors_scope"


def test_people_of_other_accounts_are_not_found(server: Server, admin: Client) -> None:
    person = invite(admin, "Ana")["person"]
    with Client(server, create_token(server, scopes=("admin",))) as other:
        assert people(other) == []
        for document in (UPDATE, REMOVE, LINK):
            variables = {"node": {"role": "owner"}} if document == UPDATE else {}
            other.expect_error("people_not_found", document, id=person["id"], **variables)
        assert invite(other, "Ana")["person"]["name"] == "Ana"


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ({"name": " "}, ["node", "name"]),
        ({"name": "x" * 101}, ["node", "name"]),
        ({"name": "taken"}, ["node", "name"]),
        ({"name": "a", "role": "suport"}, ["node", "role"]),
        ({"name": "a", "email": "nobody"}, ["node", "email"]),
    ],
)
def test_an_invalid_person_is_refused(admin: Client, node: dict[str, Any], path: list[str]) -> None:
    invite(admin, "taken")
    other = invite(admin, "other")["person"]
    for dry in (False, True):
        error = admin.expect_error("errors_invalid_input", INVITE, node=node, dry=dry)
        assert error["extensions"]["input_path"] == path
        error = admin.expect_error(
            "errors_invalid_input", UPDATE, id=other["id"], node=node, dry=dry
        )
        assert error["extensions"]["input_path"] == path
    assert [person["name"] for person in people(admin)] == ["taken", "other"]


def test_dry_runs_change_nothing(server: Server, admin: Client) -> None:
    preview = admin.data(INVITE, node={"name": "Ana"}, dry=True)["invitePerson"]
    assert (preview["path"], preview["person"]["id"]) == ("", "")
    assert preview["person"]["role"] == "read_only"
    person = invite(admin, "Ana")["person"]
    node = {"name": "Anna", "role": "owner", "email": "a@example.com"}
    changed = admin.data(UPDATE, id=person["id"], node=node, dry=True)["updatePerson"]
    assert {**changed, **node} == changed
    assert admin.data(REMOVE, id=person["id"], dry=True)["removePerson"]["state"] == "removed"
    document = LINK.replace("id: $id)", "id: $id, dryRun: true)")
    assert admin.data(document, id=person["id"])["createSignInLink"]["path"] == ""
    assert people(admin) == [person]


def test_the_sign_ins_with_tokens_are_counted(server: Server, admin: Client) -> None:
    count = "{ tokens { session_count } viewer { token { session_count } } }"
    none = {"session_count": 0}
    assert admin.data(count) == {"tokens": [none], "viewer": {"token": none}}
    pages = Pages(server)
    body = {"token": admin.token}
    assert pages.http.post("/session", json=body, headers=pages.headers).status_code == 200
    one = {"session_count": 1}
    assert pages.data(count) == {"tokens": [one], "viewer": {"token": one}}
    pages.http.delete("/session", headers=pages.headers)
    assert admin.data(count)["tokens"] == [none]


def test_the_tokens_of_people_are_not_managed_as_tokens(server: Server, admin: Client) -> None:
    link = invite(admin, "Ana")
    pages = enter(server, link)
    token_id = pages.data("{ viewer { token { id } } }")["viewer"]["token"]["id"]
    revoke = "mutation($id: ID!) { revokeToken(id: $id) { id } }"
    admin.expect_error("tokens_not_found", revoke, id=token_id)
    url = ("--database-url", server.database_url)
    assert token_id not in run_regulars("token", "list", "--json", *url).stdout
    for command in (("revoke", token_id), ("rename", token_id, "x")):
        assert run_regulars("token", *command, *url).returncode == 1
    assert pages.data(VIEWER)["viewer"]["person"]["name"] == "Ana"


def test_people_are_managed_on_the_command_line(server: Server, admin: Client) -> None:
    account = find_account_name(server, admin.token)
    database = ("--database-url", server.database_url, "--account", account)

    def run(*arguments: str) -> str:
        form = () if "--json" in arguments else ("--table",)
        result = run_regulars("people", *arguments, *form, *database)
        assert result.returncode == 0, result.stderr
        return result.stdout

    pages_url = ("--pages", "https://customers.example.com")
    assert "Would invite Ana" in run("invite", "Ana", "--role", "support", "--dry-run")
    invited = json.loads(run("invite", "Ana", "--role", "support", *pages_url, "--json"))
    assert invited["link"].startswith("https://customers.example.com/sign-in#")
    newer = run("link", "Ana", *pages_url).splitlines()[-1]
    assert Pages(server).sign_in("#" + invited["link"].partition("#")[2]) == 401
    pages = Pages(server)
    assert pages.sign_in("/sign-in#" + newer.partition("#")[2]) == 200
    assert "Would change the role of Ana to owner." in run("role", "Ana", "owner", "--dry-run")
    assert run("role", invited["person"]["id"], "owner") == "Changed the role of Ana to owner.\n"
    (row,) = json.loads(run("list", "--json"))
    assert (row["name"], row["role"], row["state"]) == ("Ana", "owner", "active")
    for arguments, message in (
        (("role", "Ana", "support"), "is the only owner"),
        (("role", "Ben", "support"), "No person is named 'Ben'"),
        (("role", "Ana", "suport"), "Did you mean"),
        (("remove", "Ana"), "Pass --yes"),
        (("invite", "Ana"), "already named"),
    ):
        result = run_regulars("people", *arguments, *database)
        assert result.returncode != 0
        assert message in result.stderr
    enter(server, invite(admin, "Ben", "owner"))
    assert run("remove", "Ana", "--yes") == "Removed Ana.\n"


@pytest.mark.slow
def test_verify_copy_and_the_deletion_of_an_account_include_people(
    server: Server, admin: Client, empty_database: str
) -> None:
    account = find_account_name(server, admin.token)
    name = f"Ana of {account}"
    enter(server, invite(admin, name))
    url = ("--database-url", server.database_url)
    result = run_regulars("verify", *url)
    assert result.returncode == 0, result.stdout
    result = run_regulars("copy", server.database_url, empty_database)
    assert result.returncode == 0, result.stderr
    target = ("--database-url", empty_database)
    listed = run_regulars("people", "list", "--json", "--account", account, *target).stdout
    assert [row["name"] for row in json.loads(listed)] == [name]

    async def damage(store: Store) -> None:
        statement = tokens.update().where(tokens.c.name == name)
        await store.execute([(Query(statement.values(scopes="admin")), {})])

    with_store(empty_database, damage)
    assert "does not have the scopes of the role" in run_regulars("verify", *target).stdout
    assert run_regulars("account", "delete", account, "--yes", *target).returncode == 0

    async def count(store: Store) -> int:
        statement = sa.select(sa.func.count()).select_from(people_table)
        (row,) = await store.fetch(Query(statement.where(people_table.c.name == name)), {})
        return int(row[0])

    assert with_store(empty_database, count) == 0
