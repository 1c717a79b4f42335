"""Random kill -9 of workers, replicas and ZooKeeper, links cut, and fail-overs, on two shards at once."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from api.query.executor import read_limits
from api.settings import Settings
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.replica import sync_replica
from tests.faults.clusters import mend, wait_until
from tests.faults.conftest import Record
from tests.faults.processes import LONG, Program
from tests.faults.shard_program import PARTITIONS
from tests.faults.world import World, differences, served_counts, truth
from tests.support.clickhouse_cluster import Cluster, Node
from tests.support.stack import CLICKMILL

CLICKS = 40_000
TIMES = {
    "kill -9 of a worker": 11,
    "kill -9 of the replica that takes the inserts": 6,
    "kill -9 of the standby": 5,
    "kill -9 of ZooKeeper": 3,
    "the replica that takes the inserts is cut off from ZooKeeper": 2,
    "the link between the replicas is cut": 2,
    "kill -9, fail-over, and back as a standby": 3,
}


class ShardUnderFire:
    def __init__(self, cluster: Cluster, nodes: list[Node], seed: int, log: Path) -> None:
        self.cluster, self.seed, self.log = cluster, seed, log
        self.taking, self.standby = nodes
        self.dice = random.Random()
        self.done: Counter[str] = Counter()
        self.start()

    def start(self, *options: str) -> None:
        self.program = Program(self.taking.url, self.seed, CLICKS, *options, log=self.log, module="shard_program")

    def run(self) -> None:
        faults = [fault for fault, times in TIMES.items() for _ in range(times * (10 if LONG else 1))]
        self.dice.shuffle(faults)
        for fault in faults:
            self.nap(0.8)
            assert self.program.child.poll() is None, f"it has ended:\n{self.log.read_text()[-3000:]}"
            getattr(self, METHODS[fault])()
            self.done[fault] += 1

    def nap(self, seconds: float) -> None:
        time.sleep(self.dice.random() * seconds)

    def kill_worker(self) -> None:
        self.program.said("claimed")
        self.nap(0.8)
        self.program.kill()
        self.start()

    def kill_taking(self) -> None:
        self.taking.server.kill()
        self.taking.server.start()

    def kill_standby(self) -> None:
        self.standby.server.kill()
        self.nap(1)
        self.standby.server.start()

    def kill_zookeeper(self) -> None:
        with _one_at_a_time:
            self.cluster.zookeeper.kill()
            self.nap(2)
            self.cluster.zookeeper.start()

    def cut_zookeeper(self) -> None:
        self.taking.zookeeper_link.cut()
        self.nap(5)  # the session may time out, or not
        self.taking.zookeeper_link.mend()

    def cut_replicas(self) -> None:
        self.taking.cut()
        self.nap(3)
        self.taking.mend()

    def fail_over(self) -> None:
        zombie, old, new = self.program, self.taking, self.standby
        old.server.kill()
        self.nap(1)
        clickmill(new.url, "failover", old.replica, "--yes")
        self.taking, self.standby = new, old
        self.start()
        old.server.start()
        self.nap(2)
        clickmill(old.url, "rejoin")
        self.nap(1)
        assert zombie.child.poll() is None, "a worker that nobody has told does not end"
        zombie.kill()

    def finish(self) -> None:
        self.program.kill()
        self.start("--most", "100000")
        self.program.ended()


METHODS = dict(
    zip(
        TIMES,
        ["kill_worker", "kill_taking", "kill_standby", "kill_zookeeper", "cut_zookeeper", "cut_replicas", "fail_over"],
        strict=True,
    )
)
_one_at_a_time = threading.Lock()


def clickmill(url: str, *arguments: str) -> None:
    """Runs the command until it succeeds: Keeper has to notice that a server is gone, or is away itself."""
    output = ""

    def succeeds() -> bool:
        nonlocal output
        environment = {**os.environ, "CLICKMILL_CLICKHOUSE_URL": url}
        done = subprocess.run([CLICKMILL, *arguments], env=environment, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert done.returncode in (0, 1), output
        return done.returncode == 0

    try:
        wait_until(succeeds, 90)
    except AssertionError as error:
        raise AssertionError(output) from error


def readers(cluster: Cluster, world: World, stop: threading.Event) -> int:
    """Reads as the API does, from each server in turn: what is said to be counted is. Returns how often."""
    times = sorted(record.timestamp for records in world.log.partitions.values() for record in records)
    answers = 0
    while not stop.is_set():
        for node in cluster.nodes:
            time.sleep(0.05)
            try:
                as_of, partitions, events = counted(node)
            except ClickHouseError:
                continue
            if partitions == PARTITIONS:
                due = sum(at <= as_of for at in times)
                assert events >= due, f"{events} records are counted up to {as_of}, the log has {due}"
                answers += 1
    return answers


def counted(node: Node) -> tuple[int, int, int]:
    """(milliseconds up to which everything is counted, partitions, records), as the API reads them."""
    settings = read_limits(Settings())
    with closing(ClickHouse(node.database("clickmill_api"), timeout=10, settings=settings)) as db:
        [(as_of, partitions)] = db.query("SELECT toUnixTimestamp64Milli(min(as_of)), count() FROM watermarks")
        [(events,)] = db.query("SELECT sum(events) FROM ledger")
    return as_of, partitions, events


def test_random_kills_on_two_shards(cluster: Cluster, tmp_path: Path, record: Record) -> None:
    seed, stop = random.randrange(10_000), threading.Event()
    print("seed", seed)
    world = World(seed, PARTITIONS, CLICKS)
    shards = [ShardUnderFire(cluster, cluster.nodes[at : at + 2], seed, tmp_path / f"log{at}") for at in (0, 2)]
    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(readers, cluster, world, stop)
        try:
            for running in [threads.submit(shard.run) for shard in shards]:
                running.result()
        finally:
            stop.set()
        answers = reading.result()
    mend(cluster)
    for shard in shards:
        shard.finish()
    check_everything(cluster, world)
    record("cluster: reads under fire: everything up to the said time is there", answers)
    for fault in TIMES:
        record(f"cluster: {fault}", sum(shard.done[fault] for shard in shards))


def check_everything(cluster: Cluster, world: World) -> None:
    """Every node serves every number right, and the replicas of a shard have the same."""
    for node in cluster.nodes:
        with closing(ClickHouse(node.url)) as db:
            sync_replica(db, "rollup")
    for first in (0, 2):
        counts = []
        for node in cluster.nodes[first : first + 2]:
            with closing(ClickHouse(node.url)) as db:
                counts.append(served_counts(db))
        assert counts[0] == counts[1]
    expected = truth(world.log)
    for node in cluster.nodes:
        with closing(ClickHouse(node.database("clickmill_api"))) as db:
            assert differences(expected, served_counts(db)) == []
