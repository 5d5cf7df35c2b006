"""Tests of the address book on the customer page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import SCREENSHOTS, WIDE, Person, sign_in_person
from tests.support import Server, create_token, find_account_name
from tests.test_pages_contact_points import SMALL, tab_to
from tests.test_pages_customer import open_address, read_field, read_parts, sign_in_colleague
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

HOME = {"label": "Home", "default_shipping": True, "address": {"city": "Rabat", "country": "MA"}}
WORK = {"label": "Work", "address": {"company": "Acme", "city": "Fès"}}
PARIS = {"address": {"line1": "1 rue Haute", "zip": "75001", "city": "Paris", "country": "FR"}}

# The first entry of a family, as its row is read.
HOME_TEXT = "HomeDefault shippingDefault billing1 Rue HauteFèsCountry is missingEdit Address: Home"


def open_customer(person: Person, *entries: dict[str, Any]) -> Page:
    person.client.create("ana@example.com", addresses=list(entries))
    return person.open("/customers/1")


def items(page: Page) -> Locator:
    return page.get_by_role("list", name="Address book").locator(":scope > li:visible")


def read_book(person: Person, selection: str) -> Any:
    selection = f"... on Customer {{ addresses {selection} }}"
    return person.client.node("Q3VzdG9tZXI6MQ==", selection)["addresses"]


def stored(person: Person) -> list[tuple[str, str, bool, bool]]:
    entries = read_book(person, "{ label default_shipping default_billing address { city } }")
    return [
        (each["address"]["city"], each["label"], each["default_shipping"], each["default_billing"])
        for each in entries
    ]


def save(form: Locator) -> None:
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)


@pytest.mark.smoke
def test_a_family_moves(person: Person) -> None:
    """The new address is the default for shipping, and the old one for billing."""
    page = open_customer(person)
    form = open_address(page)
    form.get_by_label("Address", exact=True).fill("1 Rue Haute")
    form.get_by_label("City").fill("Fès")
    form.get_by_label("Label").fill("Home")
    form.get_by_label("Use as the default billing address").check()
    expect(form.get_by_label("Use as the default shipping address")).to_be_checked()
    save(form)
    expect(page.get_by_role("button", name="Edit Address: Home")).to_be_focused()
    expect(items(page)).to_have_text([HOME_TEXT])
    assert stored(person) == [("Fès", "Home", True, True)]

    page.get_by_role("button", name="Add address").click()
    form = page.get_by_role("form", name="Address")
    expect(form.get_by_label("Country")).to_be_focused()
    expect(form.get_by_label("Use as the default shipping address")).not_to_be_checked()
    form.get_by_label("City").fill("Rabat")
    form.get_by_label("Use as the default shipping address").check()
    save(form)
    expect(page.get_by_role("button", name="Edit Address: Rabat")).to_be_focused()
    expect(items(page).first).to_contain_text("Default shippingRabat")
    expect(items(page).last).to_contain_text("HomeDefault billing1 Rue Haute")
    assert stored(person) == [("Rabat", "", True, False), ("Fès", "Home", False, True)]

    page.get_by_role("button", name="Delete address: Home").click()
    expect(items(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(items(page)).to_have_count(2)
    assert stored(person) == [("Rabat", "", True, False), ("Fès", "Home", False, True)]
    page.get_by_role("button", name="Delete address: Rabat").click()
    expect(items(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Add address")).to_be_focused()
    assert stored(person) == [("Fès", "Home", False, True)]


def test_an_entry_keeps_its_id_and_the_others(person: Person) -> None:
    page = open_customer(person, HOME, WORK, PARIS)
    before = read_book(person, "{ id label }")
    page.get_by_role("button", name="Edit Address: Work").click()
    form = page.get_by_role("form", name="Address")
    form.get_by_label("City").fill("Meknès")
    form.get_by_label("Label").fill("Office")
    save(form)
    expect(items(page).nth(1)).to_contain_text("OfficeAcmeMeknès")
    after = read_book(person, "{ id label }")
    assert [each["id"] for each in before] == [each["id"] for each in after]
    assert [each["label"] for each in after] == ["Home", "Office", ""]
    # Only the flags and the label change.
    page.get_by_role("button", name="Edit Address: 1 rue Haute").click()
    form.get_by_label("Use as the default shipping address").check()
    save(form)
    expect(page.get_by_role("button", name="Edit Address: 1 rue Haute")).to_be_focused()
    assert stored(person) == [
        ("Paris", "", True, False),
        ("Rabat", "Home", False, False),
        ("Meknès", "Office", False, False),
    ]
    page.get_by_role("button", name="Edit Address: 1 rue Haute").click()
    form.get_by_label("Use as the default shipping address").uncheck()
    save(form)
    assert read_parts(person, "shipping_address", "city") is None
    assert len(stored(person)) == 3


def test_problems_are_shown_and_nothing_is_refused(person: Person) -> None:
    page = open_customer(person)
    form = open_address(page)
    form.get_by_label("Country").select_option("Morocco")
    city = form.get_by_label("City * (needed)")
    expect(city).to_be_visible()
    expect(form.get_by_text("You can save without them.")).to_be_visible()
    expect(form.get_by_label("Postal code")).to_have_attribute("placeholder", "For example 53000")
    form.get_by_label("Postal code").fill("1")
    save(form)
    problems = items(page).first.get_by_role("list", name="Possible problems of 1")
    missing = [f"{part} is missing" for part in ("Address", "City")]
    expected = [*missing, "Postal code does not have the form of this country"]
    expect(problems.get_by_role("listitem")).to_have_text(expected)
    check_accessibility(page)
    form = open_address(page)
    for part in ("Postal code", "Country"):
        control = form.get_by_label(part)
        control.fill("") if part == "Postal code" else control.select_option("None")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert").first).to_contain_text("The address is empty.")
    form.get_by_label("City").fill("x" * 300)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("City")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Label").fill("x" * 65)
    form.get_by_label("City").fill("Fès")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Label")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("City")).not_to_have_attribute("aria-invalid", "true")
    form.get_by_role("button", name="Cancel").click()
    assert read_field(person, "version") == 2


def test_the_history_has_the_parts_of_a_default_address(person: Person) -> None:
    page = open_customer(person, HOME)
    form = open_address(page)
    form.get_by_label("City").fill("Salé")
    save(form)
    expect(page.locator(".timeline .diff").first).to_contain_text(
        "Shipping address: Cityfrom Rabat"
    )
    assert stored(person) == [("Salé", "Home", True, False)]


def test_other_people_change_the_book(person: Person, browser: Browser) -> None:
    page = open_customer(person, HOME, WORK, PARIS)
    with sign_in_colleague(browser, person) as colleague:
        other = colleague.page
        other.goto("/customers/1")
        # Other parts of the same entry: both stay.
        page.get_by_role("button", name="Edit Address: Work").click()
        form = page.get_by_role("form", name="Address")
        form.get_by_label("City").fill("Meknès")
        other.get_by_role("button", name="Edit Address: Work").click()
        others = other.get_by_role("form", name="Address")
        others.get_by_label("Company").fill("Globex")
        save(others)
        save(form)
        assert read_book(person, "{ address { company city } }")[1] == {
            "address": {"company": "Globex", "city": "Meknès"}
        }
        # The same part: the person is asked.
        expect(other.locator(".address").nth(1)).to_contain_text("Meknès")
        page.get_by_role("button", name="Edit Address: Work").click()
        form.get_by_label("City").fill("Tanger")
        other.get_by_role("button", name="Edit Address: Work").click()
        others.get_by_label("City").fill("Agadir")
        save(others)
        form.get_by_role("button", name="Save").click()
        expect(form.locator(".theirs")).to_have_text("CityAgadir")
        form.get_by_role("button", name="Keep mine").click()
        expect(form).to_have_count(0)
        expect(other.locator(".address").nth(1)).to_contain_text("Tanger")
        # Another one was made the default, which has the id of the role then.
        page.get_by_role("button", name="Edit Address: Home").click()
        form.get_by_label("Postal code").fill("10000")
        other.get_by_role("button", name="Edit Address: Work").click()
        others.get_by_label("Use as the default shipping address").check()
        save(others)
        save(form)
        entries = read_book(person, "{ label address { zip } }")
        assert {each["label"]: each["address"]["zip"] for each in entries} == {
            "Home": "10000",
            "Work": "",
            "": "75001",
        }
        # It was deleted.
        page.get_by_role("button", name="Edit Address: 1 rue Haute").click()
        form.get_by_label("City").fill("Lyon")
        other.get_by_role("button", name="Delete address: 1 rue Haute").click()
        expect(other.locator(".address")).to_have_count(2)
        form.get_by_role("button", name="Save").click()
        expect(form.locator(".theirs")).to_have_text("AddressNone")
        form.get_by_role("button", name="Keep mine").click()
        expect(form).to_have_count(0)
        assert sorted(city for city, *_ in stored(person)) == ["Lyon", "Rabat", "Tanger"]


def test_many_addresses_are_folded(person: Person) -> None:
    page = open_customer(person, *({"address": {"city": f"City {n}"}} for n in range(100)))
    expect(items(page)).to_have_count(5)
    page.get_by_role("button", name="Show all 100 addresses").click()
    expect(items(page)).to_have_count(100)
    expect(page.get_by_role("button", name="Edit Address: City 5", exact=True)).to_be_focused()
    page.get_by_role("button", name="Add address").click()
    form = page.get_by_role("form", name="Address")
    form.get_by_label("City").fill("One more")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert").last).to_contain_text("A customer can have 100 addresses")


def test_the_keyboard_alone_is_enough(person: Person) -> None:
    page = open_customer(person, HOME)
    keys = page.keyboard
    tab_to(page, "Add address")
    keys.press("Enter")
    expect(page.get_by_label("Country")).to_be_focused()
    keys.type("France")
    expect(page.get_by_label("Postal code")).to_be_visible()
    keys.press("Tab")
    keys.type("Ana")
    keys.press("Enter")
    expect(page.get_by_role("button", name="Edit Address: Ana")).to_be_focused()
    tab_to(page, "Delete address: Ana, France")
    keys.press("Enter")
    expect(items(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Add address")).to_be_focused()
    keys.press("Enter")
    page.get_by_label("City").fill("Fès")
    keys.press("Escape")
    dialog = page.get_by_role("dialog", name="Discard changes?")
    dialog.get_by_role("button", name="Discard").press("Enter")
    expect(page.get_by_role("form", name="Address")).to_have_count(0)
    expect(page.get_by_role("button", name="Add address")).to_be_focused()


def test_a_reader_sees_the_book(person: Person, browser: Browser) -> None:
    open_customer(person, HOME)
    account = find_account_name(person.server, person.client.token)
    token = create_token(person.server, account, scopes=("customers:read",))
    person.client.token = token
    person.create_session()
    page = person.open("/customers/1")
    expect(items(page)).to_have_text(["HomeDefault shippingRabatMoroccoAddress is missing"])
    for name in ("Edit Address: Home", "Delete address: Home", "Add address"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [SMALL, WIDE], ids=["small", "wide"])
def test_the_book_fits(browser: Browser, server: Server, viewport: Any, scheme: Any) -> None:
    with sign_in_person(browser, server, viewport=viewport, color_scheme=scheme) as person:
        long = {"label": "L" * 64, "address": {"line1": "x" * 200, "country": "US", "zip": "1"}}
        page = open_customer(person, HOME, WORK, long)
        check_accessibility(page)
        page.get_by_role("button", name="Edit Address: Work").click()
        form = page.get_by_role("form", name="Address")
        form.get_by_label("Country").select_option("United States")
        expect(form.get_by_label("Zip code")).to_be_visible()
        check_accessibility(page)
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        name = f"address-book-{viewport['width']}-{scheme}.png"
        page.screenshot(path=SCREENSHOTS / name, full_page=True)


def shown_labels(form: Locator) -> list[str]:
    """Return the labels of a form, in the order of its fields."""
    labels = form.locator(".field label").all_inner_texts()
    return [label.partition(" *")[0] for label in labels if label != "Label"]


def test_the_form_of_an_address_follows_the_country(person: Person) -> None:
    page = open_customer(person)
    form = open_address(page)
    country = form.get_by_label("Country", exact=True)
    expect(country).to_be_focused()
    form.get_by_label("City").fill("Springfield")
    country.select_option("Japan")
    expect(form.get_by_label("Prefecture")).to_be_visible()
    # The city is no usual part in Japan. It has a value, so it is still shown.
    names = ["First name", "Last name"]
    assert shown_labels(form) == [
        *("Country", "Postal code", "Prefecture", "Address", "Apartment, suite", "Company"),
        *(*names, "Phone", "Email", "City"),
    ]
    country.select_option("United States")
    expect(form.get_by_label("Zip code")).to_be_visible()
    assert shown_labels(form) == [
        *("Country", *names, "Company", "Address", "Apartment, suite", "City", "State"),
        *("Zip code", "Phone", "Email"),
    ]
    expect(form.get_by_label("City")).to_have_value("Springfield")
    expect(form.get_by_label("City")).to_be_focused()
    form.get_by_label("State").select_option("Illinois")
    form.get_by_label("Zip code").fill("62701")
    form.get_by_label("Company").fill("Acme")
    check_accessibility(page)
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(page.locator(".address")).to_have_text("Acme62701 SpringfieldILUnited States")
    parts = {"company": "Acme", "city": "Springfield", "state": "IL", "zip": "62701"}
    assert read_parts(person, "shipping_address", *parts, "country") == {**parts, "country": "US"}


def test_a_stored_value_that_the_country_lacks_is_kept(person: Person) -> None:
    stored = {"country": "US", "state": "Bavaria", "area": "Old town", "zip": "1"}
    billing = {"country": "CA", "state": "québec", "city": "Laval"}
    person.client.create("ana@example.com", shipping_address=stored, billing_address=billing)
    person.open("/customers/1")
    form = open_address(person.page)
    expect(form.get_by_label("Zip code")).to_have_value("1")
    expect(form.get_by_label("State")).to_have_value("Bavaria")
    expect(form.get_by_label("Suburb")).to_have_value("Old town")
    form.get_by_label("City").fill("Springfield")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expected = {**stored, "city": "Springfield"}
    assert read_parts(person, "shipping_address", *expected) == expected
    # A name, in any case, is the state of the menu, and stays as it was entered.
    person.page.get_by_role("button", name="Edit Address: Laval").click()
    expect(form.locator("select").last).to_have_value("québec")
    expect(form.locator("option:checked").last).to_have_text("Quebec")
    form.get_by_label("City").fill("Montréal")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    assert read_parts(person, "billing_address", "state") == {"state": "québec"}
