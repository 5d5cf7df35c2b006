"""Measures how long the event loop of a real `regulars serve` pauses while it is attacked.

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

# Limits of the server under test. The defaults would take too long.
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
# Time limits for a response, and for the response of /healthz after an attack.
RESPONSE_SECONDS = 9.0
RECOVERY_SECONDS = 3.0
_POLL_SECONDS = 0.005
_JSON = {"Content-Type": "application/json"}


class NoResponse(AssertionError):
    """The server did not respond in time, or responded with an internal error."""


@dataclass(slots=True)
class Measured:
    """The effects of an attack: the longest pause of the event loop, the longest response time of
    /healthz on another connection, and the growth of the server's memory."""

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
    """A server under attack. A server that does not recover is replaced by a new one with the same
    database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.token = BOOTSTRAP_TOKEN
        # Ids of customers for the attacks, by purpose.
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
        match = re.search(r"GraphQL at (http://\S+)/api/v2", self._process.stdout.readline())
        assert match, "the server did not start"
        parts = urlsplit(match[1])
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
        """Returns whether the server responds. Replaces a server that does not."""
        with suppress(OSError, NoResponse):
            if self.ask("GET", "/healthz", seconds=RECOVERY_SECONDS)[0] == 200:
                return True
        self._stop(signal.SIGKILL)
        self._start()
        return False

    def pause(self) -> float:
        """Returns the longest pause since the last call, in seconds."""
        pause_seconds: float = loop_probe.PAUSE.unpack_from(self._shared)[0]
        loop_probe.PAUSE.pack_into(self._shared, 0, 0.0)
        return pause_seconds

    def memory(self) -> int:
        """Returns the resident memory of the server, in bytes."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def connect(self) -> socket.socket:
        """Opens a connection."""
        connection = socket.create_connection(self.address, RESPONSE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        seconds: float = RESPONSE_SECONDS,
    ) -> tuple[int, bytes]:
        """Sends a request on a new connection. Returns the status and the first MiB of the response.
        Status 0 means that the connection ended without a response. Raises NoResponse."""
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
        all_headers = {"Host": "localhost", "Connection": "close", **(headers or {})}
        if token:
            all_headers.setdefault("Authorization", f"Bearer {token}")
        if (body or method == "POST") and "Transfer-Encoding" not in all_headers:
            all_headers["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in all_headers.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()

    def raw(self, data: bytes, seconds: float = RESPONSE_SECONDS) -> tuple[int, bytes]:
        """Sends bytes on a new connection, and reads until it ends."""
        deadline = time.monotonic() + seconds
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
                    if time.monotonic() > deadline:
                        raise NoResponse(f"the answer is not complete after {seconds:.0f} s")
            except ConnectionError:
                pass
            except TimeoutError:
                raise NoResponse(f"no answer within {seconds:.0f} s") from None
        match = re.match(rb"HTTP/1.1 (\d+)", received)
        status = int(match[1]) if match else 0
        if status == 500:
            raise NoResponse(f"an internal error: {received[-500:].decode(errors='replace')}")
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


class _Monitor:
    """Requests /healthz on another connection and reads the server's memory, until it is stopped."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest_seconds = 0.0
        self.initial_memory_bytes = target.memory()
        self.max_memory_bytes = self.initial_memory_bytes

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
            self.longest_seconds = RESPONSE_SECONDS
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
                    self.longest_seconds = max(self.longest_seconds, RESPONSE_SECONDS)
                    return
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                self.max_memory_bytes = max(self.max_memory_bytes, self._target.memory())


Attack = Callable[[Target, int, str | None], object]


def measure(target: Target, attack: Attack, number: int, token: str | None) -> Measured:
    """Attacks a server. Each attempt has another `number`, so that no document is cached."""
    problems = []
    target.pause()
    with _Monitor(target) as monitor:
        time.sleep(0.02)
        try:
            attack(target, number, token)
        except (NoResponse, OSError) as error:
            problems.append(str(error) or type(error).__name__)
        time.sleep(0.05)
        if not target.recover():
            problems.append("the server had to be replaced")
    pause = target.pause()
    if "the server had to be replaced" in problems:
        pause = max(pause, RECOVERY_SECONDS)
    return Measured(
        pause,
        monitor.longest_seconds,
        monitor.max_memory_bytes - monitor.initial_memory_bytes,
        problems,
    )


def measure_idle(target: Target, seconds: float = 1.0) -> Measured:
    """Measures a server without an attack."""
    return measure(target, lambda *_: time.sleep(seconds), 0, None)
