"""HTTP/1.1 on the wire: framing, upgrades, limits, pipelining, and clients that do not read."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Stopwatch,
    create_token,
    read_metrics,
    run_server,
    wait_until,
)
from tests.wire import ANSWER, QUERY, Wire

CHUNK = b"%x\r\n%s\r\n" % (len(QUERY), QUERY)
END = b"0\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
MAX_PAUSE_SECONDS = 0.1


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one server, whose log has no line above `info` at the end."""
    folder = tmp_path_factory.mktemp("wire")
    path = folder / "log"
    with path.open("w") as log, run_server(f"sqlite:///{folder / 'r.db'}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            yield client
    assert [line for line in path.read_text().splitlines() if '"level":"info"' not in line] == []


@contextmanager
def connect(client: Client) -> Iterator[Wire]:
    wire = Wire(client)
    try:
        yield wire
    finally:
        wire.socket.close()


def head(
    wire: Wire, *headers: str, first: str = "POST /api/v2 HTTP/1.1", token: bool = True
) -> bytes:
    """Returns a head without a Content-Length."""
    lines = [first, "Host: localhost", "Content-Type: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {wire.token}")
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def chunked(wire: Wire, body: bytes, *headers: str, token: bool = True) -> bytes:
    return head(wire, *headers, "Transfer-Encoding: chunked", token=token) + body


def expect(wire: Wire, status: int, key: str) -> dict[str, str]:
    """Reads a response with one error; returns its headers."""
    answered, headers, body = wire.answer()
    assert (answered, body["errors"][0]["key"]) == (status, key), body
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    return headers


class PauseMeter:
    """Measures the longest time that another connection waits for /healthz."""

    def __init__(self, client: Client) -> None:
        self.longest = 0.0
        self._pid = client.server.pid
        self._wire = Wire(client)
        self._wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure)

    def _measure(self) -> None:
        while not self._stop.wait(0.002):
            stopwatch = Stopwatch(self._pid)
            self._wire.send(GET)
            self._wire.socket.recv(65_536)
            self.longest = max(self.longest, stopwatch.seconds)

    def __enter__(self) -> PauseMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._wire.socket.close()


# Trailers, chunks and heads


def test_trailers_are_dropped(target: Client) -> None:
    with connect(target) as wire:
        trailer = f"Authorization: Bearer {wire.token}\r\nX-Request-Id: other\r\n".encode()
        wire.send(chunked(wire, CHUNK + b"0\r\n" + trailer + b"\r\n", "X-Request-Id: mine"))
        _, headers, body = wire.answer()
        assert (headers["x-request-id"], body) == ("mine", ANSWER)
        wire.send(chunked(wire, CHUNK + b"0\r\n" + trailer + b"\r\n", token=False))
        expect(wire, 401, "errors_unauthenticated")
        wire.send(wire.request())
        assert wire.answer()[2] == ANSWER


