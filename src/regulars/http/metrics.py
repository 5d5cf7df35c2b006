"""What Prometheus reads: requests, their duration, errors, and what waits.

The names of operations come from clients: the first hundred are told apart, the rest are `other`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from regulars import __version__

MAX_OPERATIONS = 100
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The figures of this process."""

    def __init__(self) -> None:
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
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        self._children: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self._names: set[str] = set()
        self._hit = self._documents.labels("hit")
        self._miss = self._documents.labels("miss")
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

    def request(
        self, operation: str, kind: str, status: int, seconds: float, keys: Sequence[str]
    ) -> None:
        """Counts a request, and the errors that it was answered."""
        place = (operation, kind, status)
        child = self._children.get(place)
        if child is None:
            child = self._requests.labels(self._name(operation), kind, str(status))
            if len(self._children) < 10 * MAX_OPERATIONS:
                self._children[place] = child
        child.inc()
        timed = self._timed.get(kind)
        if timed is None:
            timed = self._timed[kind] = self._seconds.labels(kind)
        timed.observe(seconds)
        for key in keys:
            self._errors.labels(key).inc()

    def document(self, hit: bool) -> None:
        """Counts a document."""
        (self._hit if hit else self._miss).inc()

    def _name(self, operation: str) -> str:
        if operation not in self._names and len(self._names) >= MAX_OPERATIONS:
            return "other"
        self._names.add(operation)
        return operation

    def sample(self) -> None:
        """Looks the gauges up."""
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
