"""Sessions: how a person's browser comes in, and how nobody else does."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.accounts.sessions import Sessions, delete_expired
from regulars.store import Store
from regulars.store.auth_tables import sessions
from regulars.store.query import Query
from tests.support import (
    BOOTSTRAP_TOKEN,
    TLS,
    Client,
    OpenStore,
    Server,
    environment,
    new_token,
    regulars,
    running,
    scratch_database,
    with_store,
)

WHO = {"query": "{ viewer { token { name } account { name } } }"}


class Browser:
    """What a browser does of itself: it keeps cookies, and says where a request is from."""

    def __init__(self, server: Server) -> None:
        self.origin = server.url
        self.http = httpx.Client(base_url=server.url, verify=TLS, timeout=30)
        self.headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, **given: str) -> httpx.Response:
        return self.http.post("/session", json=given, headers=self.headers)

    def sign_out(self) -> httpx.Response:
        return self.http.delete("/session", headers=self.headers)

    def who(self, **headers: str) -> httpx.Response:
        return self.http.post("/api/v2", json=WHO, headers=headers or self.headers)


@pytest.fixture
def browser(server: Server) -> Iterator[Browser]:
    made = Browser(server)
    yield made
    made.http.close()


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    assert error["message"]
    key: str = error["key"]
    return key


def test_a_person_signs_in_with_a_token_and_out_again(server: Server, browser: Browser) -> None:
    assert key_of(browser.who()) == "errors_unauthenticated"
    answer = browser.sign_in(token=new_token(server))
    assert answer.json() == {"data": {"signed_in": True}}
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"regulars_\d+=[\w-]{43}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict", cookie
    )
    assert browser.who().json()["data"]["viewer"]["token"] == {"name": "test"}
    kept = dict(browser.http.cookies)
    assert browser.sign_out().json() == {"data": {"signed_in": False}}
    assert not browser.http.cookies
    browser.http.cookies.update(kept)
    assert browser.who().status_code == 401
    assert browser.sign_out().status_code == 200


def test_the_cookie_is_secure_behind_tls(server: Server, browser: Browser) -> None:
    token = new_token(server)
    for headers in (
        {"Origin": "https://customers.example.com", "Sec-Fetch-Site": "same-origin"},
        {**browser.headers, "X-Forwarded-Proto": "https"},
    ):
        answer = browser.http.post("/session", json={"token": token}, headers=headers)
        assert "; Secure" in answer.headers["set-cookie"]
    headers = {"Host": "customers.example.com", "Sec-Fetch-Site": "same-origin"}
    answer = browser.http.post("/session", json={"token": token}, headers=headers)
    assert answer.headers["set-cookie"].startswith("regulars=")


def test_the_cookie_opens_nothing_to_another_site(server: Server, browser: Browser) -> None:
    browser.sign_in(token=new_token(server))
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example.com"},
        {"Origin": f"{browser.origin}.evil.example.com"},
        {"Origin": "null"},
        {"X": "a program that has the cookie"},
    ):
        answer = browser.who(**headers)
        assert (answer.status_code, key_of(answer)) == (403, "errors_cross_site")
        for address in ("/import", "/session"):
            answer = browser.http.post(address, json={"token": "x"}, headers=headers)
            assert (answer.status_code, key_of(answer)) == (403, "errors_cross_site")
    assert browser.who(Origin=browser.origin).status_code == 200
    # What only reads may come from the address bar, and from a browser that says nothing.
    for headers, status in (
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
    ):
        assert browser.http.get("/export", headers=headers).status_code == status


def test_a_token_comes_before_a_cookie(server: Server, browser: Browser) -> None:
    browser.sign_in(token=new_token(server))
    other = new_token(server, scopes=("metrics",))
    answer = browser.who(Authorization=f"Bearer {other}", Origin="https://evil.example.com")
    assert answer.status_code == 200
    assert browser.who(Authorization="Bearer nothing").status_code == 401


def test_a_proxys_password_is_not_in_the_way(server: Server, browser: Browser) -> None:
    browser.sign_in(token=new_token(server))
    for _ in range(2):  # looked up, and remembered
        answer = browser.who(Authorization="Basic YTpi", **browser.headers)
        assert answer.json()["data"]["viewer"]["token"] == {"name": "test"}


def test_a_link_is_what_an_address_is_for(server: Server) -> None:
    url = ("--database-url", server.database_url)
    refused = regulars("token", "create", "--url", "https://example.com", *url)
    assert refused.returncode == 2
    assert "give --link" in refused.stderr


def test_a_wrong_token_signs_nobody_in(browser: Browser) -> None:
    for given in ({"token": "rgl_nothing"}, {"link": "nothing"}):
        answer = browser.sign_in(**given)
        assert (answer.status_code, key_of(answer)) == (401, "errors_unauthenticated")
        assert "set-cookie" not in answer.headers
        assert "regulars token create" in answer.json()["errors"][0]["message"]
    post = browser.http.post
    bodies: list[Any] = [
        {},
        {"token": ""},
        {"token": 5},
        {"x": "y"},
        [],
        {"token": "a", "link": "b"},
    ]
    for body in bodies:
        answer = post("/session", json=body, headers=browser.headers)
        assert (answer.status_code, key_of(answer)) == (400, "errors_bad_request")
    answer = post(
        "/session", content=b"{", headers={**browser.headers, "Content-Type": "application/json"}
    )
    assert key_of(answer) == "errors_bad_request"
    answer = post("/session", data={"token": "x"}, headers=browser.headers)
    assert key_of(answer) == "errors_media_type"
    assert key_of(browser.http.get("/session")) == "errors_method"


def test_a_session_ends_with_its_token(server: Server, browser: Browser) -> None:
    name = f"ends {time.monotonic_ns()}"
    assert regulars("account", "create", name, "--database-url", server.database_url)
    token = new_token(server, name, scopes=("admin",))
    browser.sign_in(token=token)
    asked = {"query": "{ viewer { token { id } } }"}
    answer = browser.http.post("/api/v2", json=asked, headers=browser.headers)
    token_id = answer.json()["data"]["viewer"]["token"]["id"]
    revoke = {"query": f'mutation {{ revokeToken(id: "{token_id}") {{ state }} }}'}
    answer = browser.http.post("/api/v2", json=revoke, headers=browser.headers)
    assert answer.json() == {"data": {"revokeToken": {"state": "revoked"}}}
    time.sleep(1.05)
    assert browser.who().status_code == 401
    assert browser.sign_in(token=token).status_code == 401


@pytest.mark.slow
def test_a_session_that_is_not_used_ends(empty_database: str) -> None:
    with running(empty_database, "--session-hours", "0.0004") as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        assert browser.who().status_code == 200
        time.sleep(2.6)
        assert browser.who().status_code == 401
        browser.http.close()


def link_of(server: Server, *options: str) -> str:
    """The code of a link that the command makes for a new account."""
    name = f"linked {time.monotonic_ns()}"
    url = ("--database-url", server.database_url)
    assert regulars("account", "create", name, *url).returncode == 0
    made = regulars("token", "create", "--account", name, "--name", "Ana", "--link", *options, *url)
    assert "rgl_" not in made.stdout
    where, _, code = made.stdout.strip().partition("#")
    assert where == "https://customers.example.com/sign-in"
    return code


def test_a_link_signs_in_once(server: Server, browser: Browser) -> None:
    code = link_of(server, "--url", "https://customers.example.com/")
    assert browser.sign_in(token=code).status_code == 401
    assert browser.sign_in(link=code).status_code == 200
    assert browser.who().json()["data"]["viewer"]["token"] == {"name": "Ana"}
    second = Browser(server)
    assert second.sign_in(link=code).status_code == 401
    second.http.close()
    session = next(iter(browser.http.cookies.values()))
    assert browser.sign_in(link=session).status_code == 401


@pytest.mark.slow
def test_the_first_start_shows_a_link(empty_database: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", "0"],
        env=environment({"REGULARS_DATABASE_URL": empty_database}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        said = "".join(process.stdout.readline() for _ in range(6))
        link = re.search(r"(http://\S+)/sign-in#(\S+)", said)
        assert link, said
        browser = Browser(Server(link[1], empty_database, process.pid, OpenStore(empty_database)))
        assert browser.sign_in(link=link[2]).status_code == 200
        assert browser.who().json()["data"]["viewer"]["account"] == {"name": "default"}
        browser.http.close()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_token_that_is_given_has_no_link_printed(tmp_path: Path) -> None:
    """It is given so that nothing in a container's log lets anybody in."""
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", "0"],
        env=environment(
            {
                "REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}",
                "REGULARS_BOOTSTRAP_TOKEN": BOOTSTRAP_TOKEN,
            }
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    said = "".join(process.stdout.readline() for _ in range(6))
    process.terminate()
    process.wait(30)
    process.stdout.close()
    assert "sign in with a token" in said
    assert "sign-in" not in said
    assert BOOTSTRAP_TOKEN not in said


def test_neither_a_session_nor_a_link_is_kept_as_it_is(server: Server, browser: Browser) -> None:
    code = link_of(server, "--url", "https://customers.example.com")
    browser.sign_in(token=new_token(server))
    secret = next(iter(browser.http.cookies.values()))

    async def kept(store: Store) -> str:
        return str(await store.fetch(Query(sa.select(sessions)), {}))

    found = with_store(server.database_url, kept)
    assert code not in found
    assert secret not in found


@pytest.mark.slow
def test_who_signs_out_is_out_within_a_second_in_every_process(postgresql: str) -> None:
    with scratch_database(postgresql) as url, running(url, "--workers", "2") as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        kept = dict(browser.http.cookies)

        def statuses() -> set[int]:
            found = set()
            for _ in range(12):
                one = Browser(server)
                one.http.cookies.update(kept)
                found.add(one.who().status_code)
                one.http.close()
            return found

        assert statuses() == {200}
        browser.sign_out()
        time.sleep(1.05)
        assert statuses() == {401}
        browser.http.close()


@pytest.mark.slow
def test_the_log_has_no_secret_of_a_session(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log, running(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        secret = next(iter(browser.http.cookies.values()))
        browser.who()
        browser.sign_in(link="code-of-a-link")
        browser.http.close()
    text = path.read_text()
    assert '"kind":"session"' in text
    for one in (secret, BOOTSTRAP_TOKEN, "code-of-a-link"):
        assert one not in text


def test_old_sessions_are_forgotten(client: Client) -> None:
    async def work(store: Store) -> tuple[int, int]:
        grant = await Accounts(store).authenticate(client.token)
        assert grant
        past = Sessions(store, Accounts(store), 1, clock=lambda: 1_000)
        await past.link(grant.token_id)
        count = Query(
            sa.select(sa.func.count()).select_from(sessions).where(sessions.c.created_at == 1_000)
        )
        ((before,),) = await store.fetch(count, {})
        await delete_expired(store, 1_000 + 3_600_000)
        ((after,),) = await store.fetch(count, {})
        return before, after

    assert with_store(client.server.database_url, work) == (1, 0)
