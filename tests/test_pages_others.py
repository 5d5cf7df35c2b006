"""Tests of the other pages: new customer, imports, webhooks, tokens, explorer and overview."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import Person, sign_in_person
from tests.receiver import run_receiver
from tests.support import Client, run_server

pytestmark = pytest.mark.slow

FIELDS = """email first_name phone accepts_marketing tags notes custom shipping_address {
    city country } billing_address { city }"""


@pytest.mark.smoke
def test_a_customer_is_created(person: Person) -> None:
    page = person.open("/customers/new")
    expect(page.get_by_label("Email").first).to_be_focused()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_label("Email").first).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Email").first.fill("ana@example.com")
    page.get_by_label("First name").first.fill("Ana")
    page.get_by_label("Tags").fill("vip, new")
    page.get_by_label("Accepts marketing").check()
    page.get_by_label("Notes").fill("Calls\nback")
    page.get_by_text("Shipping address").click()
    shipping = page.locator("details", has_text="Shipping address")
    shipping.get_by_label("City").fill("Fès")
    shipping.get_by_label("Country").select_option("Morocco")
    page.get_by_text("Custom fields").first.click()
    page.get_by_label("Name", exact=True).fill("points")
    page.get_by_label("Type").select_option("Number")
    page.get_by_label("Value").fill("twelve")
    page.get_by_role("button", name="Create").click()
    expect(
        page.get_by_text("The value of “points” does not match its type (Number)").first
    ).to_be_visible()
    page.get_by_label("Value").fill("12")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Ana", exact=True)).to_be_focused()
    assert page.url.endswith("/customers/1")
    assert person.client.node("Q3VzdG9tZXI6MQ==", f"... on Customer {{ {FIELDS} }}") == {
        "email": "ana@example.com",
        "first_name": "Ana",
        "phone": "",
        "accepts_marketing": True,
        "tags": ["vip", "new"],
        "notes": "Calls\nback",
        "custom": {"points": 12},
        "shipping_address": {"city": "Fès", "country": "MA"},
        "billing_address": None,
    }
    page = person.open("/customers/new")
    page.get_by_label("Email").first.fill("ANA@example.com")
    page.keyboard.press("Enter")
    expect(page.locator(".problem").first).to_contain_text("Another customer has this email")


def test_a_new_field_appears_on_all_pages(person: Person) -> None:
    """The declaration of a field `nickname` suffices. The test renames it to one that the API has."""
    person.client.create("ana@example.com", first_name="Ana", last_name="Zeta Ltd")
    person.client.create("bo@example.com", first_name="Bo", last_name="Alpha Ltd")
    options = {"is_writable": True, "sort": True, "in_list": True}
    declared = {"name": "nickname", "kind": "Text", **options}

    def declare(route: Route) -> None:
        response = route.fetch()
        text = response.text().replace("FIELDS=[", f"FIELDS=[{json.dumps(declared)},")
        route.fulfill(response=response, body=text)

    def rename(route: Route) -> None:
        payload = json.loads(route.request.post_data or "{}")
        payload["query"] = re.sub(r"\bnickname\b", "nickname: last_name", payload["query"])
        variables = json.dumps(payload.get("variables", {})).replace("nickname", "last_name")
        payload["variables"] = json.loads(variables)
        route.continue_(post_data=json.dumps(payload))

    page = person.page
    page.route("**/fields.js", declare)
    page.route("**/api/v2", rename)
    person.open("/customers")
    # The list has a column for it, and can be sorted by it.
    page.get_by_role("button", name="Nickname", exact=True).click()
    expect(page.locator(".row-link")).to_have_text(["Bo Alpha Ltd", "Ana Zeta Ltd"])
    assert page.url.endswith("?sort=nickname&dir=asc")
    expect(page.get_by_role("cell", name="Zeta Ltd", exact=True)).to_be_visible()
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_label("Direction").select_option("descending")
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".row-link")).to_have_text(["Ana Zeta Ltd", "Bo Alpha Ltd"])
    # The customer page edits it.
    person.open("/customers/2")
    page.get_by_role("button", name="Edit Nickname:").click()
    page.get_by_label("Nickname", exact=True).last.fill("Beta Ltd")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bo Beta Ltd")).to_be_visible()
    # The form for a new customer has it.
    person.open("/customers/new")
    page.get_by_label("Email").first.fill("cy@example.com")
    page.get_by_label("Nickname").fill("Gamma Ltd")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Gamma Ltd")).to_be_visible()
    node = person.client.node("Q3VzdG9tZXI6Mw==", "... on Customer { last_name }")
    assert node == {"last_name": "Gamma Ltd"}


def test_a_file_is_previewed_dry_run_and_imported(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(
        "Post;Vorname;Points\nana@example.com;Ana;12\nwrong;Bo;3\ncy@example.com;<b>C\x00y</b>;4\n",
        encoding="utf-8",
    )
    page = person.open("/imports")
    page.evaluate(
        """([name, text]) => {
            const data = new DataTransfer();
            data.items.add(new File([text], name));
            const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
            document.querySelector(".drop").dispatchEvent(event);
        }""",
        [file.name, file.read_text(encoding="utf-8")],
    )
    expect(page.get_by_role("heading", name="list.csv")).to_be_focused()
    expect(page.get_by_text("delimiter semicolon")).to_be_visible()
    expect(page.get_by_text("is used as the email")).to_be_visible()
    expect(page.locator(".preview tbody tr")).to_have_count(3)
    page.get_by_label("Field of the column Post").select_option("Email")
    expect(page.get_by_role("button", name="Start a test run")).to_be_enabled()
    page.get_by_label("Field of the column Vorname").select_option("First name")
    expect(page.get_by_label("Field of the column Points")).to_have_value("custom.Points")
    page.get_by_label("Do not send webhooks").check()
    page.get_by_label("Empty cells").select_option("clear the current value")
    page.get_by_role("button", name="Start a test run").click()
    expect(page.get_by_text("This was a test run: nothing was saved.")).to_be_visible()
    tiles = page.locator(".tiles")
    figures = "Created2Updated0Unchanged0Rejected1With warnings1"
    expect(tiles).to_have_text(figures)
    expect(page.locator(".problems")).to_contain_text(["Row 3:", "Row 4: Control characters"])
    assert person.client.emails() == []
    page.get_by_role("button", name="Change the settings").click()
    expect(page.get_by_label("Field of the column Vorname")).to_have_value("first_name")
    expect(page.get_by_label("Empty cells")).to_have_value("clear")
    expect(page.get_by_label("Do not send webhooks")).to_be_checked()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".state.done")).to_be_visible()
    expect(page.locator(".chip")).to_have_text("no webhooks sent")
    changes = person.client.data("{ customerChanges { edges { node { silent } } } }")
    assert changes["customerChanges"]["edges"] == [{"node": {"silent": True}}] * 2
    assert person.client.emails("order_by:email order_dir:asc") == [
        "ana@example.com",
        "cy@example.com",
    ]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download rejected rows").click()
    download.value.save_as(tmp_path / "rejected.csv")
    assert "wrong;Bo;3" in (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    page.reload()
    expect(tiles).to_have_text(figures)
    page.get_by_role("link", name="Import another file").click()
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(2)


def test_a_large_import_shows_its_progress_and_can_be_cancelled(
    person: Person, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv.gz"
    rows = "".join(f"p{n}@example.com,P{n}\n" for n in range(20_000))
    file.write_bytes(gzip.compress(f"email,first_name\n{rows}".encode()))
    page = person.open("/imports")
    page.get_by_label("Choose a file").set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar", name="Progress of the import")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".state.cancelled, .state.done")).to_be_visible()
    page.get_by_role("link", name="Import another file").click()
    expect(page.get_by_role("link", name="many.csv.gz")).to_be_visible()


def test_unsupported_and_empty_files_are_rejected(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"%PDF-1.7\n")
    page = person.open("/imports")
    page.get_by_label("Choose a file").set_input_files(file)
    expect(page.locator(".notice.wrong")).to_contain_text("PDF")
    empty = tmp_path / "empty.csv"
    empty.touch()
    page.get_by_label("Choose a file").set_input_files(empty)
    expect(page.locator(".notice.wrong")).to_contain_text("This file is empty.")


def test_a_webhook_is_created_tested_edited_and_deleted(
    browser: Browser, new_database: str
) -> None:
    with (
        run_receiver() as receiver,
        run_server(new_database, "--webhook-private-targets") as server,
        sign_in_person(browser, server) as person,
    ):
        page = person.open("/webhooks")
        page.get_by_role("button", name="New webhook").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("URL").fill("nonsense")
        dialog.get_by_role("button", name="Create").click()
        expect(dialog.locator(".problem", has_text="URL")).to_be_visible()
        dialog.get_by_label("Event").select_option("contact/signup")
        dialog.get_by_label("URL").fill(f"{receiver.url}/hook")
        dialog.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", name="contact/signup")).to_be_focused()
        expect(page.get_by_role("heading", name="No deliveries yet")).to_be_visible()
        page.get_by_role("button", name="Send a test event").click()
        expect(page.locator(".deliveries .state.delivered")).to_be_visible()
        receiver.respond = lambda _: (500, {"x-why": "tired"}, b'{"no": "<b>thanks</b>"}')
        person.client.create("ana@example.com")
        failing = page.locator(".deliveries li", has_text="Change 1")
        expect(failing.locator(".state.pending")).to_be_visible()
        failing.locator("summary").click()
        expect(failing).to_contain_text("Status 500")
        expect(failing.locator("pre").first).to_contain_text("ana@example.com")
        expect(failing.locator("pre").last).to_contain_text('"no": "<b>thanks</b>"')
        receiver.respond = lambda _: (200, {}, b"ok")
        failing.get_by_role("button", name="Send again").click()
        expect(failing.locator(".state.delivered")).to_be_visible()
        expect(failing.locator("details")).to_have_attribute("open", "")
        segment = 'mutation { createSegment(node: {name: "VIP", query: "tag:vip"}) { id } }'
        person.client.data(segment)
        page.get_by_role("button", name="Edit").click()
        dialog.get_by_label("Include the previous values").check()
        dialog.get_by_label("Only customers of this search").fill("contry:MA tag:vip")
        dialog.get_by_label("Only these keys in the body").fill("id, emial")
        dialog.get_by_label("Only customers of these segments").fill("VIP")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.locator(".problem", has_text="country")).to_be_visible()
        expect(dialog.locator(".problem", has_text="Did you mean “email”?")).to_be_visible()
        expect(dialog.locator(".problem", has_text="U2VnbWVudDox")).to_be_visible()
        dialog.get_by_label("Only customers of these segments").fill("1")
        dialog.get_by_label("Only customers of this search").fill("country:MA tag:vip")
        dialog.get_by_label("Only these keys in the body").fill("id, email")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)
        read = "{ webhooks { settings } }"
        settings = {
            "changes": True,
            "query": "country:MA tag:vip",
            "segments_uids": ["1"],
            "include": ["id", "email"],
        }
        assert person.client.data(read)["webhooks"] == [{"settings": settings}]
        page.get_by_role("button", name="Edit").click()
        expect(dialog.get_by_label("Only these keys in the body")).to_have_value("id, email")
        dialog.get_by_label("Only customers of this search").fill("")
        dialog.get_by_label("Only customers of these segments").fill("")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)
        settings = {"changes": True, "include": ["id", "email"]}
        assert person.client.data(read)["webhooks"] == [{"settings": settings}]
        page.get_by_role("button", name="Delete").click()
        dialog.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", name="No webhooks yet")).to_be_visible()


def open_webhook(person: Person, type_: str, url: str) -> Page:
    """Create the first webhook of the account, and open its page."""
    create = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
    person.client.data(create, n={"type": type_, "url": url})
    return person.open("/webhooks/1")


def test_the_deliveries_of_a_webhook_name_the_end_of_a_job(
    browser: Browser, new_database: str
) -> None:
    with (
        run_receiver() as receiver,
        run_server(new_database, "--webhook-private-targets") as server,
        sign_in_person(browser, server) as person,
    ):
        page = open_webhook(person, "job/ended", receiver.url)
        person.client.create("ana@example.com")
        edit = 'mutation { updateCustomers(query: "", addTags: ["x"]) { id } }'
        job_id = person.client.data(edit)["updateCustomers"]["id"]
        delivery = page.locator(".deliveries li", has_text="End of a job")
        expect(delivery.locator(".state.delivered")).to_be_visible()
        delivery.locator("summary").click()
        expect(delivery.locator("pre").first).to_contain_text(job_id)


def test_a_webhook_is_paused_and_resumed(browser: Browser, new_database: str) -> None:
    with (
        run_receiver() as receiver,
        run_server(new_database, "--webhook-private-targets") as server,
        sign_in_person(browser, server) as person,
    ):
        page = open_webhook(person, "contact/signup", receiver.url)
        page.get_by_role("button", name="Pause").click()
        notice = page.locator(".notice")
        expect(notice).to_contain_text("Paused")
        expect(notice.get_by_role("button", name="Resume")).to_be_visible()
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        person.client.create("1@example.com")
        person.client.create("2@example.com")
        expect(notice).to_contain_text("2 events are waiting.")
        person.open("/webhooks")
        expect(page.locator(".state")).to_contain_text("Paused")
        person.open("/webhooks/1")
        notice.get_by_role("button", name="Skip 2 events").click()
        page.get_by_role("dialog").get_by_role("button", name="Skip 2 events").click()
        expect(notice).to_have_count(0)
        page.get_by_role("button", name="Pause").click()
        person.client.create("3@example.com")
        notice.get_by_role("button", name="Send 1 event").click()
        expect(page.locator(".deliveries .state.delivered")).to_be_visible()
        assert [request.json["node"]["email"] for request in receiver.requests] == ["3@example.com"]


@pytest.mark.smoke
def test_a_token_is_created_shown_once_and_revoked(person: Person) -> None:
    page = person.open("/tokens")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Name").fill("An app")
    dialog.get_by_label("customers:read").check()
    dialog.get_by_label("customers", exact=False).nth(2).uncheck()
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.get_by_label("The new token").input_value()
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row", name="An app")
    expect(row).to_contain_text("customers:read")
    expect(row).to_contain_text("until")
    assert secret not in page.content()
    with Client(person.server, secret) as app:
        query = "{ viewer { token { name scopes } } }"
        assert app.data(query)["viewer"]["token"] == {
            "name": "An app",
            "scopes": ["customers:read"],
        }
        row.get_by_role("button", name="Revoke An app").click()
        dialog.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("row", name="An app")).to_contain_text("Revoked")
        page.wait_for_timeout(1_050)
        assert app.post("{ __typename }").status_code == 401
    page.get_by_role("button", name="Revoke test").click()
    expect(dialog).to_contain_text("you will be signed out")
    dialog.get_by_role("button", name="Cancel").click()


def test_an_operation_is_completed_and_run(person: Person) -> None:
    person.client.create("ana@example.com", first_name="Ana")
    page = person.open("/explorer")
    query = page.get_by_label("Operation", exact=True)
    query.fill("")
    query.press_sequentially("{ cust")
    options = page.get_by_role("listbox").get_by_role("option")
    expect(options).to_have_count(4)
    expect(options.first).to_contain_text("customers")
    expect(options.first).to_contain_text("CustomerConnection!")
    query.press("Enter")
    query.press_sequentially("(fi")
    expect(options.first).to_contain_text("first")
    query.press("Tab")
    query.press_sequentially("1) { edges { node { full_na")
    expect(options).to_have_count(1)
    query.press("Enter")
    expect(query).to_have_value("{ customers(first: 1) { edges { node { full_name")
    query.press_sequentially(" } } } }")
    query.press("Control+Enter")
    answer = page.get_by_label("Response", exact=True)
    expect(answer).to_contain_text('"full_name": "Ana"')
    expect(page.get_by_text(" ms · cost ")).to_be_visible()
    page.get_by_label("Variables, as JSON").fill("{")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".pane .problem")).to_contain_text("The variables are not valid JSON")
    page.get_by_label("Variables, as JSON").fill("")
    query.fill("{ nothing }")
    page.get_by_role("button", name="Run").click()
    expect(answer).to_contain_text("errors_invalid_document")
    page.get_by_role("button", name="History").click()
    page.get_by_role("dialog").get_by_role("button", name="{ customers(first: 1)").click()
    expect(query).to_have_value("{ customers(first: 1) { edges { node { full_name } } } }")


def test_the_examples_run_and_the_schema_can_be_filtered(person: Person) -> None:
    person.client.create("first@example.com")
    page = person.open("/explorer")
    answer = page.get_by_label("Response", exact=True)
    for name, text in (
        ("List customers", "totalCount"),
        ("Search customers", "totalCount"),
        ("Get a customer", "avatar"),
        ("Create a customer", "Ana"),
        ("Update a customer", "+212 612 345678"),
        ("List changes", "sequence"),
        ("Account statistics", "accepts_marketing"),
        ("Delete customers", "Q3VzdG9tZXI6MQ=="),
    ):
        page.locator("summary", has_text="Examples").click()
        page.get_by_role("button", name=name).click()
        page.get_by_role("button", name="Run").click()
        expect(answer).to_contain_text(text)
        expect(answer).not_to_contain_text('"errors"')
    page.get_by_label("Find a type or a field").fill("expires_at")
    schema = page.get_by_role("region", name="Schema")
    expect(schema.locator("details")).to_have_count(3)
    schema.get_by_role("button", name="TokenState!").click()
    expect(schema.locator("details[data-name=TokenState]")).to_have_attribute("open", "")


@pytest.mark.parametrize("form", ["curl", "Python"])
def test_a_copied_operation_runs(person: Person, form: str) -> None:
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = person.open("/explorer")
    page.get_by_label("Operation", exact=True).fill(
        "query($q: String) {\n  customers(query: $q) { totalCount }\n}"
    )
    page.get_by_label("Variables, as JSON").fill('{"q": "it\'s \\"quoted\\""}')
    page.locator("summary", has_text="Copy as").click()
    page.get_by_role("button", name=form).click()
    expect(page.get_by_text("Copied.").first).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    command = ["bash", "-c", text] if form == "curl" else [sys.executable, "-c", text]
    env = {"REGULARS_TOKEN": person.client.token, "PATH": "/usr/bin:/bin"}
    process = subprocess.run(
        command, env=env, capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(process.stdout) == {"data": {"customers": {"totalCount": 0}}}


def test_the_overview_shows_figures_and_charts(person: Person) -> None:
    person.client.create(
        "ana@example.com", accepts_marketing=True, billing_address={"country": "MA"}
    )
    person.client.create("bo@example.com")
    paid = {"email": "ana@example.com", "total": 20, "financial_status": "paid", "name": "#1"}
    order = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
    person.client.data(order, node={**paid, "currency": "EUR"})
    page = person.open("/overview")
    tiles = page.locator(".tiles")
    expect(tiles).to_contain_text("1 accept marketing (50%)")
    expect(page.get_by_role("img", name="New customers by week")).to_be_visible()
    expect(page.get_by_role("img", name="Revenue by month in EUR")).to_be_visible()
    page.get_by_text("Show as a table").first.click()
    expect(page.locator(".chart").first.locator("tbody tr").last).to_contain_text("€20.00")
    page.get_by_role("link", name="Morocco").click()
    expect(page.get_by_role("combobox", name="Search customers")).to_have_value("country:MA")
    expect(page.locator(".count")).to_have_text("1 customer found")
