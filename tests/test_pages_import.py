"""Tests of the import page: columns, questions, settings, saved mappings and results."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import xlsxwriter
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import NARROW, SCREENSHOTS, WIDE, Person, sign_in_person
from tests.support import Server
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

SHOP_FILE = """E-Mail,Given name,Shop text,Signed up,Born
ana@example.com,Ana,Likes tea,03/04/2024,1990-03-18
ben@example.com,Ben,,05/06/2024,1985-01-02
cy@example.com,Cy,Calls,07/08/2024,soon
nobody,Dee,,07/08/2024,
"""


def choose(page: Page, name: str, content: bytes) -> None:
    """Choose a file on the import page, and wait for its preview."""
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("Choose a file").set_input_files(file)  # type: ignore[arg-type]  # a FilePayload
    expect(page.get_by_role("heading", name=name)).to_be_focused()


def field(page: Page, heading: str) -> str:
    return page.get_by_label(f"Field of the column {heading}", exact=True).input_value()


def test_a_mapping_is_changed_saved_and_offered_again(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "shop.csv", SHOP_FILE.encode())
    row = page.get_by_role("row").filter(has_text="Given name")
    expect(row.get_by_role("cell").nth(1)).to_have_text("AnaBenCy")
    assert (field(page, "Given name"), field(page, "Signed up")) == ("first_name", "created_at")
    note = page.get_by_label("Field of the column Shop text")
    # Each field has a label, not its name in the API.
    labels = note.locator("option").all_inner_texts()
    assert "Shipping address: House number" in labels
    assert [label for label in labels if "_" in label.replace("(_id)", "")] == []
    assert note.input_value() == "custom.Shop text"
    note.focus()
    note.select_option("Notes")
    expect(page.get_by_role("row").filter(has_text="Shop text")).to_contain_text("Likes tea")
    expect(note).to_be_focused()
    # The order of day and month is asked for, and the warnings of the column follow the answer.
    signed_up = page.get_by_role("row").filter(has_text="Signed up")
    expect(signed_up).to_contain_text("4 rows with warnings")
    order = page.get_by_label("Order of day and month in Signed up")
    order.select_option("Month first: 03/04/2024 is March 4")
    expect(signed_up).to_contain_text("2024-03-04")
    expect(signed_up).not_to_contain_text("warning")
    order.select_option("Day first: 03/04/2024 is 3 April")
    expect(signed_up).to_contain_text("2024-04-03")
    page.get_by_label("Tags in the file").select_option("replace current tags")
    page.get_by_role("button", name="Save these settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("Enter a name.")
    dialog.get_by_label("Name").fill("Monthly list")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Use “Monthly list”")).to_be_visible()

    page = person.open("/imports")
    choose(page, "other.csv", b"Email,Name\na@example.com,A B\n")
    expect(page.get_by_role("button", name="Use “Monthly list”")).to_have_count(0)
    page = person.open("/imports")
    choose(page, "june.csv", SHOP_FILE.encode())
    assert field(page, "Shop text") == "custom.Shop text"
    page.get_by_role("button", name="Use “Monthly list”").click()
    expect(page.get_by_label("Field of the column Shop text")).to_have_value("notes")
    expect(page.get_by_label("Tags in the file")).to_have_value("replace")
    expect(page.get_by_label("Order of day and month in Signed up")).to_have_value("dmy")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    assert person.client.emails("order_by:email order_dir:asc") == [
        "ana@example.com",
        "ben@example.com",
        "cy@example.com",
    ]
    (edge,) = person.client.page("notes", query="ana")["edges"]
    assert edge["node"] == {"notes": "Likes tea"}
    page = person.open("/imports")
    choose(page, "june.csv", SHOP_FILE.encode())
    page.get_by_role("button", name="Delete “Monthly list”").click()
    expect(page.get_by_role("button", name="Use “Monthly list”")).to_have_count(0)


def test_a_saved_mapping_is_of_one_account(
    browser: Browser, server: Server, person: Person
) -> None:
    page = person.open("/imports")
    choose(page, "shop.csv", SHOP_FILE.encode())
    page.get_by_role("button", name="Save these settings").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Ours")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Use “Ours”")).to_be_visible()
    storage = page.evaluate("Object.entries(localStorage).filter(([key]) => /^mappings/.test(key))")
    with sign_in_person(browser, server) as other:
        page = other.open("/imports")
        for key, value in storage:  # the browser of the first person
            page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, value])
        choose(page, "shop.csv", SHOP_FILE.encode())
        expect(page.get_by_role("button", name="Use “Ours”")).to_have_count(0)


def test_rows_with_warnings_and_rejected_rows_are_fixed(person: Person, tmp_path: Path) -> None:
    bad = "".join(f"p{n}@example.com,P{n},someday\n" for n in range(30))
    content = f"email,first_name,country\n{bad}nobody,N,FR\n".encode()
    page = person.open("/imports")
    choose(page, "shop.csv", content)
    page.get_by_role("button", name="Start a test run").click()
    expect(page.get_by_role("heading", name="30 rows with warnings")).to_be_visible()
    expect(page.get_by_role("heading", name="1 rejected row")).to_be_visible()
    assert person.client.emails() == []
    page.get_by_role("button", name="Change the settings").click()
    expect(page.get_by_label("Field of the column country")).to_be_visible()
    page.get_by_role("button", name="Start a test run").click()
    page.get_by_role("button", name="Import 30 customers").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator(".state.done")).to_be_visible()
    tiles = page.locator(".tiles")
    expect(tiles).to_have_text("Created30Updated0Unchanged0Rejected1With warnings30")
    expect(page.locator(".problems").last).to_contain_text("Rows 2, 3,")
    expect(
        page.get_by_text("These rows are imported, but some values are not valid.").last
    ).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download rows with warnings").click()
    download.value.save_as(tmp_path / "warnings.csv")
    text = (tmp_path / "warnings.csv").read_text(encoding="utf-8")
    assert (text.count("someday"), text.startswith("regulars_warning,email")) == (30, True)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download rejected rows").click()
    download.value.save_as(tmp_path / "rejected.csv")
    assert "nobody,N" in (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    page.get_by_role("link", name="Import another file").click()
    choose(page, "warnings.csv", text.replace("someday", "FR").encode())
    page.get_by_role("button", name="Import", exact=True).click()
    expect(tiles).to_have_text("Created0Updated30Unchanged0Rejected0With warnings0")


def test_problems_are_shown_in_rows_of_the_spreadsheet(person: Person) -> None:
    """A note of three lines is one row of a spreadsheet."""
    rows = [
        "email,notes,phone",
        'ana@example.com,"One',
        "two",
        'three",',
        "nobody,,",
        "",
        'bo@example.com,"""Quoted""',
        'text",',
        "neither,,",
        "nor,,",
    ]
    page = person.open("/imports")
    choose(page, "notes.csv", "\n".join(rows).encode())
    page.get_by_role("button", name="Start a test run").click()
    expect(page.locator(".state.done")).to_be_visible()
    expect(page.locator(".problems")).to_contain_text("Rows 3, 6, 7:")
    (run,) = person.client.http.get("/import").json()["data"]
    run = person.client.http.get(f"/import/{run['id']}").json()["data"]
    examples = run["problems"][0]["examples"]
    assert [(each["line"], each["row"]) for each in examples] == [(5, 3), (9, 6), (10, 7)]
    lines = '{"email":"ana@example.com"}\n\n{"email":"nobody"}\n'
    for name, content, text in (
        ("rows.jsonl", lines, "Line 3:"),
        ("rows.json", '[{"email":"ana@example.com"},{"email":"nobody"}]', "Record 2:"),
    ):
        page = person.open("/imports")
        choose(page, name, content.encode())
        page.get_by_role("button", name="Start a test run").click()
        expect(page.locator(".problems")).to_contain_text(text)


