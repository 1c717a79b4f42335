"""The life of a serving process: stop signals, and an HTTP server that ends with its work."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

from deploy.processes.http_server import HttpServer

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(before_exit: Callable[[], None] = lambda: None) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. A second signal calls `before_exit`, which must not block, and ends the
    process at once with the status of the signal, 130 or 143.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_first(number: int) -> None:
        log.info("stopping on %s; a second signal ends the process at once", signal.Signals(number).name)
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, on_second)  # the loop may be blocked, and it ends before the process does
        stop.set()

    def on_second(number: int, _frame: object) -> None:
        before_exit()
        os._exit(128 + number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_first, number)
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
