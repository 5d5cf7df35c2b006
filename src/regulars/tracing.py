"""Spans for OpenTelemetry: requests, their plans, and their statements.

Nothing of this is imported or called unless REGULARS_TRACING is on. It needs the extra
`regulars[otel]`. The exporter and the sampler are configured by the standard variables, such as
OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_TRACES_SAMPLER.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from regulars import __version__
from regulars.graphql import Engine
from regulars.http.bulkhead import Bulkhead
from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.messages import Reply
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.store import Store
from regulars.store.query import Query

_TRACE_HEADERS = ("traceparent", "tracestate")
_CLOSE_SECONDS = 1.0


class Tracing:
    """Wraps methods of the application's objects, so that each call is a span."""

    def __init__(self) -> None:
        attributes = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "regulars"),
            "service.version": __version__,
        }
        self._provider = TracerProvider(
            resource=Resource.create(attributes), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("regulars", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Sends the last spans. Gives up after a second: without a collector, the exporter repeats
        its requests for 10 seconds."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_CLOSE_SECONDS)

    def trace_requests(self, endpoint: GraphQLEndpoint, observer: RequestObserver) -> None:
        """Makes each GraphQL request a span, in the trace of the caller's headers."""
        respond, record_response = endpoint.respond, observer.record_response

        async def traced(method: str, headers: Mapping[bytes, bytes], *more: Any) -> Reply:
            carrier = {
                name: value.decode("latin-1")
                for name in _TRACE_HEADERS
                if (value := headers.get(name.encode()))
            }
            parent = self._propagator.extract(carrier)
            attributes = {"http.request.method": method}
            with self._tracer.start_as_current_span(
                "GraphQL request", parent, SpanKind.SERVER, attributes
            ):
                return await respond(method, headers, *more)

        def record(request: RequestRecord, status: int, seconds: float) -> None:
            span = get_current_span()
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("regulars.request_id", request.request_id.decode())
            if request.kind in ("query", "mutation"):
                span.update_name(f"{request.kind} {request.operation}".strip())
                span.set_attribute("graphql.operation.type", request.kind)
                span.set_attribute("graphql.operation.name", request.operation)
            if request.grant is not None:
                span.set_attribute("regulars.account_id", request.grant.account_id)
            if request.error_keys:
                span.set_attribute("error.type", request.error_keys[0])
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            record_response(request, status, seconds)

        _replace(endpoint, "respond", traced)
        _replace(observer, "record_response", record)

    def trace_forwards(self, bulkhead: Bulkhead) -> None:
        """Makes the spans of the bulkhead's worker children of the request's span."""

        def trace_headers() -> Mapping[bytes, bytes]:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            return {name.encode(): value.encode() for name, value in carrier.items()}

        _replace(bulkhead, "trace_headers", trace_headers)

    def trace_plans(self, engine: Engine) -> None:
        """Makes the parsing and the planning of a document spans."""
        for name, span_name in (("find_operation", "parse"), ("prepare", "plan")):
            _replace(engine, name, self._traced_call(getattr(engine, name), span_name))
        for name, span_name in (
            ("get_operation_in_thread", "parse"),
            ("prepare_in_thread", "plan"),
        ):
            _replace(engine, name, self._traced_coroutine(getattr(engine, name), span_name))

    def trace_statements(self, store: Store) -> None:
        """Makes each query, and each write with its wait for the batch, a span."""
        fetch, system = store.fetch, store.dialect

        async def traced(query: Query, *more: Any, **options: Any) -> Any:
            text = query.compiled(system).text
            attributes = {"db.system.name": system, "db.query.text": text}
            name = text.split(None, 1)[0]
            with self._tracer.start_as_current_span(name, None, SpanKind.CLIENT, attributes):
                return await fetch(query, *more, **options)

        _replace(store, "fetch", traced)
        for name in ("write", "run", "execute"):
            _replace(store, name, self._traced_coroutine(getattr(store, name), f"database {name}"))

    def _traced_call(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def traced(*arguments: Any, **options: Any) -> Any:
            with self._tracer.start_as_current_span(name):
                return function(*arguments, **options)

        return traced

    def _traced_coroutine(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        async def traced(*arguments: Any, **options: Any) -> Any:
            with self._tracer.start_as_current_span(name):
                return await function(*arguments, **options)

        return traced


def _replace(target: object, name: str, function: Callable[..., Any]) -> None:
    """Replaces a method of one object."""
    setattr(target, name, function)
