"""Limits: requests within and beyond each limit, on a server with small limits."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.postgres import ACCOUNTS, CUSTOMERS, hold_lock
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    Stopwatch,
    create_token,
    get,
    run_server,
    scratch_database,
)
from tests.wire import QUERY, Wire

SMALL = (
    "--max-document-tokens 60 --max-depth 6 --max-fields 12 --max-root-fields 3 --max-aliases 4 "
    "--max-directives 3 --max-list-items 3 --max-page-size 5 --max-deletes 2 --max-cost 60 "
    "--max-search-characters 20 --max-header-bytes 1024 --max-body-bytes 4096 "
    "--receive-seconds 1 --keep-alive-seconds 3 --request-seconds 1"
).split()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with small limits."""
    url = f"sqlite:///{tmp_path_factory.mktemp('limits') / 'r.db'}"
    with run_server(url, *SMALL) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        client.create("a@example.com")
        yield client


def fields(*names: str) -> str:
    return "{ " + " ".join(names) + " }"


PAGE = "{ customers { edges { node { %s } } } }"

# For each limit: a document within it, a document beyond it, and a part of the message.
DOCUMENTS = {
    "tokens": (
        "{ __typename " + "# a comment is no token " * 20 + "\n}",
        PAGE % " ".join(["id"] * 60),
        "60",
    ),
    "depth": (
        "{ customers { edges { node { summary { visits } } } } }",
        "{ customers { edges { node { summary { orders { list { referrer } } } } } } }",
        "levels of fields: 7. The maximum is 6.",
    ),
    "fields": (
        PAGE % "id _id email phone notes avatar location version tags",
        PAGE % "id _id email phone notes avatar location version tags custom",
        "fields (those of a fragment count at each spread): 13. The maximum is 12.",
    ),
    "fields of fragments": (
        PAGE % "...f ...g"
        + "fragment f on Customer { id _id email } fragment g on Customer { ...f }",
        PAGE % "...f ...f ...f ...f" + "fragment f on Customer { id _id email }",
        "at each spread): 15.",
    ),
    "root fields": (
        "{ a: __typename b: __typename __typename }",
        "{ a: __typename b: __typename c: __typename __typename }",
        "root fields: 4. The maximum is 3.",
    ),
    "aliases": (
        PAGE % "a: id b: id c: id d: id",
        PAGE % "a: id b: id c: id d: id e: id",
        "aliases: 5. The maximum is 4.",
    ),
    "directives": (
        PAGE % "id @skip(if: false) _id @skip(if: false) email @include(if: true)",
        PAGE
        % "id @skip(if: false) _id @skip(if: false) ... @skip(if: true) { tags @skip(if: true) }",
        "directives: 4. The maximum is 3.",
    ),
    "lists": (
        'mutation { createCustomer(node: {email: "%s@b.co", tags: ["1", "2", "3"]}) { id } }',
        'mutation { createCustomer(node: {email: "b@b.co", tags: ["1", "2", "3", "4"]}) { id } }',
        "values in one list: 4. The maximum is 3.",
    ),
    "cost": (
        "{ customers(first: 5) { edges { node { leads { id } } } } }",
        "{ customers(first: 5) { edges { node { leads { id } shipping_address { id } } } } }",
        "costs 61 points; the maximum is 60",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_within_and_beyond_each_limit(small: Client, name: str) -> None:
    within, beyond, message = DOCUMENTS[name]
    if "%s" in within:
        within = within % time.monotonic_ns()
    assert "errors" not in small.run(within), small.run(within)
    error = small.expect_error("errors_document_limit", beyond)
    assert message in error["message"]
    preferred = {"Accept": "application/graphql-response+json"}
    assert small.post(beyond, headers=preferred).status_code == 400


def test_comparisons_of_fields_are_limited(client: Client) -> None:
    """Validation compares each pair of fields with one name, and the fields below them."""
    within, beyond = ("{ " + "customers { edges { node { id } } } " * n + "}" for n in (25, 50))
    assert client.data(within)
    stopwatch = Stopwatch(client.server.pid)
    error = client.expect_error("errors_document_limit", beyond)
    assert stopwatch.seconds < 2
    assert "3,000 pairs" in error["message"]


def test_lists_in_variables_are_limited(small: Client) -> None:
    create = "mutation($n: InputCustomer!) { createCustomer(node: $n) { tags } }"
    node = {"email": f"{time.monotonic_ns()}@b.co", "tags": ["1", "2", "3"]}
    assert small.data(create, n=node)["createCustomer"]["tags"] == ["1", "2", "3"]
    error = small.expect_error("errors_invalid_input", create, n={**node, "tags": ["1"] * 4})
    assert error["extensions"]["input_path"] == ["node", "tags"]
    assert "4 values; the maximum is 3" in error["message"]
    custom = {"email": f"{time.monotonic_ns()}@b.co", "custom": {"a": [1, 2, 3, 4, 5]}}
    assert small.data(create, n=custom)


def test_a_page_a_search_and_a_delete_have_limits(small: Client) -> None:
    page = "query($n: Int) { customers(first: $n) { edges { cursor } } }"
    assert small.data(page, n=5)
    assert "0 to 5" in small.expect_error("errors_page_size", page, n=6)["message"]
    assert small.data("{ customers { edges { cursor } } }")
    search = "query($q: String) { customers(query: $q, first: 1) { edges { cursor } } }"
    assert small.data(search, q="a" * 20)
    assert (
        "21 characters" in small.expect_error("errors_invalid_query", search, q="a" * 21)["message"]
    )
    delete = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
    assert small.expect_error("errors_customer_not_found", delete, i=["98", "99"])
    assert (
        "the maximum is 2 "
        in small.expect_error("errors_invalid_input", delete, i=["97", "98", "99"])["message"]
    )


def test_headers_have_a_limit(small: Client) -> None:
    statuses = []
    for size in (500, 1_100, 100_000):
        wire = Wire(small)
        wire.send(wire.request(QUERY, f"X-Padding: {'x' * size}"))
        status, headers, body = wire.answer()
        statuses.append(status)
        if status != 200:
            assert body["errors"][0]["key"] == "errors_header_limit"
            assert "1,024 bytes" in body["errors"][0]["message"]
            assert headers["x-request-id"]
            assert wire.is_closed()
        wire.socket.close()
    assert statuses == [200, 431, 431]


def test_a_body_does_not_count_as_a_header(small: Client) -> None:
    """The end of one request and the beginning of the next arrive together."""
    wire = Wire(small)
    long = wire.request(QUERY.ljust(4_000))
    wire.send(long + wire.request()[:40])
    assert wire.answer()[0] == 200
    wire.send(wire.request()[40:])
    assert wire.answer()[0] == 200
    wire.socket.close()


def test_a_write_before_an_invalid_request_is_answered(small: Client) -> None:
    wire = Wire(small)
    email = f"{time.monotonic_ns()}@example.com"
    create = (
        f'{{"query":"mutation {{ createCustomer(node: {{email: \\"{email}\\"}}) {{ email }} }}"}}'
    )
    wire.send(wire.request(create.encode()) + b"nonsense\r\n\r\n")
    status, headers, body = wire.answer()
    assert (status, body) == (200, {"data": {"createCustomer": {"email": email}}})
    assert "connection" not in headers
    status, headers, body = wire.answer()
    assert (status, body["errors"][0]["key"]) == (400, "errors_bad_request")
    assert headers["connection"] == "close"
    assert wire.is_closed()
    wire.socket.close()


def send_for_ten_seconds(wire: Wire, data: bytes) -> None:
    """Sends data for ten seconds, and does not read."""
    wire.socket.settimeout(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        wire.send(data)


def test_an_endless_header_is_disconnected(small: Client) -> None:
    wire = Wire(small)
    wire.send(b"POST /api/v2 HTTP/1.1\r\nX-Padding: ")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ten_seconds(wire, b"x" * 1_000)
    wire.socket.close()


@pytest.mark.slow
@pytest.mark.parametrize("part", [b"", b"POST /api/v2 HT", b"half", b"body"])
def test_only_slow_senders_are_disconnected(small: Client, part: bytes) -> None:
    wire = Wire(small)
    whole = wire.request()
    data = {b"half": whole[:60], b"body": whole[:-3]}.get(part, part)
    slow = [Wire(small) for _ in range(20)]
    for connection in slow:
        connection.send(data)
    start = time.monotonic()
    wire.send(whole)
    assert wire.answer()[0] == 200
    assert time.monotonic() - start < 3
    for connection in slow:
        if part:
            status, _, body = connection.answer()
            assert (status, body["errors"][0]["key"]) == (408, "errors_receive_timeout")
        assert connection.is_closed()
        connection.socket.close()
    assert 0.5 < time.monotonic() - start < 30
    wire.socket.close()


@pytest.mark.slow
def test_a_slow_body_is_disconnected(small: Client) -> None:
    """The time limit is for the whole request, not for each byte."""
    wire = Wire(small)
    for byte in wire.request()[:40]:
        try:
            wire.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server does not close the connection")
    wire.socket.close()


@pytest.mark.slow
def test_a_client_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", "--receive-seconds", "1") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("a@example.com", notes="x" * 60_000)
            wire = Wire(client)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            query = b'{"query":"{ customers { edges { node { notes } } } }"}'
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                send_for_ten_seconds(wire, wire.request(query))
            wire.socket.close()
            assert client.emails() == ["a@example.com"]


CREATE = 'mutation { createCustomer(node: {email: "%s@example.com"}) { id } }'


@pytest.mark.slow
def test_a_request_times_out(postgresql: str) -> None:
    """Its statement ends in the database, too."""
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
        "AND datname = current_database() AND pid <> pg_backend_pid() "
        # A background task of the server waits for the table, too.
        "AND query NOT LIKE 'UPDATE attempts%'"
    )

    async def count(dsn: str) -> Any:
        connection = await asyncpg.connect(dsn)
        statements = await connection.fetchval(active)
        await connection.close()
        return statements

    with scratch_database(postgresql) as url:
        with run_server(url, "--request-seconds", "1") as server:
            with Client(server, BOOTSTRAP_TOKEN) as client, hold_lock(url, CUSTOMERS):
                start = time.monotonic()
                for query in (PAGE % "id", "{ a: " + (PAGE % "id")[1:], CREATE % "a"):
                    response = client.post(query)
                    assert response.status_code == 200
                    (error,) = response.json()["errors"]
                    assert error["key"] == "errors_timeout"
                    assert error["extensions"]["request_id"] == response.headers["x-request-id"]
                assert 2.5 < time.monotonic() - start < 30
                three = '{ a: node(id: "Q3VzdG9tZXI6MQ==") { id } b: node(id: "Q3VzdG9tZXI6MQ==") { id } c: node(id: "Q3VzdG9tZXI6MQ==") { id } }'
                start = time.monotonic()
                client.errors(three)
                assert time.monotonic() - start < 2.9
                time.sleep(0.5)
                assert asyncio.run(count(url)) == 0
            with Client(server, BOOTSTRAP_TOKEN) as client:
                assert client.data(PAGE % "id")


@pytest.mark.slow
def test_requests_beyond_the_maximum_are_rejected_at_once(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with run_server(url, "--max-requests", "8") as server:
            token = create_token(server)

            def send(query: str) -> tuple[int, float]:
                with Client(server, token) as client:
                    start = time.monotonic()
                    response = client.post(query)
                    if response.status_code == 503:
                        assert response.headers["retry-after"] == "1"
                        assert response.json()["errors"][0]["key"] == "errors_unavailable"
                    return response.status_code, time.monotonic() - start

            with ThreadPoolExecutor(12) as pool:
                with hold_lock(url, ACCOUNTS):
                    waiting = [pool.submit(send, CREATE % n) for n in range(4)]
                    time.sleep(0.7)
                    more = list(pool.map(send, ["{ __typename }"] * 8))
                    assert {status for status, _ in more} == {503}
                    assert max(took for _, took in more) < 1
                assert {future.result()[0] for future in waiting} == {200}
                assert send("{ __typename }")[0] == 200


RATE = ("--rate-limit", "100", "--rate-burst", "200", "--max-cost", "200")


COST = 51  # of a page of 50 cursors
PAGES = 9  # 200 points at once, and 100 per second: the rest takes three seconds


def read_pages(server: Server, clients: int) -> tuple[float, int, int]:
    """Lets clients request pages concurrently until `PAGES` are answered. Returns the seconds, the
    answered pages, and the number of rejected requests."""
    outcomes: list[bool] = []
    start = time.monotonic()

    def request_pages(_: int) -> None:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            while sum(outcomes) < PAGES:
                assert time.monotonic() - start < 60, "the rate lets too little through"
                response = client.post("{ customers(first: 50) { edges { cursor } } }")
                outcomes.append(response.status_code == 200)
                if response.status_code != 200:
                    assert response.status_code == 429
                    assert response.json()["errors"][0]["key"] == "rate_limit_reached"
                    assert 1 <= int(response.headers["retry-after"]) <= 2
                    time.sleep(0.02)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(request_pages, range(clients)))
    return time.monotonic() - start, sum(outcomes), outcomes.count(False)


@pytest.mark.slow
def test_a_token_has_a_rate_limit(new_database: str) -> None:
    with run_server(new_database, *RATE) as server:
        seconds, answered, expect_error = read_pages(server, 1)
        assert PAGES <= answered <= (200 + 100 * seconds) / COST
        assert expect_error > 0
        with Client(server, BOOTSTRAP_TOKEN) as client:
            with Client(server, create_token(server, "default")) as other:
                assert other.post("{ __typename }").status_code == 200
            time.sleep(0.7)
            response = client.post("{ __typename }", headers={"Regulars-Cost": "1"}).json()
            assert response["extensions"]["cost"]["requested"] == 1
            assert response["extensions"]["cost"]["limit"] == 200
            assert 0 <= response["extensions"]["cost"]["remaining"] <= 199


@pytest.mark.slow
def test_a_rate_limit_holds_across_processes(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with run_server(url, *RATE, "--workers", "2") as server:
            seconds, answered, expect_error = read_pages(server, 6)
            # Each process may have reserved the points of a tenth of a second.
            assert PAGES <= answered <= (200 + 2 * 10 + 100 * seconds) / COST
            assert expect_error > 0


@pytest.mark.slow
def test_an_invalid_document_costs_points(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", "--rate-limit", "1", *RATE[2:]) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            statuses = [client.post(f"{{ nothing{n} }}").status_code for n in range(230)]
    assert statuses[:200] == [200] * 200
    assert 429 in statuses


def test_loopback_has_no_rate_limit_by_default(server: Server) -> None:
    from regulars.settings import DEFAULT_RATE_LIMIT, Settings

    assert Settings().points_per_second == 0
    for host in ("localhost", "::1", "127.0.0.2"):
        assert Settings(host=host).points_per_second == 0
    for host in ("0.0.0.0", "192.0.2.1", "::", "shop.example.com"):
        assert Settings(host=host).points_per_second == DEFAULT_RATE_LIMIT
    assert Settings(host="0.0.0.0", rate_limit=0).points_per_second == 0
    assert Settings(rate_limit=7).points_per_second == 7


def test_the_cost_is_returned_on_request(client: Client) -> None:
    def cost(query: str) -> Any:
        response = client.post(query, headers={"Regulars-Cost": "1"}).json()
        return response["extensions"]["cost"]["requested"]

    assert "extensions" not in client.run("{ __typename }")
    assert cost("{ __typename }") == 1
    assert cost("{ customers { edges { cursor } } }") == 26
    assert cost("{ customers(first: 100) { edges { cursor node { id email } } } }") == 101
    assert cost("{ customers(first: 10) { edges { node { shipping_address { id } } } } }") == 21
    assert cost("{ customers(first: 10) { totalCount edges { node { leads { id } } } } }") == 121
    assert cost('{ customers(first: 0, query: "%s") { edges { cursor } } }' % ("a" * 100)) == 11
    assert cost('{ node(id: "x") { id } }') == 1
    assert cost("mutation { deleteCustomers(items: [1, 2, 3]) }") == 31
    expect_error = client.post(
        "{ customers(first: 250) { edges { node { summary { orders { list { order { customer { summary { orders { list { order { id } } } } } } } } } } } } }",
        headers={"Regulars-Cost": "1"},
    ).json()
    assert expect_error["errors"][0]["key"] == "errors_document_limit"
    assert expect_error["errors"][0]["extensions"]["limit"] == 20_000
    assert (
        expect_error["extensions"]["cost"]["requested"]
        == expect_error["errors"][0]["extensions"]["cost"]
    )


def test_contradictory_settings_are_rejected(tmp_path: Path) -> None:
    from tests.support import run_regulars

    process = run_regulars(
        "serve", "--max-cost", "50000", env={"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path}/r.db"}
    )
    assert process.returncode == 2
    assert (
        "REGULARS_RATE_BURST (40,000) must not be less than REGULARS_MAX_COST (50,000)"
        in process.stderr
    )


@pytest.mark.slow
def test_two_thousand_connections_with_a_quarter_slow(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", "--receive-seconds", "5") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            idle = [Wire(client) for _ in range(1_500)]
            slow = [Wire(client) for _ in range(500)]
            for wire in slow:
                wire.send(wire.request()[:80])
            durations = []
            for _ in range(50):
                start = time.monotonic()
                assert client.post("{ __typename }").status_code == 200
                durations.append(time.monotonic() - start)
            assert sorted(durations)[25] < 1
            assert idle[0].socket.fileno() > 0
            for wire in (*idle, *slow):
                wire.socket.close()
            assert get(f"{server.url}/healthz").status_code == 200
