"""Tests of the source of the pages: imports, routes, texts, and code that a browser would block."""

from __future__ import annotations

import re
import shutil
import subprocess
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from regulars.core.roles import ROLES
from regulars.customers import addresses
from regulars.customers.fields import FIELDS
from regulars.http.page_modules import DYNAMIC_IMPORT as _DYNAMIC_IMPORT
from regulars.http.pages import Pages, minify, read_sources, read_translations, serve
from regulars.store.imports import PENDING, RECEIVING, RUNNING
from regulars.transfer.import_repository import CANCELLED, DONE, FAILED
from regulars.webhooks.filters import FILTERS

PACKAGE = files("regulars")
FILES = read_sources()
TRANSLATIONS = read_translations()
MODULES = {name: text for name, text in FILES.items() if name.endswith(".js")}
_IMPORT = re.compile(r'^import \{\s*([^}]*?),?\s*\} from "\./([\w-]+\.js)";$', re.MULTILINE)


def import_graph() -> dict[str, set[str]]:
    """Return the modules that each module imports, statically or dynamically."""
    return {
        name: {other for _, other in _IMPORT.findall(text)} | set(_DYNAMIC_IMPORT.findall(text))
        for name, text in MODULES.items()
    }


def static_imports(name: str) -> set[str]:
    """Return the module and all modules that are loaded before it runs."""
    loaded, queue = {name}, [name]
    while queue:
        for _, other in _IMPORT.findall(MODULES[queue.pop()]):
            if other not in loaded:
                loaded.add(other)
                queue.append(other)
    return loaded


