"""The help of the command line, its suggestions, completion, and what it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from regulars.cli.errors import USAGE
from regulars.cli.groups import ENTRIES, GROUPS
from tests.support import build_environment, run_regulars

VISIBLE = [entry for entry in ENTRIES if not entry.is_hidden]
# Slow to import, and not needed for the help.
HEAVY = (
    "alembic",
    "apsw",
    "asyncio",
    "asyncpg",
    "email_validator",
    "faker",
    "graphql",
    "httpx",
    "phonenumbers",
    "prometheus_client",
    "regex",
    "rich",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "xlsxwriter",
)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_lists_every_command_in_its_group(option: str) -> None:
    output = run_regulars(option).stdout
    headings = [line[:-1] for line in output.splitlines() if re.fullmatch(r"\w[\w ]+:", line)]
    assert headings == ["Options", *GROUPS]
    for entry in VISIBLE:
        is_listed = bool(re.search(rf"^  {re.escape(entry.name)}  +\S", output, re.MULTILINE))
        assert is_listed is (" " not in entry.name), entry.name
    assert "Examples:" in output


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_a_command_has_help(name: str) -> None:
    done = run_regulars(*name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: regulars {name} " in done.stdout
    assert run_regulars("help", *name.split()).stdout == done.stdout
    if any(entry.name == name and entry.module for entry in ENTRIES):
        assert "Examples:\n" in done.stdout
        assert f"regulars {name.replace('forget', 'delete')}" in done.stdout.split("Examples:")[1]
    # No types of Python, as in <str> or list[str].
    assert not re.search(r"<(str|int|bool|path|list|float|text)\b|list\[|None\b", done.stdout)


def test_descriptions_are_sentences() -> None:
    for entry in ENTRIES:
        assert re.fullmatch(r"[A-Z][^.]+\.", entry.summary), entry.name
        assert entry.group in GROUPS


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["srve"], "Did you mean 'serve'?"),
        (["tokens"], "Did you mean 'token'?"),
        (["token-create"], "Did you mean 'token create'?"),
        (["token", "lst"], "Did you mean 'list'?"),
        (["help", "dctor"], "Did you mean 'doctor'?"),
        (["serve", "--prot", "1"], "--port"),
    ],
)
def test_a_misspelt_word_has_a_suggestion(arguments: list[str], suggestion: str) -> None:
    done = run_regulars(*arguments)
    assert done.returncode == USAGE
    assert suggestion in done.stderr


def test_a_word_unlike_any_command_has_no_suggestion() -> None:
    done = run_regulars("xyzzy")
    assert done.returncode == USAGE
    assert done.stderr.endswith("No such command 'xyzzy'.\n")


def test_the_version_is_an_option() -> None:
    assert run_regulars("--version").stdout == run_regulars("version").stdout
    assert run_regulars("-V").stdout.startswith("regulars ")


def test_old_names_work_and_are_hidden() -> None:
    help_of_group = run_regulars("inbox", "--help").stdout
    assert "forget" not in help_of_group
    assert "delete" in help_of_group
    for command, old in (
        ("migrate", "--before"),
        ("copy", "--continue"),
        ("account move", "--alone"),
    ):
        done = run_regulars(*command.split(), "--help")
        assert old not in done.stdout
        assert "No such option" not in run_regulars(*command.split(), old).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("regulars to", ["token"]),
        ("regulars token ", ["create", "list", "rename", "revoke"]),
        ("regulars serve --log-level w", ["warning"]),
        ("regulars import --tags ", ["add", "replace"]),
        ("regulars export --columns email,first", ["email,first_name"]),
        ("regulars token create --scope me", ["metrics"]),
        ("regulars account rename sh", ["shop-1", "shop-2"]),
        ("regulars export --account shop-2", ["shop-2"]),
        ("regulars webhook show --account shop-1 ", ["1"]),
        ("regulars webhook show --url http://127.0.0.1:1 ", []),
        ("regulars segments show --account shop-1 ", ["vip"]),
        ("regulars export --account shop-1 --segment v", ["vip"]),
        ("regulars webhook filter 1 --account shop-1 --segment v", ["vip"]),
        ("regulars account rename --database-url postgresql://127.0.0.1:1/x ", []),
    ],
)
def test_a_shell_completes_commands_and_values(
    typed: str, expected: list[str], new_database: str, tmp_path: Path
) -> None:
    env = {"REGULARS_DATABASE_URL": new_database}
    for name in ("shop-1", "shop-2"):
        assert run_regulars("account", "create", name, env=env).returncode == 0
    document = tmp_path / "create.graphql"
    document.write_text(
        'mutation { createWebhook(node: {type: "contact/signup", url: "https://x.test/"}) { id } }'
    )
    created = run_regulars("query", str(document), "--account", "shop-1", env=env)
    assert created.returncode == 0, created.stderr
    segment = ("segments", "create", "vip", "--account", "shop-1")
    assert run_regulars(*segment, env=env).returncode == 0
    words = typed.split(" ")
    variables = {
        "_REGULARS_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    program = "import sys; sys.argv = ['regulars']; from regulars.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=build_environment({**env, **variables}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert sorted(done.stdout.split()) == expected
    script = run_regulars("--show-completion")
    assert script.returncode in (0, 1)  # 1 where the shell is unknown


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["--help", "version", "--version", "token --help"])
def test_the_help_imports_nothing_slow(arguments: str) -> None:
    program = (
        "import sys, atexit; sys.argv = ['regulars', *sys.argv[1:]];"
        f"atexit.register(lambda: print('IMPORTED', [m for m in {HEAVY} if m in sys.modules]));"
        "from regulars.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments.split()],
        env=build_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "IMPORTED []"


@pytest.mark.slow
def test_samples_need_an_extra() -> None:
    program = (
        "import sys; sys.modules['faker'] = None; sys.argv = ['regulars', 'sample'];"
        "from regulars.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=build_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == USAGE
    assert "pip install 'regulars[sample]'" in done.stderr
    assert "Traceback" not in done.stderr
