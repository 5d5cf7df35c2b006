"""OpenTelemetry: a real exporter sends spans to a receiver of OTLP over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from regulars.http.noisy_neighbor import FAIR_SHARE
from tests.postgres import free_port
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    background_load,
    create_token,
    run_regulars,
    run_server,
    wait_until,
)
from tests.test_bulkhead import count_forwarded, read_slowly

pytestmark = pytest.mark.slow

SECRET = "secret.person@example.com"
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def run_traced_server(url: str, spans: list[Any]) -> Iterator[Server]:
    """Runs a server whose spans are added to a list, at the latest when it ends."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        variables = {
            "REGULARS_TRACING": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        with run_server(url, env=variables) as server:
            yield server
        receiver.shutdown()
        thread.join()


def test_requests_plans_and_statements_are_spans(tmp_path: Path) -> None:
    spans: list[Any] = []
    with (
        run_traced_server(f"sqlite:///{tmp_path / 'r.db'}", spans) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):
        client.create(SECRET)
        answer = client.post(
            "query Find($q: String) { customers(query: $q) { totalCount } }",
            {"q": SECRET},
            headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
        )
        assert answer.json()["data"]["customers"]["totalCount"] == 1
    (request,) = (span for span in spans if span.name == "query Find")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    attributes = {a.key: a.value for a in request.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["regulars.account_id"].int_value == 1
    assert attributes["regulars.request_id"].string_value == answer.headers["x-request-id"]
    children = [span for span in spans if span.parent_span_id == request.span_id]
    assert {"parse", "plan", "SELECT"} <= {span.name for span in children}
    assert {span.trace_id.hex() for span in children} == {TRACE_ID}
    statements = [
        a.value.string_value for s in spans for a in s.attributes if a.key == "db.query.text"
    ]
    assert any("FROM customers" in text for text in statements)
    assert any(span.name == "database write" for span in spans)
    assert SECRET not in str(spans)


def test_a_missing_collector_does_not_delay_the_stop(tmp_path: Path) -> None:
    env = {
        "REGULARS_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60",  # in seconds; the exporter repeats its requests
    }
    with run_server(f"sqlite:///{tmp_path / 'r.db'}", env=env) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("ana@example.com")
        began = time.monotonic()
    assert time.monotonic() - began < 50


def test_the_spans_of_a_forwarded_request_are_in_its_trace(tmp_path: Path) -> None:
    """The statements of the request run in the process of the bulkhead."""
    spans: list[Any] = []
    with run_traced_server(f"sqlite:///{tmp_path / 'r.db'}", spans) as server:
        token = create_token(server)
        flood = "query Flood { customers(first: 5) { totalCount edges { node { id } } } }"
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            background_load(server, lambda client: client.post(flood), token, FAIR_SHARE + 4),
        ):
            wait_until(lambda: count_forwarded(server) > 5)

    def children(parent: Any, name: str) -> list[Any]:
        return [s for s in spans if s.parent_span_id == parent.span_id and s.name == name]

    forwarded = [
        inner
        for outer in spans
        for inner in children(outer, "query Flood")
        if outer.name == inner.name
    ]
    assert forwarded
    assert any(children(span, "SELECT") for span in forwarded)


def test_tracing_without_its_packages_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars.cli.serve.find_spec", lambda _name: None)
    result = run_regulars("serve", "--tracing", "--database-url", f"sqlite:///{tmp_path / 'r.db'}")
    assert result.returncode == 2
    assert "pip install 'regulars[otel]'" in result.stderr
