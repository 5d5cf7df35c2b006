"""Tests of segments in the pages: saved from a search, listed, edited, used and deleted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from regulars.segments.table import segments
from regulars.store.query import Query
from tests.browser import SCREENSHOTS, Person
from tests.support import Client, create_token, find_account_name, with_store
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_list import create_customers, expect_names

pytestmark = pytest.mark.slow

CREATE = "mutation($node: SegmentInput!) { createSegment(node: $node) { id _id } }"
SEGMENTS = """{ segments(query: "order_by:id order_dir:asc", first: 250) { edges { node {
  name description query settings { include { operator tags } exclude { operator tags } } } } } }"""
RTL_NAME = "زبائن الدار البيضاء"
HTML_NAME = '<img src=x onerror="alert(1)"> & "Co" \\'


@pytest.fixture
def shop(person: Person) -> Person:
    """A person whose account has four customers."""
    for name, tags, country in (
        ("Ana", ["vip"], "MA"),
        ("Bo", ["vip", "new"], "FR"),
        ("Cy", ["new"], "MA"),
        ("Dee", [], "DE"),
    ):
        email = f"{name.lower()}@example.com"
        address = {"country": country}
        person.client.create(email, first_name=name, tags=tags, shipping_address=address)
    return person


def create(person: Person, name: str, **node: Any) -> Any:
    return person.client.data(CREATE, node={"name": name, **node})["createSegment"]


def stored(person: Person) -> list[dict[str, Any]]:
    edges = person.client.data(SEGMENTS)["segments"]["edges"]
    return [edge["node"] for edge in edges]


def search_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search customers")


def open_reader(browser: Browser, person: Person) -> Person:
    """Return a person who can read the same account."""
    account = find_account_name(person.server, person.client.token)
    token = create_token(person.server, account=account, scopes=("customers:read",))
    reader = Person(browser, person.server, Client(person.server, token))
    reader.create_session()
    return reader


def dialog_of(page: Page) -> Locator:
    return page.get_by_role("dialog")


def break_query(person: Person, query: str) -> None:
    """Make a query unreadable, as a change of the search language can."""
    change = segments.update().where(segments.c.query == query).values(query="bogus:1")
    with_store(person.server.database_url, lambda store: store.execute([(Query(change), {})]))


@pytest.mark.smoke
def test_a_marketer_saves_exports_and_tags_a_search(shop: Person, tmp_path: Path) -> None:
    page = shop.open("/customers")
    save = page.get_by_role("button", name="Save as segment")
    expect(page.locator(".row-link")).to_have_count(4)
    expect(save).to_be_hidden()
    search_box(page).fill("tag:vip order_by:email order_dir:asc")
    search_box(page).press("Enter")
    expect_names(page, "Ana", "Bo")
    save.click()
    dialog = page.get_by_role("dialog", name="Save as segment")
    expect(dialog.get_by_label("Name")).to_have_value("Vip")
    expect(dialog.get_by_label("Name")).to_be_focused()
    expect(dialog.get_by_role("combobox", name="Search")).to_have_value("tag:vip")
    expect(dialog.get_by_text("2 customers")).to_be_visible()
    dialog.get_by_label("Name").fill("Regulars")
    dialog.get_by_label("Description").fill("They come back.")
    dialog.get_by_role("button", name="Save").click()
    # The segment is shown, with its customers.
    expect(page.get_by_role("heading", name="Regulars", level=1)).to_be_visible()
    page.wait_for_url("**/customers?segment=1")
    expect(page.locator(".toast")).to_contain_text("“Regulars” was saved.")
    expect(page.get_by_text("They come back.")).to_be_visible()
    expect_names(page, "Bo", "Ana")
    expect(search_box(page)).to_have_value("")
    assert page.title() == "Regulars · Regulars"
    # A search in the segment.
    search_box(page).fill("country:FR OR country:DE")
    expect_names(page, "Bo")
    page.get_by_role("button", name="Clear the search").click()
    expect_names(page, "Bo", "Ana")
    page.get_by_role("button", name="Export").click()
    expect(dialog_of(page).get_by_label("All 2 customers of this segment")).to_be_checked()
    with page.expect_download() as download:
        dialog_of(page).get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "segment.csv")
    lines = (tmp_path / "segment.csv").read_text(encoding="utf-8").splitlines()
    assert sorted(line.split(",")[1] for line in lines[1:]) == ["ana@example.com", "bo@example.com"]
    page.get_by_role("button", name="Select all 2").click()
    expect(page.get_by_label("Selection")).to_contain_text("2 selected")
    page.get_by_role("button", name="Add tag").click()
    dialog_of(page).get_by_label("Tag").fill("spring")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags added to 2 customers.").first).to_be_visible()
    assert sorted(shop.client.emails("tag:spring")) == ["ana@example.com", "bo@example.com"]
    # A customer without the tag leaves the segment.
    page.get_by_label("Select Ana").check()
    page.get_by_role("button", name="Remove tag").click()
    dialog_of(page).get_by_label("Tag").fill("vip")
    page.keyboard.press("Enter")
    expect_names(page, "Bo")
    page.get_by_role("link", name="All customers").click()
    expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
    expect(page.locator(".row-link")).to_have_count(4)


@pytest.mark.smoke
def test_a_segment_is_created_edited_and_deleted_with_the_keyboard_alone(shop: Person) -> None:
    page = shop.open("/segments")
    keyboard = page.keyboard
    expect(page.get_by_role("heading", name="No segments yet")).to_be_visible()
    page.get_by_role("button", name="New segment").focus()
    keyboard.press("Enter")
    expect(dialog_of(page).get_by_label("Name")).to_be_focused()
    keyboard.type("Morocco")
    keyboard.press("Tab")
    keyboard.type("Near the shop.")
    keyboard.press("Tab")
    expect(dialog_of(page).get_by_label("that match a search")).to_be_focused()
    keyboard.press("Tab")
    box = dialog_of(page).get_by_role("combobox", name="Search")
    expect(box).to_be_focused()
    keyboard.type("countr")
    expect(dialog_of(page).get_by_role("option", name="country:")).to_be_visible()
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(box).to_have_value("country:")
    keyboard.type("MA")
    expect(dialog_of(page).get_by_text("2 customers")).to_be_visible()
    save = dialog_of(page).get_by_role("button", name="Save")
    while not save.evaluate("(element) => element === document.activeElement"):
        keyboard.press("Tab")
    keyboard.press("Enter")
    row = page.get_by_role("row", name="Morocco")
    expect(row.get_by_role("cell")).to_have_text(
        ["country:MA", "2", "a few seconds ago", "EditDelete"]
    )
    expect(row).to_contain_text("Near the shop.")
    # Esc closes the dialog without a change, also from the search.
    page.get_by_role("button", name="Edit Morocco").focus()
    keyboard.press("Enter")
    dialog_of(page).get_by_role("combobox", name="Search").focus()
    keyboard.type("x")
    keyboard.press("Escape")
    expect(dialog_of(page)).to_have_count(0)
    # The segment is defined by tags from now on.
    keyboard.press("Enter")
    dialog_of(page).get_by_label("that match a search").focus()
    keyboard.press("ArrowDown")
    keyboard.press("Tab")
    expect(dialog_of(page).get_by_label("With tags", exact=True)).to_be_focused()
    keyboard.type("vip, new")
    keyboard.press("Enter")
    expect(row.get_by_role("cell").first).to_have_text('tag:"vip" tag:"new"')
    expect(row.locator(".size")).to_have_text("1")
    page.get_by_role("button", name="Delete Morocco").focus()
    keyboard.press("Enter")
    dialog_of(page).get_by_role("button", name="Cancel").focus()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No segments yet")).to_be_visible()
    expect(page.get_by_role("heading", name="Segments", level=1)).to_be_focused()
    expect(page.locator(".toast").last).to_contain_text("“Morocco” was deleted.")
    assert stored(shop) == []


def test_an_update_sends_only_changes(shop: Person) -> None:
    """A tag with a comma stays as it is, and so do the values that another person changed."""
    include = {"operator": "OR", "tags": ["vip", "a, b"]}
    created = create(shop, "Members", settings={"include": include, "exclude": {"tags": ["old"]}})
    page = shop.open("/segments")
    page.get_by_role("button", name="Edit Members").click()
    expect(dialog_of(page).get_by_label("Tags that customers have")).to_have_value("OR")
    update = (
        "mutation($id: ID!, $node: SegmentInput!) { updateSegment(id: $id, node: $node) { id } }"
    )
    shop.client.data(update, id=created["id"], node={"description": "Theirs."})
    dialog_of(page).get_by_label("Name").fill("Friends")
    dialog_of(page).get_by_label("Without tags").fill("older, oldest")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Friends")).to_be_visible()
    (segment,) = stored(shop)
    assert (segment["name"], segment["description"]) == ("Friends", "Theirs.")
    assert segment["settings"] == {
        "include": include,
        "exclude": {"operator": "AND", "tags": ["older", "oldest"]},
    }
    page.get_by_role("button", name="Edit Friends").click()
    dialog_of(page).get_by_label("With tags", exact=True).fill("")
    dialog_of(page).get_by_label("Without tags").fill(" , ")
    page.keyboard.press("Enter")
    expect(dialog_of(page)).to_contain_text("Enter a tag.")
    dialog_of(page).get_by_label("that match a search").check()
    dialog_of(page).get_by_role("combobox").fill("tag:vip")
    dialog_of(page).get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Friends").locator("code")).to_have_text("tag:vip")
    assert stored(shop)[0]["settings"]["include"]["tags"] == []


def test_errors_are_shown_at_the_field(shop: Person) -> None:
    create(shop, "VIP", query="tag:vip")
    page = shop.open("/customers?q=tag:vip")
    page.get_by_role("button", name="Save as segment").click()
    # The suggested name is taken: case is ignored.
    name = dialog_of(page).get_by_label("Name")
    expect(name).to_have_value("Vip")
    page.keyboard.press("Enter")
    problem = page.locator(f"#{name.get_attribute('aria-describedby')}")
    expect(problem).to_contain_text("A segment is named")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    name.fill("")
    page.keyboard.press("Enter")
    expect(problem).to_contain_text("visible characters")
    name.fill("x" * 256)
    page.keyboard.press("Enter")
    expect(problem).to_contain_text("255")
    name.fill("Second")
    box = dialog_of(page).get_by_role("combobox")
    box.fill("contry:MA")
    dialog_of(page).get_by_role("button", name="Save").click()
    expect(dialog_of(page).locator("mark")).to_have_text("contry:MA")
    expect(box).to_be_focused()
    expect(problem).to_be_empty()
    dialog_of(page).get_by_role("button", name="Use country:MA").click()
    expect(dialog_of(page).get_by_text("2 customers")).to_be_visible()
    dialog_of(page).get_by_label("Description").fill("x" * 2001)
    dialog_of(page).get_by_role("button", name="Save").click()
    expect(dialog_of(page)).to_contain_text("The description")
    dialog_of(page).get_by_label("Description").fill("")
    dialog_of(page).get_by_label("with certain tags").check()
    dialog_of(page).get_by_label("Without tags").fill("y" * 300)
    dialog_of(page).get_by_role("button", name="Save").click()
    expect(dialog_of(page).get_by_label("Without tags")).to_have_attribute("aria-invalid", "true")
    expect(dialog_of(page)).to_contain_text("255")
    assert len(stored(shop)) == 1


def test_a_used_segment_is_deleted_after_the_others(shop: Person) -> None:
    create(shop, "Inner", query="tag:vip")
    create(shop, "Outer", query="segment:inner country:MA")
    page = shop.open("/segments")
    page.get_by_role("button", name="Delete Inner").click()
    dialog_of(page).get_by_role("button", name="Delete").click()
    alert = dialog_of(page).get_by_role("alert")
    expect(alert).to_contain_text('is used by the segment "Outer"')
    check_accessibility(page)
    alert.get_by_role("link", name="Outer").click()
    expect(page.get_by_role("heading", name="Outer", level=1)).to_be_visible()
    expect_names(page, "Ana")
    assert len(stored(shop)) == 2


def test_a_problem_shows_how_to_repair_it(browser: Browser, shop: Person) -> None:
    create(shop, "Broken", query="tag:vip")
    create(shop, "User", query="segment:broken")
    create(shop, "Fine", query="country:MA")
    break_query(shop, "tag:vip")
    page = shop.open("/segments")
    row = page.get_by_role("row", name="Broken")
    expect(row.locator(".problem").first).to_contain_text("No filter is named 'bogus'")
    expect(row.locator(".problem").first).to_contain_text("Select Edit, and correct the search.")
    expect(page.get_by_role("row", name="Fine").locator(".size")).to_have_text("2")
    expect(page.locator(".size", has_text="–")).to_have_count(2)
    page = shop.open("/customers?segment=1")
    expect(page.get_by_role("heading", name="This segment has a mistake")).to_be_visible()
    expect(page.get_by_role("button", name="Export")).to_have_count(0)
    reader = open_reader(browser, shop)
    reader.open("/customers?segment=1")
    expect(reader.page.locator(".empty-state")).to_contain_text("Your access is read-only.")
    reader.close()
    page.get_by_role("button", name="Edit").click()
    dialog_of(page).get_by_role("combobox").fill("tag:new")
    dialog_of(page).get_by_role("button", name="Save").click()
    expect_names(page, "Cy", "Bo")
    expect(page.get_by_role("button", name="Export")).to_be_visible()
    # In the search box, the error names the segment.
    break_query(shop, "tag:new")
    shop.open("/customers?q=segment:broken")
    expect(page.locator(".search .problem")).to_contain_text('The segment "Broken" cannot be read')


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_segments_are_tabs_above_the_list(browser: Browser, shop: Person, locale: str) -> None:
    """One click away, also on a small screen and by keyboard. Those that do not fit scroll."""
    for number in range(12):
        create(shop, f"{number:02} long name of a segment", query="tag:new")
    vip = create(shop, "VIP", query="tag:vip")
    small = {"width": 320, "height": 700}
    person = Person(browser, shop.server, shop.client, viewport=small, locale=locale)
    person.create_session()
    page = person.open("/customers")
    tabs = page.locator("nav.tabs a")
    current = page.locator("nav.tabs [aria-current=page]")
    expect(tabs).to_have_count(13)
    expect(current).to_have_attribute("href", "/customers")
    # Scrolls into view when it gets the focus.
    tabs.nth(9).focus()
    expect(tabs.nth(9)).to_be_in_viewport(ratio=0.9)
    page.keyboard.press("Enter")
    expect_names(page, "Cy", "Bo")
    expect(current).to_have_text("08 long name of a segment")
    expect(current).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    check_accessibility(page)
    # One that is not among the first has a tab while it is shown.
    page.goto(f"/customers?segment={vip['_id']}")
    expect(current).to_have_text("VIP")
    expect(tabs).to_have_count(14)
    page.go_back()
    expect(tabs).to_have_count(13)
    expect(current).to_have_text("08 long name of a segment")
    tabs.first.click()
    expect(page.locator(".row-link")).to_have_count(4)
    expect(current).to_have_attribute("href", "/customers")
    screenshot = SCREENSHOTS / f"segment-tabs-{locale}.png"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=screenshot)
    person.close()


def test_a_segment_that_does_not_exist_has_no_tab_and_leads_to_the_list(shop: Person) -> None:
    create(shop, "VIP", query="tag:vip")
    page = shop.open("/customers?segment=99")
    current = page.locator("nav.tabs [aria-current]")
    expect(page.get_by_role("heading", name="Segment not found")).to_be_visible()
    expect(page.locator("nav.tabs a")).to_have_text(["All customers", "VIP"])
    expect(current).to_have_count(0)
    check_accessibility(page)
    # From another page of the list, too.
    page.locator("nav.tabs").get_by_role("link", name="VIP").click()
    expect(current).to_have_text("VIP")
    page.go_back()
    expect(page.get_by_role("heading", name="Segment not found")).to_be_visible()
    expect(current).to_have_count(0)
    page.locator(".empty-state").get_by_role("link", name="All customers").click()
    expect(page.locator(".row-link")).to_have_count(4)
    expect(current).to_have_text("All customers")
    page.wait_for_url("**/customers")


def test_the_menu_and_the_completion_lead_to_segments(shop: Person) -> None:
    page = shop.open("/customers")
    menu = page.locator(".tab-row summary")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("No segments yet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(page.get_by_text("No segments yet")).to_be_hidden()
    search_box(page).fill("segment:")
    expect(page.get_by_role("listbox")).to_be_hidden()
    create(shop, "Étoiles du nord", query="tag:vip")
    create(shop, HTML_NAME, query="country:MA")
    page.goto("/customers")  # without the search
    menu.click()
    links = page.locator(".menu-list a")
    expect(links).to_have_text([HTML_NAME, "Étoiles du nord", "All segments"])
    page.keyboard.press("ArrowDown")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Étoiles du nord")).to_be_visible()
    expect(links.first).to_be_hidden()
    expect_names(page, "Bo", "Ana")
    page.go_back()
    expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
    expect(page.locator(".row-link")).to_have_count(4)
    # A name is completed without its accents, and quoted.
    box = search_box(page)
    box.fill('tag:"vip" segment:eto')
    options = page.get_by_role("listbox").get_by_role("option")
    expect(options).to_contain_text('segment:"Étoiles du nord"')
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value('tag:"vip" segment:"Étoiles du nord"')
    expect_names(page, "Bo", "Ana")
    box.fill("-segment:<")
    options.first.click()
    expect(box).to_have_value('-segment:"<img src=x onerror=\\"alert(1)\\"> & \\"Co\\" \\\\"')
    expect_names(page, "Dee", "Bo")
    # A search in a segment is saved with the segment, and the new name is suggested at once.
    shop.open("/customers?segment=2&q=tag:new+OR+tag:none")
    expect_names(page, "Cy")
    page.get_by_role("button", name="Save as segment").click()
    dialog_of(page).get_by_label("Name").fill("Nested")
    dialog_of(page).get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Nested")).to_be_visible()
    expect_names(page, "Cy")
    search_box(page).fill("segment:nes")
    expect(options).to_contain_text("segment:Nested")


def test_names_are_suggested_for_searches(shop: Person) -> None:
    suggestions = {
        "tag:vip country:MA": "Vip, Morocco",
        "-tag:'a b' orders_count:>=2": "Not a b, Orders >= 2",
        "accepts_marketing:true OR accepts_marketing:false": "Accepts marketing or not accepts marketing",
        '(tag:"say \\"x\\"" OR name:ana*) custom.loyalty:gold': 'Say "x" or ana, Custom: loyalty gold',
        "word " * 40: "Word" + ", word" * 12 + ", wo",
    }
    page = shop.open("/segments")
    suggest = """async (queries) => {
      const { modules } = await import(document.querySelector("script[src$='/app.js']").src);
      const url = document.querySelector("script[src$='/app.js']").src.replace("app.js", "segment-tools.js");
      const { openSegmentDialog } = await import(url);
      return queries.map((query) => {
        openSegmentDialog(null, query);
        const dialog = document.querySelector("dialog");
        const { value } = dialog.querySelector("input[type=text]");
        dialog.querySelector(".icon-button").click();
        return value;
      });
    }"""
    assert page.evaluate(suggest, list(suggestions)) == list(suggestions.values())


def test_all_customers_of_a_large_segment_are_changed(person: Person) -> None:
    create_customers(person, 60)
    create(person, "Most", query="-tag:none")
    page = person.open("/customers?segment=1&sort=email&dir=asc")
    page.get_by_role("button", name="Select all 60").click()
    expect(page.get_by_label("Selection")).to_contain_text("60 selected")
    page.get_by_label("Select P002").uncheck()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_label("Select P055")).to_be_checked()
    page.get_by_role("button", name="Add tag").click()
    dialog_of(page).get_by_label("Tag").fill("none")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tags added to 59 customers.").first).to_be_visible()
    person.open("/customers?segment=1")
    expect_names(page, "P002")
    # A selection of all ends when another segment is shown.
    create(person, "Others", query="tag:none")
    page.get_by_role("button", name="Select all 1").click()
    page.locator(".tab-row summary").click()
    page.get_by_role("link", name="Others").click()
    expect(page.get_by_role("button", name="Select all 59")).to_be_visible()
    expect(page.get_by_label("Selection")).to_be_hidden()
    page.clock.install()
    page.get_by_role("button", name="Select all 59").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog_of(page).get_by_role("button", name="Delete 59").click()
    expect(page.locator(".toast")).to_contain_text("59 customers will move to the trash")
    with page.expect_response("**/api/v2"):
        page.clock.run_for(10_100)
    expect(page.get_by_role("heading", name="No customers in this segment")).to_be_visible()
    assert person.client.emails() == ["p002@example.com"]


def test_a_reader_sees_segments_without_actions(browser: Browser, shop: Person) -> None:
    create(shop, "VIP", query="tag:vip")
    reader = open_reader(browser, shop)
    page = reader.open("/segments")
    expect(page.get_by_role("row", name="VIP").locator(".size")).to_have_text("2")
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
    page.get_by_role("link", name="VIP").click()
    expect_names(page, "Bo", "Ana")
    expect(page.get_by_role("button", name="Export")).to_be_visible()
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)
    search_box(page).fill("country:MA")
    expect_names(page, "Ana")
    expect(page.get_by_role("button", name="Save as segment")).to_be_hidden()
    page.get_by_role("button", name="Select all 1").click()
    expect(page.get_by_role("button", name="Add tag")).to_have_count(0)
    shop.client.data("mutation { deleteSegments(items: [1]) }")
    reader.open("/segments")
    expect(page.locator(".empty-state")).to_contain_text("Segments that other users create")
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
    reader.close()


@pytest.mark.smoke
def test_a_watched_segment_appears_on_its_customers(browser: Browser, shop: Person) -> None:
    create(shop, RTL_NAME, query="tag:vip")
    page = shop.open("/customers/1")
    chips = page.get_by_role("list", name="Segments").get_by_role("link")
    expect(chips).to_have_count(0)
    tab = shop.open_tab()
    tab.goto("/customers?segment=1")
    watch = tab.get_by_role("button", name="Watch")
    expect(watch).to_have_attribute("aria-pressed", "false")
    watch.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast")).to_contain_text("Watched.")
    expect(watch).to_have_attribute("aria-pressed", "true")
    expect(watch).to_be_focused()
    expect(tab.locator(".segment-query")).to_contain_text("Watched, started a few seconds ago")
    # The page of the customer follows by itself.
    expect(chips).to_have_text([RTL_NAME])
    shop.client.update("1", tags=[])
    expect(chips).to_have_count(0)
    entry = page.locator(".timeline li.segment_left")
    expect(entry).to_have_text(re.compile(f"^Left a segment {RTL_NAME}, a few seconds ago$"))
    entry.get_by_role("link").click()
    expect(page.get_by_role("heading", name=RTL_NAME)).to_be_visible()
    shop.open("/segments")
    expect(page.get_by_role("row", name=RTL_NAME).locator(".chip")).to_have_text("Watched")
    reader = open_reader(browser, shop)
    reader.open("/customers?segment=1")
    expect(reader.page.locator(".segment-query")).to_contain_text("Watched, started")
    expect(reader.page.get_by_role("button", name="Watch")).to_have_count(0)
    reader.close()
    watch.click()
    expect(watch).to_have_attribute("aria-pressed", "false")
    expect(tab.locator(".segment-query")).not_to_contain_text("Watched")


def test_a_segment_beyond_the_maximum_is_not_watched(shop: Person) -> None:
    for number in range(51):
        create(shop, f"s{number}", query="tag:vip", watched=number < 50)
    page = shop.open("/customers?segment=51")
    page.get_by_role("button", name="Watch").click()
    expect(page.locator(".toast.wrong")).to_contain_text("50 segments are watched, the maximum.")
    expect(page.get_by_role("button", name="Watch")).to_have_attribute("aria-pressed", "false")


def test_a_segment_that_is_gone_is_reported(shop: Person) -> None:
    for segment in ("1", "nobody", "%3Cb%3E", "Q3VzdG9tZXI6MQ==", "9" * 30):
        page = shop.open(f"/customers?segment={segment}")
        expect(page.get_by_role("heading", name="Segment not found")).to_be_visible()
        expect(page.get_by_role("button", name="Export")).to_have_count(0)
        expect(page.locator(".row-link")).to_have_count(0)
    page.get_by_role("link", name="All segments").click()
    expect(page.get_by_role("heading", name="Segments", level=1)).to_be_focused()


def test_five_hundred_segments_have_pages_and_are_found(shop: Person) -> None:
    for start in range(0, 500, 50):
        fields = " ".join(
            f's{n}: createSegment(node: {{name: "Segment {n:03}", query: "tag:t{n}"}}) {{ id }}'
            for n in range(start, start + 50)
        )
        shop.client.data(f"mutation {{ {fields} }}")
    page = shop.open("/segments")
    expect(page.locator(".count")).to_have_text("500 segments")
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page.locator(".size", has_text="0")).to_have_count(50)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tbody tr").first).to_contain_text("Segment 050")
    page.get_by_role("link", name="First page").click()
    expect(page.locator("tbody tr").first).to_contain_text("Segment 000")
    box = page.get_by_role("searchbox", name="Find a segment")
    box.fill("segment (499) -")
    box.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("/segments?q=segment+%28499%29+-")
    box.fill("nothing order_by:x")
    box.press("Enter")
    expect(page.get_by_role("heading", name="No segments match this search")).to_be_visible()
    page.get_by_role("link", name="Clear the search").click()
    page.get_by_role("button", name="New segment").click()
    dialog_of(page).get_by_label("Name").fill("One more")
    page.keyboard.press("Enter")
    expect(dialog_of(page)).to_contain_text("This account has 500 segments, the maximum.")
    page.keyboard.press("Escape")
    shop.open("/customers")
    page.locator(".tab-row summary").click()
    expect(page.locator(".menu-list a")).to_have_count(31)
    page.get_by_role("link", name="All 500 segments").click()
    expect(page.get_by_role("heading", name="Segments", level=1)).to_be_focused()
    shop.open("/segments?after=nonsense")
    expect(page.locator("tbody tr")).to_have_count(50)


def test_hostile_names_are_shown_as_text(shop: Person) -> None:
    names = (HTML_NAME, RTL_NAME, "\u202egnol", "x" * 255, "</title><script>alert(1)</script>")
    page = shop.page
    for number, name in enumerate(names, start=1):
        create(shop, name, query="tag:vip", description=name)
        shop.open(f"/customers?segment={number}")
        expect(page.locator("h1 bdi")).to_have_text(name)
        expect_names(page, "Bo", "Ana")
    shop.open("/segments")
    expect(page.locator("tbody th a")).to_have_count(len(names))
    expect(page.locator("main img, main script")).to_have_count(0)
    for name in names:
        page.get_by_role("button", name=f"Delete {name}", exact=True).click()
        dialog_of(page).get_by_role("button", name="Delete").click()
        expect(dialog_of(page)).to_have_count(0)
    assert stored(shop) == []


def test_a_stored_name_can_be_written_in_a_search(shop: Person) -> None:
    """Each name that the search box quotes finds its segment."""
    names = ["a-b", "-a", "a:b", "a*", "<3", ">=1", "a(b)", "it's", "OR", "1", 'q"', "b\\", "é"]
    for name in names:
        create(shop, name, query="tag:vip")
    page = shop.open("/customers")
    quoted = page.evaluate(
        """async (names) => {
          const { modules } = await import(document.querySelector("script[src$='/app.js']").src);
          return names.map(modules["search-box.js"].asValue);
        }""",
        names,
    )
    for value in quoted:
        assert sorted(shop.client.emails(f"segment:{value}")) == [
            "ana@example.com",
            "bo@example.com",
        ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1280, 390, 320])
def test_segments_are_accessible_and_fit_the_screen(
    browser: Browser, shop: Person, scheme: str, width: int
) -> None:
    """Long names, HTML and text from right to left included. 320 pixels are also 640 at 200 %."""
    node = {"query": "orders_count:>1 updated_at:<-90d", "watched": True}
    create(shop, "At risk", **node, description="Call them.")
    create(shop, "x" * 255, query="tag:vip " + "country:MA " * 30, description="y" * 300)
    create(shop, HTML_NAME, query="country:MA", description=HTML_NAME)
    create(shop, RTL_NAME, settings={"include": {"tags": ["vip"]}}, watched=True)
    create(shop, "Broken", query="tag:broken")
    break_query(shop, "tag:broken")
    size = {"width": width, "height": 900 if width > 400 else 844}
    person = Person(browser, shop.server, shop.client, viewport=size, color_scheme=scheme)
    person.create_session()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def check(name: str, is_full: bool = True, within: str | None = None) -> None:
        check_accessibility(page, within)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        path = SCREENSHOTS / f"segments-{name}-{width}-{scheme}.png"
        page.screenshot(path=path, full_page=is_full)

    page = person.open("/segments")
    expect(page.locator(".size", has_text="…")).to_have_count(0)
    check("page")
    page.get_by_role("button", name="New segment").click()
    check("new", is_full=False)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"Edit {RTL_NAME}").click()
    check("tags", is_full=False)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete Broken").click()
    check("delete", is_full=False)
    for number, name in ((1, "list"), (2, "long"), (3, "html"), (4, "rtl"), (5, "problem")):
        page = person.open(f"/customers?segment={number}")
        page.locator(".empty-state, .row-link").first.wait_for()
        check(name)
    page = person.open("/customers/1")
    page.get_by_role("list", name="Segments").get_by_role("link").wait_for()
    page.locator(".timeline li").first.wait_for()
    check("customer")
    page = person.open("/customers?q=tag:vip")
    page.locator(".row-link").first.wait_for()
    page.locator(".tab-row summary").click()
    page.locator(".tab-row details").get_by_role("link", name="At risk").wait_for()
    check("menu", is_full=False, within=".tab-row details[open]")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save as segment").click()
    dialog_of(page).get_by_role("combobox").fill("tag:vip seg")
    page.get_by_role("listbox").wait_for()
    check("save", is_full=False)
    person.close()
