"""The images behave as the official ones do, where the compose file and testcontainers rely on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy
from testcontainers.core.waiting_utils import WaitStrategy

from tests.support.compose_file import image
from tests.support.docker_servers import docker_missing_reason
from tests.support.kafka_broker import require

PASSWORD = """a<b&"c' ]]>d"""
START_SECONDS = 120.0


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    require(docker_missing_reason())


def logged(message: str) -> WaitStrategy:
    return LogMessageWaitStrategy(message).with_startup_timeout(int(START_SECONDS))


def clickhouse(**environment: str) -> DockerContainer:
    return DockerContainer(image("clickhouse"), env=environment, ports=[8123])


def query(server: DockerContainer, sql: str, user: str = "clickmill", password: str = PASSWORD) -> httpx.Response:
    """The first response of the server, which may be starting."""
    address = f"http://{server.get_container_host_ip()}:{server.get_exposed_port(8123)}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return httpx.post(address, content=sql, headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": password})
        except httpx.TransportError:
            assert time.monotonic() < deadline, server.get_logs()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[DockerContainer]:
    with clickhouse(CLICKHOUSE_DB="clickmill", CLICKHOUSE_USER="clickmill", CLICKHOUSE_PASSWORD=PASSWORD) as running:
        yield running


def test_clickhouse_serves_others_only_when_its_database_is_there(server: DockerContainer) -> None:
    assert query(server, "SELECT count() FROM system.databases WHERE name = 'clickmill'").text == "1\n"


def test_clickhouse_has_the_version_of_its_tag(server: DockerContainer) -> None:
    assert query(server, "SELECT version()").text.startswith(image("clickhouse").rpartition(":")[2] + ".")


def test_clickhouse_refuses_other_users(server: DockerContainer) -> None:
    assert "AUTHENTICATION_FAILED" in query(server, "SELECT 1", password="wrong").text
    assert not query(server, "SELECT 1", user="default", password="").is_success


def test_clickhouse_keeps_its_data_over_a_restart(server: DockerContainer) -> None:
    assert query(server, "CREATE TABLE clickmill.kept ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n").is_success
    server.get_wrapped_container().restart()
    assert query(server, "SELECT n FROM clickmill.kept").text == "7\n"


def test_clickhouse_reads_its_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    server = clickhouse(CLICKHOUSE_USER="clickmill", CLICKHOUSE_PASSWORD_FILE="/run/secrets/password")
    with server.with_volume_mapping(str(tmp_path), "/run/secrets"):
        assert query(server, "SELECT 1").text == "1\n"


def test_clickhouse_without_a_password_serves_nobody_outside() -> None:
    with clickhouse() as server:
        assert not query(server, "SELECT 1", user="default", password="").is_success


def test_redis_serves_other_containers_as_its_own_user() -> None:
    with DockerContainer(image("redis")).waiting_for(logged("Ready to accept connections")) as server:
        address = server.get_docker_client().bridge_ip(server.get_container_id())
        code, output = server.exec(["redis-cli", "-h", address, "ping"])
        assert (code, output) == (0, b"PONG\n")
        assert server.exec(["stat", "-c", "%U", "/proc/1"])[1] == b"redis\n"


def test_kafka_serves_with_its_tools_as_its_own_user_and_keeps_its_topics_over_a_restart() -> None:
    with DockerContainer(image("kafka")).waiting_for(logged("Kafka Server started")) as broker:
        topics = ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "localhost:9092"]
        code, output = broker.exec([*topics, "--create", "--topic", "clicks"])
        assert code == 0, output
        assert broker.exec(["stat", "-c", "%U", "/proc/1"])[1] == b"appuser\n"
        broker.get_wrapped_container().restart()
        code, output = broker.exec([*topics, "--list"])
        assert code == 0, output
        assert output.endswith(b"clicks\n")
