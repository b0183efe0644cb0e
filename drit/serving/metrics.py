"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from drit.serving.contents import Contents

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_OUTPUTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one application."""

    def __init__(self, contents: Contents) -> None:
        self.taken = 0  # requests that are worked on or wait
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "drit_requests", "requests by route and status", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "drit_request_seconds", "seconds to an answer", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._batches = Histogram(
            "drit_batch_outputs", "outputs rendered at once", buckets=_OUTPUTS, registry=self._registry
        )
        worker = Gauge("drit_worker", "1, for the process that answers", ["pid"], registry=self._registry)
        worker.labels(str(os.getpid())).set(1)
        self._registry.register(_Levels(self, contents))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rendered(self, outputs: int) -> None:
        """Count a batch."""
        self._batches.observe(outputs)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)


class _Levels(Collector):
    """What has a level rather than a count, asked for when it is read."""

    def __init__(self, metrics: Metrics, contents: Contents) -> None:
        self._metrics = metrics
        self._contents = contents

    def collect(self) -> list[GaugeMetricFamily]:
        contents = self._contents
        levels = {
            "drit_requests_taken": ("requests that are worked on or wait", self._metrics.taken),
            "drit_cache_bytes": ("bytes of encoded images that are kept", contents.bytes),
            "drit_cache_images": ("encoded images that are kept", len(contents)),
            "drit_cache_hits": ("requests whose image was encoded already", contents.hits),
            "drit_cache_misses": ("requests whose image was not", contents.misses),
        }
        return [GaugeMetricFamily(name, text, value=float(value)) for name, (text, value) in levels.items()]
