"""Tests of selected customers who are out of sight, of ranges of rows, and of copied rows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import Person
from tests.test_pages_list import create_customers

pytestmark = pytest.mark.slow

NAMES = ("Ana Núñez", "Bo Li", "Cy Young", "Dee Dee", "Eve Moss")


@pytest.fixture
def shop(person: Person) -> Person:
    """A person whose account has five customers: two of them in Italy, and three in France."""
    for index, name in enumerate(NAMES):
        first, last = name.split()
        person.client.create(
            f"{first.lower()}@example.com",
            first_name=first,
            last_name=last,
            tags=["VIP", "new"] if index < 2 else [],
            shipping_address={"country": "IT" if index < 2 else "FR"},
        )
    return person


def checked(page: Page) -> list[str]:
    boxes = page.locator("tbody input:checked")
    return [str(box.get_attribute("aria-label")) for box in boxes.all()]


def test_selected_customers_out_of_sight_are_counted_and_named(shop: Person) -> None:
    page = shop.open("/customers?q=country:FR&sort=email&dir=asc")
    page.get_by_label("Select Cy Young").check()
    page.get_by_label("Select Dee Dee").check()
    bar = page.get_by_label("Selection")
    expect(bar).not_to_contain_text("not on this page")
    page.get_by_role("combobox", name="Search customers").fill("country:IT")
    page.get_by_label("Select Bo Li").check()
    expect(bar).to_contain_text("3 selected")
    expect(bar).to_contain_text("2 of them are not on this page.")
    dialog = page.get_by_role("dialog")
    for name in ("Add tag", "Remove tag", "Export"):
        bar.get_by_role("button", name=name).click()
        expect(dialog).to_contain_text("2 of them are not on this page.")
        page.keyboard.press("Escape")
    bar.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("Cy Young, Dee Dee, Bo Li")
    expect(dialog).to_contain_text("2 of them are not on this page.")
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="Show selected").click()
    expect(dialog.get_by_role("checkbox")).to_have_count(3)
    dialog.get_by_label("Cy Young").uncheck()
    dialog.get_by_label("Bo Li").uncheck()
    page.keyboard.press("Escape")
    expect(bar).to_contain_text("1 selected")
    expect(bar).to_contain_text("1 of them is not on this page.")
    expect(page.get_by_label("Select Bo Li")).not_to_be_checked()
    bar.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog", name="Delete 1 customer?")).to_contain_text("Dee Dee")
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Search customers").fill("")
    expect(bar).not_to_contain_text("not on this page")


def test_a_dialog_names_the_first_of_many_customers(person: Person) -> None:
    create_customers(person, 60)
    page = person.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 60").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog", name="Delete 60 customers?")).to_contain_text(
        "P000, P001, P002 and 57 more"
    )


def test_messages_count_the_customers_whose_tags_changed(shop: Person) -> None:
    page = shop.open("/customers?sort=email&dir=asc")
    dialog = page.get_by_role("dialog")

    def change(action: str, tag: str, *names: str) -> None:
        for name in names:
            page.get_by_label(f"Select {name}").check()
        page.get_by_role("button", name=action).click()
        dialog.get_by_label("Tag").fill(tag)
        dialog.get_by_label("Tag").press("Enter")
        expect(dialog).to_have_count(0)

    def expect_message(text: str) -> None:
        expect(page.locator(".toast p").last).to_have_text(text)

    change("Remove tag", "nobody has it", "Ana Núñez", "Bo Li")
    expect_message("No changes: none of the selected customers has these tags.")
    change("Add tag", "VIP", "Bo Li", "Cy Young", "Dee Dee")
    expect_message("Tags added to 2 customers. Already had them: 1.")
    change("Add tag", "VIP", "Bo Li")
    expect_message("No changes: all selected customers already have these tags.")
    change("Remove tag", "new", "Bo Li")
    expect_message("Tags removed from 1 customer.")
    change("Remove tag", "new", "Ana Núñez", "Bo Li")
    expect_message("Tags removed from 1 customer. Did not have them: 1.")
    change("Add tag", "last", "Eve Moss")
    expect_message("Tags added to 1 customer.")


def test_tags_of_selected_customers_are_undone(shop: Person) -> None:
    page = shop.open("/customers?sort=email&dir=asc")
    before = shop.client.emails("tag:new order_by:email order_dir:asc")
    assert 0 < len(before) < 5
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("new")
    page.keyboard.press("Enter")
    toast = page.locator(".toast").last
    expect(toast).to_contain_text(f"Already had them: {len(before)}.")
    assert shop.client.page("id", query="-tag:new")["edges"] == []
    toast.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast").last).to_contain_text("Undone for")
    assert shop.client.emails("tag:new order_by:email order_dir:asc") == before
    # The edit is listed, so that it can be undone later, too.
    page = shop.open("/imports")
    expect(page.get_by_role("main")).to_contain_text("Undone")


def test_tags_of_many_picked_customers_are_undone_together(person: Person) -> None:
    create_customers(person, 60)
    page = person.page
    # An edit names at most 1,000 customers: of fewer here, so that 59 are several edits.
    page.route("**/bulk-edit.js", lambda route: _with_small_edits(route))
    page = person.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 60").click()
    page.get_by_label("Select P002").uncheck()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("most")
    page.keyboard.press("Enter")
    toast = page.locator(".toast").last
    expect(toast).to_contain_text("Tags added to 59 customers.")
    assert person.client.emails("-tag:most") == ["p002@example.com"]
    toast.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone for").nth(2)).to_be_attached()
    assert person.client.emails("tag:most") == []


def _with_small_edits(route: Route) -> None:
    response = route.fetch()
    route.fulfill(response=response, body=response.text().replace("MAX_IDS=1000", "MAX_IDS=25"))


def test_shift_selects_the_rows_between(shop: Person) -> None:
    page = shop.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select Bo Li").click()
    page.get_by_label("Select Dee Dee").click(modifiers=["Shift"])
    assert checked(page) == ["Select Bo Li", "Select Cy Young", "Select Dee Dee"]
    expect(page.get_by_label("Selection")).to_contain_text("3 selected")
    # Upwards, next to the box, and to deselect.
    page.locator("td.choose").nth(1).click(modifiers=["Shift"], position={"x": 3, "y": 3})
    assert checked(page) == []
    page.locator("td.choose").nth(0).click(position={"x": 3, "y": 3})
    assert checked(page) == ["Select Ana Núñez"]
    assert page.evaluate("getSelection().toString()") == ""
    page.get_by_label("Select Cy Young").focus()
    page.keyboard.press("Space")
    assert checked(page) == ["Select Ana Núñez", "Select Cy Young"]


def test_a_row_opens_in_another_tab(shop: Person) -> None:
    page = shop.open("/customers?sort=email&dir=asc")
    cell = page.get_by_role("row", name="Cy Young").locator("td.location")
    for options in ({"modifiers": ["ControlOrMeta"]}, {"button": "middle"}):
        with shop.context.expect_page() as opened:
            cell.click(**options)
        expect(opened.value.get_by_role("heading", name="Cy Young")).to_be_visible()
        opened.value.close()
        assert page.url.endswith("/customers?sort=email&dir=asc")
    cell.click()
    expect(page.get_by_role("heading", name="Cy Young")).to_be_visible()


def test_copied_rows_are_lines_with_tabs(shop: Person) -> None:
    shop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = shop.open("/customers?sort=email&dir=asc")
    page.locator(".row-link").nth(2).wait_for()
    select = """([from, to]) => {
      const rows = document.querySelectorAll("tbody tr");
      getSelection().setBaseAndExtent(rows[from], 0, rows[to], rows[to].childNodes.length);
    }"""

    def copy() -> list[list[str]]:
        page.keyboard.press("Control+C")
        text = page.evaluate("navigator.clipboard.readText()")
        return [line.split("\t") for line in text.splitlines()]

    page.evaluate(select, [0, 1])
    first, second = copy()
    assert first[:5] == ["Ana Núñez", "ana@example.com", "Italy", "VIP, new", "0"]
    assert second[:2] == ["Bo Li", "bo@example.com"]
    assert len(first) == len(second) == 7
    html = page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          return (await item.getType("text/html")).text();
        }"""
    )
    assert html.count("<tr>") == 2
    assert html.count("<td>") == 14
    # A selected text is copied as it is.
    page.get_by_text("bo@example.com").select_text()
    assert copy() == [["bo@example.com"]]
    # A triple click selects up to the beginning of the next row.
    page.get_by_text("ana@example.com").click(click_count=3, position={"x": 2, "y": 2})
    assert len(copy()) == 1


def test_a_phone_selects_all_results_after_one(person: Person) -> None:
    create_customers(person, 30)
    person.page.set_viewport_size({"width": 390, "height": 844})
    page = person.open("/customers?sort=email&dir=asc")
    page.get_by_label("Select P003").check()
    bar = page.get_by_label("Selection")
    bar.get_by_role("button", name="Select all 30").click()
    expect(bar).to_contain_text("30 selected")
