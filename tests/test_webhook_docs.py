"""Run the programs of the docs: receivers, a feed reader and a shop event. Compare bodies with
JavaScript's JSON."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from regulars.webhooks.javascript import stringify
from tests.support import BOOTSTRAP_TOKEN, Client, Server, run_regulars, run_server
from tests.test_docs import ROOT, code_blocks
from tests.test_webhooks import create_webhook

HOW_TO = ROOT / "docs" / "integrate"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="Node.js is not here")
CUSTOM = {
    "2": "two",
    "10": 1,
    "1": 35.0,
    "01": 0,
    "float": [0.1, 1e21, 1e-7, 123456789.125, -0.0, 5e-324, 1.7976931348623157e308, 100.0],
    "large": [9007199254740993, 2**64 - 1, -(2**63), 12345678901234567890],
    "text": 'é 太郎 👩‍👩‍👧 \u2028\u2029 " \\ / \b\f\n\r\t \x01\x1f\x7f',
    "__proto__": {"x": None, "4294967294": 1, "4294967295": 2},
    "": [],
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = f"sqlite:///{tmp_path_factory.mktemp('docs') / 'r.db'}"
    with run_server(url, "--webhook-private-targets", "--webhook-retry-seconds", "60") as server:
        yield server


@pytest.fixture
def client(local: Server) -> Iterator[Client]:
    with Client(local, BOOTSTRAP_TOKEN) as client:
        yield client


@contextmanager
def run_program(command: list[str], server: Server) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a receiver; yield its process and URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shown = run_regulars("webhook-secret", "show", "--database-url", server.database_url)
    env = {**os.environ, "WEBHOOK_SECRET": shown.stdout.strip(), "PORT": str(port)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout
        process.stdout.close()


def read_code(page: str, kind: str) -> str:
    """Return the only code block of a kind on a page."""
    (text,) = [text for name, text in code_blocks(HOW_TO / page) if name == kind]
    return text


RECEIVERS = [
    pytest.param("javascript", marks=needs_node),
    "python",
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECEIVERS)
def test_the_receiver_of_the_docs_accepts_only_signed_events(client: Client, kind: str) -> None:
    text = read_code("webhooks.md", kind)
    command = [NODE or "", "-e", text] if kind == "javascript" else [sys.executable, "-c", text]
    with run_program(command, client.server) as (process, url):
        webhook = create_webhook(client, "contact/signup", f"{url}/{kind}")
        email = f"{kind}@example.com"
        client.create(email, custom=CUSTOM, notes="\u2028")
        assert process.stdout
        assert process.stdout.readline() == f"contact/signup {email}\n"
        for headers in ({}, {"lightfunnels-hmac": "x", "regulars-signature": "t=1,v1=x"}):
            forged = client.http.post(url, content=b'{"node":{}}', headers=headers)
            assert forged.status_code == 401
        client.data("mutation($id: ID!) { deleteWebhook(id: $id) }", id=webhook["id"])


JAVASCRIPT_RECEIVER = """
const http = require("http"), crypto = require("crypto");
http.createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    const again = JSON.stringify(JSON.parse(body));
    const right = crypto.createHmac("sha256", process.env.WEBHOOK_SECRET).update(again);
    const good = right.digest("base64") === request.headers["lightfunnels-hmac"] && again === body;
    console.log(good, Object.keys(JSON.parse(body).node.custom ?? {}).join());
    response.writeHead(200).end();
  });
}).listen(Number(process.env.PORT), "127.0.0.1");
"""


@needs_node
def test_a_receiver_can_verify_the_body_that_javascript_writes(client: Client) -> None:
    with run_program([NODE or "", "-e", JAVASCRIPT_RECEIVER], client.server) as (process, url):
        create_webhook(client, "contact/signup", f"{url}/s")
        create_webhook(client, "contact/updated", f"{url}/u", settings={"changes": True})
        customer = client.create("js@example.com", custom=CUSTOM, tags=["\u2028"])
        assert process.stdout
        lines = [process.stdout.readline()]
        client.update(customer["id"], custom={"float": {"5": 1e300, "-1": 1.0, "3": 2}}, notes="👋")
        lines.append(process.stdout.readline())
    keys = "1,2,10,01,float,large,text,__proto__,"
    assert lines == [f"true {keys}\n", f"true {keys}\n"]


def random_value(draw: random.Random, depth: int) -> Any:
    """Return a random parsed JSON value, at most `depth` levels deep."""
    kind = draw.randrange(9 if depth else 7)
    if kind < 2:
        double: float = struct.unpack("<d", draw.randbytes(8))[0]
        return double if abs(double) < float("inf") else 0.5
    if kind == 2:
        return draw.choice((0, 1, -1, 35, 2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**63))) + 0
    if kind == 3:
        return draw.randrange(10**6) / 10 ** draw.randrange(9)
    if kind == 4:
        return "".join(chr(draw.choice((9, 31, 34, 47, 92, 127, 233, 0x2028, 0xFFFD, 0x1F600)))
                       for _ in range(draw.randrange(6)))  # fmt: skip
    if kind < 7:
        return draw.choice((None, True, False, "", "x", []))
    if kind == 7:
        return [random_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    keys = ("0", "7", "10", "-1", "01", "1.5", "4294967294", "4294967295", "a", "é", "")
    return {draw.choice(keys): random_value(draw, depth - 1) for _ in range(draw.randrange(6))}


@needs_node
def test_bodies_equal_the_output_of_javascript() -> None:
    draw = random.Random(11)
    bodies = [stringify([random_value(draw, 4) for _ in range(30)]) for _ in range(400)]
    script = """const lines = require("fs").readFileSync(0, "utf8").split("\\n");
        process.stdout.write(lines.map((line) => JSON.stringify(JSON.parse(line))).join("\\n"));"""
    done = subprocess.run(
        [NODE or "", "-e", script],
        input=b"\n".join(bodies),
        capture_output=True,
        check=True,
        timeout=120,
    )
    for body, javascript in zip(bodies, done.stdout.split(b"\n"), strict=True):
        assert body == javascript


def test_the_feed_reader_of_the_docs_follows_all_changes(client: Client, tmp_path: Path) -> None:
    text, state = read_code("feed.md", "python"), tmp_path / "emails.json"
    environment = {
        "REGULARS_URL": f"{client.server.url}/api/v2",
        "REGULARS_TOKEN": BOOTSTRAP_TOKEN,
        "STATE": str(state),
        "PATH": os.environ["PATH"],
    }

    def read() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", text, "--once"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert done.stdout == ""
        emails: dict[str, str] = json.loads(state.read_text())["emails"]
        return emails

    def stored() -> dict[str, str]:
        edges = client.data("{ customers(first: 250) { edges { node { id email } } } }")
        return {edge["node"]["id"]: edge["node"]["email"] for edge in edges["customers"]["edges"]}

    ids = [client.create(f"feed-{number}@example.com")["id"] for number in range(3)]
    assert read() == stored()
    client.update(ids[0], email="moved@example.com")
    client.data("mutation($id: ID!) { deleteCustomers(items: [$id]) }", id=ids[1])
    client.create("feed-3@example.com")
    assert read() == stored()
    assert "moved@example.com" in stored().values()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
def test_the_shop_event_of_the_docs_is_applied(client: Client) -> None:
    blocks = code_blocks(HOW_TO / "mirror-a-shop.md")
    (command,) = [text for _, text in blocks if "openssl" in text]
    (answer,) = [text for kind, text in blocks if kind == "json"]
    secret_output = run_regulars(
        "webhook-secret", "show", "--database-url", client.server.database_url
    )
    result = subprocess.run(
        ["bash", "-c", command.replace("http://127.0.0.1:8000", client.server.url)],
        env={"SECRET": secret_output.stdout.strip(), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(result.stdout) == json.loads(answer)
    (mutation,) = [text for kind, text in blocks if kind == "graphql"]
    order = client.data(mutation)["recordOrder"]
    assert order["net_payment"] == 35.5
    assert order["customer"]["expenses"] == 35.5
