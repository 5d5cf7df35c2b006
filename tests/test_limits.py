"""Limits: on each side of each of them, on a server whose limits are small."""

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

from tests.postgres import ACCOUNTS, CUSTOMERS, held
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    Stopwatch,
    get,
    new_token,
    running,
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
    with running(url, *SMALL) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        client.create("a@example.com")
        yield client


def fields(*names: str) -> str:
    return "{ " + " ".join(names) + " }"


PAGE = "{ customers { edges { node { %s } } } }"

# For each limit of documents what is at it, what is over it, and the numbers that the message has.
DOCUMENTS = {
    "tokens": (
        "{ __typename " + "# a comment is no token " * 20 + "\n}",
        PAGE % " ".join(["id"] * 60),
        "60",
    ),
    "depth": (
        "{ customers { edges { node { summary { visits } } } } }",
        "{ customers { edges { node { summary { orders { list { referrer } } } } } } }",
        "7 levels of fields; at most 6",
    ),
    "fields": (
        PAGE % "id _id email phone notes avatar location version tags",
        PAGE % "id _id email phone notes avatar location version tags custom",
        "13 fields, with those of its fragments where they are spread; at most 12",
    ),
    "fields of fragments": (
        PAGE % "...f ...g"
        + "fragment f on Customer { id _id email } fragment g on Customer { ...f }",
        PAGE % "...f ...f ...f ...f" + "fragment f on Customer { id _id email }",
        "15 fields",
    ),
    "root fields": (
        "{ a: __typename b: __typename __typename }",
        "{ a: __typename b: __typename c: __typename __typename }",
        "4 root fields; at most 3",
    ),
    "aliases": (
        PAGE % "a: id b: id c: id d: id",
        PAGE % "a: id b: id c: id d: id e: id",
        "5 aliases; at most 4",
    ),
    "directives": (
        PAGE % "id @skip(if: false) _id @skip(if: false) email @include(if: true)",
        PAGE
        % "id @skip(if: false) _id @skip(if: false) ... @skip(if: true) { tags @skip(if: true) }",
        "4 directives; at most 3",
    ),
    "lists": (
        'mutation { createCustomer(node: {email: "%s@b.co", tags: ["1", "2", "3"]}) { id } }',
        'mutation { createCustomer(node: {email: "b@b.co", tags: ["1", "2", "3", "4"]}) { id } }',
        "4 values in one list; at most 3",
    ),
    "cost": (
        "{ customers(first: 5) { edges { node { leads { id } } } } }",
        "{ customers(first: 5) { edges { node { leads { id } shipping_address { id } } } } }",
        "costs 61 points; at most 60",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_answered_up_to_its_limit(small: Client, name: str) -> None:
    within, beyond, said = DOCUMENTS[name]
    if "%s" in within:
        within = within % time.monotonic_ns()
    assert "errors" not in small.run(within), small.run(within)
    error = small.refused("errors_document_limit", beyond)
    assert said in error["message"]
    preferred = {"Accept": "application/graphql-response+json"}
    assert small.post(beyond, headers=preferred).status_code == 400


def test_fields_that_must_be_compared_are_counted(client: Client) -> None:
    """Each pair of fields with one name is compared, and so is what is below them."""
    within, beyond = ("{ " + "customers { edges { node { id } } } " * n + "}" for n in (25, 50))
    assert client.data(within)
    stopwatch = Stopwatch(client.server.pid)
    error = client.refused("errors_document_limit", beyond)
    assert stopwatch.seconds < 2
    assert "3,000 pairs" in error["message"]


def test_lists_in_variables_are_counted(small: Client) -> None:
    create = "mutation($n: InputCustomer!) { createCustomer(node: $n) { tags } }"
    node = {"email": f"{time.monotonic_ns()}@b.co", "tags": ["1", "2", "3"]}
    assert small.data(create, n=node)["createCustomer"]["tags"] == ["1", "2", "3"]
    error = small.refused("errors_invalid_input", create, n={**node, "tags": ["1"] * 4})
    assert error["extensions"]["input_path"] == ["node", "tags"]
    assert "4 values; at most 3" in error["message"]
    custom = {"email": f"{time.monotonic_ns()}@b.co", "custom": {"a": [1, 2, 3, 4, 5]}}
    assert small.data(create, n=custom)


def test_a_page_a_search_and_a_delete_have_limits(small: Client) -> None:
    page = "query($n: Int) { customers(first: $n) { edges { cursor } } }"
    assert small.data(page, n=5)
    assert "0 to 5" in small.refused("errors_page_size", page, n=6)["message"]
    assert small.data("{ customers { edges { cursor } } }")
    search = "query($q: String) { customers(query: $q, first: 1) { edges { cursor } } }"
    assert small.data(search, q="a" * 20)
    assert "21 characters" in small.refused("errors_invalid_query", search, q="a" * 21)["message"]
    delete = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
    assert small.refused("errors_customer_not_found", delete, i=["98", "99"])
    assert (
        "at most 2"
        in small.refused("errors_invalid_input", delete, i=["97", "98", "99"])["message"]
    )


def test_headers_have_a_limit(small: Client) -> None:
    answers = []
    for size in (500, 1_100, 100_000):
        wire = Wire(small)
        wire.send(wire.request(QUERY, f"X-Padding: {'x' * size}"))
        status, headers, body = wire.answer()
        answers.append(status)
        if status != 200:
            assert body["errors"][0]["key"] == "errors_header_limit"
            assert "1,024 bytes" in body["errors"][0]["message"]
            assert headers["x-request-id"]
            assert wire.is_closed()
        wire.socket.close()
    assert answers == [200, 431, 431]


def test_a_long_body_before_a_header_is_none_of_it(small: Client) -> None:
    """The end of one request and the beginning of the next come in one piece."""
    wire = Wire(small)
    long = wire.request(QUERY.ljust(4_000))
    wire.send(long + wire.request()[:40])
    assert wire.answer()[0] == 200
    wire.send(wire.request()[40:])
    assert wire.answer()[0] == 200
    wire.socket.close()


def test_a_write_is_answered_though_nonsense_follows(small: Client) -> None:
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


def send_again_and_again(wire: Wire, data: bytes) -> None:
    """Sends for ten seconds, and reads nothing."""
    wire.socket.settimeout(10)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        wire.send(data)


def test_a_header_without_an_end_is_cut_off(small: Client) -> None:
    wire = Wire(small)
    wire.send(b"POST /api/v2 HTTP/1.1\r\nX-Padding: ")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_again_and_again(wire, b"x" * 1_000)
    wire.socket.close()


@pytest.mark.parametrize("part", [b"", b"POST /api/v2 HT", b"half", b"body"])
def test_who_sends_slowly_is_cut_off_and_nobody_else(small: Client, part: bytes) -> None:
    wire = Wire(small)
    whole = wire.request()
    sent = {b"half": whole[:60], b"body": whole[:-3]}.get(part, part)
    slow = [Wire(small) for _ in range(20)]
    for each in slow:
        each.send(sent)
    began = time.monotonic()
    wire.send(whole)
    assert wire.answer()[0] == 200
    assert time.monotonic() - began < 0.9
    for each in slow:
        if part:
            status, _, body = each.answer()
            assert (status, body["errors"][0]["key"]) == (408, "errors_receive_timeout")
        assert each.is_closed()
        each.socket.close()
    assert 0.5 < time.monotonic() - began < 6
    wire.socket.close()


def test_a_body_that_drips_in_is_cut_off(small: Client) -> None:
    """Time is counted for the whole request, not for its bytes."""
    wire = Wire(small)
    for byte in wire.request()[:40]:
        try:
            wire.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server waits for ever")
    wire.socket.close()


@pytest.mark.slow
def test_who_does_not_take_an_answer_is_cut_off(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'r.db'}", "--receive-seconds", "1") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("a@example.com", notes="x" * 60_000)
            wire = Wire(client)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            query = b'{"query":"{ customers { edges { node { notes } } } }"}'
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                send_again_and_again(wire, wire.request(query))
            wire.socket.close()
            assert client.emails() == ["a@example.com"]


CREATE = 'mutation { createCustomer(node: {email: "%s@example.com"}) { id } }'


@pytest.mark.slow
def test_a_request_takes_no_longer_than_it_may(postgresql: str) -> None:
    """And its statement is ended in the database."""
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
        "AND datname = current_database() AND pid <> pg_backend_pid() "
        # What the server does by itself waits for the table, too.
        "AND query NOT LIKE 'UPDATE attempts%'"
    )

    async def count(dsn: str) -> Any:
        connection = await asyncpg.connect(dsn)
        found = await connection.fetchval(active)
        await connection.close()
        return found

    with scratch_database(postgresql) as url:
        with running(url, "--request-seconds", "1") as server:
            with Client(server, BOOTSTRAP_TOKEN) as client, held(url, CUSTOMERS):
                began = time.monotonic()
                for query in (PAGE % "id", "{ a: " + (PAGE % "id")[1:], CREATE % "a"):
                    answer = client.post(query)
                    assert answer.status_code == 200
                    (error,) = answer.json()["errors"]
                    assert error["key"] == "errors_timeout"
                    assert error["extensions"]["request_id"] == answer.headers["x-request-id"]
                assert 2.5 < time.monotonic() - began < 8
                three = '{ a: node(id: "Q3VzdG9tZXI6MQ==") { id } b: node(id: "Q3VzdG9tZXI6MQ==") { id } c: node(id: "Q3VzdG9tZXI6MQ==") { id } }'
                began = time.monotonic()
                client.errors(three)
                assert time.monotonic() - began < 2.5
                time.sleep(0.5)
                assert asyncio.run(count(url)) == 0
            with Client(server, BOOTSTRAP_TOKEN) as client:
                assert client.data(PAGE % "id")


@pytest.mark.slow
def test_more_requests_than_allowed_are_refused_at_once(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with running(url, "--max-requests", "8") as server:
            token = new_token(server)

            def send(query: str) -> tuple[int, float]:
                with Client(server, token) as client:
                    began = time.monotonic()
                    answer = client.post(query)
                    if answer.status_code == 503:
                        assert answer.headers["retry-after"] == "1"
                        assert answer.json()["errors"][0]["key"] == "errors_unavailable"
                    return answer.status_code, time.monotonic() - began

            with ThreadPoolExecutor(12) as pool:
                with held(url, ACCOUNTS):
                    waiting = [pool.submit(send, CREATE % n) for n in range(4)]
                    time.sleep(0.7)
                    more = list(pool.map(send, ["{ __typename }"] * 8))
                    assert {status for status, _ in more} == {503}
                    assert max(took for _, took in more) < 1
                assert {future.result()[0] for future in waiting} == {200}
                assert send("{ __typename }")[0] == 200


RATE = ("--rate-limit", "100", "--rate-burst", "200", "--max-cost", "200")


COST = 51  # of a page of 50 cursors
PAGES = 9  # 200 points are there at once, and 100 a second: the others take three seconds


def until_pages(server: Server, clients: int) -> tuple[float, int, int]:
    """Lets clients ask together, as fast as they can, until PAGES pages are answered: the seconds,
    the pages (with those that were under way then), and how often a client was refused."""
    answered: list[bool] = []
    began = time.monotonic()

    def ask(_: int) -> None:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            while sum(answered) < PAGES:
                assert time.monotonic() - began < 60, "the rate lets too little through"
                answer = client.post("{ customers(first: 50) { edges { cursor } } }")
                answered.append(answer.status_code == 200)
                if answer.status_code != 200:
                    assert answer.status_code == 429
                    assert answer.json()["errors"][0]["key"] == "rate_limit_reached"
                    assert 1 <= int(answer.headers["retry-after"]) <= 2
                    time.sleep(0.02)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return time.monotonic() - began, sum(answered), answered.count(False)


@pytest.mark.slow
def test_a_token_has_a_rate(new_database: str) -> None:
    with running(new_database, *RATE) as server:
        seconds, answered, refused = until_pages(server, 1)
        assert PAGES <= answered <= (200 + 100 * seconds) / COST
        assert refused > 0
        with Client(server, BOOTSTRAP_TOKEN) as client:
            with Client(server, new_token(server, "default")) as other:
                assert other.post("{ __typename }").status_code == 200
            time.sleep(0.7)
            answer = client.post("{ __typename }", headers={"Regulars-Cost": "1"}).json()
            assert answer["extensions"]["cost"]["requested"] == 1
            assert answer["extensions"]["cost"]["limit"] == 200
            assert 0 <= answer["extensions"]["cost"]["remaining"] <= 199


@pytest.mark.slow
def test_a_rate_holds_over_several_processes(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with running(url, *RATE, "--workers", "2") as server:
            seconds, answered, refused = until_pages(server, 6)
            # Each process may have taken a tenth of a second's points ahead.
            assert PAGES <= answered <= (200 + 2 * 10 + 100 * seconds) / COST
            assert refused > 0


@pytest.mark.slow
def test_a_refused_document_costs_something(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'r.db'}", "--rate-limit", "1", *RATE[2:]) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            statuses = [client.post(f"{{ nothing{n} }}").status_code for n in range(230)]
    assert statuses[:200] == [200] * 200
    assert 429 in statuses


def test_there_is_no_rate_on_loopback_unless_it_is_wanted(server: Server) -> None:
    from regulars.settings import DEFAULT_RATE_LIMIT, Settings

    assert Settings().points_per_second == 0
    for host in ("localhost", "::1", "127.0.0.2"):
        assert Settings(host=host).points_per_second == 0
    for host in ("0.0.0.0", "192.0.2.1", "::", "shop.example.com"):
        assert Settings(host=host).points_per_second == DEFAULT_RATE_LIMIT
    assert Settings(host="0.0.0.0", rate_limit=0).points_per_second == 0
    assert Settings(rate_limit=7).points_per_second == 7


def test_the_cost_of_a_request_is_told_when_it_is_asked_for(client: Client) -> None:
    def cost(query: str) -> Any:
        answer = client.post(query, headers={"Regulars-Cost": "1"}).json()
        return answer["extensions"]["cost"]["requested"]

    assert "extensions" not in client.run("{ __typename }")
    assert cost("{ __typename }") == 1
    assert cost("{ customers { edges { cursor } } }") == 26
    assert cost("{ customers(first: 100) { edges { cursor node { id email } } } }") == 101
    assert cost("{ customers(first: 10) { edges { node { shipping_address { id } } } } }") == 21
    assert cost("{ customers(first: 10) { totalCount edges { node { leads { id } } } } }") == 121
    assert cost('{ customers(first: 0, query: "%s") { edges { cursor } } }' % ("a" * 100)) == 11
    assert cost('{ node(id: "x") { id } }') == 1
    assert cost("mutation { deleteCustomers(items: [1, 2, 3]) }") == 31
    refused = client.post(
        "{ customers(first: 250) { edges { node { summary { orders { list { order { customer { summary { orders { list { order { id } } } } } } } } } } } } }",
        headers={"Regulars-Cost": "1"},
    ).json()
    assert refused["errors"][0]["key"] == "errors_document_limit"
    assert refused["errors"][0]["extensions"]["limit"] == 20_000
    assert refused["extensions"]["cost"]["requested"] == refused["errors"][0]["extensions"]["cost"]


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    from tests.support import regulars

    done = regulars(
        "serve", "--max-cost", "50000", env={"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path}/r.db"}
    )
    assert done.returncode == 2
    assert "REGULARS_RATE_BURST (40,000) is less than REGULARS_MAX_COST (50,000)" in done.stderr


@pytest.mark.slow
def test_two_thousand_connections_of_which_a_quarter_are_slow(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'r.db'}", "--receive-seconds", "5") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            idle = [Wire(client) for _ in range(1_500)]
            slow = [Wire(client) for _ in range(500)]
            for wire in slow:
                wire.send(wire.request()[:80])
            took = []
            for _ in range(50):
                began = time.monotonic()
                assert client.post("{ __typename }").status_code == 200
                took.append(time.monotonic() - began)
            assert sorted(took)[25] < 0.2
            assert idle[0].socket.fileno() > 0
            for wire in (*idle, *slow):
                wire.socket.close()
            assert get(f"{server.url}/healthz").status_code == 200
