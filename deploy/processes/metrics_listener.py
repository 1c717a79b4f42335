"""Metrics for Prometheus, on a port of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.http.middleware import install_middleware
from deploy.processes.http_server import HttpServer, bind
from deploy.settings import Settings
from rollups.metrics import exposition


class MetricsListener:
    """Binds the port of the settings at once, if there is one. Raises OperatorError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bound = None
        if settings.metrics_port:
            self._bound = bind(settings.metrics_host, settings.metrics_port, "CLICKMILL_METRICS_PORT")
            self._bound.listen()  # else another process could bind the port, too

    async def serve_during(self, work: Coroutine[Any, Any, None], *registries: CollectorRegistry) -> None:
        """Does the work, and serves the registries meanwhile."""
        if self._bound is None:
            await work
            return
        app = metrics_app(self._settings, *registries)
        server = HttpServer(app, self._settings, self._settings.metrics_host, self._settings.metrics_port, self._bound)
        serving = asyncio.ensure_future(server.listen())
        try:
            await work
        finally:
            server.should_exit = True
            await serving


def metrics_app(settings: Settings, *registries: CollectorRegistry) -> FastAPI:
    """`GET /metrics`: the registries and the process's own metrics. No labels with keys, links or users."""
    process = CollectorRegistry()
    ProcessCollector(registry=process)

    def metrics(_request: Request) -> Response:
        text, content_type = exposition(*registries, process)
        return Response(text, media_type=content_type)

    app = FastAPI(title="Clickmill metrics", openapi_url=None)
    install_middleware(app, settings)
    app.router.routes.append(Route("/metrics", metrics))
    return app
