"""The programs of the pages about TypeScript and Python work as the pages show them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import Client
from tests.test_clients import NODE, needs_packages
from tests.test_docs import ROOT, code_blocks

pytestmark = pytest.mark.slow
SECRET = "a secret of the tests"
BODY = '{"node":{"email":"zoë@example.com"}}'


def write_programs(page: str, folder: Path) -> None:
    """Write each code block whose first line is a comment with a file's name."""
    for _, text in code_blocks(ROOT / "docs" / "integrate" / page):
        if name := re.match(r"(?://|#) ([\w./]+)\n", text):
            (folder / name[1]).parent.mkdir(exist_ok=True)
            (folder / name[1]).write_text(text)


def shell_commands(page: str) -> list[str]:
    blocks = code_blocks(ROOT / "docs" / "integrate" / page)
    return [line for kind, text in blocks if kind == "sh" for line in text.splitlines()]


def run(command: list[str], folder: Path, client: Client) -> str:
    process = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "REGULARS_URL": f"{client.server.url}/api/v2",
            "REGULARS_TOKEN": client.token,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def signatures() -> list[tuple[str, bool]]:
    """Return headers, and whether a receiver must accept them."""

    def sign(sent_at: int, secret: str = SECRET) -> str:
        content = f"{sent_at}.{BODY}".encode()
        return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()

    now = int(time.time())
    return [
        (f"t={now},v1={sign(now)}", True),
        (f"t={now},v1={sign(now, 'old')},v1={sign(now)}", True),
        (f"t={now},v1={sign(now, 'old')}", False),
        (f"t={now - 400},v1={sign(now - 400)}", False),
        (f"t={now},v1={sign(now - 1)}", False),
        (f"v1={sign(now)}", False),
        ("", False),
    ]


def expected_lines(client: Client, email: str) -> list[str]:
    year = time.gmtime().tm_year
    emails = client.emails("order_by:created_at order_dir:asc", first=250)
    assert email in emails
    return [f"{email} {year}" for email in emails]


@pytest.fixture
def filled(sqlite_client: Client) -> Client:
    """An account with more customers than a page of the examples holds."""
    for start in (0, 75):
        nodes = [{"email": f"page-{number}@example.com"} for number in range(start, start + 75)]
        sqlite_client.data(
            "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { saved } }",
            nodes=nodes,
        )
    return sqlite_client


def test_the_python_page_works(filled: Client, tmp_path: Path) -> None:
    write_programs("python.md", tmp_path)
    for _ in range(2):  # the second time, the customer exists
        lines = run([sys.executable, "customers.py"], tmp_path, filled).splitlines()
        assert lines == expected_lines(filled, "python@example.com")
    check = "import json, sys, webhook; headers, body, secret = json.loads(sys.argv[1])\n"
    check += "print(json.dumps([webhook.is_genuine(body.encode(), h, secret) for h in headers]))"
    headers, accepted = zip(*signatures(), strict=True)
    command = [sys.executable, "-c", check, json.dumps([headers, BODY, SECRET])]
    assert json.loads(run(command, tmp_path, filled)) == list(accepted)


@needs_packages
def test_the_typescript_page_works(filled: Client, tmp_path: Path) -> None:
    write_programs("typescript.md", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    commands = [
        line for line in shell_commands("typescript.md") if line.startswith(("npx", "node"))
    ]
    assert len(commands) == 3
    for command in commands:
        output = run(["bash", "-c", command.replace("npx ", "npx --no-install ")], tmp_path, filled)
    assert output.splitlines() == expected_lines(filled, "typescript@example.com")
    check = """const [headers, body, secret] = JSON.parse(process.argv[1]);
        const { isGenuine } = await import("./dist/webhook.js");
        const results = headers.map((header) => isGenuine(Buffer.from(body), header, secret));
        console.log(JSON.stringify(results));"""
    headers, accepted = zip(*signatures(), strict=True)
    argument = json.dumps([headers, BODY, SECRET])
    check_command = ["node", "--input-type=module", "-e", check, argument]
    assert json.loads(run(check_command, tmp_path, filled)) == list(accepted)
