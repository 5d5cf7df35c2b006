"""The list of customers suggests other words for a search that finds nobody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import NARROW, Person
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow


def test_a_typo_leads_to_the_customer(person: Person) -> None:
    person.client.create(email="g@example.com", first_name="Gerard", last_name="Dupont")
    page = person.open("/customers?q=Gerrard")
    expect(page.get_by_role("heading", name="No customer has “Gerrard”")).to_be_visible()
    expect(page.locator(".empty-state")).to_contain_text("Did you mean Gerard (1)?")
    check_accessibility(page)
    for width in (320, NARROW["width"], 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="Gerard").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Gerard Dupont")).to_be_visible()
    box = page.get_by_role("combobox", name="Search customers")
    expect(box).to_have_value("Gerard")


def test_a_search_without_similar_words_keeps_its_text(person: Person) -> None:
    person.client.create(email="g@example.com", first_name="Gerard")
    page = person.open("/customers?q=Xylophon")
    expect(page.get_by_role("heading", name="No customers match this search")).to_be_visible()
    page.wait_for_timeout(800)
    expect(page.locator(".empty-state")).to_contain_text("Try fewer words")
