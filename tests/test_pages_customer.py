"""Tests of the customer page: fields edited in place, concurrent edits, and errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import NARROW, SCREENSHOTS, WIDE, Person, choose, sign_in_person
from tests.support import Client, Server, create_token, find_account_name, get, run_server
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

ORDER = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
LEAD = "mutation($node: InputRecordLead!) { recordLead(node: $node) { id } }"
EVIL = "<img src=x onerror=window.owned=1><script>window.owned=1</script>"


@pytest.fixture
def ana(person: Person) -> Person:
    """A person on the page of a customer."""
    person.client.create("ana@example.com", first_name="Ana", last_name="Núñez", tags=["vip"])
    person.open("/customers/1")
    return person


def field_button(page: Page, label: str) -> Locator:
    """Return the button that opens the form of a field."""
    name = re.compile(rf"^(Edit {label}:|Add {label.lower()}$)")
    return page.get_by_role("button", name=name).first


def open_form(page: Page, label: str) -> Locator:
    """Open the form of a field with or without a value, and return it."""
    field_button(page, label).click()
    return page.get_by_role("form", name=label)


def open_address(page: Page) -> Locator:
    """Open the form of the first address, and return it."""
    page.get_by_role("button", name="Edit Address:").first.click()
    return page.get_by_role("form", name="Address")


def read_field(person: Person, name: str) -> Any:
    return person.client.node("Q3VzdG9tZXI6MQ==", f"... on Customer {{ {name} }}")[name]


def read_parts(person: Person, name: str, *parts: str) -> Any:
    selection = f"... on Customer {{ {name} {{ {' '.join(parts)} }} }}"
    return person.client.node("Q3VzdG9tZXI6MQ==", selection)[name]


@pytest.mark.smoke
def test_fields_are_edited_in_place(ana: Person) -> None:
    page = ana.page
    for label, name, value in (
        ("First name", "first_name", "Anna"),
        ("Last name", "last_name", ""),
        ("Email", "email", "anna@example.com"),
        ("Phone", "phone", "+212 612 345678"),
    ):
        form = open_form(page, label)
        form.get_by_label(label).fill(value)
        form.get_by_label(label).press("Enter")
        expect(form).to_have_count(0)
        expect(field_button(page, label)).to_be_focused()
        assert read_field(ana, name) == value
    form = open_form(page, "Notes")
    form.get_by_label("Notes").fill("Two\nlines")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    assert read_field(ana, "notes") == "Two\nlines"
    expect(page.get_by_role("heading", level=1)).to_have_text("Anna")
    assert page.title() == "Anna · Regulars"
    switch = page.get_by_role("switch", name="Accepts marketing")
    switch.press("Space")
    expect(page.get_by_text("accepts marketing", exact=False).first).to_be_visible()
    expect(page.locator(".timeline li")).to_have_count(7)
    expect(switch).to_be_checked()
    expect(switch).to_be_focused()
    assert read_field(ana, "accepts_marketing") is True


def test_escape_and_an_unchanged_value_save_nothing(ana: Person) -> None:
    page = ana.page
    form = open_form(page, "First name")
    form.get_by_label("First name").fill("Other")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    form = open_form(page, "First name")
    expect(form.get_by_label("First name")).to_have_value("Ana")
    page.keyboard.press("Enter")
    expect(form).to_have_count(0)
    assert read_field(ana, "version") == 1


def test_the_form_of_custom_fields_is_used_by_keyboard(ana: Person) -> None:
    page, keys = ana.page, ana.page.keyboard
    edit = page.get_by_role("button", name=re.compile("^(Add|Edit) custom fields", re.IGNORECASE))
    for name, text in (("Name", "points"), ("Value of points", "12")):
        edit.focus()
        keys.press("Enter")
        expect(page.get_by_role("form", name="Custom fields").get_by_label(name)).to_be_focused()
        keys.press("Escape")
        expect(edit).to_be_focused()
        keys.press("Enter")
        keys.type(text)
        if name == "Name":
            keys.press("Tab")
            keys.press("Tab")
            keys.type("1")
        keys.press("Enter")
        expect(page.get_by_role("form", name="Custom fields")).to_have_count(0)
    assert read_field(ana, "custom") == {"points": "12"}


def test_a_long_text_is_saved_by_keyboard_and_not_lost_in_silence(ana: Person) -> None:
    page = ana.page
    page.set_viewport_size({"width": 1280, "height": 500})
    form = open_form(page, "Notes")
    notes = form.get_by_label("Notes")
    expect(form.get_by_role("button", name="Save")).to_be_in_viewport(ratio=1)
    notes.fill("Call on Monday.\n" * 20)
    # The reason of a failure is in view.
    page.route("**/api/v2", lambda route: route.abort())
    page.mouse.wheel(0, -5_000)
    notes.press("Control+Enter")
    expect(form.get_by_text("Cannot reach the server.")).to_be_in_viewport(ratio=1, timeout=30_000)
    page.unroute("**/api/v2")
    dialog = page.get_by_role("dialog", name="Discard changes?")
    notes.press("Escape")
    dialog.get_by_role("button", name="Keep editing").click()
    expect(notes).to_have_value("Call on Monday.\n" * 20)
    expect(notes).to_be_focused()
    notes.press("Control+Enter")
    expect(form).to_have_count(0)
    assert read_field(ana, "notes") == ("Call on Monday.\n" * 20).strip()
    # Discarded, or unchanged.
    form = open_form(page, "Notes")
    form.get_by_label("Notes").fill("other")
    form.get_by_label("Notes").press("Escape")
    dialog.get_by_role("button", name="Discard").click()
    expect(form).to_have_count(0)
    form = open_form(page, "Custom fields")
    form.get_by_label("Name", exact=True).press("Escape")
    expect(form).to_have_count(0)
    assert read_field(ana, "notes") == ("Call on Monday.\n" * 20).strip()


def test_api_errors_are_shown_at_their_field(ana: Person) -> None:
    page = ana.page
    ana.client.create("taken@example.com")
    form = open_form(page, "Email")
    box = form.get_by_label("Email")
    for value, message in (
        ("not an email", "@"),
        ("TAKEN@example.com", "Another customer has this email"),
    ):
        box.fill(value)
        box.press("Enter")
        expect(form.locator(".problem").first).to_contain_text(message)
        expect(box).to_have_attribute("aria-invalid", "true")
        expect(box).to_be_focused()
    box.press("Escape")
    form = open_address(page)
    form.get_by_label("Postal code").fill("x" * 300)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Postal code")).to_have_attribute("aria-invalid", "true")
    assert read_field(ana, "version") == 1


def test_tags_are_added_and_removed(ana: Person) -> None:
    page = ana.page
    box = page.get_by_role("combobox", name="Add a tag")
    box.fill("new, B2B")
    box.press("Enter")
    tags = page.get_by_role("list", name="Tags").get_by_role("listitem")
    expect(tags).to_have_text(["vip", "new", "B2B"])
    expect(box).to_be_focused()
    box.fill("gold")
    page.get_by_role("button", name="Remove the tag new").click()
    expect(tags).to_have_text(["vip", "B2B"])
    assert read_field(ana, "tags") == ["vip", "B2B"]
    expect(box).to_have_value("gold")
    box.fill("x" * 256)
    box.press("Enter")
    expect(page.locator(".tag-form .problem")).to_contain_text("255")


def test_custom_fields_keep_their_types(ana: Person) -> None:
    page = ana.page
    custom = {"loyalty": "gold", "points": 12, "sizes": {"shoe": 41}, "on": True}
    ana.client.update("Q3VzdG9tZXI6MQ==", custom=custom)
    page.reload()
    form = open_form(page, "Custom fields")
    form.get_by_label("Value of points").fill("13.5")
    form.get_by_label("Value of sizes").fill('{"shoe": 42}')
    form.get_by_label("Value of on").fill("No")
    form.get_by_role("button", name="Remove loyalty").click()
    form.get_by_role("button", name="Add a field").click()
    page.keyboard.type("since")
    form.get_by_label("Value", exact=True).fill("2024")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expected = {"points": 13.5, "sizes": {"shoe": 42}, "on": False, "since": "2024"}
    assert read_field(ana, "custom") == expected
    form = open_form(page, "Custom fields")
    form.get_by_label("Value of points").fill("many")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".problem").last).to_contain_text(
        "The value of “points” does not match its type (Number)"
    )
    assert read_field(ana, "custom") == expected


def test_the_history_shows_actors_and_changes(ana: Person) -> None:
    page = ana.page
    ana.client.update("Q3VzdG9tZXI6MQ==", first_name="Anna", tags=["new", "B2B", "late"])
    page.reload()
    newest = page.locator(".timeline li").first
    expect(newest).to_contain_text("Updated first name and tags by test, a few seconds ago")
    expect(newest.locator(".diff div")).to_have_text(
        ["First namefrom Ana → to Anna", "Tagsremoved vip added new, B2B, late"]
    )
    for n in range(20):
        ana.client.update("Q3VzdG9tZXI6MQ==", phone=str(n))
    page.reload()
    expect(page.locator(".timeline li")).to_have_count(15)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".timeline li")).to_have_count(22)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)


def test_orders_messages_and_spend_are_shown(ana: Person) -> None:
    page, client = ana.page, ana.client
    paid = {"email": "ana@example.com", "total": 20, "financial_status": "paid", "currency": "EUR"}
    for n in range(12):
        created = f"2024-{n % 6 + 1:02}-05"
        client.data(ORDER, node={**paid, "name": f"#{n}", "created_at": created})
    client.data(ORDER, node={**paid, "name": "#t", "test": True})
    client.data(ORDER, node={**paid, "name": "#r", "refunded_amount": 5})
    client.data(LEAD, node={"email": "ana@example.com", "subject": "Sizes", "message": "A\nB"})
    page.reload()
    figures = page.get_by_label("Key figures")
    expect(figures).to_contain_text("255.00")
    orders = page.get_by_role("region", name="Orders")
    rows = orders.get_by_role("table").last.locator("tbody tr")
    expect(rows).to_have_count(10)
    expect(orders.get_by_text("€5.00 refunded")).to_be_visible()
    orders.get_by_role("button", name="Show all 14").click()
    expect(rows).to_have_count(14)
    expect(page.get_by_role("img", name="Spending by month in EUR")).to_be_visible()
    page.get_by_text("Show as a table").click()
    expect(page.locator(".chart tbody tr")).to_have_count(12)
    expect(page.locator(".chart tbody tr").last).to_contain_text("€15.00")
    expect(page.get_by_role("heading", name="Sizes")).to_be_visible()


def test_a_deletion_can_be_undone_on_the_customer_page(ana: Person) -> None:
    page = ana.page
    page.clock.install()
    choose(page, "Delete")
    expect(
        page.get_by_role("heading", name="Everyone on this page is being deleted")
    ).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    # The person was reading this customer.
    expect(page.get_by_role("heading", name="Ana Núñez")).to_be_focused()
    expect(page.locator(".toast")).to_have_text(["Deletion undone."])
    page.clock.run_for(11_000)
    assert ana.client.emails() == ["ana@example.com"]
    choose(page, "Delete")
    page.get_by_role("button", name="Undo").wait_for()
    with page.expect_response("**/api/v2"):
        page.clock.run_for(10_100)
    page.wait_for_timeout(200)
    assert ana.client.emails() == []
    page = ana.open("/customers/1")
    expect(page.get_by_role("heading", name="Customer not found").first).to_be_visible()


@contextmanager
def sign_in_colleague(browser: Browser, ana: Person) -> Iterator[Person]:
    """Sign another person of the same account in, at another browser."""
    token = create_token(
        ana.server, find_account_name(ana.server, ana.client.token), scopes=("admin",)
    )
    with Client(ana.server, token) as client:
        other = Person(browser, ana.server, client)
        other.create_session()
        yield other
        other.close()


def test_concurrent_edits_are_merged_or_reported_as_conflicts(
    browser: Browser, ana: Person
) -> None:
    with sign_in_colleague(browser, ana) as bo:
        mine, theirs = ana.page, bo.open("/customers/1")
        form = open_form(mine, "Phone")
        form.get_by_label("Phone").fill("111")
        other = open_form(theirs, "First name")
        other.get_by_label("First name").fill("Anna")
        other.get_by_label("First name").press("Enter")
        expect(other).to_have_count(0)
        # Changes of different fields are merged.
        form.get_by_label("Phone").press("Enter")
        expect(form).to_have_count(0)
        expect(mine.get_by_role("heading", level=1)).to_have_text("Anna Núñez")
        assert (read_field(ana, "first_name"), read_field(ana, "phone")) == ("Anna", "111")

        # A change of the same field is a conflict. It shows the current value, and saves nothing.
        form = open_form(mine, "Last name")
        form.get_by_label("Last name").fill("Mine")
        other = open_form(theirs, "Last name")
        other.get_by_label("Last name").fill("Theirs")
        other.get_by_label("Last name").press("Enter")
        expect(other).to_have_count(0)
        form.get_by_label("Last name").press("Enter")
        expect(form.get_by_role("alert")).to_contain_text("Another user changed this")
        expect(form.get_by_role("alert")).to_contain_text("Theirs")
        expect(form.get_by_role("button", name="Save")).to_be_hidden()
        assert read_field(ana, "last_name") == "Theirs"
        form.get_by_role("button", name="Keep mine").click()
        expect(form).to_have_count(0)
        assert read_field(ana, "last_name") == "Mine"
        # The other person sees a notice.
        expect(theirs.locator("main > .notice")).to_contain_text("Just changed by test")
        expect(theirs.get_by_role("heading", level=1)).to_have_text("Anna Mine")


def test_the_focus_stays_when_another_person_changes_the_customer(ana: Person) -> None:
    page = ana.page
    remove = page.get_by_role("button", name="Remove the tag vip")
    remove.focus()
    ana.client.update("Q3VzdG9tZXI6MQ==", phone="111")
    expect(page.locator("main > .notice")).to_contain_text("Phone")
    expect(remove).to_be_focused()
    # An open menu stays open.
    page.locator("summary", has_text="More").press("Enter")
    export = page.get_by_role("button", name="Export data")
    export.focus()
    ana.client.update("Q3VzdG9tZXI6MQ==", first_name="Anna")
    expect(page.get_by_role("heading", level=1)).to_have_text("Anna Núñez")
    expect(export).to_be_focused()


def test_a_conflict_can_keep_the_other_value(browser: Browser, ana: Person) -> None:
    ana.client.update("Q3VzdG9tZXI6MQ==", phone="000")
    ana.page.reload()
    form = open_form(ana.page, "Phone")
    form.get_by_label("Phone").fill("111")
    ana.client.update("Q3VzdG9tZXI6MQ==", phone="222")
    form.get_by_label("Phone").press("Enter")
    form.get_by_role("button", name="Use theirs").click()
    expect(form).to_have_count(0)
    expect(ana.page.get_by_role("button", name="Edit Phone:")).to_contain_text("222")
    assert read_field(ana, "phone") == "222"


def test_a_concurrent_deletion_is_shown(ana: Person) -> None:
    ana.client.delete("Q3VzdG9tZXI6MQ==")
    missing = ana.page.get_by_text("Another user has deleted this customer.")
    expect(missing.first).to_be_visible()
    ana.page.get_by_role("link", name="Open the trash").click()
    expect(ana.page.locator("tbody")).to_contain_text("ana@example.com")


def test_unsaved_input_survives_a_concurrent_deletion(ana: Person) -> None:
    form = open_form(ana.page, "Notes")
    form.get_by_label("Notes").fill("Something long")
    ana.client.delete("Q3VzdG9tZXI6MQ==")
    missing = ana.page.get_by_text("Another user has deleted this customer.")
    expect(missing.first).to_be_visible()
    expect(form.get_by_label("Notes")).to_have_value("Something long")


def test_leaving_with_unsaved_input_asks_for_confirmation(ana: Person) -> None:
    page = ana.page
    form = open_form(page, "Phone")
    form.get_by_label("Phone").fill("111")
    page.get_by_role("link", name="Overview").click()
    dialog = page.get_by_role("dialog", name="Discard changes?")
    dialog.get_by_role("button", name="Keep editing").click()
    expect(form.get_by_label("Phone")).to_have_value("111")
    page.get_by_role("link", name="Overview").click()
    dialog.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


@pytest.mark.smoke
def test_user_input_never_becomes_markup(person: Person) -> None:
    person.client.create(
        "evil@example.com",
        first_name=EVIL,
        last_name="שלום עולם",
        notes=EVIL,
        tags=[EVIL],
        custom={EVIL: EVIL},
        shipping_address=dict.fromkeys(("line1", "city", "first_name", "zip"), EVIL),
    )
    person.client.create("long@example.com", first_name="x" * 255, last_name="ي" * 255)
    paid = {"email": "evil@example.com", "total": 1, "name": EVIL, "referrer": EVIL}
    person.client.data(ORDER, node=paid)
    lead = {"email": "evil@example.com", "subject": EVIL, "message": EVIL}
    person.client.data(LEAD, node=lead)
    for path in ("/customers", "/customers/1", "/customers/2", "/overview"):
        page = person.open(path)
        page.wait_for_timeout(150)
        assert page.evaluate("window.owned === undefined")
        assert page.locator("main script, main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = person.open("/customers/1")
    form = open_form(page, "First name")
    expect(form.get_by_label("First name")).to_have_value(EVIL)


def test_a_rate_limited_request_is_retried(browser: Browser, tmp_path: Path) -> None:
    limits = ("--rate-limit", "2000", "--rate-burst", "20000")
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", *limits) as server:
        with sign_in_person(browser, server) as person:
            person.client.create("ana@example.com", first_name="Ana")
            page = person.open("/customers/1")
            form = open_form(page, "First name")
            form.get_by_label("First name").fill("Anna")
            rejected_count = 0
            while rejected_count < 2:
                response = person.client.post("{ statistics { customers } }")
                rejected_count += response.status_code == 429
            form.get_by_label("First name").press("Enter")
            expect(form).to_have_count(0)
            expect(page.get_by_role("heading", level=1)).to_have_text("Anna")


def test_unsaved_input_survives_a_server_restart(browser: Browser, new_database: str) -> None:
    with run_server(new_database) as first:
        with sign_in_person(browser, first) as person:
            person.client.create("ana@example.com", first_name="Ana")
            page = person.open("/customers/1")
            form = open_form(page, "First name")
            form.get_by_label("First name").fill("Anna")
            port = first.url.rpartition(":")[2]
            stop(first)
            form.get_by_label("First name").press("Enter")
            expect(form.get_by_role("alert")).to_contain_text("Cannot reach the server")
            expect(form.get_by_label("First name")).to_have_value("Anna")
            page.get_by_role("link", name="Customers", exact=True).first.click()
            page.get_by_role("dialog").get_by_role("button", name="Discard").click()
            unreachable = page.get_by_role("heading", name="Cannot reach the server", level=2)
            expect(unreachable).to_be_visible()
            with run_server(new_database, "--port", port):
                page.get_by_role("button", name="Try again").click()
                expect(page.get_by_role("link", name="Ana")).to_be_visible()


def stop(server: Server) -> None:
    """Stop a server, and wait until nothing listens on its port."""
    server.end()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            get(f"{server.url}/healthz")
        except httpx.TransportError:
            return
        time.sleep(0.1)
    raise AssertionError("the server does not end")


ADD_IDS = """mutation($id: ID!, $ids: [InputExternalId!]!) {
    addExternalIds(id: $id, externalIds: $ids) { id } }"""


def add_external_ids(person: Person, number: int, **ids: str) -> None:
    values = [{"source": source, "id": value} for source, value in ids.items()]
    person.client.data(ADD_IDS, id=str(number), ids=values)


def external_ids(person: Person) -> list[str]:
    selection = "... on Customer { external_ids { source id } }"
    customer = person.client.node("Q3VzdG9tZXI6MQ==", selection)
    return [":".join(each.values()) for each in customer["external_ids"]]


@pytest.mark.smoke
def test_external_ids_are_added_and_removed_by_keyboard(ana: Person) -> None:
    page = ana.page
    ids = page.get_by_role("list", name="External ids")
    add = page.get_by_role("button", name="Add an external id")
    expect(ids).to_be_hidden()
    add.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Add an external id")
    check_accessibility(page)
    expect(dialog.get_by_label("Id in this system")).to_be_focused()
    page.keyboard.type(" 7210001112223 ")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(ids.get_by_role("listitem")).to_have_text(["shop:7210001112223"])
    expect(add).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_label("System", exact=True).fill("stripe")
    dialog.get_by_label("Id in this system").fill("cus_1")
    page.keyboard.press("Enter")
    expect(ids.get_by_role("listitem")).to_have_text(["shop:7210001112223", "stripe:cus_1"])
    newest = page.locator(".timeline li").first
    expect(newest).to_contain_text("External ids")
    expect(newest).to_contain_text("stripe:cus_1")
    expect(newest.locator("del")).to_have_count(0)
    assert external_ids(ana) == ["shop:7210001112223", "stripe:cus_1"]
    check_accessibility(page)
    page.get_by_role("button", name="Remove shop:7210001112223").press("Enter")
    expect(ids.get_by_role("listitem")).to_have_text(["stripe:cus_1"])
    expect(add).to_be_focused()
    assert external_ids(ana) == ["stripe:cus_1"]


def test_an_external_id_of_another_customer_is_refused_with_a_link(ana: Person) -> None:
    ana.client.create("bo@example.com", first_name="Bo", last_name="Li")
    add_external_ids(ana, 2, stripe="cus_1")
    page = ana.page
    page.get_by_role("button", name="Add an external id").click()
    dialog = page.get_by_role("dialog")
    system = dialog.get_by_label("System", exact=True)
    box = dialog.get_by_label("Id in this system")
    system.fill("stripe")
    box.fill("cus_1")
    page.keyboard.press("Enter")
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_be_focused()
    expect(dialog).to_contain_text("Another customer has the external id “stripe:cus_1”.")
    check_accessibility(page)
    page.screenshot(path=SCREENSHOTS / "external-id-taken-light.png")
    assert external_ids(ana) == []
    dialog.get_by_role("link", name="Show the other customer").click()
    expect(page.get_by_role("heading", name="Bo Li")).to_be_visible()
    expect(dialog).to_have_count(0)


def test_a_customer_is_opened_by_external_id(ana: Person) -> None:
    add_external_ids(ana, 1, stripe="cus_1", shop="cust-7", erp="a/b c")
    for path in ("external:stripe:cus_1", "cust-7", "external:erp:a%2Fb%20c", "Q3VzdG9tZXI6MQ=="):
        page = ana.open(f"/customers/{path}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Ana Núñez")
    page = ana.open("/customers/external:stripe:cus_9")
    expect(page.get_by_role("heading", name="Customer not found", level=2)).to_be_visible()


def test_external_ids_are_copied(ana: Person) -> None:
    add_external_ids(ana, 1, stripe="cus_1")
    ana.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = ana.open("/customers/1")
    page.get_by_role("button", name="Copy the id of stripe:cus_1").click()
    expect(page.locator(".toast")).to_contain_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "cus_1"


def test_a_reader_copies_external_ids_only(browser: Browser, ana: Person) -> None:
    add_external_ids(ana, 1, stripe="cus_1")
    account = find_account_name(ana.server, ana.client.token)
    token = create_token(ana.server, account=account, scopes=("customers:read",))
    with Client(ana.server, token) as client:
        reader = Person(browser, ana.server, client)
        reader.create_session()
        page = reader.open("/customers/1")
        chip = page.get_by_role("list", name="External ids").get_by_role("listitem")
        expect(chip.get_by_role("button")).to_have_count(1)
        expect(page.get_by_role("button", name="Add an external id")).to_have_count(0)
        reader.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_many_external_ids_fit_the_screen(
    browser: Browser, ana: Person, scheme: str, size: dict[str, int]
) -> None:
    add_external_ids(
        ana, 1, shop="7210001112223", stripe="cus_PQx81kZ2VbT4uJ", erp="D" * 200, crm="1"
    )
    person = Person(browser, ana.server, ana.client, viewport=size, color_scheme=scheme)
    person.create_session()
    page = person.open("/customers/1")
    page.locator(".timeline li").first.wait_for()
    check_accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = "wide" if size is WIDE else "narrow"
    page.screenshot(path=SCREENSHOTS / f"external-ids-{width}-{scheme}.png")
    person.close()
