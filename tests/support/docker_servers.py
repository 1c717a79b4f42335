"""Kafka and ClickHouse as containers, from the images that docker-compose.yml names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from testcontainers.community.clickhouse import ClickHouseContainer
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.config import ConnectionMode, testcontainers_config

from tests.support.compose_file import image

# Ryuk, which removes what a killed test leaves behind, is an image that nothing else here needs.
testcontainers_config.ryuk_disabled = True
# In a virtual machine that looks like a container testcontainers would go through the bridge's address.
if testcontainers_config.tc_host_override is None:
    testcontainers_config.tc_host_override = "127.0.0.1"
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host


@cache
def docker_missing_reason() -> str | None:
    """Why containers cannot run here, None if they can."""
    if not _succeeds("version"):
        return "no Docker engine answers on this machine"
    for name in (image("kafka"), image("clickhouse")):
        if not _succeeds("image", "inspect", name):
            return f"the Docker engine has no {name}: run `make images`"
    return None


def _succeeds(*arguments: str) -> bool:
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class ApacheKafkaContainer(KafkaContainer):  # type: ignore[misc]  # testcontainers is not checked
    """The module of testcontainers with Apache's image: the module is written for scripts that only another has."""

    def __init__(self) -> None:
        super().__init__(image("kafka"))
        self.kraft_enabled = True

    def start(self, timeout: int = 180) -> ApacheKafkaContainer:
        """Waits as long as a machine that runs other tests may need. Blocks."""
        super().start(timeout)
        return self

    def tc_start(self) -> None:
        """Starts the broker once the port is known under which clients reach it."""
        listeners = f"{self.listener_name}://{self.get_bootstrap_server()},BROKER://localhost:9092"
        script = f"export KAFKA_ADVERTISED_LISTENERS={listeners}\nexec /etc/kafka/docker/run\n"
        self.create_file(script.encode(), self.TC_START_SCRIPT)


@contextmanager
def docker_servers() -> Iterator[tuple[str, str]]:
    """Yields (bootstrap servers, ClickHouse URL) of fresh containers."""
    clickhouse = ClickHouseContainer(
        image("clickhouse"), port=8123, username="clickmill", password="secret", dbname="clickmill"
    )
    with ApacheKafkaContainer() as kafka, clickhouse as server:
        host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
        yield kafka.get_bootstrap_server(), f"clickhouse://clickmill:secret@{host}:{port}/clickmill"