_LINK = """
const { SourceTextModule } = require("vm");
const modules = new Map(process.argv.slice(1).map((path) => [
  require("path").basename(path), new SourceTextModule(require("fs").readFileSync(path, "utf8"))]));
const find = (specifier) => modules.get(specifier.slice(2));
(async () => {
  for (const module of modules.values()) if (module.status === "unlinked") await module.link(find);
})();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is missing.")
def test_the_served_modules_are_valid(tmp_path: Path) -> None:
    """Browsers receive modules without comments and indentation, and some of them in one file. Every
    import is an export of the imported file."""
    served = serve(read_sources())
    for name, text in served.items():
        if name.endswith(".js"):
            (tmp_path / name).write_bytes(minify(name, text.encode()))
    paths = sorted(str(path) for path in tmp_path.iterdir())
    command = ["node", "--experimental-vm-modules", "--no-warnings", "-e", _LINK, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_modules_of_the_list_are_served_in_three_files() -> None:
    """The first request needs two modules, and the other modules of the list are one file."""
    served = serve(read_sources())
    first = static_imports("list-query.js")
    joined = (static_imports("app.js") | static_imports("customers.js")) - first
    assert len(joined) > 14
    # Each of these is needed by one page only.
    parts = dict.fromkeys(("examples.js", "graphql.js"), "explorer.js")
    parts["import-repair.js"] = "imports.js"
    parts |= dict.fromkeys(("filters.js", "query-terms.js"), "filter-bar.js")
    of_customers = [
        *("contact-points", "address-book", "entry-list", "inline-field", "comments"),
        *("customer-changes", "customer-data", "customer-orders", "customer-timeline"),
        *("neighbours", "revert"),
    ]
    parts |= dict.fromkeys((f"{name}.js" for name in of_customers), "customer.js")
    assert set(MODULES) - set(served) == (joined - {"app.js"}) | parts.keys()
    for name, page in parts.items():
        assert served[page].count(f'modules["{name}"] = (') == 1
    for name in joined:
        assert served["app.js"].count(f'modules["{name}"] = (') == 1
    loaded = re.findall(r'(?:href|src)="\{\{assets\}\}/([\w-]+\.js)"', served["index.html"])
    assert sorted(loaded) == sorted({"app.js", *first})
    for name, text in served.items():
        assert not set(re.findall(r"[\"(]\./([\w-]+\.js)\"", text)) & (joined - {"app.js"}), name


def test_the_texts_of_other_pages_are_loaded_with_them() -> None:
    served = serve(read_sources())
    group = "\n  explorer: {\n"
    assert group in MODULES["texts.js"]
    assert group in served["page-texts.js"]
    assert group not in served["app.js"]
    assert "\n  list: {\n" in served["app.js"]
    loaded = set(_DYNAMIC_IMPORT.findall("".join(MODULES.values()))) & set(served)
    assert len(loaded) > 10
    for name in loaded - {"page-texts.js"}:
        assert 'import { pageTexts } from "./page-texts.js";' in served[name]


def test_imports_have_no_cycle() -> None:
    graph = import_graph()
    assert len(graph["routes.js"]) > 8
    list(TopologicalSorter(graph).static_order())
    graph["navigation.js"].add("routes.js")
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_every_import_statement_is_recognised() -> None:
    for name, text in MODULES.items():
        statements = re.findall(r"^import \{|\bimport\(", text, re.MULTILINE)
        assert len(statements) == len(_IMPORT.findall(text)) + len(_DYNAMIC_IMPORT.findall(text)), (
            name
        )


_FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|DOMParser|\beval\(|new Function"
    r"|<script>|\bstyle=|\bon\w+=\"|javascript:"
)


@pytest.mark.parametrize("name", FILES)
def test_no_file_parses_markup_or_code_or_names_another_site(name: str) -> None:
    assert not _FORBIDDEN.search(FILES[name])
    urls = set(re.findall(r"https?://[\w.]+", FILES[name]))
    # A namespace, and an example.
    assert urls <= {"http://www.w3.org", "https://example.com"}


@pytest.mark.parametrize(
    "code",
    [
        "element.innerHTML = text;",
        "document.write(text);",
        "eval(text);",
        "new Function(text);",
        '<a onclick="run()">',
        '<p style="color: red">',
        '<a href="javascript:run()">',
    ],
)
def test_code_that_parses_markup_is_recognised(code: str) -> None:
    assert _FORBIDDEN.search(code)


def invalid_imports(name: str, modules: dict[str, str]) -> list[str]:
    """Return the names that a module imports but does not use, or that are not exported."""
    text = modules[name]
    return [
        imported
        for names, other in _IMPORT.findall(text)
        for imported in re.split(r",\s*", names)
        if len(re.findall(rf"(?:(?<![\w$.])|(?<=\.\.\.)){re.escape(imported)}\b", text)) < 2
        or not re.search(
            rf"^export (?:async )?(?:function|class|const) {imported}\b",
            modules.get(other, ""),
            re.MULTILINE,
        )
    ]


@pytest.mark.parametrize("name", MODULES)
def test_every_import_exists_and_is_used(name: str) -> None:
    assert invalid_imports(name, MODULES) == []


def test_invalid_imports_are_recognised() -> None:
    page = 'import { h, svg } from "./dom.js";\nimport { t } from "./gone.js";\nh(t);\n// dom.svg\n'
    assert invalid_imports("page.js", {**MODULES, "page.js": page}) == ["svg", "t"]


def test_every_export_is_imported() -> None:
    imported = {
        (other, name)
        for text in MODULES.values()
        for names, other in _IMPORT.findall(text)
        for name in re.split(r",\s*", names)
    }
    exported = {
        (name, export)
        for name, text in MODULES.items()
        for export in re.findall(
            r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE
        )
    }
    pages = set(_DYNAMIC_IMPORT.findall(MODULES["routes.js"]))
    # The list destructures the module that it loads at its first use.
    for source in map(code_of, MODULES):
        for other in set(_DYNAMIC_IMPORT.findall(source)) - pages:
            used = set(re.findall(r"\w+", source))
            imported |= {(other, name) for _, name in exported if name in used}
    assert exported - imported == {(page, "show") for page in pages}


def test_the_server_serves_the_routes_of_the_pages() -> None:
    paths = Pages(gravatar=False).paths
    assert paths == ["/", *(re.sub(r":(\w+)", r"{\1}", path) for path in route_paths())]
    assert {"/", "/sign-in", "/customers", "/customers/{number}", "/webhooks/{number}"} <= set(
        paths
    )
    assert len(route_paths()) == len(_DYNAMIC_IMPORT.findall(MODULES["routes.js"]))


def test_every_page_is_documented() -> None:
    page = Path(__file__).parents[1] / "docs" / "reference" / "pages.md"
    text = page.read_text(encoding="utf-8")
    for path in route_paths():
        documented = path.replace(":number", "N").replace(":id", "ID")
        assert f"`{documented}`" in text, path


def route_paths() -> list[str]:
    """Return the paths in routes.js. The page for all other URLs has none."""
    return re.findall(r'^  \{ path: "(.*?)"', MODULES["routes.js"], re.MULTILINE)


# Methods of strings and arrays, which are not keys of texts.
_METHODS = {"map", "toLowerCase", "slice", "at"}


class Literal:
    """A reader of object literals. It returns the keys, each with an object, or None for a text."""

    def __init__(self, source: str, start: int) -> None:
        self.source = source
        self.position = start

    def read(self) -> dict[str, Any]:
        """Read the object at the current position."""
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


_COMMENT = re.compile(r"(?<!:)//[^\n]*|/\*.*?\*/", re.DOTALL)
# A key of `t`, as in `t.list.count`, and whether a computed key follows, as in `t.nav[name]`.
_TEXT_KEY = re.compile(r"(?<![\w.$])t((?:\??\.\w+)+)(\[(?!\d))?")


def code_of(name: str) -> str:
    """Return a module without its comments."""
    return _COMMENT.sub("", MODULES[name])


def unused_and_missing(all_texts: dict[str, Any], sources: list[str]) -> tuple[set[str], set[str]]:
    """Return the texts that no module uses, and the keys that modules use without a text."""
    unused, missing = set(leaves(all_texts)), set()
    for source in sources:
        for names, index in _TEXT_KEY.findall(source):
            path = names[1:].replace("?", "").split(".")
            node: Any = all_texts
            for depth, name in enumerate(path):
                if node is None and name in _METHODS:
                    path = path[:depth]
                    break
                if node is None or name not in node:
                    missing.add(".".join(path))
                    break
                node = node[name]
            else:
                if isinstance(node, dict) and not index:
                    missing.add(".".join(path))  # an object is not a text
            key = ".".join(path)
            # A computed key may be any key of the group: see GROUPS.
            unused -= {
                leaf for leaf in unused if leaf == key or (index and leaf.startswith(f"{key}."))
            }
    return unused, missing


def enum_values(name: str) -> set[str]:
    """Return the values of an enum of the GraphQL schema."""
    sdl = "\n".join(
        path.read_text(encoding="utf-8") for path in Path(str(PACKAGE)).rglob("schema.graphql")
    )
    (body,) = re.findall(rf"^enum {name} \{{(.*?)^\}}", sdl, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"\w+", re.sub(r'"[^"]*"', "", body)))


def leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the path of each text, as in `list.columns.full_name`."""
    return [
        leaf
        for name, child in node.items()
        for leaf in (
            leaves(child, f"{prefix}{name}.") if child is not None else [f"{prefix}{name}"]
        )
    ]


