"""Two shards of two ClickHouse servers each, with a ZooKeeper, on this machine.

Each server reaches ZooKeeper, and its replica, over links of its own that a test can cut. The cluster is `click`; in
`click_all` every server is a replica of one shard.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import clickhouse_server, free_port, zookeeper_server
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.link import Link
from tests.support.zookeeper_server import ZooKeeper

NAME = "click"
SESSION_MS = 3_000  # within this time ZooKeeper notices that a server is gone
_SHARDS = ((1, "a"), (1, "b"), (2, "a"), (2, "b"))
_REPLICATION = "127.0.0.2"  # where links between replicas listen; the servers listen on 127.0.0.1
_FEW_THREADS = {
    "background_pool_size": 2,
    "background_fetches_pool_size": 2,
    "background_schedule_pool_size": 8,
    "background_common_pool_size": 2,
    "background_message_broker_schedule_pool_size": 1,
    "background_distributed_schedule_pool_size": 2,
    "background_move_pool_size": 1,
    "tables_loader_foreground_pool_size": 1,
    "tables_loader_background_pool_size": 1,
}


def missing_reason() -> str | None:
    """Why a cluster cannot run here, or None."""
    return clickhouse_server.missing_reason() or zookeeper_server.missing_reason()


class Node:
    """One server of the cluster: `shard` and `replica` are its macros."""

    def __init__(self, directory: Path, shard: int, replica: str, zookeeper: ZooKeeper) -> None:
        self.shard, self.replica = shard, replica
        self.tcp_port, self._replication_port = free_port(), free_port()
        port = free_port()
        self.zookeeper_link = Link(("127.0.0.1", port), ("127.0.0.1", zookeeper.port))
        self.replication_link = Link((_REPLICATION, self._replication_port), ("127.0.0.1", self._replication_port))
        self.config: dict[str, Any] = {
            "tcp_port": self.tcp_port,
            "interserver_http_port": self._replication_port,
            "interserver_http_host": _REPLICATION,
            "macros": {"shard": shard, "replica": replica},
            "distributed_ddl": {"path": "/clickhouse/ddl"},
            "zookeeper": {
                "node": {"host": "127.0.0.1", "port": port},
                "session_timeout_ms": SESSION_MS,
                "operation_timeout_ms": SESSION_MS,
            },
            **_FEW_THREADS,
        }
        self.server = ClickHouseServer(directory / f"{shard}{replica}", config=self.config)

    @property
    def url(self) -> str:
        """That of the workers' database."""
        return self.database("clickmill")

    def database(self, name: str) -> str:
        return self.server.url.removesuffix("/default") + f"/{name}"

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def cut(self) -> None:
        """Nobody can fetch parts from this server any more."""
        self.replication_link.cut()

    def mend(self) -> None:
        self.replication_link.mend()

    def close(self) -> None:
        self.server.kill()
        self.zookeeper_link.close()
        self.replication_link.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(number)


class Cluster:
    """`nodes` in the order 1a, 1b, 2a, 2b."""

    def __init__(self, directory: Path) -> None:
        self.zookeeper = ZooKeeper(directory / "zookeeper")
        self.nodes = [Node(directory, shard, replica, self.zookeeper) for shard, replica in _SHARDS]
        password = self.nodes[0].server.password
        replicas = [
            {"host": "127.0.0.1", "port": node.tcp_port, "user": "default", "password": password} for node in self.nodes
        ]
        shards = [{"internal_replication": "true", "replica": replicas[first : first + 2]} for first in (0, 2)]
        everywhere = {"shard": {"internal_replication": "true", "replica": replicas}}
        for node in self.nodes:
            node.config["remote_servers"] = {NAME: {"shard": shards}, f"{NAME}_all": everywhere}

    def start(self) -> None:
        self.zookeeper.start()
        for node in self.nodes:
            node.server.start()

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        self.zookeeper.kill()


@contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    directory.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
