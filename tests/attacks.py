"""The worst inputs of each limit, on each route. `test_event_loop.py` sends them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from graphql import get_introspection_query

from tests.event_loop import MAX_IMPORT_BYTES, RECEIVE_SECONDS, Attack, Target

BODY = 2 * 1024 * 1024
HEADERS = 16 * 1024
PAGE = 250
LIST = 1_000
SEARCH = 2_000
NOTES = 65_535
MARKS = "\u0301\u0316"  # of two combining classes, whose order normalization changes
JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}
GZIP = {**CSV, "Content-Encoding": "gzip"}


_DATABASE_CASES = (
    *(
        "searches",
        "marks in",
        "segments",
        "setCustomers",
        "addTags",
        "webhooks",
        "page: the largest",
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """An attack, the limits that it reaches or exceeds (the first column of the table in
    docs/reference/limits.md), and the routes that it uses."""

    name: str
    attack: Attack
    limits: tuple[str, ...]
    routes: tuple[str, ...]
    # Whether it is also sent without a token.
    stranger: bool = True

    @property
    def uses_database(self) -> bool:
        """Whether its effect depends on the database."""
        return self.name.startswith(_DATABASE_CASES)


CASES: list[Case] = []


def case(
    name: str, *limits: str, routes: Sequence[str] = ("/api/v2",), stranger: bool = True
) -> Callable[[Attack], Attack]:
    """Registers an attack."""

    def register(attack: Attack) -> Attack:
        CASES.append(Case(name, attack, limits, tuple(routes), stranger))
        return attack

    return register


def document(
    name: str,
    *limits: str,
    build: Callable[[int], str],
    variables: Callable[[int], dict[str, Any]] = lambda _: {},
    headers: dict[str, str] | None = None,
    stranger: bool = False,
) -> None:
    """Registers an operation. It is sent by POST and by GET, to each path in turn."""

    def attack(target: Target, number: int, token: str | None) -> None:
        query, values = build(number), variables(number)
        address = ("/api/v2", "/api2")[number % 2]
        target.graphql(query, values, token, headers, address)
        path = f"/graphql?query={quote(query)}&variables={quote(json.dumps(values))}"
        # A longer URL exceeds the limit of the headers anyway.
        target.ask("GET", path[: 4 * HEADERS], token=token)

    case(name, *limits, routes=("/api/v2", "/api2", "/graphql"), stranger=stranger)(attack)


def text_with_marks(length: int) -> str:
    """Returns a letter with so many combining marks."""
    return "a" + MARKS * (length // 2)


def join(count: int, build: Callable[[int], str], separator: str = " ") -> str:
    return separator.join(build(number) for number in range(count))


def fill(target: Target) -> None:
    """Fills an account with customers of the largest possible size, which the attacks read."""
    create = """mutation($nodes: [InputSetCustomer!]!) {
        setCustomers(nodes: $nodes) { rejected rows { customer { id } } } }"""
    tags = [f"{number:03}{'x' * 200}" for number in range(PAGE)]
    custom = {f"k{number}": "v" * 140 for number in range(400)}
    ids = []
    for start in range(0, PAGE, 2):
        nodes = [
            {
                "email": f"0heavy{number}@example.com",
                "first_name": "F" * 255,
                "last_name": "L" * 255,
                "notes": "word " * (NOTES // 5),
                "tags": tags,
                "custom": custom,
                "shipping_address": {"city": "C" * 255, "country": "MA"},
            }
            for number in range(start, start + 2)
        ]
        rows = target.data(create, nodes=nodes)["setCustomers"]["rows"]
        ids += [row["customer"]["id"] for row in rows]
    target.ids["heavy"] = ids
    orders = join(
        50,
        lambda n: (
            f'a{n}: recordOrder(node: {{name: "%d-{n}", email: "orders@example.com", total: 1}})'
            " { id customer { id } }"
        ),
    )
    leads = join(
        50,
        lambda n: (
            f'a{n}: recordLead(node: {{email: "orders@example.com", message: "m {n}"}}) {{ id }}'
        ),
    )
    for number in range(20):
        created = target.data("mutation { " + orders.replace("%d", str(number)) + " }")
        target.data("mutation { " + leads + " }")
    target.ids["orders"] = [created["a0"]["customer"]["id"]]


# The body of a request


def _deep(number: int) -> bytes:
    return b'{"query": "{ __typename }", "variables": {"n": %d, "a": ' % number + b'{"a":' * 400_000


BODIES: dict[str, Callable[[int], bytes]] = {
    "deep objects": _deep,
    "deep lists": lambda _: b"[" * BODY,
    "many variables": lambda n: json.dumps(
        {"query": "{ __typename }", "variables": {f"v{n}{i}": i for i in range(100_000)}}
    ).encode(),
    "a long list": lambda n: (
        b'{"query": "query($a: [ID!]!) { __typename }", "variables": {"n": %d, "a": [' % n
        + b"1," * 1_000_000
        + b"1]}}"
    ),
    "a list of empty objects": lambda n: (
        b'{"query": "mutation($a: [InputSetCustomer!]!) { setCustomers(nodes: $a) { saved } }",'
        b'"variables": {"n": %d, "a": [' % n + b"{}," * 680_000 + b"{}]}}"
    ),
    "escapes": lambda n: (
        b'{"query": "{ __typename }", "variables": {"n": %d, "a": "' % n
        + b"\\u0301" * 340_000
        + b'"}}'
    ),
    "a long number": lambda _: (
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 2_000_000 + b"}}"
    ),
    "a long operation name": lambda n: json.dumps(
        {"query": f"{{ a{n}: __typename }}", "operationName": "x" * 2_000_000}
    ).encode(),
    "many extensions": lambda n: json.dumps(
        {"query": f"{{ a{n}: __typename }}", "extensions": {f"e{i}": [] for i in range(100_000)}}
    ).encode(),
}


def _register_bodies() -> None:
    def register(name: str, build: Callable[[int], bytes]) -> None:
        @case(f"body: {name}", "body", routes=("/api/v2", "/graphql"))
        def _(target: Target, number: int, token: str | None) -> None:
            body = build(number)[:BODY]
            target.ask("POST", "/api/v2", body, JSON, token)
            target.ask("POST", "/graphql", chunked(body), CHUNKED_JSON, token)

        @case(f"unsigned event: {name}", "body", routes=("/in/{account}/{type:path}",))
        def _(target: Target, number: int, _token: str | None) -> None:
            body = build(number)[:BODY]
            unsigned = {**JSON, "lightfunnels-hmac": base64.b64encode(b"x" * 32).decode()}
            target.ask("POST", "/in/default/contact/updated", body, unsigned)
            target.ask("POST", "/in/nobody/contact/updated", body, unsigned)

    for name, build in BODIES.items():
        register(name, build)


CHUNKED_JSON = {**JSON, "Transfer-Encoding": "chunked"}


def chunked(body: bytes, size: int = 65_536) -> bytes:
    """Returns a body in chunks."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


_register_bodies()


@case("body: beyond its limit", "body", routes=("/api/v2", "/session", "/export"))
def _(target: Target, number: int, token: str | None) -> None:
    body = b'{"n": %d, "query": "' % number + b"x" * (4 * BODY)
    for path in ("/api/v2", "/session", "/export"):
        target.ask("POST", path, body, JSON, token)
        target.ask("POST", path, chunked(body), CHUNKED_JSON, token)


@case("body: chunks of a byte", "body", routes=("/api/v2", "/export"))
def _(target: Target, number: int, token: str | None) -> None:
    for path in ("/api/v2", "/export"):
        target.ask("POST", path, chunked(b"x" * 200_000, 1), CHUNKED_JSON, token)


@case("body: of other kinds", "body", routes=("/api/v2",))
def _(target: Target, number: int, token: str | None) -> None:
    """Multipart, a form and gzip are refused."""
    parts = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n" * 40_000 + b"--b--"
    target.ask("POST", "/api/v2", parts, {"Content-Type": "multipart/form-data; boundary=b"}, token)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    target.ask("POST", "/api/v2", b"a=1&" * 500_000, form, token)
    gzip_bomb = gzip.compress(b'{"query": "' + b" " * 64_000_000)
    target.ask("POST", "/api/v2", gzip_bomb, {**JSON, "Content-Encoding": "gzip"}, token)


def signed(target: Target, body: bytes) -> dict[str, str]:
    """Returns the headers of a shop's event."""
    proof = base64.b64encode(hmac.digest(target.secret.encode(), body, hashlib.sha256)).decode()
    return {**JSON, "lightfunnels-hmac": proof}


