"""What a server measures of itself, for Prometheus: requests, batches, the queue, swaps and shadows."""

from __future__ import annotations

from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServiceMetrics:
    """Counters of one service; those of all replicas are added up where they share a folder."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        # Whether replicas share a folder is seen by prometheus_client when it is imported.
        self._shared = values.ValueClass is not values.MutexValue
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "lrat_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "lrat_request_seconds", "Seconds until a request was answered.", ["route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.batch_queries = Histogram(
            "lrat_batch_queries", "Queries that were searched together.", buckets=_SIZES, registry=registry
        )
        self.batch_requests = Histogram(
            "lrat_batch_requests", "Requests that were searched together.", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "lrat_batch_seconds", "Seconds that a batch was searched.", buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("lrat_queue_queries", "Queries that wait.", registry=registry, multiprocess_mode="livesum")
        self.overloads = Counter("lrat_overloads", "Requests refused because the queue was full.", registry=registry)
        self.shard_seconds = Histogram(
            "lrat_shard_seconds", "Seconds until a shard answered or failed.", ["shard"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.shard_failures = Counter("lrat_shard_failures", "Questions that a shard did not answer.", ["shard"],
                                      registry=registry)  # fmt: skip
        self.swaps = Counter("lrat_swaps", "Retrievers swapped, by outcome.", ["outcome"], registry=registry)
        self.shadows = Counter("lrat_shadow_queries", "Queries a shadow was given, by outcome.", ["outcome"],
                               registry=registry)  # fmt: skip
        self.overlap = Histogram(
            "lrat_shadow_overlap", "Share of a list's documents that the shadow lists, too.",
            buckets=[tenth / 10 for tenth in range(11)], registry=registry,
        )  # fmt: skip

    @cache  # noqa: B019  (it lives as long as the process; what is looked up for each request costs as much as counting)
    def _of_route(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(route, str(status)), self.seconds.labels(route)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        requests, histogram = self._of_route(route, status)
        requests.inc()
        histogram.observe(seconds)

    def queued(self, queries: int) -> None:
        """See `BatchObserver`."""
        self.queue.set(queries)

    def refused(self) -> None:
        """See `BatchObserver`."""
        self.overloads.inc()

    def searched(self, queries: int, requests: int, seconds: float) -> None:
        """See `BatchObserver`."""
        self.batch_queries.observe(queries)
        self.batch_requests.observe(requests)
        self.batch_seconds.observe(seconds)

    def shard_answered(self, shard: int, seconds: float, answered: bool) -> None:
        """A shard has answered, or failed to."""
        self.shard_seconds.labels(str(shard)).observe(seconds)
        self.shard_failures.labels(str(shard)).inc(not answered)

    def exposition(self) -> bytes:
        """All numbers in Prometheus's text format."""
        if not self._shared:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
