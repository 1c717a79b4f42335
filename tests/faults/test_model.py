"""Random schedules of two workers against a model of the log: claim, fetch, insert, crash, come back as a zombie."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from deploy.settings import Settings
from rollups.audit import audit
from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import Outcome, insert_batch
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers
from rollups.model import FetchPosition, Lease, State
from rollups.transform.batch_transformer import PreparedBatch
from tests.faults.conftest import Record
from tests.faults.processes import LONG
from tests.faults.world import differences, served_counts, truth
from tests.support.clickhouse_server import BOTH_ENGINES
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, Harness

WORKERS = st.sampled_from([0, 1])


class Schedules(RuleBasedStateMachine):
    db: ClickHouse  # set by the test

    def __init__(self) -> None:
        super().__init__()
        for table in ("rollup", "seen"):
            self.db.command(f"TRUNCATE TABLE {table}")
        self.log = MemoryLog({0: []})
        self.workers = [self.fresh(), self.fresh()]
        self.held: list[list[PreparedBatch]] = [[], []]  # prepared; the next one while the first is inserted

    def fresh(self) -> Harness:
        return Harness(self.db, self.log, Settings(batch_linger_ms=0))

    @rule(events=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=6))
    def append(self, events: list[tuple[int, int, int]]) -> None:
        for event, visitor, second in events:
            self.log.append(0, click(event, visitor, second))

    @rule(number=WORKERS)
    def claim(self, number: int) -> None:
        worker, fences = self.workers[number], Fences(self.db, SOURCE)
        epoch = fences.raise_fences([0])[0]
        fences.end_inflight_inserts([0])
        start = Markers(self.db, SOURCE).read()[0].next
        lease = Lease(0, State.READY, epoch, start, start, FetchPosition(start))
        worker.leases.held = {0: lease}
        worker.pipeline.load_dedupe_state(lease)
        self.held[number] = []

    @rule(number=WORKERS, most=st.integers(1, 8))
    @precondition(lambda self: any(worker.leases.held for worker in self.workers))
    def fetch(self, number: int, most: int) -> None:
        """Fetches a batch and notes its keys; later steps insert or drop it."""
        worker, lease = self.workers[number], self.workers[number].leases.held.get(0)
        if lease is None or lease.position is None or len(self.held[number]) == 2:
            return
        if lease.position.offset >= self.log.end(0):
            return
        [batch] = worker.transformer.transform([(lease, self.log.fetch(lease, most))]).prepared
        worker.seen.write([(0, batch.fetched.end, batch.seen)])
        self.held[number].append(batch)

    @rule(number=WORKERS, answered=st.booleans())
    def insert(self, number: int, answered: bool) -> None:
        """After a failed insert and after a lost response alike, the worker claims again."""
        worker = self.workers[number]
        if not self.held[number]:
            return
        batch = self.held[number].pop(0)
        outcome, _ = insert_batch(self.db, SOURCE, [0], batch.table)
        if outcome is Outcome.APPLIED and answered:
            batch.lease.next = batch.fetched.end
        else:
            worker.leases.held, self.held[number] = {}, []

    @rule(number=WORKERS)
    def crash(self, number: int) -> None:
        self.workers[number], self.held[number] = self.fresh(), []

    @rule()
    def check(self) -> None:
        watermark = Markers(self.db, SOURCE).read()
        upto = {0: watermark[0].next if 0 in watermark else 0}
        assert differences(truth(self.log, upto), served_counts(self.db)) == []
        assert audit(self.db).problems == []

    teardown = check


def click(event: int, visitor: int, second: int) -> dict[str, Any]:
    return {
        "event_id": f"e{event}-{visitor}",
        "clicked_at": LOG_TIME_MS + second * 1000,
        "visitor_id": f"v{visitor}",
        **{"account_id": 1, "domain": "d.e", "link_id": "a"},
        **{"publisher_id": 1, "advertiser_id": 2, "network_id": 3},
    }


@BOTH_ENGINES
def test_random_schedules_count_what_the_model_counts(db: ClickHouse, record: Record) -> None:
    Schedules.db = db
    examples = 150 if LONG else 20
    run_state_machine_as_test(
        Schedules,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record("random schedules of claim, fetch, insert, lost answer, crash, zombie", examples)