@case(
    "events of a shop",
    "body",
    "bytes of a shop's event whose signature may also cover the output of `JSON.stringify`",
    routes=("/in/{account}/{type:path}",),
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    person = {"id": number, "email": f"in{number}@example.com", "account_id": 1}
    bodies = [
        {**person, "custom": {f"k{n}{number}": n for n in range(100_000)}},
        {**person, "first_name": text_with_marks(400_000)},
        {**person, "tags": [text_with_marks(1_000)] * 500},
        {**person, "tags": [f"{n}" for n in range(200_000)]},
        {**person, "notes": text_with_marks(NOTES)},
        {**person, "x": [1.5e300] * 200_000},
    ]
    for body in bodies:
        encoded = json.dumps(body, ensure_ascii=False).encode()[:BODY]
        for type_ in ("contact/updated", "order/confirmed", "x" * 5_000):
            target.ask("POST", f"/in/default/{type_}", encoded, signed(target, encoded))
    # The inbox searches unparseable events for emails.
    for text in ("a" * BODY, "é" * (BODY // 2), "@" * BODY, "a@b" * BODY, "a@b " * 9_000):
        encoded = text.encode()[: BODY - 100] + b"%d" % number
        target.ask("POST", "/in/default/contact/updated", encoded, signed(target, encoded))


# Files


def _import(target: Target, content: bytes, headers: dict[str, str], token: str | None) -> None:
    options = "?format=csv&header=true"
    target.ask("POST", f"/import/preview{options}", content[:65_536], headers, token)
    status, body = target.ask("POST", f"/import{options}", content, headers, token)
    if status == 202:
        import_id = json.loads(body)["data"]["id"]
        target.ask("GET", f"/import/{import_id}", token=token)
        time.sleep(0.5)
        target.ask("GET", f"/import/{import_id}/rejected", token=token)
        for _ in range(2):  # cancels it, and deletes it
            target.ask("DELETE", f"/import/{import_id}", token=token)


@lru_cache(maxsize=2)
def gzip_bomb(pattern: bytes, mebibytes: int) -> bytes:
    """Returns a gzip file of a repeated pattern."""
    return gzip.compress(pattern * (mebibytes * 2**20 // len(pattern)))


IMPORT = ("/import", "/import/{import}", "/import/{import}/{part}")
FILES: dict[str, tuple[Callable[[int], bytes], dict[str, str]]] = {
    "a gzip of line breaks": (lambda _: gzip_bomb(b"\n", 40), GZIP),
    "a gzip of line breaks, larger": (lambda _: gzip_bomb(b"\n", 600), GZIP),
    "a gzip of one line": (lambda _: gzip_bomb(b"x", 100), GZIP),
    "a gzip of commas": (lambda _: gzip_bomb(b",", 40), GZIP),
    "a gzip of quotes": (lambda _: gzip_bomb(b'"\n', 40), GZIP),
    "line breaks": (lambda _: b"email\n" + b"\n" * (MAX_IMPORT_BYTES - 6), CSV),
    "many columns": (lambda n: join(500_000, lambda i: f"c{n}{i}", ",").encode(), CSV),
    "one long cell": (lambda _: b'email,notes\na@b.co,"' + b"x\n" * (MAX_IMPORT_BYTES // 4), CSV),
    "marks": (lambda n: f"email,first_name\n{n}@b.co,{text_with_marks(400_000)}\n".encode(), CSV),
    "small rows": (
        lambda n: b"email,tags\n" + b"".join(b"%d.%d@b.co,t\n" % (n, i) for i in range(20_000)),
        CSV,
    ),
    "beyond its limit": (lambda _: b"email\n" + b"a@b.co\n" * (MAX_IMPORT_BYTES // 6), CSV),
    "deep JSON lines": (
        lambda _: b'{"email":"a@b.co","custom":' + b'{"a":' * 200_000 + b"\n",
        {"Content-Type": "application/jsonl"},
    ),
    "wrong encoding": (lambda _: "é\n".encode("utf-16") * 200_000, CSV),
}


def _register_files() -> None:
    def register(name: str, build: Callable[[int], bytes], headers: dict[str, str]) -> None:
        @case(
            f"file: {name}",
            "imported file",
            "imported file, unpacked",
            "[other limits of a file](transfers.md#files)",
            routes=IMPORT,
        )
        def _(target: Target, number: int, token: str | None) -> None:
            _import(target, build(number), headers, token)

    for name, (build, headers) in FILES.items():
        register(name, build, headers)


_register_files()


@case("file: options", "imported file", "request line and headers", routes=IMPORT)
def _(target: Target, number: int, token: str | None) -> None:
    options = [
        "map=" + quote(json.dumps({f"c{n}": "email" for n in range(900)})),
        "&".join(f"map=c{n}:email" for n in range(900)),
        "encoding=" + "x" * 12_000,
        "delimiter=" + quote("," * 5_000),
        "name=" + quote(text_with_marks(2_000)),
        "&".join(f"o{n}=1" for n in range(2_000)),
    ]
    for option in options:
        for path in ("/import", "/import/preview"):
            target.ask("POST", f"{path}?{option}", b"email\na@b.co\n", CSV, token)
    for path in ("/import/" + "x" * 12_000, "/import/1/" + "x" * 12_000, "/import/%F0%9F"):
        target.ask("GET", path, token=token)
        target.ask("DELETE", path, token=token)


@case("export: columns", "request line and headers", "columns of an export", routes=("/export",))
def _(target: Target, number: int, token: str | None) -> None:
    for columns in (
        join(400, lambda n: f"custom.k{n}", ","),
        join(200, lambda n: f"custom.k{n}", ","),
        join(1_500, lambda n: f"custom.{n}", ","),
        "custom." + "a." * 6_000,
    ):
        for form in ("csv", "jsonl", "json", "ndjson"):
            target.ask("GET", f"/export?format={form}&columns={columns}", token=token)


@case("export: everything", routes=("/export",))
def _(target: Target, number: int, token: str | None) -> None:
    for form in ("csv", "jsonl"):
        target.ask("GET", f"/export?format={form}", token=token)


@case("export: ids and searches", "body", "characters of a search", routes=("/export",))
def _(target: Target, number: int, token: str | None) -> None:
    wrong = [f"{number}{n}" for n in range(200_000)]
    encoded = [base64.b64encode(f"Customer:{n}".encode()).decode() for n in range(80_000)]
    for ids in (wrong, encoded, target.ids["heavy"], ["x" * 1_000_000], [text_with_marks(500_000)]):
        body = json.dumps({"ids": ids}, ensure_ascii=False).encode()[:BODY]
        target.ask("POST", "/export", body, JSON, token)
    for query in searches():
        target.ask("GET", f"/export?query={quote(query)[: HEADERS - 500]}", token=token)


# Headers


@case(
    "headers",
    "request line and headers",
    routes=("/api/v2", "/healthz", "/", "/segments", "/trash", "/customers/{id}"),
)
def _(target: Target, number: int, token: str | None) -> None:
    max_bytes = HEADERS - 800
    header_sets = [
        {f"x{n}": "" for n in range(max_bytes // 9)},
        {"Cookie": "; ".join(f"c{n}=1" for n in range(max_bytes // 9))},
        {"Cookie": "regulars_session=" + "x" * max_bytes},
        {"Cookie": ";" * max_bytes},
        {"Accept": "application/graphql-response+json;q=1," * (max_bytes // 40)},
        {"Accept": "a/b;" * (max_bytes // 4)},
        {"Content-Type": "application/json" + "; charset" * (max_bytes // 10)},
        {"Content-Type": "application/json; charset=" + " " * max_bytes},
        {"Idempotency-Key": "k" * max_bytes},
        {"X-Request-Id": "i" * max_bytes},
        {"Authorization": "Bearer " + "t" * max_bytes},
        {"Authorization": " " * max_bytes + "Bearer"},
        {"Origin": "https://" + "o." * (max_bytes // 2)},
        {"Regulars-Change": "9" * max_bytes},
        {"Host": "h" * max_bytes},
        {"Range": "bytes=" + "0-1," * (max_bytes // 4)},
        {"Accept-Encoding": "br;q=0.1, " * (max_bytes // 10)},
        {"If-None-Match": '"a", ' * (max_bytes // 5)},
        {"Forwarded": "for=1, " * (max_bytes // 7)},
        {"lightfunnels-hmac": "x" * max_bytes},
    ]
    body = b'{"query": "{ __typename }"}'
    for headers in header_sets:
        target.ask("POST", "/api/v2", body, {**JSON, **headers}, token)
        for path in ("/healthz", "/", "/customers", "/segments", "/trash"):
            target.ask("GET", path, headers=headers, token=token)


@case("headers: beyond their limit", "request line and headers", routes=("/api/v2",))
def _(target: Target, number: int, token: str | None) -> None:
    for lines in (b"a: b\r\n" * 200_000, b"a: " + b"x" * 1_000_000, b"a:" + b"\r\n b" * 200_000):
        target.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n")
    target.raw(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    target.raw(b"A" * 1_000_000)


@case(
    "trailers",
    "request line and headers",
    "trailers of a chunked body",
    "chunk sizes and extensions, beyond four bytes for each byte of content",
    routes=("/api/v2",),
)
def _(target: Target, number: int, token: str | None) -> None:
    body = b'{"query": "{ __typename }"}'
    head_and_body = target.head("POST", "/api/v2", headers=CHUNKED_JSON, token=token)
    head_and_body += b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    target.raw(head_and_body + b"a: b\r\n" * 500_000 + b"\r\n")
    target.raw(head_and_body + b"".join(b"t%d: b\r\n" % n for n in range(300_000)) + b"\r\n")
    target.raw(head_and_body + b"a: " + b"x" * 8_000_000 + b"\r\n\r\n")
    extensions = b"".join(b"1;%s\r\nx\r\n" % (b"e" * 5_000) for _ in range(500))
    target.raw(target.head("POST", "/api/v2", headers=CHUNKED_JSON, token=token) + extensions)


@case("pipelining", "concurrent requests of each process", routes=("/api/v2", "/healthz"))
def _(target: Target, number: int, token: str | None) -> None:
    def request(path: str, body: bytes, last: bool) -> bytes:
        method = "POST" if body else "GET"
        connection = {"Connection": "close" if last else "keep-alive"}
        return target.head(method, path, body, {**JSON, **connection}, token) + body

    small = b'{"query": "{ a%d: __typename }"}' % number
    page = b'{"query": "{ a%d: customers(first: 250) { edges { node { email } } } }"}' % number
    for path, body, count in (
        ("/api/v2", small, 1_000),
        ("/healthz", b"", 1_000),
        ("/api/v2", page, 50),
        ("/customers", b"", 1_000),
    ):
        data = request(path, body, last=False) * (count - 1) + request(path, body, last=True)
        _send_at_once(target, data)


def _send_at_once(target: Target, data: bytes) -> None:
    """Sends while another thread reads, because the server stops reading while the client does not
    read its responses. The server may close the connection."""
    with target.connect() as connection, ThreadPoolExecutor(1) as thread:
        connection.settimeout(8)

        def read() -> None:
            with suppress(OSError):
                while connection.recv(2**18):
                    pass

        reading = thread.submit(read)
        with suppress(OSError):
            connection.sendall(data)
        reading.result()


@case(
    "many connections",
    "concurrent requests of each process",
    routes=("/api/v2", "/healthz", "/in/{account}/{type:path}"),
)
def _(target: Target, number: int, token: str | None) -> None:
    """More concurrent requests than the limit, each on its own connection."""
    body = b'{"query": "{ a%d: customers { edges { node { email } } } }"}' % number
    request = target.head("POST", "/api/v2", body, JSON, token) + body
    _send_from_many(target, request, 2_100)


def _send_from_many(target: Target, request: bytes, count: int) -> None:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            with suppress(OSError):
                opened.append(stack.enter_context(target.connect()))
        for connection in opened:
            with suppress(OSError):
                connection.sendall(request)
        for connection in opened:
            with suppress(OSError):
                connection.recv(65_536)


@case(
    "slow and unread",
    "time in which a request must arrive (for a file: each 64 KiB), and for an answer to be taken",
    "time in which a request must arrive (for a file: each 64 KiB)",
    "minimum rate at which a client must read a response, on average over 30 s",
    "bytes that a process holds for slow connections: bodies over 64 KiB, and unread responses",
    routes=("/api/v2", "/import", "/export"),
)
def _(target: Target, number: int, token: str | None) -> None:
    """Incomplete requests, and responses that are not read, until the server's time limits."""
    page = b'{"query": "{ a%d: customers(first: 250) { edges { node { notes } } } }"}' % number
    half = target.head("POST", "/api/v2", b"x" * 1_000, JSON, token) + b"{"
    file = target.head("POST", "/import", b"x" * 1_000_000, CSV, token) + b"email\n"
    unread = target.head("POST", "/api/v2", page, JSON, token) + page
    export = target.head("GET", "/export", token=token)
    with ExitStack() as stack:
        for request, count in (
            (half, 200),
            (b"GET / HT", 200),
            (file, 5),
            (unread, 6),
            (export, 3),
        ):
            for _ in range(count):
                connection = stack.enter_context(target.connect())
                with suppress(OSError):
                    connection.sendall(request)
        time.sleep(RECEIVE_SECONDS + 1.5)


# Other routes


@case("session", "body", routes=("/session",))
def _(target: Target, number: int, token: str | None) -> None:
    for body in (
        b'{"token": "%s"}' % (b"x" * 8_000),
        b'{"link": "%s"}' % (b"x" * 8_000),
        b"[" * 8_000,
    ):
        for _ in range(20):
            target.ask("POST", "/session", body, JSON, token)
    target.ask("DELETE", "/session", headers={"Cookie": "regulars_session=" + "x" * 8_000})


@case("a flood of tokens", routes=("/api/v2", "/metrics", "/import"))
def _(target: Target, number: int, token: str | None) -> None:
    """Unknown tokens, each of which the server looks up."""
    body = b'{"query": "{ __typename }"}'
    requests = b"".join(
        target.head(
            "POST", "/api/v2", body, {**JSON, "Connection": "keep-alive"}, f"unknown-{number}-{n}"
        )
        + body
        for n in range(500)
    )
    _send_at_once(target, requests + target.head("GET", "/metrics", token=f"unknown-{number}"))


PAGES = (
    "/",
    "/sign-in",
    "/customers",
    "/customers/new",
    "/customers/{number}",
    "/imports",
    "/webhooks",
    "/webhooks/{number}",
    "/tokens",
    "/explorer",
    "/overview",
    "/tags",
    "/people",
    "/assets/{version}/{name}",
)


@case("pages", routes=(*PAGES, "/healthz", "/readyz", "/metrics"))
def _(target: Target, number: int, token: str | None) -> None:
    long = "x" * 10_000
    for path in PAGES:
        path = path.replace("{number}", long).replace("{version}", "v").replace("{name}", long)
        for method in ("GET", "POST", "HEAD"):
            target.ask(method, path, token=token)
    for path in ("/healthz", "/readyz", "/metrics", "/../" * 2_000, "/%2e%2e%2f" * 1_000):
        for _ in range(10):
            target.ask("GET", f"{path}?q={long[:4_000]}", token=token)


# Documents


def _spreads(levels: int, times: int) -> str:
    inner = join(levels, lambda n: f"fragment f{n} on Query {{ " + f"...f{n + 1} " * times + "}")
    return f"{{ ...f0 }} {inner} fragment f{levels} on Query {{ __typename }}"


TOKENS = "tokens of a document"
FIELDS = "fields, those of a fragment counted wherever it is spread"
ALL_FIELDS = "fields of all operations. The fields of a fragment count at each spread"
CHARACTERS = "characters of a document"
LINES = "line breaks of a document"
PAIRS = "pairs of fields with the same name that must be compared"
ROOTS = "fields of Query or Mutation in an operation"
WHOLE = """id _id created_at updated_at email phone first_name last_name full_name location avatar
    accepts_marketing notes expenses orders_count custom tags version
    shipping_address { city toString } billing_address { city } summary { visits }"""

document(
    "document: line breaks",
    TOKENS,
    LINES,
    CHARACTERS,
    "body",
    build=lambda n: f"{{ a{n}: __typename }}" + "\n" * (BODY // 2 - 100),
)
document(
    "document: line breaks at their limit",
    LINES,
    CHARACTERS,
    build=lambda n: "\n" * 9_900 + " " * 89_000 + f"{{ a{n}: __typename }}",
)
document(
    "document: comments at their limit",
    LINES,
    CHARACTERS,
    build=lambda n: "#\n" * 9_900 + f"{{ a{n}: __typename }}" + "#" * 79_000,
)
document(
    "document: errors on many lines",
    LINES,
    CHARACTERS,
    build=lambda n: "{ " + join(900, lambda i: "\n" * 10 + f"b{n}{i}") + " }",
)
document(
    "document: spaces and commas",
    TOKENS,
    CHARACTERS,
    "body",
    build=lambda n: f"{{ a{n}: __typename }}" + " ," * (BODY // 2 - 100),
)
document(
    "document: comments",
    TOKENS,
    CHARACTERS,
    "body",
    build=lambda n: "#\n" * (BODY // 3 - 100) + f"{{ a{n}: __typename }}",
)
document(
    "document: line breaks and an error",
    TOKENS,
    LINES,
    CHARACTERS,
    "body",
    build=lambda n: "\r" * (BODY // 2 - 100) + f"{{ a{n} b",
)
document(
    "document: line breaks in strings",
    TOKENS,
    build=lambda n: f'{{ a{n}: node(id: """' + "\\n \n" * 300_000 + '""") { id } }',
)
document(
    "document: 2 MiB of one string",
    TOKENS,
    "body",
    build=lambda n: f'{{ a{n}: node(id: "' + "\\u0061" * 300_000 + '") { id } }',
)
document("document: tokens at the limit", TOKENS, build=lambda n: "{ " + f"a{n} " * 9_990 + "}")
document(
    "document: 90 KB of tokens",
    TOKENS,
    build=lambda n: "{ " + join(9_990, lambda i: f"a{n}{i}") + " }",
)
document(
    "document: tokens beyond the limit",
    TOKENS,
    build=lambda n: f"{{ a{n} " + "a " * 1_000_000 + "}",
)
document("document: braces", TOKENS, build=lambda n: f"{{ a{n} " + "{a" * 4_990)
document("document: lists in lists", TOKENS, build=lambda n: f"{{ a{n}: node(id: " + "[" * 9_000)
document(
    "document: objects in objects",
    TOKENS,
    build=lambda n: f"{{ a{n}: node(id: " + "{a:" * 3_000 + "1" + "}" * 3_000 + ") { id } }",
)
document(
    "document: unknown names",
    TOKENS,
    build=lambda n: (
        "{ customers(first: 1) { edges { node { "
        + join(900, lambda i: f"emaill{n}{i}")
        + " } } } }"
    ),
)
document(
    "document: long unknown names",
    TOKENS,
    build=lambda n: "{ " + join(900, lambda i: f"customerz{'s' * 90}{n}{i}") + " }",
)
document(
    "document: unknown arguments",
    TOKENS,
    build=lambda n: (
        "{ customers(" + join(2_000, lambda i: f"firstt{n}{i}: 1") + ") { totalCount } }"
    ),
)
document(
    "document: unknown types",
    TOKENS,
    build=lambda n: (
        "query(" + join(1_600, lambda i: f"$v{n}{i}: Customerz{i}") + ") { __typename }"
    ),
)
document(
    "document: the same variable again",
    TOKENS,
    build=lambda n: "query(" + f"$v{n}: Int " * 2_000 + ") { __typename }",
)
document(
    "document: unused variables",
    TOKENS,
    build=lambda n: "query(" + join(2_000, lambda i: f"$v{n}{i}: Int") + ") { __typename }",
)
document(
    "document: operations",
    TOKENS,
    ALL_FIELDS,
    build=lambda n: join(1_900, lambda i: f"query Q{n}x{i} {{ __typename }}"),
)
document(
    "document: unused fragments",
    TOKENS,
    build=lambda n: (
        f"{{ a{n}: __typename }} "
        + join(1_200, lambda i: f"fragment f{i} on Query {{ __typename }}")
    ),
)
document(
    "document: a chain of fragments",
    TOKENS,
    build=lambda n: (
        f"{{ a{n}: __typename ...f0 }} "
        + join(900, lambda i: f"fragment f{i} on Query {{ ...f{i + 1} }}")
        + " fragment f900 on Query { __typename }"
    ),
)
document(
    "document: a cycle of fragments",
    TOKENS,
    FIELDS,
    build=lambda n: (
        f"{{ ...a }} fragment a on Query {{ b{n}: __typename ...a "
        + "customers { edges { node { id } } } " * 300
        + "}"
    ),
)
document(
    "document: levels",
    "levels of nested fields",
    build=lambda n: (
        f"{{ a{n}: customers {{ edges {{ node {{ "
        + "summary { orders { list { order { customer { " * 3
        + "id"
        + " } } } } }" * 3
        + " } } } }"
    ),
)
document(
    "document: levels beyond the limit",
    "levels of nested fields",
    build=lambda n: (
        f"{{ a{n}: customers {{ edges {{ node {{ "
        + "summary { orders { list { order { customer { " * 200
    ),
)
document(
    "document: fields at the limit",
    FIELDS,
    build=lambda n: (
        "{ customers(first: 1) { edges { node { "
        + join(95, lambda i: f"a{n}x{i}: email")
        + " email " * 890
        + "} } } }"
    ),
)
document(
    "document: fields beyond the limit",
    FIELDS,
    build=lambda n: f"{{ a{n}: __typename " + "__typename " * 9_000 + "}",
)
document(
    "document: fragments in fragments",
    FIELDS,
    build=lambda n: (
        _spreads(25, 2).replace("f0", f"f0 a{n}: __typename", 1).replace("f0 a", "f0 a", 1)
    ),
)
document(
    "document: wide fragments",
    FIELDS,
    build=lambda n: _spreads(3, 90) + f" fragment g{n} on Query {{ __typename }}",
)
document(
    "document: root fields",
    ROOTS,
    build=lambda n: (
        "{ "
        + join(50, lambda i: f"a{n}x{i}: customers(first: 1) {{ edges {{ node {{ email }} }} }}")
        + " }"
    ),
)
document(
    "document: root fields beyond the limit",
    ROOTS,
    build=lambda n: "{ " + join(2_000, lambda i: f"a{n}x{i}: __typename") + " }",
)
document(
    "document: root fields of writes",
    ROOTS,
    build=lambda n: (
        "mutation { "
        + join(
            50,
            lambda i: (
                f'a{i}: createCustomer(node: {{email: "w{n}x{i}x{time.time_ns()}@example.com"}}) {{ id }}'
            ),
        )
        + " }"
    ),
)
document(
    "document: aliases",
    "aliases",
    build=lambda n: (
        "{ customers(first: 250) { edges { node { "
        + join(100, lambda i: f"a{n}x{i}: tags")
        + " } } } }"
    ),
)
document(
    "document: aliases beyond the limit",
    "aliases",
    build=lambda n: "{ " + join(3_000, lambda i: f"a{n}x{i}: __typename") + " }",
)
document(
    "document: directives",
    "directives",
    build=lambda n: f"{{ a{n}: __typename " + "@skip(if: false) " * 100 + "}",
)
document(
    "document: directives beyond the limit",
    "directives",
    build=lambda n: f"{{ a{n}: __typename " + "@skip(if: false) " * 1_900 + "}",
)
document(
    "document: unknown directives",
    "directives",
    build=lambda n: f"{{ a{n}: __typename " + join(4_000, lambda i: f"@d{i}") + "}",
)
document(
    "document: pairs",
    PAIRS,
    build=lambda n: (
        "{ "
        + join(
            75,
            lambda i: (
                f"... on Query {{ a: customers {{ edges {{ node {{ b{n}x{i}: id c: email }} }} }} }}"
            ),
        )
        + " }"
    ),
)
document(
    "document: pairs beyond the limit",
    PAIRS,
    build=lambda n: (
        f"{{ a{n}: __typename "
        + join(300, lambda _: "... { customers { edges { node { id email } } } }")
        + " }"
    ),
)
document(
    "document: pairs that conflict",
    PAIRS,
    build=lambda n: (
        "{ "
        + join(
            70, lambda i: f"... on Query {{ a: customers(first: {i}) {{ edges {{ cursor }} }} }}"
        )
        + f" b{n}: __typename }}"
    ),
)
document(
    "document: 90 Boolean variables",
    TOKENS,
    build=lambda n: (
        "query("
        + join(90, lambda i: f"$v{n}x{i}: Boolean!")
        + ") { customers(first: 1) { edges { node { "
        + join(90, lambda i: f"a{i}: email @include(if: $v{n}x{i})")
        + " } } } }"
    ),
    variables=lambda n: {f"v{n}x{i}": bool(i % 2) for i in range(90)},
)


@case("documents: many, each with 90 Boolean variables", TOKENS, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """Their plans are cached, which takes memory."""
    for i in range(15):
        names = [f"v{number}x{i}x{n}" for n in range(90)]
        query = "query(" + " ".join(f"${name}: Boolean!" for name in names) + ") { "
        query += "customers(first: 1) { edges { node { "
        query += " ".join(f"a{n}: email @include(if: ${v})" for n, v in enumerate(names))
        for turn in range(6):
            values = {v: bool((n + 1) * (turn + 1) % 3) for n, v in enumerate(names)}
            target.graphql(query + " } } } }", values, token)


INTROSPECTED = "different types, fields and arguments in an introspection"
INTROSPECTION = get_introspection_query()
document(
    "introspection", TOKENS, build=lambda n: INTROSPECTION.replace("IntrospectionQuery", f"I{n}")
)
document(
    "introspection: deep",
    "cost",
    INTROSPECTED,
    build=lambda n: (
        f"{{ a{n}: __schema {{ types {{ " + "fields { type { " * 7 + "name" + " } }" * 7 + " } } }"
    ),
)
document(
    "introspection: wide",
    "cost",
    INTROSPECTED,
    build=lambda n: (
        "{ "
        + join(
            45,
            lambda i: (
                f"a{n}x{i}: __schema {{ types {{ name fields {{ name type {{ name }} args {{ name }} }} }} }}"
            ),
        )
        + " }"
    ),
)
document(
    "introspection: types",
    "cost",
    INTROSPECTED,
    build=lambda n: (
        "{ "
        + join(
            45,
            lambda i: (
                f'a{n}x{i}: __type(name: "Customer") {{ fields {{ type {{ fields {{ type {{ fields {{ name }} }} }} }} }} }}'
            ),
        )
        + " }"
    ),
)

# Reads

COST = "cost"
HEAVY = 'customers(first: 250, query: "order_by:email order_dir:asc")'
ON_A_PAGE = "customers, changes, deliveries, orders, leads, comments, jobs or tags on a page"
document(
    "page: the largest",
    ON_A_PAGE,
    build=lambda n: (
        f"{{ a{n}: {HEAVY} {{ totalCount edges {{ cursor node {{ {WHOLE} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
    ),
)
document(
    "page: beyond the limit",
    ON_A_PAGE,
    build=lambda n: f"{{ a{n}: customers(first: 2147483647) {{ totalCount }} }}",
)
document(
    "page: notes and aliases",
    "approximate bytes of a GraphQL response",
    COST,
    ON_A_PAGE,
    build=lambda n: (
        "{ " + HEAVY + " { edges { node { " + join(20, lambda i: f"a{n}x{i}: notes") + " } } } }"
    ),
)
document(
    "page: custom and aliases",
    COST,
    ON_A_PAGE,
    build=lambda n: (
        "{ " + HEAVY + " { edges { node { " + join(20, lambda i: f"a{n}x{i}: custom") + " } } } }"
    ),
)
document(
    "page: tags and aliases",
    COST,
    ON_A_PAGE,
    build=lambda n: (
        "{ " + HEAVY + " { edges { node { " + join(50, lambda i: f"a{n}x{i}: tags") + " } } } }"
    ),
)
document(
    "page: moments",
    COST,
    ON_A_PAGE,
    build=lambda n: (
        "{ "
        + HEAVY
        + " { edges { node { "
        + join(
            99,
            lambda i: f'a{n}x{i}: created_at(format: "{i} fromNow dddd, MMMM Do YYYY, h:mm:ss a")',
        )
        + " } } } }"
    ),
)
document(
    "page: a long format",
    ON_A_PAGE,
    build=lambda n: (
        f'{{ a{n}: {HEAVY} {{ edges {{ node {{ created_at(format: "{"YYYY" * 2_000}") }} }} }} }}'
    ),
)
document(
    "page: long formats",
    ON_A_PAGE,
    build=lambda n: (
        "{ "
        + HEAVY
        + " { edges { node { "
        + join(90, lambda i: f'a{n}x{i}: created_at(format: "{"dddd " * 20}{i}")')
        + " } } } }"
    ),
)
document(
    "page: a format of brackets",
    ON_A_PAGE,
    build=lambda n: (
        f'{{ a{n}: {HEAVY} {{ edges {{ node {{ created_at(format: "{"[" * 100_000}") }} }} }} }}'
    ),
)
document(
    "pages: at the limit of the cost",
    COST,
    ROOTS,
    build=lambda n: (
        "{ "
        + join(
            50,
            lambda i: (
                f"a{n}x{i}: {HEAVY} {{ edges {{ node {{ id email full_name created_at }} }} }}"
            ),
        )
        + " }"
    ),
)
document(
    "pages: light, at the limit of the cost",
    COST,
    ROOTS,
    build=lambda n: (
        "{ "
        + join(
            50,
            lambda i: (
                f'a{n}x{i}: customers(first: 250, query: "sample order_by:email") {{ totalCount edges {{ cursor node {{ id _id email full_name location avatar created_at updated_at }} }} }}'
            ),
        )
        + " }"
    ),
)
document(
    "pages: beyond the limit of the cost",
    COST,
    build=lambda n: (
        "{ "
        + join(
            50,
            lambda i: f"a{n}x{i}: {HEAVY} {{ edges {{ node {{ leads {{ id }} }} }} }}",
        )
        + " }"
    ),
)
document(
    "page: below each other",
    COST,
    "levels of nested fields",
    build=lambda n: (
        f"{{ a{n}: customers(first: 20) {{ edges {{ node {{ summary {{ orders {{ list {{ order {{ customer {{ summary {{ orders {{ list {{ order {{ id customer {{ id }} }} }} }} }} }} }} }} }} }} }} }} }} }}"
    ),
)
document(
    "page: changes of each",
    COST,
    ON_A_PAGE,
    build=lambda n: (
        f"{{ a{n}: {HEAVY} {{ edges {{ node {{ changes(first: 20) {{ edges {{ node {{ kind at fields {{ name before after }} }} }} }} }} }} }} }}"
    ),
)
document(
    "changes",
    ON_A_PAGE,
    COST,
    build=lambda n: (
        "{ "
        + join(
            20,
            lambda i: (
                f"a{n}x{i}: customerChanges(first: 250) {{ edges {{ cursor node {{ sequence kind at customer_id fields {{ name before after }} customer {{ email notes }} }} }} }}"
            ),
        )
        + " }"
    ),
)
document(
    "statistics",
    COST,
    ROOTS,
    build=lambda n: (
        "{ "
        + join(
            50,
            lambda i: (
                f"a{n}x{i}: statistics {{ customers accepts_marketing ordered expenses new_by_week {{ start customers }} countries {{ country customers }} spend_by_month {{ month amount orders }} }}"
            ),
        )
        + " }"
    ),
)
document(
    "search language",
    ROOTS,
    build=lambda n: (
        "{ "
        + join(50, lambda i: f"a{n}x{i}: searchLanguage {{ words keys {{ name takes values }} }}")
        + " }"
    ),
)


@case("objects below one: orders and leads", COST, ON_A_PAGE, ROOTS, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """A customer has thousands of orders, and all of them are read repeatedly."""
    (customer,) = target.ids["orders"]
    orders = "summary { orders { list { order { id name email total created_at updated_at } } } }"
    leads = "leads { id subject message created_at }"
    for fields in (orders, leads):
        node = f'node(id: "{customer}") {{ ... on Customer {{ {fields} }} }}'
        roots = " ".join(f"a{i}: {node}" for i in range(49))
        target.graphql(f"{{ b{number}: __typename {roots} }}", None, token)
        page = fields.replace("leads", "leads(first: 250)").replace("list", "list(first: 250)")
        pages = roots.replace(fields, page)
        target.graphql(f"{{ b{number}: __typename {pages} }}", None, token)
    # The same customer for each of the orders, with all of the orders.
    nested = orders.replace("{ id name", f"{{ id customer {{ {orders} }} name")
    node = f'node(id: "{customer}") {{ ... on Customer {{ {nested} }} }}'
    target.graphql(f"{{ b{number}: __typename {node} }}", None, token)


def _ids(number: int) -> Iterator[str]:
    yield "x" * 1_000_000
    yield base64.b64encode(b"Customer:" + b"9" * 700_000).decode()
    yield base64.b64encode(f"Customer:{number}".encode() * 50_000).decode()
    yield "9" * 1_000_000
    yield "W" * 1_000_000
    yield base64.b64encode(b"[" * 700_000).decode()
    yield base64.b64encode(b'["' + b"a" * 700_000 + b'",1]').decode()
    yield text_with_marks(400_000)


@case("long ids and cursors", "body", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    queries = (
        "query($v: ID!) { node(id: $v) { id } }",
        "mutation($v: ID!) { deleteCustomers(items: [$v]) }",
        'mutation($v: ID!) { updateCustomer(id: $v, node: {phone: "1"}) { id } }',
        "query($v: String) { customers(first: 1, after: $v) { totalCount } }",
        'query($v: String) { customers(first: 1, before: $v, query: "order_by:email") { totalCount } }',
        "query($v: String) { customerChanges(after: $v) { edges { cursor } } }",
    )
    for value in _ids(number):
        for query in queries:
            target.graphql(query, {"v": value}, token)


def searches() -> Iterator[str]:
    """Yields searches with as many characters and terms as possible."""
    yield "a OR " * 399 + "b"
    yield join(50, lambda n: f"a{n}", " OR ")
    yield join(50, lambda n: f"-a{n}")
    yield join(50, lambda n: f"-notes:w{n}", " OR ")
    yield join(50, lambda n: f"tag:{n}*", " OR ")
    yield join(50, lambda n: f"(a{n} OR -b{n})") + " order_by:email"
    yield join(50, lambda _: f'"{"w " * 15}"') + " order_by:last_name"
    yield "(" * 990 + ")" * 990
    yield "((((((((((a" * 150
    yield '"' * SEARCH
    yield "\\" * SEARCH
    yield "-" * SEARCH
    yield "NOT " * 500
    yield "x" * SEARCH
    yield text_with_marks(SEARCH)
    yield "notes:" + text_with_marks(SEARCH - 10)
    yield 'notes:"' + "word " * 390 + '"'
    yield "\ufdfa" * SEARCH  # 18 letters each when folded
    yield "漢" * SEARCH
    yield "1 " * (SEARCH // 2)
    yield "+1 (2) " * (SEARCH // 7)
    yield "custom." + "a." * 990 + ":b"
    yield "created_at:" + "9" * 1_900
    yield "expenses:" + "9" * 1_900
    yield "keyyy:" * (SEARCH // 6)
    yield "x" * 100_000
    yield text_with_marks(400_000)


@case("searches", "characters of a search", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    query = "query($q: String) { customers(first: 5, query: $q) { totalCount edges { cursor } } }"
    for search in searches():
        target.graphql(query, {"q": search}, token)


@case("searches: slow ones", "duration of a request", "characters of a search", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """Concurrent searches that read all terms."""
    terms = join(48, lambda n: f"-notes:word{number}{n}")
    query = f'{{ customers(first: 250, query: "-zz {terms} order_by:email") {{ totalCount }} }}'
    roots = f"{{ {join(20, lambda n: f'a{n}: ' + query[2:-2])} }}"
    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(target.graphql, roots, None, token) for _ in range(8)]:
            future.result()


# Writes


VALUES = "values of a list, in the document or in variables"
ALL_VALUES = "values of all lists in the variables together"
ROWS = "rows of `setCustomers`, items of `addTags` and `removeTags`"
INDEXED = (
    "characters to index in a write of several customers: each changed text, before and after, "
    "and the comments of deleted customers; twice if it is not ASCII"
)
SET = """mutation($nodes: [InputSetCustomer!]!, $dry: Boolean) {
    setCustomers(nodes: $nodes, dryRun: $dry, errorPolicy: REJECT_ROW) { saved rejected
    rows { outcome errors { key message input_path } customer { id email tags notes } } } }"""


@case(
    "marks in each text",
    "body",
    "characters of a text, before it is trimmed and normalized",
    "combining marks in a row",
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """Combining marks, which normalization sorts."""
    create = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }"
    email = {"email": f"m{number}{time.time_ns()}@example.com"}
    long, within = text_with_marks(400_000), text_with_marks(NOTES)
    nodes: list[dict[str, Any]] = [
        {**email, name: long} for name in ("first_name", "last_name", "phone", "notes")
    ]
    nodes += [
        {"email": long},
        {**email, "notes": within},
        {**email, "tags": [long]},
        {**email, "tags": [text_with_marks(255)] * 250},
        {**email, "custom": {long: long}},
        {**email, "custom": {"a": within[:30_000]}},
        {**email, "custom": {"a": [text_with_marks(250)] * 100}},
    ]
    nodes += [
        {**email, "shipping_address": {name: long}}
        for name in ("line1", "city", "country", "zip", "email", "phone")
    ]
    for node in nodes:
        target.graphql(create, {"node": node}, token)
    target.graphql(SET, {"nodes": [{**email, "notes": within}] * 14}, token)
    target.graphql(SET, {"nodes": nodes[4:6]}, token)


@case("marks in each text of others", "body", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    long = text_with_marks(400_000)
    email = f"m{number}{time.time_ns()}@example.com"
    order = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
    for name in ("name", "email", "currency", "referrer", "first_name", "created_at"):
        node = {"name": f"o{number}", "email": email, "total": 1, name: long}
        target.graphql(order, {"n": node}, token)
    target.graphql(order, {"n": {"name": "a", "email": email, "total": 1, "tags": [long]}}, token)
    lead = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }"
    for name in ("message", "subject", "email", "last_name", "created_at"):
        target.graphql(lead, {"n": {"email": email, "message": "m", name: long}}, token)
    target.graphql(lead, {"n": {"email": email, "message": text_with_marks(NOTES)}}, token)
    hook = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
    for name in ("type", "url"):
        node = {"type": "contact/created", "url": "http://127.0.0.1:9/", name: long}
        target.graphql(hook, {"n": node}, token)
    mutation = "mutation($n: InputToken!) { createToken(node: $n) { token { id } } }"
    target.graphql(mutation, {"n": {"name": long, "scopes": ["customers"]}}, token)


CONTACTS = (
    "emails of a customer, phones of a customer",
    "addresses of a customer, with the default addresses",
)


@case("contact points and addresses", *CONTACTS, COST, ON_A_PAGE, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """Lists at their limits and beyond them, in one customer, in many, and in many mutations."""
    name = f"p{number}x{time.time_ns()}"
    create = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id _id } }"

    def node(count: int, suffix: str = "") -> dict[str, Any]:
        address = {"line1": "1 " + "x" * 200, "city": "C" * 255, "zip": "9" * 50, "country": "BR"}
        return {
            "email": f"{name}{suffix}@example.com",
            "emails": [{"email": f"{name}{suffix}.{n}@example.com"} for n in range(count)],
            "phones": [{"phone": f"+5511{n:09}", "label": "l" * 64} for n in range(count)],
            "addresses": [
                {"label": "l" * 64, "address": {**address, "company": f"{n}"}}
                for n in range(count * 5)
            ],
        }

    _, created = target.graphql(create, {"node": node(19)}, token)
    ids = re.findall(r'"id":"([^"]+)"', created.decode())
    customer_id = ids[0] if ids else "Q3VzdG9tZXI6MQ=="
    for count in (21, 200, 1_000):
        target.graphql(create, {"node": node(count, "b")}, token)
    target.graphql(SET, {"nodes": [node(19, f"c{n}") for n in range(20)]}, token)
    for verb, kind, entry in (("add", "Email", "email"), ("add", "Phone", "phone")):
        change = f"""mutation($id: ID!, $e: [Input{kind}{"Address" if kind == "Email" else "Number"}!]!) {{
            {verb}{kind}s(id: $id, {kind.lower()}s: $e) {{ _id }} }}"""
        for count in (20, 1_000):
            entries = [{entry: f"+33{n}@x.test"} for n in range(count)]
            target.graphql(change, {"id": customer_id, "e": entries}, token)
    removals = join(50, lambda i: f'a{i}: removeEmails(id: $id, emails: ["{i}"]) {{ _id }}')
    target.graphql(f"mutation($id: ID!) {{ {removals} }}", {"id": customer_id}, token)
    additions = join(
        50,
        lambda i: (
            f"""a{i}: createAddress(customer: $id, node: {{ address: {{ city: "{i}" }} }}) {{
            id address {{ problems {{ message }} }} }}"""
        ),
    )
    target.graphql(f"mutation($id: ID!) {{ {additions} }}", {"id": customer_id}, token)
    lists = "emails { verified_at } phones { e164 valid } addresses { address { problems { message } } }"
    for read in (
        f"customers(first: 250) {{ edges {{ node {{ {lists} }} }} }}",
        "tags { pageInfo { hasNextPage } }",
    ):
        target.graphql(f"{{ {read} }}", {}, token)
    target.graphql("{ tags(first: 250) { edges { node { name customers_count } } } }", {}, token)
    rules = join(50, lambda i: f'a{i}: addressRules(country: "BR") {{ states {{ name }} labels }}')
    target.graphql(f"{{ {rules} }}", {}, token)


@case(
    "comments",
    "comments of a customer",
    "characters of a comment",
    "characters of all comments of a customer",
    ON_A_PAGE,
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """Long comments in many mutations and many documents, and pages of the comments of many
    customers."""
    create = """mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"""
    _, created = target.graphql(create, {"e": f"c{number}x{time.time_ns()}@example.com"}, token)
    ids = re.findall(r'"id":"([^"]+)"', created.decode())
    customer_id = ids[0] if ids else "Q3VzdG9tZXI6MQ=="
    add = join(
        50, lambda i: f"a{i}: addComment(customer: $id, node: {{text: $t, pinned: true}}) {{ id }}"
    )
    many_words = " ".join(f"{n:x}" for n in range(13_000))
    for text in ("x", text_with_marks(65_535), "l\n" * 32_000, "x" * 400_000, many_words):
        document = f"mutation($id: ID!, $t: String!) {{ {add} }}"
        target.graphql(document, {"id": customer_id, "t": text}, token)
    comments = "comments(first: 250) { totalCount edges { node { text author { name } } } }"
    for read in (
        f"node(id: $id) {{ ... on Customer {{ {comments} }} }}",
        f"customers(first: 250) {{ edges {{ node {{ {comments} }} }} }}",
    ):
        target.graphql(f"query($id: ID) {{ {read} }}", {"id": customer_id}, token)
    delete = "mutation($ids: [ID!]!) { deleteComments(items: $ids) }"
    for count in (250, 1_000):
        target.graphql(delete, {"ids": [f"{n}" for n in range(count)]}, token)
    find = "query($q: String) { customers(query: $q) { totalCount edges { node { _id } } } }"
    negated = " ".join(f"-comment:{n:x}" for n in range(49))
    for query in ("comment:l", "comment:1*", "comment:'1 2 3 4'", "has:comment", negated):
        target.graphql(find, {"q": f"{query} order_by:email"}, token)
    remove = "mutation($ids: [ID!]!) { deleteCustomers(items: $ids, permanent: true) }"
    target.graphql(remove, {"ids": [customer_id]}, token)


@case(
    "jobs",
    "jobs of an account that wait or run",
    "ids of `updateCustomers`",
    "tags of `renameTags`",
    "characters of an edit of `updateCustomers`",
    "custom fields that an edit of `updateCustomers` adds to, or removes",
    "webhooks of an account of the type `job/ended`",
    routes=("/api/v2", "/jobs", "/jobs/{job}", "/jobs/{job}/{part}"),
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """Edits at their limits and beyond them, their previews and undos, more jobs than an account can
    have, and as many webhooks of their ends."""
    for page in range(3):
        hooks = join(
            40,
            lambda n: (
                f'a{n}: createWebhook(node: {{type: "job/ended", '
                f'url: "http://127.0.0.1:9/{number}x{page}x{n}"}}) {{ id }}'  # noqa: B023  # called at once
            ),
        )
        target.graphql(f"mutation {{ {hooks} }}", {}, token)
    document = """mutation($q: String, $i: [ID!], $n: InputUpdateCustomer, $t: [String!], $dry: Boolean,
          $c: [String!], $a: [InputIncrement!]) {
        updateCustomers(query: $q, items: $i, node: $n, addTags: $t, dryRun: $dry, removeCustom: $c,
          increments: $a) { id preview { fields { name before after } } } }"""
    long = text_with_marks(65_000)
    edits: list[dict[str, Any]] = [
        {"q": "", "n": {"notes": long}, "dry": True},
        {"q": "", "t": [f"t{n}" for n in range(250)], "dry": True},
        {"q": "", "n": {"custom": {f"k{n}": long[:100] for n in range(600)}}, "dry": True},
        {"q": "", "n": {"notes": long, "custom": {"k": long}}, "dry": True},
        *(
            {
                "q": "",
                "c": [f"r{n}" for n in range(count)],
                "a": [{"field": f"custom.i{n}", "amount": 1} for n in range(count)],
                "dry": True,
            }
            for count in (100, 1_000)
        ),
        {"i": [f"{n}" for n in range(1, 1_001)], "t": [f"job{number}"]},
        {"i": [f"{n}" for n in range(1, 1_002)], "t": ["x"]},
        *({"q": "tag:none", "t": ["x"]} for _ in range(12)),
    ]
    jobs: list[str] = []
    for edit in edits:
        _, answer = target.graphql(document, edit, token)
        jobs += re.findall(r'"id":"(job_[^"]+)"', answer.decode())
    rename = """mutation($n: [String!]!, $m: String!, $dry: Boolean) {
      renameTags(names: $n, newName: $m, dryRun: $dry) { id segments { name } preview { customer_id } } }"""
    for count in (50, 51, 10_000):
        names = [f"{n} {text_with_marks(200)}" for n in range(count)]
        target.graphql(rename, {"n": names, "m": f"job{number}", "dry": True}, token)
    _, answer = target.graphql(rename, {"n": [f"job{number}"], "m": f"job {number}"}, token)
    jobs += re.findall(r'"id":"(job_[^"]+)"', answer.decode())
    listed = "jobs(first: 150) { edges { node { id problems { message } preview { fields { name } } } } }"
    target.graphql(f"{{ {listed} }}", {}, token)
    undo = join(10, lambda i: f"a{i}: undoJob(id: $id, dryRun: true) {{ id }}")
    for job in jobs[:3]:
        target.graphql(f"mutation($id: ID!) {{ {undo} }}", {"id": job}, token)
        for path in (f"/jobs/{job}", f"/jobs/{job}/rejected", f"/jobs/{job}/kept", "/jobs"):
            target.ask("GET", path, token=token)
    for job in jobs:
        target.graphql("mutation($id: ID!) { cancelJob(id: $id) { id } }", {"id": job}, token)
    for path in ("/jobs/" + "x" * 10_000, "/jobs/../kept", "/jobs?first=100000000"):
        target.ask("GET", path, token=token)


@case("revertChange", "names in `fields` of `revertChange`", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """A change of many fields, which is reverted by as many names, and by more."""
    update = (
        "mutation($i: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $i, node: $n) { id } }"
    )
    names = [f"k{n}" for n in range(1_000)]
    node = {"custom": {name: time.time_ns() for name in names}}
    _, body = target.graphql(
        """mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }""",
        {"n": {"email": f"r{number}x{time.time_ns()}@example.com"}},
        token,
    )
    customer_id = json.loads(body)["data"]["createCustomer"]["id"]
    target.graphql(update, {"i": customer_id, "n": node}, token)
    last = "query($i: ID!) { node(id: $i) { ... on Customer { changes(first: 1) { edges { node { sequence } } } } } }"
    _, body = target.graphql(last, {"i": customer_id}, token)
    sequences = re.findall(r'"sequence":(\d+)', body.decode())
    revert = """mutation($s: Float!, $f: [String!]) {
      revertChange(sequence: $s, fields: $f, force: true) { id } }"""
    for count in (100, 101, 1_000):
        fields = [f"custom.{name}" for name in names[:count]]
        target.graphql(revert, {"s": int(sequences[0]), "f": fields}, token)


@case("people", "active people of an account", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """More people than an account can have, with long names, and the list of them."""
    for page in range(26):
        invite = join(
            40,
            lambda n: f'a{n}: invitePerson(node: {{name: "{page}x{n}"}}) {{ path }}',  # noqa: B023  # called at once
        )
        target.graphql(f"mutation {{ {invite} }}", {}, token)
    for name in (text_with_marks(100), text_with_marks(400_000)):
        invite = "mutation($n: InputPerson!) { invitePerson(node: $n) { path } }"
        target.graphql(invite, {"n": {"name": name, "email": name, "role": name}}, token)
    target.graphql("{ people { id name role last_seen_at } }", {}, token)


@case("lists of values in variables", VALUES, ALL_VALUES, "body", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """Many lists, each at its limit."""
    for count in (95, 1_000):
        nodes = [{"email": f"{number}@b.co", "tags": ["t"] * LIST} for _ in range(count)]
        target.graphql(SET, {"nodes": nodes, "dry": True}, token)
    query = f"mutation($i: [ID!]!) {{ a{number}: deleteCustomers(items: $i) }}"
    target.graphql(query, {"i": [1.5] * 300_000}, token)


@case("lists of errors", VALUES, ROWS, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    tags = (
        "mutation($items: [ID!]!, $tags: [String!]!) { addTags(items: $items, tags: $tags) { id } }"
    )
    create = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }"
    for count in (LIST, LIST + 1, 100_000):
        invalid: list[Any] = [{"a": number}] * count
        target.graphql(tags, {"items": invalid, "tags": invalid}, token)
        target.graphql(tags, {"items": ["1"] * count, "tags": [str(number)] * count}, token)
        target.graphql(create, {"node": {"email": "a@b.co", "tags": invalid}}, token)
        target.graphql(create, {"node": {"email": "a@b.co", "tags": ["\x00" * 5] * count}}, token)
        target.graphql(SET, {"nodes": [{"emaill": number, "tagz": 1, "x": 2}] * count}, token)
        target.graphql(SET, {"nodes": [{"tags": invalid[:500]}] * min(count, 200)}, token)
    inline = join(LIST, lambda n: f"{{a: {n}}}", ", ")
    target.graphql(
        f"mutation {{ a{number}: addTags(items: [{inline}], tags: []) {{ id }} }}", None, token
    )
    keys = {f"k{number}{n}": n for n in range(50_000)}
    target.graphql(create, {"node": keys}, token)


@case(
    "setCustomers: the largest rows",
    ROWS,
    "body",
    "characters of all rows of `setCustomers`, plus four for each value",
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    stamp = f"{number}x{time.time_ns()}"
    short = [
        {
            "email": f"set{stamp}x{n}@example.com",
            "tags": [f"{stamp}{i}" for i in range(120)],
            "notes": f"{stamp} {n}",
            "custom": {"k": n},
        }
        for n in range(PAGE)
    ]
    words = [
        {"email": f"words{stamp}x{n}@example.com", "notes": join(500, lambda i: f"w{n}x{i}")}  # noqa: B023  # called at once
        for n in range(PAGE)
    ]
    custom = [
        {"email": f"custom{stamp}x{n}@example.com", "custom": {f"k{i}": [i] for i in range(400)}}
        for n in range(PAGE)
    ]
    within = [words[:140], short[:80], custom[:60]]
    beyond = [{**row, "last_name": "x" * 5_000} for row in words]
    for nodes in (*within, short, words, custom, beyond):
        for dry in (True, False):
            target.graphql(SET, {"nodes": nodes, "dry": dry}, token)


@case("setCustomers: rows that are refused", ROWS, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    invalid = [
        {
            "email": f"x{number}@",
            "phone": "\x00",
            "tags": ["t" * 300] * 100,
            "first_name": "n" * 300,
        }
        for _ in range(PAGE)
    ]
    same = [{"email": f"same{number}@example.com"}] * PAGE
    missing = [{"id": str(10**9 - n), "phone": str(number)} for n in range(PAGE)]
    for nodes in (invalid, same, missing, [*same, *same]):
        target.graphql(SET, {"nodes": nodes}, token)


@case("addTags and removeTags", ROWS, VALUES, INDEXED, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    stamp = f"{number}x{time.time_ns()}"
    nodes = [{"email": f"tags{stamp}x{n}@example.com"} for n in range(PAGE)]
    _, body = target.graphql(
        "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { rows { customer { id } } } }",
        {"n": nodes},
        token,
    )
    items = [row["customer"]["id"] for row in json.loads(body)["data"]["setCustomers"]["rows"]]
    tags = [f"{stamp} {n} two three" for n in range(PAGE)]
    for name in ("addTags", "removeTags"):
        mutation = (
            f"mutation($i: [ID!]!, $t: [String!]!) {{ {name}(items: $i, tags: $t) {{ id tags }} }}"
        )
        target.graphql(mutation, {"i": items, "t": tags}, token)
        target.graphql(mutation, {"i": target.ids["heavy"], "t": tags}, token)
        if name == "addTags":
            rename = "mutation($n: String!, $m: String!) { renameTag(name: $n, newName: $m) { customers_count } }"
            for tag in tags[:3]:
                target.graphql(rename, {"n": tag, "m": tag.upper() * 5}, token)
    target.graphql("mutation($i: [ID!]!) { deleteCustomers(items: $i) }", {"i": items}, token)


@case("updateCustomers: many fields, and their previews", VALUES, "body", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    update = """mutation($i: [ID!], $n: InputUpdateCustomer, $c: [String!]) {
      updateCustomers(items: $i, node: $n, removeCustom: $c, dryRun: true) { id } }"""
    fields = {f"{n:x}": number for n in range(19_000)}
    variables = {"i": target.ids["heavy"][:10], "n": {"custom": fields}, "c": ["other"]}
    _, body = target.graphql(update, variables, token)
    job = json.loads(body)["data"]["updateCustomers"]
    preview = f"query($i: ID!) {{ a{number}: job(id: $i) {{ preview {{ customer_id }} }} }}"
    target.graphql(preview, {"i": job["id"]}, token)


@case("searchValues and tags of customers with many values", COST, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    stamp = f"{number}x{time.time_ns()}"
    key = f"k{stamp}"
    custom = {key: [f"{n:x}" for n in range(9_000)], **{f"{key}{n}": 1 for n in range(50)}}
    tags = [f"{stamp} {n}" for n in range(PAGE)]
    nodes = [{"email": f"v{stamp}@example.com", "custom": custom, "tags": tags}]
    target.graphql(SET, {"nodes": nodes}, token)
    values = (
        "query($k: String!, $q: String) { searchValues(key: $k, query: $q, first: %d) { value } }"
    )
    for size in (10, PAGE):
        for name, query in ((f"custom.{key}", ""), ("custom.", key), ("tag", stamp)):
            target.graphql(values % size, {"k": name, "q": query}, token)
    target.graphql(f'{{ tags(query: "{stamp}") {{ edges {{ node {{ name }} }} }} }}', None, token)


@case("deleteCustomers", "ids to delete", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    delete = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
    stamp = f"{number}x{time.time_ns()}"
    nodes = [
        {"email": f"gone{stamp}x{n}@example.com", "tags": [f"{i}" for i in range(100)]}
        for n in range(PAGE)
    ]
    _, body = target.graphql(
        "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { rows { customer { id } } } }",
        {"n": nodes},
        token,
    )
    items = [row["customer"]["id"] for row in json.loads(body)["data"]["setCustomers"]["rows"]]
    target.graphql(delete, {"i": items}, token)
    target.graphql(delete, {"i": [str(10**9 - n) for n in range(PAGE)]}, token)
    target.graphql(delete, {"i": ["x" * 7_000] * PAGE}, token)
    target.graphql(delete, {"i": [str(n) for n in range(LIST)]}, token)


@case("nodes", "ids of `nodes`", VALUES, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """All forms of ids, which several statements look up."""
    query = (
        f"query($i: [ID!]!) {{ a{number}: nodes(ids: $i) {{ id ... on Customer {{ notes }} }} }}"
    )
    unknown = [f"external:s{n % 30}:{'x' * 200}{number}{n}" for n in range(PAGE)]
    for ids in (
        target.ids["heavy"],
        unknown,
        [*unknown, "x"],
        ["é" * 7_000] * PAGE,
        [f"external:{':' * 5_000}"] * PAGE,
        [str(10**9 - n) for n in range(PAGE)],
        ["1"] * LIST,
        ["1"] * 100_000,
    ):
        target.graphql(query, {"i": ids}, token)


@case(
    "dry runs with long changes",
    "bytes of the changes of dry runs in a response",
    COST,
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """Changes of customers of the largest possible size: all of a request exceed the limit."""
    row = {"notes": f"{number} " * (NOTES // 4), "custom": {f"k{n}": "w" * 140 for n in range(400)}}
    for rows, times in ((1, 1), (2, 30), (2, 50)):
        nodes = [{"id": customer_id, **row} for customer_id in target.ids["heavy"][:rows]]
        write = "setCustomers(nodes: $n, dryRun: true) { saved }"
        roots = join(times, lambda n: f"a{n}: {write}")  # noqa: B023  # called at once
        target.graphql(f"mutation($n: [InputSetCustomer!]!) {{ {roots} }}", {"n": nodes}, token)
    delete = "mutation($i: [ID!]!) { deleteCustomers(items: $i, dryRun: true) }"
    target.graphql(delete, {"i": target.ids["heavy"]}, token)


SEGMENTS = "{ segments(first: 250, query: %s) { totalCount edges { node { id %s } } } }"


def _delete_segments(target: Target, token: str | None) -> None:
    delete = "mutation($i: [ID!]!) { deleteSegments(items: $i) }"
    while edges := target.data(SEGMENTS % ('""', ""))["segments"]["edges"]:
        target.graphql(delete, {"i": [edge["node"]["id"] for edge in edges]}, token)


@case(
    "segments",
    "segments of an account",
    "terms of a search, with those of its segments",
    "characters of a search",
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """As many segments as an account can have, which are all read and expanded."""
    stamp = f"é{number}x{time.time_ns()}"
    create = "mutation($node: SegmentInput!) { createSegment(node: $node) { id } }"
    query = join(49, lambda n: f'-notes:"{number} word{n} {"x" * 20}"')
    node = {"description": "word é " * 285, "query": query}
    for n in range(501):
        target.graphql(create, {"node": {**node, "name": f"{stamp}{n}"}}, token)
    for search in ("", " ".join(["word"] * 50), f"{stamp}1 order_by:name", "(" * SEARCH):
        for fields in ("problem", "statistics", "query"):
            target.graphql(SEGMENTS % (json.dumps(search), fields), None, token)
    customers = (
        "query($q: String) { customers(first: 5, query: $q) { totalCount edges { cursor } } }"
    )
    for count in (1, 9, 10, 11, 49):
        search = " ".join(f"-segment:{stamp}{n}" for n in range(count))
        target.graphql(customers, {"q": search}, token)
    _delete_segments(target, token)


@case(
    "segments: large ones",
    "characters of all segments of an account: names, descriptions, queries and settings",
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    tags = {"tags": [f"{n}{'é' * 250}" for n in range(PAGE)]}
    create = "mutation($n: SegmentInput!) { createSegment(node: $n) { id query } }"
    for n in range(12):
        name = f"large{number}x{time.time_ns()}x{n}"
        node = {"name": name, "settings": {"include": tags, "exclude": tags}}
        target.graphql(create, {"n": node}, token)
        search = json.dumps(f"segment:{name}")
        target.graphql(f"{{ customers(query: {search}) {{ totalCount }} }}", None, token)
    for fields in ("problem", "query settings { include { tags } exclude { tags } }", "statistics"):
        target.graphql(SEGMENTS % ('""', fields), None, token)
    _delete_segments(target, token)


@case(
    "segments: watched ones with webhooks",
    "watched segments of an account",
    "webhooks of an account with filters that use segments",
    "ids in `segments_uids` of a webhook",
    stranger=False,
)
def _(target: Target, number: int, token: str | None) -> None:
    """As many watched segments as an account can have, and webhooks of all of them."""
    stamp = f"w{number}x{time.time_ns()}"
    create = "mutation($n: SegmentInput!) { createSegment(node: $n) { id } }"
    query = join(49, lambda n: f'-notes:"{number} word{n}"')
    for n in range(51):
        node = {"name": f"{stamp}{n}", "query": query, "watched": True}
        target.graphql(create, {"n": node}, token)
    edges = target.data(SEGMENTS % ('""', ""))["segments"]["edges"]
    ids = [edge["node"]["id"] for edge in edges]
    hook = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
    for n in range(501):
        settings = {"segments_uids": ids[: 20 + n % 2]}
        url = f"http://127.0.0.1:9/{stamp}/{n}"
        node = {"type": "contact/updated", "url": url, "settings": settings}
        target.graphql(hook, {"n": node}, token)
    person = {"id": target.ids["heavy"][0], "phone": f"{number}"}
    target.graphql(SET, {"nodes": [person]}, token)
    rename = "mutation($i: ID!, $n: SegmentInput!) { updateSegment(id: $i, node: $n) { id } }"
    target.graphql(rename, {"i": ids[0], "n": {"name": f"{stamp} other"}}, token)
    hooks = target.data("{ webhooks { id url } }")["webhooks"]
    delete = "mutation($i: ID!) { deleteWebhook(id: $i) }"
    for each in hooks:
        if stamp in each["url"]:
            target.graphql(delete, {"i": each["id"]}, token)
    _delete_segments(target, token)


@case("writes with an Idempotency-Key", ROWS, "request line and headers", stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    stamp = f"{number}x{time.time_ns()}"
    nodes = [{"email": f"key{stamp}x{n}@example.com", "notes": "n" * 6_000} for n in range(PAGE)]
    for key in (stamp, stamp, "k" * 255, "k" * 300, "é" * 100):
        headers = {"Idempotency-Key": quote(key)[:8_000]}
        target.graphql(SET, {"nodes": nodes}, token, headers)
    roots = join(
        50,
        lambda n: (
            f'a{n}: recordOrder(node: {{name: "{stamp}{n}", email: "k@example.com", total: 1}}) {{ id }}'
        ),
    )
    for _ in range(2):
        target.graphql(f"mutation {{ {roots} }}", None, token, {"Idempotency-Key": f"r{stamp}"})


@case("webhooks: large customers", ON_A_PAGE, COST, stranger=False)
def _(target: Target, number: int, token: str | None) -> None:
    """Events of customers of the largest possible size, created and sent in the same process."""
    with WebhookSink() as url:
        hook = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
        node = {"type": "contact/updated", "url": url, "settings": {"changes": True}}
        webhook_id = target.data(hook, n=node)["createWebhook"]["id"]
        tag = "mutation($i: [ID!]!, $p: [InputSetCustomer!]!) { setCustomers(nodes: $p) { saved } }"
        nodes = [
            {"id": customer_id, "phone": f"{number}{n}"}
            for n, customer_id in enumerate(target.ids["heavy"])
        ]
        target.graphql(tag, {"i": [], "p": nodes}, token)
        time.sleep(2)
        deliveries = "deliveries(first: 250) { edges { node { id state attempts { request response request_headers } } } }"
        target.graphql(f"{{ a{number}: webhooks {{ id {deliveries} }} }}", None, token)
        target.graphql("mutation($i: ID!) { deleteWebhook(id: $i) }", {"i": webhook_id}, token)


class WebhookSink:
    """A receiver that responds 200 to every request."""

    def __enter__(self) -> str:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._threads = ThreadPoolExecutor(9)
        self._threads.submit(self._accept)
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(5)
                self._threads.submit(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            while True:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += (part := connection.recv(65_536))
                    if not part:
                        return
                head, _, body = received.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                while len(body) < length:
                    body += connection.recv(65_536) or b" " * length
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
