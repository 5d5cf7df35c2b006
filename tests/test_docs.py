"""The docs: what they show is what happens, and what there is they name."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regulars.cli.accounts import account_app, token_app
from regulars.cli.inbox import inbox_app
from regulars.cli.main import app
from regulars.cli.maintenance import app as maintenance_app
from regulars.cli.transfer import app as transfer_app
from regulars.cli.webhooks import app as webhooks_app
from regulars.cli.webhooks import secret_app
from regulars.settings import Settings
from tests.support import BOOTSTRAP_TOKEN, Client, run_server

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def keys_in_the_code() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        found |= set(
            re.findall(
                r'"(errors_\w+|rate_\w+|tokens_not\w+|webhooks_\w+)"',
                path.read_text(encoding="utf-8"),
            )
        )
    return found


def test_the_tutorial_is_answered_as_it_says(client: Client) -> None:
    found = blocks(ROOT / "docs" / "tutorial.md")
    shown = 0
    for (kind, text), (next_kind, answer) in itertools.pairwise(found):
        if (kind, next_kind) == ("graphql", "json"):
            assert client.run(text) == json.loads(answer), text
            shown += 1
    assert shown == sum(kind == "graphql" for kind, _ in found) == 6


def test_the_queries_of_the_readme_are_answered_as_it_says(tmp_path: Path) -> None:
    shown = [
        (command, answer)
        for (_, command), (kind, answer) in itertools.pairwise(blocks(ROOT / "README.md"))
        if "curl" in command and kind == "json"
    ]
    assert len(shown) == 2
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        for command, answer in shown:
            printed = subprocess.run(
                ["bash", "-c", command.replace("http://127.0.0.1:8000", server.url)],
                env={"REGULARS_TOKEN": BOOTSTRAP_TOKEN, "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            )
            assert json.loads(printed.stdout) == json.loads(answer)


def test_the_compilers_example_answers_what_it_says() -> None:
    (_, code), (_, printed) = blocks(ROOT / "docs" / "compiler.md")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == printed


def test_the_generated_pages_are_current() -> None:
    check = [sys.executable, "tools/reference.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_every_error_key_has_its_line() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    assert documented == keys_in_the_code()


def test_every_error_key_is_tested() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "tests").glob("test_*.py")
        if path.name != "test_docs.py"
    )
    for key in keys_in_the_code():
        assert f'"{key}"' in tests, key


def test_every_setting_has_its_line() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`REGULARS_{name.upper()}`" in page


def test_every_command_has_its_heading() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    groups = (
        *(("", app), ("", maintenance_app), ("", webhooks_app)),
        ("", transfer_app),
        *(("account ", account_app), ("token ", token_app)),
        *(("webhook-secret ", secret_app), ("inbox ", inbox_app)),
    )
    for prefix, group in groups:
        for command in group.registered_commands:
            name = command.name or (command.callback.__name__ if command.callback else "")
            assert f"\n## regulars {prefix}{name}\n" in page


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), target


def test_no_page_is_left_out_of_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in DOCS:
        name = path.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index


def test_the_modules_that_the_docs_name_exist() -> None:
    """The pages about the code name modules of the program. `notices` is an invented entity."""
    program = ROOT / "src" / "regulars"
    roots = [ROOT, program, program / "store"]
    missing = []
    for page in ("architecture.md", "compiler.md", "glossary.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        paths = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|js|graphql)|[\w/-]+/)`", text)
        missing += [
            f"{page}: {path}"
            for path in paths
            if "notices" not in path and not any((root / path).exists() for root in roots)
        ]
    assert not missing
