"""A worker as a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI

from api.health import health_router
from api.http.middleware import install_middleware
from deploy.processes.http_server import HttpServer
from deploy.processes.lifecycle import serve_until, stop_on_signals
from deploy.processes.metrics_listener import MetricsListener
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse
from rollups.metrics import worker_registry
from rollups.worker import Worker

log = logging.getLogger(__name__)

_MAX_REASON_LENGTH = 1000  # characters


async def run_worker(settings: Settings, host: str, port: int) -> None:
    """Runs a worker until SIGTERM, with its health over HTTP."""
    stop = stop_on_signals()
    db = ClickHouse(settings.clickhouse_url)
    worker = Worker(settings, db)
    app = FastAPI(title="Clickmill worker", openapi_url=None)
    install_middleware(app, settings)
    app.include_router(health_router(db, lambda: worker_readiness(worker)))
    metrics, server = MetricsListener(settings), HttpServer(app, settings, host, port)
    await metrics.serve_during(serve_until(stop, server, worker.run_worker(stop)), worker_registry(worker))


def worker_readiness(worker: Worker) -> Mapping[str, bool | str]:
    problems = worker.problems()
    for problem in problems:
        log.info("not ready: %s", problem)
    return {"worker": "; ".join(problems)[:_MAX_REASON_LENGTH] or True}
