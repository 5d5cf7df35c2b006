"""Run the servers under test on their own core, and measure their CPU time and memory."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import BenchmarkError, build_http_request, send

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"

# The server under test has one core; the load generator and PostgreSQL share the other.
SERVER_CORE, *_OTHERS = sorted(os.sched_getaffinity(0))
LOAD_CORE = _OTHERS[0] if _OTHERS else SERVER_CORE

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to compare: its name, and the command that starts it on a port."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    path: str = "/graphql"
    token: str = "benchmark"  # of a temporary database
    cores: Sequence[int] = (SERVER_CORE,)


class RunningServer:
    """A server that has answered its first request."""

    def __init__(self, contender: Contender, process: psutil.Process, port: int) -> None:
        self.contender = contender
        self.url = f"http://127.0.0.1:{port}{contender.path}"
        self.start_seconds = 0.0
        self._process = process

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the server so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def memory_bytes(self) -> int:
        """Returns the resident memory."""
        return int(sum(process.memory_info().rss for process in self._tree()))


def find_free_port() -> int:
    """Returns a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Runs this process and those that it starts on some cores."""
    old_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, old_cores)


@contextlib.contextmanager
def run_server(contender: Contender, first_body: bytes) -> Iterator[RunningServer]:
    """Starts a server, waits for its first response, and stops it at the end."""
    port = find_free_port()
    environment = {**os.environ, **contender.environment, "PORT": str(port)}
    command = [part.replace("{port}", str(port)) for part in contender.command]
    log = BUILD / f"{contender.name.replace(' ', '-').replace('/', '-')}.log"
    with log.open("wb") as output:
        started_at = time.perf_counter()
        with pinned(contender.cores):
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, cwd=ROOT
            )
        try:
            server = RunningServer(contender, psutil.Process(process.pid), port)
            request = build_http_request(server.url, first_body, contender.token)
            _wait_for_response(server, process, request, log)
            server.start_seconds = time.perf_counter() - started_at
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_response(
    server: RunningServer, process: subprocess.Popen[bytes], request: bytes, log: Path
) -> None:
    deadline = time.perf_counter() + START_SECONDS
    while True:
        try:
            send(server.url, iter([request]), 1, 0.0)
        except OSError as error:
            if process.poll() is not None or time.perf_counter() > deadline:
                output = log.read_text(errors="replace")[-2_000:]
                message = f"{server.contender.name} does not answer.\n{output}"
                raise BenchmarkError(message) from error
            time.sleep(0.005)
        else:
            return


def python(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def uvicorn(app: str) -> list[str]:
    """Returns the command of uvicorn as Regulars runs it: uvloop, httptools, no access log and no
    middleware."""
    options = (
        "--loop uvloop --http httptools --no-access-log --no-proxy-headers --log-level warning"
    )
    return python("uvicorn", app, "--port", "{port}", "--no-server-header", *options.split())
