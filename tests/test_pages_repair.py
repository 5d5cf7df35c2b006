"""Correcting the rejected rows of an import in the browser, and the order of the columns."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser import Person
from tests.test_jobs import customers
from tests.test_pages_for_all import check_accessibility
from tests.test_pages_import import choose
from tests.test_pages_jobs import screenshot

pytestmark = pytest.mark.slow

FILE = """E-Mail;Name, given;Land;Note
ana@example.com;Ana;FR;"two ""words"" and
a line"
bad;Bo;FR;
cy@example.com;Cy;Atlantis;
;Dee;DE;x
"""


def test_rejected_rows_are_corrected_on_the_page(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "shop.csv", FILE.encode())
    page.get_by_label("Field of the column Name, given").select_option("first_name")
    page.get_by_label("Reject a row if one of its values is not valid").check()
    page.get_by_role("button", name="Start a test run").click()
    page.get_by_role("button", name="Import 1 customer (3 rows are skipped)").click()
    page.get_by_role("button", name="Correct the rows here").click()
    dialog = page.get_by_role("dialog", name="Correct 3 rows")
    first, second, third = (dialog.get_by_role("row").nth(n) for n in (1, 2, 3))
    # As in the messages of the page, the rows have the numbers that a spreadsheet shows.
    for row, number in ((first, "3"), (second, "4"), (third, "5")):
        expect(row.get_by_role("rowheader")).to_have_text(re.compile(rf"^{number}\b"))
    bad = first.get_by_label("E-Mail")
    expect(bad).to_have_attribute("aria-invalid", "true")
    expect(bad).to_have_accessible_description(
        "The email is not valid. An email address must have an @-sign."
    )
    expect(first.get_by_label("Land")).not_to_have_attribute("aria-invalid", "true")
    expect(second.get_by_role("cell").nth(2)).to_contain_text("This is not a country.")
    check_accessibility(page)
    screenshot(page, "repair")
    # Enter goes from each wrong value to the next one.
    wrong = (bad, second.get_by_label("Land"), third.get_by_label("E-Mail"))
    for cell, value in zip(wrong, ("bo@example.com", "France", "still bad"), strict=True):
        expect(cell).to_be_focused()
        cell.fill(value)
        page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Import 3 rows")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Corrected rows of shop.csv")).to_be_visible()
    expect(page.locator(".tiles")).to_have_text("Created2Updated0Unchanged0Rejected1With warnings0")
    assert [(each["email"], each["first_name"]) for each in customers(person.client)] == [
        ("ana@example.com", "Ana"),
        ("bo@example.com", "Bo"),
        ("cy@example.com", "Cy"),
    ]
    # What is still wrong can be corrected again, also on a phone.
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Correct the rows here").click()
    again = page.get_by_role("dialog", name="Correct 1 row")
    expect(again.get_by_label("Name, given")).to_have_value("Dee")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "repair-narrow")
    again.get_by_label("E-Mail").fill("dee@example.com")
    # Escape does not lose it.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keep editing").click()
    again.get_by_role("button", name="Import 1 row").press("Enter")
    expect(page.locator(".tiles")).to_contain_text("Created1")


def test_a_corrected_row_keeps_the_lines_of_its_note(person: Person) -> None:
    page = person.open("/imports")
    long_email = "a.rather.long.name.at@example.com"
    wrong = long_email.replace("@", ".")
    choose(page, "notes.csv", f'email,notes\n{wrong},"Calls.\nAfter 5."\n'.encode())
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Correct the rows here").click()
    dialog = page.get_by_role("dialog", name="Correct 1 row")
    email = dialog.get_by_label("email")
    assert email.evaluate("element => element.scrollWidth <= element.clientWidth")
    expect(dialog.get_by_label("notes")).to_have_value("Calls.\nAfter 5.")
    # Nothing is lost yet.
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Correct the rows here").click()
    email.fill(long_email)
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".tiles")).to_contain_text("Created1")
    (customer,) = person.client.page("email notes")["edges"]
    assert customer["node"] == {"email": long_email, "notes": "Calls.\nAfter 5."}


def test_only_the_first_rows_are_shown(person: Person) -> None:
    rows = "".join(f"bad{n},{n}\n" for n in range(60))
    page = person.open("/imports")
    choose(page, "many.csv", f"email,phone\n{rows}".encode())
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Correct the rows here").click()
    dialog = page.get_by_role("dialog", name="Correct 50 rows")
    expect(dialog).to_contain_text("10 more rows are in the file to download.")
    expect(dialog.locator("tbody tr")).to_have_count(50)


def test_columns_without_a_field_come_first_with_their_cells(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "shop.csv", b"email,shoe,first_name\na@x.test,s1,Ana\nb@x.test,s2,Bo\n")
    column = page.get_by_label("Field of the column shoe")
    column.select_option("Do not import")
    rows = page.locator("tbody th")
    expect(rows).to_have_text(["email", "shoe", "first_name"])  # a choice moves no row
    expect(page.get_by_role("row").filter(has_text="shoe")).to_contain_text("s1")
    choose_again = b"email,password,first_name\na@x.test,p1,Ana\nb@x.test,p2,Bo\n"
    page.get_by_role("button", name="Choose another file").click()
    choose(page, "other.csv", choose_again)
    expect(rows).to_have_text(["password", "email", "first_name"])
    expect(page.get_by_role("row").filter(has_text="password")).to_contain_text("p1")
