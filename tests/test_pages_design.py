"""Tests of dialogs, messages, the first load, states of errors, and the form of pages."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser import Person, choose
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_layout import record_order
from tests.test_pages_list import create_customers, expect_names

pytestmark = pytest.mark.slow


def box_of(locator: Locator) -> Any:
    box = locator.bounding_box()
    assert box is not None
    return box


def background(locator: Locator) -> str:
    return str(locator.evaluate("element => getComputedStyle(element).backgroundColor"))


def select_all(page: Page, count: int) -> None:
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name=f"Select all {count}").click()


def answer(route: Route, key: str, name: str, message: str = "It is so.") -> None:
    """Responds with an error of the API to a query of the page, but not to that of the person."""
    if "viewer" in (route.request.post_data or ""):
        route.fallback()
        return
    error = {"message": message, "key": key, "name": name, "extensions": {}}
    route.fulfill(json={"data": None, "errors": [error]})


def refuse_write(route: Route) -> None:
    message = "The token lacks the scope `customers:write`."
    answer(route, "errors_scope", "ReportedError", message)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_number_of_many_deleted_customers_is_typed(
    browser: Browser, person: Person, scheme: Any
) -> None:
    create_customers(person, 101)
    page = person.open("/customers?sort=email&dir=asc")
    page.emulate_media(color_scheme=scheme)
    select_all(page, 101)
    delete = page.get_by_label("Selection").get_by_role("button", name="Delete")
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete 101 customers?")
    confirm = dialog.get_by_role("button", name="Delete 101")
    number = dialog.get_by_label("To confirm, enter the number 101")
    expect(number).to_be_focused()
    # The button is solid; that of the page is not.
    assert background(confirm) != background(dialog)
    assert background(delete) == background(page.get_by_role("button", name="Add tag"))
    check_accessibility(page)
    for text in ("", "100", "delete"):
        number.fill(text)
        number.press("Enter")
        expect(number).to_have_attribute("aria-invalid", "true")
        expect(dialog).to_contain_text("This is not the number. Enter 101 to confirm, or cancel.")
        expect(number).to_be_focused()
    check_accessibility(page)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Selection")).to_contain_text("101 selected")
    delete.click()
    number.fill(" 101 ")
    confirm.click()
    expect(
        page.get_by_role("heading", name="Everyone on this page is being deleted")
    ).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row-link")).to_have_count(50)
    page.get_by_label("Select P000").check()
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete 1 customer?")
    expect(dialog.get_by_role("textbox")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()


def test_the_time_to_undo_is_shown(person: Person) -> None:
    create_customers(person, 2)
    page = person.open("/customers")

    def delete() -> tuple[Locator, Locator]:
        page.get_by_label("Select P001").check()
        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete 1").click()
        toast = page.locator(".toast", has_text="1 customer will")
        return toast.locator(".time-left"), toast.locator(".seconds")

    bar, seconds = delete()
    expect(seconds).to_have_text("10 s")
    widths = [box_of(bar)["width"]]
    expect(seconds).to_have_text("8 s")
    widths.append(box_of(bar)["width"])
    assert 0.6 < widths[1] / widths[0] < 0.9, widths
    check_accessibility(page)
    page.get_by_role("button", name="Undo").click()
    # Without motion, the seconds alone tell the time.
    page.emulate_media(reduced_motion="reduce")
    bar, seconds = delete()
    expect(seconds).to_have_text("9 s")
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    # A message without an action stays while the person points at it, and has no time.
    expect(page.locator(".toast .seconds")).to_have_count(0)


def test_the_frame_is_shown_before_the_scripts(person: Person) -> None:
    page = person.page
    has_looked = threading.Event()
    held: list[Route] = []
    page.route(
        "**/*.js", lambda route: route.fallback() if has_looked.is_set() else held.append(route)
    )
    page.goto("/overview", wait_until="commit")
    expect(page.locator(".brand")).to_be_visible()
    expect(page.locator("main .skeleton div")).to_have_count(9)
    expect(page.locator("main .skeleton div").nth(8)).to_be_visible()
    brand = box_of(page.locator(".brand"))
    has_looked.set()
    for route in held:
        route.continue_()
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()
    expect(page.locator("main .skeleton")).to_have_count(0)
    assert box_of(page.locator(".brand")) == pytest.approx(brand)
    # The page to sign in has no frame.
    has_looked.clear()
    held.clear()
    page.goto("/sign-in", wait_until="commit")
    page.locator("main").wait_for(state="attached")
    expect(page.locator(".brand")).to_be_hidden()
    expect(page.locator("main .skeleton")).to_be_hidden()
    has_looked.set()
    for route in held:
        route.continue_()
    page.get_by_role("heading", name="Customers", exact=True).wait_for()  # the person is signed in


def test_the_list_waits_for_the_end_of_a_word(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana", tags=["vip"])
    person.client.create("bo@example.com", first_name="Bo")
    page = person.open("/customers")
    box = page.get_by_role("combobox", name="Search customers")
    nobody = page.get_by_role("heading", name="No customers match this search")
    box.press_sequentially("coun", delay=30)
    expect(page.get_by_role("option", name="country:")).to_be_visible()
    # Nobody has this word, but it is not complete: the customers stay, in grey.
    expect(page.locator(".list")).to_have_class("list stale")
    expect_names(page, "Bo", "Ana")
    expect(nobody).to_have_count(0)
    expect(page.get_by_role("button", name="Export")).to_be_disabled()
    # Esc closes the suggestions: the word is a word.
    page.keyboard.press("Escape")
    expect(nobody).to_be_visible()
    box.fill("")
    expect_names(page, "Bo", "Ana")
    box.press_sequentially("ta", delay=30)
    expect(page.locator(".list")).to_have_class("list stale")
    page.keyboard.press("Enter")
    expect(nobody).to_be_visible()
    expect(page.locator(".list")).to_have_class("list")
    box.fill("")
    expect_names(page, "Bo", "Ana")
    box.press_sequentially("tag:v", delay=30)
    expect(page.get_by_role("option", name="tag:vip")).to_be_visible()
    expect(page.locator(".list")).to_have_class("list stale")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value("tag:vip")
    expect_names(page, "Ana")
    expect(page.locator(".list")).to_have_class("list")
    # A word without suggestions is searched at once.
    box.fill("zzz")
    expect(nobody).to_be_visible()


def test_a_page_offers_another_try_only_if_it_can_help(person: Person) -> None:
    page = person.page
    again = page.get_by_role("button", name="Try again")
    back = page.get_by_role("link", name="Back to customers")

    def open_with(key: str, name: str) -> None:
        page.unroute_all()
        page.route("**/api/v2", lambda route: answer(route, key, name))
        person.open("/overview")

    open_with("errors_internal", "InternalError")
    expect(page.get_by_text("It is so.")).to_be_visible()
    expect(again).to_be_visible()
    open_with("errors_document_limit", "ReportedError")
    expect(page.get_by_text("It is so.")).to_be_visible()
    expect(back).to_be_visible()
    expect(again).to_have_count(0)
    open_with("errors_scope", "ReportedError")
    no_access = "You do not have access to this page"
    expect(page.get_by_role("heading", name=no_access, level=2)).to_be_visible()
    # The hidden heading and the title say the same, not "Something went wrong".
    expect(page.get_by_role("heading", level=1)).to_have_text(no_access)
    assert no_access in page.title()
    expect(page.get_by_text("It is so.")).to_have_count(0)
    expect(again).to_have_count(0)
    expect(back).to_be_visible()
    page.unroute_all()
    page.route("**/api/v2", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    person.open("/overview")
    expect(again).to_be_visible()
    page.unroute_all()
    again.click()
    expect(page.get_by_role("heading", name="No customers yet")).to_be_visible()


def test_a_refused_action_is_explained_in_plain_words(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana")
    page = person.open("/customers/1")
    page.get_by_role("button", name="Edit First name").click()
    page.get_by_role("textbox", name="First name").fill("Anna")
    page.route("**/api/v2", refuse_write)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("You can't change customers.")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Anna")).to_be_visible()


def test_a_new_customer_has_two_columns(person: Person) -> None:
    page = person.open("/customers/new")
    names = ("Email", "Phone", "First name", "Last name", "Tags", "Notes")
    email, phone, first, last, tags, notes = (
        box_of(page.get_by_label(name, exact=True).first) for name in names
    )
    assert email["y"] == phone["y"] < first["y"] == last["y"] < tags["y"]
    assert email["x"] == first["x"] == tags["x"] < phone["x"] == last["x"] < notes["x"]
    assert notes["y"] < phone["y"] + 40
    check_accessibility(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert box_of(page.get_by_label("Notes"))["x"] == box_of(page.get_by_label("Email").first)["x"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_editable_values_show_a_pencil_and_keep_their_place(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana", last_name="Núñez")
    page = person.open("/customers/1")
    pencil = page.get_by_role("button", name="Edit First name").locator(".icon")
    assert float(pencil.evaluate("icon => getComputedStyle(icon).opacity")) > 0.4
    last = page.get_by_role("button", name="Edit Last name")
    before = box_of(last)
    page.get_by_role("button", name="Edit First name").click()
    page.get_by_role("textbox", name="First name").wait_for()
    after = box_of(last)
    assert (after["x"], after["y"]) == (before["x"], before["y"])


def test_zeros_are_grey_and_selected_rows_readable(person: Person) -> None:
    person.client.create("p000@example.com", first_name="Ana", tags=["vip"])
    record_order(person, 0, financial_status="pending")
    page = person.open("/customers")
    row = page.locator("tbody tr")
    expect(row.locator(".count-cell")).to_contain_text("1")
    expect(row.locator(".money-cell")).to_have_text("–")
    chip = row.locator(".chip")
    plain = background(chip)
    page.get_by_label("Select Ana").check()
    assert background(chip) not in (plain, background(row))
    check_accessibility(page)
    page.get_by_role("link", name="Ana").click()
    figures = page.locator(".figures")
    expect(figures.locator("div:has(> dt:text('Visits')) dd")).to_have_text("–")
    expect(figures.locator("div:has(> dt:text('Total spent')) dd")).to_have_text("–")


def test_many_tags_are_folded(person: Person) -> None:
    tags = [f"tag {number:02}" for number in range(61)]
    person.client.create("ana@example.com", first_name="Ana", tags=tags)
    page = person.open("/customers/1")
    chips = page.get_by_role("list", name="Tags", exact=True).get_by_role("listitem")
    expect(chips).to_have_count(20)
    page.get_by_role("button", name="Show all 61 tags").click()
    expect(chips).to_have_count(61)
    expect(page.get_by_role("button", name="Remove the tag tag 00")).to_be_focused()
    page.get_by_role("button", name="Remove the tag tag 60").click()
    expect(chips).to_have_count(60)


def test_the_place_of_a_customer_is_written_for_people(person: Person) -> None:
    address = {"city": "Rabat", "country": "MA"}
    person.client.create("ana@example.com", first_name="Ana", shipping_address=address)
    page = person.open("/customers/1")
    expect(page.locator(".customer-head")).to_contain_text("Rabat, Morocco")
    choose(page, "Delete")
    expect(page.get_by_role("heading", name="Customers", exact=True)).to_be_visible()


def test_forced_colors_keep_controls_visible(browser: Browser, person: Person) -> None:
    """In the colors of the person, the marks of a state are borders or texts."""
    create_customers(person, 3)
    page = person.open("/customers")
    page.emulate_media(forced_colors="active")
    page.get_by_label("Select P001").check()
    for marked in (
        page.locator("tr.selected"),
        page.get_by_role("link", name="Customers", exact=True).last,
    ):
        assert marked.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.get_by_role("button", name="Delete", exact=True).click()
    button = page.get_by_role("dialog").get_by_role("button", name="Delete 1")
    assert button.evaluate("button => getComputedStyle(button).borderTopStyle") == "solid"


def test_the_list_and_a_customer_have_a_readable_tree(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana", phone="+212 612 345678", tags=["vip"])
    page = person.open("/customers")
    expect(page.locator("main")).to_match_aria_snapshot("""
      - main:
        - heading "Customers" [level=1]
        - button "Export"
        - link "New customer"
        - search:
          - combobox "Search customers"
        - status: 1 customer
        - table "Customers":
          - rowgroup:
            - row:
              - columnheader "Select all on this page":
                - checkbox "Select all on this page"
              - columnheader "Customer"
              - columnheader "Location"
              - columnheader "Tags"
              - columnheader "Orders"
              - columnheader "Total spent"
              - columnheader "Last updated"
          - rowgroup:
            - row:
              - cell "Select Ana":
                - checkbox "Select Ana"
              - cell:
                - link "Ana"
    """)
    page.get_by_role("link", name="Ana").click()
    page.locator(".timeline li").first.wait_for()
    expect(page.locator("main")).to_match_aria_snapshot("""
      - main:
        - link "Back to customers"
        - heading "Ana" [level=1]
        - region "Timeline":
          - heading "Timeline" [level=2]
          - form "New comment":
            - textbox "New comment"
            - button "Add comment"
        - region "Profile":
          - heading "Profile" [level=2]
          - 'button "Edit First name: Ana"'
          - list "Emails":
            - listitem:
              - link "ana@example.com"
          - list "Phones":
            - listitem:
              - link "+212 612 345678"
          - switch "Accepts marketing"
          - list "Tags":
            - listitem:
              - text: vip
              - button "Remove the tag vip"
        - region "Key figures"
        - region "Addresses"
        - region "Orders"
        - region "Notes and details"
    """)
    expect(page).to_have_title("Ana · Regulars")
