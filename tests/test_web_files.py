"""The files of the pages, read as text: their imports, their texts, and what a browser would block."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any

import pytest

from regulars.customers.fields import FIELDS
from regulars.http.pages import Pages

FILES = {
    one.name: one.read_text(encoding="utf-8") for one in files("regulars").joinpath("web").iterdir()
}
MODULES = {name: text for name, text in FILES.items() if name.endswith(".js")}
_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+\.js)";$', re.MULTILINE)


_DYNAMIC_IMPORT = re.compile(r'\bimport\("\./([\w-]+\.js)"\)')


def import_graph() -> dict[str, set[str]]:
    """The modules, each with those that it imports, at once or later."""
    return {
        name: {other for _, other in _IMPORT.findall(text)} | set(_DYNAMIC_IMPORT.findall(text))
        for name, text in MODULES.items()
    }


def static_imports(name: str) -> set[str]:
    """The modules that are loaded before this one runs, and itself."""
    loaded, queue = {name}, [name]
    while queue:
        for _, other in _IMPORT.findall(MODULES[queue.pop()]):
            if other not in loaded:
                loaded.add(other)
                queue.append(other)
    return loaded


def test_no_modules_import_each_other() -> None:
    graph = import_graph()
    assert len(graph["routes.js"]) > 8
    list(TopologicalSorter(graph).static_order())
    graph["navigation.js"].add("routes.js")  # what the pages import, and what loads the pages
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_every_import_statement_is_understood() -> None:
    for name, text in MODULES.items():
        statements = re.findall(r"^import \{|\bimport\(", text, re.MULTILINE)
        assert len(statements) == len(_IMPORT.findall(text)) + len(_DYNAMIC_IMPORT.findall(text)), (
            name
        )


@pytest.mark.parametrize("name", FILES)
def test_no_file_parses_markup_or_code_or_names_another_site(name: str) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|DOMParser|\beval\(|new Function"
        r"|<script>|\bstyle=|\bon\w+=\"|javascript:"
    )
    assert not re.search(forbidden, FILES[name])
    urls = set(re.findall(r"https?://[\w.]+", FILES[name]))
    # A namespace, and an example.
    assert urls <= {"http://www.w3.org", "https://example.com"}


@pytest.mark.parametrize("name", MODULES)
def test_every_import_exists_and_is_used(name: str) -> None:
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


def test_the_page_preloads_the_modules_of_the_list() -> None:
    needed = (
        static_imports("app.js") | static_imports("list-query.js") | static_imports("customers.js")
    )
    loaded = re.findall(r'(?:href|src)="\{\{assets\}\}/([\w-]+\.js)"', FILES["index.html"])
    assert sorted(loaded) == sorted(needed)


def test_the_server_serves_the_routes_of_the_pages() -> None:
    paths = Pages(gravatar=False).paths
    assert paths == ["/", *(path.replace(":number", "{number}") for path in route_paths())]
    assert {"/", "/sign-in", "/customers", "/customers/{number}", "/webhooks/{number}"} <= set(
        paths
    )
    assert len(route_paths()) == len(_DYNAMIC_IMPORT.findall(MODULES["routes.js"])) - 1


def route_paths() -> list[str]:
    """The paths in routes.js; the page for all others has none."""
    return re.findall(r'^  \{ path: "(.*?)"', MODULES["routes.js"], re.MULTILINE)


# The keys of texts that are no text of their own: methods of strings and arrays.
_METHODS = {"map", "toLowerCase", "slice", "at"}


class Literal:
    """A reader of object literals: the keys, and for each an object or None for a text."""

    def __init__(self, source: str, start: int) -> None:
        self.source = source
        self.position = start

    def read(self) -> dict[str, Any]:
        """Read the object that begins here."""
        keys: dict[str, Any] = {}
        self._take(r"\s*\{")
        while not self._take(r"(?:\s|//[^\n]*\n|,)*\}"):
            key = self._take(r"(?:\s|//[^\n]*\n|,)*(\w+)\s*")
            assert key, self.source[self.position : self.position + 80]
            keys[key.group(1)] = None
            if self._take(r":\s*(?=\{)"):
                keys[key.group(1)] = self.read()
            elif not self.source.startswith(",", self.position):
                self._skip_value()
            else:  # a constant of the same name
                constant = self.source.find(f"const {key.group(1)} = {{")
                if constant >= 0:
                    keys[key.group(1)] = Literal(
                        self.source, self.source.index("{", constant)
                    ).read()
        return keys

    def _take(self, pattern: str) -> re.Match[str] | None:
        match = re.compile(pattern).match(self.source, self.position)
        if match:
            self.position = match.end()
        return match

    def _skip_value(self) -> None:
        depth = 0
        while depth or self.source[self.position] not in ",}":
            if self._take(r'"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`'):
                continue
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(
                self.source[self.position], 0
            )
            self.position += 1


def texts() -> dict[str, Any]:
    source = MODULES["texts.js"]
    return Literal(source, source.index("{", source.index("export const t = "))).read()


def unused_and_missing(all_texts: dict[str, Any], sources: list[str]) -> tuple[set[str], set[str]]:
    """The texts that no module shows, and those that a module shows and that are not there."""
    unused, missing = set(leaves(all_texts)), set()
    for source in sources:
        for names, index in re.findall(r"(?<![\w.$])t((?:\??\.\w+)+)(\[)?", source):
            path = names[1:].replace("?", "").split(".")
            node: Any = all_texts
            for place, name in enumerate(path):
                if node is None and name in _METHODS:
                    path = path[:place]
                    break
                if node is None or name not in node:
                    missing.add(".".join(path))
                    break
                node = node[name]
            else:
                if isinstance(node, dict) and not index:
                    missing.add(".".join(path))  # an object is no text
            shown = ".".join(path)
            # A key that is computed may be any of them.
            unused -= {
                leaf for leaf in unused if leaf == shown or (index and leaf.startswith(f"{shown}."))
            }
    return unused, missing


def leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        leaf
        for name, child in node.items()
        for leaf in (
            leaves(child, f"{prefix}{name}.") if child is not None else [f"{prefix}{name}"]
        )
    ]


def test_every_text_is_shown_and_every_shown_text_exists() -> None:
    sources = [text for name, text in MODULES.items() if name != "texts.js"]
    all_texts = texts()
    assert len(leaves(all_texts)) > 300
    assert unused_and_missing(all_texts, sources) == (set(), set())
    for removed in ("unsaved", "title"):  # of a group, and a group
        fewer = {**all_texts, "unsaved": {**all_texts["unsaved"]}}
        del (fewer["unsaved"] if removed == "title" else fewer)[removed]
        assert "unsaved.title" in unused_and_missing(fewer, sources)[1]
    more = {**all_texts, "errors": {**all_texts["errors"], "nowhere": None}}
    assert unused_and_missing(more, sources) == ({"errors.nowhere"}, set())


def test_every_field_has_a_label() -> None:
    labels = Literal(
        MODULES["texts.js"],
        MODULES["texts.js"].index("{", MODULES["texts.js"].index("const fields =")),
    ).read()
    names = {field.name for field in FIELDS}
    assert names - set(labels) == {"avatar", "version"}  # which the pages show without a label
    assert set(labels) - names == {"_id", "name"}  # columns of files
