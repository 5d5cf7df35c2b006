"""Tests of signing in and out, and of the privacy of the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from tests.browser import Person, sign_in_person
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    get,
    run_regulars,
    run_server,
)

pytestmark = pytest.mark.slow


@pytest.mark.smoke
def test_a_person_signs_in_and_out(person: Person) -> None:
    person.context.clear_cookies()
    person.sign_in()
    page = person.page
    expect(page.locator(".viewer")).to_contain_text("test")
    # Scripts can read neither the token nor the session.
    storage = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert person.client.token not in storage
    assert "regulars_" not in storage
    (cookie,) = person.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Regulars")).to_be_visible()
    assert person.context.cookies() == []
    page.goto("/overview")
    expect(page.get_by_label("Token")).to_be_focused()


def test_no_data_of_an_account_remains_after_signing_out(person: Person, other: Client) -> None:
    person.client.create("mine@example.com")
    other.create("theirs@example.com")
    page = person.open("/explorer")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Response", exact=True)).to_contain_text("mine@example.com")
    person.open("/customers")
    page.get_by_label("Select mine@example.com").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1").click()
    # Signing out sends pending deletions first.
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(other.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="theirs@example.com")).to_be_visible()
    expect(page.get_by_label("Selection")).to_be_hidden()
    assert page.evaluate("localStorage.getItem('explorer')") is None
    assert (person.client.emails(), other.emails()) == ([], ["theirs@example.com"])
    # The session ends, and a person of another account signs in: the page is loaded again.
    person.context.clear_cookies()
    page.get_by_role("button", name="Total spent", exact=True).click()
    person.client.create("back@example.com")
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    dialog.get_by_label("Token").fill(person.client.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="back@example.com")).to_be_visible()
    expect(page.get_by_role("link", name="theirs@example.com")).to_have_count(0)


@pytest.mark.smoke
def test_an_invalid_token_is_reported_at_its_field(browser: Browser, server: Server) -> None:
    with Client(server, create_token(server)) as client:
        person = Person(browser, server, client)
        page = person.page
        page.goto("/customers?q=ana")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Token")).to_have_accessible_description(
            "No token? Ask your administrator, or run regulars token create. "
            "Paste your access token or sign-in link."
        )
        page.get_by_label("Token").fill("rgl_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".problem")).to_contain_text("is not valid")
        page.get_by_label("Token").fill(client.token)
        page.keyboard.press("Enter")
        # The person arrives at the page that they opened.
        page.wait_for_url("**/customers?q=ana")
        expect(page.get_by_role("combobox", name="Search")).to_have_value("ana")
        person.close()


def create_link(client: Client, name: str = "Ana") -> str:
    """Create a sign-in link for a new token of the account."""
    server = client.server
    account = find_account_name(server, client.token)
    process = run_regulars(
        *("token", "create", "--account", account, "--name", name, "--link"),
        *("--database-url", server.database_url, "--url", server.url),
    )
    return process.stdout.strip()


def test_a_sign_in_link_works_once_and_stays_out_of_the_history(
    browser: Browser, server: Server
) -> None:
    with Client(server, create_token(server)) as client:
        link = create_link(client)
        person = Person(browser, server, client)
        page = person.page
        page.goto(link)
        expect(page.locator(".viewer")).to_contain_text("Ana")
        assert link.partition("#")[2] not in page.url
        # Opened again, it says so, and the person stays signed in.
        page.goto("about:blank")
        page.goto(link)
        expect(page.locator(".toast")).to_contain_text("You are still signed in.")
        expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
        person.context.clear_cookies()
        page.goto("about:blank")
        page.goto(link)
        expect(page.get_by_role("alert").first).to_contain_text("has already been used")
        # A wrong token replaces this message.
        page.get_by_label("Token").fill("rgl_wrong")
        page.keyboard.press("Enter")
        expect(page.locator(".problem")).to_contain_text("token is not valid")
        expect(page.locator(".notice")).to_have_count(0)
        person.close()


def test_a_link_signs_in_from_the_sign_in_page_in_the_same_tab(
    browser: Browser, server: Server
) -> None:
    with Client(server, create_token(server)) as client:
        person = Person(browser, server, client)
        page = person.page
        page.goto("/")
        page.get_by_label("Token").wait_for()
        # Only the part after the # changes, so the page is not loaded again.
        page.goto(create_link(client))
        expect(page.locator(".viewer")).to_contain_text("Ana")
        expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
        expect(page.get_by_label("Token")).to_have_count(0)
        expect(page.locator("body")).not_to_have_class("signing-in")
        page.wait_for_url("**/customers")
        # A person who is signed in has no use for the form.
        page.goto("/sign-in")
        expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
        page.wait_for_url("**/customers")
        # Nor has one who has signed in in another tab.
        person.context.clear_cookies()
        page.goto("/overview")
        page.get_by_label("Token").wait_for()
        person.create_session()
        page.reload()
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        person.close()


@pytest.mark.parametrize("path", ["/", "/customers", "/overview", "/sign-in"])
def test_the_progress_bar_ends_after_signing_in(
    browser: Browser, server: Server, path: str
) -> None:
    with Client(server, create_token(server)) as client:
        person = Person(browser, server, client)
        page = person.page
        page.goto(path)
        page.get_by_label("Token").fill(client.token)
        page.keyboard.press("Enter")
        expect(page.locator(".viewer")).to_be_visible()
        page.wait_for_load_state("networkidle")
        expect(page.locator("#progress")).to_have_class("progress")
        page.wait_for_timeout(1_200)  # a request that takes long would be announced
        expect(page.locator("#status")).not_to_contain_text("Loading")
        person.close()


def test_the_announcement_of_a_slow_request_ends(person: Person) -> None:
    page = person.open("/customers")
    is_slow = True

    def delay(route: Route) -> None:
        while is_slow:
            page.wait_for_timeout(50)
        route.continue_()

    page.route("**/api/v2", delay)
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#status")).to_have_text("Loading…")
    is_slow = False
    page.get_by_role("heading", name="Overview", level=1).wait_for()
    expect(page.locator("#status")).not_to_contain_text("Loading")
    expect(page.locator("#progress")).to_have_class("progress")


def test_unsaved_input_survives_the_end_of_the_session(person: Person) -> None:
    page = person.open("/customers/new")
    page.get_by_label("Email").first.fill("ana@example.com")
    person.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    dialog.get_by_label("Token").fill(person.client.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="ana@example.com")).to_be_visible()
    assert person.client.emails() == ["ana@example.com"]


def test_a_new_link_continues_where_the_session_ended(person: Person) -> None:
    """In another tab, or pasted into the dialog."""
    page = person.open("/customers/new")
    for number, paste in enumerate((False, True)):
        email = f"ana{number}@example.com"
        page.get_by_label("Email").first.fill(email)
        page.get_by_label("Notes").fill("Calls back.")
        person.context.clear_cookies()
        page.get_by_role("button", name="Create").click()
        dialog = page.get_by_role("dialog", name="Sign in to Regulars")
        link = create_link(person.client, f"Ana {number}")
        if paste:
            dialog.get_by_label("Token").fill(link)
            page.keyboard.press("Enter")
        else:
            tab = person.open_tab()
            tab.goto(link)
            expect(tab.locator(".viewer")).to_contain_text("Ana 0")
            tab.close()
        expect(page.get_by_role("heading", name=email)).to_be_visible()
        expect(page.locator(".viewer")).to_contain_text(f"Ana {number}")
        expect(dialog).to_have_count(0)
        page.goto("/customers/new")
    assert person.client.emails("order_dir:asc") == ["ana0@example.com", "ana1@example.com"]


def test_the_session_of_another_account_does_not_continue_a_page(
    person: Person, other: Client
) -> None:
    page = person.open("/customers/new")
    page.get_by_label("Email").first.fill("ana@example.com")
    person.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    tab = person.open_tab()
    tab.goto(create_link(other, "Bo"))
    expect(tab.locator(".viewer")).to_contain_text("Bo")
    tab.close()
    expect(dialog).to_contain_text("Another account is signed in")
    assert person.client.emails() == other.emails() == []


def test_the_sign_in_dialog_gives_back_what_was_typed(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana")
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = person.open("/customers/1")
    page.get_by_role("button", name="Add notes").click()
    page.get_by_label("Notes").last.fill("Wants the blue one.\nCall on Monday.")
    person.context.clear_cookies()
    page.keyboard.press("Control+Enter")
    dialog = page.get_by_role("dialog", name="Sign in to Regulars")
    dialog.get_by_role("button", name="Copy what I typed").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "Notes: Wants the blue one.\nCall on Monday."
    # The page can be used without a session, and asks again when it needs one.
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    notes = page.get_by_label("Notes").last
    expect(notes).to_have_value("Wants the blue one.\nCall on Monday.")
    expect(page.locator(".notice", has_text="You are signed out.")).to_be_visible()
    page.wait_for_timeout(5_000)  # the page looks for changes, and does not ask
    expect(dialog).to_have_count(0)
    notes.press("Control+Enter")
    dialog.get_by_label("Token").fill(person.client.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.locator(".timeline").last).to_contain_text("Notes")
    expect(page.get_by_role("button", name="Edit Notes:")).to_contain_text("Wants the blue one.")


def test_a_read_only_token_hides_changes(browser: Browser, server: Server) -> None:
    with Client(server, create_token(server)) as client:
        created = client.create("ana@example.com", first_name="Ana")
        account = find_account_name(server, client.token)
        token = create_token(server, account, scopes=("customers:read",))
        with Client(server, token) as reader:
            person = Person(browser, server, reader)
            person.sign_in()
            page = person.page
            links = page.get_by_role("navigation", name="Pages").get_by_role("link")
            expect(links).to_have_text(
                ["Customers", "Segments", "Tags", "Overview", "Trash", "Explorer"]
            )
            expect(page.get_by_role("link", name="New customer")).to_have_count(0)
            person.open(f"/customers/{created['_id']}")
            expect(page.get_by_text("ana@example.com").first).to_be_visible()
            expect(page.get_by_role("button", name="Edit")).to_have_count(0)
            page.locator("summary", has_text="More").click()
            expect(page.get_by_role("button", name="Print")).to_be_visible()
            expect(page.get_by_role("button", name="Delete")).to_have_count(0)
            expect(page.get_by_label("New comment")).to_have_count(0)
            refused = page.get_by_role("heading", name="You cannot add or change customers")
            for path in ("/imports", "/customers/new"):
                person.open(path)
                expect(refused).to_be_visible()
            person.open("/tokens")
            expect(page.locator(".empty-state")).to_contain_text("Ask your administrator")
            expect(page.get_by_role("button", name="Try again")).to_have_count(0)
            page.get_by_role("link", name="Back to customers").click()
            expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_focused()
            person.close()


def test_the_pages_load_nothing_from_elsewhere(person: Person) -> None:
    person.client.create("ana@example.com", first_name="<script>alert(1)</script>")
    for path in ("/customers", "/customers/1", "/overview", "/imports", "/tokens", "/explorer"):
        person.open(path)
    person.page.wait_for_timeout(300)
    assert person.requested_urls
    assert {url for url in person.requested_urls if not url.startswith(person.server.url)} == set()


def test_avatars_are_requested_only_with_the_gravatar_option(
    browser: Browser, tmp_path: Path
) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", "--gravatar") as server:
        with sign_in_person(browser, server) as person:
            person.client.create("ana@example.com", first_name="Ana", last_name="Núñez")
            requested_urls: list[str] = []

            def reject(route: Route, request: Request) -> None:
                requested_urls.append(request.url)
                route.fulfill(status=404)

            person.context.route("https://www.gravatar.com/**", reject)
            page = person.open("/customers")
            expect(page.locator(".avatar")).to_have_text("AN")
            page.wait_for_timeout(200)
            assert requested_urls
            assert all("d=404" in url for url in requested_urls)
            expect(page.locator(".avatar img")).to_have_count(0)


def test_pages_are_revalidated_and_assets_are_immutable(server: Server) -> None:
    answer = get(f"{server.url}/customers", headers={"Accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-cache"
    unchanged = get(f"{server.url}/", headers={"If-None-Match": answer.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    script = answer.text.split('<script type="module" src="')[1].split('"')[0]
    asset = get(f"{server.url}{script}")
    assert asset.headers["content-type"].startswith("text/javascript")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    identity = get(f"{server.url}{script}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in identity.headers
    for accepted, encoding in (("gzip, deflate", "gzip"), ("gzip, deflate, br", "br")):
        compressed = get(f"{server.url}{script}", headers={"Accept-Encoding": accepted})
        assert compressed.headers["content-encoding"] == encoding
        assert compressed.text == identity.text
    for path, language in (("/", "en"), ("/", "fr"), ("/sign-in", "en"), ("/sign-in", "ar")):
        page = get(f"{server.url}{path}", headers={"Accept-Language": language})
        assert page.headers["content-language"] == language
        assert page.headers["content-encoding"], (path, language)
    outdated = get(f"{server.url}/assets/0000000000000000/app.js")
    assert (outdated.status_code, outdated.json()["errors"][0]["key"]) == (404, "errors_not_found")
    missing = get(f"{server.url}/nothing", headers={"Accept": "text/html,*/*"})
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
