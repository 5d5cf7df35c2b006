"""Tests of all pages: accessibility, narrow screens, dark mode, and size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import NARROW, SCREENSHOTS, WIDE, Person, sign_in_person
from tests.receiver import run_receiver
from tests.support import Server, find_account_name, run_regulars, run_server

pytestmark = pytest.mark.slow

# The tag of the customer whose page is tested.
SHOWN_TAG = "tested"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOR_RULES = ["color-contrast", "link-in-text-block"]
# The responses of the list, headers included, and all files of all pages, as Brotli. Each new page
# adds to the second, and to what nobody loads who does not open it.
MAX_LIST_BYTES = 60_000
# The page of segments and its dialogs are 5 kB. Suggested tags, copied rows, and signing in again
# are 4 kB. The lists of emails, phones and addresses are 4.5 kB, filters, tags and columns 10 kB,
# comments, and the menu and the shortcuts of a customer 3.5 kB.
# Bulk edits, undo, restored values and corrected rows are 8 kB, people, languages and jobs 6 kB.
# The time of a message, numbers to confirm, the frame, and forced colors are 1 kB.
MAX_TOTAL_BYTES = 115_000


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A person whose account has customers, webhooks with deliveries, and an import."""
    url = f"sqlite:///{tmp_path_factory.mktemp('pages') / 'r.db'}"
    with (
        run_receiver() as receiver,
        run_server(url, "--webhook-private-targets") as server,
        sign_in_person(browser, server) as person,
    ):
        account = find_account_name(server, person.client.token)
        run_regulars(
            *("sample", "--customers", "400", "--recent", "--account", account),
            *("--database-url", url),
        )
        create_document = "mutation($node: WebhookInput!) { createWebhook(node: $node) { id } }"
        node = {"type": "contact/updated", "url": f"{receiver.url}/hook"}
        person.client.data(create_document, node=node)
        node = {"type": "contact/signup", "url": f"{receiver.url}/signups"}
        person.client.data(create_document, node=node)
        custom = {"loyalty": "gold", "points": 12, "birthday": "1990-03-18"}
        customer = person.client.page("id", query="orders_count:>4", first=1)["edges"][0]["node"]
        person.client.update(customer["id"], custom=custom, notes="Prefers to be called.\nAfter 5.")
        person.client.update(customer["id"], phone="+212 612 345678", tags=["vip", SHOWN_TAG])
        file = "email,first_name\na@example.com,Ana\nnonsense,Bo\n"
        person.client.http.post("/import?name=customers.csv", content=file)
        yield person


def list_pages(shop: Person) -> dict[str, str]:
    """Return the path of each page, with a selector of its last element to appear."""
    (edge,) = shop.client.page("_id", query=f"tag:{SHOWN_TAG}")["edges"]
    number = edge["node"]["_id"]
    (run,) = shop.client.http.get("/import").json()["data"]
    return {
        "/customers": "table.customers",
        "/customers?q=contry:MA": ".search mark",
        f"/customers/{number}": ".timeline li",
        "/customers/new": "form",
        "/overview": ".tiles",
        "/imports": "table",
        f"/imports?id={run['id']}": ".state.done",
        "/customers?q=tag:vip+country:FR": ".filters li",
        "/segments": ".empty-state",
        "/tags": "table",
        "/trash": ".empty-state",
        "/people": "main .empty-state, main table",
        "/webhooks": ".cards li",
        "/webhooks/1": ".deliveries li",
        "/tokens": "table",
        "/explorer": ".types details",
        "/nothing": ".empty-state",
    }


