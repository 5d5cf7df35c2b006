"""Tests of the page People, with an owner and a colleague in browsers of their own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import SCREENSHOTS, Person, sign_in_person
from tests.support import Server
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow


def invite(owner: Person, name: str, role: str) -> str:
    """Invites a person on the page; returns the link."""
    page = owner.open("/people")
    page.get_by_role("button", name="Invite a person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Role").select_option(role)
    dialog.get_by_role("button", name="Create link").click()
    link = dialog.get_by_label("Sign-in link").input_value()
    expect(dialog).to_contain_text(f"Send this link to {name}. It works once, until")
    check_accessibility(page)
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name=name)).to_contain_text("Invited")
    assert link not in page.content()
    return link


@pytest.mark.smoke
def test_an_owner_invites_a_colleague_changes_the_role_and_removes_them(
    browser: Browser, server: Server, person: Person
) -> None:
    created = person.client.create("ana@example.com", first_name="Ana")
    page = person.open("/people")
    expect(page.get_by_text("You are signed in with a token")).to_be_visible()
    expect(page.get_by_role("region", name="Signed in with a token")).to_contain_text("test")
    link = invite(person, "Ruth Fox", "Support")
    colleague = Person(browser, server, person.client)
    theirs = colleague.page
    theirs.goto(link)
    theirs.get_by_role("heading", name="Customers", exact=True).wait_for()
    expect(theirs.locator(".viewer")).to_contain_text("Ruth Fox")
    expect(theirs.locator(".viewer")).to_contain_text("Support")
    links = theirs.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links).to_have_text(
        ["Customers", "Segments", "Tags", "Overview", "Import", "Trash", "Explorer"]
    )
    colleague.open(f"/customers/{created['_id']}")
    theirs.get_by_role("button", name="Add notes").click()
    theirs.get_by_label("Notes").last.fill("Called back.")
    theirs.keyboard.press("Control+Enter")
    expect(theirs.locator(".timeline").last).to_contain_text("Ruth Fox")

    page = person.open("/people")
    row = page.get_by_role("row", name="Ruth Fox")
    expect(row).to_contain_text("Active")
    page.screenshot(path=SCREENSHOTS / "people-wide-light.png")
    page.get_by_role("navigation", name="Pages").get_by_role("button", name="Account").click()
    expect(page.get_by_role("dialog")).to_contain_text("Days in the trash")
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Edit: Ruth Fox").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Role").select_option("Read only")
    expect(dialog).to_contain_text("Cannot change anything.")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Read only")
    page.wait_for_timeout(1_050)
    # The page of the colleague still offers an edit: the error says why it is refused.
    theirs.get_by_role("button", name="Edit Notes").click()
    theirs.get_by_label("Notes").last.fill("Wants a refund.")
    theirs.keyboard.press("Control+Enter")
    expect(
        theirs.get_by_text("Your access is read-only; ask your administrator").first
    ).to_be_visible()
    theirs.get_by_role("button", name="Cancel").last.click()
    colleague.open("/customers")
    expect(links).to_have_text(["Customers", "Segments", "Tags", "Overview", "Trash", "Explorer"])
    expect(theirs.get_by_role("link", name="New customer")).to_have_count(0)
    colleague.open("/people")
    expect(theirs.locator(".empty-state")).to_contain_text("You do not have access to this page")

    row.get_by_role("button", name="Remove: Ruth Fox").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("row", name="Ruth Fox")).to_contain_text("Removed")
    page.wait_for_timeout(1_050)
    theirs.goto("/customers")
    expect(theirs.get_by_role("heading", name="Sign in to Regulars")).to_be_visible()
    colleague.close()


def test_the_last_owner_cannot_leave(browser: Browser, server: Server, person: Person) -> None:
    link = invite(person, "Olga", "Owner")
    owner = Person(browser, server, person.client)
    owner.page.goto(link)
    owner.page.get_by_role("heading", name="Customers", exact=True).wait_for()
    page = owner.open("/people")
    expect(page.get_by_text("You are signed in with a token")).to_have_count(0)
    row = page.get_by_role("row", name="Olga")
    expect(row).to_contain_text("You")
    row.get_by_role("button", name="Remove: Olga").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("you will be signed out")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("is the only owner who has signed in").first).to_be_visible()
    row.get_by_role("button", name="New link: Olga").click()
    assert "#" in dialog.get_by_label("Sign-in link").input_value()
    dialog.get_by_role("button", name="Done").click()
    row.get_by_role("button", name="Edit: Olga").click()
    dialog.get_by_label("Name").fill("Olga Ruiz")
    page.keyboard.press("Enter")
    expect(page.locator(".viewer")).to_contain_text("Olga Ruiz")
    owner.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen_and_works_with_the_keyboard(
    browser: Browser, server: Server, scheme: str
) -> None:
    options = {"viewport": {"width": 320, "height": 700}, "color_scheme": scheme}
    with sign_in_person(browser, server, **options) as person:
        page = person.open("/people")
        page.get_by_role("button", name="Invite a person").focus()
        page.keyboard.press("Enter")
        page.keyboard.type("M" * 60)
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Sign-in link")).to_be_focused()
        page.screenshot(path=SCREENSHOTS / f"people-link-narrow-{scheme}.png")
        assert dialog.evaluate("element => element.scrollWidth <= element.clientWidth")
        page.keyboard.press("Escape")
        expect(page.get_by_role("row", name="M" * 60)).to_be_visible()
        check_accessibility(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        page.screenshot(path=SCREENSHOTS / f"people-narrow-{scheme}.png")
        assert width <= 320
        page.get_by_role("button", name="Menu").click()
        for name in ("People", "Tokens"):
            expect(page.get_by_role("link", name=name)).to_be_visible()
        check_accessibility(page)
