"""The files for a deployment: the image, the service, the proxy, the alerts and the dashboard."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from regulars.app import GRAPHQL_PATHS, Application
from regulars.settings import Settings
from tests.postgres import free_port
from tests.support import BOOTSTRAP_TOKEN, Client, Server, run_regulars, run_server, wait_until

ROOT = Path(__file__).parent.parent
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@pytest.mark.slow
def test_the_service_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "regulars.service").read_text()
    unit = tmp_path / "regulars.service"
    unit.write_text(text.replace("/opt/regulars/bin/regulars", shutil.which("true") or ""))
    result = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    for line in (
        "After=network-online.target",
        "RestartSec=2s",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ):
        assert line in text


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    result = subprocess.run(
        [str(linter), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_the_docker_context_has_only_the_files_of_the_build() -> None:
    """No Docker is needed to see that each copied file exists and is sent to the builder."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    sources = {
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        source.removeprefix("./") for source in sources
    }
    assert all((ROOT / source).exists() for source in sources)
    stages = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    (user,) = (line for line in lines[stages[1] :] if line.startswith("USER "))
    assert user.split()[1].isdigit()
    assert user.split()[1] != "0"


def test_compose_starts_the_server_after_a_healthy_database() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    server, database = compose["services"]["regulars"], compose["services"]["database"]
    assert server["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert database["healthcheck"]["test"][1] == "pg_isready"
    assert server["ports"] == ["127.0.0.1:8000:8000"]
    settings = {name for name in server["environment"] if name.startswith("REGULARS_")}
    assert {name.removeprefix("REGULARS_").lower() for name in settings} <= set(_setting_names())
    assert set(compose["volumes"]) == {"database", "regulars"}


def test_compose_creates_the_secrets_that_commands_in_the_container_read(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    script = "\n".join(re.findall(r"^#   (.*)", text, re.MULTILINE))
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    files = {name: tmp_path / secret["file"] for name, secret in compose["secrets"].items()}
    assert all(file.read_text().strip() for file in files.values())
    server = compose["services"]["regulars"]
    env = {}
    for name, value in server["environment"].items():
        secret = value.removeprefix("/run/secrets/")
        assert secret in server["secrets"] or not name.endswith("_FILE")
        env[name] = str(files[secret]) if name.endswith("_FILE") else value
    settings = {row["setting"]: row for row in json.loads(run_regulars("config", env=env).stdout)}
    assert settings["database_url"]["value"] == "postgresql://database/regulars"
    assert settings["database_url"]["source"] == "REGULARS_DATABASE_URL_FILE"
    assert settings["bootstrap_token"]["value"] == "********"
    password = files["database_password"].read_text().strip()
    assert f":{password}@" in files["database_url"].read_text()


def _setting_names() -> set[str]:
    listed = (ROOT / "docs" / "reference" / "settings.md").read_text()
    return {name.lower() for name in re.findall(r"REGULARS_(\w+)", listed)}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, httpx.Client]]:
    """A server, and a client of a real nginx before it, with deploy/nginx.conf."""
    folder = tmp_path_factory.mktemp("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    name = "customers.example.com"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    with run_server(f"sqlite:///{folder / 'r.db'}") as server:
        http_port, https_port = free_port(), free_port()
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        for old, new in (
            ("127.0.0.1:8000", server.url.removeprefix("http://")),
            ("listen 80;", f"listen 127.0.0.1:{http_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{https_port} ssl;"),
            ("listen [::]:80;", ""),
            ("listen [::]:443 ssl;", ""),
            (f"/etc/ssl/certs/{name}.pem", str(certificate)),
            (f"/etc/ssl/private/{name}.key", str(key)),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "site.conf").write_text(text)
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; worker_processes 1; pid {folder}/pid;\n"
            f"error_log {folder}/error.log; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body;\n"
            f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
            f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"include {folder}/site.conf; }}\n"
        )
        command = [NGINX, "-c", str(folder / "nginx.conf")]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        tls = ssl.create_default_context(cafile=str(certificate))
        transport = httpx.HTTPTransport(verify=tls)
        try:
            with httpx.Client(
                base_url=f"https://127.0.0.1:{https_port}",
                headers={"Host": name},
                transport=transport,
                timeout=120,
            ) as client:
                # The certificate is of the name, and the connection to the address.
                def use_name(request: httpx.Request) -> None:
                    request.extensions = {**request.extensions, "sni_hostname": name}

                client.event_hooks = {"request": [use_name]}
                wait_until(lambda: _answers(client))
                yield server, client
        finally:
            nginx.send_signal(signal.SIGTERM)
            nginx.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


AUTHORIZATION = {"Authorization": f"Bearer {BOOTSTRAP_TOKEN}"}


@pytest.mark.slow
def test_every_route_works_through_nginx(proxied: tuple[Server, httpx.Client]) -> None:
    server, client = proxied
    app = Application(Settings(database_url=server.database_url))
    paths = [route.path for route in app._starlette.routes] + list(GRAPHQL_PATHS)  # type: ignore[attr-defined]  # every route has a path
    for template in (*paths, "/no/such/page"):
        path = re.sub(r"\{[^}]*\}", "1", template)
        through, direct = client.get(path), httpx.get(server.url + path)
        if path in ("/metrics", "/readyz"):
            assert through.status_code == 404
            assert "regulars" not in through.text.lower()
            continue
        assert through.status_code == direct.status_code, path
        assert through.headers["content-type"] == direct.headers["content-type"], path
        assert through.headers["strict-transport-security"], path
        assert re.fullmatch("[0-9a-f]{32}", through.headers.get("x-request-id", "0" * 32)), path


