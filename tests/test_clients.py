"""Public clients and code generators work as their documentation shows.

docs/integrate/clients.md lists them; a test compares the list with the clients that run here.
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
    """Runs a command, which must succeed, and returns its output."""
    process = subprocess.run(
        command, cwd=cwd, input=source, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def npm_command_path(name: str) -> str:
    return str(NODE / "node_modules" / ".bin" / name)


def run_gql_tada(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "schema.graphql"
    command = npm_command_path("gql.tada")
    run(command, "generate-schema", url, "--header", header, "--output", str(output), cwd=NODE)
    return output


def run_genql(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "genql"
    output_text = run(
        *(npm_command_path("genql"), "--endpoint", url, "-H", header, "--output", str(output)),
        cwd=NODE,
    )
    assert "FAILED" not in output_text
    return output / "schema.graphql"


def run_graphql_zeus(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization:Bearer {token}"
    # Version 7.2 reads the arguments after its own positional ones.
    arguments = (url, str(folder), url, str(folder), "-h", header)
    run(npm_command_path("zeus"), *arguments, cwd=NODE)
    return folder / "zeus" / "index.ts"


def run_graphql_inspector(url: str, token: str, folder: Path) -> Path:
    header = f"Authorization: Bearer {token}"
    output = folder / "schema.graphql"
    command = npm_command_path("graphql-inspector")
    run(command, "introspect", url, "-w", str(output), "--header", header, cwd=NODE)
    return output


def run_graphql_codegen(url: str, token: str, folder: Path) -> Path:
    output = folder / "types.ts"
    schema = f'[{{ "{url}": {{ headers: {{ Authorization: "Bearer {token}" }} }} }}]'
    generates = f'{{ "{output}": {{ plugins: ["typescript"] }} }}'
    config = folder / "codegen.js"
    config.write_text(f"module.exports = {{ schema: {schema}, generates: {generates} }};")
    run(npm_command_path("graphql-codegen"), "--config", str(config), cwd=NODE)
    return output


def run_gql_cli(url: str, token: str, folder: Path) -> Path:
    command = str(Path(sys.executable).with_name("gql-cli"))
    headers = f"Authorization:Bearer {token}"
    output = folder / "schema.graphql"
    output.write_text(run(command, url, "--headers", headers, "--print-schema", cwd=folder))
    return output


GENERATORS: dict[str, Callable[[str, str, Path], Path]] = {
    "gql.tada": run_gql_tada,
    "genql": run_genql,
    "graphql-zeus": run_graphql_zeus,
    "graphql-inspector": run_graphql_inspector,
    "graphql-codegen": run_graphql_codegen,
    "gql-cli": run_gql_cli,
}


@needs_packages
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_reads_the_schema(client: Client, tmp_path: Path, name: str) -> None:
    output_path = GENERATORS[name](client.server.url + "/api/v2", client.token, tmp_path)
    text = output_path.read_text(encoding="utf-8")
    assert "InputUpdateCustomer" in text
    assert "deleteCustomers" in text


@needs_packages
@pytest.mark.parametrize("count", [1, 20])
def test_http_clients_list_and_create_customers(client: Client, count: int) -> None:
    """They select the defaults only, also of customers with more emails and phones."""
    for n in range(3):
        emails = [{"email": f"{n}-{number}@example.com", "label": "x"} for number in range(count)]
        phones = [{"phone": f"+2126{number:08}"} for number in range(count)]
        client.create("", emails=emails, phones=phones)
    script = (ROOT / "tests" / "clients" / "http.mjs").read_text(encoding="utf-8")
    command = ("node", "--input-type=module", "-", client.server.url, client.token)
    output = run(*command, cwd=NODE, source=script)
    assert output.splitlines() == [f"ok {name}" for name in HTTP_CLIENTS]


def test_the_guide_lists_every_tested_client() -> None:
    guide = (ROOT / "docs" / "integrate" / "clients.md").read_text(encoding="utf-8")
    tested = set(re.findall(r"^\| ([^|]+?) \|[^|]*\| tested \|", guide, re.MULTILINE))
    assert tested == {*GENERATORS, *HTTP_CLIENTS}
