"""Tests of the filters of the list: chips and dialogs that write the text of the search."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import NARROW, Person, sign_in_person
from tests.support import Server
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_list import expect_names

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(person: Person) -> Person:
    """A person on the list of an account with customers in several countries."""
    create = person.client.create
    create(
        "ana@example.com",
        first_name="Ana",
        tags=["VIP", "late parcel"],
        accepts_marketing=True,
        shipping_address={"country": "MA", "city": "Fès"},
        custom={"Loyalty Tier": "gold"},
    )
    create(
        "bo@example.com",
        first_name="Bo",
        tags=["vip"],
        shipping_address={"country": "FR", "city": "Paris"},
        custom={"Loyalty Tier": "silver"},
    )
    create("cy@example.com", first_name="Cy", accepts_marketing=True)
    person.client.data(
        'mutation { createSegment(node: {name: "In France", query: "country:FR"}) { id } }'
    )
    person.open("/customers")
    expect(person.page.get_by_role("row")).to_have_count(4)
    return person


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search customers")


def chips(page: Page) -> Locator:
    return page.get_by_role("list", name="Filters").get_by_role("listitem")


def open_filter(page: Page, name: str) -> Locator:
    page.locator(".filter-row summary").click()
    page.locator(".filter-row").get_by_role("button", name=name, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def add(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Add filter").click()
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize(
    ("text", "answer"), [(":Yes", "Yes"), (":off", "No"), (":1", "Yes"), (":no", "No")]
)
def test_the_words_for_yes_and_no_have_a_chip(shop: Person, text: str, answer: str) -> None:
    page = shop.open(f"/customers?q=accepts_marketing{text}")
    expect(chips(page)).to_have_text([f"Accepts marketing: {answer}"])
    expect_names(page, *(["Cy", "Ana"] if answer == "Yes" else ["Bo"]))
    chips(page).get_by_role("button", name=f"Accepts marketing: {answer}", exact=True).click()
    expect(page.get_by_role("dialog").get_by_label(answer, exact=True)).to_be_checked()


@pytest.mark.smoke
def test_filters_write_the_text_of_the_search(shop: Person) -> None:
    page = shop.page
    dialog = open_filter(page, "Country")
    dialog.get_by_label("Country", exact=True).press_sequentially("mor")
    option = dialog.get_by_role("listbox").get_by_role("option")
    expect(option).to_have_text("Morocco1 customer")
    option.click()
    add(dialog)
    expect(box(page)).to_have_value("country:MA")
    expect(chips(page)).to_have_text(["Country: Morocco"])
    expect_names(page, "Ana")
    # A chip is edited in the same dialog, with the values that it has.
    chips(page).get_by_role("button", name="Country: Morocco", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Country", exact=True)).to_have_value("Morocco")
    dialog.get_by_label("Comparison").select_option("is not")
    dialog.get_by_role("button", name="Change filter").click()
    expect(box(page)).to_have_value("-country:MA")
    expect_names(page, "Cy", "Bo")
    dialog = open_filter(page, "Accepts marketing")
    add(dialog)
    expect(box(page)).to_have_value("-country:MA accepts_marketing:true")
    expect_names(page, "Cy")
    chips(page).get_by_role("button", name="Remove the filter “not Country: Morocco”").click()
    expect(box(page)).to_have_value("accepts_marketing:true")
    expect_names(page, "Cy", "Ana")
    page.go_back()
    expect(chips(page)).to_have_count(2)
    page.reload()
    expect(chips(page)).to_have_text(["not Country: Morocco", "Accepts marketing: Yes"])


FILTERS = [
    ("City", {"City": "Fès"}, {}, "city:Fès", ["Ana"]),
    ("City", {"City": "Pa"}, {"Comparison": "begins with"}, "city:Pa*", ["Bo"]),
    ("Tag", {"Tag": "late parcel"}, {}, 'tag:"late parcel"', ["Ana"]),
    ("Total spent", {"Total spent": "0.5"}, {"Comparison": "less than"}, "expenses:<0.5", "*"),
    ("Orders", {"Orders": "1"}, {}, "orders_count:>=1", []),
    ("Created", {"How many": "2"}, {"Unit": "weeks"}, "created_at:-2w", "*"),
    ("Created", {"How many": "7"}, {"Comparison": "more than … ago"}, "created_at:<-7d", []),
    (
        "Created",
        {"Day": "2024-03-18"},
        {"Comparison": "before the day"},
        "created_at:<2024-03-18",
        [],
    ),
    ("Segment", {}, {"Segment": "In France"}, 'segment:"In France"', ["Bo"]),
    (
        "Custom field",
        {"Value": "gold"},
        {"Field": "Loyalty Tier"},
        r"custom.Loyalty\ Tier:gold",
        ["Ana"],
    ),
]


def test_a_button_below_suggestions_is_pressed_once(shop: Person) -> None:
    """The suggestions close when the field loses the focus, and the button moves up."""
    dialog = open_filter(shop.page, "City")
    dialog.get_by_label("City").press_sequentially("Pa")
    expect(dialog.get_by_role("listbox")).to_be_visible()
    add(dialog)
    expect(box(shop.page)).to_have_value("city:Pa")


@pytest.mark.parametrize(("name", "texts", "choices", "expected", "names"), FILTERS)
def test_each_filter_writes_its_term(
    shop: Person,
    name: str,
    texts: dict[str, str],
    choices: dict[str, str],
    expected: str,
    names: list[str] | str,
) -> None:
    page = shop.page
    dialog = open_filter(page, name)
    for label, choice in choices.items():
        dialog.get_by_label(label, exact=True).select_option(choice)
    for label, text in texts.items():
        dialog.get_by_label(label, exact=True).fill(text)
    add(dialog)
    expect(box(page)).to_have_value(expected)
    expect_names(page, *(["Cy", "Bo", "Ana"] if names == "*" else names))
    # The dialog of the chip writes the same again.
    chips(page).get_by_role("button").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Change filter").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(box(page)).to_have_value(re.compile(re.escape(expected), re.IGNORECASE))


def test_text_that_no_chip_shows_stays(shop: Person) -> None:
    page = shop.page
    text = 'tag:vip  AND 🙂* (city:Fès OR  x) email:"a\\"b"* order_by:full_name'
    box(page).fill(text)
    expect(chips(page)).to_have_text(["Tag: vip", 'Email: a"b…'])
    add_text = text + " accepts_marketing:true"
    add(open_filter(page, "Accepts marketing"))
    expect(box(page)).to_have_value(add_text)
    # A term without a dialog is marked in the text.
    chips(page).get_by_role("button", name='Email: a"b…', exact=True).click()
    selected = "input => input.value.slice(input.selectionStart, input.selectionEnd)"
    assert box(page).evaluate(selected) == 'email:"a\\"b"*'
    page.get_by_role("button", name="Remove the filter “Tag: vip”").click()
    expect(box(page)).to_have_value(add_text.removeprefix("tag:vip  AND "))
    page.get_by_role("button", name='Remove the filter “Email: a"b…”').click()
    expect(box(page)).to_have_value(
        "🙂* (city:Fès OR  x) order_by:full_name accepts_marketing:true"
    )


def test_a_filter_applies_to_all_alternatives(shop: Person) -> None:
    page = shop.page
    box(page).fill("ana OR cy OR bo order_by:full_name")
    expect_names(page, "Cy", "Bo", "Ana")
    expect(chips(page)).to_have_count(0)
    add(open_filter(page, "Accepts marketing"))
    expect(box(page)).to_have_value("(ana OR cy OR bo) accepts_marketing:true order_by:full_name")
    expect_names(page, "Cy", "Ana")


def test_a_search_with_a_mistake_has_no_chips(shop: Person) -> None:
    page = shop.page
    box(page).fill("tag:vip city:")
    box(page).press("Enter")
    expect(page.get_by_role("heading", name="This search has a mistake")).to_be_visible()
    expect(chips(page)).to_have_count(0)
    page.locator(".filter-row summary").click()
    page.locator(".filter-row").get_by_role("button", name="City", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("needs a value")
    expect(box(page)).to_have_value("tag:vip city:")


def test_an_empty_filter_is_refused_at_its_field(shop: Person) -> None:
    page = shop.page
    for name, message in (("Tag", "Enter a value."), ("Orders", "Enter a number.")):
        dialog = open_filter(page, name)
        dialog.get_by_role("button", name="Add filter").click()
        expect(dialog.locator(".problem").filter(has_text=message)).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
    expect(box(page)).to_have_value("")


def test_the_parts_of_a_filter_stand_in_one_line(shop: Person) -> None:
    page = shop.page
    dialog = open_filter(page, "Country")
    value = dialog.get_by_label("Country")
    value.fill("Mor")
    expect(dialog.get_by_role("option", name="Morocco")).to_be_visible()
    select = dialog.get_by_label("Comparison")

    def top_and_height(locator: Locator) -> tuple[float, float]:
        box = locator.bounding_box()
        assert box is not None
        return box["y"], box["height"]

    assert top_and_height(select) == pytest.approx(top_and_height(value), abs=1)
    value.press("Escape")
    dialog.get_by_role("button", name="Cancel").click()
    dialog = open_filter(page, "Orders")
    dialog.get_by_label("Orders").press("Enter")
    expect(dialog.locator(".problem")).to_contain_text("Enter a number.")
    assert top_and_height(dialog.get_by_label("Comparison")) == pytest.approx(
        top_and_height(dialog.get_by_label("Orders")), abs=1
    )


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("en-US", {"12,5": 12.5, "1,234.5": 1234.5, "1,000": 1000, "-.5": -0.5, "1 000": 1000}),
        ("de-DE", {"12,5": 12.5, "1.234,5": 1234.5, "1.000": 1000, "1,000": 1, "1.5": 1.5}),
        ("fr-FR", {"12,5": 12.5, "1\u202f234,5": 1234.5, "1.000": 1, "1.234.567": 1234567}),
    ],
)
def test_typed_numbers_have_the_separators_of_the_region(
    browser: Browser, server: Server, language: str, numbers: dict[str, float]
) -> None:
    with sign_in_person(browser, server, locale=language) as person:
        page = person.open("/customers")
        typed, written = page.evaluate(
            """async ([typed, values]) => {
              const { modules } = await import(document.querySelector("script[src$='/app.js']").src);
              const { numberText, readNumber } = modules["format.js"];
              return [typed.map(readNumber), values.map((value) => readNumber(numberText(value)))];
            }""",
            [[*numbers, "", "x", "1x", ".", "1e5"], [1.234, 1000, 0.1, -12.5]],
        )
    assert typed == [*numbers.values(), None, None, None, None, None]
    assert written == [1.234, 1000, 0.1, -12.5]


def test_an_amount_with_a_comma_is_found(shop: Person) -> None:
    page = shop.page
    dialog = open_filter(page, "Total spent")
    dialog.get_by_label("Total spent").fill("0,5")
    dialog.get_by_label("Total spent").press("Enter")
    expect(box(page)).to_have_value("expenses:>=0.5")
    chips(page).get_by_role("button", name="Total spent").first.click()
    expect(page.get_by_role("dialog").get_by_label("Total spent")).to_have_value("0.5")
    page.keyboard.press("Escape")


def test_the_menu_of_filters_is_below_its_button_and_gets_the_focus_back(shop: Person) -> None:
    page = shop.page
    summary = page.locator(".filter-row summary")
    dialog = open_filter(page, "Created")
    expect(dialog.get_by_label("How many")).to_be_focused()
    page.keyboard.press("Escape")
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    left = "node => node.getBoundingClientRect().left"
    menu = page.locator(".filter-row .menu-list")
    expect(menu.get_by_role("button", name="Custom field")).to_be_visible()
    assert menu.evaluate(left) == pytest.approx(summary.evaluate(left), abs=1)
    assert menu.evaluate("node => node.scrollHeight <= node.clientHeight")


def test_menus_work_in_browsers_that_do_not_focus_a_pressed_button(shop: Person) -> None:
    # Firefox and Safari on a Mac take the focus away from the menu instead.
    shop.page.evaluate("""() => addEventListener("mousedown", (event) => {
      if (event.defaultPrevented || !event.target.closest("button")) return;
      event.preventDefault();
      document.activeElement.blur();
    })""")
    dialog = open_filter(shop.page, "City")
    dialog.get_by_label("City").fill("Paris")
    dialog.get_by_label("City").press("Enter")
    expect_names(shop.page, "Bo")


def test_filters_by_keyboard_become_a_segment(shop: Person) -> None:
    page = shop.page
    page.locator(".filter-row summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".filter-row .menu-list button").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Tag", exact=True)).to_be_focused()
    page.keyboard.type("VI")
    expect(dialog.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value(re.compile("^tag:vip$", re.IGNORECASE))
    page.get_by_role("button", name="Save as segment").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="vip")).to_be_visible()
    expect_names(page, "Bo", "Ana")


def test_filters_are_accessible_and_fit(shop: Person) -> None:
    page = shop.page
    box(page).fill('tag:vip country:FR -city:"Paris and all of the places around it, far away"')
    expect(chips(page)).to_have_count(3)
    check_accessibility(page)
    dialog = open_filter(page, "Custom field")
    expect(dialog.get_by_label("Field")).to_have_value(re.compile("Loyalty"))
    check_accessibility(page)
    page.keyboard.press("Escape")
    for width in (NARROW["width"], 320, 720, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_the_filter_of_comments(shop: Person) -> None:
    page, client = shop.page, shop.client
    customers = client.data("{ customers { edges { node { id first_name } } } }")["customers"]
    ids = {edge["node"]["first_name"]: edge["node"]["id"] for edge in customers["edges"]}
    add = "mutation($id: ID!, $text: String!) { addComment(customer: $id, node: {text: $text}) { id } }"
    client.data(add, id=ids["Ana"], text="Calls back on Monday")
    dialog = open_filter(page, "Comment")
    check_accessibility(page)
    dialog.get_by_label("Comment", exact=True).fill("calls back")
    dialog.get_by_role("button", name="Add filter").click()
    expect(box(page)).to_have_value('comment:"calls back"')
    expect_names(page, "Ana")
    expect(chips(page)).to_have_text(["Comment: calls back"])
    chips(page).get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Comparison").select_option("does not contain")
    dialog.get_by_role("button", name="Change filter").click()
    expect(box(page)).to_have_value('-comment:"calls back"')
    expect(page.get_by_role("link", name="Ana", exact=True)).to_have_count(0)
