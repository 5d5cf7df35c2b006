"""Tests of suggested tags and countries, and of the search by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import Person
from tests.support import Client, create_token, find_account_name
from tests.test_pages_list import create_customers, expect_names

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(person: Person) -> Person:
    """A person whose account has tags of customers who are not on the first page."""
    for name, tags in (("ana", ["VIP", "visitor"]), ("bo", ["vip", "late parcel"])):
        person.client.create(
            f"{name}@example.com", first_name=name.title(), tags=tags, phone="+49 30 1"
        )
    create_customers(person, 60)
    return person


def options(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


def search_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search customers")


def test_the_search_suggests_all_tags_and_countries(shop: Person) -> None:
    page = shop.open("/customers")
    expect(page.locator(".row-link")).to_have_count(50)
    box = search_box(page)
    box.press_sequentially("tag:")
    expect(options(page)).to_have_text(
        ['tag:"late parcel"1 customer', "tag:vip2 customers", "tag:visitor1 customer"]
    )
    box.press_sequentially("VI")
    expect(options(page)).to_have_count(2)
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("tag:vip")
    expect_names(page, "Bo", "Ana")
    box.fill('-tag:"la')
    expect(options(page)).to_have_text(['tag:"late parcel"1 customer'])
    box.fill("country:ger")
    expect(options(page)).to_have_text(["country:DEGermany"])
    box.fill("country:c")
    expect(options(page)).to_have_count(8)
    box.fill("country:ch")
    expect(options(page).filter(has_text="country:CHSwitzerland")).to_have_count(1)
    box.fill("-country:CÔTE")
    options(page).first.click()
    expect(box).to_have_value("-country:CI")


def test_inputs_of_tags_suggest_all_tags(shop: Person) -> None:
    page = shop.open("/customers")
    page.get_by_label("Select P029").check()
    page.get_by_role("button", name="Add tag").click()
    field = page.get_by_role("dialog").get_by_label("Tag")
    field.press_sequentially("summer, vi")
    expect(options(page)).to_have_text(["vip2 customers", "visitor1 customer"])
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", re.compile("."))
    field.press("Enter")
    expect(field).to_have_value("summer, vip")
    field.press("Enter")
    expect(page.get_by_text("Tags added to 1 customer.").first).to_be_visible()
    assert shop.client.emails("tag:summer tag:vip") == ["p029@example.com"]
    # On the page of a customer.
    page = shop.open("/customers/3")
    field = page.get_by_role("combobox", name="Add a tag")
    field.press("ArrowDown")
    expect(options(page)).to_have_count(4)
    field.press("Escape")
    expect(options(page)).to_have_count(0)
    # Enter and a click add the suggestion, with what was typed before it. Tab completes the text.
    tags = page.get_by_role("list", name="Tags").get_by_role("listitem")
    count = tags.count()
    field.press_sequentially("la")
    expect(options(page)).to_have_count(1)
    field.press("ArrowDown")
    field.press("Enter")
    expect(tags.filter(has_text="late parcel")).to_have_count(1)
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    field.press_sequentially("spring, vi")
    options(page).filter(has_text="visitor").click()
    expect(tags).to_have_count(count + 3)
    expect(field).to_have_value("")
    field.press_sequentially("su")
    expect(options(page)).to_have_count(1)
    field.press("ArrowDown")
    field.press("Tab")
    expect(field).to_have_value("summer")
    expect(field).to_be_focused()
    expect(tags).to_have_count(count + 3)
    assert shop.client.emails("tag:spring tag:visitor tag:'late parcel' -tag:summer") == [
        "p000@example.com"
    ]
    # In the form of a new customer, and in that of a segment.
    page = shop.open("/customers/new")
    page.get_by_label("Tags").press_sequentially("su")
    expect(options(page)).to_have_text(["summer1 customer"])
    page = shop.open("/segments")
    page.locator(".empty-state").get_by_role("button", name="New segment").click()
    page.get_by_label("with certain tags").check()
    page.get_by_label("Without tags").press_sequentially("vis")
    expect(options(page)).to_have_text(["visitor2 customers"])


def test_results_are_entered_and_the_only_one_is_opened_by_keyboard(shop: Person) -> None:
    page = shop.open("/customers")
    box = search_box(page)
    box.fill("example")
    expect(page.locator(".count")).to_have_text("62 customers found")
    box.press("Enter")
    expect(box).to_be_focused()  # many are found
    box.press("ArrowDown")
    expect(page.get_by_role("link", name="P059")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(box).to_be_focused()
    # Enter does not wait for the search that typing begins.
    box.fill("p017")
    box.press("Enter")
    expect(page.get_by_role("heading", name="P017")).to_be_focused()
    page.go_back()
    expect(box).to_have_value("p017")
    box.fill("nobody")
    box.press("Enter")
    expect(page.get_by_role("heading", name="No customers match this search")).to_be_visible()
    box.press("ArrowDown")
    expect(box).to_be_focused()


def test_the_search_opens_from_any_page(shop: Person) -> None:
    page = shop.open("/overview")
    for key in ("Control+k", "Meta+k"):
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("heading", name="Overview", level=1).wait_for()
        page.keyboard.press(key)
        expect(search_box(page)).to_be_focused()
        page.wait_for_url("**/customers")
    page.keyboard.type("bo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bo")).to_be_visible()
    # Unsaved input is not lost.
    page.get_by_role("button", name="Edit Phone:").click()
    page.get_by_label("Phone", exact=True).last.fill("+49 30 2")
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Discard changes?")
    dialog.get_by_role("button", name="Keep editing").click()
    expect(page.get_by_label("Phone", exact=True).last).to_have_value("+49 30 2")
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+k")  # a dialog is open
    dialog.get_by_role("button", name="Discard").click()
    expect(search_box(page)).to_be_focused()


def test_a_reader_gets_no_shortcut_to_what_is_refused(browser: Browser, shop: Person) -> None:
    account = find_account_name(shop.server, shop.client.token)
    token = create_token(shop.server, account, scopes=("customers:read",))
    with Client(shop.server, token) as client:
        reader = Person(browser, shop.server, client)
        reader.create_session()
        page = reader.open("/customers")
        page.locator(".row-link").first.wait_for()
        page.keyboard.press("n")
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Next or previous customer")
        expect(dialog).not_to_contain_text("New customer")
        assert page.url.endswith("/customers")
        reader.close()
