"""The application behind a real socket, as uvicorn serves it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from deploy.processes.http_server import HttpServer
from deploy.settings import Settings
from tests.support import listens
from tests.support.seed import Callers


@contextmanager
def running(api: Callers) -> Iterator[str]:
    """Yields the URL of the application, served from a thread. Raises the exception of a server that failed."""
    server = HttpServer(api.client.app, Settings(), "127.0.0.1", 0)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(lambda: asyncio.run(server.listen()))
        try:
            while not listens(server.port) and not serving.done():
                time.sleep(0.005)
            if serving.done():
                serving.result()
                raise RuntimeError("the server ended before the first request")
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.should_exit = True
        serving.result()
