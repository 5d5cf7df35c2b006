"""The pages for everybody: with a screen reader, on a phone, in the dark, and at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser import NARROW, SCREENSHOTS, WIDE, Person, person_at
from tests.receiver import receiving
from tests.support import Server, find_account_name, run_regulars, run_server

pytestmark = [pytest.mark.slow, pytest.mark.any_database]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST_BYTES = 60_000
# All pages together, most of which a person never opens at once.
MOST_BYTES_OF_ALL = 62_000


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A person whose account has customers, a webhook with deliveries, and imports."""
    url = f"sqlite:///{tmp_path_factory.mktemp('pages') / 'r.db'}"
    with (
        receiving() as receiver,
        run_server(url, "--webhook-private-targets") as server,
        person_at(browser, server) as person,
    ):
        account = find_account_name(server, person.client.token)
        run_regulars(
            *("sample", "--customers", "400", "--recent", "--account", account),
            *("--database-url", url),
        )
        hook = "mutation($node: WebhookInput!) { createWebhook(node: $node) { id } }"
        node = {"type": "contact/updated", "url": f"{receiver.url}/hook"}
        person.client.data(hook, node=node)
        node = {"type": "contact/signup", "url": f"{receiver.url}/signups"}
        person.client.data(hook, node=node)
        given = {"loyalty": "gold", "points": 12, "birthday": "1990-03-18"}
        found = person.client.page("id", query="orders_count:>4", first=1)["edges"][0]["node"]
        person.client.update(found["id"], custom=given, notes="Prefers to be called.\nAfter 5.")
        person.client.update(found["id"], phone="+212 612 345678", tags=["vip", "wholesale"])
        file = "email,first_name\na@example.com,Ana\nnonsense,Bo\n"
        person.client.http.post("/import?name=customers.csv", content=file)
        person.shown = found["id"]  # type: ignore[attr-defined]  # whom the pages show
        yield person


def pages(shop: Person) -> dict[str, str]:
    """The addresses of the pages, each with what it shows when it is there."""
    number = shop.client.node(shop.shown, "... on Customer { _id }")["_id"]  # type: ignore[attr-defined]  # as above
    (run,) = shop.client.http.get("/import").json()["data"]
    return {
        "/customers": "table.customers",
        "/customers?q=contry:MA": ".search mark",
        f"/customers/{number}": ".timeline li",
        "/customers/new": "form",
        "/overview": ".tiles",
        "/imports": "table",
        f"/imports?id={run['id']}": ".state.done",
        "/webhooks": ".cards li",
        "/webhooks/1": ".deliveries li",
        "/tokens": "table",
        "/explorer": ".types details",
        "/nothing": ".empty-state",
    }


def accessible(page: Page) -> None:
    """Raises AssertionError where axe finds something."""
    found = Axe().run(page, options={"runOnly": RULES})
    told = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:5])
        for one in found.response["violations"]
    ]
    assert told == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_for_everybody(
    browser: Browser, shop: Person, scheme: str, size: dict[str, int]
) -> None:
    """Axe finds nothing, nothing is wider than the screen, and it is seen: in build/screenshots."""
    person = Person(browser, shop.server, shop.client, viewport=size, color_scheme=scheme)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = "wide" if size is WIDE else "narrow"
    person.page.goto("/sign-in")
    person.page.get_by_label("Token").wait_for()
    accessible(person.page)
    person.page.screenshot(path=SCREENSHOTS / f"sign-in-{width}-{scheme}.png")
    person.is_signed_in()
    for address, shown in pages(shop).items():
        page = person.goes(address)
        page.locator(shown).first.wait_for()
        page.wait_for_timeout(100)
        accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        name = address.partition("?id=")[0].strip("/").replace("/", "-").replace("?", "-")
        name = name.replace(":", "-").replace("=", "-")
        if "?id=" in address:
            name += "-done"
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    person.leaves()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_on_a_page_is_for_everybody_too(
    browser: Browser, shop: Person, scheme: str
) -> None:
    person = Person(browser, shop.server, shop.client, color_scheme=scheme)
    person.is_signed_in()
    page = person.goes("/customers")
    page.get_by_role("combobox", name="Search customers").press_sequentially("ta")
    page.get_by_role("listbox").wait_for()
    accessible(page)
    page.keyboard.press("Escape")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Selection").wait_for()
    accessible(page)
    for name in ("Add tag", "Export", "Delete"):
        page.get_by_label("Selection").get_by_role("button", name=name).click()
        page.get_by_role("dialog").wait_for()
        accessible(page)
        page.screenshot(path=SCREENSHOTS / f"dialog-{name.lower()}-{scheme}.png".replace(" ", "-"))
        page.keyboard.press("Escape")
    page.get_by_label("Select all on this page").uncheck()
    page.keyboard.press("?")
    accessible(page)
    page.keyboard.press("Escape")
    number = next(path for path in pages(shop) if path.startswith("/customers/"))
    page = person.goes(number)
    for label in ("First name", "Shipping address", "Custom fields"):
        page.get_by_role("button", name=f"Edit {label}:").click()
        accessible(page)
    page.screenshot(path=SCREENSHOTS / f"customer-edited-{scheme}.png", full_page=True)
    page = person.goes("/tokens")
    page.get_by_role("button", name="New token").click()
    accessible(page)
    page.screenshot(path=SCREENSHOTS / f"dialog-token-{scheme}.png")
    page = person.goes("/webhooks")
    page.get_by_role("button", name="New webhook").click()
    accessible(page)
    page = person.goes("/webhooks/1")
    page.locator(".deliveries summary").first.click()
    accessible(page)
    page.screenshot(path=SCREENSHOTS / f"webhook-delivery-{scheme}.png", full_page=True)
    page = person.goes("/explorer")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Answer", exact=True)).to_contain_text("totalCount")
    page.locator("details[data-name=Query] summary").click()
    accessible(page)
    page.screenshot(path=SCREENSHOTS / f"explorer-run-{scheme}.png")
    page.get_by_label("Operation", exact=True).fill("{ cus")
    page.get_by_role("listbox").wait_for()
    accessible(page)
    person.leaves()


