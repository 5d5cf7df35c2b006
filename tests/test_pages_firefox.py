"""The pages in Firefox, where focus, text selection and menus differ from Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import Client, create_token
from tests.support import Server as RunningServer
from tests.test_clients import NODE, ROOT, run

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PROGRAM or not (NODE / "node_modules" / "puppeteer-core").exists(),
        reason="there is no Firefox here, or no puppeteer-core in build/node: .ci/run installs both",
    ),
]


def test_a_person_uses_the_pages_in_firefox(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("email,first_name\ndee@example.com,Dee\neve@example.com,Eve\n")
    with Client(server, create_token(server, scopes=("admin",))) as client:
        create = client.create
        create("ana@example.com", first_name="Ana", last_name="Núñez")
        paris = {"country": "FR", "city": "Paris"}
        create("bo@example.com", first_name="Bo", last_name="Li", shipping_address=paris)
        create("cy@example.com", first_name="Cy", last_name="Young")
        source = (ROOT / "tests" / "clients" / "firefox.mjs").read_text(encoding="utf-8")
        assert PROGRAM is not None
        command = ("node", "--input-type=module", "-", PROGRAM, server.url, client.token, str(path))
        output = run(*command, cwd=NODE, source=source)
        assert json.loads(output) == {
            "problems": [],
            "filtered": "Bo Li",
            "focusAfterDialog": "Filter",
            "comment": "She called.",
            "imported": ["Created", "2"],
        }
        assert client.emails("order_by:email order_dir:asc") == [
            f"{name}@example.com" for name in ("ana", "bo", "cy", "dee", "eve")
        ]
        assert client.emails('"Anna Núñez"') == ["ana@example.com"]
