"""The processes over two shards: migrate, collector, workers, API; a fail-over under load by the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.query.executor import read_limits
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from rollups.delivery.replica import NotTheIngestReplica, Replica
from rollups.delivery.shard import Shard, shard_of
from tests.faults.clusters import wait_until
from tests.faults.conftest import Record
from tests.faults.test_cluster_kills import clickmill
from tests.support import free_port
from tests.support.clickhouse_cluster import NAME, Cluster, Node
from tests.support.kafka_broker import KafkaBroker
from tests.support.stack import ADMIN_KEY, LIMITLESS, Process, Stack

NOON_MS = 1_767_268_800_000
DAY = datetime.fromtimestamp(NOON_MS / 1000, UTC).date().isoformat()
BATCHES, EVENTS = 6, 500


class Pipeline(Stack):
    """Workers are started by shard, on a node."""

    def start_worker(self, name: str, node: Node) -> str:
        port = free_port()
        environment = {**self.environment, "CLICKMILL_CLICKHOUSE_URL": node.url}
        log_file = self.directory / f"{name}.log"
        self.processes[name] = Process(log_file, environment, "worker", "--port", str(port))
        return f"http://127.0.0.1:{port}"


@pytest.fixture
def pipeline(cluster: Cluster, kafka: KafkaBroker, tmp_path: Path) -> Iterator[Pipeline]:
    api, collector = free_port(), free_port()
    environment = {
        "CLICKMILL_ADMIN_KEY": ADMIN_KEY,
        "CLICKMILL_DATA_DIR": str(tmp_path),
        "CLICKMILL_KAFKA_URL": kafka.bootstrap,
        "CLICKMILL_TOPIC": "clicks-of-two-shards",
        "CLICKMILL_PARTITIONS": "4",
        "CLICKMILL_CLICKHOUSE_URL": cluster.nodes[3].database("clickmill_api"),
        "CLICKMILL_VISITOR_SECRET": "secret of the tests",
        "CLICKMILL_SESSION_TIMEOUT_SECONDS": "6",
        **LIMITLESS,
    }
    stack = Pipeline(tmp_path, environment, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{collector}")
    try:
        assert stack.run("migrate", "--cluster", NAME).stdout == f"the 4 nodes of cluster {NAME} are up to date\n"
        stack.start("api", "api", "--port", str(api))
        stack.start("collector", "collector", "--port", str(collector))
        workers = [stack.start_worker(f"worker{node.shard}", node) for node in cluster.nodes[::2]]
        stack.wait_ready(stack.api, stack.collector, *workers, seconds=90)
        yield stack
    finally:
        stack.stop()


def events(batch: int) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{batch}-{number}",
            "clicked_at": NOON_MS + number * 1000,
            "account_id": number % 3 + 1,
            "domain": "go.example",
            "link_id": f"l{number % 7}",
            "publisher_id": 5,
            "advertiser_id": 6,
            "network_id": 7,
            "visitor_id": f"v{batch}-{number}",
        }
        for number in range(EVENTS)
    ]


def test_the_pipeline_over_two_shards_with_a_fail_over(cluster: Cluster, pipeline: Pipeline, record: Record) -> None:
    first, second = cluster.nodes[:2]
    assert [shard.stem for shard in sorted(pipeline.directory.glob("worker*.log"))] == ["worker1", "worker2"]
    for batch in range(BATCHES):
        for _ in range(2):  # each click twice
            pipeline.send(events(batch)).raise_for_status()
        if batch == 1:
            first.server.kill()
        if batch == 3:
            clickmill(second.url, "failover", "a", "--yes")
            pipeline.processes.pop("worker1").kill()
            pipeline.wait_ready(pipeline.start_worker("worker1-on-b", second), seconds=90)
    pipeline.wait_counted(90)
    rows = pipeline.clicks(DAY, DAY)
    assert sum(row["click_count"] for row in rows) == BATCHES * EVENTS
    first.server.start()
    clickmill(first.url, "rejoin")
    pipeline.run("audit", "--from", DAY, "--to", DAY)
    for node in cluster.nodes:
        with closing(ClickHouse(node.url)) as db:
            partitions = db.query("SELECT DISTINCT partition FROM watermarks ORDER BY partition")
        assert partitions == ([(0,), (2,)] if node.shard == 1 else [(1,), (3,)])
    record("cluster: the whole pipeline, with a fail-over under load", 1)


def test_readers_get_watermark_and_clicks_from_the_same_replica(cluster: Cluster) -> None:
    """One replica lags. The API asks in order; at random, as is ClickHouse's default, it would promise too much."""
    a, b, elsewhere, _ = cluster.nodes
    with closing(ClickHouse(a.url)) as db:
        Replica(db, 7).begin_claim([0])
        columns = ["grain", "source", "partition", "next", "records", "reason"]
        db.insert("rollup", [("watermark", 7, 0, 20, 0, "counted"), ("ledger", 7, 0, 0, 20, "counted")], columns)
        a.cut()
        db.insert_settings = {}
        db.insert("rollup", [("watermark", 7, 0, 50, 0, "counted"), ("ledger", 7, 0, 0, 30, "counted")], columns)
    in_order = read_limits(Settings()) | {"distributed_replica_error_half_life": 1}  # it forgets earlier tests
    at_random = in_order | {"load_balancing": "random"}
    wait_until(lambda: promised_and_there(elsewhere, at_random) == (50, 20))  # the control
    assert {promised_and_there(elsewhere, in_order) for _ in range(20)} == {(50, 50)}
    assert promised_and_there(b, in_order) == (20, 20), "the server's own replica first: an older time, and its clicks"


def promised_and_there(node: Node, settings: dict[str, Any]) -> tuple[int, int]:
    with closing(ClickHouse(node.database("clickmill_api"), settings=settings)) as db:
        [(watermark,)] = db.query("SELECT sum(next) FROM watermarks WHERE source = 7")
        [(records,)] = db.query("SELECT sum(records) FROM ledger WHERE source = 7")
    return int(watermark), int(records)


def test_a_server_knows_its_shard_and_refuses_partitions_of_another(cluster: Cluster) -> None:
    databases = [ClickHouse(node.url) for node in cluster.nodes]
    assert [shard_of(db) for db in databases] == [Shard(1, 2), Shard(1, 2), Shard(2, 2), Shard(2, 2)]
    columns = ["grain", "source", "partition", "next"]
    databases[0].insert("rollup", [("watermark", 7, 3, 50)], columns)
    Replica(databases[0], 7).begin_claim([3])
    with pytest.raises(NotTheIngestReplica, match="partition 3 is counted up to 50 on another shard"):
        Replica(databases[2], 7).begin_claim([3])
    for db in databases:
        db.close()
