"""`/metrics` on a port of its own in every process, if the settings name one, and never on the port of the API."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, Counter

from api.app import create_app
from deploy.processes import metrics_listener
from deploy.processes.api import run_api
from deploy.processes.collector import CollectorService, collector_app, run_collector
from deploy.processes.metrics_listener import MetricsListener
from deploy.processes.up import run_up
from deploy.processes.worker import run_worker
from deploy.settings import Settings
from ingest.errors import OperatorError
from tests.support import free_port
from tests.support.seed import ADMIN_KEY, Away


def scraped(settings: Settings, *registries: CollectorRegistry) -> httpx.Response:
    async def main() -> httpx.Response:
        found: list[httpx.Response] = []

        async def work() -> None:
            async with httpx.AsyncClient() as client:
                found.append(await client.get(f"http://127.0.0.1:{settings.metrics_port}/metrics"))
                found.append(await client.get(f"http://127.0.0.1:{settings.metrics_port}/"))

        await MetricsListener(settings).serve_during(work(), *registries)
        assert found[1].status_code == 404
        return found[0]

    return asyncio.run(main())


def test_registries_and_the_process_are_told_while_the_work_lasts() -> None:
    registry = CollectorRegistry()
    Counter("some", "Some", registry=registry).inc()
    settings = Settings(metrics_port=free_port())
    answer = scraped(settings, registry)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "some_total 1.0" in answer.text
    assert "process_resident_memory_bytes" in answer.text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", settings.metrics_port)) != 0, "and no longer"


def test_work_that_fails_ends_it() -> None:
    settings = Settings(metrics_port=free_port())

    async def fails() -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        asyncio.run(MetricsListener(settings).serve_during(fails()))
    assert scraped(settings).status_code == 200


def test_by_default_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_listener, "bind", lambda *_: pytest.fail("a port was bound"))
    done: list[bool] = []

    async def work() -> None:
        done.append(True)

    listener = MetricsListener(Settings())
    asyncio.run(listener.serve_during(work()))
    assert done == [True]


def test_the_port_of_callers_has_no_metrics() -> None:
    settings = Settings(admin_key=ADMIN_KEY, metrics_port=9464)
    for app in (create_app(Away(), settings), collector_app(Away(), settings, CollectorService(settings))):
        assert TestClient(app).get("/metrics").status_code == 404


Start = Callable[[Settings], Awaitable[None]]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda settings: run_api(settings, "127.0.0.1", 0), id="api"),
        pytest.param(lambda settings: run_worker(settings, "127.0.0.1", 0), id="worker"),
        pytest.param(lambda settings: run_collector(settings, "127.0.0.1", 0), id="collector"),
        pytest.param(lambda settings: run_up(settings, "127.0.0.1", 0, None, _nothing), id="up"),
    ],
)
def test_a_taken_port_is_said_before_anything_is_started(start: Start, tmp_path: object) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings.model_validate(
            {
                "metrics_port": taken.getsockname()[1],
                "clickhouse_url": "clickhouse://127.0.0.1:1/none",
                "kafka_url": "127.0.0.1:1",
                "admin_key": ADMIN_KEY,
                "data_dir": tmp_path,
            }
        )

        async def main() -> None:
            await asyncio.wait_for(start(settings), 10)

        with pytest.raises(OperatorError, match="another CLICKMILL_METRICS_PORT"):
            asyncio.run(main())


async def _nothing(_: object) -> None:
    pass