@pytest.mark.slow
def test_files_and_events_pass_nginx(proxied: tuple[Server, httpx.Client]) -> None:
    _server, client = proxied
    rows = "".join(f"{n}@example.com,{'x' * 4_000}\n" for n in range(1_500))
    content = f"email,notes\n{rows}".encode()
    assert len(content) > 5 * 1024**2  # more than client_max_body_size
    headers = {**AUTHORIZATION, "Content-Type": "text/csv"}
    created = client.post("/import", content=content, headers=headers)
    assert created.status_code in (200, 202), created.text
    import_id = created.json()["data"]["id"]

    def state() -> dict[str, Any]:
        answer = client.get(f"/import/{import_id}", headers=AUTHORIZATION)
        data: dict[str, Any] = answer.json()["data"]
        return data

    wait_until(lambda: state()["state"] not in ("receiving", "pending", "running"), 120)
    assert state()["created"] == 1_500, state()
    exported = client.get("/export", headers=AUTHORIZATION)
    assert exported.status_code == 200
    assert len(exported.content) > 5 * 1024**2
    # Compressed, in chunks of unknown length, as a stream.
    chunks = (gzip.compress(content[i : i + 100_000]) for i in range(0, 300_000, 100_000))
    preview = client.post("/import/preview", content=chunks, headers=headers)
    assert preview.status_code == 200, preview.text
    # An unsigned event, and one that Regulars finds too large, get its own errors.
    for size, status in ((100, 401), (3 * 1024**2, 413)):
        answer = client.post("/in/default/customers/created", content=b"x" * size)
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["key"]


@pytest.mark.slow
def test_a_session_works_through_nginx(proxied: tuple[Server, httpx.Client]) -> None:
    _server, client = proxied
    headers = {"Origin": "https://customers.example.com", "Sec-Fetch-Site": "same-origin"}
    signed_in = client.post("/session", json={"token": BOOTSTRAP_TOKEN}, headers=headers)
    assert signed_in.status_code == 200, signed_in.text
    cookie = signed_in.headers["set-cookie"]
    assert "Secure" in cookie
    query = {"query": "{ account { name } }"}
    answer = client.post(
        "/api/v2", json=query, headers={**headers, "Cookie": cookie.partition(";")[0]}
    )
    assert answer.json()["data"]["account"]["name"] == "default", answer.text


@pytest.mark.slow
def test_a_build_knows_its_commit(tmp_path: Path) -> None:
    """Without a checkout next to it, as in an image."""
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "src" / "regulars"
    package.mkdir(parents=True)
    for name in ("__init__.py", "versions.py"):
        shutil.copy(ROOT / "src" / "regulars" / name, package)
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    for commit, expected in (("0123456789abcdef0123", "0123456789ab"), ("", "unknown")):
        shutil.rmtree(tmp_path / "lib", ignore_errors=True)
        env = {**os.environ, "REGULARS_COMMIT": commit, "PYTHONWARNINGS": "ignore"}
        subprocess.run(build, cwd=tmp_path, env=env, check=True, capture_output=True)
        code = "import regulars.versions as v; print(v.__file__, v.commit())"
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        assert result.stdout.split() == [
            str(tmp_path / "lib" / "regulars" / "versions.py"),
            expected,
        ]


def test_a_checkout_knows_its_commit() -> None:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    version = json.loads(run_regulars("version", "--json").stdout)
    assert version["commit"] == (head[:12] or "unknown")


def _expressions() -> Iterator[str]:
    """Yields the expressions of the alerts and of the dashboard."""
    alerts = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    for group in alerts["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"].endswith((".", "regulars inbox list"))
            yield rule["expr"]
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def test_alerts_and_the_dashboard_use_metrics_that_exist(tmp_path: Path) -> None:
    env = {"REGULARS_BACKUP_FOLDER": str(tmp_path)}
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", env=env) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("a@example.com")
            client.errors("{ nothing }")
        text = httpx.get(f"{server.url}/metrics").text
    names = set(re.findall(r"^(\w+)(?:\{| )", text, re.MULTILINE)) | {"up"}
    # They have labels, and no sample before the first attempt.
    names |= {
        f"{name}_total" for name in re.findall(r"^# TYPE (\w+)_total counter", text, re.MULTILINE)
    }
    used: set[str] = set()
    for expression in _expressions():
        promql_parser.parse(expression)  # raises if it is invalid
        used |= set(re.findall(r"\b((?:regulars|process)_\w+|up)\b(?=\{|\[| |\)|$)", expression))
    assert used <= names, used - names
    old = {"regulars_request_seconds_bucket", "regulars_connections_used", "regulars_build"}
    assert old <= names
    assert not used & old
    new_figures = {
        name for name in used if re.match("regulars_(webhook|import|inbox|backup)", name)
    }
    assert len(new_figures) >= 8
