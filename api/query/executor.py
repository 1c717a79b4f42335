"""Reading in a thread for somebody who may leave meanwhile, from a database that may stop answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from anyio import to_thread

from api.query.pulse import DatabaseHealth
from rollups.clickhouse import Store, StoreError
from rollups.errand import Errand

Made = TypeVar("Made")

_KILL_INTERVAL_SECONDS = 0.25


class QueryExecutor:
    """For one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._health = DatabaseHealth(store)
        self._ending: set[asyncio.Task[None]] = set()  # the event loop alone would let go of them

    async def run(self, make: Callable[[], Made], back: Callable[[], object] | None = None) -> Made:
        """What `make` returns, called in a thread; `back` is called once the thread is back, whatever comes of it.

        Raises StoreUnavailable once the database has stopped answering. Then, and if the caller is cancelled, what
        ClickHouse does for it is killed.
        """
        errand = Errand()
        thread = asyncio.ensure_future(to_thread.run_sync(errand.call, make))
        thread.add_done_callback(retrieve_exception)
        if back:
            thread.add_done_callback(lambda _: back())
        try:
            return await self._health.run_while_alive(thread)
        finally:
            if not thread.done():
                errand.called_off = True
                # In a task of its own: a caller may be cancelled again while it waits, and again.
                ending = asyncio.ensure_future(self._end(errand, thread))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def _end(self, errand: Errand, thread: asyncio.Future[Any]) -> None:
        while not thread.done():  # a statement may have been on its way when it was killed
            with suppress(StoreError):
                await asyncio.to_thread(self._store.kill, errand.comment)
            await asyncio.wait([thread], timeout=_KILL_INTERVAL_SECONDS)


def retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Nobody may want to know how it ended, and asyncio reports errors that nobody has looked at."""
    if not task.cancelled():
        task.exception()
