"""Sessions: signing in with a browser, and protection from other sites."""

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
    build_environment,
    create_token,
    run_regulars,
    run_server,
    scratch_database,
    with_store,
)

VIEWER_QUERY = {"query": "{ viewer { token { name } account { name } } }"}


class Browser:
    """Acts like a browser: it stores cookies, and sends the origin of requests."""

    def __init__(self, server: Server) -> None:
        self.origin = server.url
        self.http = httpx.Client(base_url=server.url, verify=TLS, timeout=120)
        self.headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, **credentials: str) -> httpx.Response:
        return self.http.post("/session", json=credentials, headers=self.headers)

    def sign_out(self) -> httpx.Response:
        return self.http.delete("/session", headers=self.headers)

    def viewer(self, **headers: str) -> httpx.Response:
        return self.http.post("/api/v2", json=VIEWER_QUERY, headers=headers or self.headers)


@pytest.fixture
def browser(server: Server) -> Iterator[Browser]:
    browser = Browser(server)
    yield browser
    browser.http.close()


def error_key(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    assert error["message"]
    key: str = error["key"]
    return key


def test_a_user_signs_in_with_a_token_and_signs_out(server: Server, browser: Browser) -> None:
    assert error_key(browser.viewer()) == "errors_unauthenticated"
    answer = browser.sign_in(token=create_token(server))
    assert answer.json() == {"data": {"signed_in": True}}
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"regulars_\d+=[\w-]{43}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict", cookie
    )
    assert browser.viewer().json()["data"]["viewer"]["token"] == {"name": "test"}
    cookies = dict(browser.http.cookies)
    assert browser.sign_out().json() == {"data": {"signed_in": False}}
    assert not browser.http.cookies
    browser.http.cookies.update(cookies)
    assert browser.viewer().status_code == 401
    assert browser.sign_out().status_code == 200


def test_the_cookie_is_secure_behind_tls(server: Server, browser: Browser) -> None:
    token = create_token(server)
    for headers in (
        {"Origin": "https://customers.example.com", "Sec-Fetch-Site": "same-origin"},
        {**browser.headers, "X-Forwarded-Proto": "https"},
    ):
        answer = browser.http.post("/session", json={"token": token}, headers=headers)
        assert "; Secure" in answer.headers["set-cookie"]
    headers = {"Host": "customers.example.com", "Sec-Fetch-Site": "same-origin"}
    answer = browser.http.post("/session", json={"token": token}, headers=headers)
    assert answer.headers["set-cookie"].startswith("regulars=")


def test_a_session_is_refused_from_another_site(server: Server, browser: Browser) -> None:
    browser.sign_in(token=create_token(server))
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example.com"},
        {"Origin": f"{browser.origin}.evil.example.com"},
        {"Origin": "null"},
        {"X": "a program that has the cookie"},
    ):
        answer = browser.viewer(**headers)
        assert (answer.status_code, error_key(answer)) == (403, "errors_cross_site")
        for address in ("/import", "/session"):
            answer = browser.http.post(address, json={"token": "x"}, headers=headers)
            assert (answer.status_code, error_key(answer)) == (403, "errors_cross_site")
    assert browser.viewer(Origin=browser.origin).status_code == 200
    # Reads may come from the address bar, and from a browser that sends neither header.
    for headers, status in (
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
    ):
        assert browser.http.get("/export", headers=headers).status_code == status


