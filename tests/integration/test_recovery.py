"""Servers down at the start or later, and processes that stop: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import started
from tests.support import free_port
from tests.support.clickhouse_server import ClickHouseServer, start_clickhouse_server
from tests.support.kafka_broker import KafkaBroker, missing_reason, require
from tests.support.stack import Stack, embedded_stack, separate_stack, wait_until

DAY = "2026-03-01"


def events(numbers: range) -> list[dict[str, Any]]:
    link = {"account_id": 1, "domain": "go.example", "link_id": "a"}
    return [{"clicked_at": f"{DAY}T12:00:00Z", "event_id": f"e{n}", "visitor_id": f"v{n}", **link} for n in numbers]


def counted(stack: Stack) -> int:
    stack.wait_counted()
    key = stack.key("account", account_id=1)
    return sum(clicks for _, clicks, _ in stack.hours(key, DAY, linkId="a", domain="go.example"))


def test_embedded_counts_everything_before_it_stops_and_keeps_it(tmp_path: Path) -> None:
    with started("embedded", tmp_path) as stack:
        for first in range(0, 5000, 500):
            stack.send(events(range(first, first + 500))).raise_for_status()
        assert stack.processes["up"].stop() == 0
    again = embedded_stack(tmp_path)
    try:
        assert counted(again) == 5000
        again.send(events(range(5000, 5010))).raise_for_status()
        assert counted(again) == 5010
    finally:
        again.stop()


def test_a_second_up_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    with started("embedded", tmp_path) as stack:
        done = stack.run("up", "--port", str(free_port()), check=False)
        assert done.returncode == 1
        assert "already" in done.stderr


class Servers:
    """A real broker and a database that a test can stop and start."""

    def __init__(self, directory: Path, resources: ExitStack) -> None:
        self.directory = directory
        self.broker: KafkaBroker = resources.enter_context(KafkaBroker(directory / "kafka"))
        self.engine: ClickHouseServer = resources.enter_context(start_clickhouse_server(directory / "engine"))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    require(missing_reason())
    with ExitStack() as resources:
        yield Servers(tmp_path, resources)


@pytest.fixture
def separate(servers: Servers) -> Iterator[Stack]:
    stack = separate_stack(servers.directory, servers.broker.bootstrap, servers.engine.url)
    yield stack
    stack.stop()


def test_the_database_goes_away_and_comes_back(servers: Servers, separate: Stack) -> None:
    key = separate.key("ingest")
    separate.send(events(range(100)), key).raise_for_status()
    servers.engine.kill()
    separate.send(events(range(100, 200)), key).raise_for_status()  # the key is still cached
    separate.wait_for_output("worker0", "not reachable")
    servers.engine.restart()
    assert counted(separate) == 200


def test_the_broker_goes_away_and_comes_back(servers: Servers, separate: Stack) -> None:
    separate.send(events(range(100))).raise_for_status()
    assert counted(separate) == 100
    servers.broker.kill()
    refused = separate.send(events(range(100, 110)))
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    servers.broker.restart()
    # A retry with the same ids counts once.
    wait_until(lambda: separate.send(events(range(100, 200))).status_code == 202)
    assert counted(separate) == 200


def test_a_killed_worker_loses_and_doubles_nothing(separate: Stack) -> None:
    for first in range(0, 3000, 300):
        separate.send(events(range(first, first + 300))).raise_for_status()
        if first in (600, 1500):
            separate.processes["worker0"].kill()
            separate.processes["worker0"].start()
    assert counted(separate) == 3000


def test_everything_away_at_the_start(tmp_path: Path) -> None:
    require(missing_reason())
    broker = KafkaBroker(tmp_path / "kafka")
    with start_clickhouse_server(tmp_path / "engine") as engine:
        engine.stop()
        stack = separate_stack(tmp_path, broker.bootstrap, engine.url, wait=False)
        try:
            for name in ("collector", "worker0"):
                stack.wait_for_output(name, f"Kafka at {broker.bootstrap} is not reachable")
            assert all(process.child.poll() is None for process in stack.processes.values()), stack.outputs()
            broker.start()
            stack.wait_for_output("worker0", "ClickHouse at")
            engine.start()
            stack.run("migrate")
            stack.wait_ready(stack.api, stack.collector)
            stack.send(events(range(50))).raise_for_status()
            assert counted(stack) == 50
        finally:
            stack.stop()
            broker.stop()


def test_everything_stops_when_told_although_the_broker_is_away(servers: Servers, separate: Stack) -> None:
    servers.broker.kill()
    for name in ("collector", "worker0", "api"):
        assert separate.processes[name].stop(20) == 0, name