def test_a_cancelled_upload_can_be_started_again(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "a.csv", b"email\na@example.com\n")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/import?**", hold)
    page.get_by_role("button", name="Start a test run").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Start a test run")).to_be_enabled()
    page.unroute("**/import?**")
    # Nothing is lost that the page would ask about.
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.go_back()
    choose(page, "a.csv", b"email\na@example.com\n")
    page.route("**/import?**", hold)
    page.get_by_role("button", name="Start a test run").click()
    page.get_by_role("button", name="Cancel").click()
    page.unroute("**/import?**")
    page.get_by_role("button", name="Start a test run").click()
    expect(page.locator(".state.done")).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)


def test_messages_name_the_settings_of_the_page(person: Person) -> None:
    person.client.create("a@example.com")
    content = b'email,accepts_marketing,tags,id\na@example.com,yes,"b,c",7\n,no,x,8\n'
    page = person.open("/imports")
    choose(page, "shop.csv", content)
    row = page.get_by_role("row").filter(has_text="accepts_marketing")
    expect(row.get_by_role("cell").nth(1)).to_have_text("YesNo")
    expect(page.get_by_role("row").filter(has_text="b, c")).to_have_count(1)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="Values that were not changed")).to_be_visible()
    expect(page.locator(".problems").last).to_contain_text(
        "Choose “Unsubscribed customers: take the value of the file” to subscribe them."
    )
    assert "--" not in page.locator("main").inner_text()


