"""A receiver of webhooks: an HTTP server that records its requests."""

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
class ReceivedRequest:
    """A request: path, headers with lower-case names, body, and time of arrival (monotonic)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at_seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        return self.headers["regulars-event-id"]


# Makes the response to a request: status, headers, body.
Responder = Callable[[ReceivedRequest], tuple[int, Mapping[str, str], bytes]]


class Receiver:
    """Responds with status 200, unless a test sets `respond`."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.respond: Responder = lambda _: (200, {}, b"ok")
        self._arrival = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = ReceivedRequest(self.path, headers, body, time.monotonic())
                with receiver._arrival:
                    receiver.requests.append(request)
                    receiver._arrival.notify_all()
                status, response_headers, content = receiver.respond(request)
                self.send_response(status)
                for name, value in response_headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        class ReceiverServer(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: Any) -> None:
                """Ignore errors: a sender that disconnects does not fail a test."""

        self._server = ReceiverServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def use_tls(self, certificate: Path, key: Path) -> None:
        """Use TLS from now on, with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def requests_to(self, path: str) -> list[ReceivedRequest]:
        """Return the requests to a path."""
        return [request for request in self.requests if request.path == path]

    def wait(
        self, count: int, path: str | None = None, seconds: float = 60
    ) -> list[ReceivedRequest]:
        """Wait for `count` requests (to `path`), at most `seconds`; return all of them."""
        deadline = time.monotonic() + seconds
        with self._arrival:
            while True:
                requests = self.requests if path is None else self.requests_to(path)
                if len(requests) >= count:
                    return list(requests)
                remaining_seconds = deadline - time.monotonic()
                assert remaining_seconds > 0, f"only {len(requests)} of {count} requests came"
                self._arrival.wait(remaining_seconds)


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    """Run a receiver and stop it afterwards."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()