ENDLESS = {
    "trailers": b"0\r\n" + b"X: y\r\n" * 500_000,
    "a trailer": b"0\r\nX: " + b"y" * 3_000_000,
    "a chunk extension": b"1;" + b"a" * 3_000_000,
    "chunk extensions": (b"1;" + b"a" * 50 + b"\r\nx\r\n") * 50_000,
    "chunks of a byte": b"1\r\n \r\n" * 500_000,
    "a chunk size": b"0" * 3_000_000,
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("token", [True, False])
def test_framing_is_limited(target: Client, name: str, token: bool) -> None:
    with connect(target) as wire, PauseMeter(target) as pauses:
        with suppress(ConnectionError):
            wire.send(chunked(wire, ENDLESS[name], token=token))
        status, headers, body = wire.answer()
        if token or status != 401:  # without a token, the response may come before the limit
            assert (status, body["errors"][0]["key"]) == (431, "errors_header_limit")
            assert "16,384 bytes" in body["errors"][0]["message"]
            assert headers["connection"] == "close"
    assert pauses.longest < MAX_PAUSE_SECONDS


@pytest.mark.parametrize(
    "head_start",
    [
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 500_000,
        b"GET / HTTP/1.1\r\nA: " + b"a" * 3_000_000,
        b"GET /" + b"a" * 3_000_000,
        b"A" * 3_000_000,
    ],
)
def test_heads_are_measured_before_they_are_parsed(target: Client, head_start: bytes) -> None:
    with connect(target) as wire, PauseMeter(target) as pauses:
        with suppress(ConnectionError):
            wire.send(head_start)
        expect(wire, 431, "errors_header_limit")
    assert pauses.longest < MAX_PAUSE_SECONDS


def test_as_many_header_fields_as_fit_are_read(target: Client) -> None:
    with connect(target) as wire, PauseMeter(target) as pauses:
        for _ in range(20):
            wire.send(wire.request(QUERY, *["a:"] * 3_900))
            assert wire.answer()[2] == ANSWER
    assert pauses.longest < MAX_PAUSE_SECONDS


def test_bodies_of_small_chunks_and_empty_lines_are_read(target: Client) -> None:
    blank = b"%x\r\n%s\r\n" % (1_000_000, b"\r\n" * 500_000)
    bodies = [
        b"".join(b"1\r\n%c\r\n" % byte for byte in QUERY) + END,
        b"3\r\n   \r\n" * 100_000 + CHUNK + END,
        blank + CHUNK + END,
        b"%x;name=value\r\n%s\r\n" % (len(QUERY), QUERY) + END,
    ]
    with connect(target) as wire, PauseMeter(target) as pauses:
        for body in bodies:
            wire.send(chunked(wire, body))
            assert wire.answer()[2] == ANSWER
        wire.send(b"\r\n" * 500_000 + wire.request())
        assert wire.answer()[2] == ANSWER
    assert pauses.longest < MAX_PAUSE_SECONDS


# Request smuggling (RFC 9112, 6 and 11.2)

SMUGGLED = {
    "`Host` is missing": ("POST", ["-Host"], QUERY),
    "two Hosts": ("POST", ["Host: localhost"], QUERY),
    "two other Hosts": ("POST", ["Host: other"], QUERY),
    "a Host with a path": ("POST", ["-Host", "Host: a/b"], QUERY),
    "a Host with a user": ("POST", ["-Host", "Host: a@b"], QUERY),
    "two Authorizations": ("POST", ["Authorization: Bearer x"], QUERY),
    "two lengths": ("POST", ["Content-Length: 5"], QUERY),
    "the same length twice": ("POST", [f"Content-Length: {len(QUERY)}"], QUERY),
    "both lengths": ("POST", ["Transfer-Encoding: chunked"], QUERY),
    "a folded header": ("POST", ["X-A: a\r\n b"], QUERY),
    "a NUL": ("POST", ["X-A: a\0b"], QUERY),
    "a carriage return": ("POST", ["X-A: a\rb"], QUERY),
    "a space before the colon": ("POST", ["X-A : a"], QUERY),
    "no colon": ("POST", ["X-A"], QUERY),
    "HTTP/2.0": ("POST /api/v2 HTTP/2.0", [], QUERY),
    "HTTP/1.9": ("POST /api/v2 HTTP/1.9", [], QUERY),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_ambiguous_requests_are_refused(target: Client, name: str) -> None:
    first, headers, body = SMUGGLED[name]
    with connect(target) as wire:
        request, _, _ = wire.request(body).partition(b"\r\n\r\n")
        lines = request.decode().split("\r\n")
        lines[0] = first if " " in first else lines[0]
        for header in headers:
            if header.startswith("-"):
                lines = [line for line in lines if not line.startswith(header[1:] + ":")]
            else:
                lines.append(header)
        wire.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body + wire.request())
        expect(wire, 400, "errors_bad_request")
        assert wire.is_closed()


@pytest.mark.parametrize(
    "encoding",
    [
        "gzip, chunked",
        "xchunked",
        "identity",
        "chunked, identity",
        "chunked\r\nTransfer-Encoding: x",
    ],
)
def test_chunked_is_the_only_transfer_encoding(target: Client, encoding: str) -> None:
    with connect(target) as wire:
        wire.send(head(wire, f"Transfer-Encoding: {encoding}") + CHUNK + END)
        expect(wire, 400, "errors_bad_request")
        assert wire.is_closed()


@pytest.mark.parametrize(
    "body",
    [
        b"0x1a\r\n" + QUERY + b"\r\n" + END,
        b"-1\r\nx\r\n" + END,
        b" 1a\r\n" + QUERY + b"\r\n" + END,
        b"1a \r\n" + QUERY + b"\r\n" + END,
        b"1a\n" + QUERY + b"\r\n" + END,
        b"1a\r\n" + QUERY + END,
        b"ffffffffffffffffff\r\nx\r\n",
    ],
)
def test_a_chunk_size_is_hexadecimal(target: Client, body: bytes) -> None:
    with connect(target) as wire:
        wire.send(chunked(wire, body))
        expect(wire, 400, "errors_bad_request")
        assert wire.is_closed()


def test_a_client_of_http_1_0_needs_no_host_and_gets_no_chunks(target: Client) -> None:
    with connect(target) as wire:
        wire.send(f"GET /export HTTP/1.0\r\nAuthorization: Bearer {wire.token}\r\n\r\n".encode())
        received = b""
        while data := wire.socket.recv(65_536):
            received += data
    top, _, body = received.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in top.lower()
    assert b"email" in body


# Upgrades, expectations, methods


@pytest.mark.parametrize(
    "headers",
    [
        [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        ],
        ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
        ["Upgrade: h2c"],
    ],
)
def test_an_offer_to_upgrade_is_ignored(target: Client, headers: list[str]) -> None:
    with connect(target) as wire:
        wire.send(wire.request(QUERY, *headers))  # in one piece
        assert wire.answer()[2] == ANSWER
        for byte in wire.request(QUERY, *headers):
            wire.send(bytes([byte]))
        assert wire.answer()[2] == ANSWER
        wire.send(chunked(wire, CHUNK + END, *headers) + wire.request(QUERY, *headers) * 2)
        for _ in range(3):
            assert wire.answer()[2] == ANSWER
        wire.send(head(wire, *headers, first="GET /api/v2?query={__typename} HTTP/1.1"))
        assert wire.answer()[2] == ANSWER
        wire.send(wire.request())
        assert wire.answer()[2] == ANSWER


def test_connect_and_unknown_methods_are_refused(target: Client) -> None:
    for first in ("CONNECT localhost:443 HTTP/1.1", "FOO /api/v2 HTTP/1.1", "post / HTTP/1.1"):
        with connect(target) as wire:
            wire.send(head(wire, first=first) + QUERY)
            assert expect(wire, 405, "errors_method")["allow"] == "GET, POST"
            assert wire.is_closed()


def test_expect_without_a_token_ends_the_connection(target: Client) -> None:
    """The client may send the body or not, so the server could mistake it for the next request."""
    with connect(target) as wire:
        wire.send(head(wire, "Expect: 100-continue", "Content-Length: 26", token=False))
        assert expect(wire, 401, "errors_unauthenticated")["connection"] == "close"
        assert wire.is_closed()
    with connect(target) as wire:
        wire.send(wire.request(QUERY, "Expect: 100-continue", version="1.0"))
        assert wire.answer()[0] == 200  # without 100, which HTTP/1.0 does not know
    with connect(target) as wire:
        wire.send(wire.request(QUERY, "Expect: something"))
        assert wire.answer()[2] == ANSWER


PATHS = ["/", "/customers", "/healthz", "/readyz", "/metrics", "/session", "/import", "/export",
         "/api/v2?query={__typename}", "/graphql/?query={__typename}", "/api/v2", "/elsewhere"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_as_get_without_a_body(target: Client, path: str) -> None:
    with connect(target) as wire:
        headers = []
        for method in ("GET", "HEAD"):
            wire.send(head(wire, "X-Request-Id: same", first=f"{method} {path} HTTP/1.1"))
            received = b""
            while b"\r\n\r\n" not in received:
                received += wire.socket.recv(65_536)
            top, _, rest = received.partition(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in top.lower().split(b"\r\n")[1:])
            if method == "GET":
                length = int(fields.get(b"content-length", b"0"))
                while len(rest) < length or (not length and not rest.endswith(END)):
                    rest += wire.socket.recv(65_536)
            else:
                assert rest == b""
                wire.send(wire.request())  # nothing else came before its response
                assert wire.answer()[2] == ANSWER
            fields.pop(b"date")
            fields.pop(b"transfer-encoding", None)
            if path == "/metrics":
                fields.pop(b"content-length")
            headers.append((top.split(b"\r\n")[0], fields))
        assert headers[0] == headers[1]


def test_each_path_is_answered_with_a_slash_without_a_redirect(target: Client) -> None:
    for path in ("/api/v2", "/graphql", "/api2"):
        for address in (path, f"{path}/"):
            with connect(target) as wire:
                request = wire.request().replace(b"/api/v2", address.encode())
                wire.send(request)
                assert wire.answer()[2] == ANSWER
                wire.send(wire.chunked().replace(b"/api/v2", address.encode()))
                assert wire.answer()[2] == ANSWER
                first = f"GET {address}?query={{__typename}} HTTP/1.1"
                wire.send(head(wire, first=first))
                assert wire.answer()[2] == ANSWER
    for path in ("/healthz/", "/readyz/", "/import/", "/export/", "/customers/"):
        assert target.http.get(path).status_code == 200
    assert target.http.post("/healthz").json()["errors"][0]["key"] == "errors_method"


# Pipelining


@pytest.mark.slow
def test_requests_of_a_pipeline_are_read_one_at_a_time(target: Client) -> None:
    process = psutil.Process(target.server.pid)
    with connect(target) as wire:
        before = process.memory_info().rss
        with PauseMeter(target) as pauses:
            wire.send(GET * 20_000)
            received = 0
            while received < 20_000:
                received += wire.socket.recv(1_000_000).count(b"HTTP/1.1 200")
        assert process.memory_info().rss - before < 8_000_000
        assert pauses.longest < MAX_PAUSE_SECONDS


def test_a_disconnected_pipeline_logs_no_warning(target: Client) -> None:
    """The fixture checks the log."""
    for after in (0.0, 0.002, 0.02):
        for reset in (False, True):
            wires = [Wire(target) for _ in range(10)]
            for wire in wires:
                wire.send(wire.request() * 50 + wire.chunked() * 50 + GET * 50)
            time.sleep(after)
            for wire in wires:
                if reset:
                    linger = b"\1\0\0\0\0\0\0\0"
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                wire.socket.close()
    wait_until(lambda: target.http.get("/healthz").status_code == 200)


def test_a_client_may_end_its_side_and_read_the_response(target: Client) -> None:
    for request in (Wire.request, Wire.chunked):
        with connect(target) as wire:
            wire.send(request(wire))
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.answer()[2] == ANSWER
            assert wire.is_closed()


# Persisted queries, GET with a body, request ids

PERSISTED = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}


@pytest.mark.parametrize("query", [{}, {"query": None}, {"query": ""}])
def test_a_persisted_query_is_not_supported(target: Client, query: dict[str, Any]) -> None:
    posted = target.http.post("/api/v2", json={**query, "extensions": PERSISTED, "variables": {}})
    fetched = target.http.get("/api/v2", params={"extensions": json.dumps(PERSISTED)})
    for answer in (posted, fetched):
        assert answer.status_code == 200
        (error,) = answer.json()["errors"]
        assert error["message"] == "PersistedQueryNotSupported"
        assert error["key"] == "errors_persisted_query"
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    body = {"query": "{ __typename }", "extensions": PERSISTED}
    assert target.http.post("/api/v2", json=body).json() == ANSWER


def test_a_get_with_a_body_gets_an_explanation(target: Client) -> None:
    answer = target.http.request("GET", "/api/v2", json={"query": "{ __typename }"})
    assert answer.status_code == 400
    assert "must have its query in the URL" in answer.json()["errors"][0]["message"]
    params = {"query": "{ __typename }"}
    assert target.http.request("GET", "/api/v2", params=params, json={}).json() == ANSWER


def test_a_refusal_has_the_request_id_of_the_client(target: Client) -> None:
    with connect(target) as wire:
        wire.send(b"GET / HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n")
        assert expect(wire, 400, "errors_bad_request")["x-request-id"] == "mine"


# Clients that do not read


def long_page(token: str) -> bytes:
    body = b'{"query":"{ customers(first: 250) { edges { node { notes } } } }"}'
    head = f"POST /api/v2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def connect_without_reading(client: Client, request: bytes, count: int) -> list[socket.socket]:
    """Returns connections that send a request and do not read the response."""
    connections = []
    for _ in range(count):
        wire = Wire(client)
        wire.socket.close()
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        port = int(re.findall(r":(\d+)", client.server.url)[-1])
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        connections.append(connection)
    return connections


@pytest.mark.slow
def test_unread_responses_have_a_budget(tmp_path: Path) -> None:
    """Clients that never read hold no more than the budget, and cut off no other account."""
    options = ("--max-buffered-bytes", "40000000", "--receive-seconds", "60")
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", *options) as server:
        with (
            Client(server, BOOTSTRAP_TOKEN) as client,
            Client(server, create_token(server)) as other,
        ):
            for writer in (client, other):
                for n in range(60):
                    writer.create(f"c{n}@example.com", notes="x" * 60_000)
            (victim,) = connect_without_reading(other, long_page(other.token), 1)
            process = psutil.Process(server.pid)
            before = process.memory_info().rss
            time.sleep(0.5)
            greedy = connect_without_reading(client, long_page(client.token), 100)
            wait_until(
                lambda: read_metrics(server.url)["regulars_slow_connections_closed_total"] > 50
            )
            assert read_metrics(server.url)["regulars_buffered_bytes"] <= 40_000_000
            assert process.memory_info().rss - before < 150_000_000
            received = b""  # of another account, which is also slow
            victim.settimeout(10)
            while not received.endswith(b"}}]}}}") and (data := victim.recv(1_000_000)):
                received += data
            assert len(received) > 60 * 60_000
            for connection in (*greedy, victim):
                connection.close()
            wait_until(lambda: read_metrics(server.url)["regulars_buffered_bytes"] == 0)


@pytest.mark.slow
def test_pipelining_without_reading_stops_at_one_response(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for n in range(60):
                client.create(f"c{n}@example.com", notes="x" * 60_000)
            process = psutil.Process(server.pid)
            before = process.memory_info().rss
            (connection,) = connect_without_reading(client, long_page(client.token) * 50, 1)
            time.sleep(2)
            assert process.memory_info().rss - before < 60_000_000
            assert read_metrics(server.url)["regulars_buffered_bytes"] < 8_000_000
            connection.close()


@pytest.mark.slow
def test_only_a_client_that_reads_too_slowly_is_disconnected(tmp_path: Path) -> None:
    options = ("--receive-seconds", "2", "--min-read-rate", "50000")
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", *options) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for n in range(100):
                client.create(f"c{n}@example.com", notes="x" * 60_000)
            export = (
                f"GET /export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n"
            )
            for request in (long_page(client.token), export.encode()):
                slow, steady = connect_without_reading(client, request, 2)
                read, deadline = 0, time.monotonic() + 9
                while time.monotonic() < deadline and read < 5_500_000:
                    slow.recv(1_000)
                    read += len(steady.recv(100_000))
                    time.sleep(0.05)
                assert read >= 5_500_000 or read > 400_000
                slow.settimeout(10)
                with suppress(ConnectionError):
                    remaining_bytes = 0
                    while data := slow.recv(1_000_000):
                        remaining_bytes += len(data)
                    assert remaining_bytes < 6_000_000  # the bytes in the buffers
                    assert not data
                steady.settimeout(5)
                assert steady.recv(1_000)  # is not cut off
                slow.close()
                steady.close()


@pytest.mark.slow
def test_an_account_has_at_most_half_of_the_export_slots(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with (
            Client(server, BOOTSTRAP_TOKEN) as client,
            Client(server, create_token(server)) as other,
        ):
            for n in range(120):
                client.create(f"c{n}@example.com", notes="x" * 60_000)
            export = (
                f"GET /export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n"
            )
            slow = connect_without_reading(client, export.encode(), 4)
            time.sleep(1)
            response = client.http.get("/export")
            assert response.status_code == 503
            assert "This account has 2 exports" in response.json()["errors"][0]["message"]
            assert other.http.get("/export").status_code == 200
            for connection in slow:
                connection.close()


@pytest.mark.slow
def test_bodies_that_arrive_slowly_have_a_budget(tmp_path: Path) -> None:
    """Also without a token, where the body is read before the signature is checked."""
    options = ("--max-buffered-bytes", "20000000")
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", *options) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            process = psutil.Process(server.pid)
            before = process.memory_info().rss
            wires = [Wire(client) for _ in range(60)]
            for wire in wires:
                first = "POST /in/default/customers/create HTTP/1.1"
                wire.send(head(wire, "Content-Length: 2000000", first=first, token=False))
                with suppress(ConnectionError):
                    wire.send(b" " * 1_900_000)
            wait_until(
                lambda: read_metrics(server.url)["regulars_slow_connections_closed_total"] > 30
            )
            assert read_metrics(server.url)["regulars_buffered_bytes"] <= 20_000_000
            assert process.memory_info().rss - before < 120_000_000
            expect(wires[0], 503, "errors_unavailable")
            assert client.data("{ __typename }")
            for wire in wires:
                wire.socket.close()
