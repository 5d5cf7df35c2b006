"""A person at a real browser, in front of the pages of a server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.support import Client, Server, create_token

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
# What a browser says of an answer that is no success: the pages say it themselves.
_SAID_ANYWAY = "Failed to load resource"
# A busy machine takes its time.
_PATIENCE_MS = 15_000
expect.set_options(timeout=_PATIENCE_MS)


def executable() -> str | None:
    """Where a browser is, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def started() -> Iterator[Browser]:
    """A browser; without one the test is skipped."""
    path = executable()
    if path is None:
        pytest.skip("There is no Chromium here: install the package chromium to test the pages.")
    # As root, its sandbox does not start.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class Person:
    """Somebody at the browser: what is on the screen is `page`, and `client` is who looks behind
    it, by the API."""

    def __init__(self, browser: Browser, server: Server, client: Client, **options: Any) -> None:
        self.server = server
        self.client = client
        self.context: BrowserContext = browser.new_context(
            base_url=server.url, **{"viewport": WIDE, "accept_downloads": True, **options}
        )
        self.context.set_default_timeout(_PATIENCE_MS)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page: Page = self.another_page()

    def another_page(self) -> Page:
        """Another tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("request", self._requested)
        return page

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith(_SAID_ANYWAY):
            self.wrong.append(text)

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)

    def signs_in(self) -> None:
        """Signs in with a token, as the pages ask for it."""
        self.page.goto("/")
        self.page.get_by_label("Token").fill(self.client.token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Customers", exact=True).wait_for()

    def is_signed_in(self) -> None:
        """Has the session that signing in would have given, in less time."""
        headers = {"Origin": self.server.url}
        given = {"token": self.client.token}
        answer = self.context.request.post("/session", data=given, headers=headers)
        assert answer.ok, answer.text()

    def goes(self, address: str) -> Page:
        """Goes to an address of the pages."""
        self.page.goto(address)
        self.page.locator("h1").first.wait_for(state="attached")
        return self.page

    def leaves(self) -> None:
        """Closes the browser; nothing may have gone wrong in it."""
        self.context.close()
        assert self.wrong == []


@contextmanager
def person_at(browser: Browser, server: Server, **options: Any) -> Iterator[Person]:
    """Somebody who is signed in to a new account, and may do everything there."""
    with Client(server, create_token(server, scopes=("admin",))) as client:
        person = Person(browser, server, client, **options)
        person.is_signed_in()
        yield person
        person.leaves()
