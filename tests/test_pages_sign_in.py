"""Signing in and out, and what the pages keep to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.browser import Person, person_at
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    get,
    run_regulars,
    run_server,
)

pytestmark = [pytest.mark.slow, pytest.mark.any_database]


@pytest.mark.smoke
def test_a_person_signs_in_and_out(person: Person) -> None:
    person.context.clear_cookies()
    person.signs_in()
    page = person.page
    expect(page.locator(".who")).to_contain_text("test")
    # What a script could read has neither the token nor the session.
    kept = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert person.client.token not in kept
    assert "regulars_" not in kept
    (cookie,) = person.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Regulars")).to_be_visible()
    assert person.context.cookies() == []
    page.goto("/overview")
    expect(page.get_by_label("Token")).to_be_focused()


def test_nothing_of_one_account_is_there_in_another(person: Person, other: Client) -> None:
    person.client.create("mine@example.com")
    other.create("theirs@example.com")
    page = person.goes("/explorer")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Answer", exact=True)).to_contain_text("mine@example.com")
    person.goes("/customers")
    page.get_by_label("Select mine@example.com").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1").click()
    # What waits to be deleted is deleted before one is out.
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(other.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="theirs@example.com")).to_be_visible()
    expect(page.get_by_label("Selection")).to_be_hidden()
    assert page.evaluate("localStorage.getItem('explorer')") is None
    assert (person.client.emails(), other.emails()) == ([], ["theirs@example.com"])
    # The session ends, and somebody of another account goes on: with a page of theirs.
    person.context.clear_cookies()
    page.get_by_role("button", name="Spend", exact=True).click()
    person.client.create("back@example.com")
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    dialog.get_by_label("Token").fill(person.client.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="back@example.com")).to_be_visible()
    expect(page.get_by_role("link", name="theirs@example.com")).to_have_count(0)


@pytest.mark.smoke
def test_a_wrong_token_is_told_at_its_field(browser: Browser, server: Server) -> None:
    with Client(server, create_token(server)) as client:
        person = Person(browser, server, client)
        page = person.page
        page.goto("/customers?q=ana")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Token")).to_have_accessible_description(
            "The server showed one at its first start; regulars token create makes another. "
            "Paste a token. It begins with rgl_ unless you chose it yourself."
        )
        page.get_by_label("Token").fill("rgl_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".problem")).to_contain_text("is not valid")
        page.get_by_label("Token").fill(client.token)
        page.keyboard.press("Enter")
        # One is where one wanted to go.
        page.wait_for_url("**/customers?q=ana")
        expect(page.get_by_role("combobox", name="Search")).to_have_value("ana")
        person.leaves()


def test_a_link_signs_in_once_and_leaves_the_history(browser: Browser, server: Server) -> None:
    with Client(server, create_token(server)) as client:
        url = ("--database-url", server.database_url)
        account = find_account_name(server, client.token)
        made = run_regulars(
            *("token", "create", "--account", account, "--name", "Ana", "--link", *url),
            *("--url", server.url),
        )
        link = made.stdout.strip()
        person = Person(browser, server, client)
        page = person.page
        page.goto(link)
        expect(page.locator(".who")).to_contain_text("Ana")
        assert link.partition("#")[2] not in page.url
        person.context.clear_cookies()
        page.goto("about:blank")
        page.goto(link)
        expect(page.get_by_role("alert").first).to_contain_text("may have been used")
        person.leaves()


def test_who_is_signed_out_meanwhile_loses_nothing(person: Person) -> None:
    page = person.goes("/customers/new")
    page.get_by_label("Email").first.fill("ana@example.com")
    person.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    dialog.get_by_label("Token").fill(person.client.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="ana@example.com")).to_be_visible()
    assert person.client.emails() == ["ana@example.com"]


def test_who_may_only_read_is_offered_nothing_else(browser: Browser, server: Server) -> None:
    with Client(server, create_token(server)) as client:
        created = client.create("ana@example.com", first_name="Ana")
        account = find_account_name(server, client.token)
        token = create_token(server, account, scopes=("customers:read",))
        with Client(server, token) as reader:
            person = Person(browser, server, reader)
            person.signs_in()
            page = person.page
            links = page.get_by_role("navigation").get_by_role("link")
            expect(links).to_have_text(["Customers", "Overview", "Explorer"])
            expect(page.get_by_role("link", name="New customer")).to_have_count(0)
            person.goes(f"/customers/{created['_id']}")
            expect(page.get_by_text("ana@example.com").first).to_be_visible()
            expect(page.get_by_role("button", name="Edit")).to_have_count(0)
            expect(page.get_by_role("button", name="Delete")).to_have_count(0)
            person.goes("/imports")
            expect(page.get_by_role("heading", name="You may not import")).to_be_visible()
            person.leaves()


def test_the_pages_load_nothing_from_elsewhere(person: Person) -> None:
    person.client.create("ana@example.com", first_name="<script>alert(1)</script>")
    for path in ("/customers", "/customers/1", "/overview", "/imports", "/tokens", "/explorer"):
        person.goes(path)
    person.page.wait_for_timeout(300)
    assert person.asked
    assert {url for url in person.asked if not url.startswith(person.server.url)} == set()


def test_pictures_are_asked_for_only_where_a_setting_allows_it(
    browser: Browser, tmp_path: Path
) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", "--gravatar") as server:
        with person_at(browser, server) as person:
            person.client.create("ana@example.com", first_name="Ana", last_name="Núñez")
            asked: list[str] = []

            def picture(route: object, request: Request) -> None:
                asked.append(request.url)
                route.fulfill(status=404)  # type: ignore[attr-defined]  # a Route

            person.context.route("https://www.gravatar.com/**", picture)
            page = person.goes("/customers")
            expect(page.locator(".avatar")).to_have_text("AN")
            page.wait_for_timeout(200)
            assert asked
            assert all("d=404" in url for url in asked)
            expect(page.locator(".avatar img")).to_have_count(0)


def test_a_page_is_known_by_what_it_holds(server: Server) -> None:
    answer = get(f"{server.url}/customers", headers={"Accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-cache"
    again = get(f"{server.url}/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    script = answer.text.split('<script type="module" src="')[1].split('"')[0]
    kept = get(f"{server.url}{script}")
    assert kept.headers["content-type"].startswith("text/javascript")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    plain = get(f"{server.url}{script}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted, chosen in (("gzip, deflate", "gzip"), ("gzip, deflate, br", "br")):
        packed = get(f"{server.url}{script}", headers={"Accept-Encoding": accepted})
        assert packed.headers["content-encoding"] == chosen
        assert packed.text == plain.text
    old = get(f"{server.url}/assets/0000000000000000/app.js")
    assert (old.status_code, old.json()["errors"][0]["key"]) == (404, "errors_not_found")
    missing = get(f"{server.url}/nothing", headers={"Accept": "text/html,*/*"})
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
