"""What Prometheus reads: requests, their duration, errors, and what waits.

The names of operations come from clients: the first hundred are told apart, the rest are `other`.
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


class Answered(Protocol):
    """A request and its answer."""

    operation: str
    kind: str
    status: int
    seconds: float
    error_keys: Sequence[str]


class Metrics:
    """The figures of this process."""

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
        self._passed = Counter(
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
        # Counted here, and told to the library every now and then: it takes a lock each time.
        self._counts: dict[tuple[str, str, int], int] = {}
        self._hits = self._misses = 0
        self._timed: dict[str, Histogram] = {}
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

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A figure that is looked up when it is asked for."""
        gauge = Gauge(name, what, registry=self._registry, multiprocess_mode="livesum")
        self._gauges.append((gauge, value))

    def requests(self, records: Iterable[Answered]) -> None:
        """Counts requests, and the errors that they were answered."""
        for record in records:
            place = (self._name(record.operation), record.kind, record.status)
            self._counts[place] = self._counts.get(place, 0) + 1
            timed = self._timed.get(record.kind)
            if timed is None:
                timed = self._timed[record.kind] = self._seconds.labels(record.kind)
            timed.observe(record.seconds)
            for key in record.error_keys:
                self._errors.labels(key).inc()

    def document(self, hit: bool) -> None:
        """Counts a document."""
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    def passed(self) -> None:
        """Counts a request that another process works on."""
        self._passed.inc()

    def webhook(self, delivered: bool) -> None:
        """Counts an event that was sent."""
        self._attempts.labels("delivered" if delivered else "failed").inc()

    def _name(self, operation: str) -> str:
        if operation in self._names:
            return operation
        if len(self._names) >= MAX_OPERATIONS:
            return "other"
        self._names.add(operation)
        return operation

    def sample(self) -> None:
        """Tells the library what was counted, and looks the gauges up."""
        for (operation, kind, status), count in self._counts.items():
            self._requests.labels(operation, kind, str(status)).inc(count)
        self._counts.clear()
        self._documents.labels("hit").inc(self._hits)
        self._documents.labels("miss").inc(self._misses)
        self._hits = self._misses = 0
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """Everything, in Prometheus's text format; of all the processes of this server."""
        self.sample()
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes)  # type: ignore[no-untyped-call]  # the library's own
        return generate_latest(all_processes)