def check_accessibility(page: Page, within: str | None = None) -> None:
    """Assert that axe finds no violation of the rules, or none `within` elements: an open menu
    covers parts of the page. In the dark, the colors are checked: the pages have the same elements
    as in the light."""
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    rules = {"type": "rule", "values": COLOR_RULES} if is_dark else RULES
    results = Axe().run(page, context=within, options={"runOnly": rules})
    violations = [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]][:5])
        for rule in results.response["violations"]
    ]
    assert violations == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_accessible_and_fits_the_screen(
    browser: Browser, shop: Person, scheme: str, size: dict[str, int]
) -> None:
    """Axe finds no violation, and nothing is wider than the screen. Saves screenshots."""
    person = Person(browser, shop.server, shop.client, viewport=size, color_scheme=scheme)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = "wide" if size is WIDE else "narrow"
    person.page.goto("/sign-in")
    person.page.get_by_label("Token").wait_for()
    check_accessibility(person.page)
    person.page.screenshot(path=SCREENSHOTS / f"sign-in-{width}-{scheme}.png")
    person.create_session()
    for path, selector in list_pages(shop).items():
        page = person.open(path)
        page.locator(selector).first.wait_for()
        page.wait_for_timeout(100)
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        name = path.partition("?id=")[0].strip("/").replace("/", "-").replace("?", "-")
        name = name.replace(":", "-").replace("=", "-")
        if "?id=" in path:
            name += "-done"
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    person.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_menus_and_forms_are_accessible(
    browser: Browser, shop: Person, scheme: str
) -> None:
    person = Person(browser, shop.server, shop.client, color_scheme=scheme)
    person.create_session()
    page = person.open("/customers")
    page.get_by_role("combobox", name="Search customers").press_sequentially("ta")
    page.get_by_role("listbox").wait_for()
    check_accessibility(page)
    page.keyboard.press("Escape")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Selection").wait_for()
    check_accessibility(page)
    for name in ("Add tag", "Export", "Delete"):
        page.get_by_label("Selection").get_by_role("button", name=name).click()
        page.get_by_role("dialog").wait_for()
        check_accessibility(page)
        page.screenshot(path=SCREENSHOTS / f"dialog-{name.lower()}-{scheme}.png".replace(" ", "-"))
        page.keyboard.press("Escape")
    page.get_by_label("Select all on this page").uncheck()
    page.keyboard.press("?")
    check_accessibility(page)
    page.keyboard.press("Escape")
    path = next(path for path in list_pages(shop) if path.startswith("/customers/"))
    page = person.open(path)
    for label in ("First name", "Address", "Custom fields"):
        page.get_by_role("button", name=f"Edit {label}:").first.click()
        check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"customer-edited-{scheme}.png", full_page=True)
    page = person.open("/tokens")
    page.get_by_role("button", name="New token").click()
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"dialog-token-{scheme}.png")
    page = person.open("/webhooks")
    page.get_by_role("button", name="New webhook").click()
    check_accessibility(page)
    page = person.open("/webhooks/1")
    page.locator(".deliveries summary").first.click()
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"webhook-delivery-{scheme}.png", full_page=True)
    page = person.open("/explorer")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Response", exact=True)).to_contain_text("totalCount")
    page.locator("details[data-name=Query] summary").click()
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"explorer-run-{scheme}.png")
    page.get_by_label("Operation", exact=True).fill("{ cus")
    page.get_by_role("listbox").wait_for()
    check_accessibility(page)
    person.close()


def test_the_menu_opens_and_closes_on_a_narrow_screen(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, viewport=NARROW, has_touch=True)
    person.create_session()
    page = person.open("/customers")
    page.locator("table.customers").wait_for()
    menu = page.get_by_role("button", name="Menu")
    expect(page.get_by_role("link", name="Overview")).to_be_hidden()
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / "menu-narrow-light.png")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_focused()
    expect(page.get_by_role("link", name="Tokens")).to_be_hidden()
    expect(menu).to_have_attribute("aria-expanded", "false")
    person.close()


def test_the_list_loads_few_bytes_without_layout_shifts(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client)
    person.create_session()
    page = person.page
    page.add_init_script(
        """window.layoutShift = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.layoutShift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto("/customers")
    page.locator("table.customers").wait_for()
    page.wait_for_timeout(400)
    sizes = page.evaluate(
        """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
            .map((entry) => [entry.name, entry.transferSize])"""
    )
    assert 5 < len(sizes) < 10, sizes  # the modules are few files
    # The icon is shown twice, and loaded once.
    assert all(size for name, size in sizes if not name.endswith("icon.svg")), sizes
    assert sum(size for _, size in sizes) < MAX_LIST_BYTES, sizes
    assert page.evaluate("window.layoutShift") == 0
    person.close()


def test_the_files_of_the_pages_are_small(server: Server) -> None:
    from regulars.http.pages import read_sources, serve
    from tests.support import get

    page = get(f"{server.url}/", headers={"Accept": "text/html"})
    assets = page.text.split('href="/assets/')[1].partition("/")[0]
    total = int(page.headers["content-length"])
    for name in serve(read_sources()):
        if name != "index.html":
            response = get(f"{server.url}/assets/{assets}/{name}")
            assert response.status_code == 200
            assert response.headers["content-encoding"] == "br"
            total += int(response.headers["content-length"])
    assert total < MAX_TOTAL_BYTES


def test_a_slow_request_shows_the_progress_bar(person: Person) -> None:
    page = person.page

    def delay(route: Route) -> None:
        page.wait_for_timeout(600)
        route.continue_()

    page.goto("/overview")
    page.locator("h1").first.wait_for()
    page.route("**/api/v2", delay)
    page.get_by_role("link", name="Customers", exact=True).first.click()
    bar = page.locator("#progress")
    expect(bar).to_have_class("progress on")
    expect(bar).to_be_visible()
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()
    expect(bar).to_be_hidden()
    page.unroute_all(behavior="wait")  # the tabs are requested last


def test_the_readme_shows_screenshots() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name in ("customers.png", "customer.png"):
        assert f"docs/images/{name}" in readme
        assert (
            5_000 < (Path(__file__).parents[1] / "docs" / "images" / name).stat().st_size < 200_000
        )
