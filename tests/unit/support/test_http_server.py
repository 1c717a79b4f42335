"""The HTTP server of the tests reports its failures."""

from __future__ import annotations

import pytest

from deploy.processes.http_server import HttpServer
from rollups.clickhouse import ClickHouse
from tests.support.http_server import running
from tests.support.seed import callers


@pytest.mark.timeout(20)
def test_a_server_that_does_not_start_fails_the_test(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(_server: HttpServer) -> None:
        raise OSError("no socket left")

    monkeypatch.setattr(HttpServer, "listen", listen)
    monkeypatch.setattr("tests.support.http_server.listens", lambda _port: False)
    with pytest.raises(OSError, match="no socket left"), running(callers(db)):
        pass