def test_a_dry_run_shows_the_next_step(person: Person) -> None:
    page = person.open("/imports")
    for _ in range(2):
        choose(page, "one.csv", b"email\na@example.com\n")
        page.get_by_role("button", name="Start a test run").click()
        expect(page.locator(".notice")).to_contain_text("nothing was saved")
        if page.get_by_text("the customers already have these values").is_visible():
            break
        page.get_by_role("button", name="Import 1 customer", exact=True).click()
        expect(page.locator(".chip")).to_have_count(0)
        expect(page.locator(".state.done")).to_be_visible()
        page.get_by_role("link", name="Import another file").click()
    expect(page.get_by_role("button", name="Import 1 customer")).to_have_count(0)
    page.reload()
    expect(page.locator(".notice")).to_contain_text("To import the file, choose it again.")


def test_an_ambiguous_encoding_needs_a_choice(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "old.csv", b"email,first_name\na@example.com,\xc0\xc9 \x80\n")
    expect(page.locator(".notice.wrong")).to_contain_text("The encoding of the file is not certain")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    encoding = page.get_by_label("Encoding")
    encoding.focus()
    encoding.select_option("cp1252 · ÀÉ €")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    expect(encoding).to_be_focused()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    (edge,) = person.client.page("first_name", query="a@example.com")["edges"]
    assert edge["node"] == {"first_name": "ÀÉ €"}


def workbook(**sheets: list[list[str]]) -> bytes:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return target.getvalue()


def test_a_sheet_is_chosen_and_a_wrong_choice_changes_nothing(person: Person) -> None:
    content = workbook(Notes=[["Remarks"], ["x"]], People=[["Mail", "Vorname"], ["a@x.test", "A"]])
    page = person.open("/imports")
    choose(page, "book.xlsx", content)
    sheet = page.get_by_label("Sheet")
    expect(sheet).to_have_value("People")  # the first one with emails
    expect(sheet.locator("option")).to_have_text(["Notes", "People"])
    sheet.evaluate("select => select.add(new Option('Nobody'))")
    sheet.select_option("Nobody")
    expect(page.locator(".toast.wrong")).to_contain_text("Its sheets are: 'Notes', 'People'")
    expect(page.get_by_label("Sheet")).to_have_value("People")
    sheet.select_option("Notes")
    expect(page.locator(".notice.wrong")).to_contain_text("Choose Email as the field of the column")
    sheet.select_option("People")
    expect(page.get_by_label("Field of the column Vorname")).to_have_value("first_name")
    page.get_by_label("Field of the column Vorname").select_option("Last name")
    expect(page.get_by_label("Field of the column Vorname")).to_have_value("last_name")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    (edge,) = person.client.page("last_name", query="a@x.test")["edges"]
    assert edge["node"] == {"last_name": "A"}


def test_settings_are_used_for_a_sheet_of_another_name(person: Person) -> None:
    rows = [["Mail", "Nick"], ["a@x.test", "A"]]
    page = person.open("/imports")
    choose(page, "may.xlsx", workbook(Notes=[["Remarks"], ["x"]], May=rows))
    page.get_by_label("Sheet").select_option("Notes")
    expect(page.get_by_label("Field of the column Remarks")).to_be_visible()
    page.get_by_label("Sheet").select_option("May")
    page.get_by_label("Field of the column Nick").select_option("First name")
    expect(page.get_by_label("Field of the column Nick")).to_have_value("first_name")
    page.get_by_role("button", name="Save these settings").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Monthly")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.reload()
    choose(page, "june.xlsx", workbook(June=rows))
    expect(page.get_by_label("Sheet")).to_have_count(0)
    page.get_by_role("button", name="Use “Monthly”").click()
    expect(page.get_by_label("Field of the column Nick")).to_have_value("first_name")


@pytest.mark.parametrize(
    ("name", "content", "heading"),
    [
        ("people.json", b'{"customers": [{"email": "a@x.test", "nick": "Al"}]}', "nick"),
        ("people.jsonl", b'{"email": "a@x.test", "nick": "Al"}\n', "nick"),
        (
            "a.vcf",
            b"BEGIN:VCARD\nVERSION:3.0\nN:B;A\nEMAIL:a@x.test\nTITLE:Al\nEND:VCARD\n",
            "title",
        ),
    ],
)
def test_other_kinds_of_files_have_columns_to_change(
    person: Person, name: str, content: bytes, heading: str
) -> None:
    page = person.open("/imports")
    choose(page, name, content)
    page.get_by_label(f"Field of the column {heading}").select_option("Notes")
    expect(page.get_by_label(f"Field of the column {heading}")).to_have_value("notes")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    (edge,) = person.client.page("notes", query="a@x.test")["edges"]
    assert edge["node"] == {"notes": "Al"}


