"""Tests of the emails and phones on the customer page."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Locator, Page, expect

from regulars.store import parse_url
from regulars.store.migrate import run_in_transaction
from tests.browser import SCREENSHOTS, WIDE, Person, sign_in_person
from tests.support import Client, create_token, find_account_name, run_server
from tests.test_pages_customer import EVIL, open_form, sign_in_colleague
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

ANA = "Q3VzdG9tZXI6MQ=="
SMALL = {"width": 320, "height": 640}
ADD = "mutation($id: ID!, $values: [%s!]!) { add%s(id: $id, %s: $values) { id } }"


@pytest.fixture
def ana(person: Person) -> Person:
    """A person on the page of a customer with one email."""
    person.client.create("ana@example.com", first_name="Ana")
    person.open("/customers/1")
    return person


def add_emails(person: Person, *values: dict[str, Any], customer: str = ANA) -> None:
    document = ADD % ("InputEmailAddress", "Emails", "emails")
    person.client.data(document, id=customer, values=list(values))


def add_phones(person: Person, *values: dict[str, Any], customer: str = ANA) -> None:
    document = ADD % ("InputPhoneNumber", "Phones", "phones")
    person.client.data(document, id=customer, values=list(values))


def stored(person: Person) -> list[tuple[str, str, bool]]:
    node = person.client.node(ANA, "... on Customer { emails { email label default } }")
    return [(each["email"], each["label"], each["default"]) for each in node["emails"]]


def items(page: Page, name: str = "Emails") -> Locator:
    return page.get_by_role("list", name=name, exact=True).get_by_role("listitem")


def add_email(page: Page, email: str, label: str = "") -> Locator:
    """Fill the form for another email, and return it."""
    page.get_by_role("button", name="Add email").click()
    form = page.get_by_role("form", name="Email")
    expect(form.get_by_label("Email", exact=True)).to_be_focused()
    form.get_by_label("Email", exact=True).fill(email)
    form.get_by_label("Label").fill(label)
    return form


@pytest.mark.smoke
def test_an_agent_adds_emails_and_changes_the_default(ana: Person) -> None:
    page = ana.page
    taken = ana.client.create("taken@example.com", first_name="Other")
    expect(items(page)).to_have_text(["ana@example.comEdit Email: ana@example.com"])
    link = items(page).get_by_role("link", name="ana@example.com")
    expect(link).to_have_attribute("href", "mailto:ana@example.com")
    form = add_email(page, "ana@work.example", "work")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(page.get_by_role("button", name="Edit Email: ana@work.example")).to_be_focused()
    expect(items(page).first).to_contain_text("Default")
    expect(items(page).last).to_contain_text("ana@work.example work")
    assert stored(ana) == [
        ("ana@example.com", "", True),
        ("ana@work.example", "work", False),
    ]

    page.get_by_role("button", name="Edit Email: ana@work.example").click()
    form.get_by_label("Use as the default email").check()
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(items(page).first).to_contain_text("ana@work.example work Default")
    expect(page.locator(".customer-head").get_by_role("link")).to_contain_text(
        ["", "ana@work.example"]
    )
    assert stored(ana) == [
        ("ana@work.example", "work", True),
        ("ana@example.com", "", False),
    ]

    form = add_email(page, "TAKEN@example.com")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Email", exact=True)).to_be_focused()
    expect(form.locator(".problem").first).to_contain_text("Another customer has this email.")
    other = form.get_by_role("link", name="Show the other customer")
    expect(other).to_have_attribute("href", f"/customers/{taken['id'].replace('=', '%3D')}")
    form.get_by_label("Email", exact=True).fill("ANA@example.com")
    form.get_by_label("Email", exact=True).press("Enter")
    expect(form.locator(".problem").first).to_have_text("This customer already has this email.")
    form.get_by_label("Email", exact=True).fill("free@example.com")
    form.get_by_label("Label").fill("x" * 65)
    form.get_by_label("Label").press("Enter")
    expect(form.get_by_label("Label")).to_have_attribute("aria-invalid", "true")
    form.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Add email")).to_be_focused()

    page.get_by_role("button", name="Remove ana@work.example").click()
    expect(items(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Add email")).to_be_focused()
    assert stored(ana) == [("ana@example.com", "", True)]
    expect(page.get_by_role("button", name="Remove ana@example.com")).to_have_count(0)


def test_the_history_shows_lists(ana: Person) -> None:
    page = ana.page
    verified = {"email": "b@example.com", "label": "work", "verified_at": "2026-01-02T03:04:05Z"}
    add_emails(ana, verified)
    ana.client.update(ANA, email="b@example.com")
    page.reload()
    changes = page.locator(".timeline li")
    text = "b@example.com (work, verified Jan 2, 2026"
    expect(changes.nth(1).locator(".diff")).to_contain_text(f"Emails added {text}")
    expect(changes.first.locator(".diff div").filter(has_text="Emails")).to_contain_text(
        "from ana@example.com, b@example.com (work"
    )
    expect(items(page).first).to_contain_text("Verified")
    expect(items(page).first.locator("time")).to_have_attribute(
        "datetime", "2026-01-02T03:04:05.000Z"
    )


def test_the_link_of_the_head_calls_the_number_without_the_national_zero(person: Person) -> None:
    person.client.create("ana@example.com", phone="+33 (0)3 25 52 29 82")
    page = person.open("/customers/1")
    links = page.get_by_role("link", name="+33 (0)3 25 52 29 82")
    expect(links).to_have_count(2)
    assert [link.get_attribute("href") for link in links.all()] == ["tel:+33325522982"] * 2


def test_phones_have_links_countries_and_validity(ana: Person) -> None:
    page = ana.page
    numbers = ("+212 612-345678", "+44 20 7946 00", "0600 000", "ask at the desk")
    add_phones(ana, *({"phone": each} for each in numbers))
    ana.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = ana.open("/customers/1")
    rows = items(page, "Phones")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("+212 612-345678 Default Morocco")
    expect(rows.nth(1)).to_contain_text("Not a valid number")
    expect(rows.nth(2)).not_to_contain_text("Not a valid number")
    links = [row.get_by_role("link") for row in rows.all()]
    hrefs = [link.get_attribute("href") if link.count() else None for link in links]
    assert hrefs == ["tel:+212612345678", "tel:+4420794600", "tel:0600000", None]
    page.get_by_role("button", name="Copy +212 612-345678").click()
    expect(page.locator(".toast")).to_contain_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "+212 612-345678"
    page.get_by_role("button", name="Edit Phone: 0600 000").click()
    form = page.get_by_role("form", name="Phone")
    form.get_by_label("Phone", exact=True).fill("0601 001")
    form.get_by_label("Label").fill("desk")
    form.get_by_label("Label").press("Enter")
    expect(form).to_have_count(0)
    expect(page.get_by_role("button", name="Edit Phone: 0601 001")).to_be_focused()
    expect(rows).to_have_count(4)
    expect(rows.nth(2)).to_contain_text("0601 001 desk")
    page.get_by_role("button", name="Edit Phone: 0601 001").click()
    form.get_by_label("Phone", exact=True).fill("")
    form.get_by_label("Phone", exact=True).press("Enter")
    expect(rows).to_have_count(3)


def tab_to(page: Page, name: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )
        if focused.strip() == name:
            return
    raise AssertionError(f"No control {name!r} is reached by Tab.")


def test_the_keyboard_alone_is_enough(ana: Person) -> None:
    page, keys = ana.page, ana.page.keyboard
    tab_to(page, "Add email")
    keys.press("Enter")
    keys.type("work@example.com")
    keys.press("Tab")
    keys.type("work")
    keys.press("Tab")
    keys.press("Space")
    keys.press("Enter")
    expect(page.get_by_role("button", name="Edit Email: work@example.com")).to_be_focused()
    assert stored(ana) == [("work@example.com", "work", True), ("ana@example.com", "", False)]
    keys.press("Enter")
    keys.press("Tab")
    keys.type("office")
    keys.press("Escape")
    expect(page.get_by_role("button", name="Edit Email: work@example.com")).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    keys.type("office")
    keys.press("Enter")
    expect(items(page).first).to_contain_text("office")
    tab_to(page, "Remove work@example.com")
    keys.press("Enter")
    expect(items(page)).to_have_count(1)
    assert stored(ana) == [("ana@example.com", "", True)]


def test_changes_of_other_entries_are_merged(browser: Browser, ana: Person) -> None:
    page = ana.page
    add_emails(ana, {"email": "b@example.com"})
    page.reload()
    page.get_by_role("button", name="Edit Email: b@example.com").click()
    form = page.get_by_role("form", name="Email")
    form.get_by_label("Label").fill("home")
    with sign_in_colleague(browser, ana) as bo:
        theirs = bo.open("/customers/1")
        added = add_email(theirs, "c@example.com", "work")
        added.get_by_role("button", name="Save").click()
        expect(added).to_have_count(0)
    # The input and its focus outlast the arrival of the other entry.
    notice = page.locator("main > .notice")
    expect(notice).to_contain_text("Just changed by test: Emails.")
    expect(items(page)).to_have_count(3)
    expect(form.get_by_label("Label")).to_be_focused()
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    expect(form).to_have_count(0)
    assert stored(ana) == [
        ("ana@example.com", "", True),
        ("b@example.com", "home!", False),
        ("c@example.com", "work", False),
    ]


def test_two_people_add_the_first_phone(ana: Person) -> None:
    form = open_form(ana.page, "Phone")
    form.get_by_label("Phone", exact=True).fill("111")
    ana.client.update(ANA, phone="222")
    form.get_by_label("Phone", exact=True).press("Enter")
    expect(form).to_have_count(0)
    node = ana.client.node(ANA, "... on Customer { phones { phone default } }")
    assert [each["phone"] for each in node["phones"]] == ["222", "111"]


@pytest.mark.parametrize("choice", ["Use theirs", "Keep mine"])
def test_a_change_of_the_same_entry_is_a_conflict(ana: Person, choice: str) -> None:
    page = ana.page
    add_emails(ana, {"email": "b@example.com"})
    page.reload()
    page.get_by_role("button", name="Edit Email: b@example.com").click()
    form = page.get_by_role("form", name="Email")
    form.get_by_label("Label").fill("mine")
    add_emails(ana, {"email": "b@example.com", "label": "theirs"})
    form.get_by_label("Label").press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("b@example.com · theirs")
    form.get_by_role("button", name=choice).click()
    expect(form).to_have_count(0)
    label = "mine" if choice == "Keep mine" else "theirs"
    assert stored(ana)[1] == ("b@example.com", label, False)
    expect(items(page).last).to_contain_text(label)


@pytest.mark.parametrize("choice", ["Use theirs", "Keep mine"])
def test_input_outlasts_the_removal_of_its_entry(ana: Person, choice: str) -> None:
    page = ana.page
    add_emails(ana, {"email": "b@example.com"})
    page.reload()
    page.get_by_role("button", name="Edit Email: b@example.com").click()
    form = page.get_by_role("form", name="Email")
    form.get_by_label("Label").fill("mine")
    ana.client.update(ANA, emails=[{"email": "ana@example.com"}])
    expect(page.locator("main > .notice")).to_contain_text("Just changed by test")
    expect(form.get_by_label("Label")).to_have_value("mine")
    form.get_by_label("Label").press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("None")
    form.get_by_role("button", name=choice).click()
    expect(form).to_have_count(0)
    more = [("b@example.com", "mine", False)] if choice == "Keep mine" else []
    assert stored(ana) == [("ana@example.com", "", True), *more]
    expect(items(page)).to_have_count(1 + len(more))


def test_leaving_asks_about_an_entry_that_is_not_saved(ana: Person) -> None:
    page = ana.page
    add_email(page, "b@example.com")
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("dialog", name="Discard changes?").get_by_role("button").first.wait_for()
    assert stored(ana) == [("ana@example.com", "", True)]


def test_the_last_email_cannot_be_removed(ana: Person) -> None:
    page = ana.page
    form = open_form(page, "Email")
    box = form.get_by_label("Email", exact=True)
    expect(box).to_have_attribute("required", "")
    box.fill("")
    box.press("Enter")
    expect(box).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Escape")
    add_emails(ana, {"email": "ana@example.com", "label": "private"})
    page.reload()
    page.get_by_role("button", name="Remove ana@example.com").click()
    expect(page.locator(".toast")).to_contain_text("email")
    assert stored(ana) == [("ana@example.com", "private", True)]


def test_too_many_emails_are_refused_at_the_field(ana: Person) -> None:
    add_emails(ana, *({"email": f"a{n}@example.com"} for n in range(19)))
    page = ana.open("/customers/1")
    form = add_email(page, "b@example.com")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".problem").first).to_contain_text("A customer can have 20 emails")


def test_an_unfinished_upgrade_is_explained_at_the_field(
    browser: Browser, new_database: str
) -> None:
    """Between the two parts of an upgrade, only the default can be changed."""
    statement = sa.text("UPDATE compatibility SET finished = '0017'")
    run_in_transaction(parse_url(new_database), lambda connection: connection.execute(statement))
    with run_server(new_database) as server, sign_in_person(browser, server) as person:
        person.client.create("ana@example.com")
        page = person.open("/customers/1")
        form = open_form(page, "Email")
        form.get_by_label("Email", exact=True).fill("anna@example.com")
        form.get_by_label("Email", exact=True).press("Enter")
        expect(form).to_have_count(0)
        assert stored(person) == [("anna@example.com", "", True)]
        form = add_email(page, "b@example.com")
        form.get_by_role("button", name="Save").click()
        expect(form.locator(".problem").first).to_contain_text("regulars migrate --contract")
        form.get_by_role("button", name="Cancel").click()
        form = open_form(page, "Phone")
        form.get_by_label("Phone", exact=True).fill("123")
        form.get_by_label("Phone", exact=True).press("Enter")
        expect(form).to_have_count(0)


def test_a_reader_sees_and_copies_only(browser: Browser, ana: Person) -> None:
    add_emails(ana, {"email": "b@example.com", "label": "work"})
    account = find_account_name(ana.server, ana.client.token)
    token = create_token(ana.server, account=account, scopes=("customers:read",))
    with Client(ana.server, token) as client:
        reader = Person(browser, ana.server, client)
        reader.create_session()
        page = reader.open("/customers/1")
        expect(items(page)).to_have_count(2)
        expect(items(page).get_by_role("button")).to_have_count(2)
        expect(page.get_by_role("button", name="Add email")).to_have_count(0)
        expect(page.get_by_role("button", name="Add phone")).to_have_count(0)
        expect(page.get_by_role("button", name="Copy b@example.com")).to_be_visible()
        check_accessibility(page)
        reader.close()


def test_the_search_box_completes_counts(ana: Person) -> None:
    page = ana.open("/customers")
    box = page.get_by_role("combobox", name="Search customers")
    for start, name in (("emails_c", "emails_count:"), ("phones_c", "phones_count:")):
        box.fill("")
        box.press_sequentially(start)
        expect(page.get_by_role("option", name=name).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["wide", "small"])
def test_long_lists_and_hostile_texts_fit_the_screen(
    browser: Browser, ana: Person, scheme: str, size: dict[str, int]
) -> None:
    long = f"{'x' * 60}@{'y' * 60}.{'z' * 60}.example"
    labels = ("W" * 64, "عمل " * 15, EVIL.translate({60: "", 62: ""}), "work")
    verified = "2026-01-02T03:04:05Z"
    emails = [
        {"email": f"a{n}@example.com", "label": labels[n % 4], "verified_at": verified}
        for n in range(18)
    ]
    add_emails(ana, {"email": long, "label": labels[0]}, *emails)
    phones = [
        "+212 612 345678",
        "\u202e+44 1",
        "x" * 64,
        *(f"+1 212 555 {n:04}" for n in range(17)),
    ]
    add_phones(ana, *({"phone": each, "label": labels[n % 4]} for n, each in enumerate(phones)))
    ana.client.create("simple@example.com", first_name="Simple", phone="+212 612 345678")
    person = Person(browser, ana.server, ana.client, viewport=size, color_scheme=scheme)
    person.create_session()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = "wide" if size is WIDE else "small"
    for number, name in ((2, "one"), (1, "many")):
        page = person.open(f"/customers/{number}")
        page.locator(".timeline li").first.wait_for()
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        path = SCREENSHOTS / f"contact-points-{name}-{width}-{scheme}.png"
        page.screenshot(path=path, full_page=True)
        page.get_by_role("button", name="Edit Email:").last.click()
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"contact-points-{name}-form-{width}-{scheme}.png")
        page.keyboard.press("Escape")
    assert page.evaluate("window.owned === undefined")
    person.close()
