"""The collector: a process of its own, or a part of `up`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from api.access.keys import KeyRing
from api.health import health_router
from api.http.headers import presented_key
from api.http.middleware import install_middleware
from deploy.processes.http_server import HttpServer
from deploy.processes.lifecycle import serve_until, stop_on_signals
from deploy.processes.metrics_listener import MetricsListener
from deploy.settings import Settings
from ingest.backoff import Backoff
from ingest.collector import Authorize, KeyVerdict, collector_routes
from ingest.kafka.admin import KafkaError, ensure_topics, wait_for_broker
from ingest.producer import ClickProducer
from rollups.clickhouse import ClickHouse, ClickHouseError

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


async def run_collector(settings: Settings, host: str, port: int) -> None:
    """Runs a collector until SIGTERM; it responds at once, and accepts events once the broker is there."""
    stop = stop_on_signals()
    collector = CollectorService(settings)
    app = collector_app(ClickHouse(settings.clickhouse_url), settings, collector)
    metrics, server = MetricsListener(settings), HttpServer(app, settings, host, port)
    await metrics.serve_during(serve_until(stop, server, collector.run(stop)))


def collector_app(db: ClickHouse, settings: Settings, collector: CollectorService) -> FastAPI:
    app = FastAPI(title="Clickmill collector", openapi_url=None)
    install_middleware(app, settings)
    app.include_router(health_router(db, lambda: {"broker": collector.open}))
    app.router.routes.extend(collector.routes(KeyRing(db, settings)))
    return app


class CollectorService:
    """A producer behind the collector's routes; refuses events while the broker is away or the process stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.producer = ClickProducer(settings)
        self.open = False

    def routes(self, keys: KeyRing) -> list[Any]:
        authorize = key_authorizer(keys, "ingest")
        return collector_routes(self.producer, authorize, self._settings, closed=lambda: not self.open)

    async def run(self, stop: asyncio.Event) -> None:
        backoff = Backoff(_RETRY_SECONDS, _RETRY_SECONDS)
        while not await self._try_connect(stop):
            await backoff.wait(stop)
        if self.producer.started:
            self.open = True
            await stop.wait()
            self.open = False
            await self.producer.close()

    async def _try_connect(self, stop: asyncio.Event) -> bool:
        """Connects the producer unless `stop` is set. False if the broker refused, as one that has just started may."""
        await wait_for_broker(self._settings, stop)
        if stop.is_set():
            return True
        try:
            await ensure_topics(self._settings)
            await self.producer.start()
        except KafkaError as error:
            log.warning("events are refused, trying to connect again in %.0f s: %s", _RETRY_SECONDS, error)
            return False
        return True


def key_authorizer(keys: KeyRing, role: str) -> Authorize:
    """Checks the key in the headers of a request against a role, for the collector, which knows no keys itself."""

    async def authorize(headers: Mapping[str, str]) -> KeyVerdict:
        try:
            principal = await keys.resolve(presented_key(headers, {}, "bearer"))
        except ClickHouseError as error:
            log.warning("%s", error)
            return "unavailable"
        if principal is None:
            return "unknown"
        return "ok" if principal.role in (role, "admin") else "forbidden"

    return authorize
