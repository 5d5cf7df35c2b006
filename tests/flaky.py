"""A server that speaks the API and has bad days: in front of a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.support import TLS, Server


@dataclass
class Flaky:
    """What is asked, and what goes wrong: `faults` come one for each request, as long as there are
    any; `before` is called before each request; `shown` changes what is answered."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    before: Callable[[int], None] = lambda _count: None
    shown: Callable[[dict[str, Any], Any], Any] = lambda _asked, answer: answer

    @property
    def pages(self) -> list[dict[str, Any]]:
        """The variables of the requests for pages of the list."""
        return [one["variables"] for one in self.asked if "$after" in one["query"]]


@contextmanager
def flaky(server: Server) -> Iterator[Flaky]:
    """Stands before a server on this machine."""
    made = Flaky()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as its parent's
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked = json.loads(body)
            made.before(len(made.asked))
            made.asked.append(asked)
            fault = made.faults.pop(0) if made.faults else ""
            if fault == "429":
                self._send(429, b"{}", ("Retry-After", "0"))
            elif fault == "429 until":
                self._send(429, b"{}", ("Retry-After", formatdate(usegmt=True)))
            elif fault == "502":
                self._send(502, b"<html>Bad gateway</html>")
            elif fault == "rate":
                told = {"errors": [{"message": "slowly", "key": "rate_limit_reached"}]}
                self._send(200, json.dumps(told).encode())
            elif fault == "gone":
                self.close_connection = True
            else:
                self._forward(body, asked, fault)

        def _forward(self, body: bytes, asked: dict[str, Any], fault: str) -> None:
            names = ("authorization", "content-type", "idempotency-key")
            headers = {n: self.headers[n] for n in names if n in self.headers}
            url = server.url + "/api/v2"
            answer = httpx.post(url, content=body, headers=headers, verify=TLS, timeout=30)
            told = made.shown(asked, answer.json())
            content = json.dumps(told).encode()
            if fault == "lost":  # it was done, and nobody hears of it
                self._send(502, b"lost")
            elif fault == "half":
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            elif fault == "text":
                self._send(200, content[: len(content) // 2])
            elif fault == "null":
                told = {"data": dict.fromkeys(told["data"])}
                self._send(200, json.dumps(told).encode())
            elif fault == "no nodes":
                empty = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}
                self._send(200, json.dumps({"data": dict.fromkeys(told["data"], empty)}).encode())
            else:
                assert not fault, fault
                self._send(answer.status_code, content)

        def _send(self, status: int, content: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", str(len(content))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    made.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
