"""A person at a real browser who uses the pages of a server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.support import Client, Server, create_token

PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
# The message of browsers for a response with an error status. The pages show such errors.
_ERROR_STATUS_MESSAGE = "Failed to load resource"
# Long enough for a busy machine.
_TIMEOUT_MS = 30_000
expect.set_options(timeout=_TIMEOUT_MS)


def find_browser() -> str | None:
    """Return the path of an installed browser, or None."""
    return next((path for program in PROGRAMS if (path := shutil.which(program))), None)


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Run a browser. The test is skipped if none is installed."""
    path = find_browser()
    if path is None:
        pytest.skip(
            "There is no Chromium here: install the package chromium-headless-shell to test the pages."
        )
    # As root, its sandbox does not start.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


def choose(page: Page, action: str, menu: str = "More") -> None:
    """Open a menu, and select an action in it."""
    page.locator("summary", has_text=menu).click()
    page.locator(".menu-list").get_by_role("button", name=action).click()


class Person:
    """A person with a browser of their own. `page` is the open tab, `client` calls the API of the
    same account."""

    def __init__(self, browser: Browser, server: Server, client: Client, **options: Any) -> None:
        self.server = server
        self.client = client
        self.context: BrowserContext = browser.new_context(
            base_url=server.url, **{"viewport": WIDE, "accept_downloads": True, **options}
        )
        self.context.set_default_timeout(_TIMEOUT_MS)
        self.errors: list[str] = []
        self.requested_urls: list[str] = []
        self.page: Page = self.open_tab()

    def open_tab(self) -> Page:
        """Open another tab, and record its errors and requests."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._record_message)
        page.on("request", self._record_request)
        return page

    def _record_message(self, message: ConsoleMessage) -> None:
        is_problem = message.type in ("error", "warning")
        if is_problem and not message.text.startswith(_ERROR_STATUS_MESSAGE):
            self.errors.append(message.text)

    def _record_request(self, request: Request) -> None:
        self.requested_urls.append(request.url)

    def sign_in(self) -> None:
        """Sign in with a token on the sign-in page."""
        self.page.goto("/")
        self.page.get_by_label("Token").fill(self.client.token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Customers", exact=True).wait_for()

    def create_session(self) -> None:
        """Sign in without the sign-in page, which is faster."""
        headers = {"Origin": self.server.url}
        credentials = {"token": self.client.token}
        response = self.context.request.post("/session", data=credentials, headers=headers)
        assert response.ok, response.text()

    def open(self, path: str) -> Page:
        """Open a page, and wait for its heading."""
        self.page.goto(path)
        self.page.locator("h1").first.wait_for(state="attached")
        return self.page

    def close(self) -> None:
        """Close the browser. The pages must not have reported an error."""
        self.context.close()
        assert self.errors == [], self.errors


@contextmanager
def sign_in_person(browser: Browser, server: Server, **options: Any) -> Iterator[Person]:
    """Sign a person in to a new account, with all rights."""
    with Client(server, create_token(server, scopes=("admin",))) as client:
        person = Person(browser, server, client, **options)
        person.create_session()
        yield person
        person.close()
