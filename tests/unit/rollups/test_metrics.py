"""The Prometheus metrics of a worker."""

from __future__ import annotations

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from rollups.clickhouse import ClickHouse
from rollups.metrics import exposition, worker_registry
from rollups.model import State
from rollups.settings import Settings
from rollups.worker import Worker


class AtWork(Worker):
    last_lag = 12

    def states(self) -> Counter[State]:
        return Counter({State.READY: 11, State.HALTED: 1})

    def troubled(self) -> dict[int, str]:
        return {3: "the log has lost its head"}

    def remembered(self) -> tuple[int, int]:
        return 1000, 20_000


def samples(worker: Worker) -> dict[tuple[str, ...], float]:
    text, content_type = exposition(worker_registry(worker))
    assert content_type.startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_states_outcomes_and_reasons_are_told(db: ClickHouse) -> None:
    worker = AtWork(Settings(), db)
    worker.stats.events.update(counted=5, duplicate=2)
    worker.stats.inserts.update(applied=3, fenced=1)
    found = samples(worker)
    assert found["clickmill_events_total", "duplicate"] == 2
    assert found["clickmill_troubled_partitions",] == 1
    assert found["clickmill_inserts_total", "fenced"] == 1
    assert found["clickmill_partitions", "halted"] == 1
    assert found["clickmill_partitions", "claiming"] == 0
    assert found["clickmill_lag_records",] == 12
    assert found["clickmill_remembered_keys",] == 1000


def test_a_worker_without_a_session_has_no_lag(db: ClickHouse) -> None:
    found = samples(Worker(Settings(), db))
    assert ("clickmill_lag_records",) not in found
    assert found["clickmill_partitions", "ready"] == 0
