"""Follow the README, the tutorial and the pages that continue them, in one folder and database, with a
shell and a server as a reader has them. Each response must be the one that the page shows."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import build_environment
from tests.test_docs import ROOT, code_blocks

START = "make serve\n"
TOKEN = re.compile(r"rgl_\w+")
# The environment exists already; make would compare its time with that of the linked files.
MAKE = 'make() { command make -o install -o .venv/.installed "$@"; }\n'
SERVED_AT = "http://127.0.0.1:8000"


class Reader:
    """A person who follows pages: a folder like a clone, a terminal, and a server in another one."""

    def __init__(self, folder: Path, **settings: str) -> None:
        for name in ("Makefile", "pyproject.toml", "src", "docs", "README.md", ".venv"):
            (folder / name).symlink_to(ROOT / name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._environment = {**build_environment({"REGULARS_PORT": str(port)}), **settings}
        self._environment["PATH"] = os.pathsep.join(
            part
            for part in os.environ["PATH"].split(os.pathsep)
            if Path(part).resolve() != Path(sys.executable).parent
        )
        self._server: subprocess.Popen[str] | None = None
        self._printed_token = ""

    def start(self, command: str) -> str:
        """Start a server, if none runs, and return what it prints until it is ready."""
        if self._server:
            return ""
        self._server = subprocess.Popen(
            ["bash", "-c", MAKE + command],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._server.stdout
        lines = []
        for line in self._server.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        output = "".join(lines)
        assert "listens on" in output, output
        if token := TOKEN.search(output):
            self._printed_token = token[0]
        return output

    def stop(self) -> None:
        if self._server:
            os.killpg(self._server.pid, signal.SIGINT)
            self._server.wait(20)
            assert self._server.stdout
            self._server.stdout.close()
            self._server = None

    def run(self, command: str) -> str:
        """Run a block in the terminal, which keeps its exports, and return its output."""
        command = command.replace(SERVED_AT, self.url).replace("rgl_…", self._printed_token)
        state = self._folder / "environment"
        process = subprocess.run(
            ["bash", "-e", "-c", f"{MAKE}{command}\nenv -0 > {state}"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == 0, command + process.stdout + process.stderr
        variables = (line.partition("=") for line in state.read_text().split("\0") if line)
        self._environment = {
            name: value for name, _, value in variables if not name.startswith("BASH_FUNC")
        }
        return process.stdout

    def query(self, document: str) -> object:
        token = self._environment["REGULARS_TOKEN"]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(f"{self.url}/api/v2", json={"query": document}, headers=headers).json()

    def follow(self, path: str) -> int:
        """Do what a page says, and return the number of responses that were compared."""
        compared = 0
        blocks = code_blocks(ROOT / path)
        for (kind, text), (next_kind, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
            result: object = None
            if text == START:
                self.start(text)
            elif kind == "console":
                output = self.run(text)
                result = json.loads(output) if next_kind == "json" else None
            elif kind == "graphql":
                result = self.query(text)
            if next_kind == "json" and kind in ("console", "graphql"):
                assert result == json.loads(shown), text
                compared += 1
        return compared


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        reader.stop()


@pytest.mark.slow
def test_the_readme_and_the_pages_after_it_work_one_after_the_other(reader: Reader) -> None:
    assert reader.follow("README.md") == 2
    assert reader.follow("docs/start/tutorial.md") == 7
    assert reader.follow("docs/integrate/retries.md") == 2
    # The pages about commands need no --account after that.
    assert json.loads(reader.run("regulars customers search 'ana'"))["total"] == 1


@pytest.mark.slow
def test_the_tutorial_works_without_the_readme(reader: Reader) -> None:
    assert reader.follow("docs/start/tutorial.md") == 7


@pytest.mark.slow
def test_the_demo_prints_commands_that_work(reader: Reader) -> None:
    lines = reader.start("make demo").splitlines()
    exports = [line for line in lines if line.startswith("  export ")]
    assert [line.split("=")[0].split()[-1] for line in exports] == [
        "PATH",
        "REGULARS_DATABASE_URL",
        "REGULARS_TOKEN",
    ]
    reader.run("\n".join(exports))
    (curl,) = [line for line in lines if line.startswith("  curl ")]
    edges = json.loads(reader.run(curl))["data"]["customers"]["edges"]
    assert len(edges) == 5
    assert "demo" in reader.run("regulars token list --json")


@pytest.mark.slow
def test_the_readme_moves_to_postgresql(reader: Reader, empty_postgresql: str) -> None:
    reader.follow("README.md")
    token = reader.query("{ viewer { token { name } } }")
    reader.stop()
    (block,) = [text for kind, text in code_blocks(ROOT / "README.md") if kind == "sh"]
    *copy, serve = block.strip().splitlines()
    assert copy[0].startswith("export REGULARS_DATABASE_URL=")
    reader.run("\n".join([f"export REGULARS_DATABASE_URL='{empty_postgresql}'", *copy[1:]]))
    assert "postgresql" in reader.start(serve)
    assert "postgresql" in reader.run("regulars config")
    assert reader.query("{ viewer { token { name } } }") == token
    count = {"data": {"customers": {"totalCount": 4}}}
    assert reader.query("{ customers { totalCount } }") == count
