"""The pages in a real browser: how long until the list of customers is seen, and what goes over the
wire for it."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from benchmarks import contenders, data
from benchmarks.compare import CUSTOMERS
from benchmarks.servers import serving
from benchmarks.work import LIST, page_body

Say = Callable[[str], None]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SETTLED_MS = 400
_SIZE: ViewportSize = {"width": 1440, "height": 900}
# Notes when the first rows are there, and when the frame that shows them is.
_WATCH = """
new MutationObserver(() => {
  if (window.there || !document.querySelector("table.customers tbody tr")) return;
  window.there = performance.now();
  requestAnimationFrame(() => setTimeout(() => { window.seen = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_BYTES = """performance.getEntriesByType("navigation")
  .concat(performance.getEntriesByType("resource"))
  .reduce((sum, one) => sum + one.transferSize, 0)"""


def measure(rounds: int, say: Say) -> Mapping[str, float]:
    """Milliseconds from the navigation to the frame that shows the first rows, among 100,000
    customers, in a tab that is open and in a browser that has not been here; the latter by what a
    line of text takes there; and kilobytes for it, headers included. Nothing, with a plain line,
    where there is no Chromium."""
    path = next((one for name in _NAMES if (one := shutil.which(name))), None)
    if path is None:
        say("The pages are left out: there is no Chromium here.")
        return {}
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        database = data.sqlite_with(CUSTOMERS, Path(folder))
        contender = contenders.regulars("Regulars, pages", f"sqlite:///{database}")
        with serving(contender, page_body(LIST, CUSTOMERS)) as running:
            url = running.url.removesuffix(contender.path)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                found = _in(browser, url, contender.token, rounds, say)
                browser.close()
    return found


def _in(browser: Browser, url: str, token: str, rounds: int, say: Say) -> Mapping[str, float]:
    here = _signed_in(browser, url, token).new_page()
    _loaded(here, url)
    again, first, floor, sizes = [], [], [], []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: the list of customers in a browser")
        again.append(_loaded(here, url)["seen"])
        stranger = _signed_in(browser, url, token)
        found = _loaded(stranger.new_page(), url)
        first.append(found["seen"])
        sizes.append(found["bytes"] / 1000)
        stranger.close()
        nobody = browser.new_context(viewport=_SIZE)
        floor.append(_painted(nobody.new_page(), f"{url}/healthz"))
        nobody.close()
    median = statistics.median
    return {
        "pages again": median(again),
        "pages first": median(first),
        "pages floor": median([one / least for one, least in zip(first, floor, strict=True)]),
        "pages size": median(sizes),
    }


def _signed_in(browser: Browser, url: str, token: str) -> BrowserContext:
    context = browser.new_context(viewport=_SIZE)
    context.add_init_script(_WATCH)
    answer = context.request.post(f"{url}/session", data={"token": token}, headers={"Origin": url})
    if not answer.ok:
        raise RuntimeError(answer.text())
    return context


def _loaded(page: Page, url: str) -> dict[str, Any]:
    page.goto(f"{url}/customers")
    page.locator("table.customers tbody tr").first.wait_for()
    page.wait_for_timeout(_SETTLED_MS)
    return {"seen": page.evaluate("window.seen"), "bytes": page.evaluate(_BYTES)}


def _painted(page: Page, url: str) -> float:
    """Milliseconds until a line of text is seen."""
    page.goto(url)
    page.wait_for_timeout(_SETTLED_MS)
    painted = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
    return float(page.evaluate(painted))
