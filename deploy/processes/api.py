"""The API as a process."""

from __future__ import annotations

from api.app import create_app
from api.query.executor import ACQUIRE_TIMEOUT_SECONDS, read_only_client
from deploy.processes.http_server import HttpServer
from deploy.processes.lifecycle import serve_until, stop_on_signals
from deploy.processes.metrics_listener import MetricsListener
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse


async def run_api(settings: Settings, host: str, port: int) -> None:
    """Serves until a signal stops it."""
    stop = stop_on_signals()
    db = ClickHouse(settings.clickhouse_url, connect=1.0, timeout=15.0, acquire_timeout=ACQUIRE_TIMEOUT_SECONDS)
    app = create_app(db, settings, reader=read_only_client(settings))
    metrics, server = MetricsListener(settings), HttpServer(app, settings, host, port)
    await metrics.serve_during(serve_until(stop, server), app.state.metrics)
