"""GraphQL over HTTP: the server audit of the specification's reference implementation."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import Client

AUDIT = Path(os.environ.get("REGULARS_TEST_AUDIT", "build/node/node_modules/graphql-http"))

_SCRIPT = """
const { serverAudits } = require(process.argv[1]);
const [url, token] = process.argv.slice(2);
const withToken = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
(async () => {
  for (const audit of serverAudits({ url, fetchFn: withToken })) {
    const result = await audit.fn();
    console.log(result.status, result.id, result.name, result.reason || '');
  }
})();
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("node") or not AUDIT.exists(),
    reason="graphql-http is not here: npm install --prefix build/node graphql-http graphql",
)
@pytest.mark.parametrize("path", ["/graphql", "/api/v2"])
def test_the_audit_of_graphql_over_http_passes(client: Client, path: str) -> None:
    process = subprocess.run(
        ["node", "-e", _SCRIPT, str(AUDIT.resolve()), client.server.url + path, client.token],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    results = process.stdout.splitlines()
    assert len(results) > 50
    assert [line for line in results if not line.startswith("ok ")] == []
