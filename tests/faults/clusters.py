"""The cluster of the tests, migrated once for a module, whole and empty at the start of each test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.replica import replica_state
from rollups.failover import TABLES, rejoin
from rollups.migrations.cluster import migrate_cluster
from tests.support.clickhouse_cluster import NAME, Cluster, Node, missing_reason, running_cluster
from tests.support.kafka_broker import require

SETTLE_SECONDS = 60.0


@pytest.fixture(scope="module")  # four servers and ZooKeeper slow all that runs beside them
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require(missing_reason())
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        with closing(ClickHouse(cluster.nodes[-1].url)) as db:  # any node will do
            assert migrate_cluster(db, NAME) == len(cluster.nodes)
        yield cluster


@pytest.fixture
def cluster(migrated: Cluster) -> Iterator[Cluster]:
    yield migrated
    mend(migrated)
    for node in migrated.nodes:
        with closing(ClickHouse(node.url)) as db:
            for table in TABLES:
                db.command(f"TRUNCATE TABLE {table}")


def mend(cluster: Cluster) -> None:
    """Everything runs, is connected, and is a replica."""
    if cluster.zookeeper.process is None:
        cluster.zookeeper.start()
    for node in cluster.nodes:
        node.mend()
        node.zookeeper_link.mend()
        if node.server.process is None:
            node.server.start()
        node.thaw()
    for node in cluster.nodes:
        wait_until(lambda node=node: not is_expired(node))  # type: ignore[misc]
        with closing(ClickHouse(node.url)) as db:
            rejoin(db, print)
    for node in cluster.nodes:
        wait_until(lambda node=node: is_usable(node))  # type: ignore[misc]


def is_expired(node: Node) -> bool:
    with closing(ClickHouse(node.url)) as db:
        return db.query("SELECT count() FROM system.replicas WHERE is_session_expired") != [(0,)]


def is_usable(node: Node) -> bool:
    """Whether the server takes inserts and Keeper knows two replicas of its shard, both connected."""
    with closing(ClickHouse(node.url)) as db:
        states = [replica_state(db, table) for table in TABLES]
    return all(state and state.usable and [*state.active.values()] == [1, 1] for state in states)


def wait_until(condition: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except ClickHouseError as error:
            print(error)
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)
