"""What the pages are made of, read as text: what a browser's policy would refuse is not there, and
what is loaded first is what is needed first."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

FILES = {
    one.name: one.read_text(encoding="utf-8") for one in files("regulars").joinpath("web").iterdir()
}
MODULES = {name: text for name, text in FILES.items() if name.endswith(".js")}
_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+\.js)";$', re.MULTILINE)


def static_imports(name: str) -> set[str]:
    """The modules that are there before this one runs, and itself."""
    found, waiting = {name}, [name]
    while waiting:
        for _, other in _IMPORT.findall(MODULES[waiting.pop()]):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


@pytest.mark.parametrize("name", FILES)
def test_nothing_parses_markup_or_code_or_asks_elsewhere(name: str) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|DOMParser|\beval\(|new Function"
        r"|<script>|\bstyle=|\bon\w+=\"|javascript:"
    )
    assert not re.search(forbidden, FILES[name])
    addresses = set(re.findall(r"https?://[\w.]+", FILES[name]))
    # A namespace, and an example of an address.
    assert addresses <= {"http://www.w3.org", "https://example.com"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_uses_what_it_imports(name: str) -> None:
    text = MODULES[name]
    for names, other in _IMPORT.findall(text):
        assert other in MODULES
        for one in names.split(", "):
            uses = re.findall(rf"(?:(?<![\w$.])|(?<=\.\.\.)){re.escape(one)}\b", text)
            assert len(uses) > 1, one
            assert re.search(
                rf"^export (?:async )?(?:function|class|const) {one}\b",
                MODULES[other],
                re.MULTILINE,
            )


def test_the_page_loads_at_once_what_the_list_needs() -> None:
    needed = (
        static_imports("app.js") | static_imports("list-query.js") | static_imports("customers.js")
    )
    loaded = re.findall(r'(?:href|src)="\{\{assets\}\}/([\w-]+\.js)"', FILES["index.html"])
    assert sorted(loaded) == sorted(needed)


def test_a_text_that_is_shown_is_among_the_texts() -> None:
    told = MODULES["texts.js"]
    for name, text in MODULES.items():
        for path in re.findall(r"\bt((?:\.[a-zA-Z_]+)+)", text):
            parts = [part for part in path.split(".")[1:] if part not in ("map", "toLowerCase")]
            assert all(re.search(rf"\b{part}\b", told) for part in parts), (name, path)
