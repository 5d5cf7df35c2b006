"""Server processes under test: started on a core of their own, watched, and ended by their id."""

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

from benchmarks.load import BenchmarkError, http_request, send

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"

# The server has a core of its own; the load and the database server share the other.
SERVER_CORE, *_OTHERS = sorted(os.sched_getaffinity(0))
LOAD_CORE = _OTHERS[0] if _OTHERS else SERVER_CORE

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to compare: its name, and how it is started on a port."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    path: str = "/graphql"
    token: str = "benchmark"  # of a database that lives as long as the benchmark
    cores: Sequence[int] = (SERVER_CORE,)


class Running:
    """A server that answers."""

    def __init__(self, contender: Contender, process: psutil.Process, port: int) -> None:
        self.contender = contender
        self.url = f"http://127.0.0.1:{port}{contender.path}"
        self.started_in = 0.0
        self._process = process

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """The processor time that the server has taken so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def memory(self) -> int:
        """Resident memory, in bytes."""
        return int(sum(process.memory_info().rss for process in self._tree()))


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Runs, and starts processes, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(contender: Contender, first_body: bytes) -> Iterator[Running]:
    """Starts a server, waits for its first answer, and ends it with its children."""
    port = free_port()
    environment = {**os.environ, **contender.environment, "PORT": str(port)}
    command = [part.replace("{port}", str(port)) for part in contender.command]
    log = BUILD / f"{contender.name.replace(' ', '-').replace('/', '-')}.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        with pinned(contender.cores):
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, cwd=ROOT
            )
        try:
            running = Running(contender, psutil.Process(process.pid), port)
            request = http_request(running.url, first_body, contender.token)
            _await_answer(running, process, request, log)
            running.started_in = time.perf_counter() - began
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_answer(
    running: Running, process: subprocess.Popen[bytes], request: bytes, log: Path
) -> None:
    deadline = time.perf_counter() + START_SECONDS
    while True:
        try:
            send(running.url, iter([request]), 1, 0.0)
        except OSError as error:
            if process.poll() is not None or time.perf_counter() > deadline:
                said = log.read_text(errors="replace")[-2_000:]
                message = f"{running.contender.name} does not answer.\n{said}"
                raise BenchmarkError(message) from error
            time.sleep(0.005)
        else:
            return


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def uvicorn(app: str) -> list[str]:
    """uvicorn as Regulars runs it: uvloop, httptools, no access log, no middleware."""
    options = (
        "--loop uvloop --http httptools --no-access-log --no-proxy-headers --log-level warning"
    )
    return python("uvicorn", app, "--port", "{port}", "--no-server-header", *options.split())
