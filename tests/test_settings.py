"""The settings: where their values come from, and the sentences that refuse them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from regulars.cli.errors import USAGE
from regulars.environment import SettingsError, load_with_sources
from regulars.settings import SETTINGS, Settings
from tests.support import build_environment, run_regulars, run_server

TOKEN = "a-token-of-the-tests-0123456789-abcdef"


def load(**variables: str) -> Settings:
    return load_with_sources({}, variables).settings


def refusal(**variables: str) -> str:
    """The sentence that refuses variables."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABSE_URL", "x", "is not a setting of Regulars. Did you mean REGULARS_DATABASE_URL?"),
        ("ZZZZZZZZ", "x", "REGULARS_ZZZZZZZZ is not a setting of Regulars. Remove it."),
        ("DATABASE_URL", "", "REGULARS_DATABASE_URL is empty. Set a value or remove it."),
        ("PORT", "x", "REGULARS_PORT must be a whole number from 0 to 65,535, not 'x'."),
        ("PORT", "9" * 5_000, "whole number from 0 to 65,535"),
        ("PORT", "tcp://10.0.0.1:80", "Kubernetes sets this variable"),
        ("WORKERS", "0", "must be a whole number from 1 to 256, not '0'."),
        ("REQUEST_SECONDS", "nan", "must be a number greater than 0 and at most 3,600, not 'nan'."),
        ("REQUEST_SECONDS", "0", "must be a number greater than 0"),
        ("DRAIN_SECONDS", "-1", "must be a number at least 0"),
        ("GRAVATAR", "maybe", "REGULARS_GRAVATAR must be true or false, not 'maybe'."),
        ("LOG_LEVEL", "loud", "must be debug, info, warning or error, not 'loud'."),
        ("LOG_FORMAT", "xml", "must be json or text, not 'xml'."),
        ("POOL_SIZE", "1", "must be a whole number from 2 to 1,000, not '1'."),
        ("RATE_BURST", "5", "must not be less than REGULARS_MAX_COST (20,000)"),
        ("CORS_ORIGINS", "app.example.com", "'app.example.com', which is not an origin."),
        ("CORS_ORIGINS", "https://*.example.com", "cannot be *"),
        ("CORS_ORIGINS", "https://App.example.com", "Use 'https://app.example.com'."),
        ("CORS_ORIGINS", "https://a.example:443", "Use 'https://a.example'."),
        ("CORS_ORIGINS", "https://a.example/shop", "Use 'https://a.example'."),
        ("CORS_ORIGINS", "https://müller.example", "Use 'https://xn--mller-kva.example'."),
        ("CORS_ORIGINS", "https://a.example:99999", "is not an origin"),
        ("BOOTSTRAP_TOKEN", "s3cret", "at least 32 characters, not 6."),
        ("BOOTSTRAP_TOKEN", "with a space " * 4, "without spaces"),
    ],
)
def test_an_invalid_setting_is_refused(name: str, value: str, sentence: str) -> None:
    message = refusal(**{f"REGULARS_{name}": value})
    assert sentence in message
    assert message.endswith((".", "?"))
    assert len(message) < 500
    assert "s3cret" not in message


def test_every_problem_is_reported() -> None:
    message = refusal(REGULARS_PORT="x", REGULARS_WORKERS="y", REGULARS_LOG_LEVLE="info")
    for name in ("REGULARS_PORT", "REGULARS_WORKERS", "REGULARS_LOG_LEVLE"):
        assert name in message


def test_valid_values_are_read() -> None:
    settings = load(
        REGULARS_CORS_ORIGINS="https://a.example/, http://localhost:3000,http://[::1]:8080, null,*",
        REGULARS_GRAVATAR="Yes",
        REGULARS_REQUEST_SECONDS="2.5",
        REGULARS_RATE_LIMIT="0",
        REGULARS_BOOTSTRAP_TOKEN=TOKEN,
        REGULARS_LOG_FORMAT="TEXT",
        REGULARS_TOKEN="of a client",
        REGULARS_SERVICE_HOST="10.0.0.1",
        REGULARS_PORT_8000_TCP_ADDR="10.0.0.1",
    )
    assert settings.cors_origins == (
        "https://a.example",
        "http://localhost:3000",
        "http://[::1]:8080",
        "null",
        "*",
    )
    assert settings.gravatar is True
    assert settings.request_seconds == 2.5
    assert settings.rate_limit == 0
    assert settings.log_format == "text"
    assert settings.bootstrap_token == TOKEN
    assert TOKEN not in repr(settings)


def test_an_option_precedes_a_variable() -> None:
    loaded = load_with_sources({"port": "1"}, {"REGULARS_PORT": "2", "REGULARS_HOST": "::1"})
    assert loaded.settings.port == 1
    assert loaded.sources["port"] == "--port"
    assert loaded.sources["host"] == "REGULARS_HOST"
    assert loaded.sources["workers"] == "default"


