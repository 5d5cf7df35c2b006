"""Tests of the view of the list: columns, density, and changes of other people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import Person
from tests.test_pages_filters import open_filter
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_list import create_customers, expect_names

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(person: Person) -> Person:
    """A person on the list of an account with two customers."""
    person.client.create(
        "ana@example.com",
        first_name="Ana",
        phone="+212 612 345678",
        accepts_marketing=True,
        tags=["a rather long tag of Ana", "b", "c"],
        shipping_address={"country": "GB", "city": "Lake Lawrence", "company": "Núñez SA"},
        custom={"tier": "gold", "size": {"eu": 42}},
    )
    person.client.create("bo@example.com", first_name="Bo")
    person.open("/customers")
    expect(person.page.get_by_role("row")).to_have_count(3)
    return person


def expect_headings(page: Page, *names: str | re.Pattern[str]) -> None:
    expect(page.locator("thead th")).to_have_text(["", *names])


def choose(page: Page, *names: str) -> None:
    page.get_by_role("button", name="View", exact=True).click()
    dialog = page.get_by_role("dialog")
    for name in names:
        dialog.get_by_role("checkbox", name=name, exact=True).click()
    check_accessibility(page)
    dialog.get_by_role("button", name="Done").click()


@pytest.mark.smoke
def test_columns_are_chosen_and_remembered(shop: Person) -> None:
    page = shop.page
    spent = re.compile("^Total spent")
    usual: list[str | re.Pattern[str]] = [
        "Customer",
        "Location",
        "Tags",
        "Orders",
        spent,
        "Last updated",
    ]
    expect_headings(page, *usual)
    shop.client.data(
        'mutation { recordOrder(node: {name: "A", email: "ana@example.com", total: 5}) { id } }'
    )
    columns = (
        "Phone",
        "Accepts marketing",
        "Company",
        "Last order",
        "Custom: size.eu",
        "Custom: tier",
    )
    choose(page, "Orders", "Last updated", *columns)
    expect_headings(page, "Customer", "Location", "Tags", re.compile("^Total spent"), *columns)
    row = page.get_by_role("row", name="Ana")
    for text in (
        "+212 612 345678",
        "Yes",
        "Núñez SA",
        "gold",
        "42",
        "Lake Lawrence, United Kingdom",
    ):
        expect(row).to_contain_text(text)
    expect(row.locator(".time-cell")).to_have_text("a few seconds ago")
    expect(page.get_by_role("row", name="Bo").locator(".time-cell")).to_have_text("–")
    expect(row.locator(".tags")).to_have_text("a rather long tag of Ana+2")
    expect(page.get_by_role("row", name="Bo").locator(".money-cell")).to_have_text("–")
    page.reload()
    expect(page.get_by_role("row")).to_have_count(3)
    expect_headings(page, "Customer", "Location", "Tags", re.compile("^Total spent"), *columns)
    check_accessibility(page)
    page.set_viewport_size({"width": 1024, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("button", name="Usual columns").click()
    page.get_by_role("button", name="Done").click()
    expect_headings(page, *usual)


def test_the_chosen_columns_are_sorted_exported_and_filtered(shop: Person, tmp_path: Path) -> None:
    page = shop.page
    shop.client.data(
        'mutation { recordOrder(node: {name: "A", email: "bo@example.com", total: 5}) { id } }'
    )
    choose(page, "Tags", "Location", "Orders", "Last updated", "Last order", "Company")
    page.get_by_role("button", name="Last order").click()
    expect_names(page, "Bo", "Ana")
    page.get_by_role("button", name="Export").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Only the columns of this list").check()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "list.csv")
    head, *rows = (tmp_path / "list.csv").read_text(encoding="utf-8").splitlines()
    company = "shipping_address.company,billing_address.company"
    assert head == f"regulars_id,full_name,email,expenses,{company},last_order_at"
    assert [("Núñez SA" in row) for row in rows] == [False, True]
    open_filter(page, "Last order").get_by_role("button", name="Add filter").click()
    expect(page.get_by_role("combobox", name="Search customers")).to_have_value(
        re.compile("^last_order_at:")
    )
    expect_names(page, "Bo")


def test_stored_columns_of_another_version_are_ignored(shop: Person) -> None:
    page = shop.page
    for stored, expected in (
        ("nonsense", 6),
        ('{"a": 1}', 6),
        ('["no_such", 7, null, "phone", "custom.\\"x\\" {"]', 3),
    ):
        page.evaluate("stored => localStorage.setItem('columns', stored)", stored)
        page.reload()
        expect(page.get_by_role("row")).to_have_count(3)
        expect(page.locator("thead th")).to_have_count(expected + 1)


def test_compact_rows_and_the_head_stays(shop: Person) -> None:
    create_customers(shop, 60)
    page = shop.page
    page.reload()
    expect(page.locator(".row-link")).to_have_count(50)
    choose(page, "Compact rows")
    visible = """() => [...document.querySelectorAll("tbody tr")]
      .filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"""
    assert page.evaluate(visible) >= 20
    page.mouse.wheel(0, 1_000)
    page.wait_for_function("scrollY > 500")
    assert (
        page.locator("thead").evaluate("head => head.rows[0].cells[1].getBoundingClientRect().top")
        >= 0
    )
    whole = "rows => rows.filter((row) => row.getBoundingClientRect().top >= 40 && row.getBoundingClientRect().bottom <= innerHeight).length"
    assert page.locator("tbody tr").evaluate_all(whole) >= 20
    page.reload()
    expect(page.locator(".list.compact")).to_have_count(1)


def test_changes_of_others_are_counted_and_shown(shop: Person) -> None:
    page = shop.page
    page.clock.install()
    page.reload()
    expect_names(page, "Bo", "Ana")
    page.clock.run_for(6_000)
    changes = page.locator(".list-head").get_by_role("button", name="Show")
    expect(changes).to_be_hidden()
    shop.client.create("cy@example.com", first_name="Cy")
    page.wait_for_timeout(300)
    for _ in range(3):
        page.clock.run_for(10_000)
    expect(changes).to_have_text("1 change. Show")
    # What one reads stays.
    expect_names(page, "Bo", "Ana")
    changes.click()
    expect_names(page, "Cy", "Bo", "Ana")
    expect(changes).to_be_hidden()
