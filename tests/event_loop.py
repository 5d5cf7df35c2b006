"""How long the event loop of a real `regulars serve` pauses while it is sent something.

`Target` is a server with the probe of `loop_probe.py`, and `measure` attacks it. `attacks.py` has
the attacks.
"""

from __future__ import annotations

import json
import mmap
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from tests import loop_probe
from tests.support import BOOTSTRAP_TOKEN, build_environment

# Limits of the server under test, where the default would take too long in a test.
RECEIVE_SECONDS = 3.0
REQUEST_SECONDS = 6.0
MAX_IMPORT_BYTES = 8 * 1024 * 1024
SETTINGS = {
    "REGULARS_RECEIVE_SECONDS": str(RECEIVE_SECONDS),
    "REGULARS_REQUEST_SECONDS": str(REQUEST_SECONDS),
    "REGULARS_MAX_IMPORT_BYTES": str(MAX_IMPORT_BYTES),
    "REGULARS_WEBHOOK_PRIVATE_TARGETS": "true",
}
START_SECONDS = 30.0
# For how long an answer is waited for, and a server that does not answer /healthz afterwards.
ANSWER_SECONDS = 9.0
WEDGED_SECONDS = 3.0
_POLL_SECONDS = 0.005
_JSON = {"Content-Type": "application/json"}


class NoAnswer(AssertionError):
    """The server has not answered in time, or has answered with an internal error."""


@dataclass(slots=True)
class Measured:
    """What an attack did: the longest pause of the event loop, the longest that /healthz took on
    another connection, and by how much the server's memory grew."""

    pause_seconds: float
    healthz_seconds: float
    grown_bytes: int
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"event loop {1_000 * self.pause_seconds:.0f} ms, "
            f"healthz {1_000 * self.healthz_seconds:.0f} ms, "
            f"memory +{self.grown_bytes / 2**20:.0f} MiB"
            + "".join(f"; {problem}" for problem in self.problems)
        )