def test_large_responses_are_compressed_for_the_pages(client: Client, browser: Browser) -> None:
    """By their size and the headers of the request, on the fast path and through ASGI."""
    client.data(
        "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { saved } }",
        nodes=[{"email": f"p{n}@example.com", "first_name": "Ana"} for n in range(60)],
    )
    browser.sign_in(token=client.token)
    body = b'{"query":"{ customers(first: 60) { edges { node { id email full_name } } } }"}'
    small = b'{"query":"{ customers(first: 1) { edges { node { id } } } }"}'
    expected = client.http.post(
        "/api/v2", content=body, headers={"Content-Type": "application/json"}
    )
    assert len(expected.content) > 2_000
    assert "content-encoding" not in expected.headers

    def post(content: bytes | Iterator[bytes], accepted: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Accept-Encoding": accepted}
        url = "/api/v2"
        answer = browser.http.post(url, content=content, headers={**browser.headers, **headers})
        assert answer.status_code == 200
        return answer

    for accepted in ("gzip", "br, gzip, deflate", "GZIP;q=0.5", "br;q=1.0, gzip;q=0.8"):
        for content in (body, iter([body])):  # with a length, and in chunks
            answer = post(content, accepted)
            assert answer.headers["content-encoding"] == "gzip"
            assert int(answer.headers["content-length"]) < len(expected.content) / 3
            assert answer.json() == expected.json()
    for accepted in ("identity", "gzip;q=0", "gzip; q=0.0, br", "xgzip", "br"):
        answer = post(body, accepted)
        assert "content-encoding" not in answer.headers
        assert answer.json() == expected.json()
    assert "content-encoding" not in post(small, "gzip").headers


def test_a_token_takes_precedence_over_a_cookie(server: Server, browser: Browser) -> None:
    browser.sign_in(token=create_token(server))
    other = create_token(server, scopes=("metrics",))
    answer = browser.viewer(Authorization=f"Bearer {other}", Origin="https://evil.example.com")
    assert answer.status_code == 200
    assert browser.viewer(Authorization="Bearer nothing").status_code == 401


def test_basic_authentication_of_a_proxy_is_ignored(server: Server, browser: Browser) -> None:
    browser.sign_in(token=create_token(server))
    for _ in range(2):  # from the database, and from the cache
        answer = browser.viewer(Authorization="Basic YTpi", **browser.headers)
        assert answer.json()["data"]["viewer"]["token"] == {"name": "test"}


def test_the_url_option_requires_the_link_option(server: Server) -> None:
    url = ("--database-url", server.database_url)
    result = run_regulars("token", "create", "--url", "https://example.com", *url)
    assert result.returncode == 2
    assert "requires --link" in result.stderr


def test_an_invalid_token_or_link_is_refused(browser: Browser) -> None:
    for credentials in ({"token": "rgl_nothing"}, {"link": "nothing"}):
        answer = browser.sign_in(**credentials)
        assert (answer.status_code, error_key(answer)) == (401, "errors_unauthenticated")
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
        assert (answer.status_code, error_key(answer)) == (400, "errors_bad_request")
    answer = post(
        "/session", content=b"{", headers={**browser.headers, "Content-Type": "application/json"}
    )
    assert error_key(answer) == "errors_bad_request"
    answer = post("/session", data={"token": "x"}, headers=browser.headers)
    assert error_key(answer) == "errors_media_type"
    assert error_key(browser.http.get("/session")) == "errors_method"


@pytest.mark.slow
def test_a_session_ends_with_its_token(server: Server, browser: Browser) -> None:
    name = f"ends {time.monotonic_ns()}"
    assert run_regulars("account", "create", name, "--database-url", server.database_url)
    token = create_token(server, name, scopes=("admin",))
    browser.sign_in(token=token)
    query = {"query": "{ viewer { token { id } } }"}
    answer = browser.http.post("/api/v2", json=query, headers=browser.headers)
    token_id = answer.json()["data"]["viewer"]["token"]["id"]
    revoke = {"query": f'mutation {{ revokeToken(id: "{token_id}") {{ state }} }}'}
    answer = browser.http.post("/api/v2", json=revoke, headers=browser.headers)
    assert answer.json() == {"data": {"revokeToken": {"state": "revoked"}}}
    time.sleep(1.05)
    assert browser.viewer().status_code == 401
    assert browser.sign_in(token=token).status_code == 401


@pytest.mark.slow
def test_an_unused_session_expires(empty_database: str) -> None:
    with run_server(empty_database, "--session-hours", "0.0004") as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        assert browser.viewer().status_code == 200
        time.sleep(2.6)
        assert browser.viewer().status_code == 401
        browser.http.close()


def create_link(server: Server, *options: str) -> str:
    """Creates an account and a sign-in link for it. Returns the code of the link."""
    name = f"linked {time.monotonic_ns()}"
    url = ("--database-url", server.database_url)
    assert run_regulars("account", "create", name, *url).returncode == 0
    result = run_regulars(
        "token", "create", "--account", name, "--name", "Ana", "--link", *options, *url
    )
    assert "rgl_" not in result.stdout
    page_url, _, code = result.stdout.strip().partition("#")
    assert page_url == "https://customers.example.com/sign-in"
    return code


def test_a_link_signs_in_once(server: Server, browser: Browser) -> None:
    code = create_link(server, "--url", "https://customers.example.com/")
    assert browser.sign_in(token=code).status_code == 401
    assert browser.sign_in(link=code).status_code == 200
    assert browser.viewer().json()["data"]["viewer"]["token"] == {"name": "Ana"}
    second = Browser(server)
    assert second.sign_in(link=code).status_code == 401
    second.http.close()
    session = next(iter(browser.http.cookies.values()))
    assert browser.sign_in(link=session).status_code == 401


@pytest.mark.slow
def test_the_first_start_shows_a_link(empty_database: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", "0"],
        env=build_environment({"REGULARS_DATABASE_URL": empty_database}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        output = "".join(process.stdout.readline() for _ in range(6))
        link = re.search(r"(http://\S+)/sign-in#(\S+)", output)
        assert link, output
        browser = Browser(Server(link[1], empty_database, process.pid, OpenStore(empty_database)))
        assert browser.sign_in(link=link[2]).status_code == 200
        assert browser.viewer().json()["data"]["viewer"]["account"] == {"name": "default"}
        browser.http.close()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.mark.slow
def test_a_configured_token_prints_no_link(tmp_path: Path) -> None:
    """The log of a container must not contain a credential."""
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", "0"],
        env=build_environment(
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
    output = "".join(process.stdout.readline() for _ in range(6))
    process.terminate()
    process.wait(30)
    process.stdout.close()
    assert "sign in with a token" in output
    assert "sign-in" not in output
    assert BOOTSTRAP_TOKEN not in output


def test_sessions_and_links_are_stored_hashed(server: Server, browser: Browser) -> None:
    code = create_link(server, "--url", "https://customers.example.com")
    browser.sign_in(token=create_token(server))
    secret = next(iter(browser.http.cookies.values()))

    async def read_sessions(store: Store) -> str:
        return str(await store.fetch(Query(sa.select(sessions)), {}))

    stored_text = with_store(server.database_url, read_sessions)
    assert code not in stored_text
    assert secret not in stored_text


@pytest.mark.slow
def test_a_sign_out_reaches_every_process_within_a_second(postgresql: str) -> None:
    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        cookies = dict(browser.http.cookies)

        def statuses() -> set[int]:
            codes = set()
            for _ in range(12):
                another = Browser(server)
                another.http.cookies.update(cookies)
                codes.add(another.viewer().status_code)
                another.http.close()
            return codes

        assert statuses() == {200}
        browser.sign_out()
        time.sleep(1.05)
        assert statuses() == {401}
        browser.http.close()


@pytest.mark.slow
def test_the_log_contains_no_session_secret(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log, run_server(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        browser = Browser(server)
        browser.sign_in(token=BOOTSTRAP_TOKEN)
        secret = next(iter(browser.http.cookies.values()))
        browser.viewer()
        browser.sign_in(link="code-of-a-link")
        browser.http.close()
    text = path.read_text()
    assert '"kind":"session"' in text
    for secret_text in (secret, BOOTSTRAP_TOKEN, "code-of-a-link"):
        assert secret_text not in text


def test_old_sessions_are_deleted(client: Client) -> None:
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
