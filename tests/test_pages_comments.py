"""Tests of the page of a customer for a phone call: comments, the timeline, and shortcuts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from regulars.accounts.accounts import Accounts
from regulars.store import Store
from tests.browser import SCREENSHOTS, WIDE, Person, choose, sign_in_person
from tests.support import Client, Server, create_token, find_account_name
from tests.test_pages_contact_points import SMALL
from tests.test_pages_customer import LEAD, ORDER
from tests.test_pages_for_all import check_accessibility

pytestmark = pytest.mark.slow

ANA = "Q3VzdG9tZXI6MQ=="
ADD = "mutation($id: ID!, $node: InputComment!) { addComment(customer: $id, node: $node) { id } }"


@pytest.fixture
def ana(person: Person) -> Person:
    """A person on the page of a customer."""
    person.client.create("ana@example.com", first_name="Ana", phone="+212 612-345678")
    person.open("/customers/1").locator(".timeline li").first.wait_for()
    return person


def add(client: Client, text: str, **values: Any) -> None:
    client.data(ADD, id=ANA, node={"text": text, **values})


def composer(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New comment")


def stored(person: Person) -> list[tuple[str, bool]]:
    node = person.client.node(
        ANA, "... on Customer { comments { edges { node { text pinned } } } }"
    )
    return [(edge["node"]["text"], edge["node"]["pinned"]) for edge in node["comments"]["edges"]]


def texts(page: Page) -> Locator:
    return page.locator(".timeline .comment .lines")


@pytest.mark.smoke
def test_an_agent_writes_down_what_was_said(ana: Person) -> None:
    page, keys = ana.page, ana.page.keyboard
    keys.press("c")
    expect(composer(page)).to_be_focused()
    keys.type("She called.")
    keys.press("Shift+Enter")
    keys.type("Back on Monday.")
    keys.press("Enter")
    expect(texts(page)).to_have_text(["She called.\nBack on Monday."])
    expect(composer(page)).to_have_value("")
    expect(composer(page)).to_be_focused()
    expect(page.locator(".timeline .comment").first).to_contain_text("test a few seconds ago")
    keys.type("Second")
    keys.press("Control+Enter")
    expect(texts(page)).to_have_text(["Second", "She called.\nBack on Monday."])
    # Both are newer than the creation, and their entries of the history are not shown twice.
    expect(page.locator(".timeline li")).to_have_count(3)
    expect(page.locator(".timeline li").last).to_contain_text("Created")
    keys.press("Enter")
    expect(page.locator(".composer .problem").first).to_contain_text("Write something first.")
    assert stored(ana) == [("Second", False), ("She called.\nBack on Monday.", False)]
    check_accessibility(page)

    first = page.locator(".timeline .comment").first
    first.get_by_role("button", name="Edit comment").click()
    box = page.get_by_role("textbox", name="Edit comment")
    expect(box).to_be_focused()
    box.fill("Second, corrected")
    box.press("Escape")
    page.get_by_role("dialog").get_by_role("button", name="Keep editing").click()
    check_accessibility(page)
    box.press("Enter")
    expect(texts(page).first).to_have_text("Second, corrected")
    expect(first).to_contain_text("edited")
    expect(first.get_by_role("button", name="Edit comment")).to_be_focused()

    page.locator(".timeline .comment").last.get_by_role("button", name="Pin").click()
    pinned = page.get_by_role("list", name="Pinned comments")
    expect(pinned.locator(".lines")).to_have_text(["She called.\nBack on Monday."])
    expect(pinned.get_by_role("button", name="Unpin")).to_be_focused()
    expect(texts(page)).to_have_count(2)
    pinned.get_by_role("button", name="Delete comment").click()
    dialog = page.get_by_role("dialog", name="Delete this comment?")
    expect(dialog).to_contain_text("She called.")
    dialog.get_by_role("button", name="Delete").click()
    expect(texts(page)).to_have_text(["Second, corrected"])
    expect(composer(page)).to_be_focused()
    expect(page.locator(".timeline li").first).to_contain_text("Comment deleted by test")
    assert stored(ana) == [("Second, corrected", False)]
    # The customer itself did not change.
    assert ana.client.node(ANA, "... on Customer { version }") == {"version": 1}


def test_comments_of_colleagues_appear_and_are_theirs(ana: Person, browser: Browser) -> None:
    page = ana.page
    account = find_account_name(ana.server, ana.client.token)

    async def create(store: Store) -> str:
        accounts = Accounts(store)
        owner = await accounts.resolve(account)
        return (await accounts.create_token(owner, "agent", None, scopes=("customers",)))[0]

    token = ana.server.store.run(create)
    with Client(ana.server, token) as client:
        agent = Person(browser, ana.server, client)
        agent.create_session()
        other = agent.open("/customers/1")
        composer(other).fill("By an agent")
        add(ana.client, "By an admin", pinned=True)
        expect(texts(other)).to_have_text(["By an admin"])
        # What the person is typing stays.
        expect(composer(other)).to_have_value("By an agent")
        composer(other).press("Enter")
        expect(texts(page)).to_have_text(["By an admin", "By an agent"])
        # An admin edits both, an agent the own one. Both pin.
        expect(page.get_by_role("button", name="Edit comment")).to_have_count(2)
        expect(other.get_by_role("button", name="Edit comment")).to_have_count(1)
        other.get_by_role("button", name="Unpin").click()
        expect(other.get_by_role("list", name="Pinned comments")).to_have_count(0)
        # An editor that is open stays open.
        other.get_by_role("button", name="Edit comment").click()
        other.get_by_role("textbox", name="Edit comment").fill("Half a sen")
        add(ana.client, "Meanwhile")
        expect(texts(other).first).to_have_text("Meanwhile")
        expect(other.get_by_role("textbox", name="Edit comment")).to_have_value("Half a sen")
        other.get_by_role("link", name="Back to customers").click()
        dialog = other.get_by_role("dialog", name="Discard changes?")
        dialog.get_by_role("button", name="Discard").click()
        expect(other.get_by_role("heading", name="Customers", exact=True)).to_be_visible()
        agent.close()


def test_the_timeline_has_orders_messages_and_older_entries(ana: Person) -> None:
    client = ana.client
    client.data(ORDER, node={"name": "#1", "email": "ana@example.com", "total": 12.5})
    client.data(LEAD, node={"email": "ana@example.com", "message": "Where is it?"})
    for n in range(20):
        add(client, f"Comment {n}")
        client.update(ANA, notes=f"{n}")
    page = ana.open("/customers/1")
    entries = page.locator(".timeline li")
    expect(entries.first).to_contain_text("Updated notes by test")
    # The 15 newest changes have 8 comments between them, whose own entries are not shown.
    expect(texts(page).first).to_have_text("Comment 19")
    count = entries.count()
    assert texts(page).count() in (7, 8)
    page.get_by_role("button", name="Show more").click()
    expect(entries.nth(count).locator("p").first).to_be_focused()
    for _ in range(2):
        page.get_by_role("button", name="Show more").click()
        page.wait_for_timeout(300)
        if not page.get_by_role("button", name="Show more").count():
            break
    expect(texts(page)).to_have_count(20)
    expect(entries).to_have_count(44)
    expect(page.locator(".timeline")).to_contain_text(["Order #1 placed $12.50"])
    expect(page.locator(".timeline .lead_created .message")).to_have_text("Where is it?")


def test_enter_saves_without_a_mouse_and_begins_a_line_on_a_touch_screen(ana: Person) -> None:
    for pointer, saved in (("none", "One."), ("coarse", "One.\n")):
        page = ana.open_tab()
        page.add_init_script(f"""
          const match = window.matchMedia.bind(window);
          window.matchMedia = (query) => query.startsWith("(pointer:")
            ? {{ matches: query === "(pointer: {pointer})" }} : match(query);""")
        page.goto("/customers/1")
        composer(page).fill("One.")
        composer(page).press("Enter")
        expect(composer(page)).to_have_value("" if pointer == "none" else saved)
    assert stored(ana) == [("One.", False)]


def test_the_file_of_a_customer_has_all_that_is_stored(ana: Person) -> None:
    page, client = ana.page, ana.client
    for number in range(251):
        order = {"name": f"#{number}", "email": "ana@example.com", "total": number}
        client.data("mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }", n=order)
    lead = {"email": "ana@example.com", "subject": "Size", "message": "Is it large?"}
    client.data("mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }", n=lead)
    for text, private in (("For all", False), ("For us", True)):
        node = {"text": text, "private": private}
        client.data(ADD, id="1", node=node)
    page.reload()
    with page.expect_download() as download:
        choose(page, "Export data")
    assert download.value.suggested_filename == "customer-1.json"
    data = json.loads(download.value.path().read_text())
    assert data["email"] == "ana@example.com"
    assert [comment["text"] for comment in data["comments"]] == ["For all"]
    assert [order["name"] for order in data["orders"]] == [f"#{n}" for n in reversed(range(251))]
    assert data["orders"][0]["total"] == 250
    assert [(each["subject"], each["message"]) for each in data["messages"]] == [
        ("Size", "Is it large?")
    ]
    kinds = [change["kind"] for change in data["history"]]
    assert (kinds[-1], kinds.count("order_created")) == ("created", 251)


def test_the_menu_prints_and_has_links(ana: Person) -> None:
    page = ana.page
    page.evaluate("window.print = () => { window.printed = true; }")
    choose(page, "Print")
    assert page.evaluate("window.printed") is True
    head = page.locator(".customer-head")
    hrefs = [link.get_attribute("href") for link in head.locator("p a").all()]
    assert hrefs == ["tel:+212612345678", "mailto:ana@example.com"]


def test_shortcuts_lead_through_the_list(person: Person) -> None:
    for n in range(60):
        person.client.create(f"p{n:02}@example.com", first_name=f"P{n:02}")
    page = person.open("/customers?q=p&sort=full_name&dir=asc")
    keys = page.keyboard

    def heading(text: str) -> None:
        expect(page.get_by_role("heading", name=text, exact=True)).to_be_focused()

    page.get_by_role("link", name="P23", exact=True).click()
    heading("P23")
    keys.press("j")
    heading("P24")
    # The next one is on another page of the list.
    page.get_by_role("button", name="Next customer").click()
    heading("P25")
    keys.press("k")
    heading("P24")
    keys.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_contain_text("Write a comment")
    dialog.get_by_label("Enable single-key shortcuts").uncheck()
    keys.press("Escape")
    keys.press("j")
    keys.press("c")
    heading("P24")
    keys.press("?")
    dialog.get_by_label("Enable single-key shortcuts").check()
    keys.press("Escape")
    keys.press("e")
    expect(page.get_by_role("form", name="First name")).to_be_visible()
    keys.type("jkc")  # not shortcuts while the person types
    keys.press("Escape")
    page.get_by_role("link", name="Back to 60 results").click()
    page.get_by_role("link", name="P00", exact=True).click()
    heading("P00")
    expect(page.get_by_role("button", name="Previous customer")).to_have_count(0)
    keys.press("k")
    heading("P00")
    # Without a list there are no neighbours.
    person.open("/customers/2")
    expect(page.get_by_role("button", name="Next customer")).to_have_count(0)


def test_a_reader_sees_comments(ana: Person) -> None:
    add(ana.client, "For all", private=True)
    account = find_account_name(ana.server, ana.client.token)
    ana.client.token = create_token(ana.server, account, scopes=("customers:read",))
    ana.create_session()
    page = ana.open("/customers/1")
    expect(page.locator(".timeline .comment")).to_contain_text(["Private"])
    expect(composer(page)).to_have_count(0)
    expect(page.locator(".timeline button")).to_have_count(0)
    page.keyboard.press("c")
    page.keyboard.press("e")
    expect(page.locator("form")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [SMALL, WIDE], ids=["small", "wide"])
def test_the_page_fits(browser: Browser, server: Server, viewport: Any, scheme: Any) -> None:
    with sign_in_person(browser, server, viewport=viewport, color_scheme=scheme) as person:
        address = {"line1": "1 Rue Haute", "zip": "30000", "city": "Fès", "country": "MA"}
        person.client.create(
            "ana@example.com",
            first_name="Ana",
            last_name="Núñez",
            phone="+212 612-345678",
            tags=["vip"],
            shipping_address=address,
        )
        for n in range(3):
            node = {"name": f"#{n}", "email": "ana@example.com", "total": 10 + n}
            person.client.data(ORDER, node=node)
        add(person.client, "Prefers to be called after 6 pm.", pinned=True)
        add(person.client, "x" * 300)
        add(person.client, "Her parcel is late. I promised to call back.")
        page = person.open("/customers/1")
        expect(texts(page)).to_have_count(3)
        check_accessibility(page)
        page.locator("summary", has_text="More").click()
        page.get_by_role("button", name="Print").wait_for()
        check_accessibility(page)
        page.keyboard.press("Escape")
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        name = f"phone-call-{viewport['width']}-{scheme}.png"
        page.screenshot(path=SCREENSHOTS / name, full_page=True)


def test_a_long_comment_is_shown_on_request(ana: Person) -> None:
    page, text = ana.page, "é" * 65_000
    add(ana.client, text)
    page.reload()
    expect(texts(page)).to_have_text([re.compile("^é{1999}…")])
    check_accessibility(page)
    page.get_by_role("button", name="Show all of it").press("Enter")
    expect(texts(page)).to_have_text([text])
    expect(texts(page)).to_be_focused()
    # It stays open when the timeline is read again.
    composer(page).fill("Short")
    composer(page).press("Enter")
    expect(texts(page)).to_have_text(["Short", text])