# The groups of texts that a module reads with a computed key, and the keys that can occur. None is
# a group with one name for each field (see `fieldName`): a missing one has another text instead.
GROUPS: dict[str, set[str] | None] = {
    "address": {*addresses.PARTS, "name"},
    "addresses.flags": {"default_shipping", "default_billing"},
    "addresses.problem": enum_values("AddressProblemKind"),
    "addresses.roles": {"default_shipping", "default_billing"},
    "contacts.duplicate": {"emails", "phones"},
    "contacts.makeDefault": {"emails", "phones"},
    "custom.kinds": {"text", "number", "yes", "json"},
    "customer.sections": {"profile", "addresses", "more"},
    "explorer.kinds": {"OBJECT", "INTERFACE", "UNION", "ENUM", "INPUT_OBJECT", "SCALAR"},
    "explorer.names": set(
        re.findall(r'^  \[\s*"(\w+)",\s*`', MODULES["examples.js"], re.MULTILINE)
    ),
    "filters.dates": {"last", "ago", "on", "since", "until", "after", "before"},
    "filters.keys": None,
    "filters.relations": {"is", "isNot", "begins", "beginsNot"},
    "filters.wordRelations": {"is", "isNot"},
    "imports.outcomes": {"created", "updated", "unchanged", "rejected", "rows_with_warnings"},
    "imports.checks": {"silent", "strict"},
    "imports.download": {"rejected", "warnings"},
    "imports.fix": {"rejected", "warnings"},
    "imports.places": {"row", "line", "record"},
    "imports.settings": {"match", "empty", "consent", "tags"},
    "imports.states": {RECEIVING, PENDING, RUNNING, DONE, FAILED, CANCELLED},
    "jobs.changes": {"set", "clear", "add"},
    "jobs.kinds": enum_values("JobKind"),
    "jobs.outcomes": {"changed", "unchanged", "rejected"},
    "list.columns": None,
    "list.orders": None,
    "list.units": None,
    "segments.columns": None,
    "segments.kinds": {"query", "tags"},
    "segments.operator": {"include", "exclude"},
    "segments.operators": {"include", "exclude"},
    "segments.tags": {"include", "exclude"},
    "nav": set(re.findall(r'path: "/(\w+)".* icon:', MODULES["routes.js"])),
    "exporting.presetNames": {"newsletter", "all", "excel"},
    "overview.periods": {"week", "month", "quarter", "year"},
    "navGroups": set(re.findall(r'group: "(\w+)"', MODULES["routes.js"])),
    "orders.columns": None,
    "people.columns": None,
    "people.permissions": set(ROLES),
    "people.roles": set(ROLES),
    "people.states": enum_values("PersonState"),
    "orders.financial": enum_values("OrderFinancialStatus"),
    "orders.fulfillment": enum_values("OrderFulfillmentStatus"),
    "timeline.actors": enum_values("ActorKind"),
    "timeline.kinds": enum_values("CustomerChangeKind"),
    "webhooks.filters": set(FILTERS),
    "tokens.columns": None,
    "trash.columns": None,
    "tokens.states": enum_values("TokenState"),
    "webhooks.states": enum_values("WebhookDeliveryState"),
}


