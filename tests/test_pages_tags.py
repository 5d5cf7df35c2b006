"""Tests of the page of tags: finding, renaming and merging them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import NARROW, Person
from tests.test_jobs import ended
from tests.test_pages_for_all import check_accessibility
from tests.test_tag_renaming import create_segment, queries
from tests.test_tags import counts

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(person: Person) -> Person:
    """A person on the page of tags."""
    person.client.create("ana@example.com", tags=["VIP", "late parcel"])
    person.client.create("bo@example.com", tags=["v.i.p."])
    person.client.create("cy@example.com", tags=["vip", "<b>new</b>"])
    create_segment(person.client, name="Best", query="tag:v.i.p. country:FR")
    person.open("/tags")
    return person


def expect_tags(page: Page, *rows: str) -> None:
    expect(page.locator("tbody tr")).to_have_count(len(rows))
    for index, text in enumerate(rows):
        expect(page.locator("tbody tr").nth(index)).to_contain_text(text)


@pytest.mark.smoke
def test_tags_are_listed_found_and_open_their_customers(shop: Person) -> None:
    page = shop.page
    expect_tags(page, "<b>new</b>", "late parcel", "v.i.p.", "vip")
    expect(page.get_by_role("row", name="vip", exact=False).last).to_contain_text("2")
    page.get_by_role("searchbox", name="Find a tag").fill("LATE")
    page.keyboard.press("Enter")
    expect_tags(page, "late parcel")
    page.get_by_role("link", name="late parcel").click()
    expect(page.locator(".row-link")).to_have_count(1)
    page.go_back()
    page.get_by_role("searchbox", name="Find a tag").fill("nothing")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No tags begin with this text")).to_be_visible()


@pytest.mark.smoke
def test_a_tag_is_renamed_by_keyboard(shop: Person) -> None:
    page = shop.page
    page.get_by_role("button", name="Rename late parcel").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("New tag")
    expect(field).to_be_focused()
    field.fill("")
    page.keyboard.press("Enter")
    expect(dialog.locator(".problem").filter(has_text="Enter a tag.")).to_be_visible()
    page.keyboard.type("late")
    # Without a suggestion that is chosen, Enter submits the form.
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("1 customer changed to the tag “late”.")
    expect_tags(page, "<b>new</b>", "late", "v.i.p.", "vip")


def test_tags_are_merged_in_customers_and_segments(shop: Person) -> None:
    page = shop.page
    merge = page.get_by_role("button", name="Merge 2 tags")
    expect(merge).to_be_hidden()
    page.get_by_role("checkbox", name="Select v.i.p.").check()
    page.get_by_role("checkbox", name="Select vip").check()
    merge.click()
    dialog = page.get_by_role("dialog", name="Merge 2 tags")
    expect(dialog.get_by_label("New tag")).to_have_value("vip")
    dialog.get_by_label("New tag").fill("Top")
    dialog.get_by_role("button", name="Merge").click()
    expect(page.locator(".toast")).to_contain_text(
        "3 customers changed to the tag “Top”. Changed segments: Best."
    )
    expect_tags(page, "<b>new</b>", "late parcel", "Top")
    assert counts(shop.client) == {"<b>new</b>": 1, "late parcel": 1, "Top": 3}
    assert queries(shop.client) == {"Best": "tag:Top country:FR"}


def test_a_merge_is_undone_with_its_segments(shop: Person) -> None:
    page = shop.page
    page.get_by_role("checkbox", name="Select v.i.p.").check()
    page.get_by_role("checkbox", name="Select late parcel").check()
    page.get_by_role("button", name="Merge 2 tags").click()
    page.get_by_role("dialog").get_by_label("New tag").fill("Top")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("2 customers changed to the tag “Top”. Changed segments: Best.")
    expect_tags(page, "<b>new</b>", "Top", "vip")
    # The page of the job names the segment, too.
    toast.get_by_role("button", name="Show").click()
    expect(page.locator("main")).to_contain_text("Changed segments: Best.")
    check_accessibility(page)
    page.get_by_role("button", name="Undo tags").click()
    page.get_by_role("dialog").get_by_role("button", name="Undo").click()
    expect(toast.last).to_contain_text("Undone for 2 customers. Changed segments: Best.")
    shop.open("/tags")
    expect_tags(page, "<b>new</b>", "late parcel", "v.i.p.", "vip")
    assert queries(shop.client) == {"Best": "tag:v.i.p. country:FR"}


def test_many_customers_are_renamed_while_the_page_is_left(shop: Person) -> None:
    for start in (0, 250):
        nodes = [{"email": f"p{start + n}@example.com", "tags": ["many"]} for n in range(250)]
        shop.client.data(
            "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { created } }",
            nodes=nodes,
        )
    page = shop.open("/tags?q=many")
    rename(page, "many", "few")
    page.get_by_role("link", name="Webhooks").click()
    expect(page.locator(".toast")).to_contain_text("500 customers changed to the tag “few”.")
    assert counts(shop.client, query="few") == {"few": 500}
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast").last).to_contain_text("Undone for 500 customers.")
    assert counts(shop.client, query="many") == {"many": 500}
    page = shop.open("/tags?q=many")
    rename(page, "many", "few")
    # The job continues without the browser.
    page.goto("about:blank")
    (edge, *_) = shop.client.data("{ jobs(first: 1) { edges { node { id } } } }")["jobs"]["edges"]
    assert ended(shop.client, edge["node"])["changed"] == 500
    assert counts(shop.client, query="few") == {"few": 500}


def rename(page: Page, name: str, new_name: str) -> None:
    """Rename a tag. The dialog is closed once the work has begun."""
    page.get_by_role("button", name=f"Rename {name}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New tag").fill(new_name)
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog).to_have_count(0)


def test_a_job_that_cannot_start_is_shown_in_the_dialog(shop: Person) -> None:
    page = shop.page
    page.get_by_role("button", name="Rename vip").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New tag").fill("x" * 256)
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog.locator(".problem").filter(has_text="255")).to_be_visible()
    assert counts(shop.client)["vip"] == 2


def test_the_page_of_tags_is_accessible_and_fits(shop: Person) -> None:
    page = shop.page
    check_accessibility(page)
    page.get_by_role("button", name="Rename vip").click()
    check_accessibility(page)
    page.keyboard.press("Escape")
    for width in (320, NARROW["width"], 720, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
