"""The fast path and ASGI: both return the same responses for requests of any framing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from regulars.app import Application
from regulars.settings import Settings
from tests.support import BOOTSTRAP_TOKEN, Client, run_server
from tests.wire import ANSWER, QUERY, Wire


@pytest.fixture
def wire(client: Client) -> Iterator[Wire]:
    connection = Wire(client)
    yield connection
    connection.socket.close()


def test_the_fast_path_and_asgi_return_the_same_response(wire: Wire) -> None:
    bodies = [
        QUERY,
        b'{"query":"{ nothing }"}',
        b'{"query":"{ customers(first: 251) { edges { cursor } } }"}',
        b'{"query":"{"}',
        b"[]",
        b"{",
        b'{"query":1}',
        b"",
    ]
    for body in bodies:
        wire.send(wire.request(body))
        fast_response = wire.answer()
        wire.send(wire.chunked(body))
        asgi_response = wire.answer()
        assert fast_response[0] == asgi_response[0]
        assert fast_response[2] == asgi_response[2]
        for headers in (fast_response[1], asgi_response[1]):
            assert headers["x-request-id"]
            assert headers["date"]
        assert sorted(fast_response[1]) == sorted(asgi_response[1])


def test_a_request_may_arrive_byte_by_byte(wire: Wire) -> None:
    request = wire.request()
    for at in range(len(request)):
        wire.send(request[at : at + 1])
    assert wire.answer()[2] == ANSWER


def test_requests_with_the_same_head_have_their_own_answers(wire: Wire) -> None:
    def numbered_request(number: int) -> bytes:
        return wire.request(b'{"query":"{ n%d: __typename }"}' % number)

    def numbered_answers(*numbers: int) -> bool:
        return [wire.answer()[2] for _ in numbers] == [
            {"data": {f"n{number}": "Query"}} for number in numbers
        ]

    for number in range(3):
        wire.send(numbered_request(number))
        assert numbered_answers(number)
    wire.send(numbered_request(3) + numbered_request(4))
    assert numbered_answers(3, 4)
    request = numbered_request(5)
    wire.send(request[:-4])
    wire.send(request[-4:] + numbered_request(6)[:60])
    assert numbered_answers(5)
    wire.send(numbered_request(6)[60:])
    assert numbered_answers(6)
    wire.send(wire.request(b"}" * 30))
    assert wire.answer()[0] == 400
    wire.send(numbered_request(7))
    assert numbered_answers(7)


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    def numbered_request(number: int) -> bytes:
        return wire.request(b'{"query":"{ n%d: __typename }"}' % number, f"X-Request-Id: r{number}")

    wire.send(numbered_request(1) + numbered_request(2) + wire.chunked() + numbered_request(3))
    assert wire.answer()[2] == {"data": {"n1": "Query"}}
    status, headers, body = wire.answer()
    assert (status, headers["x-request-id"], body) == (200, "r2", {"data": {"n2": "Query"}})
    assert wire.answer()[2] == ANSWER
    assert wire.answer()[2] == {"data": {"n3": "Query"}}
    wire.send(wire.request())
    assert wire.answer()[2] == ANSWER


def test_pipelined_writes_are_all_made(wire: Wire, client: Client) -> None:
    mutation = 'mutation { createCustomer(node: {email: \\"%d@example.com\\"}) { _id } }'
    wire.send(
        b"".join(wire.request(b'{"query":"%s"}' % (mutation % n).encode()) for n in range(1, 6))
    )
    ids = [wire.answer()[2]["data"]["createCustomer"]["_id"] for _ in range(5)]
    assert ids == [1, 2, 3, 4, 5]
    assert len(client.emails()) == 5


@pytest.mark.parametrize("size", [60_000, 70_000, 1_000_000])
def test_a_body_of_any_size_within_the_limit_is_read(wire: Wire, size: int) -> None:
    body = json.dumps({"query": "{ __typename }", "extensions": {"filler": "x" * size}}).encode()
    for request in (wire.request(body), wire.chunked(body)):
        wire.send(request)
        assert wire.answer()[2] == ANSWER


def test_connection_close_closes_the_connection(wire: Wire) -> None:
    wire.send(wire.request(QUERY, "Connection: close"))
    status, headers, body = wire.answer()
    assert (status, headers["connection"], body) == (200, "close", ANSWER)
    assert wire.is_closed()


@pytest.mark.parametrize("headers", [[], ["Connection: keep-alive"]])
def test_http_1_0_is_supported(wire: Wire, headers: list[str]) -> None:
    wire.send(wire.request(QUERY, *headers, version="1.0"))
    assert wire.answer()[2] == ANSWER
    assert wire.is_closed()


def test_expect_100_continue_gets_an_interim_response(wire: Wire) -> None:
    request = wire.request(QUERY, "Expect: 100-continue")
    wire.send(request[: -len(QUERY)])
    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100 ")
    wire.send(QUERY)
    assert wire.answer()[2] == ANSWER


@pytest.mark.parametrize("garbage", [b"what is this\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n"])
def test_bytes_that_are_not_http_get_an_error_response(wire: Wire, garbage: bytes) -> None:
    wire.send(garbage)
    status, headers, body = wire.answer()
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert body["errors"][0]["key"] == "errors_bad_request"
    assert wire.is_closed()


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 26\r\nContent-Length: 27",
        "Content-Length: 26\r\nTransfer-Encoding: chunked",
        "Content-Length: -1",
        "Content-Length: +26",
    ],
)
def test_an_ambiguous_body_length_is_refused(wire: Wire, framing: str) -> None:
    head, _, body = wire.request().partition(b"\r\n\r\n")
    head = head.replace(b"Content-Length: 26", framing.encode())
    wire.send(head + b"\r\n\r\n" + body)
    assert wire.answer()[0] == 400
    assert wire.is_closed()


def test_a_disconnected_client_does_not_affect_others(client: Client) -> None:
    for cut in (30, 120, -5, 0):
        wire = Wire(client)
        request = wire.request()
        wire.send(request[:cut] if cut else request)
        wire.socket.close()
    assert client.emails() == []


@contextmanager
def run_sqlite_server(path: Path, *options: str, log: Path | None = None) -> Iterator[Client]:
    with (log or path.with_suffix(".log")).open("w") as written:
        with run_server(f"sqlite:///{path}", *options, log=written) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                yield client


def test_the_body_limit_applies_to_the_fast_path_and_asgi(tmp_path: Path) -> None:
    with run_sqlite_server(tmp_path / "r.db", "--max-body-bytes", "1024") as client:
        for size, status in ((1_024, 200), (1_025, 413)):
            body = QUERY.ljust(size)
            wire = Wire(client)
            for request in (wire.request(body), wire.chunked(body)):
                wire.send(request)
                assert wire.answer()[0] == status
            wire.socket.close()


@pytest.mark.slow
def test_an_idle_connection_is_closed_and_a_busy_one_is_not(tmp_path: Path) -> None:
    with run_sqlite_server(tmp_path / "r.db", "--keep-alive-seconds", "1") as client:
        idle, background_load = Wire(client), Wire(client)
        deadline = time.monotonic() + 2
        idle.send(idle.request())
        assert idle.answer()[2] == ANSWER
        while time.monotonic() < deadline:
            background_load.send(background_load.request())
            assert background_load.answer()[2] == ANSWER
            time.sleep(0.5)
        assert idle.is_closed()
        for wire in (idle, background_load):
            wire.socket.close()


@pytest.mark.slow
def test_a_server_that_shuts_down_answers_requests_in_progress(tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / "r.db"
    with run_sqlite_server(path, "--no-log-requests", log=log) as client:
        wire = Wire(client)
        mutation = (
            b'{"query":"mutation { createCustomer(node: {email: \\"a@example.com\\"}) { _id } }"}'
        )
        with closing(sqlite3.connect(path, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")  # the write waits for it
            wire.send(wire.request(mutation))
            time.sleep(0.3)
            client.server.end()
            time.sleep(0.3)
            another.execute("ROLLBACK")
        status, _, body = wire.answer()
    assert (status, body) == (200, {"data": {"createCustomer": {"_id": 1}}})
    assert wire.is_closed()
    wire.socket.close()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert [event for event in events if event not in ("start", "migration", "ready", "stop")] == []


@pytest.mark.slow
@pytest.mark.parametrize("is_on", [True, False])
def test_a_setting_switches_the_fast_path_off(tmp_path: Path, is_on: bool) -> None:
    url = f"sqlite:///{tmp_path / 'fast.db'}"
    with run_server(url, env={"REGULARS_FAST_PATH": str(is_on)}) as server:
        connection = Wire(Client(server, BOOTSTRAP_TOKEN))
        connection.send(connection.request())
        assert connection.answer()[2] == ANSWER
        connection.socket.close()
    assert (Application(Settings(database_url=url, fast_path=is_on)).fast_path is not None) is is_on
