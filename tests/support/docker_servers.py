"""Kafka and ClickHouse as containers, for machines that have a Docker engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"


def docker_missing_reason() -> str | None:
    """Why containers cannot run here, None if they can."""
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "no Docker engine answers on this machine"
    return None if done.returncode == 0 else "no Docker engine answers on this machine"


@contextmanager
def docker_servers() -> Iterator[tuple[str, str]]:
    """(bootstrap servers, ClickHouse URL) of fresh containers."""
    from testcontainers.clickhouse import ClickHouseContainer
    from testcontainers.kafka import KafkaContainer

    clickhouse = ClickHouseContainer(
        CLICKHOUSE_IMAGE, port=8123, username="clickmill", password="secret", dbname="clickmill"
    )
    with KafkaContainer(KAFKA_IMAGE).with_kraft() as kafka, clickhouse as server:
        host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
        yield kafka.get_bootstrap_server(), f"clickhouse://clickmill:secret@{host}:{port}/clickmill"
