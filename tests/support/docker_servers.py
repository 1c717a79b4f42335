"""Kafka and ClickHouse as containers, for machines with a Docker engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"


@cache
def docker_missing_reason() -> str | None:
    """Why containers cannot run here, None if they can. The first call may pull the images."""
    if not _succeeds("info", seconds=20):
        return "no Docker engine answers on this machine"
    for image in (KAFKA_IMAGE, CLICKHOUSE_IMAGE):
        if not _succeeds("image", "inspect", image, seconds=20) and not _succeeds("pull", image, seconds=600):
            return f"the Docker engine has no {image} and cannot pull it"
    return None


def _succeeds(*arguments: str, seconds: float) -> bool:
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, timeout=seconds).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def docker_servers() -> Iterator[tuple[str, str]]:
    """Yields (bootstrap servers, ClickHouse URL) of fresh containers."""
    from testcontainers.clickhouse import ClickHouseContainer
    from testcontainers.kafka import KafkaContainer

    clickhouse = ClickHouseContainer(
        CLICKHOUSE_IMAGE, port=8123, username="clickmill", password="secret", dbname="clickmill"
    )
    with KafkaContainer(KAFKA_IMAGE).with_kraft() as kafka, clickhouse as server:
        host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
        yield kafka.get_bootstrap_server(), f"clickhouse://clickmill:secret@{host}:{port}/clickmill"
