"""Tests of pages that are used before everything below their controls is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import Person

pytestmark = pytest.mark.slow


@contextmanager
def held_requests(page: Page, pattern: str, content: str = "") -> Iterator[list[Route]]:
    """Hold the requests of a URL pattern whose body has a text, and let them go at the end."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if content in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route(pattern, hold)
    yield held
    page.unroute(pattern, hold)


def test_an_import_before_the_recent_ones_are_shown_keeps_its_file(person: Person) -> None:
    page = person.open("/customers")
    with held_requests(page, "**/import") as held:
        page.get_by_role("link", name="Import", exact=True).click()
        page.locator("input[type=file]").set_input_files(
            {"name": "shop.csv", "mimeType": "text/csv", "buffer": b"email\na@example.com\n"}
        )
        page.get_by_role("button", name="Start a test run").click()
        expect(page.locator(".state.done")).to_be_visible()
        assert held
    page.get_by_role("button", name="Change the settings").click()
    expect(page.get_by_label("Field of the column email")).to_be_visible()


def test_a_search_before_the_list_is_shown_is_not_interrupted(person: Person) -> None:
    for name in ("ana", "bo"):
        person.client.create(f"{name}@example.com")
    page = person.open("/overview")
    with held_requests(page, "**/api/v2", "customers(") as held:
        page.get_by_role("link", name="Customers").click()
        search = page.get_by_role("combobox", name="Search customers")
        search.evaluate("input => { input.isTheSame = true; }")
        search.press_sequentially("bo", delay=200)
        expect(page).to_have_url(f"{person.server.url}/customers?q=bo")
        assert len(held) > 1
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(search).to_have_value("bo")
    expect(search).to_be_focused()
    assert search.evaluate("input => input.isTheSame")


def test_a_comment_before_the_history_is_shown_is_not_lost(person: Person) -> None:
    person.client.create("ana@example.com")
    page = person.open("/customers")
    with held_requests(page, "**/api/v2", "changes(first: $first") as held:
        page.get_by_role("link", name="ana@example.com").first.click()
        page.get_by_role("textbox", name="New comment").fill("Called back")
        assert held
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("button", name="Keep editing").click()
        expect(page.get_by_role("textbox", name="New comment")).to_have_value("Called back")


def test_a_link_of_a_page_that_could_not_be_shown_shows_it(person: Person) -> None:
    page = person.open("/customers/new")
    page.route("**/api/v2", lambda route: route.abort())
    page.get_by_role("link", name="Overview").click()
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    page.unroute("**/api/v2")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    expect(again).to_have_count(0)
