"""The metrics for Prometheus: requests, durations, errors, documents and queues.

Clients choose the names of operations. To limit the number of time series, only the first hundred
names become labels, and the others are counted as `other`.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from regulars import __version__
from regulars.store.statement_times import BOUNDS, statement_times
from regulars.versions import commit

MAX_OPERATIONS = 100
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


# The names until version 0.1, by the present ones. They are served for one version.
_OLD_NAMES = {
    "regulars_build_info": "regulars_build",
    "regulars_database_connections_idle": "regulars_connections_free",
    "regulars_database_connections_in_use": "regulars_connections_used",
    "regulars_documents_cached": "regulars_documents_kept",
    "regulars_documents_cached_bytes": "regulars_documents_kept_bytes",
    "regulars_replicas_usable": "regulars_replicas_used",
    "regulars_request_duration_seconds": "regulars_request_seconds",
    "regulars_requests_forwarded": "regulars_requests_passed_on",
    "regulars_slow_connections_closed": "regulars_connections_cut_off",
}


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
            "Number of GraphQL requests, by operation, kind and HTTP status.",
            ("operation", "kind", "status"),
            registry=registry,
        )
        self._seconds = _BatchHistogram(
            "regulars_request_duration_seconds",
            "Duration of GraphQL requests in seconds.",
            ("kind",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "regulars_errors", "Errors in responses, by key.", ("key",), registry=registry
        )
        self._documents = Counter(
            "regulars_documents",
            "GraphQL documents, by whether they were in the cache (hit) or were parsed (miss).",
            ("result",),
            registry=registry,
        )
        self._forwarded = Counter(
            "regulars_requests_forwarded",
            "GraphQL requests that were forwarded to the bulkhead's process.",
            registry=registry,
        )
        self._attempts = Counter(
            "regulars_webhook_attempts",
            "Attempts to send an event to a webhook, by result: delivered (status 2xx) or failed.",
            ("result",),
            registry=registry,
        )
        self._statement_seconds = _BatchHistogram(
            "regulars_database_duration_seconds",
            "How long statements took in the database.",
            buckets=BOUNDS,
            registry=registry,
        )
        self._counters: list[tuple[Counter, Callable[[], int], list[int]]] = []
        self._gauges: list[tuple[Gauge, Callable[[], float | None]]] = []
        # The library takes a lock for each count, so `sample` passes the sums to it.
        self._counts: dict[tuple[str, str, int], int] = {}
        self._hits = self._misses = 0
        # By kind: the requests in each bucket, and the sum of their seconds.
        self._durations: dict[str, tuple[list[int], list[float]]] = {}
        self._names: set[str] = set()
        build = Gauge(
            "regulars_build_info",
            "The version and the commit of the program; the value is always 1.",
            ("version", "commit"),
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(__version__, commit()).set(1)
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def add_gauge(
        self, name: str, description: str, value: Callable[[], float | None], is_summed: bool = True
    ) -> None:
        """Adds a gauge. `value` is called in each `sample`; None leaves the gauge as it is. The
        values of all running processes are added up, or, without `is_summed`, the newest value of
        a process counts."""
        mode: Literal["livesum", "mostrecent"] = "livesum" if is_summed else "mostrecent"
        gauge = Gauge(name, description, registry=self._registry, multiprocess_mode=mode)
        self._gauges.append((gauge, value))

    def add_counter(self, name: str, description: str, value: Callable[[], int]) -> None:
        """Adds a counter. `value` is called in each `sample`, and never decreases."""
        counter = Counter(name, description, registry=self._registry)
        self._counters.append((counter, value, [0]))

    def count_requests(self, records: Iterable[RequestOutcome]) -> None:
        """Counts requests, their durations, and the errors in their responses."""
        for record in records:
            labels = (self._operation_label(record.operation), record.kind, record.status)
            self._counts[labels] = self._counts.get(labels, 0) + 1
            durations = self._durations.get(record.kind)
            if durations is None:
                durations = self._durations[record.kind] = [0] * (len(_BUCKETS) + 1), [0.0]
            durations[0][bisect_left(_BUCKETS, record.seconds)] += 1
            durations[1][0] += record.seconds
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
        for kind, (counts, (seconds,)) in self._durations.items():
            self._seconds.labels(kind).add(counts, seconds)
        self._durations.clear()
        self._documents.labels("hit").inc(self._hits)
        self._documents.labels("miss").inc(self._misses)
        self._hits = self._misses = 0
        self._statement_seconds.add(*statement_times.take())
        for counter, count_of, last in self._counters:
            total = count_of()
            counter.inc(total - last[0])
            last[0] = total
        for gauge, value_of in self._gauges:
            value = value_of()
            if value is not None:
                gauge.set(value)

    def text(self) -> bytes:
        """Returns the metrics of all processes of this server, in Prometheus's text format."""
        self.sample()
        if MULTIPROCESS not in os.environ:
            return generate_latest(_WithOldNames(self._registry))
        _forget_ended_processes(Path(os.environ[MULTIPROCESS]))
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes)  # type: ignore[no-untyped-call]  # the library's own
        return generate_latest(_WithOldNames(all_processes))


def _forget_ended_processes(folder: Path) -> None:
    """Removes the gauges of processes that have ended, which would be added up with the others'."""
    for path in folder.glob("gauge_livesum_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except PermissionError:
            pass  # a process of another user has the number now
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library's own


class _BatchHistogram(Histogram):
    """A histogram to which many observations are added at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Adds the number of observations in each bucket, and the sum of their values."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class _WithOldNames(CollectorRegistry):
    """The metrics of a registry, and those that have a new name with their old one, too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._source = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            yield metric
            old_name = _OLD_NAMES.get(metric.name)
            if old_name is not None:
                # It was a gauge, whose name has no suffix.
                is_gauge = metric.name == "regulars_slow_connections_closed"
                kind = "gauge" if is_gauge else metric.type
                text = f"Old name of {metric.name}, until the next version."
                old = Metric(old_name, text, kind)
                for sample in metric.samples:
                    suffix = sample.name.removeprefix(metric.name)
                    labels = {n: v for n, v in sample.labels.items() if n != "commit"}
                    name = old_name + ("" if is_gauge else suffix)
                    old.add_sample(name, labels, sample.value)
                yield old
