"""The pages of customers without an email."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import NARROW, Person
from tests.support import find_account_name, run_regulars
from tests.test_no_email import create
from tests.test_pages_customer import open_form
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_import import choose

pytestmark = pytest.mark.slow


def allow(person: Person, value: str) -> None:
    server = person.client.server
    account = find_account_name(server, person.client.token)
    options = ("--account", account, "--database-url", server.database_url)
    result = run_regulars("account", "settings", "--set", f"identify_by={value}", *options)
    assert result.returncode == 0, result.stderr


@pytest.mark.smoke
def test_a_customer_is_added_found_and_edited_by_phone(person: Person) -> None:
    page = person.open("/customers/new")
    expect(page.get_by_label("Email", exact=True).first).to_have_attribute("required", "")
    allow(person, "email_or_phone")
    page = person.open("/customers/new")
    expect(page.get_by_label("Email", exact=True).first).not_to_have_attribute("required", "")
    page.get_by_label("First name").first.fill("Ana")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("A new customer needs an email or a phone.")).to_be_visible()
    page.get_by_label("Phone").first.fill("+212 600 000 001")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Ana was added.").first).to_be_visible()
    link = page.get_by_role("link", name="+212 600 000 001")
    expect(link.first).to_have_attribute("href", "tel:+212600000001")
    check_accessibility(page)
    form = open_form(page, "Phone")
    form.get_by_label("Phone").fill("")
    form.get_by_label("Phone").press("Enter")
    expect(form.get_by_text("This customer needs an email or a phone.")).to_be_visible()
    form.get_by_role("button", name="Cancel").click()
    form = open_form(page, "Email")
    form.get_by_label("Email").fill("ana@example.com")
    form.get_by_label("Email").press("Enter")
    expect(page.get_by_role("link", name="ana@example.com").first).to_be_visible()
    form = open_form(page, "Email")
    form.get_by_label("Email").fill("")
    form.get_by_label("Email").press("Enter")
    expect(link.first).to_be_visible()


def test_lists_show_the_phone_or_the_number(person: Person) -> None:
    allow(person, "anything")
    create(person.client, first_name="Ana", phone="0600")
    create(person.client, phone="0611")
    crm = {"external_ids": [{"source": "crm", "id": "7"}]}
    nameless = create(person.client, **crm)
    for size in (None, NARROW):
        if size:
            person.page.set_viewport_size(size)  # type: ignore[arg-type]  # a ViewportSize
        page = person.open("/customers")
        expect(page.get_by_role("row").filter(has_text="Ana")).to_contain_text("0600")
        expect(page.get_by_role("link", name="0611")).to_be_visible()
        page.get_by_role("link", name="Customer 3").click()
        expect(page.get_by_role("heading", name="Customer 3")).to_be_visible()
        expect(page.get_by_text("No email")).to_be_visible()
    person.client.delete(nameless["id"])
    page = person.open("/trash")
    expect(page.get_by_role("row").filter(has_text="Customer 3")).to_be_visible()
    check_accessibility(page)


def test_a_file_of_phones_is_imported(person: Person) -> None:
    content = b"Full name,Mobile\nAna,+212600000001\nBen,+212600000001\n"
    page = person.open("/imports")
    choose(page, "phones.csv", content)
    expect(page.get_by_text("Choose Email as the field")).to_be_visible()
    allow(person, "email_or_phone")
    page = person.open("/imports")
    choose(page, "phones.csv", content)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".tiles")).to_contain_text("Created2Updated0Unchanged0Rejected0")
    assert person.client.emails() == ["", ""]


def test_the_owner_changes_the_settings(person: Person) -> None:
    for with_customers in (False, True):
        if with_customers:
            person.client.create("ana@example.com")
        page = person.open("/overview")
        page.get_by_role("button", name="Account settings").click()
        dialog = page.get_by_role("dialog")
        check_accessibility(page)
        dialog.get_by_label("Days in the trash").fill("4000")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_contain_text("Use a whole number from 0 to 3,650.")
        for days in ("", " ", "9 000", "-1", "ten"):
            dialog.get_by_label("Days in the trash").fill(days)
            dialog.get_by_role("button", name="Save").click()
            expect(dialog).to_contain_text("Enter a whole number, such as 30.")
            expect(dialog.get_by_label("Days in the trash")).to_be_focused()
        dialog.get_by_label("Days in the trash").fill("9")
        dialog.get_by_label("Each customer needs").select_option("an email or a phone")
        dialog.get_by_label("Country of phone numbers").select_option("Morocco")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The settings were saved.").first).to_be_visible()
    read = "{ accountSettings { identify_by trash_days default_country } }"
    assert person.client.data(read)["accountSettings"] == {
        "identify_by": "email_or_phone",
        "default_country": "MA",
        "trash_days": 9,
    }
