"""The application behind a real socket, as uvicorn serves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.processes.http_server import HttpServer
from deploy.settings import Settings
from tests.support import listens
from tests.support.seed import Callers


@contextmanager
def running(api: Callers) -> Iterator[str]:
    """The URL of the application of these callers, served from a thread."""
    server = HttpServer(api.client.app, Settings(), "127.0.0.1", 0)  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: asyncio.run(server.listen()))
    thread.start()
    try:
        while not listens(server.port):
            pass
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.should_exit = True
        thread.join()
