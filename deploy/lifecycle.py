"""What every serving process has: signals that stop it, an HTTP server that ends with its work, its metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.http_server import HttpServer
from rollups.metrics import exposition

log = logging.getLogger(__name__)


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


def metrics_route(*registries: CollectorRegistry) -> Route:
    """`GET /metrics`, for Prometheus. It names no key, link or user."""

    def metrics(_request: Request) -> Response:
        text, content_type = exposition(*registries)
        return Response(text, media_type=content_type)

    return Route("/metrics", metrics)
