"""The metrics for Prometheus: requests, durations, errors, documents and queues.

Clients choose the names of operations. To limit the number of time series, only the first hundred
names become labels, and the others are counted as `other`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from regulars import __version__

MAX_OPERATIONS = 100
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class RequestOutcome(Protocol):
    """The attributes of a finished request that the metrics use."""

    operation: str
    kind: str
    status: int
    seconds: float
    error_keys: Sequence[str]


class Metrics:
    """Counts in this process, and renders the metrics of all processes of the server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "regulars_requests",
            "GraphQL requests, by operation, kind and HTTP status.",
            ("operation", "kind", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "regulars_request_seconds",
            "How long GraphQL requests took.",
            ("kind",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "regulars_errors", "Errors answered, by key.", ("key",), registry=registry
        )
        self._documents = Counter(
            "regulars_documents",
            "GraphQL documents, by whether they were kept from before (hit) or read anew (miss).",
            ("result",),
            registry=registry,
        )
        self._forwarded = Counter(
            "regulars_requests_passed_on",
            "GraphQL requests that the bulkhead's process was given.",
            registry=registry,
        )
        self._attempts = Counter(
            "regulars_webhook_attempts",
            "Events sent to webhooks, by whether they were answered with 2xx (delivered) or not.",
            ("result",),
            registry=registry,
        )
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        # The library takes a lock for each count, so `sample` passes the sums to it.
        self._counts: dict[tuple[str, str, int], int] = {}
        self._hits = self._misses = 0
        self._histograms: dict[str, Histogram] = {}
        self._names: set[str] = set()
        build = Gauge(
            "regulars_build",
            "The version that runs.",
            ("version",),
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(__version__).set(1)
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Adds a gauge. `value` is called in each `sample`."""
        gauge = Gauge(name, description, registry=self._registry, multiprocess_mode="livesum")
        self._gauges.append((gauge, value))

    def count_requests(self, records: Iterable[RequestOutcome]) -> None:
        """Counts requests, their durations, and the errors in their responses."""
        for record in records:
            labels = (self._operation_label(record.operation), record.kind, record.status)
            self._counts[labels] = self._counts.get(labels, 0) + 1
            histogram = self._histograms.get(record.kind)
            if histogram is None:
                histogram = self._histograms[record.kind] = self._seconds.labels(record.kind)
            histogram.observe(record.seconds)
            for key in record.error_keys:
                self._errors.labels(key).inc()

    def count_document(self, is_hit: bool) -> None:
        """Counts a GraphQL document that was in the cache (a hit) or had to be parsed (a miss)."""
        if is_hit:
            self._hits += 1
        else:
            self._misses += 1

    def count_forwarded(self) -> None:
        """Counts a request that the bulkhead forwards to its worker."""
        self._forwarded.inc()

    def count_attempt(self, is_delivered: bool) -> None:
        """Counts an attempt to deliver an event to a webhook."""
        self._attempts.labels("delivered" if is_delivered else "failed").inc()

    def _operation_label(self, operation: str) -> str:
        if operation in self._names:
            return operation
        if len(self._names) >= MAX_OPERATIONS:
            return "other"
        self._names.add(operation)
        return operation

    def sample(self) -> None:
        """Passes the counts to the library, and updates the gauges."""
        for (operation, kind, status), count in self._counts.items():
            self._requests.labels(operation, kind, str(status)).inc(count)
        self._counts.clear()
        self._documents.labels("hit").inc(self._hits)
        self._documents.labels("miss").inc(self._misses)
        self._hits = self._misses = 0
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """Returns the metrics of all processes of this server, in Prometheus's text format."""
        self.sample()
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes)  # type: ignore[no-untyped-call]  # the library's own
        return generate_latest(all_processes)
