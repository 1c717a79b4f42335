"""Fail-over step by step, on a shard of two replicas; and without each protection, when it must go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.batch_insert import Outcome, insert_batch
from rollups.delivery.markers import Markers
from rollups.delivery.replica import QUORUM, NotTheIngestReplica, Replica, sync_replica
from rollups.failover import TABLES, Failover, FailoverRefused, rejoin
from rollups.transform.timezones import TimeZones
from tests.faults.clusters import is_usable, wait_until
from tests.faults.conftest import Record
from tests.faults.test_protocol import claim
from tests.faults.views import SLOW, changed_view
from tests.support.clickhouse_cluster import Cluster, Node
from tests.unit.rollups.delivery.test_batch_insert import SOURCE, table, total

COMMIT_IS_UNCERTAIN = (
    "replicated_merge_tree_commit_zk_fail_after_op",
    "replicated_merge_tree_commit_zk_fail_when_recovering_from_hw_fault",
)


@dataclass
class Shard:
    a: Node
    b: Node
    on_a: ClickHouse
    on_b: ClickHouse
    zones: TimeZones

    def insert(self, db: ClickHouse, epoch: int, start: int, count: int = 20, links: int = 1) -> Outcome:
        return insert_batch(db, SOURCE, [0], table(self.zones, epoch, start, count, links=links))[0]

    def counted(self, db: ClickHouse, count: int = 20) -> int:
        """Claims on the server and counts some more records; returns the watermark."""
        epoch, start, ours = claim(db)
        assert ours
        assert self.insert(db, epoch, start, count) is Outcome.APPLIED
        return start + count

    def gone(self, node: Node) -> None:
        """Returns once Keeper knows that the server is gone."""
        other = self.on_b if node is self.a else self.on_a
        path = {"path": f"/clickhouse/tables/clickmill/rollup/{node.shard}/replicas/{node.replica}"}
        alive = "SELECT count() FROM system.zookeeper WHERE path = {path:String} AND name = 'is_active'"
        wait_until(lambda: other.query(alive, path) == [(0,)])

    def check(self, watermark: int) -> None:
        """Both replicas have counted each record below the watermark once."""
        for db in (self.on_a, self.on_b):
            sync_replica(db, "rollup")
            assert (total(db), Markers(db, SOURCE).read()[0].next) == (watermark, watermark)


@pytest.fixture
def shard(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shard]:
    monkeypatch.setitem(QUORUM, "insert_quorum_timeout", 1500)
    a, b = cluster.nodes[:2]
    with closing(ClickHouse(a.url)) as on_a, closing(ClickHouse(b.url)) as on_b:
        yield Shard(a, b, on_a, on_b, TimeZones.from_database(on_a))


def test_an_insert_is_one_part_on_both_replicas(shard: Shard, record: Record) -> None:
    for db in (shard.on_a, shard.on_b):
        db.command("SYSTEM STOP MERGES rollup")
    parts = "SELECT name FROM system.parts WHERE database = 'clickmill' AND table = 'rollup' AND active ORDER BY name"
    epoch, _, _ = claim(shard.on_a)
    for number in range(5):
        before = shard.on_a.query(parts)
        assert shard.insert(shard.on_a, epoch, number * 5000, 5000, links=3000) is Outcome.APPLIED
        assert shard.on_b.query(parts) == shard.on_a.query(parts), "acknowledged before the second replica had it"
        assert len(shard.on_a.query(parts)) == len(before) + 1
    for db in (shard.on_a, shard.on_b):
        db.command("SYSTEM START MERGES rollup")
    shard.check(25_000)
    record("cluster: one part an insert, on both replicas when it is acknowledged", 5)


def test_a_claim_on_a_replicated_table_ends_inserts_or_sees_them(shard: Shard, record: Record) -> None:
    watermark, times = 0, 5
    with changed_view(shard.on_a, SLOW), ThreadPoolExecutor(1) as threads:
        for number in range(times):
            epoch, start, _ = claim(shard.on_a)
            late = threads.submit(shard.insert, shard.on_a, epoch, start)
            time.sleep(0.15 * number)
            watermark = shard.counted(shard.on_a)
            assert late.result() in (
                (Outcome.APPLIED,) if watermark > start + 20 else (Outcome.FENCED, Outcome.UNKNOWN)
            )
    shard.check(watermark)
    record("cluster: a zombie's insert in flight while its successor claims", times)


@pytest.mark.parametrize("killed", [False, True])
def test_an_insert_that_lost_keeper_while_it_committed_counts_once_unless_it_is_killed(
    shard: Shard, killed: bool, record: Record
) -> None:
    """Keeper has committed it and the other replica has it, but its server does not know and asks again and again."""
    epoch, _, _ = claim(shard.on_a)
    hasty = ClickHouse(shard.a.url, timeout=5)
    hasty.insert_settings = shard.on_a.insert_settings
    for failpoint in COMMIT_IS_UNCERTAIN:
        shard.on_a.command(f"SYSTEM ENABLE FAILPOINT {failpoint}")
    assert shard.insert(hasty, epoch, 0) is Outcome.UNKNOWN
    assert (total(shard.on_a), total(shard.on_b)) == (0, 20)
    if killed:
        shard.on_a.command("KILL QUERY WHERE startsWith(Settings['log_comment'], 'clickmill insert') SYNC")
    for failpoint in COMMIT_IS_UNCERTAIN:
        shard.on_a.command(f"SYSTEM DISABLE FAILPOINT {failpoint}")
    watermark = shard.counted(shard.on_a)
    hasty.close()
    if not killed:
        assert watermark == 40
        shard.check(40)
        record("cluster: Keeper lost during a commit", 1)
        return
    assert (watermark, total(shard.on_a), total(shard.on_b)) == (20, 20, 40)
    record("cluster, control: killed instead of waited for, counts must be wrong", 1)


def test_an_old_replica_that_lives_is_not_replaced_and_a_dead_one_is(shard: Shard, record: Record) -> None:
    shard.counted(shard.on_a)
    with pytest.raises(FailoverRefused, match="connected to Keeper and could go on counting"):
        Failover(shard.on_b, "a").check()
    with pytest.raises(FailoverRefused, match="CLICKMILL_CLICKHOUSE_URL names the one that takes over"):
        Failover(shard.on_a, "a").check()
    with pytest.raises(NotTheIngestReplica, match="is counted on replica a"):
        claim(shard.on_b)
    shard.a.server.kill()
    shard.gone(shard.a)
    failover(shard.on_b, "a")
    assert shard.counted(shard.on_b) == 40
    shard.a.server.start()
    wait_until(lambda: shard.on_a.query("SELECT 1") == [(1,)])
    with pytest.raises(ClickHouseError, match="not connected to Keeper"):
        claim(shard.on_a)  # a worker that nobody has told
    assert rejoin(shard.on_a, print) == list(TABLES)
    assert rejoin(shard.on_a, print) == []
    with pytest.raises(NotTheIngestReplica, match="is counted on replica b"):
        claim(shard.on_a)
    assert shard.counted(shard.on_b) == 60
    shard.check(60)
    failover_back(shard)
    assert shard.counted(shard.on_a) == 80
    record("cluster: fail-over to the other replica, and back", 2)


def test_without_its_standby_a_replica_counts_nothing_until_that_is_dropped(shard: Shard, record: Record) -> None:
    epoch, _, _ = claim(shard.on_a)
    shard.b.server.kill()
    shard.gone(shard.b)
    assert shard.insert(shard.on_a, epoch, 0) is Outcome.UNKNOWN, "the content is not the cause: no dead letters"
    with pytest.raises(ClickHouseError, match="TOO_FEW_LIVE_REPLICAS"):
        claim(shard.on_a)
    failover(shard.on_a, "b")
    assert shard.counted(shard.on_a) == 20
    shard.b.server.start()
    wait_until(lambda: bool(rejoin(shard.on_b, print)))
    shard.check(20)
    record("cluster: the standby dies and is dropped", 1)


def failover(db: ClickHouse, old: str) -> None:
    step = Failover(db, old, wait_seconds=20)
    step.check()
    step.run()


def failover_back(shard: Shard) -> None:
    shard.b.server.kill()
    shard.gone(shard.b)
    failover(shard.on_a, "b")


def unreplicated_batch(shard: Shard) -> tuple[int, Outcome]:
    """20 records are on both replicas, 20 more on `a` alone, which is dead; returns the second outcome."""
    epoch, _, _ = claim(shard.on_a)
    assert shard.insert(shard.on_a, epoch, 0) is Outcome.APPLIED
    sync_replica(shard.on_b, "rollup")
    shard.a.cut()
    outcome = shard.insert(shard.on_a, epoch, 20)
    shard.a.server.kill()
    shard.a.mend()
    shard.gone(shard.a)
    return epoch, outcome


def test_a_batch_that_only_the_dead_replica_has_counts_once(shard: Shard, record: Record) -> None:
    _, outcome = unreplicated_batch(shard)
    assert outcome is Outcome.UNKNOWN
    failover(shard.on_b, "a")
    assert shard.counted(shard.on_b, 30) == 50, "the batch is read again"
    shard.a.server.start()
    wait_until(lambda: bool(rejoin(shard.on_a, print)))
    shard.check(50)
    record("cluster: a batch that only the dead replica had", 1)


def test_without_the_quorum_acknowledged_clicks_are_on_the_dead_replica_alone(
    shard: Shard, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    monkeypatch.setattr(Replica, "refresh", lambda _: None)
    _, outcome = unreplicated_batch(shard)
    assert outcome is Outcome.APPLIED
    with pytest.raises(FailoverRefused, match="parts of rollup are on no server that runs"):
        Failover(shard.on_b, "a", wait_seconds=2).check()
    record("cluster, control: the quorum taken out, a fail-over is refused", 1)


def test_without_sync_and_drop_what_comes_back_counts_twice(
    shard: Shard, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    """As by hand: the workers are pointed at the other replica, and nothing else is done."""
    monkeypatch.setattr(Replica, "refresh", lambda _: None)
    monkeypatch.setattr(Replica, "settle", lambda _: None)
    unreplicated_batch(shard)
    assert shard.counted(shard.on_b) == 40
    shard.a.server.start()
    wait_until(lambda: is_usable(shard.b))
    sync_replica(shard.on_b, "rollup")
    assert (total(shard.on_b), Markers(shard.on_b, SOURCE).read()[0].next) == (60, 40)
    record("cluster, control: sync and drop taken out, counts must be wrong", 1)


@pytest.mark.parametrize("dropped", [True, False])
def test_a_zombie_on_the_old_replica_counts_nothing_because_that_was_dropped(
    shard: Shard, dropped: bool, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old server was only frozen. It wakes, does not know what was counted since, and a worker goes on there."""
    zombie, _, _ = claim(shard.on_a)
    assert shard.insert(shard.on_a, zombie, 0) is Outcome.APPLIED
    shard.a.freeze()
    shard.gone(shard.a)
    if dropped:
        failover(shard.on_b, "a")
    else:
        monkeypatch.setattr(Replica, "refresh", lambda _: None)
    shard.on_b.insert_settings = {}
    assert shard.counted(shard.on_b) == 40
    shard.b.cut()  # the other cannot catch up
    shard.a.thaw()
    if dropped:
        for _ in range(20):
            assert shard.insert(shard.on_a, zombie, 20) is Outcome.UNKNOWN
            time.sleep(0.2)
        shard.b.mend()
        wait_until(lambda: bool(rejoin(shard.on_a, print)))
        shard.check(40)
        record("cluster: a zombie on the old replica, frozen during the fail-over", 20)
        return
    wait_until(lambda: is_usable(shard.b))
    wait_until(lambda: shard.insert(shard.on_a, zombie, 20) is Outcome.APPLIED)
    shard.b.mend()
    sync_replica(shard.on_a, "rollup")
    assert (total(shard.on_a), Markers(shard.on_a, SOURCE).read()[0].next) == (60, 40)
    record("cluster, control: the drop taken out, counts must be wrong", 1)
