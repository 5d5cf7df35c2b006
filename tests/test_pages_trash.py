"""Tests of the trash: deleted customers are found, restored, and deleted permanently."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import NARROW, SCREENSHOTS, WIDE, Person, choose
from tests.support import Client, create_token, find_account_name, run_regulars
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_list import create_customers

pytestmark = pytest.mark.slow

NAMES = ("Ana Núñez", "Bo Li", "Cy Young")
DELETE = "mutation($items: [ID!]!) { deleteCustomers(items: $items) }"
TRASH = "{ trash { totalCount edges { node { full_name } } } }"


@pytest.fixture
def three_deleted(person: Person) -> Person:
    """A person whose trash has three customers, the first one with an order."""
    for name in NAMES:
        create(person, name)
    record_order(person, "ana@example.com")
    delete(person, *range(1, 4))
    return person


def create(person: Person, name: str) -> Any:
    first, last = name.split()
    return person.client.create(f"{first.lower()}@example.com", first_name=first, last_name=last)


def record_order(person: Person, email: str) -> None:
    document = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
    person.client.data(document, node={"name": "#1", "email": email, "total": 5})


def delete(person: Person, *numbers: int) -> None:
    person.client.data(DELETE, items=list(map(str, numbers)))


def deleted_names(client: Client) -> list[str]:
    return [edge["node"]["full_name"] for edge in client.data(TRASH)["trash"]["edges"]]


def rows(page: Page) -> Any:
    return page.locator("tbody tr")


def confirm(page: Page, title: str, label: str = "Delete permanently") -> None:
    dialog = page.get_by_role("dialog", name=title)
    dialog.get_by_role("button", name=label).click()
    expect(dialog).to_be_hidden()


@pytest.mark.smoke
def test_a_deletion_names_the_days_and_leads_to_the_trash(person: Person) -> None:
    for name in NAMES:
        create(person, name)
    page = person.open("/customers")
    page.clock.install()
    page.get_by_label("Select Bo Li").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("restore deleted customers for 30 days")
    confirm(page, "Delete 1 customer?", "Delete 1")
    toast = page.locator(".toast")
    expect(toast).to_contain_text("1 customer will move to the trash for 30 days.")
    assert len(person.client.emails()) == 3  # it can still be undone
    toast.get_by_role("button", name="Open trash").click()
    expect(page.get_by_role("heading", name="Trash", level=1)).to_be_focused()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Bo Li")
    assert deleted_names(person.client) == ["Bo Li"]
    # The restored customer is visible in the same browser at once.
    page.get_by_role("button", name="Restore Bo Li").click()
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    page.locator(".toast", has_text="Restored: Bo Li.").get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Bo Li")).to_be_visible()
    page.get_by_role("link", name="Customers", exact=True).click()
    expect(page.locator(".row-link")).to_have_count(3)


def test_a_customer_that_another_person_restored_is_shown_again(person: Person) -> None:
    create(person, "Bo Li")
    page = person.open("/customers/1")
    page.clock.install()
    choose(page, "Delete")
    page.get_by_role("button", name="Open trash").click()
    expect(rows(page)).to_have_count(1)
    person.client.data("mutation { restoreCustomers(items: [1]) { customers { id } } }")
    page.clock.run_for(61_000)
    page.get_by_role("link", name="Customers", exact=True).click()
    expect(page.locator(".row-link")).to_have_text(["Bo Li"])


def test_a_deletion_on_the_customer_page_names_the_days(person: Person) -> None:
    create(person, "Ana Núñez")
    page = person.open("/customers/1")
    choose(page, "Delete")
    toast = page.locator(".toast", has_text="Ana Núñez will move to the trash for 30 days.")
    toast.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Ana Núñez")).to_be_visible()
    account = find_account_name(person.server, person.client.token)
    url = person.server.database_url
    options = ("--account", account, "--set", "trash_days=0", "--database-url", url)
    assert run_regulars("account", "settings", *options).returncode == 0
    choose(page, "Delete")
    toast = page.locator(".toast", has_text="Ana Núñez will be deleted permanently.")
    expect(toast.get_by_role("button", name="Undo")).to_be_visible()
    expect(toast.get_by_role("button", name="Open trash")).to_have_count(0)
    toast.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="Customers", exact=True).click()
    page.get_by_label("Select Ana Núñez").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("deleted permanently")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Trash").click()
    expect(page.get_by_text("This account has no trash")).to_be_visible()


@pytest.mark.smoke
def test_the_trash_lists_and_finds_deleted_customers(three_deleted: Person) -> None:
    page = three_deleted.open("/customers")
    page.get_by_role("link", name="Trash").click()
    expect(page.get_by_role("heading", name="Trash", level=1)).to_be_focused()
    expect(page.locator(".count")).to_have_text("3 customers")
    row = page.get_by_role("row", name="Ana Núñez")
    expect(row.get_by_role("cell")).to_have_text(
        ["1", "a few seconds agoby test", "30 days", "RestoreDelete permanently"]
    )
    expect(row).to_contain_text("ana@example.com")
    row.get_by_text("30 days").hover()
    expect(row.get_by_text("30 days")).to_have_attribute("title", re.compile(", 20"))
    box = page.get_by_role("searchbox", name="Find by email")
    box.fill(" BO@example.COM ")
    box.press("Enter")
    expect(page.locator(".count")).to_have_text("1 customer found")
    expect(rows(page)).to_contain_text(["Bo Li"])
    assert page.url.endswith("/trash?email=BO%40example.COM")
    page.reload()
    expect(rows(page)).to_contain_text(["Bo Li"])
    box.fill("bo@")
    box.press("Enter")
    expect(page.get_by_role("heading", name="No deleted customer has this email")).to_be_visible()
    page.get_by_role("link", name="Clear the search").click()
    expect(rows(page)).to_have_count(3)
    expect(box).to_have_value("")
    page.go_back()
    expect(box).to_have_value("bo@")


def test_customers_are_restored_by_keyboard(three_deleted: Person) -> None:
    page = three_deleted.open("/trash")
    page.get_by_role("checkbox", name="Ana Núñez").focus()
    page.keyboard.press("Space")
    expect(page.get_by_label("Selection")).to_contain_text("1 selected")
    page.get_by_role("checkbox", name="Cy Young").press("Space")
    restore = page.get_by_label("Selection").get_by_role("button", name="Restore")
    restore.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Restored: 2 customers.")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("Selection")).to_be_hidden()
    expect(page.get_by_role("heading", name="Trash", level=1)).to_be_focused()
    assert sorted(three_deleted.client.emails()) == ["ana@example.com", "cy@example.com"]
    page = three_deleted.open("/customers/1")
    expect(page.locator(".timeline li").first).to_contain_text("Restored by test")


def test_customers_are_deleted_permanently_after_a_confirmation(three_deleted: Person) -> None:
    page = three_deleted.open("/trash")
    page.get_by_role("button", name="Delete permanently: Bo Li").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert len(deleted_names(three_deleted.client)) == 3
    page.get_by_role("button", name="Delete permanently: Bo Li").click()
    confirm(page, "Delete Bo Li permanently?")
    expect(rows(page)).to_have_count(2)
    assert "Bo Li" not in deleted_names(three_deleted.client)
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Selection").get_by_role("button", name="Delete permanently").click()
    confirm(page, "Delete 2 customers permanently?")
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    expect(page.get_by_role("button", name="Empty trash")).to_be_hidden()
    assert deleted_names(three_deleted.client) == three_deleted.client.emails() == []


def test_conflicts_are_explained_and_restored_without(three_deleted: Person) -> None:
    create(three_deleted, "Dee Dee")
    record_order(three_deleted, "dee@example.com")
    page = three_deleted.open("/trash")
    page.get_by_role("button", name="Restore Ana Núñez").click()
    dialog = page.get_by_role("dialog", name="Other customers have these values now")
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["Ana Núñez · Order #1 Show the other customer"]
    )
    check_accessibility(page)
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(3)
    page.get_by_role("button", name="Restore Ana Núñez").click()
    confirm(page, "Other customers have these values now", "Restore without them")
    expect(page.locator(".toast").last).to_contain_text("Restored: Ana Núñez. Values left out: 1.")
    expect(rows(page)).to_have_count(2)
    assert "ana@example.com" in three_deleted.client.emails()


def test_a_taken_email_keeps_only_its_customer_in_the_trash(three_deleted: Person) -> None:
    three_deleted.client.create("bo@example.com", first_name="New", last_name="Bo")
    page = three_deleted.open("/trash")
    page.get_by_role("button", name="Restore Bo Li").click()
    title = "Other customers have these values now"
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog).to_contain_text("Change the email of the other customer first.")
    expect(dialog).to_contain_text("Bo Li · Email bo@example.com")
    expect(dialog.get_by_role("button")).to_have_count(2)  # close and cancel
    page.screenshot(path=SCREENSHOTS / "trash-conflict-light.png")
    dialog.get_by_role("link", name="Show the other customer").click()
    expect(page.get_by_role("heading", name="New Bo")).to_be_visible()
    expect(dialog).to_have_count(0)
    page.go_back()
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Selection").get_by_role("button", name="Restore").click()
    confirm(page, title, "Restore the other 2")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Bo Li")
    assert deleted_names(three_deleted.client) == ["Bo Li"]


def test_a_conflict_between_selected_customers_has_no_link(person: Person) -> None:
    for _ in range(2):
        number = create(person, "Ana Núñez")["_id"]
        delete(person, number)
    page = person.open("/trash")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Selection").get_by_role("button", name="Restore").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem")).to_have_text(["Ana Núñez · Email ana@example.com"])
    expect(dialog.get_by_role("link")).to_have_count(0)
    dialog.get_by_role("button", name="Restore the other 1").click()
    expect(rows(page)).to_have_count(1)
    assert person.client.emails() == ["ana@example.com"]


def test_the_trash_has_pages_and_is_emptied(person: Person) -> None:
    create_customers(person, 101)
    delete(person, *range(1, 102))
    page = person.open("/trash")
    expect(rows(page)).to_have_count(100)
    page.get_by_role("link", name="Next").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Restore P")).click()
    # The last page is empty now, so that the first one is shown.
    expect(rows(page)).to_have_count(100)
    assert page.url.endswith("/trash")
    person.open("/trash?after=nonsense")
    expect(rows(page)).to_have_count(100)
    page.get_by_role("button", name="Empty trash").click()
    confirm(page, "Delete 100 customers permanently?")
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    assert person.client.data(TRASH)["trash"]["totalCount"] == 0


def test_a_customer_that_another_person_purged_is_an_error(three_deleted: Person) -> None:
    page = three_deleted.open("/trash")
    expect(rows(page)).to_have_count(3)
    three_deleted.client.data("mutation { emptyTrash(items: [2]) }")
    page.get_by_role("button", name="Restore Bo Li").click()
    expect(page.locator(".toast.wrong")).to_contain_text("No customer in the trash")
    expect(rows(page)).to_have_count(2)


def test_a_reader_sees_the_trash_without_actions(browser: Browser, three_deleted: Person) -> None:
    server = three_deleted.server
    account = find_account_name(server, three_deleted.client.token)
    token = create_token(server, account=account, scopes=("customers:read",))
    with Client(server, token) as client:
        reader = Person(browser, server, client)
        reader.create_session()
        page = reader.open("/trash")
        expect(rows(page)).to_have_count(3)
        expect(page.get_by_text("Your access is read-only.")).to_be_visible()
        expect(page.locator("main").get_by_role("button")).to_have_count(0)
        expect(page.locator("main").get_by_role("checkbox")).to_have_count(0)
        reader.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_trash_is_accessible_and_fits_the_screen(
    browser: Browser, three_deleted: Person, scheme: str, size: dict[str, int]
) -> None:
    person = Person(
        browser, three_deleted.server, three_deleted.client, viewport=size, color_scheme=scheme
    )
    person.create_session()
    suffix = f"{'wide' if size is WIDE else 'narrow'}-{scheme}.png"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for path, selector in {"/trash": "tbody tr", "/trash?email=x": ".empty-state"}.items():
        page = person.open(path)
        page.locator(selector).first.wait_for()
        if path == "/trash":
            page.get_by_role("checkbox", name="Ana Núñez").check()
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        name = "trash-selected" if path == "/trash" else "trash-no-matches"
        page.screenshot(path=SCREENSHOTS / f"{name}-{suffix}", full_page=True)
    page = person.open("/trash")
    page.get_by_role("button", name="Delete permanently: Ana Núñez").click()
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / f"trash-dialog-{suffix}")
    person.close()