def test_a_further_address_has_a_field_for_each_part(person: Person) -> None:
    content = "Email,Address 1 - Street,Address 1 - City,Address 2 - Label,Address 2 - Street,Address 2 - City\n"
    page = person.open("/imports")
    choose(page, "a.csv", f"{content}a@x.test,Rua 8,Porto,Work,Calle 1,Madrid\n".encode())
    part = page.get_by_label("Field of the column Address 2 - City")
    expect(part).to_have_value("addresses.2.city")
    expect(part.locator("option:checked")).to_have_text("Address (2): City")
    expect(page.get_by_role("row").filter(has_text="Address 2 - Street")).to_contain_text("Calle 1")
    # Another choice in a row keeps the field.
    page.get_by_label("Field of the column Address 2 - Label").select_option("Notes")
    expect(page.get_by_label("Field of the column Address 2 - Label")).to_have_value("notes")
    expect(part).to_have_value("addresses.2.city")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    (edge,) = person.client.page("notes addresses { label address { city } }")["edges"]
    assert edge["node"] == {
        "notes": "Work",
        "addresses": [
            {"label": "", "address": {"city": "Porto"}},
            {"label": "", "address": {"city": "Madrid"}},
        ],
    }


def test_a_file_of_forty_columns_fits_a_narrow_screen(browser: Browser, server: Server) -> None:
    headings = ["Email", "First name", *(f"A long heading of column {n}" for n in range(38))]
    cells = ["a@example.com", "Ana", *(f"value {n} " * 8 for n in range(38))]
    content = "\n".join([",".join(headings), ",".join(cells)]).encode()
    with sign_in_person(browser, server, viewport=NARROW) as person:
        page = person.open("/imports")
        choose(page, "wide.csv", content)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(page.get_by_role("row")).to_have_count(40)
        page.screenshot(path=SCREENSHOTS / "import-forty-narrow.png")


def test_a_workbook_without_a_preview_is_imported(person: Person) -> None:
    """The columns of a workbook of more than 1 MiB are recognised by the import alone."""
    rows = [[f"big{n}@x.test", os.urandom(2_000).hex()] for n in range(800)]
    content = workbook(S=[["email", "notes"], *rows])
    assert len(content) > 1024 * 1024
    page = person.open("/imports")
    choose(page, "big.xlsx", content)
    expect(
        page.get_by_text("The columns of this file can only be read during the import.")
    ).to_be_visible()
    page.get_by_role("button", name="Start a test run").click()
    expect(page.locator(".tiles")).to_contain_text("Created800")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_questions_and_the_result_are_accessible(
    browser: Browser, server: Server, size: dict[str, int]
) -> None:
    width = "wide" if size is WIDE else "narrow"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sign_in_person(browser, server, viewport=size) as person:
        page = person.open("/imports")
        choose(page, "old.csv", b"email,Signed up,password\na@example.com,3/4/2024,\xc0\xc9 \x80\n")
        expect(page.get_by_label("Encoding")).to_be_visible()
        expect(page.get_by_label("Order of day and month in Signed up")).to_be_visible()
        expect(page.get_by_text("it seems to hold secrets.", exact=False)).to_be_visible()
        assert "--map" not in page.locator("main").inner_text()
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"import-questions-{width}.png", full_page=True)
        page.get_by_label("Encoding").select_option(index=1)
        page.get_by_role("button", name="Start a test run").click()
        expect(page.get_by_role("heading", name="1 row with warnings")).to_be_visible()
        assert "--dates" not in page.locator("main").inner_text()
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"import-result-{width}.png", full_page=True)


def test_a_column_without_a_heading_and_a_left_out_one_are_mapped(person: Person) -> None:
    page = person.open("/imports")
    choose(page, "blank.csv", b"Contact,,Nick\na@example.com,+212612345678,Al\nb@x.test,,Bo\n")
    page.get_by_label("Field of the column Column 2").select_option("Phone")
    expect(page.get_by_label("Field of the column Column 2")).to_have_value("phone")
    nick = page.get_by_label("Field of the column Nick")
    nick.select_option("First name")
    expect(nick).to_have_value("first_name")
    nick.select_option("Do not import")
    expect(nick).to_have_value("-")
    nick.select_option("Custom: Nick")
    expect(nick).to_have_value("custom.Nick")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    (edge,) = person.client.page("phone custom", query="a@example.com")["edges"]
    assert edge["node"] == {"phone": "+212612345678", "custom": {"Nick": "Al"}}