class Target:
    """A server that is attacked. One that does not recover is replaced by another one, on the same
    database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.token = BOOTSTRAP_TOKEN
        # Ids of customers that the attacks use, by what they are for.
        self.ids: dict[str, list[str]] = {}
        self.secret = ""
        self._folder = folder
        self._probe = folder / "probe"
        self._probe.write_bytes(bytes(loop_probe.PAUSE.size))
        with self._probe.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), loop_probe.PAUSE.size)
        self.address = ("", 0)
        self.pid = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(signal.SIGTERM)

    def _start(self) -> None:
        log = (self._folder / "log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.loop_probe", "serve", "--port", "0"],
            env=build_environment(
                {
                    **SETTINGS,
                    "REGULARS_DATABASE_URL": self.database_url,
                    "REGULARS_BOOTSTRAP_TOKEN": BOOTSTRAP_TOKEN,
                    loop_probe.FILE: str(self._probe),
                }
            ),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self._process.stdout
        found = re.search(r"GraphQL at (http://\S+)/api/v2", self._process.stdout.readline())
        assert found, "the server did not start"
        parts = urlsplit(found[1])
        self.address = (str(parts.hostname), int(parts.port or 80))
        self.pid = self._process.pid

    def _stop(self, number: int) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
        self._process = None

    def recover(self) -> bool:
        """Returns whether the server answers; replaces one that does not."""
        with suppress(OSError, NoAnswer):
            if self.ask("GET", "/healthz", seconds=WEDGED_SECONDS)[0] == 200:
                return True
        self._stop(signal.SIGKILL)
        self._start()
        return False

    def pause(self) -> float:
        """Returns the longest pause since it was last asked for."""
        found: float = loop_probe.PAUSE.unpack_from(self._shared)[0]
        loop_probe.PAUSE.pack_into(self._shared, 0, 0.0)
        return found

    def memory(self) -> int:
        """Returns the resident memory of the server, in bytes."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def connect(self) -> socket.socket:
        """Opens a connection."""
        connection = socket.create_connection(self.address, ANSWER_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> tuple[int, bytes]:
        """Sends a request on a connection of its own; returns the status and the first MiB of the
        answer. A status of 0 is a connection that ended without an answer. Raises NoAnswer."""
        return self.raw(self.head(method, path, body, headers, token) + body, seconds)

    def head(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> bytes:
        """Returns the request line and the headers of a request that closes its connection."""
        named = {"Host": "localhost", "Connection": "close", **(headers or {})}
        if token:
            named.setdefault("Authorization", f"Bearer {token}")
        if (body or method == "POST") and "Transfer-Encoding" not in named:
            named["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in named.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()

    def raw(self, data: bytes, seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
        """Sends bytes on a connection of their own, and reads until that ends."""
        until = time.monotonic() + seconds
        received = bytearray()
        with self.connect() as connection:
            connection.settimeout(seconds)
            # A server that refuses does not read to the end.
            with suppress(ConnectionError):
                connection.sendall(data)
            try:
                while part := connection.recv(2**18):
                    if len(received) < 2**20:
                        received += part
                    if time.monotonic() > until:
                        raise NoAnswer(f"the answer is not complete after {seconds:.0f} s")
            except ConnectionError:
                pass
            except TimeoutError:
                raise NoAnswer(f"no answer within {seconds:.0f} s") from None
        found = re.match(rb"HTTP/1.1 (\d+)", received)
        status = int(found[1]) if found else 0
        if status == 500:
            raise NoAnswer(f"an internal error: {received[-500:].decode(errors='replace')}")
        return status, bytes(received).partition(b"\r\n\r\n")[2]

    def graphql(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/api/v2",
    ) -> tuple[int, bytes]:
        """Sends an operation."""
        body = json.dumps({"query": query, "variables": variables or {}}, ensure_ascii=False)
        encoded = body.encode("utf-8", "surrogatepass")
        return self.ask("POST", path, encoded, {**_JSON, **(headers or {})}, token)

    def data(self, query: str, **variables: Any) -> Any:
        """Returns the data of an operation that must succeed."""
        _, body = self.graphql(query, variables, self.token)
        response = json.loads(body)
        assert "errors" not in response, response["errors"]
        return response["data"]


class _Watch:
    """Asks for /healthz on another connection, and for the server's memory, until it is stopped."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest = 0.0
        self.before = target.memory()
        self.most = self.before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try:
            connection = self._target.connect()
        except OSError:
            self.longest = ANSWER_SECONDS
            return
        with connection:
            while not self._stop.wait(_POLL_SECONDS):
                began = time.monotonic()
                try:
                    connection.sendall(request)
                    # The head and the body may come in two parts.
                    received = b""
                    while not received.endswith(b"}"):
                        received += (part := connection.recv(65_536))
                        if not part:
                            raise ConnectionError
                except OSError:
                    self.longest = max(self.longest, ANSWER_SECONDS)
                    return
                self.longest = max(self.longest, time.monotonic() - began)
                self.most = max(self.most, self._target.memory())


Attack = Callable[[Target, int, str | None], object]


def measure(target: Target, attack: Attack, number: int, token: str | None) -> Measured:
    """Attacks a server. Each attempt has another `number`, so that nothing of it is cached."""
    problems = []
    target.pause()
    with _Watch(target) as watch:
        time.sleep(0.02)
        try:
            attack(target, number, token)
        except (NoAnswer, OSError) as error:
            problems.append(str(error) or type(error).__name__)
        time.sleep(0.05)
        if not target.recover():
            problems.append("the server had to be replaced")
    pause = target.pause()
    if "the server had to be replaced" in problems:
        pause = max(pause, WEDGED_SECONDS)
    return Measured(pause, watch.longest, watch.most - watch.before, problems)


def calibrated(target: Target, seconds: float = 1.0) -> Measured:
    """What is measured while nothing is sent."""
    return measure(target, lambda *_: time.sleep(seconds), 0, None)
