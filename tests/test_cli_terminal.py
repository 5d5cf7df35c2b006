"""The command line on a terminal: tables on narrow terminals, and Ctrl-C."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regulars.cli.errors import INTERRUPTED, USAGE
from tests.support import copy_sqlite_template, run_regulars
from tests.terminal import CTRL_C, CTRL_D, run_on_terminal

STOPPED = "regulars: Stopped by Ctrl-C."


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a database with an account and two tokens."""
    copy_sqlite_template(tmp_path / "r.db")
    env = {"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}", "REGULARS_PORT": "0"}
    assert run_regulars("account", "create", "a-shop-with-a-long-name", env=env).returncode == 0
    for name, expires in (("the app of the shop", "30d"), ("a script", "2h")):
        create = ("token", "create", "--name", name, "--expires", expires)
        assert run_regulars(*create, "--scope", "customers:read", env=env).returncode == 0
    return env


def rows_of(env: dict[str, str], *command: str) -> list[dict[str, object]]:
    """The rows of a command, which prints JSON in a pipe."""
    rows: list[dict[str, object]] = json.loads(run_regulars(*command, env=env).stdout)
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "columns"),
    [
        *(("token list", 60), ("token list", 80), ("token list", 200)),
        *(("account list", 60), ("doctor", 60), ("inbox list", 60)),
    ],
)
def test_a_table_shows_every_value(env: dict[str, str], command: str, columns: int) -> None:
    status, output = run_on_terminal(*command.split(), env=env, columns=columns)
    assert status == 0, output
    assert max(map(len, output.splitlines())) <= columns, output
    assert "…" not in output
    rows = rows_of(env, *command.split())
    assert rows or "no unprocessed events" in output
    words = output.split()
    for row in rows:
        for value in row.values():
            for word in str(" ".join(value) if isinstance(value, list) else value or "").split():
                # Free space and ages may differ between the two runs.
                assert word in words or word in output.replace("\n", "") or "." in word, word


@pytest.mark.slow
def test_a_table_can_be_chosen_in_a_pipe_and_json_on_a_terminal(env: dict[str, str]) -> None:
    table = run_regulars("token", "list", "--table", env=env).stdout
    assert table.splitlines()[0].split()[:3] == ["id", "account", "name"]
    status, output = run_on_terminal("token", "list", "--json", env=env)
    assert status == 0
    assert [token["id"] for token in json.loads(output)] == [
        token["id"] for token in rows_of(env, "token", "list")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 0.6])
@pytest.mark.parametrize(
    "command", ["migrate", "sample --customers 500000", "verify", "export", "doctor"]
)
def test_ctrl_c_at_the_start_prints_one_line(
    env: dict[str, str], tmp_path: Path, command: str, seconds: float
) -> None:
    exported = tmp_path / "x.csv"
    if command == "export":
        command = f"export {exported}"
    # An interrupted import leaves a file of Python open, which is not shown by default.
    env["PYTHONWARNINGS"] = "error,ignore::ResourceWarning"
    status, output = run_on_terminal(*command.split(), env=env, keys=CTRL_C, seconds=seconds)
    if status == 0:  # the command was faster
        return
    assert status in (INTERRUPTED, -2), output  # -2: Python itself was starting
    if status == INTERRUPTED:
        assert output.splitlines()[-1] == STOPPED
        assert output.count("regulars: ") == 1
    assert "Traceback" not in output
    if exported.exists():  # stopped after its end: the file is whole
        assert run_regulars("export", "-", env=env).stdout == exported.read_text()
        exported.unlink()
    assert not list(tmp_path.glob("x.csv*"))


@pytest.mark.slow
def test_ctrl_c_stops_a_server(env: dict[str, str]) -> None:
    status, output = run_on_terminal("serve", env=env, keys=CTRL_C, after="Press Ctrl-C")
    assert status == INTERRUPTED
    assert output.splitlines()[-1] == STOPPED
    assert "Traceback" not in output


@pytest.mark.slow
def test_ctrl_c_and_the_end_of_the_input_end_a_question(
    env: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "dates.csv"
    path.write_text("email,created\na@example.com,3/4/2024\n")
    for keys, code, line in (
        (CTRL_C, INTERRUPTED, STOPPED),
        (CTRL_D, USAGE, "the input has ended."),
    ):
        # Not at once: a signal just before Python waits for input is handled after the input.
        status, output = run_on_terminal(
            "import", str(path), env=env, keys=keys, after="(mdy)?", seconds=0.5
        )
        assert status == code, output
        assert output.splitlines()[-1].endswith(line)
        assert "Traceback" not in output


@pytest.mark.slow
def test_ctrl_c_stops_an_import_that_resumes(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("email\n" + "".join(f"{n}@example.com\n" for n in range(60_000)))
    status, output = run_on_terminal(
        "import", str(path), env=env, keys=CTRL_C, after="rows,", seconds=0.5
    )
    assert status == INTERRUPTED, output
    assert output.splitlines()[-1].endswith("Continue with the same command and --resume.")
    assert "Traceback" not in output


@pytest.mark.slow
def test_ctrl_c_stops_a_copy(env: dict[str, str], tmp_path: Path) -> None:
    assert run_regulars("sample", "--customers", "3000", env=env).returncode == 0
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    command = ("copy", env["REGULARS_DATABASE_URL"], target)
    status, output = run_on_terminal(*command, env=env, keys=CTRL_C, after="rows read")
    assert status == INTERRUPTED, output
    assert output.splitlines()[-1] == STOPPED
    assert "Traceback" not in output
    assert run_regulars(*command, "--resume", env=env).returncode == 0
