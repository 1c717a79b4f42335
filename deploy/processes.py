"""The parts of the pipeline as processes of their own: `collector`, `worker`, `api`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.app import create_app
from api.guard import guard
from api.health import health_router
from api.keys import KeyRing
from api.reading import PATIENCE_SECONDS, reading_store
from deploy.http_server import HttpServer
from ingest.collector import Verdict, collector_routes
from ingest.kafka import ensure_topics, wait_for_broker
from ingest.producer import ClickProducer
from ingest.settings import Settings
from rollups.metrics import exposition
from rollups.store import Store, StoreError

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        log.info("stopping on %s", signal.Signals(number).name)
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def serve_until(stop: asyncio.Event, server: HttpServer, *work: Awaitable[None]) -> None:
    """Runs the HTTP server and the given work until `stop` is set or one of them ends."""
    tasks = [asyncio.ensure_future(job) for job in (server.listen(), *work)]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        server.should_exit = True
        stopping.cancel()
        await asyncio.gather(*tasks)


def key_authority(keys: KeyRing, role: str) -> Callable[[str | None], Awaitable[Verdict]]:
    """Who may do what takes a role, for the collector, which knows nothing of keys."""

    async def authorize(key: str | None) -> Verdict:
        try:
            principal = await keys.resolve_async(key)
        except StoreError as error:
            log.warning("%s", error)
            return "unavailable"
        if principal is None:
            return "unknown"
        return "ok" if principal.role in (role, "admin") else "forbidden"

    return authorize


async def run_api(settings: Settings, host: str, port: int) -> None:
    stop = stop_on_signals()
    store = Store(settings.clickhouse_url, connect=1.0, timeout=15.0, patience=PATIENCE_SECONDS)
    app = create_app(store, settings, reader=reading_store(settings))
    app.router.routes.append(metrics_route(app.state.metrics))
    await serve_until(stop, HttpServer(app, settings, host, port))


async def run_collector(settings: Settings, host: str, port: int) -> None:
    """A collector; it answers from the start and takes events as soon as the broker does."""
    stop = stop_on_signals()
    gate = Gate(settings)
    app = collector_app(Store(settings.clickhouse_url), settings, gate)
    await serve_until(stop, HttpServer(app, settings, host, port), gate.run(stop))


def collector_app(store: Store, settings: Settings, gate: Gate) -> FastAPI:
    app = FastAPI(title="Clickmill collector", openapi_url=None)
    guard(app, settings)
    app.include_router(health_router(store, lambda: {"broker": gate.open}))
    app.router.routes.extend(gate.routes(KeyRing(store, settings)))
    return app


def metrics_route(*registries: CollectorRegistry) -> Route:
    """`GET /metrics`, for Prometheus. It names no key, link or user."""

    def metrics(_request: Request) -> Response:
        text, content_type = exposition(*registries)
        return Response(text, media_type=content_type)

    return Route("/metrics", metrics)


class Gate:
    """The way in: a producer behind the collector's routes, closed while the broker is away or the process stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.producer = ClickProducer(settings)
        self.open = False

    def routes(self, keys: KeyRing) -> list[Any]:
        authorize = key_authority(keys, "ingest")
        return collector_routes(self.producer, authorize, self._settings, closed=lambda: not self.open)

    async def run(self, stop: asyncio.Event) -> None:
        while not await self._connected(stop):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_SECONDS)
        if self.producer.started:
            self.open = True
            await stop.wait()
            self.open = False
            await self.producer.close()

    async def _connected(self, stop: asyncio.Event) -> bool:
        """Whether the producer is connected, or no longer wanted. A broker that has just come up may still refuse."""
        await wait_for_broker(self._settings, stop)
        if stop.is_set():
            return True
        try:
            await ensure_topics(self._settings)
            await self.producer.start()
        except RuntimeError as error:  # what aiokafka's errors derive from
            log.warning("no events can be taken yet, trying again in %.0f s: %s", _RETRY_SECONDS, error)
            return False
        return True
