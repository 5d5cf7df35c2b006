"""Tests of amounts on the pages: with their currency, in lists, on the customer page, and in settings."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from regulars.orders.recount import RecountWorker
from regulars.store import Store
from tests.browser import NARROW, SCREENSHOTS, WIDE, Person
from tests.support import with_store
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

RECORD = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
SET = "mutation($n: InputAccountSettings!) { updateAccountSettings(node: $n) { currency } }"


def record(person: Person, name: str, email: str, total: float, currency: str, **node: Any) -> None:
    values = {"name": name, "email": email, "total": total, "currency": currency, **node}
    person.client.data(RECORD, node=values)


def change_settings(person: Person, **node: Any) -> None:
    person.client.data(SET, n=node)

    async def work(store: Store) -> None:
        await RecountWorker(store).do_all()

    with_store(person.server.database_url, work)


@pytest.fixture
def shop(person: Person) -> Person:
    """A person whose account counts EUR, with a customer who paid in three currencies."""
    for number, (total, currency) in enumerate(((1234.5, "EUR"), (384, "JPY"), (0.125, "KWD"))):
        record(person, f"a{number}", "ana@example.com", total, currency)
    record(person, "b", "ben@example.com", 2000, "JPY")
    person.client.create("cy@example.com")
    return person


@pytest.mark.parametrize(
    "options", [{"viewport": WIDE}, {"viewport": NARROW, "color_scheme": "dark"}]
)
def test_amounts_have_their_currency_one_per_line(
    browser: Browser, shop: Person, options: dict[str, Any]
) -> None:
    page = shop.open("/customers?sort=expenses&dir=desc")
    page.set_viewport_size(options["viewport"])
    page.emulate_media(color_scheme=options.get("color_scheme", "light"))
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    lines = rows.nth(0).locator(".money-cell .amount")
    expect(lines).to_have_text(["1,234.50 EUR", "384 JPY", "0.125 KWD"])
    expect(rows.filter(has_text="ben@").locator(".money-cell")).to_have_text("2,000 JPY")
    expect(rows.filter(has_text="cy@").locator(".money-cell")).to_have_text("–")
    if options["viewport"] == WIDE:
        expect(page.locator("th.money-cell")).to_have_text("Total spent (EUR)")
    check_accessibility(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = options["viewport"]["width"]
    page.screenshot(path=SCREENSHOTS / f"money-list-{width}.png")
    page.get_by_role("link", name="ana@example.com").click()
    figures = page.locator(".figures")
    expect(figures.locator("div:has(> dt:text('Total spent')) .amount")).to_have_text(
        ["€1,234.50", "¥384", "KWD\xa00.125"]
    )
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"money-customer-{width}.png")


def test_a_search_says_which_currency_it_counts(shop: Person) -> None:
    page = shop.open("/customers")
    expect(page.locator(".row-link")).to_have_count(3)
    page.get_by_role("combobox", name="Search customers").press_sequentially("exp")
    expect(page.get_by_role("option", name="expenses:")).to_contain_text("an amount in EUR")


def test_a_list_that_adds_currencies_says_so(shop: Person) -> None:
    change_settings(shop, expenses_currency="all")
    page = shop.open("/customers?sort=expenses&dir=desc")
    expect(page.locator("th.money-cell")).to_have_text("Total spent (all currencies)")
    expect(page.locator("tbody tr").nth(0)).to_contain_text("ben@example.com")


def test_the_currency_is_a_setting(shop: Person) -> None:
    page = shop.open("/overview")
    page.get_by_role("button", name="Account settings").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Currency")).to_have_value("EUR")
    dialog.get_by_label("Currency").fill("jpy")
    check_accessibility(page)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    assert shop.client.data("{ accountSettings { currency } }") == {
        "accountSettings": {"currency": "JPY"}
    }


def test_the_periods_that_are_compared_are_equally_long(shop: Person) -> None:
    with shop.page.expect_request(
        lambda request: "orderStatistics" in (request.post_data or "")
    ) as sent:
        shop.open("/overview?period=week")
    variables = json.loads(sent.value.post_data or "")["variables"]
    since, before, until = (
        datetime.fromisoformat(variables[name]).replace(tzinfo=UTC)
        for name in ("since", "before", "until")
    )
    assert since.date() - before.date() == timedelta(days=7)
    # Seven days and the present day would be longer than the seven days before.
    now = datetime.now(UTC)
    assert abs((now - since) - (until - before)) < timedelta(minutes=5)
    assert until <= since


@pytest.mark.parametrize("options", [{"viewport": WIDE}, {"viewport": NARROW}])
def test_the_figures_of_the_overview_lead_to_their_customers(
    browser: Browser, shop: Person, options: dict[str, Any]
) -> None:
    days = (datetime.now(UTC) - timedelta(days=45)).strftime("%Y-%m-%d")
    record(shop, "old", "old@example.com", 100, "EUR", created_at=days)
    shop.client.create("di@example.com", accepts_marketing=True, tags=["VIP gold"])
    page = shop.page
    page.set_viewport_size(options["viewport"])
    shop.open("/overview")
    tiles = page.locator(".tiles .card")
    orders = tiles.filter(has=page.locator("dt", has_text=re.compile("^Orders$")))
    expect(orders.locator("dd").first).to_have_text("4")
    expect(orders).to_contain_text("+300%")
    revenue = tiles.filter(has_text="Revenue")
    expect(revenue.locator(".amount")).to_contain_text(["€1,234.50", "¥2,384", "KWD"])
    expect(revenue.locator(".amount").nth(0)).to_contain_text("+1,135%")
    expect(revenue.locator(".amount").nth(1)).to_contain_text("none before")
    # At this width, each amount is on one line with its change.
    if options["viewport"] == WIDE:
        lines = "(amounts) => amounts.map((a) => a.clientHeight / parseFloat(getComputedStyle(a).lineHeight))"
        assert max(revenue.locator(".amount").evaluate_all(lines)) < 1.5
    top = page.get_by_role("table", name="Top customers").locator("tbody tr")
    expect(top).to_have_count(1)
    expect(top).to_contain_text("€1,234.50 · 1 order")
    check_accessibility(page)
    width = options["viewport"]["width"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"money-overview-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name, emails in (
        ("1 with more than one order", ["ana@"]),
        ("1 with their first", ["ben@"]),
        ("1 accept marketing (20%)", ["di@"]),
        ("VIP gold", ["di@"]),
    ):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".row-link")).to_have_text([re.compile(email) for email in emails])
        page.go_back()
    page.get_by_label("Period").select_option("Last 90 days")
    expect(orders.locator("dd").first).to_have_text("5")
    assert page.url.endswith("/overview?period=quarter")
    orders.get_by_role("link").first.click()
    expect(page.locator(".row-link")).to_have_count(3)
