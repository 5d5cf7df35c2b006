"""Tests of the layout: columns, icons and checkboxes, charts, paper, and narrow screens."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from tests.browser import Person
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_list import create_customers

pytestmark = pytest.mark.slow

ORDER = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
LEAD = "mutation($node: InputRecordLead!) { recordLead(node: $node) { id } }"
WIDTHS = (320, 390, 720, 768, 1024, 1200, 1280, 1440)


@pytest.fixture
def shop(person: Person) -> Person:
    """A person whose account has customers with long values, and an order and a message of one."""
    create_customers(person, 60)
    person.client.create(
        "maximiliane.von-hohenstein@a-long-domain-name.example.com",
        first_name="Maximiliane Alexandra",
        last_name="von Hohenstein-Wittelsbach",
        tags=["birthday club", "newsletter", "VIP"],
        shipping_address={"country": "GB", "city": "Lake Lawrence upon Tyne"},
    )
    email = "p000@example.com"
    person.client.data(
        LEAD, node={"email": email, "subject": "Sizes", "message": "Do you have it?"}
    )
    return person


def box_of(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


def set_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def middle(box: FloatRect) -> float:
    return box["y"] + box["height"] / 2


def test_a_short_page_does_not_scroll(person: Person) -> None:
    for path in ("/customers", "/imports", "/tags"):
        page = person.open(path)
        sizes = "[document.documentElement.scrollHeight, innerHeight]"
        height, window_height = page.evaluate(sizes)
        assert height == window_height, path


def test_columns_have_the_width_of_their_content(shop: Person) -> None:
    page = shop.open("/customers")
    page.locator("table.customers").wait_for()
    row = page.locator("tbody tr").first
    for width in (720, 768, 1024, 1200, 1280, 1440):
        set_width(page, width)
        widths = {
            name: box_of(row.locator(f"td.{name}"))["width"]
            for name in ("choose", "name", "location", "tags-cell", "money-cell")
        }
        assert widths["choose"] < 50, (width, widths)
        assert widths["name"] >= 200, (width, widths)
        assert widths["tags-cell"] > 90, (width, widths)
        # Each visible cell is below its heading.
        for head, cell in zip(page.locator("thead th").all(), row.locator("td").all(), strict=True):
            assert head.is_visible() == cell.is_visible()
            if head.is_visible():
                assert box_of(head)["x"] == pytest.approx(box_of(cell)["x"], abs=1)
                assert head.evaluate("head => head.scrollWidth <= head.clientWidth"), width
        heights = {box_of(each)["height"] for each in page.locator("tbody tr").all()}
        assert max(heights) < 62, (width, heights)  # no cell has two lines


def test_names_have_the_width_of_a_narrow_screen(shop: Person) -> None:
    """Names and emails are what a person looks for, so they have the whole row."""
    page = shop.open("/customers")
    row = page.locator("tbody tr").first
    for width in (320, 390):
        set_width(page, width)
        name, row_box = box_of(row.locator("td.name")), box_of(row)
        row_end = row_box["x"] + row_box["width"]
        assert name["x"] + name["width"] == pytest.approx(row_end, abs=16), width
        assert box_of(row.locator("td.money-cell"))["y"] >= name["y"] + name["height"] - 1, width


@pytest.mark.parametrize("locale", ["de-DE", "fr-FR", "es-ES", "ar-EG"])
def test_headings_are_not_cut(browser: Browser, shop: Person, locale: str) -> None:
    person = Person(browser, shop.server, shop.client, locale=locale)
    person.create_session()
    page = person.open("/customers")
    for width in (768, 1024, 1280):
        set_width(page, width)
        for head in page.locator("thead th").all():
            label = head.text_content()
            assert head.evaluate("head => head.scrollWidth <= head.clientWidth"), (width, label)
    person.close()


def test_checkboxes_stand_in_the_middle_of_their_row(shop: Person) -> None:
    page = shop.open("/customers")
    for row in page.locator("table.customers tr").all()[:3]:
        box, cells = box_of(row.locator("input")), box_of(row)
        assert middle(box) == pytest.approx(middle(cells), abs=1)
    shop.client.data("mutation { deleteCustomers(items: [1]) }")
    page = shop.open("/trash")
    box = box_of(page.locator("tbody th input"))
    assert middle(box) == pytest.approx(middle(box_of(page.locator("tbody th bdi").first)), abs=2)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_is_wider_than_a_narrow_screen(browser: Browser, shop: Person, width: int) -> None:
    person = Person(browser, shop.server, shop.client, viewport={"width": width, "height": 700})
    person.create_session()
    paths = ("/customers", "/customers/1", "/customers/new", "/overview", "/imports", "/segments")
    for path in (*paths, "/trash", "/webhooks", "/tokens", "/explorer"):
        page = person.open(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if path == "/customers":
            page.get_by_role("link", name="Next").click()
            page.wait_for_url("**after=**")
            expect(page.get_by_role("link", name="Previous")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    person.close()


def expect_one_line(icon: Locator, text: Locator) -> None:
    """Assert that an icon stands before the first line of a text."""
    shown, lines = box_of(icon), box_of(text)
    assert shown["x"] + shown["width"] <= lines["x"] + 1, (shown, lines)
    assert shown["y"] < lines["y"] + 24, (shown, lines)
    assert shown["y"] + shown["height"] > lines["y"], (shown, lines)


@pytest.mark.parametrize("width", [390, 1440])
def test_icons_of_errors_stand_before_their_text(shop: Person, width: int) -> None:
    page = shop.open("/customers/new")
    set_width(page, width)
    page.get_by_label("Email").first.fill("a@@example.com" + "x" * 60)
    page.get_by_role("button", name="Create").click()
    problem = page.locator(".problem", has_text="email").first
    expect_one_line(problem.locator(".icon"), problem.locator("span").first)
    page = shop.open("/customers/1")
    page.get_by_role("button", name="Add notes").click()
    page.get_by_label("Notes").last.fill("x")
    message = "A message of an error that is so long that it takes several lines. " * 3
    error = {"message": message, "key": "errors_unknown", "extensions": {}}
    page.route("**/api/v2", lambda route: route.fulfill(json={"errors": [error]}))
    page.get_by_role("button", name="Save").click()
    notice = page.locator("form .notice")
    expect_one_line(notice.locator(".icon"), notice.locator("span"))
    page.unroute("**/api/v2")
    page = shop.open("/customers?q=contry:MA+and+more+words+that+make+the+search+a+longer+one")
    problem = page.locator(".search .problem")
    expect_one_line(problem.locator(".icon"), problem.locator("> span"))
    page = shop.open("/imports")
    content = b"name\nAna\n"
    files = [{"name": "a.csv", "mimeType": "text/csv", "buffer": content}]
    page.locator("input[type=file]").set_input_files(files)  # type: ignore[arg-type]  # a list is invariant
    notice = page.locator(".notice.wrong")
    expect(notice).to_contain_text("Email")
    expect_one_line(notice.locator(".icon"), notice.locator("span"))


def record_order(person: Person, number: int, **node: Any) -> None:
    email = f"p{number:03}@example.com"
    values = {"email": email, "name": f"#{number}", "total": 20, "currency": "EUR", **node}
    person.client.data(ORDER, node=values)


def test_charts_are_drawn_for_the_width_of_the_page(shop: Person) -> None:
    record_order(shop, 0, financial_status="paid")
    page = shop.open("/overview")
    picture = page.get_by_role("img", name="New customers by week")
    for width in (1440, 1024, 390, 1280):
        set_width(page, width)
        size = box_of(picture)
        # The labels are not scaled.
        expect(picture).to_have_attribute("viewBox", f"0 0 {round(size['width'])} 180")
        assert size["height"] == 180
        labels = [box_of(label) for label in picture.locator("text").all()]
        assert all(label["height"] >= 11 for label in labels), (width, labels)
        dates = [label for label in labels if label["y"] > size["y"] + 155]
        assert len(dates) > 1
        for left, right in pairwise(dates):
            assert left["x"] + left["width"] < right["x"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_customer_without_payments_has_no_chart(shop: Person) -> None:
    record_order(shop, 0, financial_status="pending")
    record_order(shop, 1, financial_status="paid")
    page = shop.open("/customers/1")
    expect(page.get_by_role("cell", name="Pending")).to_be_visible()
    expect(page.locator(".chart")).to_have_count(0)
    page = shop.open("/customers/2")
    expect(page.get_by_role("img", name="Spending by month in EUR")).to_be_visible()


def test_bars_of_countries_are_shares_of_all_customers(person: Person) -> None:
    codes = ["IT"] * 3 + "FR DE ES PT NL BE AT CH PL SE NO DK FI GR IE".split()
    nodes: list[dict[str, Any]] = [
        {"email": f"c{n}@example.com", "shipping_address": {"country": code}}
        for n, code in enumerate(codes)
    ]
    nodes[0]["accepts_marketing"] = True
    person.client.data(
        "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { created } }",
        nodes=nodes,
    )
    page = person.open("/overview")
    table = page.get_by_role("table", name="Countries")
    rows = table.locator("tbody tr")
    expect(rows.last).to_contain_text("4 other countries")
    expect(rows.last.locator("rect")).to_have_count(0)
    bar = (
        box_of(rows.nth(1).locator("rect"))["width"] / box_of(rows.nth(0).locator("rect"))["width"]
    )
    assert bar == pytest.approx(1 / 3, abs=0.02)
    # A bar is a share of all customers.
    track = box_of(rows.nth(0).locator("svg"))["width"]
    assert box_of(rows.nth(0).locator("rect"))["width"] / track == pytest.approx(3 / 18, abs=0.02)


def test_paper_has_the_content_without_controls(browser: Browser, shop: Person) -> None:
    record_order(shop, 0, financial_status="paid")
    shop.client.data('mutation { addTags(items: ["1"], tags: ["VIP"]) { id } }')
    person = Person(browser, shop.server, shop.client, color_scheme="dark")
    person.create_session()
    page = person.open("/customers?q=tag:VIP")
    page.get_by_label("Select P000").check()
    page.get_by_label("Selection").wait_for()
    page.emulate_media(media="print")
    hidden = ".nav, .toasts, .selection, .tab-row, .search, .pager, .choose, .sorting, .page-head a, #progress"
    for element in page.locator(hidden).all():
        expect(element).to_be_hidden()
    expect(page.locator(".count")).to_have_text("2 customers found")
    expect(page.get_by_text("p000@example.com")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(29, 28, 26)"
    page.emulate_media(media="screen")
    page = person.open("/customers/1")
    page.locator(".timeline li").first.wait_for()
    page.emulate_media(media="print")
    expect(page.locator(".menu-button")).to_be_hidden()
    expect(page.get_by_label("New comment").first).to_be_hidden()
    expect(page.get_by_role("combobox", name="Add a tag")).to_be_hidden()
    expect(page.get_by_role("button", name="Remove the tag VIP")).to_be_hidden()
    expect(page.get_by_role("cell", name="€20.00")).to_be_visible()
    for text in ("P000", "VIP", "Sizes", "Timeline"):
        expect(page.locator("main").get_by_text(text).first).to_be_visible()
    person.close()


def test_regions_have_different_names(shop: Person) -> None:
    """A customer with messages while a message is shown, and an import page without imports."""
    page = shop.open("/customers/1")
    page.get_by_role("button", name="Copy the API id").click()
    page.locator(".toast").wait_for()
    check_accessibility(page)
    page = shop.open("/imports")
    page.wait_for_load_state("networkidle")
    check_accessibility(page)


def test_escape_closes_the_menu_of_a_narrow_screen(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, viewport={"width": 390, "height": 700})
    person.create_session()
    page = person.open("/overview")
    menu = page.get_by_role("button", name="Menu")
    menu.click()
    page.get_by_role("link", name="Tokens").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Tokens")).to_be_hidden()
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(menu).to_be_focused()
    person.close()
