"""The command line: where its output goes, and how values of options are read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regulars.cli.errors import REFUSED, USAGE
from tests.support import build_environment, copy_sqlite_template, run_regulars
from tests.terminal import run_on_terminal

EMAILS = [f"c{number}@example.com" for number in range(3)]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a database with three customers."""
    copy_sqlite_template(tmp_path / "r.db")
    env = {"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"}
    file = tmp_path / "customers.csv"
    file.write_text("\n".join(["email", *EMAILS]) + "\n")
    assert run_regulars("account", "create", "shop", env=env).returncode == 0
    assert run_regulars("import", str(file), env=env).returncode == 0
    return env


@pytest.mark.slow
def test_a_full_disk_behind_the_output_has_a_message(env: dict[str, str]) -> None:
    for command in ("customers search", "export -"):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "regulars", *command.split()],
                env=build_environment(env),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == REFUSED
        message = "regulars: The output cannot be written: No space left on device.\n"
        assert done.stderr == message, command


def test_an_export_to_a_device_does_not_replace_it(env: dict[str, str]) -> None:
    assert run_regulars("export", "/dev/null", env=env).returncode == 0
    assert Path("/dev/null").is_char_device()
    done = run_regulars("export", "/dev/full", env=env)
    assert done.returncode == REFUSED
    assert "'/dev/full' cannot be written: No space left on device." in done.stderr
    assert Path("/dev/full").is_char_device()


def test_an_export_to_a_pipe_is_read_at_the_other_end(env: dict[str, str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(pipe.read_text()))
    reader.start()
    done = run_regulars("export", str(pipe), "--columns", "email", env=env)
    reader.join(10)
    assert done.returncode == 0, done.stderr
    assert texts[0].split() == ["email", *EMAILS]
    assert pipe.is_fifo()


def test_an_export_to_a_link_replaces_its_target(env: dict[str, str], tmp_path: Path) -> None:
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    target.write_text("old")
    link.symlink_to(target)
    assert run_regulars("export", str(link), "--columns", "email", env=env).returncode == 0
    assert link.is_symlink()
    assert target.read_text().split() == ["email", *EMAILS]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("customers search --limit x", "--limit must be a whole number from 1 to 10,000, not 'x'."),
        ("customers search --limit 0", "--limit must be a whole number from 1 to 10,000, not '0'."),
        ("webhook test 1 --wait nan", "--wait must be a number from 0 to 600, not 'nan'."),
        ("customers update a --if-version 1.5", "--if-version must be a whole number, not '1.5'."),
        ("serve --prot 1", "No such option: --prot. Did you mean '--port'?"),
        ("import", "Missing argument 'FILE'."),
        ("serve --port", "Option '--port' requires an argument."),
    ],
)
def test_an_error_of_the_command_line_is_a_sentence(arguments: str, message: str) -> None:
    done = run_regulars(*arguments.split())
    assert done.returncode == USAGE
    assert done.stderr.splitlines()[-1] == f"regulars: {message}"


def test_the_scopes_in_the_help_are_sentences() -> None:
    words = " ".join(run_regulars("token", "create", "--help").stdout.split())
    assert "customers:read: Read customers with their addresses, orders and messages. " in words
    assert ".;" not in words
    assert ".. " not in words


def test_the_usage_shows_arguments_without_braces() -> None:
    for command, usage in (
        ("backup", "regulars backup [OPTIONS] FILE"),
        ("import", "regulars import [OPTIONS] FILE..."),
        ("customers search", "regulars customers search [OPTIONS] [QUERY]"),
    ):
        assert run_regulars(*command.split(), "--help").stdout.splitlines()[0] == f"Usage: {usage}"
    words = run_regulars("customers", "search", "--help").stdout.split()
    assert "Allowed: from 1 to 10,000. [default: 25]" in " ".join(words)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "backup", "import", "token create"])
def test_the_help_breaks_no_word_on_a_narrow_terminal(command: str) -> None:
    status, output = run_on_terminal(*command.split(), "--help", env={}, columns=60)
    assert status == 0
    options = output[output.index("Options:") : output.index("Examples:")]
    assert max(map(len, options.splitlines())) <= 60
    words = set(run_regulars(*command.split(), "--help").stdout.split())
    assert set(options.split()) <= words
