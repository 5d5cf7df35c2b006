"""The examples in the docs work, and the reference is complete."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regulars.cli.groups import ENTRIES
from regulars.settings import SETTINGS
from tests.support import Client, copy_sqlite_template, run_regulars

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def error_keys_in_code() -> set[str]:
    keys: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        keys |= set(
            re.findall(
                r'"(errors_\w+|rate_\w+|\w+s_not_found|\w+s_cannot_\w+|segments_dup\w+|webhooks_\w+|people_not_found|people_last_owner)"',
                path.read_text(encoding="utf-8"),
            )
        )
    return keys


def test_the_tutorial_shows_real_responses(client: Client) -> None:
    tutorial = code_blocks(ROOT / "docs" / "start" / "tutorial.md")
    example_count = 0
    for (kind, text), (next_kind, response) in itertools.pairwise(tutorial):
        if (kind, next_kind) == ("graphql", "json"):
            assert client.run(text) == json.loads(response), text
            example_count += 1
    assert example_count == sum(kind == "graphql" for kind, _ in tutorial) == 6


def test_the_page_about_dry_runs_shows_real_responses(client: Client) -> None:
    blocks = code_blocks(ROOT / "docs" / "integrate" / "preview-writes.md")
    assert len(blocks) == 6
    for (_, document), (_, response) in zip(blocks[::2], blocks[1::2], strict=True):
        assert client.run(document) == json.loads(response), document


def test_the_compiler_page_shows_the_real_output() -> None:
    (_, code), (_, output) = code_blocks(ROOT / "docs" / "explanation" / "compiler.md")
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert process.stdout == output


@pytest.mark.slow
def test_the_generated_pages_are_current() -> None:
    check = [sys.executable, "tools/reference.py", "--check"]
    process = subprocess.run(
        check, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 0, process.stdout


def test_every_error_key_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    assert documented == error_keys_in_code()


def test_every_error_key_is_tested() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "tests").glob("test_*.py")
        if path.name != "test_docs.py"
    )
    for key in error_keys_in_code():
        assert f'"{key}"' in tests, key


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for name in SETTINGS:
        assert f"`REGULARS_{name.upper()}`" in page


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for entry in ENTRIES:
        is_expected = bool(entry.module) and not entry.is_hidden
        assert (f"\n### regulars {entry.name}\n" in page) is is_expected, entry.name


def read_prose(path: Path) -> str:
    """Return a page without its code blocks."""
    fence = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
    return fence.sub("", path.read_text(encoding="utf-8"))


def links_of(path: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each relative link of a page."""
    targets = re.findall(r"\]\((?![a-z]+:)([^)#]*)#?([^)]*)\)", read_prose(path))
    return [((path.parent / file).resolve() if file else path, anchor) for file, anchor in targets]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", read_prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_has_a_target(path: Path) -> None:
    for target, anchor in links_of(path):
        assert target.exists(), target
        assert not anchor or anchor in anchors_of(target), f"{target.name}#{anchor}"


def test_every_page_is_reachable_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [target for target, _ in links_of(page)]
    assert set(PAGES) <= reached


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_page_opens_with_a_sentence(path: Path) -> None:
    """The sentence after the title says what the reader can do with the page."""
    text = re.sub(r"<!--.*?-->", "", read_prose(path), flags=re.DOTALL).strip()
    title, _, rest = text.partition("\n")
    assert title.startswith("# ")
    assert re.match(r"[A-Z`]", rest.strip()), rest[:80]


def test_modules_named_in_the_docs_exist() -> None:
    """The pages about the code refer to modules of the package. `notices` is the example entity."""
    package = ROOT / "src" / "regulars"
    roots = [ROOT, package, package / "store"]
    missing = []
    for page in ("explanation/architecture.md", "explanation/compiler.md", "glossary.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        paths = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|js|graphql)|[\w/-]+/)`", text)
        missing += [
            f"{page}: {path}"
            for path in paths
            if "notices" not in path and not any((root / path).exists() for root in roots)
        ]
    assert not missing


@pytest.mark.slow
def test_the_page_about_imports_shows_what_a_dry_run_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = code_blocks(ROOT / "docs" / "use" / "import.md")
    (shown,) = [text for kind, text in blocks if kind == "text"]
    monkeypatch.chdir(tmp_path)
    content = "E-mail;Prénom;Pays\nzoe@example.com;Zoë;France\nandre@example.com;André;Fraance\n"
    Path("customers.csv").write_text(f"{content};Luc;Maroc\n", encoding="cp1252")
    copy_sqlite_template(tmp_path / "r.db")
    env = {"REGULARS_DATABASE_URL": "sqlite:///r.db"}
    assert run_regulars("account", "create", "shop", env=env).returncode == 0
    done = run_regulars("import", "customers.csv", "--dry-run", env=env)

    def lines(text: str) -> list[str]:
        """The lines whose numbers do not depend on the machine or the size of the file."""
        return [line for line in text.splitlines() if not re.search("second|1,000 rows", line)]

    assert lines(done.stderr + done.stdout) == lines(shown)
