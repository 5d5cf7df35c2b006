"""Tests of the pages in other languages, and of texts that are not in the files of the languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from tests.browser import SCREENSHOTS, WIDE, Person, sign_in_person
from tests.support import Server, create_token, find_account_name
from tests.test_pages_for_all import MAX_LIST_BYTES, SHOWN_TAG, check_accessibility, list_pages
from tests.test_pages_for_all import shop as shop

pytestmark = pytest.mark.slow

SMALL = {"width": 320, "height": 700}
# Texts of the list, the overview and a customer, in the language and by `Intl`.
WORDS = {
    "fr": {
        "/customers": ["Clients", r"40\d clients", r"\d+,\d\d"],
        "/overview": ["Vue d’ensemble", "Italie", r"\d+\s%", r"févr\. \d{4}"],
        "customer": ["Profil", "Client depuis", "Créé", r"il y a \d+ (mois|jours?)|maintenant"],
        "/imports": ["Importer des clients", "Choisir un fichier"],
        "/sign-in": ["Se connecter à Regulars"],
    },
    "ar": {
        "/customers": ["العملاء", r"40\d عميل", r"\d+\.\d\d"],
        "/overview": ["نظرة عامة", "إيطاليا", r"\d+\u200e%", r"فبراير \d{4}"],
        "customer": ["الملف الشخصي", "عميل منذ", "أُنشئ", r"قبل \d+ (أشهر|شهرًا|يومًا)|الآن"],
        "/imports": ["استيراد العملاء", "اختيار ملف"],
        "/sign-in": ["تسجيل الدخول إلى Regulars"],
    },
}


def check_page(page: Page, language: str, path: str) -> None:
    root = page.locator("html")
    expect(root).to_have_attribute("lang", language)
    expect(root).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    check_accessibility(page)
    is_customer = re.fullmatch(r"/customers/\d+", path)
    for word in WORDS[language].get("customer" if is_customer else path, []):
        expect(page.locator("body")).to_contain_text(re.compile(word))
    name = re.sub(r"\W+", "-", path).strip("-")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = page.evaluate("innerWidth")
    page.screenshot(path=SCREENSHOTS / f"{language}-{name}-{width}.png", full_page=True)


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["wide", "small"])
@pytest.mark.parametrize("language", WORDS)
def test_every_page_fits_in_a_language(
    browser: Browser, shop: Person, language: str, size: dict[str, int]
) -> None:
    person = Person(browser, shop.server, shop.client, viewport=size, locale=language)
    page = person.page
    page.goto("/sign-in")
    page.locator("input[name=token]").wait_for()
    check_page(page, language, "/sign-in")
    person.create_session()
    for path, selector in list_pages(shop).items():
        person.open(path)
        page.locator(selector).first.wait_for()
        page.wait_for_timeout(100)
        check_page(page, language, path)
    person.close()


def test_the_region_of_the_browser_formats_numbers_and_dates(
    browser: Browser, shop: Person
) -> None:
    """The weeks and the months are those of the server, in each calendar."""
    expected = {
        "es-MX": r"^\d+,\d{3}\.\d\d\b",
        "de-CH": r"^\d+[’']\d{3}\.\d\d\b",
        "es": r"^\d+\.\d{3},\d\d\b",
        "fr": r"^\d+\u202f\d{3},\d\d\b",
        "ar-EG": r"^\d+,\d{3}\.\d\d\b",
    }
    for locale, pattern in expected.items():
        person = Person(browser, shop.server, shop.client, locale=locale)
        person.create_session()
        person.open("/customers?q=total_spent:>1000")
        page = person.page
        expect(page.locator("table.customers td.money-cell").first).to_have_text(
            re.compile(pattern)
        )
        clipped = "(cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
        assert page.locator("thead th").evaluate_all(clipped) == []
        person.close()
    person = Person(browser, shop.server, shop.client, locale="ar-SA")
    person.create_session()
    page = person.open("/overview")
    expect(page.locator("main")).to_contain_text(re.compile(r"فبراير \d{4}"))
    person.close()


@pytest.mark.parametrize("language", WORDS)
def test_the_list_loads_few_bytes_in_a_language(
    browser: Browser, shop: Person, language: str
) -> None:
    person = Person(browser, shop.server, shop.client, locale=language)
    person.create_session()
    page = person.open("/customers")
    page.locator("table.customers").wait_for()
    page.wait_for_timeout(400)
    entries = 'performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))'
    sizes = page.evaluate(f"{entries}.map((entry) => entry.transferSize)")
    assert len(sizes) > 5
    assert sum(sizes) < MAX_LIST_BYTES, sizes
    person.close()


def test_a_person_chooses_the_language_by_keyboard(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, viewport=SMALL, locale="nl-NL")
    page = person.page
    page.goto("/sign-in")
    page.locator("input[name=token]").wait_for()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Language: English")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Language")
    expect(dialog.get_by_role("button", name="English")).to_be_focused()
    check_accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Shift+Tab")
    expect(dialog.get_by_role("button", name="Deutsch")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bei Regulars anmelden")).to_be_visible()
    (cookie,) = [each for each in person.context.cookies() if each["name"] == "regulars_language"]
    assert (cookie["value"], cookie["path"], cookie["sameSite"]) == ("de", "/", "Lax")
    # The choice lasts a year, also after the person has signed in, and in another tab.
    assert cookie["expires"] - page.evaluate("Date.now() / 1000") > 364 * 86_400
    page.get_by_label("Zugangstoken").fill(shop.client.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Kunden", exact=True)).to_be_visible()
    other = person.open_tab()
    other.goto("/overview")
    expect(other.get_by_role("heading", name="Übersicht")).to_be_visible()
    page.get_by_role("button", name="Menü").click()
    page.get_by_role("button", name="Sprache: Deutsch").click()
    page.get_by_role("dialog").get_by_role("button", name="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_role("heading", name="العملاء", exact=True)).to_be_visible()
    person.close()


def test_frequent_messages_of_the_server_are_translated(browser: Browser, shop: Person) -> None:
    """A message with a sentence that has no translation stays in English as a whole."""
    person = Person(browser, shop.server, shop.client, locale="fr")
    person.create_session()
    page = person.open("/customers/new")
    email = page.get_by_label("E-mail", exact=True).first
    for value, message in (
        ("a@@example.com", "L’e-mail contient plusieurs signes @. Gardez-en un seul."),
        ("nobody", "L’e-mail n’est pas valide. Une adresse e-mail contient le signe @."),
        ("a@example.com", "Un autre client a cet e-mail. Utilisez un autre e-mail,"),
        ("a@127.0.0.1", "The email is not valid."),
    ):
        email.fill(value)
        page.get_by_role("button", name="Créer").click()
        expect(page.locator(".field .problem", has_text=message)).to_be_visible()
    page = person.open("/customers?q=contry:MA")
    message = "Aucun filtre ne s’appelle 'contry'. Pour chercher ces mots, mettez-les entre"
    expect(page.locator(".search")).to_contain_text(f"{message} guillemets. Vouliez-vous dire")
    expect(page.locator(".search")).to_contain_text("«\u00a0country\u00a0»\u202f?")
    page.get_by_role("combobox").fill("cou")
    expect(page.get_by_role("option").first).to_contain_text("un pays")
    page = person.open("/customers?q=created_at:yesterday")
    expect(page.locator(".search")).to_contain_text("'yesterday' n’est pas une date. Utilisez un")
    # The name of a field in a message is translated, too.
    page = person.open("/customers/new")
    page.get_by_label("Prénom", exact=True).first.fill("x" * 300)
    page.get_by_label("E-mail", exact=True).first.fill("long@example.com")
    page.get_by_role("button", name="Créer").click()
    message = "Texte trop long (prénom)\u00a0: 300 caractères\u202f; le maximum est 255."
    expect(page.locator(".field .problem", has_text=message)).to_be_visible()
    segment = shop.client.data(
        'mutation { createSegment(node: { name: "phone", query: "tag:vip" }) { id } }'
    )["createSegment"]
    page = person.open("/segments")
    page.get_by_role("button", name="Nouveau segment").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Nom").fill("Phone")
    dialog.get_by_role("combobox").fill("tag:vip")
    dialog.get_by_role("button", name="Enregistrer").click()
    # A value stays as it is, even if it is a word that has a translation.
    expect(dialog).to_contain_text("Un segment s’appelle déjà «\u00a0phone\u00a0».")
    page = person.open("/tokens")
    page.get_by_role("button", name="Nouveau jeton").click()
    expect(page.get_by_role("dialog")).to_contain_text("Lire et modifier les clients.")
    shop.client.data("mutation($i: [ID!]!) { deleteSegments(items: $i) }", i=[segment["id"]])
    person.close()


def test_values_keep_their_direction_in_arabic_sentences(browser: Browser, shop: Person) -> None:
    """The mark at the end of a value would move to its other end."""
    person = Person(browser, shop.server, shop.client, locale="ar")
    person.create_session()
    page = person.open(f"/tags?q={SHOWN_TAG}")
    page.locator("tbody button").click()
    expect(page.locator("dialog h2")).to_contain_text(f"\u2068{SHOWN_TAG}\u2069")
    person.close()


def test_tables_begin_below_their_headings_in_arabic(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, locale="ar")
    person.create_session()
    page = person.open("/overview")
    card = page.locator("section", has=page.locator(".shares a")).first
    card.wait_for()
    right = "element => element.getBoundingClientRect().right"
    heading, link = card.locator("h2").first, card.locator(".shares a").first
    assert abs(heading.evaluate(right) - link.evaluate(right)) < 2
    person.close()


def test_the_explorer_stays_left_to_right(browser: Browser, shop: Person) -> None:
    person = Person(browser, shop.server, shop.client, locale="ar")
    person.create_session()
    page = person.open("/explorer")
    page.locator(".types details").first.wait_for()
    for selector in (".explorer", ".explorer textarea", ".types"):
        direction = "(element) => getComputedStyle(element).direction"
        assert page.locator(selector).first.evaluate(direction) == "ltr"
    left = page.locator(".explorer textarea").first.bounding_box()
    right = page.locator(".schema").bounding_box()
    assert left
    assert right
    assert left["x"] < right["x"]
    person.close()


# Marks the texts of the file, in the served script, and what `Intl` formats. The first text of a
# pair in a list is a value.
_MARK_TEXTS = """
function markTexts(node, isItem = false) {
  if (typeof node === "string") return node && `⟦${node}⟧`;
  if (typeof node === "function") return (...args) => markTexts(node(...args));
  if (isItem && node.length === 2 && typeof node[0] === "string") return [node[0], markTexts(node[1])];
  if (Array.isArray(node)) return node.map((item) => markTexts(item, true));
  const entries = Object.entries(node).map(([key, value]) => [key, ["separators", "quoted"].includes(key) ? value : markTexts(value)]);
  return Object.fromEntries(entries);
}
function assignMarked(target, texts) {
  return Object.assign(target, markTexts(texts));
}
"""
# The files with texts: where each has them.
_MARKED_FILES = {
    "app.js": (r"return\{t\};", "return{t:markTexts(t)};"),
    "page-texts.js": (r"Object\.assign\(t,", "assignMarked(t,"),
}
_MARK_INTL = """
const mark = (text, input) => (text === undefined || text === input ? text : `⟦${text}⟧`);
const names = { DateTimeFormat: "format", NumberFormat: "format", DisplayNames: "of", RelativeTimeFormat: "format" };
for (const [name, method] of Object.entries(names)) {
  const { get, value } = Object.getOwnPropertyDescriptor(Intl[name].prototype, method);
  const wrap = (format, self) => (...args) => mark(format.apply(self, args), args[0]);
  Object.defineProperty(Intl[name].prototype, method, {
    get() { return wrap(get ? get.call(this) : value, this); } });
}
"""
# The visible texts and labels, except of code and of what people have written.
_FIND_TEXTS = """
() => {
  const others = "bdi, code, kbd, pre, textarea, .avatar, .code, body [lang], script, style, noscript, [dir=ltr] .types";
  const found = [];
  for (const element of document.querySelectorAll("body, body *")) {
    if (element.closest(others) || !element.checkVisibility()) continue;
    for (const name of ["aria-label", "title", "placeholder", "alt", "data-label"])
      if (element.hasAttribute(name)) found.push(element.getAttribute(name));
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) found.push(node.data);
  }
  return found.concat(document.title);
}
"""


# What a person can press, and what is alike: the same icon or text in a part of the page.
_BUTTONS = "main :is(button:enabled, summary):not(.types *, [aria-disabled]):visible"
_FIND_KINDS = """
(buttons) => buttons.map((button) => {
  const icon = button.querySelector("path")?.getAttribute("d") ?? button.textContent;
  const part = button.closest("[id], section, [class]:not(button, summary)");
  return [icon, button.className, part?.className ?? ""].join(" ");
})
"""
_SAME_IN_EVERY_LANGUAGE = {"curl", "JavaScript", "https://example.com/hook"}
_LEAVING = re.compile(r"\b(primary|danger)\b|M5 7h14M10 7V4")
_TERM = re.compile(r"-?[a-z_]+:(\S+)")


class PseudoLanguage:
    """A person who sees marked texts. `check()` finds the texts that are neither marked nor of the
    server."""

    def __init__(self, person: Person) -> None:
        self.page = person.page
        self.server_texts: set[str] = set()
        person.page.add_init_script(_MARK_INTL)
        for name in _MARKED_FILES:
            person.page.route(f"**/{name}", self._mark_texts)
        person.page.route("**/*", self._read_texts)

    def _mark_texts(self, route: Route) -> None:
        response = route.fetch()
        pattern, replacement = _MARKED_FILES[response.url.rpartition("/")[2]]
        script, count = re.subn(pattern, replacement, response.text())
        assert count == 1
        route.fulfill(response=response, body=script + _MARK_TEXTS)

    def _read_texts(self, route: Route) -> None:
        """Note the texts of a response before the page shows them."""
        if route.request.resource_type != "fetch":
            return route.fallback()
        with suppress(Error):  # the page has been left meanwhile
            response = route.fetch()
            if "json" in response.headers.get("content-type", ""):
                texts = leaf_texts(json.loads(response.body() or b"null"))
                # The pages show quotation marks instead of backticks.
                self.server_texts |= {re.sub("`([^`]*)`", "“\\1”", text) for text in texts}
            route.fulfill(response=response)
        return None

    def find_unmarked(self) -> set[str]:
        return {
            text
            for text in map(remove_marked, self.page.evaluate(_FIND_TEXTS))
            if re.search(r"[^\W\d_]", text)
            and text not in _SAME_IN_EVERY_LANGUAGE
            and not self._is_of_server(text)
        }

    def _is_of_server(self, text: str) -> bool:
        known = [*self.server_texts, unquote_plus(self.page.url)]

        def is_known(part: str) -> bool:
            return any(part in other for other in known)

        # A filter adds its term to a search, which the page shows before the server has it.
        terms = [_TERM.fullmatch(term) for term in text.split(" ")]
        is_search = all(term and is_known(term[1]) for term in terms)
        return is_search or all(map(is_known, text.split(", ")))

    def check(self) -> None:
        assert self.find_unmarked() == set(), self.page.url


def leaf_texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from node.get("custom") or ()
        yield from leaf_texts(list(node.values()))
    elif isinstance(node, list):
        for item in node:
            yield from leaf_texts(item)


def remove_marked(text: str) -> str:
    """Return the rest of a text, without punctuation around it."""
    while (rest := re.sub("⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = rest
    return text.strip(" \n\t·,:()–-+/…")


def test_marked_texts_are_removed() -> None:
    assert remove_marked("⟦Edit ⟦Phone⟧:⟧ ") == ""
    assert remove_marked("⟦Edit⟧ Phone:") == "Phone"


def test_every_text_of_the_pages_is_in_the_files_of_the_languages(
    browser: Browser, shop: Person
) -> None:
    person = Person(browser, shop.server, shop.client)
    pseudo = PseudoLanguage(person)
    page = person.page
    page.goto("/sign-in")
    page.locator("input[name=token]").wait_for()
    expect(page.get_by_role("heading", name="⟦Sign in to Regulars⟧")).to_be_visible()
    pseudo.check()
    person.create_session()
    # The last token of the list is revoked: not the person's own, which would end the session.
    create_token(shop.server, find_account_name(shop.server, shop.client.token))
    for path, selector in list_pages(shop).items():
        person.open(path)
        page.locator(selector).first.wait_for()
        page.wait_for_timeout(200)
        pseudo.check()
    for path in list_pages(shop):
        person.open(path)
        page.wait_for_timeout(500)
        open_everything(page, pseudo)
    page.evaluate("document.querySelector('h1').textContent = 'A text of a module'")
    assert pseudo.find_unmarked() == {"A text of a module"}
    assert shop.client.data("{ viewer { scopes } }")
    person.close()


def open_everything(page: Page, pseudo: PseudoLanguage) -> None:
    """Press each kind of button of the page, and check the dialogs, menus and editors that open."""
    url = page.url
    pressed: set[str] = set()
    for box in page.locator("thead input[type=checkbox]").all():
        box.check()
    if files := page.locator("input[type=file]").all():
        content = (
            b"email,first name,birthday\na@example.com,Ana,03/04/2024\nb@example,Bo,04/05/2024\n"
        )
        files[0].set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": content})
        page.locator(".preview").wait_for()
    while True:
        pseudo.check()
        buttons = page.locator(_BUTTONS)
        kinds = buttons.evaluate_all(_FIND_KINDS)
        others = [kind for kind in kinds if kind not in pressed]
        if not others:
            return
        # Those that leave the page are the last.
        kind = min(others, key=lambda kind: bool(_LEAVING.search(kind)))
        pressed.add(kind)
        index = kinds.index(kind)
        if "danger" in kind:  # the last one
            index = len(kinds) - 1 - kinds[::-1].index(kind)
        buttons.nth(index).click()
        page.wait_for_timeout(150)
        pseudo.check()
        if page.locator("dialog[open]").count():
            for summary in page.locator("dialog[open] summary").all():
                summary.click()
            for submit in page.locator("dialog[open] button[type=submit]").all():
                submit.click()  # with its empty fields
                page.wait_for_timeout(150)
                pseudo.check()
        for _ in range(3):
            page.keyboard.press("Escape")
        if page.url != url:
            page.goto(url)
            page.locator("h1").first.wait_for()
            page.wait_for_timeout(300)


def test_the_parts_of_a_currency_keep_their_order_in_arabic(
    browser: Browser, server: Server
) -> None:
    with sign_in_person(browser, server, locale="ar-EG") as person:
        lefts = person.open("/customers").evaluate(
            """async () => {
              const { modules } = await import(document.querySelector("script[src$='/app.js']").src);
              const text = document.createTextNode(modules["format.js"].formatMoney(1234, "JPY"));
              document.querySelector("main").append(text);
              const left = (character) => {
                const range = document.createRange();
                const start = text.data.indexOf(character);
                range.setStart(text, start);
                range.setEnd(text, start + 1);
                return range.getBoundingClientRect().left;
              };
              return ["J", "P", "¥"].map(left);
            }"""
        )
    assert lefts == sorted(lefts)


def test_relative_times_are_those_of_the_server(browser: Browser, server: Server) -> None:
    day = 86_400
    expected = {
        20: "maintenant",
        100: "il y a 2 minutes",
        23 * 3_600: "il y a 1 jour",
        # “Hier”, “le mois dernier” and “l’année dernière” are about the calendar, and were wrong here.
        47 * 3_600: "il y a 2 jours",
        42 * day: "il y a 1 mois",
        700 * day: "il y a 2 ans",
        980 * day: "il y a 3 ans",
        -100: "dans 2 minutes",
    }
    with sign_in_person(browser, server, locale="fr-FR") as person:
        texts = person.open("/customers").evaluate(
            """async (ages) => {
              const { modules } = await import(document.querySelector("script[src$='/app.js']").src);
              const text = (age) => {
                const at_iso = new Date(Date.now() - age * 1000).toISOString();
                return modules["format.js"].relativeTime({ at_iso }, "at").textContent;
              };
              return ages.map(text);
            }""",
            list(expected),
        )
    assert [text.replace("\xa0", " ") for text in texts] == [*expected.values()]
