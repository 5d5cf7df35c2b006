"""Measure the pages in a real browser: the time until the list of customers is visible, and the
bytes transferred for it."""

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
from benchmarks.servers import run_server
from benchmarks.work import LIST, page_body

Progress = Callable[[str], None]

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_SETTLED_MS = 400
_MAX_WAITS = 50
_SIZE: ViewportSize = {"width": 1440, "height": 900}
# Records when the first rows are in the document, and when the frame that shows them is drawn.
_OBSERVER = """
new MutationObserver(() => {
  if (window.hasRows || !document.querySelector("table.customers tbody tr")) return;
  window.hasRows = performance.now();
  requestAnimationFrame(() => setTimeout(() => { window.visibleAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_BYTES = """performance.getEntriesByType("navigation")
  .concat(performance.getEntriesByType("resource"))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""


def measure(rounds: int, progress: Progress) -> Mapping[str, float]:
    """Measures the milliseconds from navigation to the frame that shows the first of 100,000
    customers: in an open tab, and in a new browser context. Returns those, the second divided by
    the time for a line of text, and the kilobytes transferred; or nothing without Chromium."""
    path = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if path is None:
        progress("The pages are left out: there is no Chromium here.")
        return {}
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        database = data.sqlite_with(CUSTOMERS, Path(folder))
        contender = contenders.regulars("Regulars, pages", f"sqlite:///{database}")
        with run_server(contender, page_body(LIST, CUSTOMERS)) as server:
            url = server.url.removesuffix(contender.path)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                figures = _measure_in(browser, url, contender.token, rounds, progress)
                browser.close()
    return figures


def _measure_in(
    browser: Browser, url: str, token: str, rounds: int, progress: Progress
) -> Mapping[str, float]:
    open_tab = _sign_in(browser, url, token).new_page()
    _load_list(open_tab, url)
    repeat_ms, first_ms, floor_ms, kilobytes = [], [], [], []
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: the list of customers in a browser")
        repeat_ms.append(_load_list(open_tab, url)["visible_ms"])
        new_context = _sign_in(browser, url, token)
        load = _load_list(new_context.new_page(), url)
        first_ms.append(load["visible_ms"])
        kilobytes.append(load["bytes"] / 1000)
        new_context.close()
        empty_context = browser.new_context(viewport=_SIZE)
        floor_ms.append(_measure_text(empty_context.new_page(), f"{url}/healthz"))
        empty_context.close()
    median = statistics.median
    return {
        "pages again": median(repeat_ms),
        "pages first": median(first_ms),
        "pages floor": median(
            [load / floor for load, floor in zip(first_ms, floor_ms, strict=True)]
        ),
        "pages size": median(kilobytes),
    }


def _sign_in(browser: Browser, url: str, token: str) -> BrowserContext:
    context = browser.new_context(viewport=_SIZE)
    context.add_init_script(_OBSERVER)
    response = context.request.post(
        f"{url}/session", data={"token": token}, headers={"Origin": url}
    )
    if not response.ok:
        raise RuntimeError(response.text())
    return context


def _load_list(page: Page, url: str) -> dict[str, Any]:
    page.goto(f"{url}/customers")
    # A locator would parse 330 KB of Playwright's own script before the frame: 10 ms.
    for _ in range(_MAX_WAITS):
        page.wait_for_timeout(_SETTLED_MS)
        visible_ms = page.evaluate("window.visibleAt")
        if visible_ms is not None:
            return {"visible_ms": visible_ms, "bytes": page.evaluate(_BYTES)}
    raise RuntimeError("The list of customers is not visible.")


def _measure_text(page: Page, url: str) -> float:
    """Returns the milliseconds until a line of text is visible."""
    page.goto(url)
    page.wait_for_timeout(_SETTLED_MS)
    paint_time = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
    return float(page.evaluate(paint_time))
