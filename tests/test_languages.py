"""Tests of the languages of the pages: their texts, and which one the server chooses."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from regulars.http.languages import COOKIE, RIGHT_TO_LEFT, choose_language
from regulars.http.pages import read_sources, read_translations
from tests.support import Server, get

LANGUAGES = ("en", *sorted(read_translations()))
WEB = Path(str(files("regulars"))) / "web"

# Prints the texts as a flat object: a text as it is, and a function as its texts for some counts.
# The parameters are marked, so that each language must show the same ones.
_PRINT_TEXTS = """
import { pathToFileURL } from "node:url";
const { t } = await import(pathToFileURL(process.argv[2]));
const COUNTS = ["0", "1", "2", "3", "11", "100", "1000000"];
const OPERATORS = { "filters.compare": ">=" };
const UNITS = { "filters.period": "mo" };
const texts = {};
function collect(node, path) {
  if (typeof node === "string") texts[path] = { kind: "text", values: [node] };
  else if (typeof node === "function") {
    const takesList = node.toString().includes("names.join");
    const marked = takesList ? node(["<a>", "<b>"]) : node("<a>", OPERATORS[path] ?? "<b>", UNITS[path] ?? "<c>", "<d>");
    const calls = COUNTS.flatMap((count) => [count, Number(count)].map((first) => [first, Number(count), UNITS[path] ?? 1]));
    const isCounted = !takesList && !(path in OPERATORS) && !node.toString().includes("toLowerCase");
    const counted = isCounted ? calls.map((call) => String(node(...call))) : [];
    texts[path] = { kind: "function", length: node.length, marked, values: [marked, ...counted] };
  }
  else for (const key of Object.keys(node)) collect(node[key], path ? `${path}.${key}` : key);
}
for (const path of ["first_name", "billing_address.city", "order.total", "custom.a", "addresses.phone.city"])
  texts[`fieldName(${path})`] = { kind: "text", values: [t.fieldName(path)] };
delete t.fieldName;
delete t.serverMessages;
collect(t, "");
console.log(JSON.stringify(texts));
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the texts of each language, by their paths."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is missing.")
    folder = tmp_path_factory.mktemp("texts")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "print.js").write_text(_PRINT_TEXTS)
    (folder / "languages").mkdir()
    for name in ("texts.js", "field-names.js"):
        shutil.copy(WEB / name, folder / name)
    for source in (WEB / "languages").iterdir():
        shutil.copy(source, folder / "languages" / source.name)
    found = {}
    for language in LANGUAGES:
        module = "texts.js" if language == "en" else f"languages/{language}.js"
        command = ["node", str(folder / "print.js"), str(folder / module)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        found[language] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_language_has_every_text(texts: dict[str, Any], language: str) -> None:
    english, translated = texts["en"], texts[language]
    assert set(translated) == set(english)
    for path, text in english.items():
        assert translated[path]["kind"] == text["kind"], path
        if text["kind"] == "function":
            assert translated[path]["length"] <= text["length"], path
            shown = {parameter for parameter in "abcd" if f"<{parameter}>" in text["marked"]}
            translated_shown = {
                parameter for parameter in "abcd" if f"<{parameter}>" in translated[path]["marked"]
            }
            assert translated_shown == shown, path


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_whole(texts: dict[str, Any], language: str) -> None:
    for path, text in texts[language].items():
        for value in text["values"]:
            assert value == "" or value.strip() or path.startswith("separators"), path
            assert not re.search(r"undefined|NaN|null|\[object", value), (path, value)


# Words that are the same in another language, or in each: names, formats and codes.
_MAX_SAME = 0.16


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_the_texts_are_translated(texts: dict[str, Any], language: str) -> None:
    """No sentence is English. Names of formats, and short words that two languages share, are."""
    same = [
        path
        for path, text in texts["en"].items()
        if text == texts[language][path] and re.search(r"[A-Za-z]{3}", text["values"][0])
    ]
    sentences = [path for path in same if len(texts["en"][path]["values"][0].split()) > 3]
    assert sentences == []
    assert len(same) < _MAX_SAME * len(texts["en"])


def test_arabic_has_its_plural_forms(texts: dict[str, Any]) -> None:
    values = texts["ar"]["list.count"]["values"][1::2]
    assert values == [
        "0 عميل",
        "عميل واحد",
        "عميلان",
        "3 عملاء",
        "11 عميلًا",
        "100 عميل",
        "1000000 عميل",
    ]


def test_french_has_a_singular_zero(texts: dict[str, Any]) -> None:
    assert texts["fr"]["list.count"]["values"][1:6:2] == ["0 client", "1 client", "2 clients"]


def test_the_menu_has_every_language() -> None:
    (names,) = re.findall(r"^const NAMES = \{(.*)\};$", read_sources()["language.js"], re.MULTILINE)
    assert sorted(re.findall(r'(\w+): "', names)) == sorted(LANGUAGES)
    assert f'"{COOKIE}=' in read_sources()["language.js"].replace("`", '"')


def test_languages_from_right_to_left_are_known() -> None:
    assert RIGHT_TO_LEFT & set(LANGUAGES) == {"ar"}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("FR-ca", "fr"),
        ("de-AT, de;q=0.9", "de"),
        ("ar-MA;q=0.5, es-419;q=0.7", "es"),
        ("es;q=0.5, de;q=0.5", "es"),
        ("nl, pt-BR;q=0.8, de;q=0.1", "de"),
        ("nl-NL", "en"),
        ("*", "en"),
        ("fr;q=0, de;q=0.1", "de"),
        ("fr;q=0", "en"),
        ("fr;q=x, de;q=0.2", "de"),
        ("fr;q=nan, de;q=0.2", "de"),
        ("fr;q=inf, de", "de"),
        ("fr;q=-1", "en"),
        ("fr;q", "en"),
        (";q=1, ,;;, de", "de"),
        ("fr;level=1;q=0.1, de;q=0.2", "de"),
        ("../fr", "en"),
        ("fr\x00", "en"),
        (", ".join(["nl"] * 100 + ["fr"]), "en"),
        ("n" * 60_000, "en"),
    ],
)
def test_the_language_of_the_browser_is_chosen(accepted: str, language: str) -> None:
    headers = Headers({"accept-language": accepted})
    assert choose_language(headers, LANGUAGES) == language


