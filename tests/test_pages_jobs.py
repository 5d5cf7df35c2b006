"""Bulk edits, and the undo of edits and imports, in a browser."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from tests.browser import SCREENSHOTS, Person, sign_in_person
from tests.support import Client, find_account_name, run_regulars, run_server
from tests.test_jobs import add, customers, edit, run_import, three
from tests.test_pages_customer import stop
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"jobs-{name}.png")


def open_edit(person: Person, query: str = "") -> Page:
    page = person.open(f"/customers?q={query}&sort=email&dir=asc")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Edit…").click()
    return page


def test_selected_customers_are_edited_and_the_edit_is_undone(person: Person) -> None:
    three(person.client)
    before = customers(person.client)
    page = open_edit(person)
    dialog = page.get_by_role("dialog", name="Edit 3 customers")
    dialog.get_by_label("Field", exact=True).select_option(label="Phone")
    dialog.get_by_label("Value").fill("+212 5")
    dialog.get_by_role("button", name="Another field").click()
    second = dialog.locator(".edit-row").nth(1)
    second.get_by_label("Field", exact=True).select_option(label="Custom field…")
    second.get_by_label("Name of the custom field").fill("points")
    second.get_by_label("Change").select_option(label="Add number")
    second.get_by_label("Amount").fill("2")
    dialog.get_by_label("Add tags").fill("new, vip")
    check_accessibility(page)
    screenshot(page, "form")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("2 customers change.")
    expect(dialog).to_contain_text("Cannot be edited: 1.")
    expect(dialog).to_contain_text("+212 5")
    # Of tags, the preview has the added ones, as the history of a customer has them.
    tags = dialog.locator(".diff > div", has_text="Tags").first
    expect(tags.locator("ins")).to_contain_text("new")
    expect(tags.locator("del")).to_have_count(0)
    check_accessibility(page)
    screenshot(page, "preview")
    assert customers(person.client) == before
    dialog.get_by_role("button", name="Edit 2 customers").click()
    toast = page.locator(".toast").last
    expect(toast).to_contain_text("2 customers edited. Not edited: 1.")
    assert [each["phone"] for each in customers(person.client)] == ["+212 5", "+33 1 23", "+212 5"]
    expect(page.locator("tbody")).to_contain_text("old+2")
    toast.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast").last).to_contain_text("Undone for 2 customers.")
    assert [{**e, "version": 0} for e in customers(person.client)] == [
        {**e, "version": 0} for e in before
    ]


def test_everything_found_is_edited_by_keyboard(person: Person) -> None:
    add(person.client, *({"email": f"c{n:02}@x.test", "notes": "old"} for n in range(60)))
    page = person.open("/customers?q=&sort=email&dir=asc")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 60").click()
    page.get_by_role("button", name="Edit…").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit 60 customers")
    dialog.get_by_label("Field", exact=True).select_option(label="Notes")
    dialog.get_by_label("Change").select_option(label="Clear")
    dialog.get_by_role("button", name="Preview").press("Enter")
    dialog.get_by_role("button", name="Edit 60 customers").press("Enter")
    expect(page.locator(".toast").last).to_contain_text("60 customers edited.")
    assert {each["notes"] for each in customers(person.client)} == {None}


def test_an_edit_without_a_change_is_explained(person: Person) -> None:
    three(person.client)
    page = open_edit(person)
    dialog = page.get_by_role("dialog")
    preview = dialog.get_by_role("button", name="Preview")
    preview.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Choose a field, or enter a tag.")
    dialog.get_by_label("Field", exact=True).select_option(label="Custom field…")
    preview.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Enter the name of the custom field.")
    dialog.get_by_label("Name of the custom field").fill("n")
    dialog.get_by_label("Change").select_option(label="Add number")
    preview.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Enter a number")
    dialog.get_by_label("Change").select_option(label="Clear")
    preview.click()
    expect(dialog).to_contain_text("No customer changes.")
    dialog.get_by_role("button", name="Back").click()
    dialog.get_by_label("Remove this field").click()
    dialog.get_by_label("Remove tags").fill("vip")
    preview.click()
    expect(dialog.get_by_role("button", name="Edit 1 customer")).to_be_visible()


def test_an_import_shows_what_stays_before_it_is_undone(person: Person) -> None:
    client = person.client
    ids = add(client, {"email": "a@x.test", "phone": "1"})
    job = run_import(client, "email,phone\na@x.test,2\nb@x.test,3\n", name="shop.csv")
    update = 'mutation($id: ID!) { updateCustomer(id: $id, node: {phone: "9"}) { id } }'
    client.data(update, id=ids[0])
    page = person.open("/imports")
    page.get_by_role("button", name="Undo shop.csv").click()
    dialog = page.get_by_role("dialog", name="Undo “shop.csv”?")
    expect(dialog).to_contain_text("1 customer changes back.")
    expect(dialog).to_contain_text("Customers that the import created are deleted.")
    expect(dialog).to_contain_text("Phone: changed since")
    check_accessibility(page)
    screenshot(page, "undo")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download the list").click()
    assert "changed since" in download.value.path().read_text()
    # A link closes the dialog.
    page.get_by_role("button", name="Undo shop.csv").click()
    dialog.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".toast").last).to_contain_text(
        "Undone for 1 customer. Some values stay as they are."
    )
    assert [(each["email"], each["phone"]) for each in customers(client)] == [("a@x.test", "9")]
    expect(page.get_by_role("link", name="Undone")).to_be_visible()
    expect(page.get_by_role("heading", name="Bulk edits and undos")).to_be_visible()
    page.get_by_role("link", name="Undo of shop.csv").click()
    expect(page.get_by_role("heading", name="Undo of shop.csv")).to_be_focused()
    expect(page.get_by_text("Values that stay as they are")).to_be_visible()
    check_accessibility(page)
    screenshot(page, "job")
    assert client.data(f'{{ job(id: "{job["id"]}") {{ can_undo }} }}') == {
        "job": {"can_undo": False}
    }


def test_the_buttons_of_a_running_job_keep_the_focus(person: Person) -> None:
    three(person.client)
    job = edit(person.client, query="", addTags=["x"])
    progress = iter(range(1_000))

    def still_running(route: Route) -> None:
        if "job(id" not in (route.request.post_data or ""):
            return route.fallback()
        with suppress(Error):  # at the end, the page is closed while it waits
            response = route.fetch()
            body = response.json()
            changes = {"state": "running", "changed": next(progress), "can_undo": False}
            body["data"]["job"] |= changes
            route.fulfill(response=response, json=body)
        return None

    person.page.route("**/api/v2", still_running)
    page = person.open(f"/imports?id={job['id']}")
    button = page.get_by_role("button", name="Cancel")
    button.focus()
    expect(page.locator("dd").first).to_have_text(re.compile("[3-9]"))
    expect(button).to_be_focused()


def test_the_list_follows_an_edit_over_a_restart_of_the_server(
    browser: Browser, new_database: str
) -> None:
    with run_server(new_database) as first, sign_in_person(browser, first) as person:
        account = find_account_name(first, person.client.token)
        options = ("sample", "--customers", "9000", "--account", account)
        run_regulars(*options, "--database-url", new_database)
        page = open_edit(person)
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Select all 9,000").click()
        page.get_by_role("button", name="Edit…").click()
        dialog = page.get_by_role("dialog", name="Edit 9,000 customers")
        dialog.get_by_label("Add tags").fill("spring")
        dialog.get_by_role("button", name="Preview").click()
        dialog.get_by_role("button", name="Edit 9,000 customers").click()
        expect(page.locator(".toast")).to_contain_text(" of 9,000 …")
        stop(first)
        page.wait_for_timeout(1_000)
        expect(page.locator(".toast")).to_contain_text(" of 9,000 …")
        with run_server(new_database, "--port", first.url.rpartition(":")[2]) as second:
            message = page.locator(".toast").filter(has_text="9,000 customers edited.")
            expect(message).to_be_visible(timeout=60_000)
            query = '{ customers(query: "tag:spring") { totalCount } }'
            client = Client(second, person.client.token)
            assert client.data(query)["customers"]["totalCount"] == 9_000
            client.http.close()


def test_a_job_that_does_not_exist_is_explained(person: Person) -> None:
    page = person.open("/imports?id=job_none")
    expect(page.get_by_text("This job does not exist.")).to_be_visible()


def test_previews_hide_no_edit(person: Person) -> None:
    three(person.client)
    edit(person.client, query="", addTags=["x"])
    for _ in range(50):
        edit(person.client, query="", addTags=["y"], dryRun=True)
    page = person.open("/imports")
    expect(page.get_by_role("link", name="Edit of tags")).to_be_visible()


def test_the_page_of_a_bulk_edit_fits_a_phone(person: Person) -> None:
    three(person.client)
    job = edit(person.client, query="", increments=[{"field": "custom.points", "amount": 1}])
    page = person.open_tab()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/imports?id={job['id']}")
    expect(page.get_by_role("heading", name="Edit of custom.points")).to_be_visible()
    expect(page.get_by_text("Customers that were not edited")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "narrow")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("dialog").get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_role("link", name="Undone")).to_be_visible()
    page.goto("/customers")
    page.locator("tbody .choose input").first.check()
    page.get_by_role("button", name="Edit…").click()
    page.get_by_label("Field", exact=True).select_option(label="Phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "narrow-form")


def test_a_value_of_the_history_is_restored(person: Person) -> None:
    client = person.client
    created = client.create("a@x.test", "id _id", phone="1", custom={"tier": "gold", "n": 1})
    update = (
        "mutation($id: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $id, node: $n) { id } }"
    )
    client.data(update, id=created["id"], n={"phone": "2", "custom": {"tier": "silver", "n": 2}})
    page = person.open(f"/customers/{created['_id']}")
    comment = page.get_by_role("textbox", name="New comment")
    comment.fill("She calls again at")
    page.get_by_role("button", name="Restore this value of Phone").click()
    expect(page.locator(".toast").last).to_contain_text("Phone restored.")
    # What the person is typing stays, and the keyboard goes on at the new entry.
    expect(comment).to_have_value("She calls again at")
    expect(page.get_by_role("link", name="1", exact=True).first).to_be_visible()
    expect(page.locator(".timeline li p").first).to_be_focused()
    assert [each["phone"] for each in customers(client)] == ["1"]
    restore = page.get_by_role("button", name="Restore this value of Custom: tier")
    expect(restore).to_have_count(1)
    client.data(update, id=created["id"], n={"custom": {"tier": "bronze"}})
    restore.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The value changed after this entry.")
    check_accessibility(page)
    dialog.get_by_role("button", name="Restore this value").click()
    expect(page.locator(".toast").last).to_contain_text("Custom: tier restored.")
    assert [each["custom"] for each in customers(client)] == [{"tier": "gold", "n": 2}]
