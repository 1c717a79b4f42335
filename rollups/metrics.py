"""Prometheus metrics of a worker: states, outcomes, reasons, lag and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from rollups.model import State

if TYPE_CHECKING:  # the API has metrics too and must not load a worker
    from rollups.worker import Worker


class WorkerCollector(Collector):
    """Reads the plain numbers of the worker at each scrape."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        stats = self._worker.stats
        yield _counter("clickmill_events", "Clicks applied, by what became of them", "reason", stats.events)
        yield _counter("clickmill_inserts", "Inserts, by outcome", "outcome", stats.inserts)
        yield CounterMetricFamily(
            "clickmill_unverified", "Clicks counted that may repeat one before the horizon", value=stats.unverified
        )
        yield CounterMetricFamily("clickmill_claims", "Partitions claimed", value=stats.claims)
        partitions = GaugeMetricFamily(
            "clickmill_partitions", "Assigned partitions, by state of their claim", labels=["state"]
        )
        for state in State:
            partitions.add_metric([state.value], self._worker.states()[state])
        yield partitions
        yield GaugeMetricFamily(
            "clickmill_troubled_partitions",
            "Assigned partitions that are not counted: halted, failing again and again, or late",
            value=len(self._worker.troubled()),
        )
        yield GaugeMetricFamily(
            "clickmill_lag_seconds",
            "Age of the oldest record in the log that is not applied yet, at least",
            value=self._worker.late_seconds,
        )
        if (lag := self._worker.last_lag) is not None:
            yield GaugeMetricFamily("clickmill_lag_records", "Records in the log that are not applied yet", value=lag)
        keys, size = self._worker.remembered()
        yield GaugeMetricFamily("clickmill_remembered_keys", "Event ids and repeats in memory", value=keys)
        yield GaugeMetricFamily("clickmill_remembered_bytes", "Memory that they take, in bytes", value=size)


def worker_registry(worker: Worker) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(WorkerCollector(worker))
    return registry


def exposition(*registries: CollectorRegistry) -> tuple[bytes, str]:
    """The text for a scrape, and its content type. No two registries may share a metric."""
    return b"".join(generate_latest(registry) for registry in registries), CONTENT_TYPE_LATEST


def _counter(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