def test_the_navigation_of_a_phone_opens_and_closes(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, viewport=NARROW, has_touch=True)
    person.is_signed_in()
    page = person.goes("/customers")
    page.locator("table.customers").wait_for()
    menu = page.get_by_role("button", name="Menu")
    expect(page.get_by_role("link", name="Overview")).to_be_hidden()
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    accessible(page)
    page.screenshot(path=SCREENSHOTS / "menu-narrow-light.png")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_focused()
    expect(page.get_by_role("link", name="Tokens")).to_be_hidden()
    expect(menu).to_have_attribute("aria-expanded", "false")
    person.leaves()


def test_the_list_is_small_and_nothing_in_it_moves(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client)
    person.is_signed_in()
    page = person.page
    page.add_init_script(
        """window.moved = 0;
        new PerformanceObserver((list) => {
            for (const one of list.getEntries()) window.moved += one.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto("/customers")
    page.locator("table.customers").wait_for()
    page.wait_for_timeout(400)
    sizes = page.evaluate(
        """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
            .map((one) => [one.name, one.transferSize])"""
    )
    assert len(sizes) > 10
    # The icon is shown twice, and sent once.
    assert all(size for name, size in sizes if not name.endswith("icon.svg")), sizes
    assert sum(size for _, size in sizes) < MOST_BYTES, sizes
    assert page.evaluate("window.moved") == 0
    person.leaves()


def test_all_that_the_pages_are_made_of_is_small(server: Server) -> None:
    from importlib.resources import files

    from tests.support import get

    page = get(f"{server.url}/", headers={"Accept": "text/html"})
    assets = page.text.split('href="/assets/')[1].partition("/")[0]
    total = int(page.headers["content-length"])
    for one in files("regulars").joinpath("web").iterdir():
        if one.name != "index.html":
            answer = get(f"{server.url}/assets/{assets}/{one.name}")
            assert answer.status_code == 200
            total += int(answer.headers["content-length"])
    assert total < MOST_BYTES_OF_ALL


def test_what_takes_long_shows_that_it_does(person: Person) -> None:
    page = person.page

    def slow(route: object) -> None:
        page.wait_for_timeout(600)
        route.continue_()  # type: ignore[attr-defined]  # a Route

    page.goto("/overview")
    page.locator("h1").first.wait_for()
    page.route("**/api/v2", slow)
    page.get_by_role("link", name="Customers", exact=True).first.click()
    bar = page.locator("#progress")
    expect(bar).to_have_class("progress on")
    expect(bar).to_be_visible()
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()
    expect(bar).to_be_hidden()


def test_the_docs_show_two_of_the_pages() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name in ("customers.png", "customer.png"):
        assert f"docs/images/{name}" in readme
        assert (
            5_000 < (Path(__file__).parents[1] / "docs" / "images" / name).stat().st_size < 200_000
        )
