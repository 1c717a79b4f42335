"""The stacks of the integration suite: embedded, with real Kafka, and in containers where there is Docker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.clickhouse_server import start_clickhouse_server
from tests.support.docker_servers import docker_missing_reason, docker_servers
from tests.support.kafka_broker import KafkaBroker, missing_reason, require
from tests.support.stack import Stack, embedded_stack, separate_stack

Starter = Callable[[Path, ExitStack], Stack]


def _embedded(directory: Path, _servers: ExitStack) -> Stack:
    return embedded_stack(directory)


def _kafka(directory: Path, servers: ExitStack) -> Stack:
    require(missing_reason())
    broker = servers.enter_context(KafkaBroker(directory / "kafka"))
    engine = servers.enter_context(start_clickhouse_server(directory / "engine"))
    return separate_stack(directory, broker.bootstrap, engine.url, workers=2)


def _docker(directory: Path, servers: ExitStack) -> Stack:
    require(docker_missing_reason())
    kafka, clickhouse = servers.enter_context(docker_servers())
    return separate_stack(directory, kafka, clickhouse, workers=2)


STARTERS: dict[str, Starter] = {"embedded": _embedded, "kafka": _kafka, "docker": _docker}


@contextmanager
def started(kind: str, directory: Path) -> Iterator[Stack]:
    with ExitStack() as servers:
        stack = STARTERS[kind](directory, servers)
        try:
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="module", params=list(STARTERS))
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole pipeline, shared by the tests of a module."""
    with started(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running