def test_another_process_gets_the_same_settings() -> None:
    settings = load(
        REGULARS_CORS_ORIGINS="https://a.example,https://b.example",
        REGULARS_GRAVATAR="true",
        REGULARS_REPLICA_SECONDS="0.5",
        REGULARS_BOOTSTRAP_TOKEN=TOKEN,
    )
    environment = settings.environment()
    assert TOKEN not in environment.values()
    assert load(**environment, REGULARS_BOOTSTRAP_TOKEN=TOKEN) == settings


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{TOKEN}\n")
    loaded = load_with_sources({}, {"REGULARS_BOOTSTRAP_TOKEN_FILE": str(path)})
    assert loaded.settings.bootstrap_token == TOKEN
    assert loaded.sources["bootstrap_token"] == "REGULARS_BOOTSTRAP_TOKEN_FILE"
    both = {"REGULARS_BOOTSTRAP_TOKEN": TOKEN, "REGULARS_BOOTSTRAP_TOKEN_FILE": str(path)}
    assert "cannot both be set" in refusal(**both)
    for content, problem in (
        (b"", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * 70_000, "is larger than 64 KiB"),
    ):
        path.write_bytes(content)
        assert problem in refusal(REGULARS_DATABASE_URL_FILE=str(path))
    missing = refusal(REGULARS_READ_DATABASE_URL_FILE=str(tmp_path / "missing"))
    assert "cannot be read: No such file or directory." in missing
    assert "is not a setting" in refusal(REGULARS_PORT_FILE=str(path))


@pytest.mark.slow
def test_a_server_and_its_processes_work_with_secrets_in_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path / 'files.db'}\n")
    (tmp_path / "token").write_text(TOKEN)
    command = [sys.executable, "-m", "regulars", "serve", "--port", "0"]
    env = build_environment(
        {
            "REGULARS_DATABASE_URL_FILE": str(tmp_path / "url"),
            "REGULARS_BOOTSTRAP_TOKEN_FILE": str(tmp_path / "token"),
        }
    )
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[-1]
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = httpx.post(url, json={"query": "{ __typename }"}, headers=headers)
            assert answer.json() == {"data": {"__typename": "Query"}}
            # An import runs in another process.
            sent = httpx.post(
                url.replace("/api/v2", "/import?name=a.csv"),
                content="email\na@example.com\n",
                headers={**headers, "Content-Type": "text/csv"},
            )
            assert sent.is_success, sent.text
        finally:
            process.terminate()
    assert (tmp_path / "files.db").exists()


def test_a_command_names_the_variable() -> None:
    done = run_regulars("account", "list", env={"REGULARS_DATABSE_URL": "postgresql://x"})
    assert done.returncode == USAGE
    assert done.stderr == (
        "regulars: REGULARS_DATABSE_URL is not a setting of Regulars. "
        "Did you mean REGULARS_DATABASE_URL?\n"
    )


def test_the_token_of_another_server_is_read_from_a_file(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/api/v2"
    done = run_regulars("push", url)
    assert done.returncode == USAGE
    assert "REGULARS_REMOTE_TOKEN" in done.stderr
    missing = {"REGULARS_REMOTE_TOKEN_FILE": str(tmp_path / "missing")}
    assert "cannot be read" in run_regulars("push", url, env=missing).stderr


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_log_has_the_format_of_the_setting(tmp_path: Path, log_format: str) -> None:
    database = f"sqlite:///{tmp_path / 'r.db'}"
    with (tmp_path / "log").open("w+") as log:
        env = {"REGULARS_LOG_FORMAT": log_format}
        with run_server(database, log=log, env=env) as server:
            httpx.post(f"{server.url}/graphql", json={"query": "{ __typename }"})
        log.seek(0)
        lines = [line for line in log if "request_id" in line]
    assert lines
    if log_format == "json":
        assert json.loads(lines[0])["event"] == "request"
    else:
        assert " INFO    request request_id=" in lines[0]
        assert " status=401 " in lines[0]
        assert "{" not in lines[0]


@pytest.mark.slow
def test_requests_are_info_events(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as log:
        env = {"REGULARS_LOG_LEVEL": "warning"}
        with run_server(f"sqlite:///{tmp_path / 'r.db'}", log=log, env=env) as server:
            httpx.post(f"{server.url}/graphql", json={"query": "{ __typename }"})
        log.seek(0)
        assert "request_id" not in log.read()


def test_descriptions_are_sentences() -> None:
    for setting in SETTINGS.values():
        assert setting.description.endswith("."), setting.name
        assert setting.description[0].isupper(), setting.name
