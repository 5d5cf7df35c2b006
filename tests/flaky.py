"""Run a proxy in front of a server that fails some of the requests."""

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
class FlakyProxy:
    """The requests that a proxy has received, and how it fails. Each request takes the first of
    `faults`; `before_request` gets the number of earlier requests; `transform_response` changes a
    response."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    before_request: Callable[[int], None] = lambda _count: None
    transform_response: Callable[[dict[str, Any], Any], Any] = lambda _request, response: response

    @property
    def pages(self) -> list[dict[str, Any]]:
        """The variables of the requests for pages of the list."""
        return [request["variables"] for request in self.requests if "$after" in request["query"]]


@contextmanager
def run_flaky_proxy(server: Server) -> Iterator[FlakyProxy]:
    """Runs a proxy in front of a server on this machine."""
    proxy = FlakyProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as its parent's
            pass

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            request = json.loads(content)
            proxy.before_request(len(proxy.requests))
            proxy.requests.append(request)
            fault = proxy.faults.pop(0) if proxy.faults else ""
            if fault == "429":
                self._send(429, b"{}", ("Retry-After", "0"))
            elif fault == "429 date":
                self._send(429, b"{}", ("Retry-After", formatdate(usegmt=True)))
            elif fault == "502":
                self._send(502, b"<html>Bad gateway</html>")
            elif fault == "rate":
                body = {"errors": [{"message": "slowly", "key": "rate_limit_reached"}]}
                self._send(200, json.dumps(body).encode())
            elif fault == "gone":
                self.close_connection = True
            else:
                self._forward(content, request, fault)

        def _forward(self, request_content: bytes, request: dict[str, Any], fault: str) -> None:
            names = ("authorization", "content-type", "idempotency-key")
            headers = {n: self.headers[n] for n in names if n in self.headers}
            url = server.url + "/api/v2"
            response = httpx.post(
                url, content=request_content, headers=headers, verify=TLS, timeout=30
            )
            body = proxy.transform_response(request, response.json())
            content = json.dumps(body).encode()
            if fault == "lost":  # the server has processed the request
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
                body = {"data": dict.fromkeys(body["data"])}
                self._send(200, json.dumps(body).encode())
            elif fault == "no nodes":
                empty = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}
                self._send(200, json.dumps({"data": dict.fromkeys(body["data"], empty)}).encode())
            else:
                assert not fault, fault
                self._send(response.status_code, content)

        def _send(self, status: int, content: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", str(len(content))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{http_server.server_port}"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        http_server.shutdown()
        thread.join()
        http_server.server_close()