def test_every_text_is_shown_and_every_shown_text_exists() -> None:
    sources = [code_of(name) for name in MODULES if name != "texts.js"] + [FILES["index.html"]]
    all_texts = texts()
    assert len(leaves(all_texts)) > 300
    assert unused_and_missing(all_texts, sources) == (set(), set())
    for removed in ("unsaved", "title"):  # a group, and a text in it
        fewer = {**all_texts, "unsaved": {**all_texts["unsaved"]}}
        del (fewer["unsaved"] if removed == "title" else fewer)[removed]
        assert "unsaved.title" in unused_and_missing(fewer, sources)[1]
    more = {**all_texts, "errors": {**all_texts["errors"], "nowhere": None}}
    assert unused_and_missing(more, sources) == ({"errors.nowhere"}, set())


def test_a_text_in_a_comment_is_not_shown() -> None:
    source = _COMMENT.sub("", "show(t.save); // t.cancel\n/** As t.close. */\nshow(t.copy);")
    assert [key for key, _ in _TEXT_KEY.findall(source)] == [".save", ".copy"]


def test_every_computed_key_has_a_text() -> None:
    groups = {
        key[1:].replace("?", "")
        for name in MODULES
        for key, index in _TEXT_KEY.findall(code_of(name))
        if index
    }
    assert groups == set(GROUPS)
    all_texts = texts()
    for group, keys in GROUPS.items():
        node = all_texts
        for name in group.split("."):
            node = node[name]
        if keys is not None:
            assert set(node) == keys, group


def test_every_field_has_a_label() -> None:
    labels = Literal(
        MODULES["texts.js"],
        MODULES["texts.js"].index("{", MODULES["texts.js"].index("const fields =")),
    ).read()
    names = {field.name for field in FIELDS}
    assert names - set(labels) == {"avatar", "version"}  # which the pages show without a label
    assert set(labels) - names == {"_id", "name"}  # columns of files
