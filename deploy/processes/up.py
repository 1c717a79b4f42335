"""`clickmill up`: broker, worker, collector and API in one process on one port, over the embedded stack."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from api.access.keys import KeyRing
from api.app import create_app
from api.query.executor import read_only_client
from deploy.embedded.broker import EmbeddedBroker, choose_port
from deploy.embedded.data_dir import Addresses, DataDir
from deploy.processes.collector import CollectorService
from deploy.processes.http_server import HttpServer, bind
from deploy.processes.lifecycle import stop_on_signals
from deploy.processes.metrics_listener import MetricsListener
from deploy.processes.worker import worker_readiness
from deploy.settings import Settings
from ingest.errors import OperatorError
from ingest.kafka.admin import ensure_topics
from ingest.settings import EMBEDDED
from rollups.clickhouse import ClickHouse
from rollups.delivery.dead_letters import read_dead_letters
from rollups.metrics import worker_registry
from rollups.migrations.migrate import migrate
from rollups.worker import Worker

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 30.0
_COUNT_SECONDS = 5.0
_BROKER_CHECK_SECONDS = 0.5

OnReady = Callable[["RunningStack"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Parts of a started `up`, for the banner and the demo."""

    settings: Settings
    keys: KeyRing
    collector: CollectorService
    data_dir: DataDir
    url: str
    demo_keys: dict[str, str]  # offered on the first page


async def run_up(settings: Settings, host: str, port: int, kafka_port: int | None, on_ready: OnReady) -> None:
    """Runs until SIGTERM or SIGINT, then refuses events, counts those it has, and stops.

    Raises OperatorError, before anything is started, if the directory, a secret or a port is not available.
    """
    data_dir = DataDir(settings.data_dir.resolve())
    data_dir.lock()
    bound, metrics = bind(host, port), MetricsListener(settings)
    broker = _embedded_broker(settings, data_dir, kafka_port, bound)
    settings = with_embedded_defaults(settings, data_dir, broker)
    stop = stop_on_signals(broker.kill if broker else lambda: None)
    try:
        if broker:
            broker.start()
        await _run_stack(settings, data_dir, broker, host, bound, metrics, stop, on_ready)
    finally:
        data_dir.withdraw_addresses()
        if broker:
            broker.stop()


def _embedded_broker(
    settings: Settings, data_dir: DataDir, wanted: int | None, bound: socket.socket
) -> EmbeddedBroker | None:
    """The embedded broker, on the port of the last start; None if the settings name another broker."""
    if settings.kafka_url != EMBEDDED:
        if wanted:
            raise OperatorError("--kafka-port is that of the embedded broker, and CLICKMILL_KAFKA_URL names another")
        return None
    port = choose_port(wanted, data_dir.kafka_port(), besides=bound.getsockname()[1])
    data_dir.save_kafka_port(port)
    return EmbeddedBroker(data_dir.broker_log, port)


def with_embedded_defaults(settings: Settings, data_dir: DataDir, broker: EmbeddedBroker | None) -> Settings:
    """The settings, completed by embedded addresses and by secrets from the data directory."""
    embedded: dict[str, Any] = {"kafka_url": broker.address, "session_timeout_seconds": 3.0} if broker else {}
    return settings.model_copy(
        update={
            **embedded,
            "clickhouse_url": settings.clickhouse_url or f"chdb://{data_dir.engine}",
            "admin_key": settings.admin_key or data_dir.get_or_create_secret("admin_key"),
            "visitor_secret": settings.visitor_secret or data_dir.get_or_create_secret("visitor_secret"),
        }
    )


async def _run_stack(
    settings: Settings,
    data_dir: DataDir,
    broker: EmbeddedBroker | None,
    host: str,
    bound: socket.socket,
    metrics: MetricsListener,
    stop: asyncio.Event,
    on_ready: OnReady,
) -> None:
    db = ClickHouse(settings.clickhouse_url)
    try:
        await asyncio.to_thread(migrate, db, retention_days=settings.rollup_retention_days)
        keys, collector, worker = KeyRing(db, settings), CollectorService(settings), Worker(settings, db)
        demo_keys: dict[str, str] = {}
        app = create_app(
            db,
            settings,
            ready=lambda: {"broker": collector.open, **worker_readiness(worker)},
            keys=keys,
            reader=read_only_client(settings),
            demo_keys=demo_keys,
        )
        app.router.routes.extend(collector.routes(keys))
        server = HttpServer(app, settings, host, bound.getsockname()[1], bound)
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{server.port}"
        data_dir.publish_addresses(Addresses(os.getpid(), settings.kafka_url, url))
        stack = RunningStack(settings, keys, collector, data_dir, url, demo_keys)
        serving = _run_parts(server, collector, worker, broker, stop, lambda: _call_when_ready(stack, worker, on_ready))
        await metrics.serve_during(serving, worker_registry(worker), app.state.metrics)
        if broker and broker.running():
            await _warn_of_dead_letters(settings)
    finally:
        db.close()


async def _run_parts(
    server: HttpServer,
    collector: CollectorService,
    worker: Worker,
    broker: EmbeddedBroker | None,
    stop: asyncio.Event,
    on_ready: Callable[[], Awaitable[None]],
) -> None:
    worker_stop = asyncio.Event()
    serving = asyncio.ensure_future(server.listen())
    taking = asyncio.ensure_future(collector.run(stop))
    counting = asyncio.ensure_future(worker.run_worker(worker_stop))
    ready = asyncio.ensure_future(on_ready())
    parts = [serving, taking, counting, asyncio.ensure_future(stop.wait())]
    if broker:
        parts.append(asyncio.ensure_future(_watch_broker(broker)))
    done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    stop.set()  # the collector refuses events from now on; those it has are acknowledged
    await asyncio.wait([taking])
    if broker is None or broker.running():
        await _drain(worker)
    worker_stop.set()
    await asyncio.wait([counting])
    server.should_exit = True
    await asyncio.wait([serving, ready])
    for part in done:
        part.result()


async def _call_when_ready(stack: RunningStack, worker: Worker, on_ready: OnReady) -> None:
    while worker.problems() or not stack.collector.open:
        await asyncio.sleep(0.05)
    try:
        await on_ready(stack)
    except Exception:
        if stack.collector.open:  # else the stop interrupted it
            log.exception("the demo ended; everything else goes on")


async def _watch_broker(broker: EmbeddedBroker) -> None:
    while broker.running():
        await asyncio.sleep(_BROKER_CHECK_SECONDS)
    raise OperatorError("the embedded broker has ended, and with it every event that was not counted yet; start again")


async def _drain(worker: Worker) -> None:
    """Waits until all events are counted: the embedded broker keeps nothing."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    lag: int | None = None
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            lag = await asyncio.wait_for(worker.lag(), deadline - time.monotonic())
            if lag == 0:
                log.info("everything is counted")
                return
        await asyncio.sleep(0.1)
    log.error("stopping with %s uncounted events in the embedded broker; they are lost", lag)


async def _warn_of_dead_letters(settings: Settings) -> None:
    """The embedded broker keeps nothing, dead letters included."""
    letters: int | str = "the"
    with contextlib.suppress(Exception):  # no failure may keep the process from ending
        async with asyncio.timeout(_COUNT_SECONDS):
            await ensure_topics(settings)
            letters = len((await read_dead_letters(settings)).open())
    if letters:
        log.warning(
            "%s dead letters end with the embedded broker; `clickmill dlq list --json` before the stop keeps them",
            letters,
        )
