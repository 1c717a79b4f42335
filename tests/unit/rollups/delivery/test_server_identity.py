"""Workers refuse a database unless one server certainly takes all their inserts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.settings import Settings
from rollups.clickhouse import ClickHouse, Row
from rollups.delivery.server_identity import FEW_CONNECTIONS, MANY_CONNECTIONS, SeveralServers, SingleServerGuard
from rollups.migrations.migrate import migrate
from tests.support.balancer import balancer
from tests.support.clickhouse_server import ClickHouseServer, start_clickhouse_server
from tests.support.embedded_broker import tansu
from tests.support.live_worker import live_worker
from tests.support.worker import until


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseServer]]:
    directory = tmp_path_factory.mktemp("servers")
    with start_clickhouse_server(directory / "one") as one, start_clickhouse_server(directory / "two") as two:
        for server in (one, two):
            migrate(ClickHouse(server.url))
        yield [one, two]


def through(server: ClickHouseServer, port: int) -> ClickHouse:
    return ClickHouse(server.url.replace(f":{server.port}/", f":{port}/"))


def test_one_server_is_taken(servers: list[ClickHouseServer]) -> None:
    with balancer(servers[0].port) as port:
        guard = SingleServerGuard(through(servers[0], port), "")
        guard.check(MANY_CONNECTIONS)
        guard.check(FEW_CONNECTIONS)


def test_a_balancer_before_two_servers_is_refused(servers: list[ClickHouseServer]) -> None:
    with balancer(*(server.port for server in servers)) as port:
        db = through(servers[0], port)
        with pytest.raises(SeveralServers, match="2 servers answer"):
            SingleServerGuard(db, "").check(MANY_CONNECTIONS)
        host = db.query("SELECT hostName()")[0][0]
        with pytest.raises(SeveralServers, match="2 servers answer"):
            SingleServerGuard(db, host).check(MANY_CONNECTIONS)


def test_a_worker_says_so_and_counts_nothing(servers: list[ClickHouseServer], tmp_path: Path) -> None:
    async def scenario(settings: Settings, db: ClickHouse) -> None:
        async with live_worker(settings, db, ready=False) as worker:
            await until(lambda: "2 servers answer" in worker.problems()[0], 30)
            assert not worker.states()

    with tansu(tmp_path) as broker, balancer(*(server.port for server in servers)) as port:
        asyncio.run(scenario(broker.settings(), through(servers[0], port)))
    assert ClickHouse(servers[0].url).query("SELECT count() FROM rollup") == [(0,)]


def test_the_named_server_and_no_other_is_taken(servers: list[ClickHouseServer]) -> None:
    db = ClickHouse(servers[0].url)
    SingleServerGuard(db, db.query("SELECT hostName()")[0][0]).check(MANY_CONNECTIONS)
    with pytest.raises(SeveralServers, match="not clickhouse-0 of CLICKMILL_CLICKHOUSE_SERVER"):
        SingleServerGuard(db, "clickhouse-0").check(MANY_CONNECTIONS)


class Answering(ClickHouse):
    """A server whose identity the test sets."""

    def __init__(self, answer: Row) -> None:
        super().__init__("clickhouse://127.0.0.1:1/none")
        self.answer = answer

    def query(self, *_: Any, **__: Any) -> list[Row]:
        return [self.answer]

    def separate_socket(self, timeout: float) -> ClickHouse:
        return self


def test_the_cloud_is_refused_unless_the_server_is_named() -> None:
    db = Answering(("c-1-server-0", "u", "d", 1))
    with pytest.raises(SeveralServers, match="ClickHouse Cloud"):
        SingleServerGuard(db, "").check(MANY_CONNECTIONS)
    SingleServerGuard(db, "c-1-server-0").check(MANY_CONNECTIONS)


def test_another_server_than_before_is_refused() -> None:
    db = Answering(("old", "u", "d", 0))
    guard = SingleServerGuard(db, "")
    guard.check(MANY_CONNECTIONS)
    db.answer = ("new", "v", "e", 0)
    with pytest.raises(SeveralServers, match="new answers now, and old did before"):
        guard.check(FEW_CONNECTIONS)


def test_the_embedded_engine_is_one(db: ClickHouse) -> None:
    SingleServerGuard(db, "").check(MANY_CONNECTIONS)
