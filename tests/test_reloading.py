"""SIGHUP: a server reloads the program and its settings, and refuses no connection meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import regulars
from regulars.cli.errors import USAGE
from tests.support import (
    BOOTSTRAP_TOKEN,
    TLS,
    Client,
    Server,
    build_environment,
    find_worker_pids,
    run_regulars,
    run_server,
    wait_until,
)

pytestmark = pytest.mark.slow

SOURCE = Path(str(regulars.__file__)).parent


def events(log: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, log.read_text().splitlines())
    return [line for line in lines if line["event"] != "request"]


def get(url: str) -> httpx.Response:
    """Waits as long as a busy machine needs to start Python."""
    return httpx.get(url, timeout=120, verify=TLS)


def version_of(server: Server) -> str:
    return str(get(f"{server.url}/healthz").json()["version"])


def set_version(package: Path, version: str) -> None:
    """Installs another version of the program."""
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')


def test_a_server_reloads_code_and_settings_without_refusing_a_connection(tmp_path: Path) -> None:
    package, settings = tmp_path / "program" / "regulars", tmp_path / "environment"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    settings.write_text("# A comment\n")
    env = {
        "PYTHONPATH": str(package.parent),
        "REGULARS_ENVIRONMENT_FILE": str(settings),
        "REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}",
    }
    log = tmp_path / "log"
    errors: list[Exception] = []
    versions: set[str] = set()
    stop = threading.Event()
    with (
        log.open("w") as file,
        run_server(env["REGULARS_DATABASE_URL"], log=file, env=env) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):

        def ask() -> None:
            while not stop.is_set():
                try:
                    versions.add(version_of(server))
                except httpx.HTTPError as error:
                    errors.append(error)

        client.create("before@example.com")
        settings.write_text(
            f'REGULARS_DATABASE_URL="{env["REGULARS_DATABASE_URL"]}"\nREGULARS_MAX_PAGE_SIZE=3\n'
        )
        set_version(package, "9.9.9")
        thread = threading.Thread(target=ask)
        thread.start()
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "9.9.9" in versions or errors, 60)
        stop.set()
        thread.join()
        assert errors == []
        assert version_of(server) == "9.9.9"
        with Client(server, BOOTSTRAP_TOKEN) as after:  # a new connection
            assert after.emails() == ["before@example.com"]
            after.errors("{ customers(first: 4) { totalCount } }")
    assert [event["event"] for event in events(log)] == [
        *("start", "ready", "reload", "start", "ready", "stop"),
    ]


def test_requests_in_flight_finish_before_a_reload(tmp_path: Path) -> None:
    env, log, url = {"PYTHONUNBUFFERED": "1"}, tmp_path / "log", f"sqlite:///{tmp_path / 'r.db'}"
    with log.open("w") as file, run_server(url, log=file, env=env) as server:

        def body() -> Any:
            yield b'{"query": '
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda: '"reload"' in log.read_text())
            yield b'"{ __typename }"}'

        headers = {"Authorization": f"Bearer {BOOTSTRAP_TOKEN}", "Content-Type": "application/json"}
        answer = httpx.post(f"{server.url}/api/v2", content=body(), headers=headers, timeout=120)
        assert answer.json() == {"data": {"__typename": "Query"}}
        wait_until(lambda: get(f"{server.url}/readyz").status_code == 200)


def test_a_server_that_could_not_restart_keeps_running(tmp_path: Path) -> None:
    settings, log = tmp_path / "environment", tmp_path / "log"
    url = f"sqlite:///{tmp_path / 'r.db'}"
    settings.write_text(f"REGULARS_DATABASE_URL={url}\nREGULARS_MAX_PAGE_SIZE=many\n")
    env = {"PYTHONUNBUFFERED": "1", "REGULARS_ENVIRONMENT_FILE": str(settings)}
    with log.open("w") as file, run_server(url, log=file, env=env) as server:
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "reload_failed" in log.read_text())
        assert get(f"{server.url}/readyz").status_code == 200
    (failure,) = (event for event in events(log) if event["event"] == "reload_failed")
    assert "REGULARS_MAX_PAGE_SIZE" in failure["reason"]


def test_a_missing_environment_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    file = str(tmp_path / "nowhere")
    arguments = ("serve", "--port", "0", "--database-url", url)
    by_option = run_regulars(*arguments, "--environment-file", file)
    by_variable = run_regulars(*arguments, env={"REGULARS_ENVIRONMENT_FILE": file})
    assert by_option.returncode == by_variable.returncode == USAGE
    assert by_option.stderr == by_variable.stderr
    assert f"{file!r}, which cannot be read: No such file or directory." in by_option.stderr


def test_the_environment_file_of_an_option_is_read_again(tmp_path: Path) -> None:
    settings, log = tmp_path / "environment", tmp_path / "log"
    settings.write_text("")
    url = f"sqlite:///{tmp_path / 'r.db'}"
    options, env = ("--environment-file", str(settings)), {"PYTHONUNBUFFERED": "1"}
    with log.open("w") as file, run_server(url, *options, log=file, env=env) as server:
        settings.write_text(f"REGULARS_DATABASE_URL={url}\nREGULARS_MAX_PAGE_SIZE=3\n")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: log.read_text().count('"ready"') == 2, 60)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.errors("{ customers(first: 4) { totalCount } }")


def test_workers_take_over_settings(new_postgresql: str, tmp_path: Path) -> None:
    settings = tmp_path / "environment"
    settings.write_text("")
    env = {"REGULARS_ENVIRONMENT_FILE": str(settings)}
    with run_server(new_postgresql, "--workers", "2", env=env) as server:
        wait_until(lambda: len(find_worker_pids(server.pid)) == 2)
        wait_until(lambda: get(f"{server.url}/readyz").status_code == 200)
        before = set(find_worker_pids(server.pid))
        settings.write_text(f"REGULARS_DATABASE_URL={new_postgresql}\nREGULARS_MAX_PAGE_SIZE=3\n")
        for pid in before:  # for the supervisor alone
            os.kill(pid, signal.SIGHUP)
        os.kill(server.pid, signal.SIGHUP)
        wait_until(partial(_are_replaced, server, before), 120)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.errors("{ customers(first: 4) { totalCount } }")


def _are_replaced(server: Server, before: set[int]) -> bool:
    pids = set(find_worker_pids(server.pid))
    return len(pids) == 2 and not pids & before


def test_a_server_whose_terminal_is_closed_stops(tmp_path: Path) -> None:
    """A shell passes SIGHUP on to its jobs when its terminal is closed."""
    terminal, other_end = os.openpty()
    env = build_environment({"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"})
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "regulars", "serve", "--port", "0"],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        env=env,
    )
    os.close(other_end)
    output = b""
    while b"Ctrl-C" not in output:
        output += os.read(terminal, 65_536)
    os.close(terminal)  # the kernel sends SIGHUP to the session leader
    assert process.wait(60) == 0


def test_a_hangup_during_the_start_reloads_the_server_when_it_is_ready(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "regulars", "serve", "--port", "0", "--log-format", "json"],
            env=build_environment({"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"}),
            stdout=subprocess.DEVNULL,
            stderr=file,
        ) as process,
    ):
        try:
            wait_until(lambda: "start" in log.read_text())
            process.send_signal(signal.SIGHUP)
            names = ["start", "migration", "ready", "reload", "start", "ready"]
            wait_until(lambda: [line["event"] for line in events(log)] == names)
        finally:
            process.terminate()
    assert process.returncode == 0
