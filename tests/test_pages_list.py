"""Tests of the list of customers: search, order, pages, selection and the keyboard."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Route, expect

from tests.browser import Person, choose

pytestmark = pytest.mark.slow

NAMES = ("Ana Núñez", "Bo Li", "Cy Young", "Dee Dee", "Eve Moss")


@pytest.fixture
def five_customers(person: Person) -> Person:
    """A person on the list of an account with five customers."""
    for index, name in enumerate(NAMES):
        first, last = name.split()
        person.client.create(
            f"{first.lower()}@example.com",
            first_name=first,
            last_name=last,
            tags=["vip"] if index % 2 else ["new", "<b>bold</b>"],
            shipping_address={"country": "MA", "city": "Fès"} if first == "Ana" else None,
        )
    person.open("/customers")
    expect(person.page.get_by_role("row")).to_have_count(6)
    return person


def create_customers(person: Person, count: int) -> None:
    nodes = [{"email": f"p{n:03}@example.com", "first_name": f"P{n:03}"} for n in range(count)]
    person.client.data(
        "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { created } }",
        nodes=nodes,
    )


def expect_names(page: Page, *expected: str) -> None:
    expect(page.locator(".row-link")).to_have_text(list(expected))


_NUMBERS = "[0, 7, 999, 1000, 12345, 1234567890, -4321]"
_AMOUNTS = "[0, 0.5, 12.345, 999.999, 1000, 1234567.891, -1234.5]"
_FORMATTED = f"""async () => {{
  const {{ modules }} = await import(document.querySelector("script[src$='/app.js']").src);
  const {{ formatNumber, formatAmount }} = modules["format.js"];
  return [{_NUMBERS}.map(formatNumber), {_AMOUNTS}.map((value) => formatAmount(value))];
}}"""
_FORMATTED_BY_BROWSER = f"""() => {{
  const decimals = {{ minimumFractionDigits: 2, maximumFractionDigits: 2 }};
  return [
    {_NUMBERS}.map((value) => value.toLocaleString("en")),
    {_AMOUNTS}.map((value) => value.toLocaleString("en", decimals)),
  ];
}}"""


@pytest.mark.smoke
def test_a_row_shows_all_columns(five_customers: Person) -> None:
    page = five_customers.page
    expect_names(page, *reversed(NAMES))
    row = page.get_by_role("row", name="Ana Núñez")
    expect(row.get_by_role("cell")).to_have_text(
        [
            "",
            "ANAna Núñezana@example.com",
            "Fès, Morocco",
            "new+1",
            "–",
            "–",
            "a few seconds ago",
        ]
    )
    expect(page.locator(".count")).to_have_text("5 customers")
    assert page.title() == "Customers · Regulars"
    row.locator("time").hover()
    expect(row.locator("time")).to_have_attribute(
        "title", re.compile(r"^\w{3} \d+, 20\d\d, \d+:\d\d")
    )
    # The pages format numbers without the browser's formatter, with the same result.
    assert page.evaluate(_FORMATTED) == page.evaluate(_FORMATTED_BY_BROWSER)


@pytest.mark.smoke
def test_the_order_is_in_the_url(five_customers: Person) -> None:
    page = five_customers.page
    page.get_by_role("button", name="Customer", exact=True).click()
    expect_names(page, *NAMES)
    expect(page.get_by_role("columnheader", name="Customer")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("button", name="Customer", exact=True).click()
    expect_names(page, *reversed(NAMES))
    assert page.url.endswith("?sort=full_name&dir=desc")
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_label("Sort by").select_option("Email")
    expect_names(page, *NAMES)
    page.get_by_label("Direction").select_option("descending")
    expect_names(page, *reversed(NAMES))
    page.get_by_label("Direction").select_option("ascending")
    page.get_by_role("button", name="Done").click()
    expect_names(page, *NAMES)
    page.reload()
    expect_names(page, *NAMES)
    page.go_back()
    expect_names(page, *reversed(NAMES))


@pytest.mark.smoke
def test_the_list_is_searched_while_typing(five_customers: Person) -> None:
    page = five_customers.page
    box = page.get_by_role("combobox", name="Search customers")
    box.press_sequentially("nunez")
    expect_names(page, "Ana Núñez")
    expect(page.locator(".count")).to_have_text("1 customer found")
    page.wait_for_url("**/customers?q=nunez")
    box.fill("tag:vip order_by:full_name order_dir:asc")
    expect_names(page, "Bo Li", "Dee Dee")
    # Sorting by a column replaces the order in the search.
    expect(page.get_by_role("columnheader", name="Customer")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("button", name="Customer", exact=True).click()
    expect(box).to_have_value("tag:vip")
    expect_names(page, "Dee Dee", "Bo Li")
    page.get_by_role("button", name="Clear the search").click()
    expect(page.get_by_role("row")).to_have_count(6)
    box.fill("nobody at all")
    expect(page.get_by_role("heading", name="No customers match this search")).to_be_visible()


def test_keys_and_values_are_completed(five_customers: Person) -> None:
    page = five_customers.page
    box = page.get_by_role("combobox", name="Search customers")
    box.press_sequentially("acc")
    options = page.get_by_role("listbox").get_by_role("option")
    expect(options).to_have_count(1)
    expect(options).to_contain_text("accepts_marketing:")
    expect(box).to_have_attribute("aria-expanded", "true")
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("accepts_marketing:")
    expect(options).to_have_text(["accepts_marketing:true", "accepts_marketing:false"])
    box.press("ArrowDown")
    box.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") == options.nth(1).get_attribute("id")
    box.press("Tab")
    expect(box).to_have_value("accepts_marketing:false")
    expect(page.get_by_role("row")).to_have_count(6)
    box.fill("-tag:v")
    options.first.click()
    expect(box).to_have_value("-tag:vip")
    expect_names(page, "Eve Moss", "Cy Young", "Ana Núñez")
    box.press("Escape")
    expect(box).to_have_value("")


def test_a_syntax_error_is_marked_in_the_search(five_customers: Person) -> None:
    page = five_customers.page
    box = page.get_by_role("combobox", name="Search customers")
    box.fill("vip contry:MA")
    box.press("Enter")
    expect(page.locator(".search mark")).to_have_text("contry:MA")
    expect(page.locator(".search .problem")).to_contain_text("Did you mean “country”?")
    expect(box).to_have_attribute("aria-invalid", "true")
    # The customers of another search do not look like the result.
    expect(page.get_by_role("heading", name="This search has a mistake")).to_be_visible()
    expect(page.locator(".count")).to_be_empty()
    page.get_by_role("button", name="Use vip country:MA").click()
    expect(box).to_have_value("vip country:MA")
    expect(page.locator(".search .problem")).to_be_empty()
    box.fill('"open')
    box.press("Enter")
    expect(page.locator(".search .problem")).to_contain_text("quote")


def test_the_list_of_an_earlier_search_is_marked_and_not_exported(five_customers: Person) -> None:
    page = five_customers.page
    box = page.get_by_role("combobox", name="Search customers")
    export = page.get_by_role("button", name="Export")
    box.fill("ana")
    expect_names(page, "Ana Núñez")
    page.get_by_label("Select Ana").check()
    # While the person is typing, the customers stay, but do not look like the result.
    box.fill("contry:MA accepts_marketing:ye and more")
    expect(page.locator(".search mark")).to_have_text("contry:MA")
    expect(page.locator(".count")).to_be_empty()
    for part in (".list", ".pager"):
        expect(page.locator(part)).to_have_css("opacity", "0.45")
        assert page.locator(part).get_attribute("inert") is not None
    expect(export.first).to_be_disabled()
    # The selection can still be exported, without the customers of another search.
    page.get_by_label("Selection").get_by_role("button", name="Export").click()
    expect(page.get_by_role("dialog").get_by_role("group", name="Customers")).to_have_text(
        "Customers1 selected customer"
    )
    page.keyboard.press("Escape")
    box.press("Enter")
    expect(page.get_by_role("heading", name="This search has a mistake")).to_be_visible()
    expect(export.first).to_be_disabled()
    box.fill("vip")
    expect_names(page, "Dee Dee", "Bo Li")
    expect(export.first).to_be_enabled()
    for part in (".list", ".pager"):
        expect(page.locator(part)).to_have_css("opacity", "1")
        assert page.locator(part).get_attribute("inert") is None
    # The same after an error of the server.
    page.route("**/api/v2", lambda route: route.abort())
    box.fill("ana")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator(".count")).to_be_empty()
    expect(export.first).to_be_disabled()
    page.unroute("**/api/v2")
    page.get_by_role("button", name="Try again").click()
    expect_names(page, "Ana Núñez")
    expect(export.first).to_be_enabled()


def test_a_customer_leads_back_to_the_results(person: Person) -> None:
    create_customers(person, 60)
    page = person.open("/customers?q=example&sort=email&dir=asc")
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="P055").click()
    page.get_by_role("link", name="Back to 60 results").click()
    expect(page.get_by_role("combobox", name="Search customers")).to_have_value("example")
    expect_names(page, *[f"P{n:03}" for n in range(50, 60)])
    page.get_by_role("combobox", name="Search customers").fill("p007")
    expect_names(page, "P007")
    page.get_by_role("link", name="P007").click()
    expect(page.get_by_role("link", name="Back to 1 result")).to_be_visible()
    # After a deletion, too.
    choose(page, "Delete")
    expect(page.get_by_role("combobox", name="Search customers")).to_have_value("p007")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="P007")).to_be_visible()
    page = person.open("/customers/8")
    page.get_by_role("link", name="Back to customers").click()
    expect(page.locator(".row-link")).to_have_count(50)


def test_pages_can_be_followed_in_both_directions(person: Person) -> None:
    create_customers(person, 120)
    page = person.open("/customers?sort=email&dir=asc")
    first = [f"P{n:03}" for n in range(50)]
    expect_names(page, *first)
    expect(page.get_by_role("link", name="Previous")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("link", name="Next").click()
    expect_names(page, *[f"P{n:03}" for n in range(50, 100)])
    shared = page.url
    page.get_by_role("link", name="Next").click()
    expect_names(page, *[f"P{n:03}" for n in range(100, 120)])
    expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("link", name="Previous").click()
    expect_names(page, *[f"P{n:03}" for n in range(50, 100)])
    page.go_back()
    expect_names(page, *[f"P{n:03}" for n in range(100, 120)])
    page.go_back()
    assert page.url == shared
    page.go_back()
    expect_names(page, *first)
    tab = person.open_tab()
    tab.goto(shared)
    expect_names(tab, *[f"P{n:03}" for n in range(50, 100)])
    page.get_by_label("Customers per page").select_option("25")
    expect_names(page, *[f"P{n:03}" for n in range(25)])


def test_customers_are_selected_across_pages_and_tagged(person: Person) -> None:
    create_customers(person, 60)
    page = person.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select P003").check()
    page.get_by_label("Select P004").check()
    page.get_by_role("link", name="Next").click()
    page.get_by_label("Select P055").check()
    expect(page.get_by_label("Selection")).to_contain_text("3 selected")
    page.go_back()
    expect(page.get_by_label("Select P004")).to_be_checked()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("spring, sale")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags added to 3 customers.").first).to_be_visible()
    emails = person.client.emails("tag:spring tag:sale order_by:email order_dir:asc")
    assert emails == ["p003@example.com", "p004@example.com", "p055@example.com"]
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 60").click()
    expect(page.get_by_label("Selection")).to_contain_text("60 selected")
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("all")
    page.get_by_role("dialog").get_by_role("button", name="Add tag").click()
    expect(page.get_by_text("Tags added to 60 customers.").first).to_be_visible()
    query = '{ customers(query: "tag:all") { totalCount } }'
    assert person.client.data(query)["customers"]["totalCount"] == 60
    expect(page.get_by_label("Selection")).to_be_hidden()
    page.get_by_label("Select P000").check()
    page.get_by_role("button", name="Remove tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("all")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags removed from 1 customer.").first).to_be_visible()
    assert person.client.data(query)["customers"]["totalCount"] == 59


def test_tagging_clears_the_selection_before_the_list_is_reloaded(five_customers: Person) -> None:
    page = five_customers.page
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("seen")
    pending_reads: list[Route] = []

    def hold(route: Route) -> None:
        is_read = "totalCount" in (route.request.post_data or "")
        pending_reads.append(route) if is_read else route.continue_()

    page.route("**/api/v2", hold)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Selection")).to_be_hidden()
    expect(page.get_by_label("Select Bo Li")).not_to_be_checked()
    page.get_by_label("Select Bo Li").check()
    assert pending_reads, "the list was read before a customer was selected"
    page.unroute("**/api/v2")
    for route in pending_reads:
        with suppress(Error):  # the read after the end of the edit has replaced it
            route.continue_()
    expect(page.locator("[title*=seen]").first).to_be_visible()
    expect(page.get_by_label("Select Bo Li")).to_be_checked()


def test_a_selection_of_all_excludes_unchecked_and_deleted_customers(person: Person) -> None:
    create_customers(person, 60)
    page = person.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 60").click()
    page.get_by_label("Select P002").uncheck()
    expect(page.get_by_label("Selection")).to_contain_text("59 selected")
    page.get_by_role("link", name="Next").click()
    page.get_by_label("Select P052").uncheck()
    expect(page.get_by_label("Select P053")).to_be_checked()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("most")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags added to 58 customers.").first).to_be_visible()
    emails = person.client.emails("-tag:most order_by:email order_dir:asc")
    assert emails == ["p002@example.com", "p052@example.com"]
    # Another client deletes a selected customer before the action.
    page.get_by_label("Select P055").check()
    page.get_by_label("Select P056").check()
    (edge,) = person.client.page("id", query="email:p055@example.com")["edges"]
    person.client.delete(edge["node"]["id"])
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("there")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags added to 1 customer.").first).to_be_visible()
    assert person.client.emails("tag:there") == ["p056@example.com"]


def test_an_invalid_tag_is_reported_in_the_dialog(five_customers: Person) -> None:
    page = five_customers.page
    page.get_by_label("Select Bo Li").check()
    page.get_by_role("button", name="Add tag").click()
    expect(page.get_by_role("dialog").get_by_label("Tag")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Enter a tag.")
    page.get_by_role("dialog").get_by_label("Tag").fill("x" * 300)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator(".problem")).to_contain_text("255")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_selection_and_the_search_are_exported(five_customers: Person, tmp_path: Path) -> None:
    page = five_customers.page
    comment = "mutation($node: InputComment!) { addComment(customer: 2, node: $node) { id } }"
    five_customers.client.data(comment, node={"text": "called back"})
    page.get_by_label("Select Cy Young").check()
    page.get_by_label("Select Ana Núñez").check()
    page.get_by_label("Selection").get_by_role("button", name="Export").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("2 selected customers")).to_be_checked()
    dialog.get_by_label("Only the columns of this list").check()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "selected.csv")
    lines = (tmp_path / "selected.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "regulars_id,full_name,email,location,tags,orders_count,expenses,updated_at"
    assert [line.split(",")[2] for line in lines[1:]] == ["cy@example.com", "ana@example.com"]
    page.get_by_role("button", name="Deselect all").click()
    page.get_by_role("combobox", name="Search customers").fill("tag:vip")
    expect_names(page, "Dee Dee", "Bo Li")
    page.get_by_role("button", name="Export").click()
    dialog.get_by_label("All 2 who match this search").check()
    dialog.get_by_label("JSON Lines (for developers)").check()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    today = date.today().isoformat()
    assert download.value.suggested_filename == f"customers-{today}-tag-vip.jsonl"
    download.value.save_as(tmp_path / "matches.jsonl")
    assert (tmp_path / "matches.jsonl").read_text(encoding="utf-8").count("\n") == 2
    for label, suffix, start in (
        ("Excel workbook", "xlsx", b"PK"),
        ("CSV for Excel, with semicolons", "csv", b"\xef\xbb\xbfregulars_id;email;"),
        ("JSON Lines with the comments", "jsonl", b'{"regulars_id":'),
    ):
        page.get_by_role("button", name="Export").click()
        dialog.get_by_label(label).check()
        with page.expect_download() as download:
            dialog.get_by_role("button", name="Export").click()
        assert download.value.suggested_filename == f"customers-{today}-tag-vip.{suffix}"
        download.value.save_as(tmp_path / suffix)
        assert (tmp_path / suffix).read_bytes().startswith(start)
    exported = [json.loads(line) for line in (tmp_path / "jsonl").read_bytes().splitlines()]
    texts = {row["email"]: [each["text"] for each in row["comments"]] for row in exported}
    assert texts == {"bo@example.com": ["called back"], "dee@example.com": []}


def test_a_preset_chooses_the_format_and_the_columns(
    five_customers: Person, tmp_path: Path
) -> None:
    page = five_customers.page
    dialog = page.get_by_role("dialog")
    today = date.today().isoformat()
    for preset, columns, name in (
        ("Excel", None, f"customers-{today}.xlsx"),
        ("All fields", "regulars_id,email,first_name", f"customers-{today}.csv"),
        ("Newsletter", "email,first_name,accepts_marketing", f"customers-{today}.csv"),
    ):
        page.get_by_role("button", name="Export").click()
        dialog.get_by_role("button", name=preset, exact=True).click()
        with page.expect_download() as download:
            dialog.get_by_role("button", name="Export").click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        if columns:
            assert (tmp_path / name).read_text(encoding="utf-8").startswith(columns)
    page.get_by_label("Select Cy Young").check()
    page.get_by_label("Selection").get_by_role("button", name="Export").click()
    dialog.get_by_role("button", name="Newsletter", exact=True).click()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == f"customers-{today}-1-selected.csv"


def test_a_deletion_can_be_undone_for_ten_seconds(five_customers: Person) -> None:
    page = five_customers.page
    page.clock.install()
    page.get_by_label("Select Bo Li").check()
    page.get_by_label("Select Cy Young").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 2").click()
    expect_names(page, "Eve Moss", "Dee Dee", "Ana Núñez")
    page.clock.run_for(9_000)
    page.get_by_role("button", name="Undo").click()
    expect_names(page, *reversed(NAMES))
    page.clock.run_for(5_000)
    assert len(five_customers.client.emails()) == 5
    page.get_by_label("Select Bo Li").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1").click()
    with page.expect_response("**/api/v2"):
        page.clock.run_for(10_100)
    expect(page.locator(".count")).to_have_text("4 customers")
    assert "bo@example.com" not in five_customers.client.emails()


@pytest.mark.smoke
def test_a_pending_deletion_is_sent_when_the_page_is_left(five_customers: Person) -> None:
    page = five_customers.page
    page.get_by_label("Select Bo Li").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1").click()
    expect_names(page, "Eve Moss", "Dee Dee", "Cy Young", "Ana Núñez")
    page.goto("about:blank")
    page.wait_for_timeout(300)
    assert "bo@example.com" not in five_customers.client.emails()


def test_the_list_works_with_the_keyboard_alone(five_customers: Person) -> None:
    page = five_customers.page
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Search customers")
    expect(box).to_be_focused()
    page.keyboard.type("ee")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    box.blur()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Dee Dee")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_label("Select Dee Dee")).to_be_checked()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("link", name="Eve Moss")).to_be_focused()
    page.keyboard.press("?")
    page.get_by_label("Enable single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(box).not_to_be_focused()
    page.get_by_role("link", name="Eve Moss").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Eve Moss")).to_be_focused()
    page.go_back()
    expect_names(page, *reversed(NAMES))


def test_an_empty_account_shows_the_first_steps(person: Person) -> None:
    page = person.open("/customers")
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()
    page.get_by_role("link", name="Import a file").click()
    expect(page.get_by_role("heading", name="Import customers")).to_be_focused()
    person.open("/overview")
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()


def test_an_invalid_cursor_leads_to_the_first_page(five_customers: Person) -> None:
    page = five_customers.open("/customers?after=nonsense")
    expect_names(page, *reversed(NAMES))
    assert page.url.endswith("/customers")


def test_an_unknown_path_shows_the_page_for_it(person: Person) -> None:
    page = person.open("/nothing/here")
    expect(page.get_by_role("heading", name="Page not found").first).to_be_visible()
    page.get_by_role("link", name="Back to customers").click()
    expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_focused()