@pytest.mark.parametrize(
    ("cookie", "language"),
    [
        ("regulars_language=fr", "fr"),
        ("a=b; regulars_language=ar; c=d", "ar"),
        ("regulars_language=en", "en"),
        ("regulars_language=xx", "de"),
        ("regulars_language=", "de"),
        ("regulars_language", "de"),
        ("regulars_language=../../fr", "de"),
        ('regulars_language="fr"', "fr"),
        ("regulars_languages=fr", "de"),
    ],
)
def test_the_language_of_the_person_goes_first(cookie: str, language: str) -> None:
    headers = Headers({"accept-language": "de", "cookie": cookie})
    assert choose_language(headers, LANGUAGES) == language


def test_a_request_without_headers_is_english() -> None:
    assert choose_language(Headers({}), LANGUAGES) == "en"


@pytest.mark.parametrize("path", ["/sign-in", "/customers", "/nothing"])
def test_the_page_is_in_the_language(server: Server, path: str) -> None:
    etags = set()
    for language in LANGUAGES:
        headers = {"Accept": "text/html", "Accept-Language": f"{language}-XX"}
        answer = get(f"{server.url}{path}", headers=headers)
        assert answer.status_code == (404 if path == "/nothing" else 200)
        assert answer.headers["content-language"] == language
        assert {"accept-language", "cookie"} <= set(answer.headers["vary"].split(", "))
        direction = "rtl" if language == "ar" else "ltr"
        assert f'<html lang="{language}" dir="{direction}">' in answer.text
        assert "{{" not in answer.text
        assets = set(re.findall(r'"(/assets/[^"]+)"', answer.text))
        assert {path.split("/")[2].partition("-")[2] for path in assets} == {language}
        etags.add(answer.headers["etag"])
        again = get(
            f"{server.url}{path}", headers={**headers, "If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == (404 if path == "/nothing" else 304)
        assert again.headers["content-language"] == language
        chosen = get(f"{server.url}{path}", headers={**headers, "Cookie": f"{COOKIE}=es"})
        assert chosen.headers["content-language"] == "es"
    assert len(etags) == len(LANGUAGES)


def test_the_page_without_javascript_is_in_the_language(server: Server) -> None:
    for language, word in (
        ("en", "need"),
        ("fr", "besoin"),
        ("de", "brauchen"),
        ("es", "necesitan"),
    ):
        answer = get(f"{server.url}/sign-in", headers={"Accept-Language": language})
        (text,) = re.findall("<noscript>(.*)</noscript>", answer.text)
        assert word in text


def test_the_assets_have_the_texts_of_one_language(server: Server) -> None:
    words = {"en": "Sign out", "fr": "Se déconnecter", "de": "Abmelden", "es": "Cerrar sesión"}
    for language in words:
        page = get(f"{server.url}/sign-in", headers={"Accept-Language": language}).text
        (path,) = re.findall(r'"(/assets/[^"]+/app\.js)"', page)
        script = get(f"{server.url}{path}")
        assert "immutable" in script.headers["cache-control"]
        assert {other for other, text in words.items() if text in script.text} == {language}
        for other in (path.replace(f"-{language}/", "-xx/"), path.replace(f"-{language}/", "/")):
            assert get(f"{server.url}{other}").status_code == 404


def server_messages(language: str) -> dict[str, str]:
    """Return the sentences of the server with their translations."""
    source = read_translations()[language]
    body = source.partition("const serverMessages = {")[2].partition("\n};")[0]
    return {
        # A key with double quotes is in single quotes.
        (key[1:-1] if key[0] == "'" else json.loads(key)): json.loads(value)
        for key, value in re.findall(
            r"""^ +("(?:[^"\\]|\\.)+"|'[^'\\]+'):\s+("(?:[^"\\]|\\.)+"),$""", body, re.MULTILINE
        )
    }


def texts_of_server() -> str:
    """Return the texts in the modules of the server, with `{}` instead of values."""
    found = []
    folders = [Path(str(files(name))) for name in ("regulars", "email_validator")]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                found.append("".join(part if isinstance(part, str) else "{}" for part in parts))
    return "\n".join(found)


def test_every_translated_message_is_one_of_the_server() -> None:
    texts_in_english = texts_of_server()
    english = server_messages("fr")
    assert len(english) > 60
    for language in LANGUAGES[1:]:
        assert list(server_messages(language)) == list(english)
    for sentence, *translations in zip(
        english, *(server_messages(language).values() for language in LANGUAGES[1:]), strict=True
    ):
        # A library of emails has no period at the end.
        for part in re.split(r"\{\d\}", sentence.removesuffix(".")):
            # Some messages are made of two: a subject, and what is wrong with it.
            assert part.strip() in texts_in_english, sentence
        places = sorted(re.findall(r"\{\d\}", sentence))
        for translation in translations:
            assert sorted(set(re.findall(r"\{\d\}", translation))) == places
            assert translation.count("`") % 2 == 0
    assert "No filter is called {1}" not in texts_in_english
