"""A receiver of webhooks: a real HTTP server that remembers what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """A request: its path, headers in lower case, body, and the moment it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event(self) -> str:
        return self.headers["regulars-event-id"]


# What is answered: a status, or a status, headers and a body.
Answer = Callable[[Received], tuple[int, Mapping[str, str], bytes]]


class Receiver:
    """Answers 200, unless `answer` says something else."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answer: Answer = lambda _: (200, {}, b"ok")
        self._come = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.path, headers, body, time.monotonic())
                with outer._come:
                    outer.requests.append(received)
                    outer._come.notify_all()
                status, more, content = outer.answer(received)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: Any) -> None:
                """A sender that has gone away is no fault of the test's."""

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def speak_tls(self, certificate: Path, key: Path) -> None:
        """From now on it speaks TLS, with a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def at(self, path: str) -> list[Received]:
        """What came to a path."""
        return [one for one in self.requests if one.path == path]

    def wait(self, count: int, path: str | None = None, seconds: float = 20) -> list[Received]:
        """The requests, once there are so many of them."""
        deadline = time.monotonic() + seconds
        with self._come:
            while True:
                found = self.requests if path is None else self.at(path)
                if len(found) >= count:
                    return list(found)
                left = deadline - time.monotonic()
                assert left > 0, f"only {len(found)} of {count} requests came"
                self._come.wait(left)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, closed afterwards."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()
