"""Public clients and code generators, run as their own documentation shows them.

docs/how-to/clients.md lists them; a test compares the list with what is run here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Client

ROOT = Path(__file__).parents[1]
NODE = ROOT / "build" / "node"
HTTP_CLIENTS = ("Apollo Client", "urql", "graphql-request", "ky", "got", "axios")

pytestmark = pytest.mark.slow
needs_packages = pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules" / "@apollo" / "client").exists(),
    reason="the npm packages that .ci/run installs into build/node are missing",
)


def run(*command: str, cwd: Path, source: str | None = None) -> str:
    """Run a command to its end; returns what it printed, and fails if it failed."""
    done = subprocess.run(
        command, cwd=cwd, input=source, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def npm_command(name: str) -> str:
    return str(NODE / "node_modules" / ".bin" / name)


def gql_tada(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "schema.graphql"
    command = npm_command("gql.tada")
    run(command, "generate-schema", url, "--header", header, "--output", str(output), cwd=NODE)
    return output


def genql(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "genql"
    printed = run(
        *(npm_command("genql"), "--endpoint", url, "-H", header, "--output", str(output)), cwd=NODE
    )
    assert "FAILED" not in printed
    return output / "schema.graphql"


def graphql_zeus(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization:Bearer {token}"
    # Version 7.2 reads the arguments after its own positional ones.
    arguments = (url, str(folder), url, str(folder), "-h", header)
    run(npm_command("zeus"), *arguments, cwd=NODE)
    return folder / "zeus" / "index.ts"


def graphql_inspector(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "schema.graphql"
    command = npm_command("graphql-inspector")
    run(command, "introspect", url, "-w", str(output), "--header", header, cwd=NODE)
    return output


def graphql_codegen(url: str, token: str, folder: Path) -> Path:
    output = folder / "types.ts"
    schema = f'[{{ "{url}": {{ headers: {{ Authorization: "Bearer {token}" }} }} }}]'
    generates = f'{{ "{output}": {{ plugins: ["typescript"] }} }}'
    config = folder / "codegen.js"
    config.write_text(f"module.exports = {{ schema: {schema}, generates: {generates} }};")
    run(npm_command("graphql-codegen"), "--config", str(config), cwd=NODE)
    return output


def gql_cli(url: str, token: str, folder: Path) -> Path:
    command = str(Path(sys.executable).with_name("gql-cli"))
    headers = f"Authorization:Bearer {token}"
    output = folder / "schema.graphql"
    output.write_text(run(command, url, "--headers", headers, "--print-schema", cwd=folder))
    return output


GENERATORS: dict[str, Callable[[str, str, Path], Path]] = {
    "gql.tada": gql_tada,
    "genql": genql,
    "graphql-zeus": graphql_zeus,
    "graphql-inspector": graphql_inspector,
    "graphql-codegen": graphql_codegen,
    "gql-cli": gql_cli,
}


@needs_packages
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_reads_the_schema(client: Client, tmp_path: Path, name: str) -> None:
    written = GENERATORS[name](client.server.url + "/api/v2", client.token, tmp_path)
    text = written.read_text(encoding="utf-8")
    assert "InputUpdateCustomer" in text
    assert "deleteCustomers" in text


@needs_packages
def test_http_clients_list_and_create_customers(client: Client) -> None:
    script = (ROOT / "tests" / "clients" / "http.mjs").read_text(encoding="utf-8")
    command = ("node", "--input-type=module", "-", client.server.url, client.token)
    printed = run(*command, cwd=NODE, source=script)
    assert printed.splitlines() == [f"ok {name}" for name in HTTP_CLIENTS]


def test_the_guide_lists_every_client_that_is_run() -> None:
    guide = (ROOT / "docs" / "how-to" / "clients.md").read_text(encoding="utf-8")
    tested = set(re.findall(r"^\| ([^|]+?) \|[^|]*\| tested \|", guide, re.MULTILINE))
    assert tested == {*GENERATORS, *HTTP_CLIENTS}
